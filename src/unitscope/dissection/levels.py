"""How high units are where a concept is, and everywhere: means and quantiles as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from unitscope.concepts.vocabulary import Concept, ConceptSource, find_named
from unitscope.dissection.adaptive import Part, read_parts
from unitscope.dissection.arguments import Fit, check_concepts
from unitscope.dissection.conventions import Convention
from unitscope.dissection.dissect import settle_convention
from unitscope.dissection.planning import plan_scan
from unitscope.errors import SourceError, UsageError
from unitscope.networks.generators import check_source, pair_generator
from unitscope.networks.network import Network
from unitscope.networks.verdicts import check_places
from unitscope.results import Result
from unitscope.statistics.quantiles import TailPlan, tail_rank
from unitscope.statistics.scan import Machine, ScanPlan
from unitscope.tables import Table

_AT_ONCE = 16_000_000
"""Values that are brought to mask size at a time."""


@dataclass(frozen=True, eq=False)
class LayerLevels:
    """The levels of one layer's units; place 0 of the concepts stands for all pixels.

    `tops[unit, concept, f]` is the value that at most a fraction `Levels.fractions[f]` of them exceeds.
    """

    mean: Float64[np.ndarray, "unit concept_and_all"]
    tops: Float32[np.ndarray, "unit concept_and_all fraction"]


@dataclass(frozen=True, eq=False)
class Levels(Result):
    """How high units are where each concept is; made by `measure_levels`.

    `pixels[0]` counts all pixels whose truth is known, `pixels[k]` those with `concepts[k - 1]`. The table
    has a row for every unit and concept: `mean` and `top_0.1` are those of the concept's pixels, `mean_all`
    and `top_0.1_all` those of all.
    """

    layers: Mapping[str, LayerLevels]
    concepts: tuple[Concept, ...]
    pixels: Int64[np.ndarray, "concept_and_all"]
    fractions: tuple[float, ...]

    def tables(self) -> dict[str, Table]:
        """`levels.csv`: a row for every unit and concept."""
        return {"levels.csv": self._lay_out(range(len(self.concepts)))}

    def text(self) -> str:
        """Of every unit the concept where its mean is highest."""
        return replace(self._lay_out(None), digits=5).text()

    def _lay_out(self, places: Sequence[int] | None) -> Table:
        """The rows of the concepts at those places, or of each unit's highest."""
        records = []
        for layer, found in self.layers.items():
            for unit, means in enumerate(found.mean):
                for place in [int(means[1:].argmax())] if places is None else places:
                    one, figures = self.concepts[place], self._figures(found, unit, place + 1)
                    named = {"layer": layer, "unit": unit, "concept": one.name, "category": one.category}
                    everywhere = {
                        f"{name}_all": value for name, value in self._figures(found, unit, 0).items()
                    }
                    pixels = int(self.pixels[place + 1])
                    records.append({**named, "pixels": pixels, **figures, **everywhere})
        return replace(Table.of(records, list(records[0])), digits=9)

    def _figures(self, found: LayerLevels, unit: int, place: int) -> dict[str, float]:
        tops = zip(self.fractions, found.tops[unit, place].tolist(), strict=True)
        return {"mean": float(found.mean[unit, place]), **{f"top_{part:g}": value for part, value in tops}}


