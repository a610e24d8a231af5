"""The last linear layer of a classifier, where every unit of a hidden layer reaches it by itself."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn

from unitscope.errors import NetworkError, UnitscopeError, UsageError
from unitscope.interventions.edits import Edit, Reach, count_units, edited
from unitscope.networks.failures import tell_failure
from unitscope.networks.network import Input, Network
from unitscope.networks.structures import describe
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer

_CLOSE = 1e-5
_HALVES = 3


@dataclass(frozen=True, eq=False)
class LinearHead:
    """The last linear layer of a network whose input u depends on unit u of the hidden layer alone.

    Then removing unit u takes weight[c, u] (x_u - x_u without it) off the logit of class c, whatever the
    other units do. Where the head reads several values of every unit, such as its class token and the mean of
    its patches, input u, u + `units`, u + 2 `units`, ... depend on unit u.
    """

    name: str
    weight: Float64[np.ndarray, "classes input"]
    units: int

    def weigh(self, lost: Float64[np.ndarray, "input"]) -> Float64[np.ndarray, "classes unit"]:
        """What every logit loses with every unit, from what the inputs lose."""
        terms: Float64[np.ndarray, "classes input"] = lost * self.weight
        if len(lost) == self.units:
            return terms
        return np.asarray(terms.reshape(len(terms), -1, self.units).sum(1))


@dataclass(frozen=True, eq=False)
class Reading:
    """What a linear head reads of some images, in double precision.

    `lost[i, k]` is what input k of the head loses when its unit is removed from image i, `rest` the logits
    with all units removed, `logits` those with none removed.
    """

    lost: Float64[np.ndarray, "image input"]
    rest: Float64[np.ndarray, "image classes"]
    logits: Float64[np.ndarray, "image classes"]


def find_head(network: Network, layer: str, batch: Input, tokens: Reach = "all") -> LinearHead | None:
    """The network's last linear layer, if removing units of `layer` changes only their own inputs of it.

    That holds where nothing but pooling, or a function of each unit by itself, lies between the two. It is
    tried out on a batch, for three random halves of the units; None where it does not hold. `tokens` are
    those that units are removed from. Raises `UsageError` for an unknown layer, or tokens that it lacks.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    >>> find_head(Network(net), "0", torch.rand(2, 3, 8, 8)).name
    '3'
    """
    linear = [name for name, part in network.module.named_modules() if isinstance(part, nn.Linear)]
    units = count_units(network, layer)
    if not linear:
        return None
    name = linear[-1]
    module = network.module.get_submodule(name)
    assert isinstance(module, nn.Linear)
    with evaluation(network):
        read, gave, output = _run(network, name, batch)
        if read.ndim != 2 or not read.shape[1] or read.shape[1] % units or not _gives(output, gave):
            return None
        times = read.shape[1] // units
        with edited(network, remove_units(layer, np.ones(units, bool), tokens)):
            none, _, _ = _run(network, name, batch)
        rng = np.random.default_rng(0)
        for _ in range(_HALVES):
            mask = rng.random(units) < 0.5
            with edited(network, remove_units(layer, mask, tokens)):
                half, _, _ = _run(network, name, batch)
            wanted = torch.where(torch.from_numpy(np.tile(mask, times)).to(read.device), none, read)
            if not torch.allclose(half, wanted, rtol=_CLOSE, atol=_CLOSE * float(read.abs().max())):
                return None
    return LinearHead(name, module.weight.detach().double().cpu().numpy(), units)


def _gives(output: object, gave: Tensor) -> bool:
    """Whether what the head gave is the network's output, or the logits in it."""
    logits = getattr(output, "logits", output)
    return isinstance(logits, Tensor) and torch.equal(gave, logits)


def seek_head(network: Network, layer: str, batch: Input, exact: bool) -> LinearHead | None:
    """What `find_head` finds. Raises `NetworkError` where that is None and an exact sum was asked for."""
    head = find_head(network, layer, batch)
    if head is None and exact:
        raise NetworkError(
            f"the units of {layer} do not reach a last linear layer of {network.name} one by one; "
            "only gradient times activation, an approximation, explains it"
        )
    return head


def read_head(network: Network, layer: str, head: LinearHead, batch: Input, tokens: Reach = "all") -> Reading:
    """What the head reads of a batch, and what it would lose with every unit of the layer: two passes."""
    with evaluation(network):
        read, _, output = _run(network, head.name, batch)
        with edited(network, remove_units(layer, np.ones(head.units, bool), tokens)):
            none, _, rest = _run(network, head.name, batch)
    lost = (read.double() - none.double()).cpu().numpy()
    return Reading(lost, read_numbers(rest), read_numbers(output))


def remove_units(layer: str, mask: Bool[np.ndarray, "*version unit"], tokens: Reach = "all") -> Edit:
    """The edit that sets the units of a mask to 0 everywhere; of some masks, a version of the maps for each.

    In class tokens, registers and patches, unless `tokens` says in which.

    >>> remove_units("conv", np.array([True, False])).apply(torch.ones(1, 2, 1, 1)).flatten().tolist()
    [0.0, 1.0]
    """
    strength = torch.from_numpy(mask.astype(np.float32)).reshape(-1, mask.shape[-1], 1, 1)
    return Edit(layer, strength, torch.zeros(1, 1, 1, 1), tokens)


def read_logits(output: object) -> Float[Tensor, "image classes"]:
    """The logits among what a network gives. Raises `NetworkError` without finite ones."""
    logits = getattr(output, "logits", output)
    if not (isinstance(logits, Tensor) and logits.ndim == 2):
        raise NetworkError(
            f"the network gives no logits [images, classes], but {describe(logits)}; only classifiers can be "
            "scored: where the logits are in that, say Network(module, forward=lambda module, batch: ...)"
        )
    if not bool(torch.isfinite(logits).all()):
        raise NetworkError(
            "the network gives logits that are not finite numbers; look at its input and weights"
        )
    return logits


def read_numbers(output: object) -> Float64[np.ndarray, "image classes"]:
    """The logits among what a network gives, in double precision. Raises what `read_logits` raises."""
    return read_logits(output).detach().double().cpu().numpy()


def check_hidden(network: Network, layer: str, batch: Input) -> Float[Tensor, "image classes"]:
    """The logits of a batch.

    Raises `UsageError` where the layer gives them itself, so that its units are classes, `NetworkError` where
    the network fails or gives no logits.
    """
    given: list[Tensor] = []

    def note(raw: Tensor, _layout: Layout) -> Tensor:
        given.append(raw)
        return raw

    with evaluation(network), torch.no_grad(), hook_layer(network, layer, note):
        try:
            output = network.run(batch)
        except UnitscopeError:
            raise
        except Exception as error:
            raise tell_failure(network.name, batch, error) from error
    logits = read_logits(output)
    for raw in given:
        if raw.numel() == logits.numel() and torch.equal(raw.reshape(logits.shape), logits):
            raise UsageError(
                f"layer {layer} of {network.name} gives the classes themselves; take one before it"
            )
    return logits


@torch.no_grad()
def _run(network: Network, head: str, batch: Input) -> tuple[Tensor, Tensor, object]:
    """What a linear layer reads, what it gives, and what the network gives."""
    seen: list[tuple[Tensor, Tensor]] = []
    module = network.module.get_submodule(head)
    hook = module.register_forward_hook(lambda _m, args, output: seen.append((args[0], output)))
    try:
        output = network.run(batch)
    finally:
        hook.remove()
    if not seen:
        return torch.empty(0), torch.empty(0), output
    return (*seen[-1], output)
