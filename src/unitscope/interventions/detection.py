"""A unit as a detector: its peak tells images with a concept from those without (paper B, figs 1f, 3f)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from unitscope.concepts.vocabulary import Concept, ConceptSource, Example, Vocabulary, find_named
from unitscope.dissection.matching import find_detectors, find_layer
from unitscope.dissection.result import Dissection
from unitscope.dissection.units import name_unit
from unitscope.errors import SourceError, UsageError, check_seed
from unitscope.interventions.detectors import (
    Answers,
    Detectors,
    Peaks,
    Sample,
    score_units,
    shuffle_control,
    sort_answers,
)
from unitscope.networks.addresses import count_heads
from unitscope.networks.feeding import read_peaks
from unitscope.networks.generators import check_source, find_generated, pair_generator
from unitscope.networks.network import Network
from unitscope.networks.trace import tap
from unitscope.networks.unit_maps import read_units
from unitscope.progress import follow_each
from unitscope.results import Result
from unitscope.tables import Table, align, clean

LEAST = 10
"""The fewest images with a concept, and without, that a detector is judged by."""
COLUMNS = ("unit", "label", "threshold", "fitted", "balanced_accuracy", "low", "high", "auroc")


@dataclass(frozen=True, eq=False)
class Detection(Result):
    """The units of a layer as detectors of a concept; made by `detect`.

    `units` are those shown, in order; `labels` are those that a run gives to detectors of its own, by unit;
    `shuffled` are the figures of the best unit shown where labels mean nothing. `peaks` are those of the
    images of `sample`, which are of `source`. Of a layer of `heads` of attention units are called HEAD.UNIT.
    The main table has a row a unit; the page is two `pictures`.
    """

    layer: str
    source: ConceptSource
    sample: Sample
    peaks: Peaks
    detectors: Detectors
    units: Sequence[int]
    labels: Mapping[int, Concept]
    shuffled: Float64[np.ndarray, "draw"]
    heads: int = 0

    files = ("detectors.csv",)
    pictures = ("jitter.svg", "answers.png")

    @property
    def chance(self) -> float:
        """The balanced accuracy of a random unit of the layer."""
        return float(self.detectors.balanced.mean())

    @property
    def luck(self) -> tuple[float, float]:
        """The mean of the control with shuffled labels, and what 95 % of its draws stay below."""
        return float(self.shuffled.mean()), float(np.quantile(self.shuffled, 0.95))

    @property
    def answers(self) -> Answers:
        """How the first unit shown answers to each image measured."""
        return sort_answers(self.peaks, self.sample, self.detectors, self.units[0])

    def label(self, unit: int) -> str:
        """What a run calls a unit, empty where it does not."""
        return self.labels[unit].label if unit in self.labels else ""

    def name_unit(self, unit: int) -> str:
        """What a unit is called: its number, or HEAD.UNIT where units belong to heads of attention."""
        return name_unit(unit, len(self.detectors), self.heads)

    def tables(self) -> dict[str, Table]:
        """All units, the best first."""
        return {"detectors.csv": self._lay_out(self.detectors.order.tolist())}

    def _lay_out(self, units: Sequence[int]) -> Table:
        figures = vars(self.detectors).values()
        rows = ((unit, self.label(unit), *(float(one[unit]) for one in figures)) for unit in units)
        table = Table(COLUMNS, tuple(rows), left=(1,), digits=9)
        return table.extend("head_unit", map(self.name_unit, units)) if self.heads else table

    def text(self) -> str:
        """The units shown, and how far luck goes."""
        found, half, named = self.detectors, len(self.sample) // 4, bool(self.labels)
        head = ["unit", *(["label"] if named else []), "threshold"]
        rows = [[*head, "balanced accuracy", "95 % interval", "AUROC"]]
        for unit in self.units:
            row = [
                self.name_unit(unit),
                *([self.label(unit) or "-"] if named else []),
                f"{found.threshold[unit]:.4g}",
            ]
            row += [f"{found.balanced[unit]:.3f}", f"{found.low[unit]:.3f} to {found.high[unit]:.3f}"]
            rows.append([*row, f"{found.auroc[unit]:.3f}"])
        (mean, high), answers, name = self.luck, self.answers, clean(self.sample.name)
        best = "the best unit" if len(self.units) > 1 else f"unit {self.name_unit(self.units[0])}"
        return (
            f"{name}: {2 * half} images with, {2 * half} without; threshold and order from one half, "
            f"the rest from the other\n\n{align(rows, left=(1,) if named else ())}\n\n"
            f"unit {self.name_unit(answers.unit)} is silent in {len(answers.silent)} of {half} images "
            f"with {name}, and high in {len(answers.alarms)} of {half} without\n"
            f"a unit by lot: {self.chance:.3f}, the mean of {len(found)} units\n"
            f"{best} with labels shuffled: {mean:.3f}, below {high:.3f} in 95 of 100 draws"
        )

    def describe(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        (mean, high), answers = self.luck, self.answers
        return {
            "layer": self.layer,
            "concepts": [f"{concept.category}/{concept.label}" for concept in self.sample.concepts],
            "images": len(self.sample) // 2,
            "units": self._lay_out(self.units).records(),
            "silent": {"unit": answers.unit, "images": answers.silent.tolist()},
            "alarms": {"unit": answers.unit, "images": answers.alarms.tolist()},
            "mean_of_units": self.chance,
            "shuffled": {"mean": mean, "quantile_95": high, "draws": len(self.shuffled)},
        }


def detect(
    network: Network,
    layer: str,
    source: ConceptSource,
    concepts: str | Sequence[str],
    *,
    unit: int | None = None,
    top: int = 10,
    run: Dissection | None = None,
    most: int = 1000,
    share: float | None = None,
    seed: int = 0,
) -> Detection:
    """Does a unit's peak tell images with a concept from those without (paper B, figs 1f and 3f)?

    Every unit gets the threshold that tells best on one half of at most `most` images with and as many
    without, drawn by `seed`, and is measured on the other half (`score_units`). `layer` may be NAME@in, what
    the layer is given. Of several `concepts`, any counts; each is a name or CATEGORY/NAME. `share` is the
    fraction of an image's pixels that a concept must have, by default 0.01, in images of a generator 0.05, as
    in paper B. The result shows `unit`, or the `top` best; `run` names them. Raises `UsageError` for a layer,
    unit, concept or number that cannot be, or a run of another network, `SourceError` for too few images.
    """
    if top < 1:
        raise UsageError(f"top is {top}; wanted 1 unit or more")
    check_units(network, layer, unit)
    labels = {} if run is None else find_detectors(find_layer(run, network, layer))
    heads = count_heads(network, layer)
    network, source = pair_generator(network, source)
    if share is None:
        share = 0.01 if find_generated(source) is None else 0.05
    names = [concepts] if isinstance(concepts, str) else concepts
    sample, peaks = detect_concept(network, layer, source, names, most=most, share=share, seed=seed)
    detectors = score_units(peaks, sample, seed=seed)
    units = detectors.order[:top].tolist() if unit is None else [unit]
    shuffled = shuffle_control(peaks if unit is None else peaks[:, [unit]], sample, seed=seed)
    return Detection(layer, source, sample, peaks, detectors, units, labels, shuffled, heads)


def check_units(network: Network, layer: str, unit: int | None = None) -> int:
    """How many units a layer has, found out with one blank image; NAME@in reads what it is given.

    Raises `UsageError` for an unknown layer, or a `unit` that it does not have.
    """
    with tap(network, [layer]) as read:
        batch = network.blank()
        count = read_units(read(batch)[layer], network.layout(batch), layer).shape[1]
    if unit is not None and not 0 <= unit < count:
        raise UsageError(f"layer {layer} has units 0 to {count - 1}, not {unit}")
    return int(count)


def draw_sample(
    source: ConceptSource,
    concepts: Sequence[Concept],
    *,
    most: int = 1000,
    share: float = 0.01,
    seed: int = 0,
) -> Sample:
    """As many images with a concept as without, at most `most` of either, drawn by `seed`.

    An image is *with* if the concept is a label of the whole image, or of at least `share` of its pixels that
    are not void. It is *without* if none of its labels is the concept, but some label is of the same
    category: else nobody looked for it. If the category has no other concept, every image lacking it is
    without. Images in between, with fewer pixels of it, are left out. Raises `UsageError` for numbers out of
    range, `SourceError` where there are fewer than `LEAST` of either.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"the share of pixels is {share:g}; it goes from 0 (any pixel) to 1")
    if most < LEAST:
        raise UsageError(f"at most {most} images of either kind; wanted {LEAST} or more")
    check_seed(seed)
    codes = _code_labels(source.vocabulary, concepts)
    found = [_judge(source[index], codes, share) for index in follow_each(range(len(source)), "labels")]
    return choose_images(found, concepts, most=most, share=share, seed=seed)


