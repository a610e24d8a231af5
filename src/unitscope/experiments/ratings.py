"""What raters answered: a file that grows by a line an answer, so that nothing is ever lost."""

import csv
import json
import os
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int8

from unitscope.errors import RunError, UsageError, writing
from unitscope.experiments.questionnaire import Kind, Question, Questionnaire, parse_questionnaire
from unitscope.files import write_whole
from unitscope.tables import guard_cell, spell_csv

Answers = Mapping[str, Mapping[int, bool]]
"""By rater and number of the question: whether the phrase describes the unit."""

HEAD = ("rater", "question", "answer")
LONGEST_NAME = 40
_WORDS = {"yes": True, "no": False, "undo": None}
_QUESTIONS, _ANSWERS = "questions.json", "answers.csv"


@dataclass
class Ledger:
    """The answers in a file, by rater. The file is the truth: what it holds counts, also after a kill.

    A line is a rater, the number of a question, and yes, no or undo; a later one replaces an earlier one.
    """

    path: Path
    questions: int
    answers: dict[str, dict[int, bool]] = field(default_factory=dict)
    _seen: int = 0

    def read(self) -> None:
        """Reads the lines that are new since the last time, also those of another server.

        Raises `RunError` for a file that cannot be read or holds anything else.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._seen)
                data = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"cannot read {self.path}: {error.strerror or error}") from error
        for line in data.split(b"\n")[:-1]:
            if self._seen:
                self._take(line.removesuffix(b"\r"))
            self._seen += len(line) + 1

    def _take(self, line: bytes) -> None:
        try:
            [[rater, number, word]] = csv.reader([line.decode()])
            question, answer = int(number), _WORDS[word]
            if not 0 <= question < self.questions:
                raise ValueError(f"there is no question {question}")
        except (KeyError, ValueError, csv.Error) as error:
            seen = repr(line.decode(errors="replace"))[:80]
            raise RunError(
                f"{self.path} has the line {seen}, which is no answer to these questions; "
                "take it out, or name another folder with --out"
            ) from error
        given = self.answers.setdefault(rater.removeprefix("'"), {})
        if answer is None:
            given.pop(question, None)
        else:
            given[question] = answer

    def repair(self) -> None:
        """Cuts off the beginning of a line that a kill left unfinished. Raises `RunError` where it cannot."""
        if self.path.exists():
            with writing(self.path), self.path.open("r+b") as file:
                file.truncate(file.read().rfind(b"\n") + 1)

    def write(self, rater: str, question: int, answer: bool | None) -> None:
        """Adds an answer, None to take one back; it is on the disk when this returns.

        Raises `RunError` where it cannot be written.
        """
        word = next(word for word, value in _WORDS.items() if value is answer)
        lines = [*([] if self._seen else [HEAD]), (guard_cell(rater), str(question), word)]
        with writing(self.path, "free some space"), self.path.open("ab") as file:
            file.write(spell_csv(lines).encode())
            file.flush()
            os.fsync(file.fileno())
        self.read()


def open_ledger(questionnaire: Questionnaire, folder: Path) -> Ledger:
    """The answers in a folder to these questions, which are written there the first time.

    Raises `RunError` where the folder holds other questions, or cannot be written or read.
    """
    place = folder / _QUESTIONS
    if place.exists():
        if (old := _read_questions(place)) != questionnaire:
            raise RunError(
                f"{folder} holds other questions ({_name_difference(old, questionnaire)}); "
                "give the same options as then, or another folder with --out"
            )
    else:
        write_whole(place, json.dumps(questionnaire.json(), indent=1) + "\n")
    ledger = Ledger(folder / _ANSWERS, len(questionnaire))
    ledger.repair()
    ledger.read()
    return ledger


def _name_difference(old: Questionnaire, new: Questionnaire) -> str:
    if old.run != new.run:
        return "about another run"
    for name in ("seed", "images"):
        if getattr(old, name) != getattr(new, name):
            return f"--{name} {getattr(old, name)}"
    kinds: tuple[tuple[Kind, str], ...] = (("label", "units"), ("repeat", "repeats"), ("decoy", "decoys"))
    for kind, option in kinds:
        if (count := len(old.of(kind))) != len(new.of(kind)):
            return f"--{option} {count}"
    return "other layers"


def find_folder(place: Path) -> Path:
    """The folder of the ratings in a run's folder, or that folder itself. Raises `RunError` for others."""
    for folder in (place, place / "ratings"):
        if (folder / _QUESTIONS).is_file():
            return folder
    raise RunError(f"{place} holds no ratings; make some with `unitscope rate {place}`")


def load_ratings(folder: Path) -> tuple[Questionnaire, Answers]:
    """The questions and answers in a folder. Raises `RunError` where there are none, or broken ones."""
    questionnaire = _read_questions(folder / _QUESTIONS)
    ledger = Ledger(folder / _ANSWERS, len(questionnaire))
    ledger.read()
    return questionnaire, {rater: given for rater, given in ledger.answers.items() if given}


def _read_questions(path: Path) -> Questionnaire:
    try:
        return parse_questionnaire(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, UsageError) as error:
        raise RunError(f"cannot read {path}: {error}") from error


def parse_name(text: object) -> str:
    """A rater's name as it is kept: one line, single spaces, composed letters.

    Raises `UsageError` for what is empty, too long, or holds what cannot be printed.

    >>> parse_name("  Ada   Lovelace ")
    'Ada Lovelace'
    """
    name = " ".join(unicodedata.normalize("NFC", text).split()) if isinstance(text, str) else ""
    if not name:
        raise UsageError("a rater needs a name")
    if len(name) > LONGEST_NAME:
        raise UsageError(f"that name has {len(name)} letters; wanted {LONGEST_NAME} at most")
    if not name.isprintable():
        raise UsageError("that name holds signs that cannot be printed; leave them out")
    return name


def answer_all(
    questionnaire: Questionnaire, rater: str, judge: Callable[[Question], bool]
) -> dict[int, bool]:
    """What a rater answers who judges by a function, asked in the rater's order."""
    return {number: judge(questionnaire[number]) for number in questionnaire.order(rater)}


def tabulate(questionnaire: Questionnaire, answers: Answers) -> Int8[np.ndarray, "rater question"]:
    """Answers by rater and question: 1 yes, 0 no, -1 none."""
    table = np.full((len(answers), len(questionnaire)), -1, np.int8)
    for row, given in zip(table, answers.values(), strict=True):
        row[list(given)] = list(given.values())
    return table
