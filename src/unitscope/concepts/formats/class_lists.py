"""Files that name what numbers mean: lists, maps of number to name, `classes.json`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.concepts.formats.folder.mask_classes import (
    UNLABELLED_NAMES,
    VOID_NAMES,
    read_classes,
    read_json,
)
from unitscope.concepts.formats.mask_values import COUNT, MaskValues, name_values
from unitscope.concepts.formats.text_lists import read_names
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError, UsageError

SIZE_LIMIT = 64_000_000
"""The longest list of classes that is read, in bytes."""


def read_class_list(path: Path) -> tuple[MaskValues, Vocabulary]:
    """What the numbers of masks or labels mean, by a file of one of these forms:

    - `.json`: `["sky", "road"]`, `{"0": "sky", "1": "road"}` (`id2label.json`), `{"sky": 0, "road": 1}`, or
      what `unitscope.concepts.formats.folder.mask_classes` describes, of one layer
    - any other: a name a line, the first is that of 0; or lines such as `7: road`

    What is called `void` is void, `unlabelled`, `unlabeled` or `none` unlabelled. Raises `SourceError` naming
    the file where it is missing or of another form.
    """
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise SourceError(
                f"{path}: {path.stat().st_size} bytes are no list of classes; name another file"
            )
    except OSError as error:
        reason = error.strerror or error
        raise SourceError(f"{path}: the list of classes cannot be read ({reason}); name a file") from None
    if path.suffix.lower() != ".json":
        return _name(path, list(read_names(path).items()))
    data = read_json(path)
    if isinstance(data, dict) and data and all(map(_is_number, data)):
        return _name(path, [(int(key), name) for key, name in data.items()])
    if isinstance(data, dict) and data and all(type(value) is int for value in data.values()):
        return _name(path, [(value, name) for name, value in data.items()])
    classes = read_classes(path)
    if len(classes.layers) != 1:
        raise SourceError(f"{path}: names {len(classes.layers)} layers of classes; wanted one")
    if classes.layers[0].colors is not None:
        raise SourceError(f"{path}: names colors, which only folder: reads; wanted numbers")
    return replace(classes.layers[0].values, listed_in=path.name), classes.vocabulary


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _name(path: Path, entries: list[tuple[int, Any]]) -> tuple[MaskValues, Vocabulary]:
    names: dict[int, str] = {}
    for number, name in entries:
        if not 0 <= number < COUNT:
            raise SourceError(f"{path}: the number {number} of a class is not from 0 to {COUNT - 1}")
        if not isinstance(name, str) or not name.strip():
            raise SourceError(f"{path}: the name of class {number} is {name!r}; wanted a text")
        if number in names:
            raise SourceError(f"{path}: class {number} is named twice")
        names[number] = name.strip()
    if not names:
        raise SourceError(f"{path}: names no class; wanted a list of names, or a map of number to name")
    void = [number for number, name in names.items() if name.lower() in VOID_NAMES]
    unlabelled = [number for number, name in names.items() if name.lower() in UNLABELLED_NAMES]
    named = {number: (name, "object") for number, name in sorted(names.items())}
    return name_values(named, void, unlabelled, path.name)


ClassList = tuple[MaskValues, Vocabulary]


def find_classes(
    named: str | None, columns: Sequence[str], usual: Sequence[Path], root: Path
) -> tuple[dict[str, ClassList], tuple[Path, ...]]:
    """The class list of each of the columns that need one, and the files of them.

    `named` is the value of `classes=`: one file for all, or one for each, joined by `+`; else the first of
    `usual` that exists is taken. Files are looked for as they stand, then below `root`. Raises `UsageError`
    where none is named or found, and what `read_class_list` raises.
    """
    if not columns:
        if named is not None:
            raise UsageError(
                f"classes={named}: neither masks nor numbers are read that need names; leave it out"
            )
        return {}, ()
    whole = named is None or any(Path(place, named).is_file() for place in (".", root))
    names = [str(named)] if whole else str(named).split("+")
    if named is None:
        names = [str(path) for path in usual if path.is_file()][:1]
        if not names:
            lack = f"the numbers of {' and '.join(columns)} have no names"
            advice = "say classes=FILE, a list of names or an id2label.json, or image=NAME for pictures alone"
            raise UsageError(f"{root}: {lack}; {advice}")
    if len(names) not in (1, len(columns)):
        wanted = f"one file, or one for each of {', '.join(columns)}"
        raise UsageError(f"classes={named}: {len(names)} files; wanted {wanted}")
    paths = [next((path for path in (Path(one), root / one) if path.is_file()), None) for one in names]
    for name, path in zip(names, paths, strict=True):
        if path is None:
            raise UsageError(f"classes={name}: there is no such file, neither here nor in {root}")
    found = tuple(path for path in paths if path is not None)
    lists = [read_class_list(path) for path in found]
    return dict(zip(columns, lists * (len(columns) // len(lists)), strict=True)), found


def add_void(values: MaskValues, numbers: Iterable[int]) -> MaskValues:
    """The same, with those numbers void."""
    silent = np.zeros(COUNT, bool)
    silent[list(numbers)] = True
    ids = np.where(silent, 0, values.concept_ids).astype(np.uint16)
    return replace(values, concept_ids=ids, void=values.void | silent, known=values.known | silent)


def read_numbers(option: str, value: str) -> tuple[int, ...]:
    """The numbers of an option such as `void=0+255`. Raises `UsageError` where they are none.

    >>> read_numbers("void", "0+255")
    (0, 255)
    """
    parts = [part.strip() for part in value.split("+")]
    if not all(_is_number(part) and int(part) < COUNT for part in parts):
        raise UsageError(f"{option}={value!r}: wanted numbers from 0 to {COUNT - 1}, as in {option}=0+255")
    return tuple(map(int, parts))


@dataclass
class Words:
    """Concepts as they are met: equal names of one category are one."""

    ids: dict[tuple[str, str], int] = field(default_factory=dict)

    def find(self, name: str, category: str) -> int:
        """The id of a concept, which is new where it was not met before."""
        return self.ids.setdefault((name, category), len(self.ids) + 1)

    def adopt(self, values: MaskValues, vocabulary: Vocabulary, category: str | None = None) -> MaskValues:
        """The meaning of numbers with the ids of these words; concepts that no number has are passed over."""
        table = np.zeros(COUNT, np.uint16)
        for old in np.unique(values.concept_ids).tolist():
            if old:
                concept = vocabulary[old]
                table[old] = self.find(concept.name, category or concept.category)
        return replace(values, concept_ids=table[values.concept_ids])

    @property
    def vocabulary(self) -> Vocabulary:
        """All of them. Raises `SourceError` where they are more than there are ids."""
        return Vocabulary(tuple(Concept(number, *named) for named, number in self.ids.items()))


def tell_values(what: str, values: MaskValues) -> tuple[str, ...]:
    """Lines for people: which numbers are void, and which are known to have no label.

    >>> tell_values("annotation: ", name_values({1: ("sky", "object")}, [255], [0])[0])
    ('annotation: void: 255', 'annotation: unlabelled: 0')
    """
    unlabelled = values.known & ~values.void & (values.concept_ids == 0)
    told = (("void", values.void), ("unlabelled", unlabelled))
    return tuple(f"{what}{name}: {_spell(which)}" for name, which in told if which.any())


def _spell(which: np.ndarray) -> str:
    numbers = np.flatnonzero(which).tolist()
    return ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
