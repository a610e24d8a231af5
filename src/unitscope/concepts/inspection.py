"""What is in a source of concepts, and what is wrong with it."""

from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np

from unitscope.concepts.derived import find_left_out, find_notes, source_digest, source_spec
from unitscope.concepts.left_out import LeftOut, cut_name
from unitscope.concepts.sources import open_concepts
from unitscope.concepts.vocabulary import Concept, ConceptSource, Example, Vocabulary
from unitscope.errors import UnitscopeError
from unitscope.progress import follow_each
from unitscope.results import Result
from unitscope.tables import Table, clean

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong: the image's key or a file, and what is the matter."""

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class ConceptCount:
    """How often a concept occurs: on how many images, and how much of them it covers, in whole images.

    A label of a whole image covers it all; a pixel counts once for every plane that names the concept.
    """

    concept: Concept
    images: int
    coverage: float


@dataclass(frozen=True)
class Report(Result):
    """What `check_source` found.

    `labelled` images have a label of any kind; `void` is the mean share of pixels of unknown truth;
    `left_out` counts the files that the source does not use; `notes` is what it says in words.
    """

    spec: str
    digest: str
    images: int
    readable: int
    labelled: int
    void: float
    concepts: tuple[ConceptCount, ...]
    problems: tuple[Problem, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> tuple[Concept, ...]:
        """The concepts that never occur."""
        return tuple(count.concept for count in self.concepts if not count.images)

    def tables(self) -> dict[str, Table]:
        """The concepts with their counts, and the problems."""
        counts = ((*astuple(one.concept), one.images, one.coverage) for one in self.concepts)
        return {
            "concepts.csv": Table(("id", "name", "category", "images", "coverage"), tuple(counts), (1, 2)),
            "problems.csv": Table(("place", "message"), tuple(map(astuple, self.problems)), (0, 1)),
        }

    def text(self) -> str:
        """The report for a terminal: the counts, the concepts by coverage, the problems."""
        lines = [
            self.spec,
            f"{self.images} images, {self.labelled} with labels, {self.void:.1%} of pixels void",
            *self.notes,
            f"{len(self.concepts)} concepts, {len(self.empty)} of them never occur",
        ]
        occurring = [one for one in self.concepts if one.images]
        if occurring:
            lines.append(f"  {'concept':32} {'category':12} {'images':>7} {'coverage':>9}")
        for one in sorted(occurring, key=lambda one: (-one.coverage, one.concept.id)):
            name, category = one.concept.label[:32], one.concept.category[:12]
            lines.append(f"  {name:32} {category:12} {one.images:7} {one.coverage:9.2f}")
        if self.empty:
            names = ", ".join(concept.name for concept in self.empty[:_SHOWN])
            more = f" and {len(self.empty) - _SHOWN} more" if len(self.empty) > _SHOWN else ""
            lines.append(f"never occur: {names}{more}")
        lines += map(str, self.left_out)
        lines.append(f"{len(self.problems)} problems" if self.problems else "nothing is wrong")
        lines += [f"  {cut_name(problem.place)}: {problem.message}" for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            lines.append(f"  and {len(self.problems) - _SHOWN} more (all of them with --json)")
        return "\n".join(clean(line, None) for line in lines)

    def json(self) -> dict[str, Any]:
        """The report as plain dictionaries and lists, complete."""
        concepts, problems = (table.records() for table in self.tables().values())
        empty = [concept.name for concept in self.empty]
        told = ("concepts", "problems", "left_out", "notes")
        facts = {name: value for name, value in vars(self).items() if name not in told}
        found = {"concepts": concepts, "empty": empty, "problems": problems}
        return {**facts, **found, "left_out": [asdict(one) for one in self.left_out], "notes": [*self.notes]}


def check_source(source: ConceptSource | str) -> Report:
    """What is in a source, or in the source that a text names, and everything that is wrong with it.

    Every image is read with its labels; what cannot be read, does not fit or is not in the vocabulary is
    collected, one problem an image and kind, and the check goes on.

    Raises what opening the source raises.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "street").mkdir()
    ...     Image.new("RGB", (8, 6)).save(Path(folder) / "street" / "a.png")
    ...     _ = (Path(folder) / "street" / "b.jpg").write_text("no picture")
    ...     report = check_source(f"folder:{folder}")
    >>> report.images, report.readable, report.concepts[0].images, report.problems[0].place
    (2, 1, 1, 'street/b.jpg')
    """
    opened = open_concepts(source) if isinstance(source, str) else source
    counts, keys, problems = _Counts(opened.vocabulary), getattr(opened, "keys", None), []
    for index in follow_each(range(len(opened)), "checking"):
        try:
            example: object = opened[index]
        except UnitscopeError as error:
            key = f"image {index}" if keys is None else str(keys[index])
            problems.append(Problem(key, str(error)))
            continue
        if not isinstance(example, Example):
            problems.append(Problem(f"image {index}", f"it is a {type(example).__name__}, no Example"))
            continue
        problems += [Problem(example.key, message) for message in counts.add(example)]
    problems += [Problem(*found) for found in getattr(opened, "audit", tuple)()]
    if not len(opened):
        problems.append(Problem(source_spec(opened), "there is not one image in it"))
    if counts.readable and not counts.labelled and len(opened.vocabulary):
        lack = "not one pixel or image has a label: all are void or unlabelled"
        problems.append(Problem(source_spec(opened), lack))
    return Report(
        source_spec(opened),
        source_digest(opened),
        len(opened),
        counts.readable,
        counts.labelled,
        counts.void / max(counts.readable, 1),
        tuple(
            ConceptCount(concept, int(counts.images[concept.id]), float(counts.coverage[concept.id]))
            for concept in opened.vocabulary
        ),
        tuple(problems),
        find_left_out(opened),
        find_notes(opened),
    )


class _Counts:
    """Running counts over the examples of a check."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.images = np.zeros(65_536, np.int64)
        self.coverage = np.zeros(65_536)
        self.known = np.zeros(65_536, bool)
        self.known[[0, *(concept.id for concept in vocabulary)]] = True
        self.keys: set[str] = set()
        self.readable = self.labelled = 0
        self.void = 0.0

    def add(self, example: Example) -> Iterator[str]:
        """Counts the example, and yields what is wrong with it."""
        self.readable += 1
        if example.key in self.keys:
            yield "another image has the same key"
        self.keys.add(example.key)
        planes, void = example.planes, example.void
        # What lies under void is counted nowhere.
        seen = planes if void is None else planes[:, ~void]
        pixels = np.bincount(seen.ravel(), minlength=65_536)
        pixels[0] = 0
        coverage = pixels / max(planes[:1].size, 1)
        if void is None or not void.all():
            coverage[list(example.ids)] += 1
        present = np.flatnonzero(coverage)
        self.images[present] += 1
        self.coverage[present] += coverage[present]
        self.labelled += bool(present.size)
        every = np.union1d(np.unique(planes), np.array(example.ids, np.int64))
        unknown = every[~self.known[every]]
        if unknown.size:
            yield f"the label {unknown[0]} is not in the vocabulary"
        if example.void is not None:
            self.void += float(example.void.mean())