def choose_images(
    found: Sequence[bool | None],
    concepts: Sequence[Concept],
    *,
    most: int = 1000,
    share: float = 0.01,
    seed: int = 0,
) -> Sample:
    """A sample of images of which it is known whether each is with (True), without (False), or neither.

    Raises `SourceError` where there are fewer than `LEAST` of either.
    """
    kinds = [np.array([i for i, one in enumerate(found) if one is kind], np.int64) for kind in (True, False)]
    name = " or ".join(concept.label for concept in concepts)
    if min(map(len, kinds)) < LEAST:
        raise SourceError(
            f"{name!r} is in {len(kinds[0])} of {len(found)} images (on {share:.3g} of the pixels or more), "
            f"{len(kinds[1])} are without; wanted {LEAST} of either: give more images or another share"
        )
    rng = np.random.default_rng(seed)
    half = min(most, *map(len, kinds)) // 2
    drawn = [rng.permutation(kind)[: 2 * half] for kind in kinds]
    images = np.concatenate(drawn)
    order = np.argsort(images)
    place = np.arange(len(images))[order]
    return Sample(tuple(concepts), images[order], place < 2 * half, place % (2 * half) < half)


def judge_all(source: ConceptSource, share: float = 0.01) -> dict[int, list[bool | None]]:
    """Which images are with each concept, without it, or neither, by its id: what `draw_sample` goes by.

    All concepts are judged in one pass over the images, each by itself.
    """
    words = source.vocabulary
    found = {one.id: list[bool | None]() for one in words}
    sizes = Counter(one.category for one in words)
    for index in follow_each(range(len(source)), "labels"):
        example = source[index]
        planes = example.planes
        known = np.ones(planes.shape[1:], bool) if example.void is None else ~example.void
        labeled = np.where(known, planes, 0)
        pixels = {
            int(one): int((labeled == one).any(0).sum()) for one in np.unique(labeled) if one and len(planes)
        }
        looked = {words[one].category for one in (*example.ids, *pixels) if one in words}
        for one in words:
            count = pixels.get(one.id, 0)
            if one.id in example.ids:
                found[one.id].append(True)
            elif count:
                found[one.id].append(True if count >= share * int(known.sum()) else None)
            else:  # the only concept of a category: nothing else could say that somebody looked
                found[one.id].append(False if one.category in looked or sizes[one.category] == 1 else None)
    return found


