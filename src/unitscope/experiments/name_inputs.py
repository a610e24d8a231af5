"""What scores of names read: responses of the named units, and where their names hold, from one pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from unitscope.concepts.vocabulary import ConceptSource, Vocabulary
from unitscope.dissection.adaptive import read_parts
from unitscope.dissection.conventions import Convention
from unitscope.dissection.formula_text import ConceptFormula
from unitscope.errors import UsageError
from unitscope.experiments.name_lists import UnitName
from unitscope.networks.network import Network
from unitscope.statistics.cell_labels import CellGrid
from unitscope.statistics.pair_scores import Pair
from unitscope.statistics.scan import Machine, ScanPlan

At = Literal["pixels", "cells", "images"]
"""What inputs are: pixels of the mask, to which maps are brought; cells of the map; or whole images."""

Pool = Literal["mean", "max"]

_WORKING = 40
"""Bytes that an input takes while a unit is scored."""

Asked = tuple[UnitName, ConceptFormula]


def check_memory(asked: Sequence[Asked], plan: ScanPlan, at: At, images: int, memory: int) -> None:
    """Raises `UsageError` where the maps of the named units and their names take too much memory."""
    taken = most = 0
    for layer, tail in plan.tails.items():
        cells, pixels = (int(np.prod(sides)) for sides in (tail.raw_size, plan.frame.mask_size))
        places = {"pixels": pixels, "cells": cells, "images": 1}[at]
        units = len({one.unit for one, _ in asked if one.layer == layer})
        formulas = len({formula for one, formula in asked if one.layer == layer})
        taken += images * (4 * units * (1 if at == "images" else cells) + formulas * -(-places // 8))
        most = max(most, images * places * _WORKING)
    if taken + most > memory:
        raise UsageError(
            f"the responses of {images} images take {(taken + most) / 2**30:.1f} GB; limit the images, name "
            "fewer layers, score at cells or images, or allow more memory: Machine(memory=...), --memory"
        )


@dataclass(frozen=True, eq=False)
class NameInputs:
    """What the pass kept: by layer the responses of named units, and where names hold, packed, by image.

    `known` and `present` are of the places of a layer's inputs, eight to the byte; `entering` says which
    categories' images an image belongs to.
    """

    responses: Mapping[str, Mapping[int, Float32[np.ndarray, "image _ _"]]]
    known: Mapping[str, list[bytes]]
    present: Mapping[tuple[str, ConceptFormula], list[bytes | None]]
    entering: Bool[np.ndarray, "image category"]
    vocabulary: Vocabulary


def read_inputs(
    network: Network,
    source: ConceptSource,
    plan: ScanPlan,
    rules: Convention,
    machine: Machine,
    asked: Sequence[Asked],
    at: At,
    pool: Pool,
) -> NameInputs:
    """One pass over the images."""
    units = {layer: sorted({one.unit for one, _ in asked if one.layer == layer}) for layer in plan.tails}
    formulas = {layer: {formula for one, formula in asked if one.layer == layer} for layer in plan.tails}
    responses: dict[str, list[Tensor]] = {layer: [] for layer in plan.tails}
    known: dict[str, list[bytes]] = {layer: [] for layer in plan.tails}
    present: dict[tuple[str, ConceptFormula], list[bytes | None]] = {
        (layer, formula): [] for layer, some in formulas.items() for formula in some
    }
    entering = []
    for part in read_parts(network, source, plan, rules, machine, "reading responses"):
        entering.append(part.entering)
        for layer, maps in part.maps.items():
            kept = maps[:, units[layer]].float()
            if at == "images":
                kept = kept.mean((2, 3), keepdim=True) if pool == "mean" else kept.amax((2, 3), keepdim=True)
            responses[layer].append(kept.clone())
            grid = CellGrid(plan.tails[layer].raw_size, plan.frame.mask_size)
            for planes, valid in zip(part.labels, part.valid, strict=True):
                here = _Labels(planes, valid, grid, at)
                known[layer].append(np.packbits(here.known).tobytes())
                for formula in formulas[layer]:
                    present[layer, formula].append(here.find(formula))
    joined = {layer: torch.cat(some).numpy() for layer, some in responses.items()}
    by_unit = {
        layer: {unit: joined[layer][:, place] for place, unit in enumerate(some)}
        for layer, some in units.items()
    }
    return NameInputs(by_unit, known, present, np.concatenate(entering), source.vocabulary)


class _Labels:
    """What is known of one image, at the places of its inputs."""

    def __init__(self, planes: np.ndarray, valid: np.ndarray, grid: CellGrid, at: At) -> None:
        self.planes, self.valid, self.grid, self.at = planes, valid, grid, at
        self.there = set(np.unique(planes).tolist())
        self.known = self._lay_out(valid, np.ones_like(valid))

    def find(self, formula: ConceptFormula) -> bytes | None:
        """Where a formula holds, eight places to the byte; None where nowhere."""
        if not self.there & set(formula.concepts):  # no formula holds where none of its concepts is
            return None
        has = {one: (self.planes == one).any(0) for one in set(formula.concepts)}
        holds = has[formula.concepts[0]]
        for join, concept in zip(formula.joins, formula.concepts[1:], strict=True):
            other = has[concept]
            holds = holds | other if join == "OR" else holds & (other if join == "AND" else ~other)
        found = self._lay_out(holds & self.valid, self.valid) & self.known
        return np.packbits(found).tobytes() if found.any() else None

    def _lay_out(self, holds: np.ndarray, among: np.ndarray) -> np.ndarray:
        """Which places have it: pixels themselves, cells by half of those that count, images by one."""
        if self.at == "pixels":
            return np.asarray(holds.reshape(-1))
        if self.at == "images":
            return np.array([holds.any()])
        places = self.grid.places.reshape(-1)
        count, all_of = (
            np.bincount(places[one.reshape(-1)], minlength=self.grid.cells) for one in (holds, among)
        )
        return np.asarray((2 * count >= all_of) & (count > 0))


def pair_up(
    read: NameInputs,
    one: UnitName,
    formula: ConceptFormula,
    plan: ScanPlan,
    at: At,
    top_fraction: float,
) -> Pair | None:
    """A unit and its name over all images that tell whether it holds; None where none does."""
    layer = str(one.layer)
    index = read.vocabulary.category_index
    categories = sorted({int(index[concept]) for concept in formula.concepts})
    images = np.flatnonzero(read.entering[:, categories].all(1))
    maps = torch.from_numpy(np.ascontiguousarray(read.responses[layer][one.unit][images]))
    if at == "pixels" and len(images):
        grid = plan.tails[layer].grid
        maps = grid.upsample(grid.surround(maps[:, None]))[:, 0]
    response = maps.reshape(len(images), -1).numpy()
    known = _unpack([read.known[layer][image] for image in images], response.shape[1])
    present = _unpack([read.present[layer, formula][image] for image in images], response.shape[1])
    if not known.any():
        return None
    seen = known.any(1)
    return Pair(response[seen], known[seen], present[seen], top_fraction)


def _unpack(packed: Sequence[bytes | None], places: int) -> Bool[np.ndarray, "image place"]:
    found = np.zeros((len(packed), places), bool)
    for row, one in zip(found, packed, strict=True):
        if one is not None:
            row[:] = np.unpackbits(np.frombuffer(one, np.uint8), count=places)
    return found
