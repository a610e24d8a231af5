"""Raters that are scripts: one sees the labels, one sees them and makes mistakes, one tosses a coin.

None of them is a person. They show that the measures are right where the answers are known.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import ConceptSource, Example
from unitscope.dissection.result import Dissection
from unitscope.errors import SourceError
from unitscope.experiments.questionnaire import Question, Questionnaire
from unitscope.progress import follow_each

FILLED = 0.25
"""How much of a picture's active pixels a concept must fill to describe them."""


@dataclass(frozen=True, eq=False)
class Oracle:
    """Says yes where the concept fills at least `share` of the active pixels in most of the pictures shown.

    `fills[question]` are the shares that it fills in each; pictures without an active pixel are left out.
    """

    fills: tuple[Float64[np.ndarray, "_"], ...]
    share: float = FILLED

    def __call__(self, question: Question) -> bool:
        """The true answer."""
        fills = self.fills[question.number]
        return bool(2 * (fills >= self.share).sum() > len(fills))


def consult_labels(
    run: Dissection, source: ConceptSource, questionnaire: Questionnaire, share: float = FILLED
) -> Oracle:
    """The oracle of a run's own labels. Raises `SourceError` where the source no longer holds its images."""
    shown = {
        one.number: run[one.layer].exemplars.images[one.unit, : questionnaire.images].tolist()
        for one in questionnaire.questions
    }
    wanted = sorted({image for images in shown.values() for image in images if image >= 0})
    seen: dict[int, list[tuple[Question, int]]] = {image: [] for image in wanted}
    for one in questionnaire.questions:
        for rank, image in enumerate(shown[one.number]):
            if image >= 0:
                seen[image].append((one, rank))
    fills: list[list[float]] = [[] for _ in questionnaire.questions]
    for image in follow_each(wanted, "labels"):
        example = _look_up(run, source, image)
        for one, rank in seen[image]:
            runs = run[one.layer].exemplars.mask_runs(one.unit, rank)
            if len(runs):
                fills[one.number].append(measure_fill(example, one.concept.id, runs))
    return Oracle(tuple(np.array(one) for one in fills), share)


def _look_up(run: Dissection, source: ConceptSource, image: int) -> Example:
    frame: Frame = run.frame
    example = source[image] if image < len(source) else None
    if example is None or example.key != run.keys.get(image, example.key):
        raise SourceError(f"image {image} is not the one that was dissected; give the source of the run")
    return frame.fit(example)


def measure_fill(example: Example, concept: int, runs: np.ndarray) -> float:
    """The share of a mask's pixels that are labelled with a concept; 1 where the whole image is.

    `runs` are the mask's (row, first column, column after the last), at the size of the planes.
    """
    if concept in example.ids:
        return 1.0
    here: Bool[np.ndarray, "row column"] = (example.planes == concept).any(0)
    hits = sum(int(here[row, start:stop].sum()) for row, start, stop in runs.tolist())
    pixels = int((runs[:, 2].astype(np.int64) - runs[:, 1]).sum())
    return hits / pixels


@dataclass(frozen=True)
class Coin:
    """Answers by a coin that is drawn from a seed and a name: yes with chance `chance`."""

    seed: int
    name: str
    chance: float = 0.5

    def __call__(self, question: Question) -> bool:
        """The same for the same question."""
        name = hashlib.sha256(self.name.encode()).digest()
        rng = np.random.default_rng([self.seed, question.number, *name])
        return bool(rng.random() < self.chance)


@dataclass(frozen=True)
class Careless:
    """Knows the truth and gives the opposite answer where the coin says so."""

    truth: Oracle
    slips: Coin

    def __call__(self, question: Question) -> bool:
        """The truth or its opposite."""
        return self.truth(question) != self.slips(question)
