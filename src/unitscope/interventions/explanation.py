"""A prediction as a sum over the units of a layer, each with its region in the image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from unitscope.axes import Picture
from unitscope.concepts.frames import Frame
from unitscope.dissection.units import name_unit
from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.edits import Maps, edited
from unitscope.interventions.linear_head import check_hidden, read_head, read_logits, remove_units, seek_head
from unitscope.networks.addresses import count_heads
from unitscope.networks.network import Input, Network
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer, list_layers, tap
from unitscope.networks.unit_maps import read_others, read_units, write_units
from unitscope.statistics.grids import make_grid

Method = Literal["exact", "inexact", "gradient times activation"]
Token = Literal["class tokens", "registers", "patches"]
REGION = 0.2
"""The part of an image that a unit's region covers (paper A, the section on explaining predictions)."""
_LEVEL = 1e-5
_EXACT = 1e-4
_ROUNDING = 1e-6
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Explanation:
    """The logit of a class for one image: `contributions` of a layer's units, and a `rest`.

    - "exact": contribution u is what the logit loses when unit u is removed, and
      logit = sum of contributions + rest, which was compared for this image (`is_sum`).
    - "inexact": as above, but the sum misses the logit by `gap`.
    - "gradient times activation": contribution u is the sum over u's cells of activation times
      d logit / d activation, which equals the above only where the logit is linear in the layer; `gap`
      says how far off the sum is.

    `rest` is the logit with all units removed: the bias, where only pooling lies between layer and head.
    `target` is the class explained, `logits` are those of all classes, `maps` the layer's activations, of
    which `activation` is the mean.

    Units are removed from all tokens of a sequence: class tokens, registers and patches. Where a layer has
    others than patches, `reads` says on which of them the logits depend. Where that is class tokens alone,
    `activation` is the mean of `class_tokens`, the activations in those that are read. Units of `heads` of
    attention are called HEAD.UNIT.
    """

    network: str
    layer: str
    classes: tuple[str, ...]
    target: int
    logits: Float64[np.ndarray, "classes"]
    rest: float
    contributions: Float64[np.ndarray, "unit"]
    maps: Float32[np.ndarray, "unit cell_y cell_x"]
    method: Method
    reads: tuple[Token, ...] = ()
    class_tokens: Float32[np.ndarray, "unit token"] | None = None
    heads: int = 0

    @property
    def changes(self) -> bool:
        """Whether the logit changes at all when units are removed."""
        return self.rest != self.logit or bool(self.contributions.any())

    @property
    def logit(self) -> float:
        """The logit of the class explained."""
        return float(self.logits[self.target])

    @property
    def gap(self) -> float:
        """Sum of contributions minus what they should sum to, the logit minus `rest`."""
        return float(self.contributions.sum() - (self.logit - self.rest))

    @cached_property
    def probabilities(self) -> Float64[np.ndarray, "classes"]:
        """The softmax of the logits."""
        return soften(self.logits)

    @property
    def predicted(self) -> int:
        """The class with the highest logit."""
        return int(self.logits.argmax())

    @property
    def runner_up(self) -> int | None:
        """The class with the second highest logit; None where there is one class only."""
        return int(np.argsort(-self.logits, kind="stable")[1]) if len(self.logits) > 1 else None

    @cached_property
    def order(self) -> Int64[np.ndarray, "unit"]:
        """The units, the largest contribution first; ties go to the lower unit."""
        return np.argsort(-self.contributions, kind="stable")

    @cached_property
    def activation(self) -> Float64[np.ndarray, "unit"]:
        """The mean of every unit's map, or over its class tokens where these alone are read."""
        if self.reads == ("class tokens",) and self.class_tokens is not None:
            return np.asarray(self.class_tokens.mean(1, dtype=np.float64))
        return np.asarray(self.maps.mean((1, 2), dtype=np.float64))

    def share(self, unit: int) -> float | None:
        """A contribution as a fraction of logit minus rest; None where that is not above 0."""
        total = self.logit - self.rest
        return float(self.contributions[unit] / total) if total > 0 else None

    def name_unit(self, unit: int) -> str:
        """What a unit is called: its number, or HEAD.UNIT where units belong to heads of attention."""
        return name_unit(unit, len(self.contributions), self.heads)

    def name(self, target: int) -> str:
        """What a class is called: its name for people, or its number."""
        return self.classes[target].replace("_", " ") if self.classes else f"class {target}"

    def region(self, unit: int, size: tuple[int, int]) -> Bool[np.ndarray, "row column"]:
        """Where the unit is most active: the top fifth of its map, brought to `size` (height, width).

        Pixels strictly above the (floor(0.2 N) + 1)-th largest of the image's own N upsampled values
        (bilinear, half-pixel centers), so at most a fifth of them, and fewer where the unit is silent
        elsewhere. Where more than a fifth share the highest value, as in saturated maps, all of these. A map
        of one cell, which has no places, covers all; any other level map nothing.
        """
        maps = torch.from_numpy(self.maps[unit])[None, None]
        if maps.numel() == 1:
            return np.ones(size, bool)
        found = make_grid(self.maps.shape[1:], size, "half-pixel").upsample(maps)[0, 0].numpy()
        place, highest = found.size - 1 - int(REGION * found.size), found.max()
        threshold = np.partition(found, place, axis=None)[place]
        # Interpolation between equal values may differ from them in the last bit.
        lowest = highest - _LEVEL * abs(highest)
        if found.min() >= lowest:
            return np.zeros(size, bool)
        above: Bool[np.ndarray, "row column"] = found >= lowest if threshold >= lowest else found > threshold
        return above


