"""What is measured of generators that are compared: names of units, pictures, units in pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from unitscope.concepts.segmented import SegmentedSource
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import LayerDissection
from unitscope.lab.studies.compared_generators import (
    PLAIN,
    VARIANTS,
    Compared,
)
from unitscope.lab.studies.direction_bases import digest_of, name_address
from unitscope.lab.studies.records import keep_rows
from unitscope.lab.studies.unit_matching import Maps, agree, pair_units, read_maps
from unitscope.lab.world.names import SCENES
from unitscope.lab.zoo.measures import measure_variety, read_features, score_pictures, segment, to_input
from unitscope.lab.zoo.networks import SceneClassifier, SceneSegmenter
from unitscope.lab.zoo.pictures import Pictures, PictureSet, paint_pictures
from unitscope.lab.zoo.recipes import GENERATED
from unitscope.lab.zoo.weights_files import load_zoo_module, open_segmenter
from unitscope.networks.generators import GeneratedImages, Generator
from unitscope.progress import follow_each
from unitscope.version import __version__

LAYERS = ("layer1", "layer2", "layer3", "layer4")
UNITS, ROTATED = "units", "rotated"
PAINTED = "painted pictures"
REFERENCE, FLOOR = 2003, 2004
"""The seeds of the painted pictures that are compared with, and of others that show the floor."""
CONVENTION = "pnas"
STEPS, SEEDS, VARIED = "checkpoints", "seeds", "recipes"
"""What the two networks of a pair differ in."""


@dataclass(frozen=True)
class Extent:
    """How much is spent: images a network, painted ones, images that pair units, shifts a unit.

    `paired` is a multiple of twice the number of kinds, and larger than that.
    """

    images: int = 400
    painted: int = 1000
    paired: int = 100
    shifts: int = 100


QUICK = Extent(20, 30, 20, 4)


@dataclass(frozen=True)
class NamedLayer:
    """The units of one layer by name, or rotated ones: `names[u]` is CATEGORY/CONCEPT, "" without a match.

    `chance` is the number of units that match where labels are shifted from image to image.
    """

    variant: str
    seed: int
    step: int
    basis: str
    layer: str
    chance: float
    names: Sequence[str]


@dataclass(frozen=True)
class Quality:
    """The pictures of a network: Fréchet distance, share named right, and variety (`measure_variety`)."""

    variant: str
    seed: int
    step: int
    frechet: float
    accuracy: float
    variety: float


@dataclass(frozen=True)
class Matched:
    """The units of a layer of one network paired with those of another; the means of pairs.

    `differ` says what the two differ in. `other` is the correlation with other latents, `by_lot` that of
    pairs by lot; `itself` the share paired with their own number, `same` the share of named units whose
    partner has the same name, `same_by_lot` the same by lot.
    """

    differ: str
    variant: str
    seed: int
    step: int
    with_variant: str
    with_seed: int
    with_step: int
    layer: str
    correlation: float
    other: float
    by_lot: float
    itself: float
    same: float
    same_by_lot: float


@dataclass(frozen=True)
class Measured:
    """All that was measured."""

    layers: tuple[NamedLayer, ...]
    quality: tuple[Quality, ...]
    matches: tuple[Matched, ...]


def measure_all(networks: Sequence[Compared], folder: Path, extent: Extent) -> Measured:
    """Measures every network, then pairs of them; what is in the folder is not measured again.

    All read the same latents, those of seed 0. Raises what `dissect` raises.
    """
    layers, quality = list[NamedLayer](), list[Quality](measure_floor(folder, extent))
    for one in follow_each(networks, "comparing", "generators"):
        layers += _keep_names(one, folder, extent)
        quality += _keep_quality(one, folder, extent)
    matches = list[Matched]()
    for differ, first, second in follow_each(list_pairs(networks), "pairing", "pairs of generators"):
        matches += _keep_match(differ, first, second, layers, folder, extent)
    _read_cached.cache_clear()
    return Measured(tuple(layers), tuple(quality), tuple(matches))


def _place(folder: Path, kind: str, extent: Extent, *facts: object) -> Path:
    key = digest_of(*facts, asdict(extent), CONVENTION, LAYERS, __version__)
    return folder / "generators" / "measured" / f"{kind}-{key[:20]}.json"


def _describe(one: Compared) -> tuple[str, int, int]:
    return one.variant, one.seed, one.step


def _keep_names(one: Compared, folder: Path, extent: Extent) -> list[NamedLayer]:
    path = _place(folder, "ends" if one.end else "names", extent, one.generator.digest, *_describe(one))
    return keep_rows(path, NamedLayer, lambda: list(name_layers(one, extent)))


def name_layers(one: Compared, extent: Extent) -> Iterator[NamedLayer]:
    """Dissects all layers over the images of the network; at the end of a training a rotation of each too."""
    asked = {(UNITS, layer): layer for layer in LAYERS}
    if one.end:
        asked |= {(ROTATED, layer): name_address(layer, f"rotation:{one.seed}") for layer in LAYERS}
    source = SegmentedSource(GeneratedImages(one.generator, extent.images), open_segmenter())
    few = Confidences(extent.shifts, 20)
    run = dissect(
        one.generator, source, list(asked.values()), convention=CONVENTION, confidences=few, ranks=1
    )
    for (basis, layer), address in asked.items():
        found = run[address]
        assert found.confidence is not None
        chance = float(found.confidence.chance_detectors)
        yield NamedLayer(*_describe(one), basis, layer, chance, list_names(found))


def list_names(layer: LayerDissection) -> list[str]:
    """CATEGORY/CONCEPT of every unit that is a detector, "" of any other."""
    words, labels = layer.vocabulary, layer.labels
    named = [
        words[int(best)] if yes else None for best, yes in zip(labels.best, labels.detector, strict=True)
    ]
    return [f"{one.category}/{one.name}" if one else "" for one in named]


def _keep_quality(one: Compared, folder: Path, extent: Extent) -> list[Quality]:
    path = _place(folder, "quality", extent, one.generator.digest, *_describe(one))

    def measure() -> list[Quality]:
        source = GeneratedImages(one.generator, extent.images)
        images = np.stack([source[place].image for place in range(len(source))])
        return [_score(_describe(one), images, folder, extent)]

    return keep_rows(path, Quality, measure)


def measure_floor(folder: Path, extent: Extent) -> list[Quality]:
    """The same of as many other painted pictures: what nobody's pictures can go below."""

    def measure() -> list[Quality]:
        images = np.array(_paint(folder, extent.images, FLOOR).images)
        return [_score((PAINTED, 0, 0), images, folder, extent)]

    return keep_rows(_place(folder, "floor", extent), Quality, measure)


