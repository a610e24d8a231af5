"""Whether a random network shuffles its tokens before a layer, which mixing hides in that layer itself."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn

from unitscope.networks.addresses import Address, check_kind
from unitscope.networks.network import Input, Network
from unitscope.networks.randomness import draw_maps, seeded
from unitscope.networks.trace import evaluation, tap
from unitscope.networks.unit_maps import read_units

_LOOKED_AT = 16


class Shuffles:
    """The first layers of each number of tokens that answer at random places, for images of one batch.

    `moves` says of the maps of a layer, once for each draw of random numbers, whether they do.
    """

    def __init__(self, network: Network, batch: Input, moves: Callable[[Sequence[Tensor]], bool]) -> None:
        self._network, self._batch, self._moves = network, batch, moves
        self._order: list[tuple[str, int]] | None = None
        self._first: dict[int, str | None] = {}

    def find_before(self, layer: str, tokens: int) -> str | None:
        """The first layer with so many tokens whose places are random, if it runs before `layer`."""
        if tokens not in self._first:
            self._first[tokens] = self._find_first(tokens)
        first = self._first[tokens]
        names = [name for name, _ in self._run_order()]
        module = Address.parse(layer, dict(self._network.module.named_modules())).module
        before = names[: names.index(module)] if module in names else names
        return first if first in before else None

    def _find_first(self, tokens: int) -> str | None:
        """Among the first ones: patches are shuffled or left out where they enter."""
        names = [name for name, count in self._run_order() if count == tokens][:_LOOKED_AT]
        if not names:
            return None
        layout = self._network.layout(self._batch)
        with tap(self._network, names, steady=False) as read:
            draws = draw_maps(self._network, read, self._batch)
        for name in names:
            if self._moves([read_units(raw, layout, name) for raw in draws[name]]):
                return name
        return None

    def _run_order(self) -> list[tuple[str, int]]:
        """The modules that run once, as they end, with their number of tokens; 0 without tokens."""
        if self._order is not None:
            return self._order
        module, ended = self._network.module, list[tuple[str, int]]()
        check_kind(module, self._network.name)

        def note(name: str, _part: nn.Module, _args: object, output: object) -> None:
            ended.append((name, output.shape[1] if isinstance(output, Tensor) and output.ndim == 3 else 0))

        with evaluation(module), seeded(module, 0), torch.no_grad(), ExitStack() as hooks:
            for name, part in module.named_modules():
                if name and not isinstance(part, torch.jit.ScriptModule):
                    hooks.callback(part.register_forward_hook(partial(note, name)).remove)
            self._network.run(self._batch[:1])
        names = [name for name, _ in ended]
        self._order = [one for one in ended if names.count(one[0]) == 1]
        return self._order
