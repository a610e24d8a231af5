"""ADE20K as rows: objects, parts by level, and the scene, by the columns of `1aurent/ADE20K`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt16

from unitscope.concepts.formats.ade_codes import decode_codes
from unitscope.concepts.formats.annotated import Labels
from unitscope.concepts.formats.cells import Cells
from unitscope.concepts.formats.class_lists import Words
from unitscope.concepts.formats.indexes import Index, join_texts, split_texts
from unitscope.concepts.formats.mask_values import COUNT
from unitscope.concepts.formats.synonyms import name_apart
from unitscope.concepts.formats.whole_labels import LabelCells
from unitscope.errors import SourceError

IMAGE, MASKS, SCENE, OBJECTS = "image", "segmentations", "scene", "objects"
LEAVES = ("objects.name_ndx", "objects.name", "objects.parts.part_level")
"""What is read of the objects: their outlines would take ten times as long."""
_NO_SCENES = frozenset({"misc", "outliers"})


@dataclass(frozen=True, eq=False)
class AdeClasses:
    """The names of classes by number, and which occur as objects and as parts."""

    names: Mapping[int, str]
    objects: frozenset[int]
    parts: frozenset[int]

    def pack(self) -> Index:
        """The arrays of it for an index."""
        numbers = sorted(self.names)
        uses = [(number in self.objects) + 2 * (number in self.parts) for number in numbers]
        arrays = {"class_numbers": np.array(numbers, np.int64), "class_uses": np.array(uses, np.int64)}
        return {**arrays, **join_texts("class_names", [self.names[number] for number in numbers])}


def unpack_classes(index: Index) -> AdeClasses:
    """What `AdeClasses.pack` made arrays of."""
    numbers, uses = index["class_numbers"].tolist(), index["class_uses"].tolist()
    pairs = list(zip(numbers, uses, strict=True))
    return AdeClasses(
        dict(zip(numbers, split_texts(index, "class_names"), strict=True)),
        frozenset(number for number, use in pairs if use & 1),
        frozenset(number for number, use in pairs if use & 2),
    )


def gather_classes(tables: Iterable[Any], place: str) -> AdeClasses:
    """The classes that the column of objects names in some tables: lists of objects, or objects of lists.

    Of two names of a number the first is taken. Raises `SourceError`, which begins with `place`, for objects
    of another form.
    """
    names: dict[int, str] = {}
    uses: dict[bool, set[int]] = {False: set(), True: set()}
    for table in tables:
        for number, name, level in _list_objects(table, place):
            if number > 0 and name:
                names.setdefault(number, name)
                uses[level > 0].add(number)
    if not names:
        raise SourceError(f"{place}: no row names an object; fetch it again")
    return AdeClasses(names, frozenset(uses[False]), frozenset(uses[True]))


def _list_objects(table: Any, place: str) -> set[tuple[int, str, int]]:
    """Number, name and level of all objects, each once."""
    column = table.column(OBJECTS)
    found = set()
    try:
        for part in column.chunks if hasattr(column, "chunks") else [column]:
            leaves = [_find_leaf(part, leaf.split(".")[1:]).to_pylist() for leaf in LEAVES]
            for number, name, level in zip(*leaves, strict=True):
                found.add((int(number), str(name or "").strip(), int(level or 0)))
    except (KeyError, TypeError, ValueError, AttributeError):
        lack = "entries of 'objects' have no name, name_ndx or part_level"
        raise SourceError(f"{place}: {lack}; say image= and label= to read other columns") from None
    return found


def _find_leaf(array: Any, names: list[str]) -> Any:
    """The values at a path of fields, in order, through all lists on the way."""
    while hasattr(array, "value_lengths"):
        array = array.flatten()
    return _find_leaf(array.field(names[0]), names[1:]) if names else array


def find_scene(names: Sequence[str]) -> str | None:
    """The scene of a picture: the last of the names of its folders, unless that says none.

    >>> find_scene(["outdoor", "urban", "street"]), find_scene(["misc"])
    ('street', None)
    """
    return names[-1] if names and names[-1] not in _NO_SCENES else None


def name_scenes(cells: LabelCells, words: Words) -> list[tuple[int, ...]]:
    """The scene of every picture, as `find_scene` tells it, which becomes one of `words`."""
    found, start = [], 0
    for end in cells.ends.tolist():
        scene = find_scene([cells.texts[value] for value in cells.values[start:end].tolist()])
        found.append((words.find(scene, "scene"),) if scene else ())
        start = end
    return found


@dataclass(frozen=True, eq=False)
class AdeMasks:
    """The column of label pictures: the first has objects, the others parts, by level.

    `objects` and `parts` are the concepts of every number, `_UNKNOWN` where there is none; `void` says which
    numbers are void among the objects.
    """

    cells: Cells
    objects: UInt16[np.ndarray, "65536"]
    parts: UInt16[np.ndarray, "65536"]
    void: np.ndarray

    def read(self, key: str) -> Labels | None:
        """A plane of objects, and one of each level of parts. Raises `SourceError` naming file and row."""
        row = self.cells.keys.find(key)
        cell, where = self.cells.read(row)
        planes, void = [], None
        for level, one in enumerate(cell or ()):
            here = f"{where}, level {level}"
            codes = decode_codes(self.cells.load(one, row, here), here)
            plane = (self.parts if level else self.objects)[codes]
            if (plane == _UNKNOWN).any():
                what = f"class {codes[plane == _UNKNOWN][0]} as {'a part' if level else 'an object'}"
                raise SourceError(f"{here}: holds {what}, which no row names; leave the row out")
            if planes and plane.shape != planes[0].shape:
                raise SourceError(f"{here}: is not of the size of the objects; leave the row out")
            planes.append(plane)
            if not level and self.void[codes].any():
                void = self.void[codes]
        return Labels(np.stack(planes), void) if planes else None

    def list_files(self) -> Iterable[Path]:
        """None of its own: the pictures lie in the same files."""
        return ()


_UNKNOWN = COUNT - 1


def name_codes(cells: Cells, classes: AdeClasses, words: Words, void: Iterable[int]) -> AdeMasks:
    """The layer, whose concepts become part of `words`; 0 is unlabelled."""
    tables = []
    names = name_apart(classes.names, lambda _, text: text)
    for category, numbers in (("object", classes.objects), ("part", classes.parts)):
        table = np.full(COUNT, _UNKNOWN, np.uint16)
        table[0] = 0
        for number in sorted(numbers):
            if 0 < number < COUNT:
                table[number] = words.find(names[number], category)
        tables.append(table)
    silent = np.zeros(COUNT, bool)
    silent[list(void)] = True
    tables[0][silent] = 0
    return AdeMasks(cells, tables[0], tables[1], silent)
