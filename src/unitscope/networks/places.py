"""Whether the cells of a layer's map look where they are drawn: found out by changing places of an input.

Three images are passed: one of random blocks, and two in each of which three other places have new content.
With R the change of a cell, each unit in its own scale, averaged over units and divided by its mean over
cells, d = (R1 - R2) / 2 is compared with the places that were changed, +1 in the one image and -1 in the
other. What both images move alike is left out by that, so that mixing does not hide a place.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor, nn

from unitscope.axes import Pictures
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.addresses import Address, Site, find_addresses
from unitscope.networks.channel_order import fits, turn_channels
from unitscope.networks.listing import LayerShape
from unitscope.networks.network import Network, as_network
from unitscope.networks.randomness import (
    check_steady,
    differ,
    draw_maps,
    find_unsteady,
    is_random,
    note_randomness,
    seeded,
    watch,
)
from unitscope.networks.receptive_fields import Field, Windows, following, take_fields
from unitscope.networks.shuffles import Shuffles
from unitscope.networks.structures import pick
from unitscope.networks.tokens import Layout, Size
from unitscope.networks.trace import evaluation, list_layers, tap
from unitscope.networks.unit_maps import check_batch, read_units

Where = Literal["in place", "mixed", "elsewhere", "whole", "silent"]

PARTS = 7
"""The input is cut into 7 x 7 parts, some of which are changed."""
CHANGED = (((0, 2), (4, 5), (6, 0)), ((1, 0), (5, 2), (2, 4)))
"""The parts that change in the first image, and in the second: other ones when turned or mirrored."""

AGREES = 0.35
"""The agreement from which a layer is taken to be in place."""
_AGREES_WITH_MISSES = 0.45
_SHARP = 0.9
_AGREES_WHERE_SHARP = 0.68
_DIFFERS = 0.25
_ALIKE = 0.01
_ALIKE_WHERE_FEW = 0.1
_NEGLIGIBLE = 0.03
_APART = 0.2
_NEARLY_NONE = 0.15
_FEW_CELLS = 36
_DIFFERS_WHERE_FEW = 0.75
_TOO_FEW_CELLS = 16
_BLURS = (0.07, 0.14, 0.25)
_SILENT = 1e-5
_KEPT = 0.47
_TOGETHER = 16


_IF_SHUFFLED = (
    "where patches are shuffled or left out at random, as by a masked autoencoder, give a module whose "
    "forward pass does not mask (a wrapper around its encoder), or name a layer before the shuffle"
)


@dataclass(frozen=True)
class Place:
    """Where a layer answers to changes at a few places of the input.

    `where` is "in place"; "mixed", where it answers everywhere alike; "elsewhere", where it answers at places
    that are not those changed; "whole" for maps of one cell; "silent" where it does not answer. `agreement`
    is the correlation of the answers with the places changed, `away` the share of the answers that lies more
    than a cell away from them.
    """

    where: Where
    agreement: float = 0.0
    away: float = 0.0

    @classmethod
    def parse(cls, record: Mapping[str, Any] | None) -> "Place | None":
        """What `run.json` holds of a layer, if it does. Raises `LookupError`, `TypeError` or `ValueError`."""
        if record is None:
            return None
        if record["where"] not in get_args(Where):
            raise ValueError(f"a layer cannot be {record['where']!r}")
        return cls(record["where"], float(record["agreement"]), float(record["away"]))


def draw_changes(size: Size, bands: int = 3) -> UInt8[np.ndarray, "three y x {bands}"]:
    """One image of random blocks, and two that differ from it in the parts `CHANGED`; always the same.

    >>> images = draw_changes((70, 140))
    >>> [round(float((image != images[0]).any(-1).mean()), 2) for image in images]
    [0.0, 0.06, 0.06]
    """
    height, width = size
    random = np.random.default_rng(0)

    def draw() -> np.ndarray:
        blocks = random.integers(0, 256, (PARTS, PARTS, bands))
        rows, columns = np.arange(height) * PARTS // height, np.arange(width) * PARTS // width
        noise = random.integers(0, 256, (height, width, bands))
        return np.asarray((3 * blocks[rows][:, columns] + noise) // 4, np.uint8)

    base, other = draw(), draw()
    images = np.stack([base, base, base])
    for image, parts in zip(images[1:], CHANGED, strict=True):
        for part in parts:
            rows, columns = (_span(number, side) for number, side in zip(part, size, strict=True))
            image[rows, columns] = other[rows, columns]
    return images


def draw_inputs(network: Network, size: Size) -> Pictures:
    """The images of `draw_changes` as the network's pictures: of named bands in the scale that it expects."""
    prepared = network.preprocessing
    images = draw_changes(size, max(prepared.places) + 1)
    if isinstance(prepared.channels, str):
        return images
    deviations = images.astype(np.float32) / 64 - 2
    for place, mean, std in zip(prepared.places, prepared.mean, prepared.std, strict=True):
        deviations[..., place] = mean + std * deviations[..., place]
    return deviations


