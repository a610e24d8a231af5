"""Units of a generator removed and inserted: how much of a concept goes and comes, and what else changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float32, UInt16
from torch import Tensor

from unitscope.concepts.segmented import SegmentedSource, Segmenter
from unitscope.concepts.vocabulary import find_named
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import LayerDissection
from unitscope.errors import UsageError
from unitscope.interventions.edits import Edit
from unitscope.interventions.insertion import (
    Cell,
    cell_region,
    choose_grid,
    draw_cells,
    find_context,
    find_pixels,
)
from unitscope.interventions.repainting import Areas, Repainted, repaint, stack_edits
from unitscope.interventions.unit_values import rank_by_iou
from unitscope.lab.studies.direction_bases import Basis, Subject, name_address
from unitscope.lab.studies.direction_edits import (
    INSERTION,
    REMOVAL,
    EditResult,
    Extent,
    Pick,
    Units,
    insert_alike,
    insert_unit,
    measure_units,
    pick_units,
    remove_unit,
)
from unitscope.lab.studies.direction_removal import BEST, RANDOM
from unitscope.networks.generators import GeneratedImages, Generator

ACROSS = 8
"""Places are cells of a grid so many across, or of the layer where these are fewer."""
_SIZED = 100
_EDITS = 4
"""Edits of a pick: the best unit removed, a random one; the best inserted, a random one."""


def edit_generator(
    subject: Subject,
    seed: int,
    bases: Sequence[Basis],
    segmenter: Segmenter,
    concepts: Sequence[str],
    extent: Extent,
) -> list[EditResult]:
    """The best unit of every concept, and random ones beside it, removed and inserted in a generator.

    Units are named by convention `pnas` on the first pictures and edited on the next. Raises what `dissect`
    and `repaint` raise, `UsageError` for a network that makes no pictures or a concept that no unit meets.
    """
    generator = subject.network
    if not isinstance(generator, Generator):
        raise UsageError(f"{generator.name} makes no images; name a generator, such as zoo:generator")
    source = SegmentedSource(GeneratedImages(generator, extent.named), segmenter)
    addresses = [name_address(subject.layer, basis.specs[0]) for basis in bases]
    run = dissect(generator, source, addresses, convention="pnas", confidences=Confidences(0, 1), ranks=1)
    numbers = range(extent.named, extent.named + extent.edited)
    rows = list[EditResult]()
    for basis, address in zip(bases, addresses, strict=True):
        sized = GeneratedImages(generator, min(_SIZED, extent.named))
        units = measure_units(subject, basis.specs[0], sized)
        picks = pick_units(_find_best(run[address], segmenter, concepts), units, extent.draws, seed)
        places = Places(choose_grid(run[address].map_size, ACROSS), seed)
        found = repaint_edits(generator, units, picks, segmenter, numbers, places)
        rows += _describe((subject.name, seed, basis.kind), picks, units, found)
    return rows


def _find_best(
    layer: LayerDissection, segmenter: Segmenter, concepts: Sequence[str]
) -> list[tuple[str, int, int, float]]:
    """Of every concept its name, its id, and the unit of the highest IoU with that."""
    found = []
    for concept in find_named(segmenter.vocabulary, list(concepts)):
        [unit] = rank_by_iou(layer, concept.id, 1)
        iou = float(layer.iou[unit, concept.id])
        if not iou:
            raise UsageError(f"no unit of {layer.layer} has to do with {concept.label!r}; name more pictures")
        found.append((concept.label, concept.id, unit, iou))
    return found


@dataclass(frozen=True)
class Places:
    """Where units are inserted: in a cell of a grid, drawn for every picture."""

    grid: tuple[int, int]
    seed: int

    def draw(self, number: int) -> Cell:
        """The place in a picture."""
        return draw_cells(self.grid, 1, number, self.seed)[0]


@dataclass(frozen=True, eq=False)
class Painted:
    """What came of all edits: areas of the removals, two a pick, and trials of insertions by pick and unit.

    A trial is the share of the place's pixels that became the concept, and the share of those outside that
    are named otherwise than before. Places where the concept was are left out.
    """

    areas: Areas
    trials: dict[tuple[int, str], list[tuple[float, float]]] = field(default_factory=dict)


def repaint_edits(
    generator: Generator,
    units: Units,
    picks: Sequence[Pick],
    segmenter: Segmenter,
    numbers: Sequence[int],
    places: Places,
) -> Painted:
    """Every picture with the edits of every pick; of the random units each picture has the next."""

    def plan(number: int, maps: Float32[Tensor, "1 unit cell_y cell_x"]) -> Edit:
        mask = torch.zeros(1, *places.grid)
        mask[0][places.draw(number)] = 1
        place, edits = cell_region(mask, (maps.shape[2], maps.shape[3]))[0], list[Edit]()
        for pick in picks:
            alike, other = (some[number % len(some)] for some in (pick.alike, pick.others))
            edits += [remove_unit(units, pick.unit), remove_unit(units, alike)]
            edits += [insert_unit(units, pick.unit, place)]
            edits += [insert_alike(units, pick.unit, other, place, maps)]
        return stack_edits(edits)

    found = Painted(Areas(2 * len(picks), segmenter.vocabulary.size))
    title = f"removing and inserting units of {units.address}"
    for image in repaint(generator, units.address, segmenter, plan, numbers, title=title):
        removals = [_EDITS * place + which for place in range(len(picks)) for which in (0, 1)]
        found.areas.add(Repainted(image.number, image.before, image.after[removals]))
        for place, pick in enumerate(picks):
            at = places.draw(image.number)
            if find_context(image.before, at, places.grid) == pick.concept_id:
                continue
            for which, name in ((2, BEST), (3, RANDOM)):
                after = image.after[_EDITS * place + which]
                trial = compare_place(image.before, after, pick.concept_id, at, places.grid)
                found.trials.setdefault((place, name), []).append(trial)
    return found


def compare_place(
    before: UInt16[np.ndarray, "plane y x"],
    after: UInt16[np.ndarray, "plane y x"],
    concept: int,
    place: Cell,
    grid: tuple[int, int],
) -> tuple[float, float]:
    """How much more of a place's pixels is the concept; how many outside are named otherwise, as a share.

    >>> before, after = np.zeros((2, 1, 8, 8), np.uint16)
    >>> after[0, 0, 0], after[0, 7] = 5, 6
    >>> compare_place(before, after, 5, (0, 0), (8, 8))
    (1.0, 0.12698412698412698)
    """
    inside = find_pixels(place, grid, before.shape[1:])
    was, now = ((planes == concept).any(0)[inside].mean() for planes in (before, after))
    outside = np.ones(before.shape[1:], bool)
    outside[inside] = False
    return float(now - was), float((before[0] != after[0])[outside].mean())


def _describe(
    about: tuple[str, int, str], picks: Sequence[Pick], units: Units, found: Painted
) -> list[EditResult]:
    rows = list[EditResult]()
    for place, pick in enumerate(picks):
        for which, chosen in enumerate((BEST, RANDOM)):
            best = chosen == BEST
            head = (*about, pick.concept)
            tail = (chosen, pick.unit if best else -1, pick.iou if best else float("nan"))
            alike = [pick.unit] if best else list(pick.alike)
            gone = found.areas.removed(2 * place + which, pick.concept_id).value
            aside = found.areas.aside(2 * place + which, pick.concept_id)
            rows.append(EditResult(*head, REMOVAL, *tail, float(units.sizes[alike].mean()), gone, aside))
            trials = np.array(found.trials.get((place, chosen), [(np.nan, np.nan)]))
            came, outside = trials.mean(0).tolist()
            rows.append(EditResult(*head, INSERTION, *tail, float(units.heights[pick.unit]), came, outside))
    return rows
