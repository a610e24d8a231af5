"""A layer's units against rotations of them, under many conditions (paper A, section 3.4 and fig. 4)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int64

from unitscope.concepts.packed import PackedSource
from unitscope.concepts.vocabulary import Example, Vocabulary
from unitscope.dissection.conventions import UniqueRule, find_convention
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import UsageError
from unitscope.lab.studies.random_rotations import Bases, draw_rotations, turn_part, turned_and_undone
from unitscope.networks.network import Network
from unitscope.networks.trace import evaluation, list_layers

PARTS = (0.2, 0.4, 0.6, 0.8, 1.0)
CUTOFFS = (0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15)
QUANTILES = (0.001, 0.02, 0.05)
IMAGES = (100, 300, 1000)
SURE = 0.05
FEW_SHIFTS = Confidences(100, 20)
NO_SHIFTS = Confidences(0, 20)


@dataclass(frozen=True)
class Subject:
    """What is rotated: a network, the layer at the center of the study, and others to compare it with.

    `before` is the same layer before its rectification, where it can be read. `seed` numbers repetitions,
    which also have other rotations.
    """

    network: Network
    layer: str
    name: str
    seed: int = 0
    before: str | None = None
    others: tuple[str, ...] = ()


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
class Fall:
    """Unique detectors of the units and of rotations of them, under one condition.

    `factor` is what was varied, `level` its value. `own` and `turned` count by label, `own_by_category` and
    `turned_by_category` by the other rule; `detectors` count units.
    """

    name: str
    seed: int
    factor: str
    level: str
    own: int
    turned: tuple[int, ...]
    own_by_category: int
    turned_by_category: tuple[int, ...]
    own_detectors: int
    turned_detectors: tuple[int, ...]

    @property
    def ratios(self) -> list[float]:
        """Unique detectors of every rotation over those of the units; none where the units have none."""
        return [turned / self.own for turned in self.turned] if self.own else []


@dataclass(frozen=True)
class Step:
    """Unique concepts by category of one basis: Q^part of one rotation; part 0 are the units."""

    name: str
    seed: int
    rotation: int
    part: float
    detectors: int
    unique: dict[str, int]


@dataclass(frozen=True, eq=False)
class Turned:
    """A layer's units (first) and rotations of them, dissected in one pass."""

    run: Dissection

    @cached_property
    def layers(self) -> list[LayerDissection]:
        """The units, then every rotation."""
        return [self.run[place] for place in self.run]


def dissect_bases(
    network: Network,
    layer: str,
    source: PackedSource | Chosen,
    bases: np.ndarray,
    *,
    convention: str = "netdissect",
    quantile: float | None = None,
    pool: int = 1,
    confidences: Confidences = NO_SHIFTS,
) -> Turned:
    """Dissects a layer in several bases in one pass; the first basis should be that of the units.

    Raises `UsageError` for a layer that does not exist or whose maps cannot be turned.
    """
    module = Bases(network.module, layer, bases, pool)
    places = [f"bases.{number}" for number in range(len(bases))]
    wrapped = replace(network, module=module)
    return Turned(
        dissect(wrapped, source, places, convention=convention, quantile=quantile, confidences=confidences)
    )


def count_units(network: Network, layer: str) -> int:
    """How many units a layer has. Raises `UsageError` for a layer that has no maps to turn."""
    shape = {row.name: row.shape for row in list_layers(network)}.get(layer)
    if shape is None:
        raise UsageError(f"layer {layer} of {network.name} has no maps to turn; see `unitscope layers`")
    return shape[0]


def draw_bases(units: int, rotations: int, seed: int, parts: Sequence[float] = (1.0,)) -> np.ndarray:
    """The basis of the units, then every rotation to each of its parts: float64[basis, unit, unit]."""
    drawn = draw_rotations(units, rotations, seed)
    turned = [one if part == 1 else turn_part(one, part) for one in drawn for part in parts]
    return np.stack([np.eye(units), *turned])


