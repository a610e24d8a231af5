"""What the study of edits compares: the best unit of a concept, and random ones that move as much."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.activations import read_activations
from unitscope.experiments.fitting.asked import Training
from unitscope.interventions.edits import Edit, set_units
from unitscope.lab.studies.direction_bases import (
    NEURONS,
    TOPK,
    UNTRAINED,
    Basis,
    Effort,
    Subject,
    choose_firing,
    choose_sizes,
    fit_kept,
    name_address,
)
from unitscope.lab.studies.direction_removal import draw_alike, measure_reach, measure_sizes
from unitscope.lab.studies.records import keep_rows
from unitscope.lab.studies.rotation import count_units

REMOVAL, INSERTION = "removal", "insertion"
HIGHEST = 0.01
"""A unit is set to the mean of so large a share of its cells, of the highest."""


@dataclass(frozen=True)
class Extent:
    """How much is spent: autoencoders are fitted to `fitted` pictures by `effort`, of its small size.

    A generator's units are named on `named` pictures and edited on `edited` others. Beside the best unit of a
    concept `draws` random ones are edited.
    """

    effort: Effort = field(default_factory=lambda: Effort(training=Training(steps=500, batch_cells=1024)))
    fitted: int = 1000
    named: int = 256
    edited: int = 32
    draws: int = 2


QUICK_EXTENT = Extent(Effort(Training(10, 256), (1, 1)), 50, 32, 8, 2)


@dataclass(frozen=True)
class EditResult:
    """A unit removed or inserted for a concept: the `best` one by IoU, or `random` ones that move it as far.

    - `iou`: of the best unit, on the pictures that it was chosen on;
    - `moved`: how far a cell is moved, as a share of a cell's mean length: by a removal on average, by an
      insertion where the unit was off;
    - `effect`: what the concept loses by a removal, or gains by an insertion;
    - `others`: what else changes;
    - `margin`: of a class, the same in logits above the next class; else NaN.

    Of a classifier `effect` is probability of the class, in its pictures for a removal and in all others for
    an insertion; `others` is the probability that moves in pictures of other classes for a removal, and that
    moves between other classes for an insertion. Of a generator `effect` is the share of the concept's pixels
    that are gone, or the share of the place's pixels that have become it; `others` is the share of all other
    pixels, or of those outside the place, that are named otherwise than before.
    """

    subject: str
    seed: int
    kind: str
    concept: str
    edit: str
    chosen: str
    unit: int
    iou: float
    moved: float
    effect: float
    others: float
    margin: float = float("nan")


@dataclass(frozen=True, eq=False)
class Units:
    """What is known of all units of a layer at an address, in the layer's directions or of itself.

    `sizes` is how far their removal moves a cell (`measure_sizes`), `levels` the mean of their highest cells,
    `heights` how far these are from 0, as a share of a cell's mean length, `reach` how far 1 is.
    """

    address: str
    sizes: Float64[np.ndarray, "unit"]
    levels: Float64[np.ndarray, "unit"]
    heights: Float64[np.ndarray, "unit"]
    reach: Float64[np.ndarray, "unit"]


@dataclass(frozen=True)
class Pick:
    """The best unit of a concept, and random ones: `alike` for removals, `others` for insertions."""

    concept: str
    concept_id: int
    unit: int
    iou: float
    alike: tuple[int, ...]
    others: tuple[int, ...]


def make_edit_bases(
    subject: Subject, images: ConceptSource, seed: int, extent: Extent, folder: Path
) -> list[Basis]:
    """The layer's units, an autoencoder that was never trained, and one fitted to the images or kept there.

    Raises what `fit_directions` raises.
    """
    units = count_units(subject.network, subject.layer)
    latents, k = choose_sizes(units, extent.effort.factors)["small"], choose_firing(units)
    file = fit_kept(subject, images, "topk-sae", latents, seed, extent.effort, folder)
    return [
        Basis(NEURONS, "layer", units),
        Basis(UNTRAINED, "small", latents, (f"random-sae:{latents}:{k}:{seed}",)),
        Basis(TOPK, "small", latents, (str(file),)),
    ]


def measure_units(subject: Subject, spec: str, images: ConceptSource) -> Units:
    """How far units of the layer in some directions go, over some images. Raises as `read_activations`."""
    address, plain = name_address(subject.layer, spec), subject.layer
    found = read_activations(subject.network, images, list(dict.fromkeys((plain, address))))
    cells, length, count = list[np.ndarray](), 0.0, 0
    for part in found:
        cells.append(np.moveaxis(part[address], 1, 0).reshape(part[address].shape[1], -1))
        lengths = np.linalg.norm(part[plain].astype(np.float64), axis=1)
        length, count = length + float(lengths.sum()), count + lengths.size
    levels = average_highest(np.concatenate(cells, axis=1))
    reach = measure_reach(spec, found.shapes[plain][1]) if spec else np.ones(len(levels))
    heights = levels * reach / (length / count or 1.0)
    return Units(address, measure_sizes(subject, spec, images), levels, heights, reach)


def average_highest(cells: np.ndarray) -> Float64[np.ndarray, "unit"]:
    """The mean of the highest cells of each row, a share `HIGHEST` of all, of those above 0; 0 without any.

    >>> average_highest(np.array([[0.0] * 198 + [1.0, 3.0], [0.0] * 199 + [2.0]])).tolist()
    [2.0, 2.0]
    """
    count = max(1, round(HIGHEST * cells.shape[1]))
    highest = np.partition(cells, -count, axis=1)[:, -count:].astype(np.float64)
    on = highest > 0
    return np.asarray((highest * on).sum(1) / np.maximum(on.sum(1), 1))


def pick_units(
    best: Sequence[tuple[str, int, int, float]], units: Units, draws: int, seed: int
) -> list[Pick]:
    """Random units beside the best ones, which are given by concept, its id, unit and IoU.

    Their removal moves the layer about as far (`draw_alike`). Inserted they will be made to move it just as
    far, so there those are drawn whose levels are nearest.
    """
    taken, rng = {unit for _, _, unit, _ in best}, np.random.default_rng([seed, 5])
    return [
        Pick(
            *(concept, number, unit, iou),
            alike=tuple(draw_alike(units.sizes, unit, taken, rng) for _ in range(draws)),
            others=tuple(draw_alike(units.heights, unit, taken, rng) for _ in range(draws)),
        )
        for concept, number, unit, iou in best
    ]


def remove_unit(units: Units, unit: int) -> Edit:
    """The unit set to 0 everywhere."""
    return set_units(units.address, [unit], len(units.levels))


def insert_unit(units: Units, unit: int, place: Tensor) -> Edit:
    """The unit set to its level at a place [cell_y, cell_x]."""
    count = len(units.levels)
    return set_units(units.address, [unit], count, value=float(units.levels[unit]), place=place)


def insert_alike(units: Units, unit: int, other: int, place: Tensor, maps: Tensor) -> Edit:
    """Another unit changed so that every cell moves just as far as by `insert_unit`.

    `maps` [1, unit, cell_y, cell_x] are the units before. A unit that stands for nothing is left as it is.
    """
    ratio = units.reach[unit] / units.reach[other] if units.reach[other] else 0.0
    strength, value = torch.zeros(1, *maps.shape[1:]), torch.zeros(1, *maps.shape[1:])
    moved = float(units.levels[unit]) - maps[0, unit].cpu()
    strength[0, other], value[0, other] = place.float(), maps[0, other].cpu() + moved * float(ratio)
    return Edit(units.address, strength, value, "patches")


def keep_results(path: Path, measure: Callable[[], list[EditResult]]) -> list[EditResult]:
    """What was measured before and lies there, or is measured now and put there.

    Raises `RunError` where what lies there is damaged.
    """
    return keep_rows(path, EditResult, measure)
