"""Units switched off or up in a picture, and what the network then says of it; beside them random ones."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from unitscope.errors import NetworkError, UsageError, check_seed
from unitscope.interventions.edits import Edit, edited
from unitscope.interventions.explanation import soften
from unitscope.interventions.linear_head import read_numbers
from unitscope.interventions.looking.lens import Lens
from unitscope.interventions.looking.slides import Slide
from unitscope.interventions.painting.strokes import Bitmap
from unitscope.interventions.replay import Replay, can_replay, replay
from unitscope.networks.network import number_images, numbers_of, spread
from unitscope.networks.randomness import is_random
from unitscope.networks.trace import evaluation

MOST_LEVEL = 2
Drawn = Mapping[str, Int64[np.ndarray, "set pair two"]]
"""By layer, for every random set, which unit stands for which of those that are switched."""


@dataclass(frozen=True)
class Switch:
    """Units of a layer that go towards a value: x <- (1 - strength) x + strength level h.

    h is the unit's highest activation in the images of the run, so level 0 is off and level 1 is up; 2 is the
    most. `place` says where, laid over the picture: everywhere, and in all tokens, if None.

    Raises `UsageError` for a level or strength out of range.
    """

    layer: str
    units: tuple[int, ...]
    level: int | float = 0.0
    strength: int | float = 1.0
    place: Bitmap | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.level <= MOST_LEVEL:
            raise UsageError(f"the level of a switch is {self.level:g}; wanted 0 to {MOST_LEVEL}")
        if not 0 <= self.strength <= 1:
            raise UsageError(f"the strength of a switch is {self.strength:g}; wanted 0 to 1")


@dataclass(frozen=True, eq=False)
class Turned:
    """What the network says of a picture before and after switches; made by `turn`.

    `control` has a row a random set: as many other units of the same layers, done to in the same way, each to
    its own height. `units` were switched over all layers, `control_units` in a random set, fewer where a
    layer has not so many others. `start` is the layer from which on the network ran again, None where all
    of it did.
    """

    before: Float64[np.ndarray, "classes"]
    after: Float64[np.ndarray, "classes"]
    control: Float64[np.ndarray, "set classes"]
    units: int
    control_units: int
    start: str | None

    @property
    def probabilities(self) -> Float64[np.ndarray, "two classes"]:
        """The softmax of the logits before and after."""
        return soften(np.stack([self.before, self.after]))

    @property
    def control_probabilities(self) -> Float64[np.ndarray, "set classes"]:
        """The softmax of the logits of every random set."""
        return soften(self.control) if len(self.control) else self.control


def switch_concept(
    lens: Lens,
    concept: int,
    layer: str | None = None,
    *,
    level: int | float = 0.0,
    strength: int | float = 1.0,
    place: Bitmap | None = None,
) -> list[Switch]:
    """Switches of all units that detect a concept, in one layer or all.

    Raises `UsageError` where no unit does.
    """
    chosen = lens.pick(concept, layer)
    return [Switch(name, units, level, strength, place) for name, units in chosen.items()]


def turn(
    lens: Lens,
    slide: Slide,
    switches: Sequence[Switch],
    *,
    draws: int = 1,
    seed: int = 0,
    start: Replay | None = None,
) -> Turned:
    """What the network says with some units switched, and with `draws` random sets of as many others.

    Switches are done one after the other. Where the first layer among them is what a module gives, the
    network runs again from there on: `start` is `begin_replay` of that layer (`find_start`) and picture,
    which saves all that comes before. Raises `UsageError` for a unit or layer that there is not, a place in a
    layer without places, or fewer draws than 0.
    """
    check_seed(seed)
    if draws < 0:
        raise UsageError(f"draws is {draws}; wanted 0 or more")
    chosen = gather_units(lens, switches)
    drawn = draw_others(lens, chosen, draws, seed)
    edits = [
        merge_switches(lens, layer, switches, drawn[layer]) for layer in lens.layers if chosen.get(layer)
    ]
    layer = find_start(lens, switches)
    if start is not None and start.layer != layer:
        raise UsageError(f"the replay starts at {start.layer}; the first layer switched is {layer}")
    if not edits:
        found, layer = np.repeat(slide.logits[None], 1 + draws, 0), None
    elif layer is None:
        found = run_whole(lens, slide, edits, 1 + draws)
    else:
        found = _run_rest(lens, start or begin_replay(lens, slide, layer), edits)
    counts = sum(map(len, chosen.values())), sum(each.shape[1] for each in drawn.values())
    return Turned(slide.logits, found[0], found[1:], *counts, layer)


def gather_units(lens: Lens, switches: Sequence[Switch]) -> dict[str, list[int]]:
    """By layer all units that are switched, by number. Raises `UsageError` for one that there is not."""
    chosen: dict[str, set[int]] = {}
    for one in switches:
        most = len(lens.find(one.layer)) - 1
        if wrong := [unit for unit in one.units if not 0 <= unit <= most]:
            raise UsageError(f"layer {one.layer} has units 0 to {most}, not {wrong[0]}")
        if one.place is not None and lens.grids[one.layer].map_size == (1, 1):
            raise UsageError(f"layer {one.layer} has no places; switch its units everywhere")
        chosen.setdefault(one.layer, set()).update(one.units)
    return {layer: sorted(units) for layer, units in chosen.items()}


def draw_others(
    lens: Lens, chosen: Mapping[str, Sequence[int]], draws: int, seed: int
) -> dict[str, Int64[np.ndarray, "set pair two"]]:
    """Random other units of the same layers for those chosen, at most one each: pairs (unit, other)."""
    found = {}
    for place, layer in enumerate(lens.layers):
        if layer not in chosen:
            continue
        units = np.array(chosen[layer], np.int64)
        others = np.setdiff1d(np.arange(len(lens.find(layer))), units)
        count = min(len(units), len(others))
        pairs = np.zeros((draws, count, 2), np.int64)
        for draw in range(draws):
            rng = np.random.default_rng([seed, place, draw])
            pairs[draw, :, 0] = np.sort(rng.choice(units, count, replace=False))
            pairs[draw, :, 1] = rng.choice(others, count, replace=False)
        found[layer] = pairs
    return found


def merge_switches(
    lens: Lens, layer: str, switches: Sequence[Switch], drawn: Int64[np.ndarray, "set pair two"]
) -> Edit:
    """The switches of a layer, one after the other, as one edit of versions: theirs, and the random sets'."""
    merged: Edit | None = None
    for one in switches:
        if one.layer != layer:
            continue
        edit = _edit(lens, one, drawn)
        merged = edit if merged is None else merged.then(edit)
    assert merged is not None
    return merged