def measure_levels(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    *,
    concepts: str | Sequence[str] | None = None,
    fractions: Sequence[float] = (0.5, 0.1, 0.01),
    convention: str | Convention = "netdissect",
    size: int | tuple[int, int] | None = None,
    fit: Fit = "stretch",
    machine: Machine = Machine(),  # noqa: B008 - frozen
    trust_layout: bool = False,
) -> Levels:
    """How high the units of layers are where a concept is, against everywhere: means and quantiles.

    They are taken over mask pixels, void ones left out, of maps brought to mask size as `convention` does;
    a pixel counts once for a concept, and a label of the whole image, such as a scene, is on all its pixels.
    For each of `fractions` the table has the value that at most that fraction of the pixels exceeds: the
    (floor(f n) + 1)-th largest of n, as thresholds are; 0.5 is the median, 0 the largest. `concepts` are
    names or CATEGORY/NAME, by default all that occur. `size`, `fit`, `machine` and `trust_layout` are those
    of `dissect`.

    The maps of all images are kept in memory. Raises `UsageError` where they need more than
    `machine.memory`, for a fraction out of range or an unknown concept, `SourceError` where a concept that
    was named is in none of the images, and what `dissect` raises.

    >>> from unitscope import Concept, Example, Vocabulary
    >>> class Pictures(list):  # white on the right, which is labeled
    ...     vocabulary = Vocabulary((Concept(1, "white", "color"),))
    >>> pixels = np.zeros((16, 16, 3), np.uint8)
    >>> pixels[:, 8:] = 255
    >>> source = Pictures([Example("picture", pixels, np.uint16(pixels[None, :, :, 0] > 0))])
    >>> network = Network(torch.nn.Sequential(torch.nn.AvgPool2d(4)))
    >>> row = measure_levels(network, source, ["0"], fractions=[0.5], convention="pnas").rows()[0]
    >>> row["concept"], row["mean"], row["top_0.5"], row["mean_all"]
    ('white', 1.0, 1.0, 0.5)
    """
    wanted = tuple(dict.fromkeys(fractions))
    if not wanted or not all(0 <= part < 1 for part in wanted):
        raise UsageError(f"fractions are {wanted}; give numbers from 0 (the largest value) to below 1")
    check_source(network, source)
    check_concepts(source)
    names = [concepts] if isinstance(concepts, str) else concepts
    asked = None if names is None else find_named(source.vocabulary, names)
    rules = replace(settle_convention(convention), doubles="once")
    plan, _, places = plan_scan(network, source, layers, rules, {}, size, fit)
    check_places(network.name, places, trust_layout)
    _check_memory(plan, len(source), machine.memory)
    reader, _ = pair_generator(network, source)
    parts = list(read_parts(reader, source, plan, rules, machine, "levels"))
    kept = _pick_concepts(source, asked, np.sum([part.areas for part in parts], 0))
    here = _find_places(parts, kept)
    found = {}
    for layer, tail in plan.tails.items():
        maps = torch.cat([part.maps[layer] for part in parts])
        found[layer] = _measure(maps, tail, here, wanted)
    return Levels(found, kept, np.array([len(one) for one in here]), wanted)


def _check_memory(plan: ScanPlan, images: int, memory: int) -> None:
    taken = sum(4 * tail.units * int(np.prod(tail.raw_size)) for tail in plan.tails.values()) * images
    if taken > memory:
        raise UsageError(
            f"the maps of {images} images take {taken / 2**30:.1f} GB; limit the source, name fewer layers, "
            "or allow more memory: Machine(memory=...)"
        )


def _pick_concepts(
    source: ConceptSource, asked: Sequence[Concept] | None, areas: Int64[np.ndarray, "concept"]
) -> tuple[Concept, ...]:
    """The concepts that were asked for, or all that occur."""
    kept = tuple(one for one in asked or source.vocabulary if areas[one.id])
    missing = [repr(one.label) for one in asked or () if not areas[one.id]]
    if missing or not kept:
        name = missing[0] if missing else "any concept"
        raise SourceError(f"{name} is in none of the {len(source)} images; name another, or give more images")
    return kept


def _find_places(parts: Sequence[Part], concepts: Sequence[Concept]) -> list[Int64[np.ndarray, "_"]]:
    """The pixels, numbered through all images, that are known, then those with each concept."""
    found: list[list[Any]] = [[] for _ in range(len(concepts) + 1)]
    order = {concept.id: place for place, concept in enumerate(concepts, 1)}
    start = 0
    for part in parts:
        for planes, known in zip(part.labels, part.valid, strict=True):
            found[0].append(start + np.flatnonzero(known))
            for plane in planes:
                for identity in np.unique(plane).tolist():
                    if identity in order:
                        found[order[identity]].append(start + np.flatnonzero(plane == identity))
            start += known.size
    return [np.concatenate(one) for one in found]


def _measure(
    maps: Float32[torch.Tensor, "image unit cell_y cell_x"],
    tail: TailPlan,
    places: Sequence[Int64[np.ndarray, "_"]],
    fractions: Sequence[float],
) -> LayerLevels:
    mean = np.empty((tail.units, len(places)))
    tops = np.empty((*mean.shape, len(fractions)), np.float32)
    ranks = [[len(owned) - tail_rank(part, len(owned)) for part in fractions] for owned in places]
    many = max(1, _AT_ONCE // (len(maps) * int(np.prod(tail.grid.mask_size))))
    for start in range(0, tail.units, many):
        dense = tail.grid.upsample(tail.grid.surround(maps[:, start : start + many]))
        for unit, values in enumerate(dense.transpose(0, 1).flatten(1).numpy(), start):
            for place, owned in enumerate(places):
                taken = values[owned]
                mean[unit, place] = taken.mean(dtype=np.float64)
                tops[unit, place] = np.partition(taken, ranks[place])[ranks[place]]
    return LayerLevels(mean, tops)