def count_unique(
    layer: LayerDissection,
    cutoff: float,
    rule: UniqueRule,
    chosen: Bool[np.ndarray, "concept"] | None = None,
    sure: bool = False,
) -> int:
    """The unique detectors of a dissected layer at another cut-off, among some concepts, or only sure ones.

    IoUs do not depend on which other concepts there are, so a smaller vocabulary needs no other pass.
    """
    iou = layer.iou if chosen is None else np.where(chosen, layer.iou, 0.0)
    units = iou > cutoff
    if sure:
        confidence = layer.confidence
        assert confidence is not None
        units &= (confidence.q_value < SURE)[:, None]
    place = layer.vocabulary.category_index
    found = 0
    for category in range(len(layer.vocabulary.categories)):
        within = np.where(place == category, iou, -1.0)
        best = within.argmax(1)
        passed = units[np.arange(len(iou)), best] & (within.max(1) > 0)
        if rule == "label":
            passed &= iou.argmax(1) == best
        found += len(np.unique(best[passed]))
    return found


def count_detectors(
    layer: LayerDissection,
    cutoff: float,
    chosen: Bool[np.ndarray, "concept"] | None = None,
    sure: bool = False,
) -> int:
    """The detectors of a dissected layer at another cut-off, among some concepts, or only sure ones."""
    iou = layer.iou if chosen is None else np.where(chosen, layer.iou, 0.0)
    found = iou.max(1) > cutoff
    if sure:
        confidence = layer.confidence
        assert confidence is not None
        found &= confidence.q_value < SURE
    return int(found.sum())


def describe_fall(
    subject: Subject,
    factor: str,
    level: str,
    turned: Turned,
    *,
    cutoff: float | None = None,
    chosen: Bool[np.ndarray, "concept"] | None = None,
    sure: bool = False,
) -> Fall:
    """Counts every basis under one condition."""
    layers = turned.layers
    limit = layers[0].convention.iou_cutoff if cutoff is None else cutoff
    label = [count_unique(layer, limit, "label", chosen, sure) for layer in layers]
    category = [count_unique(layer, limit, "category", chosen, sure) for layer in layers]
    detectors = [count_detectors(layer, limit, chosen, sure) for layer in layers]
    return Fall(
        *(subject.name, subject.seed, factor, level, label[0], tuple(label[1:])),
        *(category[0], tuple(category[1:]), detectors[0], tuple(detectors[1:])),
    )


