"""What raters are shown: the pictures of all questions, ready to be sent, and how far each rater is."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.result import Dissection
from unitscope.errors import UnitscopeError, UsageError
from unitscope.experiments.questionnaire import Questionnaire
from unitscope.experiments.ratings import Ledger, open_ledger
from unitscope.progress import follow_each
from unitscope.views.app.work_queue import RecentValues
from unitscope.views.palette import category_color
from unitscope.views.report.pictures import QUALITY, find_example, shrink

MOST_RATERS = 500
KINDS = {
    "object": "an object",
    "part": "a part of something",
    "scene": "a kind of place",
    "material": "a material",
    "texture": "a texture",
    "color": "a color",
}
"""Categories as people call them."""


class ConflictError(UnitscopeError):
    """An answer to a question that is not the rater's next, or a different one to a question answered."""


@dataclass(frozen=True, eq=False)
class RatingSession:
    """All that is shown; `tiles` and `masks` (height, width) by question, `pictures` as JPEG by number.

    A tile is a picture's number, its width and height, and the runs of the mask where the unit is active.
    """

    questionnaire: Questionnaire
    ledger: Ledger
    pictures: dict[int, bytes]
    tiles: tuple[tuple[dict[str, Any], ...], ...]
    masks: tuple[tuple[int, int], ...]
    orders: RecentValues[tuple[int, ...]] = field(default_factory=lambda: RecentValues(64))

    def describe(self, rater: str) -> dict[str, Any]:
        """How far a rater is and the question that comes next, ready for JSON."""
        self.ledger.read()
        order, place = self._order(rater), self._place(rater)
        ahead = [tile["picture"] for number in order[place + 1 : place + 2] for tile in self.tiles[number]]
        question = self._describe_question(order[place]) if place < len(order) else None
        return {"name": rater, "place": place, "total": len(order), "question": question, "ahead": ahead}

    def answer(self, rater: str, place: int, yes: bool) -> None:
        """Keeps the answer to question `place` of the rater's order; the same again changes nothing.

        Raises `ConflictError` where another question is next, `UsageError` where there are too many raters.
        """
        self.ledger.read()
        order, next_place = self._order(rater), self._place(rater)
        given = self.ledger.answers.get(rater, {})
        if place == next_place - 1 and given[order[place]] == yes:
            return  # the answer was lost on its way, not the question
        if place != next_place or place >= len(order):
            raise ConflictError(f"{rater} is at question {next_place + 1}, not {place + 1}")
        if not given and len(self.ledger.answers) >= MOST_RATERS:
            raise UsageError(f"{MOST_RATERS} people have answered; no more can")
        self.ledger.write(rater, order[place], yes)

    def take_back(self, rater: str, place: int) -> None:
        """Takes back the last of `place` answers; what is back already stays so. Raises `ConflictError`."""
        self.ledger.read()
        order, next_place = self._order(rater), self._place(rater)
        if place == next_place + 1:
            return
        if place != next_place or place == 0:
            raise ConflictError(f"{rater} has answered {next_place} questions, not {place}")
        self.ledger.write(rater, order[place - 1], None)

    def _order(self, rater: str) -> tuple[int, ...]:
        return self.orders.get(rater, lambda: self.questionnaire.order(rater))

    def _place(self, rater: str) -> int:
        """How many questions the rater has answered in a row."""
        given = self.ledger.answers.get(rater, {})
        order = self._order(rater)
        return next((place for place, number in enumerate(order) if number not in given), len(order))

    def _describe_question(self, number: int) -> dict[str, Any]:
        """A question without what would give the answer away: its kind, unit, IoU."""
        concept = self.questionnaire[number].concept
        return {
            "phrase": concept.label,
            "category": KINDS.get(concept.category, concept.category),
            "color": category_color(concept.category),
            "mask": self.masks[number],
            "tiles": self.tiles[number],
        }


def open_session(
    run: Dissection, source: ConceptSource, questionnaire: Questionnaire, folder: str | Path
) -> RatingSession:
    """Everything ready to be asked; answers are kept in `folder`, and those that it has count.

    Raises `SourceError` where the source no longer holds the images, `RunError` where the folder has answers
    to other questions or cannot be written.
    """
    ledger = open_ledger(questionnaire, Path(folder))
    shown = []  # rank and number of the top images of every question's unit
    for one in questionnaire.questions:
        images = run[one.layer].exemplars.images[one.unit, : questionnaire.images].tolist()
        shown.append([(rank, image) for rank, image in enumerate(images) if image >= 0])
    pictures: dict[int, bytes] = {}
    sizes: dict[int, tuple[int, int]] = {}
    wanted = sorted({image for images in shown for _, image in images})
    for index in follow_each(wanted, "pictures"):
        picture = shrink(find_example(source, index, run.keys.get(index)).image, run.frame)
        written = io.BytesIO()
        picture.save(written, "JPEG", quality=QUALITY)
        pictures[index], sizes[index] = written.getvalue(), picture.size
    tiles = tuple(
        tuple(
            {"picture": image, "width": sizes[image][0], "height": sizes[image][1],
             "runs": run[one.layer].exemplars.mask_runs(one.unit, rank).ravel().tolist()}
            for rank, image in images
        )
        for one, images in zip(questionnaire.questions, shown, strict=True)
    )  # fmt: skip
    masks = tuple(run[one.layer].mask_size for one in questionnaire.questions)
    return RatingSession(questionnaire, ledger, pictures, tiles, masks)