def _span(number: int, side: int) -> slice:
    start = number * side // PARTS
    return slice(start, max((number + 1) * side // PARTS, start + 1))


def locate(maps: Float32[Tensor, "three unit cell_y cell_x"], fitting: bool = True) -> Place:
    """Where a layer's maps of `draw_changes` answer. `fitting` says that their grid may be the input's.

    >>> images = torch.from_numpy(draw_changes((70, 140))).permute(0, 3, 1, 2).float()
    >>> locate(nn.functional.avg_pool2d(images, 10)).where
    'in place'
    >>> locate(nn.functional.avg_pool2d(images, 10).transpose(2, 3).reshape(3, 3, 7, 14)).where
    'elsewhere'
    """
    rows, columns = maps.shape[2:]
    if rows * columns == 1:
        return Place("whole")
    answers = _measure(maps)
    if answers is None:
        return Place("silent")
    difference = (answers[0] - answers[1]) / 2
    agreement, hits = _compare(difference)
    near = _near(rows, columns)
    away = float(
        np.mean([(one * ~close).sum() / one.sum() for one, close in zip(answers, near, strict=True)])
    )
    figures = round(agreement, 3), round(away, 3)
    strength, few = float(np.abs(difference).mean()), rows * columns < _FEW_CELLS
    apart = float(np.mean([~close for close in near]))
    if apart >= _APART and away <= _NEARLY_NONE * apart and agreement > 0:
        return Place("in place", *figures)
    # Where the two images are answered by different cells, nothing is mixed that could blur the places.
    wanted = _AGREES_WHERE_SHARP if (strength > _SHARP and not few) or not fitting else AGREES
    if agreement >= wanted and strength > (_ALIKE_WHERE_FEW if few else _ALIKE):
        sure = (
            rows * columns < _TOO_FEW_CELLS or hits >= 5 or (hits == 4 and agreement >= _AGREES_WITH_MISSES)
        )
        sure = sure and (fitting or hits == 2 * len(CHANGED[0]))
        return Place("in place" if sure else "mixed" if fitting else "elsewhere", *figures)
    # A map of very few cells can be the chance of one network's weights.
    telling = rows * columns >= _TOO_FEW_CELLS and strength > (_DIFFERS_WHERE_FEW if few else _DIFFERS)
    if telling or not fitting:
        return Place("elsewhere", *figures)
    return Place("mixed", *figures)


def _measure(
    maps: Float32[Tensor, "three unit cell_y cell_x"],
) -> Float64[np.ndarray, "two cell_y cell_x"] | None:
    """How strongly each cell answers to the two changes, on the average 1; None where one is not answered."""
    changes = (maps[1:] - maps[:1]).abs()
    largest = float(maps[0].abs().max())
    if not (0 < float(changes.max()) < float("inf")) or float(changes.max()) <= _SILENT * largest:
        return None
    scales = changes.mean((0, 2, 3))
    weights = torch.where(scales > 1e-3 * scales.max(), 1 / scales.clamp_min(1e-30), torch.zeros_like(scales))
    answers: Any = torch.einsum("iuyx,u->iyx", changes, weights).double().cpu().numpy()
    means = answers.mean((1, 2), keepdims=True)
    if means.min() <= 0:
        return None  # one of the images changes nothing
    found: Float64[np.ndarray, "two cell_y cell_x"] = answers / means
    return found


def _compare(difference: Float64[np.ndarray, "cell_y cell_x"]) -> tuple[float, int]:
    """The largest correlation with the changed places at several widths; how many have the right sign."""
    rows, columns = difference.shape
    weights, blurred = _templates(rows, columns)
    signs = (1, -1)
    sums = [
        sign * float((one * difference).sum())
        for sign, group in zip(signs, weights, strict=True)
        for one in group
    ]
    # A place that nothing answers to, as behind a ReLU, tells nothing.
    hits = sum(one > -_NEGLIGIBLE * max(map(abs, sums)) for one in sums)
    centered = difference - difference.mean()
    length = float(np.sqrt((centered**2).sum()))
    if length <= 1e-9:
        return 0.0, hits
    return max(float((centered * one).sum()) / length for one in blurred), hits


@cache
def _templates(rows: int, columns: int) -> tuple[tuple[tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]]:
    """Of each changed part what share of each cell it takes; and all parts, blurred, of length 1."""
    first, second = (
        tuple(np.outer(_cover(rows, y), _cover(columns, x)) for y, x in group) for group in CHANGED
    )
    blurred = [sum(first) - sum(second)]
    for width in _BLURS:
        sides = [np.hypot(width, 0.5 / count) for count in (rows, columns)]
        places = [(np.arange(count) + 0.5) / count for count in (rows, columns)]
        total = np.zeros((rows, columns))
        for sign, group in zip((1, -1), CHANGED, strict=True):
            for part in group:
                hills = [
                    np.exp(-0.5 * ((place - (number + 0.5) / PARTS) / side) ** 2)
                    for place, number, side in zip(places, part, sides, strict=True)
                ]
                total += sign * np.outer(*hills)
        blurred.append(total)
    centered = [np.asarray(one - np.mean(one)) for one in blurred]
    return (first, second), tuple(one / max(float(np.sqrt((one**2).sum())), 1e-12) for one in centered)


def _cover(cells: int, number: int) -> Float64[np.ndarray, "cell"]:
    """Which share of each cell of an axis lies in a part."""
    edges = np.arange(cells + 1) / cells
    low, high = number / PARTS, (number + 1) / PARTS
    share: Float64[np.ndarray, "cell"] = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    return share.clip(0) * cells


@cache
def _near(rows: int, columns: int) -> tuple[Any, Any]:
    """The cells that the changes of either image reach, or that stand next to such."""
    found = []
    for group in CHANGED:
        near = np.zeros((rows, columns), bool)
        for part in group:
            reached = [
                np.convolve(_cover(count, number) > 0, [1, 1, 1])[1:-1] > 0
                for count, number in zip((rows, columns), part, strict=True)
            ]
            near |= np.outer(*reached)
        found.append(near)
    return found[0], found[1]


def is_fitting(raw: Tensor, layout: Layout, windows: Windows, layer: str = "") -> bool:
    """Whether the grid of a layer may be that of the input, by its proportions or its patches.

    `raw` has its channels first. Where the patches are known, only their grid fits, halved and doubled; else
    only sizes that convolutions and pools of the network have led to (`windows`), halved.
    """
    if raw.ndim == 3:
        return layout.place(raw.shape[1], layer).known or not layout.patches
    if raw.ndim != 4:
        return True
    size = raw.shape[2], raw.shape[3]
    if layout.patches:
        return size in layout.grids
    reached = [
        (-(-rows // power), -(-columns // power)) for power in (1, 2, 4, 8) for rows, columns in windows
    ]
    return fits(*size, layout.size) and (size in reached or len(windows) < 2)


def _follow(maps: Sequence[Float32[Tensor, "three unit cell_y cell_x"]]) -> tuple[float, float]:
    """How strongly a layer tells two changes apart, and what is kept of that on the average of all draws."""
    found = [one for one in map(_measure, maps) if one is not None]
    both = _measure(torch.cat(list(maps), 1))
    if both is None or len(found) < 2 or both[0].size == 1:
        return 0.0, 1.0
    apart = [(one[0] - one[1]) / 2 for one in found]
    strength = float(np.mean([np.abs(one).mean() for one in apart]))
    length = float(np.mean([np.linalg.norm(one) for one in apart]))
    return strength, float(np.linalg.norm(np.mean(apart, 0))) / max(length, 1e-30)


def _are_moving(maps: Sequence[Float32[Tensor, "three unit cell_y cell_x"]]) -> bool:
    """Whether a layer answers to the same changes at other places with other random numbers."""
    strength, kept = _follow(maps)
    # Of n vectors at random the mean has 1 / sqrt(n) of their length, of equal ones all of it.
    return strength > _DIFFERS and kept < _KEPT


def list_places(network: Network | nn.Module, size: Size | None = None) -> list[LayerShape]:
    """`list_layers`, with the `place` of every layer that can be read.

    One forward pass more, over three images. A generator's layers have none: a latent has no places. Raises
    what `list_layers` raises.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    >>> [layer.place for layer in list_places(net, (14, 14))]
    ['in place', 'in place', 'whole']
    """
    network = as_network(network)
    rows = list_layers(network, size)
    blank = network.blank(size)
    if isinstance(blank, tuple):
        return rows
    size = blank.shape[2], blank.shape[3]
    if is_random(network):
        where = _find_places(network, [row.name for row in rows if row.shape], size)
        return [replace(row, place=where.get(row.name, "")) for row in rows]
    batch = network.feed(draw_inputs(network, size), 0, network.device)
    placed: dict[str, str] = {}
    calls: Counter[Address] = Counter()
    layout = network.layout(batch)
    found = find_addresses(network, [row.name for row in rows if row.shape])

    def note(site: Site, whole: object) -> None:
        calls[site.address] += 1
        for text, address in found.asked.items():
            if address.site != site.address or (address.call or 1) != calls[site.address]:
                continue
            # Three images may show that a first axis is not the batch.
            with suppress(NetworkError, UsageError):
                value = pick(whole, address.steps)
                if not isinstance(value, Tensor):
                    continue
                check_batch(value, len(CHANGED) + 1, text)
                raw = turn_channels(value, site.part, network.module, layout.size, text)
                place = locate(read_units(raw, layout, text), is_fitting(raw, layout, windows, text))
                placed[text] = place.where

    with evaluation(network.module), torch.no_grad(), ExitStack() as hooks:
        windows = hooks.enter_context(following(network, batch))
        for site in found.sites.values():
            hooks.callback(site.hook(partial(note, site)))
        network.run(batch)
    return [replace(row, place=placed.get(row.name, "")) for row in rows]


def _find_places(network: Network, layers: Sequence[str], size: Size) -> dict[str, str]:
    """Where layers of a random network answer: of some at a time, since maps of many images are held."""
    found: dict[str, str] = {}
    batch = network.feed(draw_inputs(network, size), 0, network.device)
    shuffles = Shuffles(network, batch, _are_moving)
    for start in range(0, len(layers), _TOGETHER):
        *_, places, _, wrong = _probe(network, layers[start : start + _TOGETHER], size, shuffles)
        found |= {layer: place.where for layer, place in places.items()} | dict.fromkeys(wrong, "elsewhere")
    return found


def probe_layers(
    network: Network, layers: Sequence[str], size: Size
) -> tuple[dict[str, Tensor], dict[str, Field], dict[str, Place], bool]:
    """What layers give for one image, their fields, where they answer to changes of it, and if at random.

    Forward passes over one image (height, width) of random blocks, then over it and two with changes, up to
    the last layer; more where random numbers are drawn. A generator is read with its first latent, and its
    layers have no places. Raises what `tap` raises, `NetworkError` where two passes of the same image differ
    without random numbers that could be set, or where places are random.
    """
    outputs, fields, places, drawn, wrong = _probe(network, layers, size)
    for error in wrong.values():
        raise error
    return outputs, fields, places, drawn


def _probe(
    network: Network, layers: Sequence[str], size: Size, shuffles: Shuffles | None = None
) -> tuple[dict[str, Tensor], dict[str, Field], dict[str, Place], bool, dict[str, NetworkError]]:
    """What `probe_layers` finds, and what it says of layers whose places are random."""
    blank, module = network.blank(size), network.module
    batch = blank if isinstance(blank, tuple) else network.feed(draw_inputs(network, size), 0, network.device)
    first = batch if isinstance(batch, tuple) else batch[:1]
    with tap(network, layers, steady=False) as read:
        with following(network, first) as windows, watch(module) as drawn:
            outputs = read(first)
        note_randomness(module, drawn[0])
        # The first image again, with other random numbers: what draws past all known sources is seen too.
        with seeded(module, 1), watch(module) as drawn:
            whole = read(batch)
        random = drawn[0]
        if not random and (random is None or find_unsteady(outputs, whole)):
            with seeded(module, 1):
                again = read(first)  # in a batch of the same size, where libraries round alike
            random = random is None and differ(outputs, again)
            if not random:
                check_steady(network.name, outputs, again)
        fields = take_fields(network, first, outputs, windows)
        draws = {layer: [maps] for layer, maps in whole.items()}
        if random:
            draws = draw_maps(network, read, batch)
            outputs = {layer: maps[0][:1] for layer, maps in draws.items()}
    places: dict[str, Place] = {}
    wrong: dict[str, NetworkError] = {}
    layout = network.layout(size)
    shuffles = shuffles or Shuffles(network, batch, _are_moving)
    for layer, raws in draws.items() if isinstance(batch, Tensor) else ():
        fitting = is_fitting(raws[0], layout, windows, layer)
        try:
            places[layer] = _place_draws(network.name, layer, raws, layout, fitting)
            if random and raws[0].ndim == 3 and places[layer].where in ("in place", "mixed"):
                _check_order(network.name, layer, raws, layout, shuffles)
        except NetworkError as error:
            wrong[layer] = error
    return outputs, fields, places, bool(random), wrong


def _place_draws(name: str, layer: str, raws: Sequence[Tensor], layout: Layout, fitting: bool) -> Place:
    """Where a layer answers, of what it gave for the three images, each time with other random numbers.

    Places that are the same each time add up. Raises `NetworkError` where they are random.
    """
    try:
        maps = [read_units(raw, layout, layer) for raw in raws]
    except NetworkError as error:
        if len(raws) == 1:
            raise
        seen = f"{name} draws random numbers in evaluation, and its map has no place: {error}"
        raise NetworkError(f"{seen}; {_IF_SHUFFLED}") from error
    if len(maps) > 1 and _are_moving(maps):
        raise NetworkError(
            f"layer {layer} of {name} has its places at random: with other random numbers it answers "
            f"to the same changes of an image at other cells; {_IF_SHUFFLED}"
        )
    return locate(torch.cat(maps, 1), fitting)


def _check_order(name: str, layer: str, raws: Sequence[Tensor], layout: Layout, shuffles: Shuffles) -> None:
    """Raises `NetworkError` where a layer mixes its tokens too much to tell, and they were shuffled."""
    strength, _ = _follow([read_units(raw, layout, layer) for raw in raws])
    earlier = shuffles.find_before(layer, raws[0].shape[1]) if strength <= _DIFFERS else None
    if earlier is not None:
        raise NetworkError(
            f"layer {layer} of {name} has its places at random: {earlier}, which runs before it, answers to "
            f"the same changes of an image at other cells with other random numbers; {_IF_SHUFFLED}"
        )
