"""A layer's units against rotations of them, under many conditions (paper A, section 3.4 and fig. 4)."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from unitscope.concepts.packed import PackedSource
from unitscope.concepts.vocabulary import Example, Vocabulary
from unitscope.dissection.conventions import find_convention
from unitscope.dissection.counts import RULES, LayerCounts, count_layer, recount
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import LayerDissection
from unitscope.errors import UsageError
from unitscope.lab.studies.random_rotations import (
    draw_bases,
    order_greedily,
    pool_layer,
    rotated_and_back,
    take_part,
)
from unitscope.networks.directions.drawn import draw_rotations, use_basis
from unitscope.networks.directions.files import save_directions
from unitscope.networks.network import Network
from unitscope.networks.trace import evaluation, list_layers

PARTS = (0.2, 0.4, 0.6, 0.8, 1.0)
CUTOFFS = (0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15)
QUANTILES = (0.001, 0.02, 0.05)
IMAGES = (100, 300, 1000)
FEW_SHIFTS = Confidences(100, 20)
NO_SHIFTS = Confidences(0, 20)


@dataclass(frozen=True)
class Subject:
    """What is rotated: a network, the layer at the center of the study, and what it is compared with.

    `before` is the same layer before its rectification, where it can be read; `others` are other layers.
    `variants` are networks with the same layer, such as one of random weights, each with what is varied and
    its value. `seed` numbers repetitions, which also have other rotations.
    """

    network: Network
    layer: str
    name: str
    seed: int = 0
    before: str | None = None
    others: tuple[str, ...] = ()
    variants: tuple[tuple[str, str, Network], ...] = ()


@dataclass(frozen=True, eq=False)
class Chosen:
    """Some of the packed pictures, by their places; `shift` gives each the labels of one so many further."""

    pictures: PackedSource
    places: Int64[np.ndarray, "n"]
    shift: int = 0

    @property
    def vocabulary(self) -> Vocabulary:
        """The concepts of all pictures."""
        return self.pictures.vocabulary

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int, /) -> Example:
        example = self.pictures[int(self.places[index])]
        if not self.shift:
            return example
        other = self.pictures[int(self.places[(index + self.shift) % len(self.places)])]
        return replace(example, planes=other.planes, ids=other.ids, void=other.void)


@dataclass(frozen=True)
class RotationResult:
    """Detectors among the units and among rotations of them, under one condition.

    `factor` is what was varied, `level` its value. `unique` and `by_category` count unique concepts by the
    two counting rules, `detectors` units: a number for the units, then one for every rotation.
    """

    name: str
    seed: int
    factor: str
    level: str
    unique: tuple[int, ...]
    by_category: tuple[int, ...]
    detectors: tuple[int, ...]


@dataclass(frozen=True)
class PartialRotation:
    """Unique concepts by category of one basis: Q^part of one rotation; part 0 are the units.

    Put back in order (`order_greedily`), a direction stands for every unit: `cosine` is how like it is on
    average, `kept` the share of the units that are detectors whose direction has the same best concept,
    `chance` what that would be, were directions drawn by lot.
    """

    name: str
    seed: int
    rotation: int
    part: float
    detectors: int
    unique: dict[str, int]
    cosine: float = math.nan
    kept: float = math.nan
    chance: float = math.nan

    @property
    def total(self) -> int:
        """The unique concepts of all categories."""
        return sum(self.unique.values())


@dataclass(frozen=True)
class Rotations:
    """All that was measured; `undone` is what rotating and rotating back changes in what a network gives."""

    results: tuple[RotationResult, ...]
    parts: tuple[PartialRotation, ...]
    undone: float

    def split(self) -> "dict[str, Rotations]":
        """What was measured of every subject, by its name."""
        names = dict.fromkeys(result.name for result in self.results)
        return {
            name: Rotations(
                tuple(one for one in self.results if one.name == name),
                tuple(one for one in self.parts if one.name == name),
                self.undone,
            )
            for name in names
        }


def rotate_all(
    subjects: Iterable[tuple[Subject, PackedSource]], *, rotations: int = 5, convention: str = "netdissect"
) -> Rotations:
    """Rotates every subject over its pictures (`rotate_subject`)."""
    how: Any = {"rotations": rotations, "convention": convention}
    return join_rotations(rotate_subject(*one, **how) for one in subjects)


def rotate_subject(
    subject: Subject, pictures: PackedSource, *, rotations: int = 5, convention: str = "netdissect"
) -> Rotations:
    """Rotates a subject over its pictures: under all conditions, in parts, and back again."""
    how: Any = {"rotations": rotations, "convention": convention}
    results = tuple(sweep_conditions(subject, pictures, **how))
    return Rotations(
        results, tuple(rotate_partly(subject, pictures, **how)), measure_undoing(subject, pictures)
    )


def join_rotations(some: Iterable[Rotations]) -> Rotations:
    """All that was measured of some subjects."""
    joined = Rotations((), (), 0.0)
    for one in some:
        undone = max(joined.undone, one.undone)
        joined = Rotations(joined.results + one.results, joined.parts + one.parts, undone)
    return joined


def read_rotations(record: Mapping[str, Any]) -> Rotations:
    """The rotations whose fields these are, lists in place of tuples."""
    results: list[RotationResult] = []
    for row in record["results"]:
        fields: Any = {name: tuple(one) if isinstance(one, list) else one for name, one in row.items()}
        results.append(RotationResult(**fields))
    parts = (PartialRotation(**row) for row in record["parts"])
    return Rotations(tuple(results), tuple(parts), record["undone"])


def dissect_bases(
    network: Network,
    layer: str,
    source: PackedSource | Chosen,
    bases: Float64[np.ndarray, "basis unit unit"],
    *,
    convention: str = "netdissect",
    quantile: float | None = None,
    pool: int = 1,
    confidences: Confidences = NO_SHIFTS,
) -> list[LayerDissection]:
    """A layer in several bases, dissected in one pass; the first basis should be that of the units.

    With `pool` above 1 the maps are first averaged over so many by so many cells. Raises `UsageError` for a
    layer that does not exist or whose maps cannot be rotated.
    """
    if pool > 1:
        network, layer = pool_layer(network, layer, pool), "pooled"
    with TemporaryDirectory() as folder:
        files = [
            save_directions(use_basis(basis), Path(folder) / f"{number}.safetensors")
            for number, basis in enumerate(bases)
        ]
        places = [f"{layer}+{file}" for file in files]
        run = dissect(
            network, source, places, convention=convention, quantile=quantile, confidences=confidences
        )
    return [run[place] for place in places]


def count_units(network: Network, layer: str) -> int:
    """How many units a layer has. Raises `UsageError` for a layer that has no maps to rotate."""
    shape = {row.name: row.shape for row in list_layers(network)}.get(layer)
    if shape is None:
        raise UsageError(f"layer {layer} of {network.name} has no maps to rotate; see `unitscope layers`")
    return shape[0]


def count_by_iou(
    layer: LayerDissection, cutoff: float | None = None, chosen: Bool[np.ndarray, "concept"] | None = None
) -> LayerCounts:
    """Counts a dissected layer at another cut-off, among some concepts.

    Detectors are found by IoU alone, as in paper A: a convention's cut-off of information does not enter.
    """
    by_iou = replace(layer, convention=replace(layer.convention, iqr_cutoff=0.0))
    return count_layer(recount(by_iou, cutoff=cutoff, concepts=chosen))


def describe_rotations(
    subject: Subject,
    factor: str,
    level: str,
    layers: Sequence[LayerDissection],
    *,
    cutoff: float | None = None,
    chosen: Bool[np.ndarray, "concept"] | None = None,
    sure: bool = False,
) -> RotationResult:
    """Counts every basis under one condition; with `sure` only detectors with q < 0.05."""
    counts = [count_by_iou(layer, cutoff, chosen) for layer in layers]
    by_label, by_category = (tuple(one.count(rule=rule, sure=sure) for one in counts) for rule in RULES)
    detectors = tuple(one.sure_detectors if sure else one.detectors for one in counts)
    return RotationResult(subject.name, subject.seed, factor, level, by_label, by_category, detectors)


def sweep_conditions(
    subject: Subject,
    pictures: PackedSource,
    *,
    rotations: int = 5,
    convention: str = "netdissect",
    images: Sequence[int] = IMAGES,
    quantiles: Sequence[float] = QUANTILES,
    pools: Sequence[int] = (2, 4, 8),
) -> Iterator[RotationResult]:
    """Changes one thing at a time around the layer's dissection over all pictures."""

    @cache
    def bases(network: Network, layer: str) -> Float64[np.ndarray, "basis unit unit"]:
        return draw_bases(count_units(network, layer), rotations, subject.seed)

    def rotate(
        source: PackedSource | Chosen = pictures,
        network: Network = subject.network,
        layer: str = subject.layer,
        **varied: Any,
    ) -> list[LayerDissection]:
        drawn = bases(network, layer)
        return dissect_bases(network, layer, source, drawn, convention=convention, **varied)

    def describe(factor: str, level: str, layers: Sequence[LayerDissection]) -> RotationResult:
        return describe_rotations(subject, factor, level, layers)

    center = rotate(confidences=FEW_SHIFTS)
    yield describe("center", f"{subject.layer}, {len(pictures)} images", center)
    shifted = Chosen(pictures, np.arange(len(pictures)), len(pictures) // 2)
    yield describe("control", "labels of other images", rotate(shifted))
    yield from _vary_counting(subject, center)
    # At random: a folder's first images may all be of one kind.
    drawn = np.random.default_rng((subject.seed, 1)).permutation(len(pictures))
    for count in images:
        if count < len(pictures):
            yield describe("images", str(count), rotate(Chosen(pictures, np.sort(drawn[:count]))))
    for level, places in split_crowded(pictures).items():
        yield describe("objects an image", level, rotate(Chosen(pictures, places)))
    for quantile in quantiles:
        yield describe("quantile", f"{quantile:g}", rotate(quantile=quantile))
    high, wide = center[0].map_size
    for pool in pools:
        if min(high, wide) >= pool:
            yield describe("resolution", f"{high // pool} x {wide // pool} cells", rotate(pool=pool))
    if subject.before is not None:
        yield describe("rectified", f"before: {subject.before}", rotate(layer=subject.before))
    for other in subject.others:
        yield describe("layer", other, rotate(layer=other))
    for factor, level, network in subject.variants:
        yield describe(factor, level, rotate(network=network))


def _vary_counting(subject: Subject, center: Sequence[LayerDissection]) -> Iterator[RotationResult]:
    """What needs no other pass: cut-offs, sure detectors, fewer concepts."""
    usual = center[0].convention.iou_cutoff
    for cutoff in CUTOFFS:
        if cutoff != usual:
            yield describe_rotations(subject, "IoU cut-off", f"{cutoff:g}", center, cutoff=cutoff)
    yield describe_rotations(subject, "detectors", "q < 0.05 only", center, sure=True)
    words = center[0].vocabulary
    chosen = {
        f"{category} only": words.category_index == place for place, category in enumerate(words.categories)
    }
    for share in (2, 4, 8):
        rng = np.random.default_rng((subject.seed, share))
        chosen[f"1 in {share}, by lot"] = rng.random(words.size) < 1 / share
    for level, some in chosen.items():
        yield describe_rotations(subject, "concepts", level, center, chosen=some)


def split_crowded(pictures: PackedSource) -> dict[str, Int64[np.ndarray, "n"]]:
    """The thirds of the pictures with the fewest and the most concepts of objects; none without objects."""
    words = pictures.vocabulary
    if "object" not in words.categories:
        return {}
    objects = words.category_index == words.categories.index("object")
    counts = np.array(
        [int(objects[np.unique(pictures[place].planes)].sum()) for place in range(len(pictures))]
    )
    order = np.argsort(counts, kind="stable")
    third = len(order) // 3
    few, many = np.sort(order[:third]), np.sort(order[-third:])
    if not third or counts[few].mean() == counts[many].mean():
        return {}
    return {f"few ({counts[few].mean():.1f})": few, f"many ({counts[many].mean():.1f})": many}


def rotate_partly(
    subject: Subject,
    pictures: PackedSource,
    *,
    rotations: int = 5,
    parts: Sequence[float] = PARTS,
    convention: str = "netdissect",
) -> Iterator[PartialRotation]:
    """The units, and every rotation in parts, a pass a rotation: paper A's fig. 4."""
    rule = find_convention(convention).unique_rule
    units = count_units(subject.network, subject.layer)
    for number, rotation in enumerate(draw_rotations(units, rotations, subject.seed)):
        turned = [take_part(rotation, part) for part in parts]
        bases = np.stack([np.eye(units), *(basis[order_greedily(basis)] for basis in turned)])
        layers = dissect_bases(subject.network, subject.layer, pictures, bases, convention=convention)
        for part, basis, layer in zip((0.0, *parts), bases, layers, strict=True):
            if part or number == 0:
                found = subject.name, subject.seed, number, part, layer.detectors, layer.unique[rule]
                cosine = float(np.diagonal(basis).mean())
                yield PartialRotation(*found, cosine, *_compare_names(layers[0], layer))


def _compare_names(units: LayerDissection, turned: LayerDissection) -> tuple[float, float]:
    """The share of units that are detectors whose direction has their name; and by lot. NaN without any."""
    names = [
        np.array([unit.concept.id if unit.concept else -1 for unit in layer]) for layer in (units, turned)
    ]
    chosen = np.array([unit.detector for unit in units]) & (names[0] >= 0)
    if not chosen.any():
        return math.nan, math.nan
    wanted = names[0][chosen]
    return (
        float((names[1][chosen] == wanted).mean()),
        float((names[1][None] == wanted[:, None]).mean()),
    )


def measure_undoing(subject: Subject, pictures: PackedSource, count: int = 16) -> float:
    """The largest change of what the network gives when its layer is rotated and rotated back."""
    network = subject.network
    units = count_units(network, subject.layer)
    batch = network.preprocessing.tensor(np.ascontiguousarray(pictures.images[:count]))
    with evaluation(network), torch.no_grad():
        before = network.run(batch)
        with rotated_and_back(network, subject.layer, draw_rotations(units, 1, subject.seed)[0]):
            after = network.run(batch)
    return float((before - after).abs().max())