def sweep_conditions(
    subject: Subject,
    pictures: PackedSource,
    *,
    rotations: int = 5,
    convention: str = "netdissect",
    images: Sequence[int] = IMAGES,
    quantiles: Sequence[float] = QUANTILES,
    pools: Sequence[int] = (2, 4, 8),
) -> Iterator[Fall]:
    """Changes one thing at a time around the layer's dissection over all pictures."""
    network, layer = subject.network, subject.layer
    bases = draw_bases(count_units(network, layer), rotations, subject.seed)

    def turn(
        source: PackedSource | Chosen,
        confidences: Confidences = NO_SHIFTS,
        quantile: float | None = None,
        pool: int = 1,
    ) -> Turned:
        return dissect_bases(
            network,
            layer,
            source,
            bases,
            convention=convention,
            quantile=quantile,
            pool=pool,
            confidences=confidences,
        )

    center = turn(pictures, FEW_SHIFTS)
    yield describe_fall(subject, "center", f"{layer}, {len(pictures)} images", center)
    shifted = Chosen(pictures, np.arange(len(pictures)), len(pictures) // 2)
    yield describe_fall(subject, "control", "labels of other images", turn(shifted))
    yield from _vary_counting(subject, center)
    # By lot: a folder's first images may all be of one kind.
    drawn = np.random.default_rng((subject.seed, 1)).permutation(len(pictures))
    for count in images:
        if count < len(pictures):
            some = Chosen(pictures, np.sort(drawn[:count]))
            yield describe_fall(subject, "images", str(count), turn(some))
    for level, places in split_crowded(pictures).items():
        yield describe_fall(subject, "objects an image", level, turn(Chosen(pictures, places)))
    for quantile in quantiles:
        yield describe_fall(subject, "quantile", f"{quantile:g}", turn(pictures, quantile=quantile))
    cells = center.layers[0].map_size
    for pool in pools:
        if min(cells) >= pool:
            level = f"{cells[0] // pool} x {cells[1] // pool} cells"
            yield describe_fall(subject, "resolution", level, turn(pictures, pool=pool))
    for factor, others in (("rectified", (subject.before,)), ("layer", subject.others)):
        for other in others:
            if other is not None:
                own = draw_bases(count_units(network, other), rotations, subject.seed)
                found = dissect_bases(network, other, pictures, own, convention=convention)
                level = f"before: {other}" if factor == "rectified" else other
                yield describe_fall(subject, factor, level, found)


def rotate_another(
    subject: Subject,
    pictures: PackedSource,
    factor: str,
    level: str,
    *,
    rotations: int = 5,
    convention: str = "netdissect",
) -> Fall:
    """The center of the study for another network, such as one of random weights."""
    bases = draw_bases(count_units(subject.network, subject.layer), rotations, subject.seed)
    found = dissect_bases(subject.network, subject.layer, pictures, bases, convention=convention)
    return describe_fall(subject, factor, level, found)


def _vary_counting(subject: Subject, center: Turned) -> Iterator[Fall]:
    """What needs no other pass: cut-offs, sure detectors, fewer concepts."""
    usual = center.layers[0].convention.iou_cutoff
    for cutoff in CUTOFFS:
        if cutoff != usual:
            yield describe_fall(subject, "IoU cut-off", f"{cutoff:g}", center, cutoff=cutoff)
    yield describe_fall(subject, "detectors", "q < 0.05 only", center, sure=True)
    words = center.layers[0].vocabulary
    for category in words.categories:
        chosen = words.category_index == words.categories.index(category)
        yield describe_fall(subject, "concepts", f"{category} only", center, chosen=chosen)
    for share in (2, 4, 8):
        rng = np.random.default_rng((subject.seed, share))
        chosen = rng.random(words.size) < 1 / share
        yield describe_fall(subject, "concepts", f"1 in {share}, by lot", center, chosen=chosen)


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


def turn_steps(
    subject: Subject,
    pictures: PackedSource,
    *,
    rotations: int = 5,
    parts: Sequence[float] = PARTS,
    convention: str = "netdissect",
) -> Iterator[Step]:
    """The units, and every rotation in parts, a pass a rotation: paper A's fig. 4."""
    rules = find_convention(convention)
    units = count_units(subject.network, subject.layer)
    for number, rotation in enumerate(draw_rotations(units, rotations, subject.seed)):
        turned = [turn_part(rotation, part) for part in parts]
        bases = np.stack([np.eye(units), *turned])
        found = dissect_bases(subject.network, subject.layer, pictures, bases, convention=convention).layers
        for part, layer in zip((0.0, *parts), found, strict=True):
            if part or number == 0:
                unique = layer.unique[rules.unique_rule]
                yield Step(subject.name, subject.seed, number, part, layer.detectors, unique)


def measure_undoing(subject: Subject, pictures: PackedSource, count: int = 16) -> float:
    """The largest change of what the network gives when its layer is rotated and rotated back."""
    network = subject.network
    units = count_units(network, subject.layer)
    images = np.ascontiguousarray(pictures.images[:count])
    batch = network.preprocessing.tensor(images)
    with evaluation(network.module), torch.no_grad():
        before = network.module(batch)
        with turned_and_undone(network.module, subject.layer, draw_rotations(units, 1, subject.seed)[0]):
            after = network.module(batch)
    return float((before - after).abs().max())
