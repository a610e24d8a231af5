"""The stages of a generator: the layers where maps of one size end, and where these are rectified."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.generators import Generator
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer, list_layers
from unitscope.networks.unit_maps import read_units

LOOKED_AT = 16
"""So many of the generator's own pictures show how far its units go."""
_RECTIFIERS = nn.ReLU | nn.ReLU6 | nn.LeakyReLU | nn.PReLU | nn.ELU | nn.GELU | nn.SiLU | nn.Mish


@dataclass(frozen=True, eq=False)
class Stage:
    """A layer after which maps grow, or the picture comes.

    `spread[unit]` is how far a unit goes: its standard deviation over all cells of some pictures. `before` is
    the place whose values are rectified and then are the layer's, the layer itself where there is none, and
    `spread_before` is how far those go. `rectified` says that no value of the layer is below 0.
    """

    layer: str
    shape: tuple[int, int, int]
    spread: Float32[Tensor, "unit"]
    rectified: bool
    before: str
    spread_before: Float32[Tensor, "unit"]


@dataclass(frozen=True, eq=False)
class _Seen:
    layer: str
    maps: Float32[Tensor, "image unit cell_y cell_x"]


@torch.no_grad()
def find_stages(generator: Generator, images: int = LOOKED_AT) -> tuple[Stage, ...]:
    """The stages in the order in which they run, the picture itself left out.

    Of every size of maps the last layer that ends so, and of these, where there is one, the last whose values
    are rectified. Raises `UsageError` for a generator without any layer that has maps.
    """
    names = [row.name for row in list_layers(generator) if row.whole and row.calls == 1 and row.shape]
    given: dict[str, list[Tensor]] = {}

    def note(layer: str, raw: Tensor, layout: Layout) -> Tensor:
        # A copy: what comes next may write into it.
        given.setdefault(layer, []).append(read_units(raw, layout, layer).clone())
        return raw

    with evaluation(generator), ExitStack() as hooks:
        for name in names:
            hooks.enter_context(hook_layer(generator, name, partial(note, name)))
        picture = generator.run(generator.inputs(0, images))
    if not (isinstance(picture, Tensor) and picture.ndim == 4 and picture.shape[:2] == (images, 3)):
        raise NetworkError(f"{generator.name} gave no pictures [image, 3, y, x]; wanted a generator of these")
    seen = [_Seen(layer, torch.cat(parts)) for layer, parts in given.items()]
    maps = [one for one in seen if one.maps.shape[2] > 1 and one.maps.shape[1:] != picture.shape[1:]]
    if not maps:
        raise UsageError(f"no layer of {generator.name} has maps, so no picture can be brought into it")
    by_size: dict[tuple[int, int], list[_Seen]] = {}
    for one in maps:
        by_size.setdefault((one.maps.shape[2], one.maps.shape[3]), []).append(one)
    return tuple(_describe(found, maps, generator) for found in by_size.values())


def choose_stage(stages: Sequence[Stage], height: int, layer: str | None = None) -> int:
    """The place of the stage of that layer; by default of the last whose cells are at least 2 pixels wide.

    There cells are small enough to hold a picture and to leave alone what is beside a stroke, and units still
    draw (in the zoo's generator `layer3`). Raises `UsageError` for a layer that ends no stage.

    >>> rows = [Stage(n, (8, c, c), torch.ones(8), True, n, torch.ones(8)) for n, c in (("a", 8), ("b", 16))]
    >>> choose_stage(rows, 32), choose_stage(rows, 16), choose_stage(rows, 32, "a")
    (1, 0, 0)
    """
    if layer is not None:
        names = [stage.layer for stage in stages]
        if layer not in names:
            raise UsageError(f"no picture can be brought into layer {layer}; it is one of {', '.join(names)}")
        return names.index(layer)
    small = [place for place, stage in enumerate(stages) if 2 * stage.shape[1] <= height]
    return small[-1] if small else 0


def _describe(found: Sequence[_Seen], seen: Sequence[_Seen], generator: Generator) -> Stage:
    """The stage that some layers of one size make."""
    rectified = [one for one in found if float(one.maps.min()) >= 0]
    last = rectified[-1] if rectified else found[-1]
    before = _find_before(last, seen, generator) if rectified else last.layer
    inner = next((one.maps for one in seen if one.layer == before), last.maps)
    count, rows, columns = last.maps.shape[1:]
    return Stage(
        last.layer,
        (count, rows, columns),
        _measure_spread(last.maps),
        bool(rectified),
        before,
        _measure_spread(inner),
    )


def _measure_spread(maps: Float32[Tensor, "image unit cell_y cell_x"]) -> Float32[Tensor, "unit"]:
    return maps.std((0, 2, 3))


def _find_before(stage: _Seen, seen: Sequence[_Seen], generator: Generator) -> str:
    """Where the values of a rectified layer are before that: its input, or what one of its parts gives."""
    modules = dict(generator.module.named_modules())
    if isinstance(modules[stage.layer], _RECTIFIERS):
        return f"{stage.layer}@in"
    for one in reversed([one for one in seen if one.layer.startswith(f"{stage.layer}.")]):
        if one.maps.shape == stage.maps.shape and torch.equal(one.maps.relu(), stage.maps):
            if isinstance(modules[one.layer], _RECTIFIERS):
                return f"{one.layer}@in"
            if float(one.maps.min()) < 0:
                return one.layer
    return stage.layer