def explain_image(
    network: Network,
    layer: str,
    image: Picture,
    *,
    target: int | None = None,
    exact: bool = False,
    number: int = 0,
) -> Explanation:
    """One image's logit of a class, by default of the predicted one, as a sum over the units of a layer.

    Exact where the units reach a last linear layer one by one (`find_head`), else, unless `exact` forbids it,
    gradient times activation. (Paper A, the section on explaining predictions: the units of the last
    convolutional layer, summed over their cells, times the weights of a linear classifier.) The network is
    left as it was found; where it draws random numbers, it does so by the image's `number` in its source.
    Raises `UsageError` for a class or layer that the network does not have or a layer
    that gives the classes themselves, `NetworkError` where `exact` was asked for and the head is not linear
    or the sum misses the logit, where the network fails on the image, or where no gradient reaches the layer.

    >>> from torch import nn
    >>> parts = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    >>> found = explain_image(Network(nn.Sequential(*parts)), "1", np.zeros((8, 8, 3), np.uint8))
    >>> found.method, found.contributions.shape, abs(found.gap) < 1e-4
    ('exact', (4,), True)
    """
    network = fix_size(network, image)
    batch = feed_image(network, image, number)
    maps, logits = read_layer(network, layer, batch)
    if target is not None and not 0 <= target < logits.shape[1]:
        raise UsageError(f"{network.name} has classes 0 to {logits.shape[1] - 1}, not {target}")
    numbers = logits[0].double().cpu().numpy()
    chosen = int(numbers.argmax()) if target is None else target
    head = seek_head(network, layer, batch, exact)
    method: Method = "gradient times activation"
    if head is None:
        rest, contributions = weigh_gradient(network, layer, batch, chosen)
    else:
        found = read_head(network, layer, head, batch)
        rest, contributions = float(found.rest[0, chosen]), head.weigh(found.lost[0])[chosen]
        method = "exact" if is_sum(contributions, rest, float(numbers[chosen])) else "inexact"
        if method == "inexact" and exact:
            off = float(contributions.sum() + rest - numbers[chosen])
            raise NetworkError(
                f"the contributions of the units of {layer} miss the logit of {network.name} by {off:.2g}; "
                "no exact sum explains this image"
            )
    activations = maps[0].cpu().numpy()
    reads, class_tokens = find_reads(network, layer, batch, logits)
    return Explanation(
        network.name,
        layer,
        network.classes,
        chosen,
        numbers,
        rest,
        contributions,
        activations,
        method,
        reads,
        class_tokens,
        count_heads(network, layer),
    )


def is_sum(contributions: Float64[np.ndarray, "unit"], rest: float, logit: float) -> bool:
    """Whether contributions and rest add up to the logit: to 1e-4 of it, or to single precision.

    >>> is_sum(np.array([1.0, 2.0]), 0.5, 3.5001), is_sum(np.array([1.0, 2.0]), 0.5, 3.6)
    (True, False)
    """
    off = abs(float(contributions.sum()) + rest - logit)
    size = float(np.abs(contributions).sum()) + abs(rest) + abs(logit)
    return off <= max(_EXACT * abs(logit), _ROUNDING * size)


