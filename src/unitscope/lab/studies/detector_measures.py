"""One unit as a detector: named on some images, its threshold from others, measured on yet others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Int64

from unitscope.concepts.derived import DerivedSource, source_digest
from unitscope.concepts.union.synonyms import open_thesaurus
from unitscope.concepts.vocabulary import Concept, ConceptSource, Vocabulary
from unitscope.dissection.activations import read_activations
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import LayerDissection
from unitscope.errors import SourceError
from unitscope.interventions.detection import choose_images, judge_all
from unitscope.interventions.detectors import Peaks, Sample, score_units, shuffle_control
from unitscope.lab.studies.held_images import Held
from unitscope.networks.generators import pair_generator
from unitscope.networks.network import Network
from unitscope.progress import follow_each

INSIDE = "inside"
"""Where images are like those that units were named on, and their thresholds found."""
CATEGORIES = ("object", "part", "scene")
"""What is detected: things and places, whose labels hold in any light and color."""
SAME = open_thesaurus({"person": ["body"]})
"""Names that mean the same in several sets; msrc calls a person a body."""
NAN = float("nan")


@dataclass(frozen=True)
class DetectorRow:
    """How well one unit tells images with a concept from those without, in balanced accuracies.

    There are `images` of either kind; thresholds come from one half, figures from the other. Of the unit
    with the highest IoU over other images (`unit`, `iou`):

    - `named`: its threshold is sought here, as in paper B; `low` to `high` is its 95 % interval, `auroc` the
      area under its curve, `silent` the share of images with the concept that it misses;
    - `moved`: its threshold is the one found inside; over all images, NaN inside.

    For comparison the unit that is best on the first half: `chosen`, and `chosen_same`, on that half itself,
    which choosing feigns; `lot`, the mean over all units; `shuffled`, the best unit where labels are
    shuffled, and `shuffled_high`, what 95 % of its draws stay below; `logit`, the best output unit, or the
    class of that name, chosen on the first half.
    """

    subject: str
    place: str
    seed: int
    category: str
    concept: str
    images: int
    unit: int
    iou: float
    named: float
    low: float
    high: float
    auroc: float
    silent: float
    moved: float
    chosen: float
    chosen_same: float
    lot: float
    shuffled: float
    shuffled_high: float
    logit: float


@dataclass(frozen=True)
class Limits:
    """How many images of either kind are wanted, and taken; the share of pixels; draws of the control."""

    least: int = 20
    most: int = 400
    share: float = 0.01
    draws: int = 20


@dataclass(frozen=True, eq=False)
class Home:
    """A layer whose units are named over `naming`, and measured over `inside` and over sources outside.

    `output` is the layer of the class logits, empty for a network without. `read` reads a place where it is
    not `read_place`.
    """

    title: str
    layer: str
    network: Network
    naming: ConceptSource
    inside: ConceptSource
    outside: Mapping[str, ConceptSource] = field(default_factory=dict)
    output: str = ""
    read: "Callable[[Home, ConceptSource], Place] | None" = None
    convention: str = "netdissect"
    limits: Limits = Limits()


@dataclass(frozen=True, eq=False)
class Place:
    """The images of one place: the peaks of all units and of all output units in each.

    `found` says by concept which images are with it, which without (`judge_all`).
    """

    vocabulary: Vocabulary
    found: Mapping[int, Sequence[bool | None]]
    peaks: Peaks
    logits: Float32[np.ndarray, "image class"] | None

    def take(self, images: Int64[np.ndarray, "some"]) -> "Place":
        """The same of some of the images."""
        found = {concept: [one[image] for image in images] for concept, one in self.found.items()}
        logits = None if self.logits is None else self.logits[images]
        return Place(self.vocabulary, found, self.peaks[images], logits)


def measure_home(home: Home, seed: int) -> list[DetectorRow]:
    """A row for every concept and place that has enough images with and without it.

    Raises what `dissect` and `read_activations` raise.
    """
    network, naming = pair_generator(home.network, home.naming)  # each source has latents of its own
    run = dissect(
        network,
        naming,
        [home.layer],
        convention=home.convention,
        confidences=Confidences(0, 1),
        ranks=1,
        label_sets=False,
    )[home.layer]
    places = {INSIDE: home.inside, **home.outside}
    read = {name: (home.read or read_place)(home, source) for name, source in places.items()}
    rows = list[DetectorRow]()
    asked = [one for one in run.vocabulary if one.category in CATEGORIES]
    for concept in follow_each(asked, f"detectors, {home.title}", "concepts"):
        if run.iou[:, concept.id].max() > 0:
            rows += _measure_concept(home, run, concept, read, seed)
    return rows


def read_place(home: Home, source: ConceptSource) -> Place:
    """Peaks of all units in all images of a source, read in one pass, and its labels."""
    layers = [home.layer, *([home.output] if home.output else [])]
    network, held = pair_generator(home.network, Held(source))
    parts = [
        {layer: maps.max((2, 3)) for layer, maps in part.items()}
        for part in read_activations(network, held, layers)
    ]
    peaks = {layer: np.concatenate([part[layer] for part in parts]) for layer in layers}
    found = judge_all(held, home.limits.share)
    return Place(held.vocabulary, found, peaks[home.layer], peaks[home.output] if home.output else None)


class KeptPlaces:
    """Reads places, each source but once; of a half of one of `wholes` it takes what the whole has."""

    def __init__(self, wholes: Sequence[ConceptSource]) -> None:
        self.wholes = wholes
        self.kept: dict[tuple[str, str, str], Place] = {}

    def __call__(self, home: Home, source: ConceptSource) -> Place:
        """What `read_place` gives."""
        if isinstance(source, DerivedSource) and any(source.source is one for one in self.wholes):
            whole = self(home, source.source)
            return whole.take(np.array([source.place(index) for index in range(len(source))]))
        key = (home.network.digest, home.layer, source_digest(source))
        if key not in self.kept:
            self.kept[key] = read_place(home, source)
        return self.kept[key]


def match_concept(vocabulary: Vocabulary, concept: Concept) -> Concept | None:
    """The concept of the same category and meaning in another vocabulary, if it has one.

    >>> words = Vocabulary((Concept(5, "airplane", "object"), Concept(6, "sky-s", "scene")))
    >>> match_concept(words, Concept(1, "aeroplane", "object")).id
    5
    >>> match_concept(words, Concept(2, "sky", "object")) is None
    True
    """
    name = SAME.unify(concept)
    same = (one for one in vocabulary if one.category == concept.category)
    return next((one for one in same if SAME.unify(one) == name), None)


def _measure_concept(
    home: Home, run: LayerDissection, concept: Concept, read: Mapping[str, Place], seed: int
) -> list[DetectorRow]:
    rows, threshold = list[DetectorRow](), NAN
    for name, place in read.items():
        here = match_concept(place.vocabulary, concept)
        sample = None if here is None else draw_half(place, here, home.limits, seed)
        if sample is None:
            if name == INSIDE:
                return []
            continue
        unit = int(run.iou[:, concept.id].argmax())
        peaks = place.peaks[sample.images]
        found = score_units(peaks, sample, seed=seed)
        if name == INSIDE:
            threshold = float(found.threshold[unit])
        moved = NAN if name == INSIDE else balance(peaks[:, unit] > threshold, sample.present)
        above = peaks[~sample.fitting & sample.present, unit] > found.threshold[unit]
        shuffled = shuffle_control(peaks, sample, draws=home.limits.draws, seed=seed)
        best = int(found.order[0])
        rows.append(
            DetectorRow(
                *(home.title, name, seed, concept.category, concept.label, len(sample) // 2, unit),
                iou=float(run.iou[unit, concept.id]),
                named=float(found.balanced[unit]),
                low=float(found.low[unit]),
                high=float(found.high[unit]),
                auroc=float(found.auroc[unit]),
                silent=float(1 - above.mean()),
                moved=moved,
                chosen=float(found.balanced[best]),
                chosen_same=float(found.fitted[best]),
                lot=float(found.balanced.mean()),
                shuffled=float(shuffled.mean()),
                shuffled_high=float(np.quantile(shuffled, 0.95)),
                logit=_measure_logit(home.network, place, sample, concept, seed),
            )
        )
    return rows


def draw_half(place: Place, concept: Concept, limits: Limits, seed: int) -> Sample | None:
    """Images with and without a concept, as `draw_sample` draws them; None where there are too few."""
    found = place.found[concept.id]
    try:
        sample = choose_images(found, [concept], most=limits.most, share=limits.share, seed=seed)
    except SourceError:
        return None
    return sample if len(sample) // 2 >= limits.least else None


def _measure_logit(network: Network, place: Place, sample: Sample, concept: Concept, seed: int) -> float:
    """The output unit of the class of that name, or else the best on the fitting half, on the other."""
    if place.logits is None:
        return NAN
    found = score_units(place.logits[sample.images], sample, replicates=1, seed=seed)
    names = [one.replace("_", " ") for one in network.classes]
    own = concept.category == "scene" and concept.label in names
    return float(found.balanced[names.index(concept.label) if own else int(found.order[0])])


def balance(above: Bool[np.ndarray, "image"], present: Bool[np.ndarray, "image"]) -> float:
    """The balanced accuracy of answers.

    >>> balance(np.array([True, False, False]), np.array([True, True, False]))
    0.75
    """
    return float((above[present].mean() + 1 - above[~present].mean()) / 2)