def _code_labels(vocabulary: Vocabulary, concepts: Sequence[Concept]) -> np.ndarray:
    """uint8[id]: 2 for the concepts, 1 for others of their categories, 0 for the rest."""
    codes = np.zeros(vocabulary.size, np.uint8)
    categories = {concept.category for concept in concepts}
    codes[[one.id for one in vocabulary if one.category in categories]] = 1
    codes[[concept.id for concept in concepts]] = 2
    if not (codes == 1).any():
        codes[codes == 0] = 1  # no other concept could say that somebody looked: no label says it
    return codes


def _judge(example: Example, codes: np.ndarray, share: float) -> bool | None:
    """Whether an image is with the concept (True), without (False), or neither."""
    whole = max(int(codes[one]) for one in (0, *example.ids))
    if whole == 2:
        return True
    if not example.planes.shape[0]:
        return False if whole else None
    seen = codes[example.planes].max(0)
    known = np.ones(seen.shape, bool) if example.void is None else ~example.void
    pixels = int((seen[known] == 2).sum())
    if pixels:
        return True if pixels >= share * int(known.sum()) else None
    return False if whole or seen[known].any() else None


def detect_concept(
    network: Network,
    layer: str,
    source: ConceptSource,
    names: Sequence[str],
    *,
    most: int = 1000,
    share: float = 0.01,
    seed: int = 0,
) -> tuple[Sample, Peaks]:
    """The sample of a concept in a source, and the peaks of a layer's units in its images.

    Raises what `find_named`, `draw_sample` and `read_peaks` raise, and `UsageError` where a generator is
    to look at images that it did not make.
    """
    check_source(network, source)
    concepts = find_named(source.vocabulary, names)
    kept = _Kept(source)
    sample = draw_sample(kept, concepts, most=most, share=share, seed=seed)
    return sample, read_peaks(network, layer, kept, sample.images.tolist())


class _Kept:
    """A source that is read once: from the second time on an example comes from memory, without pixel labels.

    Images that find no room there are read again.
    """

    def __init__(self, source: ConceptSource, room: int = 512 << 20) -> None:
        self.source, self.room = source, room
        self.examples: dict[int, Example] = {}

    @property
    def vocabulary(self) -> Vocabulary:
        return self.source.vocabulary

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int, /) -> Example:
        if index in self.examples:
            return self.examples[index]
        example = self.source[index]
        if example.image.nbytes <= self.room:
            self.room -= example.image.nbytes
            self.examples[index] = Example(example.key, example.image, ids=example.ids)
        return example