def _paint(folder: Path, count: int, seed: int) -> Pictures:
    return paint_pictures(PictureSet(GENERATED, count, seed), folder / "pictures", workers=1)


def _score(named: tuple[str, int, int], images: np.ndarray, folder: Path, extent: Extent) -> Quality:
    classifier, segmenter = load_zoo_module("scene-classifier"), load_zoo_module("segmenter")
    assert isinstance(classifier, SceneClassifier)
    assert isinstance(segmenter, SceneSegmenter)
    reference = _read_reference(folder, extent.painted)
    kinds = torch.tensor([SCENES.index(scene) for scene in GENERATED])[
        torch.arange(len(images)) % len(GENERATED)
    ]
    given = to_input(images)
    scores = score_pictures(given, kinds, reference=reference, classifier=classifier, segmenter=segmenter)
    variety = measure_variety(segment(segmenter, given).numpy(), kinds.numpy())
    return Quality(*named, scores.frechet, scores.accuracy, variety)


@lru_cache(maxsize=1)
def _read_reference(folder: Path, count: int) -> Float64[np.ndarray, "n units"]:
    """The features of painted pictures."""
    classifier = load_zoo_module("scene-classifier")
    assert isinstance(classifier, SceneClassifier)
    return read_features(classifier, to_input(_paint(folder, count, REFERENCE).images))


def list_pairs(networks: Sequence[Compared]) -> list[tuple[str, Compared, Compared]]:
    """The pairs whose units are matched, and what their networks differ in.

    Each checkpoint of a training with its end; each two seeds of a variant at the end; each other variant
    with the plain one of the same seed, which started from the same weights.
    """
    ends = {(one.variant, one.seed): one for one in networks if one.end}
    early = [one for one in networks if not one.end]
    pairs = [(STEPS, one, ends[one.variant, one.seed]) for one in early]
    for first, second in combinations(ends.values(), 2):
        if first.variant == second.variant:
            pairs.append((SEEDS, first, second))
        elif first.variant == PLAIN and second.variant in VARIANTS and first.seed == second.seed:
            pairs.append((VARIED, second, first))
    return pairs


def _keep_match(
    differ: str,
    first: Compared,
    second: Compared,
    layers: Sequence[NamedLayer],
    folder: Path,
    extent: Extent,
) -> list[Matched]:
    digests = (first.generator.digest, second.generator.digest)
    path = _place(folder, "pair", extent, differ, *digests, _describe(first), _describe(second))

    def measure() -> list[Matched]:
        one, other = (_read_cached(some.generator, extent.paired) for some in (first, second))
        rows = []
        for layer in LAYERS:
            pairing = pair_units(one[layer], other[layer], len(GENERATED))
            names = [_find_names(layers, some, layer) for some in (first, second)]
            values = (float(pairing.correlation.mean()), float(pairing.other.mean()), pairing.by_lot)
            same = agree(names[0], names[1], pairing)
            pair = (*_describe(first), *_describe(second))
            rows.append(Matched(differ, *pair, layer, *values, pairing.itself, *same))
        return rows

    return keep_rows(path, Matched, measure)


@lru_cache(maxsize=3)
def _read_cached(generator: Generator, count: int) -> dict[str, Maps]:
    return read_maps(generator, LAYERS, count)


def _find_names(layers: Sequence[NamedLayer], one: Compared, layer: str) -> list[str]:
    wanted = (*_describe(one), UNITS, layer)
    [found] = [row for row in layers if (row.variant, row.seed, row.step, row.basis, row.layer) == wanted]
    return list(found.names)