def _edit(lens: Lens, one: Switch, drawn: Int64[np.ndarray, "set pair two"]) -> Edit:
    count = len(lens.find(one.layer))
    strengths = np.zeros((1 + len(drawn), count), np.float32)
    strengths[0, list(one.units)] = one.strength
    for draw, pairs in enumerate(drawn, 1):
        among = np.isin(pairs[:, 0], one.units)
        strengths[draw, pairs[among, 1]] = one.strength
    strength = torch.from_numpy(strengths)[:, :, None, None]
    if one.place is not None:
        cells = lens.run[one.layer].map_size
        strength = strength * one.place.pool((int(cells[0]), int(cells[1])))
    value = (lens.levels[one.layer] * one.level)[None, :, None, None]
    return Edit(one.layer, strength, value, "all" if one.place is None else "patches")


def find_start(lens: Lens, switches: Sequence[Switch]) -> str | None:
    """The layer from which on the network can run again: the first one switched; None where all must run."""
    switched = {one.layer for one in switches if one.units}
    first = next((layer for layer in lens.layers if layer in switched), None)
    if first is None or is_random(lens.network) or not can_replay(lens.network, first):
        return None
    return first


def begin_replay(lens: Lens, slide: Slide, layer: str) -> Replay:
    """The network split at a layer for one picture, to be run again from there on many times.

    It keeps what came before, and nothing of it stays on the network. Raises what `replay` raises.
    """
    with replay(lens.network, layer) as rest:
        rest.start(slide.batch)
    return rest


def weigh_replay(rest: Replay) -> int:
    """How many bytes a replay keeps."""
    kept = [*rest.given.values(), rest.before, rest.raw, rest.taken, rest.cells, rest.latents]
    return sum(part.nbytes for part in _list_tensors(kept))


def _list_tensors(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return _list_tensors(list(value.values()))
    return [one for part in value for one in _list_tensors(part)] if isinstance(value, list | tuple) else []


def _run_rest(lens: Lens, rest: Replay, edits: Sequence[Edit]) -> Float64[np.ndarray, "version classes"]:
    first, *later = edits
    with evaluation(lens.network), torch.no_grad():
        versions = len(first.strength)
        maps = first.apply(rest.maps.expand(versions, -1, -1, -1))
        others = first.apply_others(rest.others.expand(versions, -1, -1, -1), rest.layout.classes)
        with edited(lens.network, *later):
            return read_numbers(rest.finish(maps, others if others.shape[2] else None))


def run_whole(
    lens: Lens, slide: Slide, edits: Sequence[Edit], versions: int
) -> Float64[np.ndarray, "version classes"]:
    """The logits of a picture with every version of some edits, each by a pass of the whole network.

    Raises `NetworkError` where it gives no logits for each.
    """
    batch = tuple(part.expand(versions, *part.shape[1:]) for part in spread(slide.batch))
    many = batch if isinstance(slide.batch, tuple) else batch[0]
    with evaluation(lens.network), torch.no_grad(), ExitStack() as hooks:
        hooks.enter_context(edited(lens.network, *edits))
        output = lens.network.run(number_images(many, numbers_of(slide.batch) * versions))
    found = read_numbers(output)
    if len(found) != versions:
        raise NetworkError(f"{lens.network.name} gives {len(found)} outputs for {versions} images")
    return found
