"""ADE20K as rows: objects, parts by level, and the scene, by the columns of `1aurent/ADE20K`."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unitscope.concepts.formats.ade20k.codes import decode_codes
from unitscope.concepts.formats.ade20k.files import MAX_CODE, NO_SCENE
from unitscope.concepts.formats.ade20k.synonyms import first_synonym, name_apart
from unitscope.concepts.formats.annotated import Labels
from unitscope.concepts.formats.class_lists import Words
from unitscope.concepts.formats.hf.cells import Cells
from unitscope.concepts.formats.indexes import Index, join_texts, split_texts
from unitscope.concepts.formats.mask_values import MaskValues, name_values
from unitscope.concepts.formats.whole.labels import LabelCells
from unitscope.errors import SourceError

IMAGE, MASKS, SCENE, OBJECTS = "image", "segmentations", "scene", "objects"
LEAVES = ("objects.name_ndx", "objects.name", "objects.parts.part_level", "objects.hypernym")
"""What is read of the objects: their outlines would take ten times as long."""


@dataclass(frozen=True)
class AdeClasses:
    """The names of classes by number, what each is a kind of, and which occur as objects and as parts."""

    names: Mapping[int, str]
    kinds: Mapping[int, tuple[str, ...]]
    objects: frozenset[int]
    parts: frozenset[int]

    def pack(self) -> Index:
        """The arrays of it for an index."""
        rows = [
            (number, name, self.kinds.get(number, ()), number in self.objects, number in self.parts)
            for number, name in sorted(self.names.items())
        ]
        return join_texts("classes", [json.dumps(rows)])


def unpack_classes(index: Index) -> AdeClasses:
    """What `AdeClasses.pack` made arrays of."""
    rows = json.loads(split_texts(index, "classes")[0])
    return AdeClasses(
        {number: name for number, name, *_ in rows},
        {number: tuple(kinds) for number, _, kinds, *_ in rows},
        frozenset(row[0] for row in rows if row[3]),
        frozenset(row[0] for row in rows if row[4]),
    )


def gather_classes(tables: Iterable[Any], place: str) -> AdeClasses:
    """The classes that the column of objects names in some tables: lists of objects, or objects of lists.

    Raises `SourceError`, which begins with `place`, for objects of another form, or a number with two names.
    """
    names: dict[int, str] = {}
    kinds: dict[int, tuple[str, ...]] = {}
    objects, parts = set[int](), set[int]()
    for table in tables:
        for number, name, level, families in _list_objects(table, place):
            if not 0 <= number <= MAX_CODE:
                raise SourceError(f"{place}: {name!r} has name_ndx {number}; wanted one up to {MAX_CODE}")
            if not number or not name:
                continue
            if names.setdefault(number, name) != name:
                raise SourceError(
                    f"{place}: class {number} is {name!r} and {names[number]!r}; mend one of them"
                )
            kinds.setdefault(number, families)
            (parts if level > 0 else objects).add(number)
    if not names:
        raise SourceError(f"{place}: no row names an object; fetch it again")
    return AdeClasses(names, kinds, frozenset(objects), frozenset(parts))


def _list_objects(table: Any, place: str) -> Iterator[tuple[int, str, int, tuple[str, ...]]]:
    """Number, name, level and families of all objects, each combination once."""
    found = set()
    try:
        column = table.column(OBJECTS)
        for part in column.chunks if hasattr(column, "chunks") else [column]:
            leaves = [_find_leaf(part, leaf.split(".")[1:]).to_pylist() for leaf in LEAVES]
            for number, name, level, families in zip(*leaves, strict=True):
                shown = tuple(one for one in families or () if one)
                found.add((int(number), str(name or "").strip(), int(level or 0), shown))
    except (KeyError, TypeError, ValueError, AttributeError):
        lack = "its 'objects' have no name, name_ndx, hypernym or part_level"
        raise SourceError(f"{place}: {lack}; say image=COLUMN to read columns by their names") from None
    return iter(sorted(found))


def _find_leaf(array: Any, names: Sequence[str], listed: bool = False) -> Any:
    """The values at a path of fields, of all objects in order; their list stands somewhere on the way."""
    if not listed and hasattr(array, "value_lengths"):
        return _find_leaf(array.flatten(), names, listed=True)
    return _find_leaf(array.field(names[0]), names[1:], listed) if names else array


def name_scenes(cells: LabelCells, words: Words) -> list[tuple[int, ...]]:
    """The scene of every picture, as `find_scene` tells it, which becomes one of `words`."""
    scenes, start, values = [], 0, cells.values.tolist()
    for end in cells.ends.tolist():
        scenes.append(find_scene([cells.texts[value] for value in values[start:end]]))
        start = end
    ids = {scene: (words.find(scene, "scene"),) for scene in sorted({*filter(None, scenes)})}
    return [ids.get(scene or "", ()) for scene in scenes]


def find_scene(names: Sequence[str]) -> str | None:
    """The scene of a picture: the last of the names of its folders, unless that or the first says none.

    >>> find_scene(["outdoor", "urban", "street"]), find_scene(["misc"]), find_scene(["outliers", "street"])
    ('street', None, None)
    """
    scene = names[-1] if names else ""
    return None if not scene or {names[0], scene} & NO_SCENE or scene.startswith("~") else scene


@dataclass(frozen=True, eq=False)
class AdeMasks:
    """The column of label pictures: the first has objects, the others parts, by level."""

    cells: Cells
    objects: MaskValues
    parts: MaskValues

    def read(self, key: str) -> Labels | None:
        """A plane of objects, and one of each level of parts. Raises `SourceError` naming file and row."""
        row = self.cells.keys.find(key)
        cell, where = self.cells.read(row)
        planes: list[np.ndarray] = []
        unknown = None
        for level, one in enumerate(cell or ()):
            here = f"{where}, level {level}"
            codes = decode_codes(self.cells.load(one, row, here), here)
            plane, void = (self.parts if level else self.objects).label(codes, here)
            if planes and plane.shape != planes[0].shape:
                raise SourceError(f"{here}: is not of the size of the objects; leave the row out")
            planes.append(plane)
            unknown = unknown if level else void
        return Labels(np.concatenate(planes), unknown) if planes else None

    def list_files(self) -> Iterable[Any]:
        """None of its own: the pictures lie in the same files."""
        return ()


def name_codes(
    cells: Cells, classes: AdeClasses, words: Words, void: Iterable[int]
) -> tuple[AdeMasks, dict[str, tuple[str, ...]]]:
    """The layer, whose concepts become part of `words`, and the families of these; 0 is unlabelled."""
    called = name_apart(classes.names, lambda _, text: text)
    objects = {number: (called[number], "object") for number in sorted(classes.objects)}
    parts = {number: (called[number], "part") for number in sorted(classes.parts)}
    listed = "the column of objects"
    values = words.adopt(*name_values(objects, void, [0], listed))
    part_values = words.adopt(*name_values(parts, (), [0], listed))
    families = {
        called[number]: tuple(kind for kind in map(first_synonym, kinds) if kind != called[number])
        for number, kinds in classes.kinds.items()
        if kinds
    }
    return AdeMasks(cells, values, part_values), families
