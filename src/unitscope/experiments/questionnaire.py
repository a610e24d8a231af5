"""What raters are asked: does a phrase describe where a unit is active? With repeats and decoys among it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.matching import pick_layer
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import UsageError

Kind = Literal["label", "repeat", "decoy"]
"""A unit with its label; the same question again, later; a unit with the label of another one."""

UNITS, REPEATS, DECOYS, IMAGES = 32, 8, 8, 9
GAP = 8
"""A repeat comes so many questions after the first time, or more; a third of all where there are few."""
FALSE_IOU = 0.01
FALSE_SHARE = 0.02
"""The phrase of a decoy has a lower IoU with the unit, and fills less of the pixels where it is active."""
FORMAT = 1


@dataclass(frozen=True)
class Question:
    """One question: does `concept` describe what unit `unit` of `layer` is active on?

    `first` is the number of the question that this one repeats, or its own. `iou` and `detector` are those of
    the unit with its label, whatever the phrase is. `weight` says for how many units of its layer the unit
    stands: the units of its kind (detectors, or others) over those of them that are asked about.
    """

    number: int
    first: int
    kind: Kind
    layer: str
    unit: int
    concept: Concept
    iou: float
    detector: bool
    weight: float


@dataclass(frozen=True)
class Questionnaire:
    """All questions about one run, by number; `images` top images of the unit are shown with each.

    `run` tells runs apart, `cutoff` is the IoU above which the run calls a unit a detector, and `seed` is
    what units, phrases and orders were drawn from.
    """

    run: str
    cutoff: float
    seed: int
    images: int
    questions: tuple[Question, ...]

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, number: int) -> Question:
        return self.questions[number]

    @cached_property
    def labels(self) -> tuple[Question, ...]:
        """The questions about units with their own labels, asked the first time."""
        return self.of("label")

    def of(self, kind: Kind) -> tuple[Question, ...]:
        """The questions of a kind, by number."""
        return tuple(one for one in self.questions if one.kind == kind)

    def order(self, rater: str) -> tuple[int, ...]:
        """The numbers of all questions in the order in which a rater gets them.

        Drawn from the seed and the rater's name. A repeat comes at least `GAP` questions after the first
        time, or a third of all where there are fewer than three times as many.
        """
        name = hashlib.sha256(rater.encode()).digest()
        rng = np.random.default_rng([self.seed, *name])
        repeats = {one.first: one.number for one in self.of("repeat")}
        placed = rng.permutation([one.number for one in self.questions if one.kind != "repeat"]).tolist()
        gap = min(GAP, len(placed) // 3)
        early = [place for place in range(len(placed) - gap) if placed[place] not in repeats]
        for place in range(len(placed) - gap, len(placed)):
            if placed[place] in repeats and early:
                other = early.pop(int(rng.integers(len(early))))
                placed[place], placed[other] = placed[other], placed[place]
        for first in rng.permutation(sorted(repeats)).tolist():
            least = min(placed.index(first) + gap, len(placed))
            placed.insert(int(rng.integers(least, len(placed) + 1)), repeats[first])
        return tuple(placed)

    def json(self) -> dict[str, Any]:
        """Ready for JSON; `parse_questionnaire` reads it."""
        return {"format": FORMAT, **asdict(self)}


def parse_questionnaire(text: str) -> Questionnaire:
    """What `Questionnaire.json` gave. Raises `UsageError` for anything else."""
    try:
        read = json.loads(text)
        if read.pop("format") != FORMAT:
            raise ValueError(f"another format than {FORMAT}")
        questions = [{**one, "concept": Concept(**one["concept"])} for one in read.pop("questions")]
        found = Questionnaire(questions=tuple(Question(**one) for one in questions), **read)
        if [one.number for one in found.questions] != list(range(len(found))):
            raise ValueError("the questions are not numbered from 0")
        if any(not 0 <= one.first <= one.number for one in found.questions):
            raise ValueError("a question repeats one that is not there")
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UsageError(f"no questionnaire: {error}") from error
    return found


def draw_questions(
    run: Dissection,
    *,
    layers: Sequence[str] | None = None,
    units: int | None = UNITS,
    repeats: int = REPEATS,
    decoys: int = DECOYS,
    images: int = IMAGES,
    seed: int = 0,
) -> Questionnaire:
    """Questions about `units` units of some layers, by lot; about all that have a label for None.

    Layers get as many units each, half of them detectors and half not, where there are enough. `repeats`
    questions are asked twice. `decoys` show units that are asked about with the label of another unit that
    surely does not describe them (IoU below `FALSE_IOU`, share of the active pixels below `FALSE_SHARE`).
    Raises `UsageError` for layers that the run does not have and numbers that cannot be.
    """
    names = list(run) if layers is None else list(dict.fromkeys(layers))
    for name in names:
        pick_layer(run, name)
    given = {"units": units, "images": images, "repeats": repeats, "decoys": decoys, "seed": seed}
    for option, value in given.items():
        least = int(option in ("units", "images"))
        if value is not None and value < least:
            raise UsageError(f"{option} is {value}; wanted {least} or more")
    rng = np.random.default_rng([seed, 10])
    strata = [stratum for name in names for stratum in _split_layer(run[name])]
    asked: list[tuple[str, int, float]] = []
    for (layer, numbers), count in zip(strata, _deal([len(s[1]) for s in strata], units), strict=True):
        if count:
            chosen = np.sort(rng.choice(numbers, count, replace=False)).tolist()
            asked += [(layer, unit, len(numbers) / count) for unit in chosen]
    if not asked:
        raise UsageError(f"no unit of {', '.join(names)} has a label and a picture; nothing can be asked")
    if repeats > len(asked):
        raise UsageError(f"repeats is {repeats}; wanted {len(asked)} at most, the units asked about")
    made: list[Question] = []

    def ask(kind: Kind, layer: str, unit: int, concept: Concept, weight: float, first: int = -1) -> None:
        found, number = run[layer].labels, len(made)
        iou, detector = float(found.best_iou[unit]), bool(found.detector[unit])
        first = number if first < 0 else first
        made.append(Question(number, first, kind, layer, unit, concept, iou, detector, weight))

    for layer, unit, weight in asked:
        ask("label", layer, unit, run.vocabulary[int(run[layer].labels.best[unit])], weight)
    for first in np.sort(rng.choice(len(asked), repeats, replace=False)).tolist():
        one = made[first]
        ask("repeat", one.layer, one.unit, one.concept, one.weight, first)
    for layer, unit, concept in _draw_decoys(run, asked, names, decoys, rng):
        ask("decoy", layer, unit, concept, 0.0)
    recipe = json.dumps(run.recipe.record(), sort_keys=True, default=str)
    identity = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return Questionnaire(identity, run.convention.iou_cutoff, seed, images, tuple(made))


def _split_layer(layer: LayerDissection) -> list[tuple[str, Int64[np.ndarray, "unit"]]]:
    """The detectors of a layer, and its other units with a label and a picture."""
    labels = layer.labels
    seen = (labels.best > 0) & (layer.exemplars.images >= 0).any(1)
    return [(layer.layer, np.flatnonzero(seen & of_kind)) for of_kind in (labels.detector, ~labels.detector)]


def _deal(sizes: Sequence[int], count: int | None) -> list[int]:
    """How many each of some piles gives: one in turn, until `count` are dealt or all are empty.

    >>> _deal([1, 5, 9], 8), _deal([1, 5], None)
    ([1, 4, 3], [1, 5])
    """
    if count is None:
        return list(sizes)
    given = [0] * len(sizes)
    while sum(given) < min(count, sum(sizes)):
        for pile, size in enumerate(sizes):
            if given[pile] < size and sum(given) < count:
                given[pile] += 1
    return given


def _draw_decoys(
    run: Dissection,
    asked: Sequence[tuple[str, int, float]],
    layers: Sequence[str],
    count: int,
    rng: np.random.Generator,
) -> list[tuple[str, int, Concept]]:
    """Units that are asked about, each once, with the label of another unit that surely does not fit."""
    used = np.unique(np.concatenate([run[name].labels.best for name in layers]))
    found: list[tuple[str, int, Concept]] = []
    for place in rng.permutation(len(asked)).tolist():
        if len(found) == count:
            break
        layer, unit, _ = asked[place]
        one = run[layer]
        share = one.intersections[unit, used] / max(int(one.active[unit]), 1)
        false = used[(used > 0) & (one.iou[unit, used] < FALSE_IOU) & (share < FALSE_SHARE)]
        if len(false):
            found.append((layer, unit, run.vocabulary[int(rng.choice(false))]))
    if len(found) < count:
        raise UsageError(
            f"decoys is {count}; only {len(found)} of the units asked about can have one, "
            "with a label of the run that surely does not describe them; ask for fewer, or about more units"
        )
    return found