def find_reads(
    network: Network, layer: str, batch: Input, logits: Float[Tensor, "image classes"]
) -> tuple[tuple[Token, ...], Float32[np.ndarray, "unit token"]]:
    """On which tokens of a layer the logits depend, and what its units are in the class tokens of an image.

    Of several class tokens those that the logits depend on, if on any. Found by removing all units from some
    of the tokens. Nothing where the layer has patches alone. Raises `UsageError` for an unknown layer.
    """
    seen: list[tuple[Tensor, int]] = []

    def note(raw: Tensor, layout: Layout) -> Tensor:
        seen.append((read_others(raw, layout, layer), layout.classes))
        return raw

    def drop(kind: Token | int, raw: Tensor, layout: Layout) -> Tensor:
        maps, others = read_units(raw, layout, layer), read_others(raw, layout, layer).clone()
        if kind == "patches":
            maps = torch.zeros_like(maps)
        elif isinstance(kind, int):
            others[:, :, kind] = 0
        else:
            spans = {"class tokens": slice(layout.classes), "registers": slice(layout.classes, None)}
            others[:, :, spans[kind]] = 0
        return write_units(raw, maps, layout, layer, others)

    def run(change: Callable[[Tensor, Layout], Tensor]) -> Float[Tensor, "image classes"]:
        with hook_layer(network, layer, change):
            return read_logits(network.run(batch))

    with evaluation(network), torch.no_grad():
        run(note)
        others, classes = seen[0]
        kinds = get_args(Token) if others.shape[2] else ()
        near = _SAME * float(logits.abs().max())
        places = list(range(min(classes, others.shape[2])))

        def changes(kind: Token | int) -> bool:
            return not torch.allclose(run(partial(drop, kind)), logits, _SAME, near)

        reads = tuple(kind for kind in kinds if changes(kind))
        # Of a class and a distillation token the network may read one alone.
        read = [place for place in places if changes(place)] if len(places) > 1 else []
    return reads, others[0, :, read or places, 0].cpu().numpy()


def read_layer(network: Network, layer: str, batch: Input) -> tuple[Maps, Float[Tensor, "image classes"]]:
    """The maps of a layer's units, and the logits.

    Raises `UsageError` for an unknown layer or one that gives the classes themselves, `NetworkError` where
    the network fails or gives no logits.
    """
    with tap(network, [layer]) as read:
        maps = read_units(read(batch)[layer], network.layout(batch), layer)
    return maps, check_hidden(network, layer, batch)


def fix_size(network: Network, image: Picture) -> Network:
    """The network with its input size stated: that of the image where it takes any."""
    if network.preprocessing.size is not None:
        return network
    height, width = image.shape[:2]
    return replace(network, preprocessing=replace(network.preprocessing, size=(height, width)))


def feed_image(network: Network, image: Picture, number: int = 0) -> Input:
    """A batch of one image, number `number` of its source, as the network reads it, on its device."""
    size = network.preprocessing.size or image.shape[:2]
    return network.feed(np.stack([Frame(size, size).fit_image(image)]), number, network.device)


def find_last_layer(network: Network) -> str:
    """The last layer whose maps have more than one cell, among the outermost modules that have such.

    Raises `UsageError` where there is none.

    >>> from torch import nn
    >>> find_last_layer(Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())))
    '1'
    """
    listed = [row for row in list_layers(network) if row.whole]
    rows = [row for row in listed if row.shape is not None and row.shape[1] * row.shape[2] > 1]
    if not rows:
        raise UsageError(f"no layer of {network.name} has maps of its units; name one with --layer")
    depth = min(row.name.count(".") for row in rows)
    return [row.name for row in rows if row.name.count(".") == depth][-1]


def soften(logits: Float64[np.ndarray, "*rows classes"]) -> Float64[np.ndarray, "*rows classes"]:
    """Probabilities of logits: their softmax.

    >>> soften(np.zeros(4)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def weigh_gradient(
    network: Network, layer: str, batch: Input, target: int
) -> tuple[float, Float64[np.ndarray, "unit"]]:
    """Of a batch of one image: a class's logit with all units removed, and gradient times activation of each.

    Raises `NetworkError` where no gradient reaches the layer.
    """
    leaves: list[Tensor] = []

    def branch(raw: Tensor, layout: Layout) -> Tensor:
        parts = read_units(raw, layout, layer), read_others(raw, layout, layer)
        leaves[:] = [part.detach().clone().requires_grad_() for part in parts]
        # A copy, since what follows may work in place, which a leaf does not allow.
        return write_units(raw, leaves[0], layout, layer, leaves[1]).clone()

    with evaluation(network):
        with torch.enable_grad(), hook_layer(network, layer, branch):
            logit = read_logits(network.run(batch))[0, target]
            slopes: Sequence[Tensor | None] = [None, None]
            if logit.requires_grad:
                slopes = torch.autograd.grad(logit, leaves, allow_unused=True)
        slope, others = slopes
        if slope is None:
            raise NetworkError(
                f"no gradient of the logits of {network.name} reaches {layer}; take another layer"
            )
        units = slope.shape[1]
        with edited(network, remove_units(layer, np.ones(units, bool))), torch.no_grad():
            rest = read_logits(network.run(batch))[0, target]
    contributions = (slope.double() * leaves[0].detach().double()).sum((0, 2, 3))
    if others is not None:
        contributions = contributions + (others.double() * leaves[1].detach().double()).sum((0, 2, 3))
    return float(rest), contributions.cpu().numpy()
