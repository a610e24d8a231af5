"""The full ADE20K of 2016: the lines of `_atr.txt` beside each picture name what its masks hold.

A line is `number # level # occluded # class # raw name # "attributes"`. The number is the rank of the
instance's blue among those of the mask of its level (0: `_seg.png`, 1: `_parts_1.png`, ...), counted from 1.
So names need no list of all classes. The codes of the classes in red and green tell whether the ranks fit:
one class has one code.

The scene is the folder's name without its letter: `images/training/h/house/outdoor` is `house/outdoor`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from unitscope.concepts.formats.ade20k.codes import read_codes
from unitscope.concepts.formats.ade20k.files import (
    NO_SCENE,
    SPLITS,
    FullFiles,
    Named,
    list_texts,
    make_source,
)
from unitscope.concepts.formats.ade20k.synonyms import name_apart
from unitscope.concepts.formats.annotated import AnnotatedSource, Labels
from unitscope.concepts.formats.indexes import Index, follow_indexing, join_texts, keep_index, split_texts
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError

_INDEX = "ade20k-lines-1"
_LARGEST = 4 << 20

Level = dict[int, int]
"""The class of every instance, by number."""


@dataclass(frozen=True, eq=False)
class RankedMasks:
    """Masks of a level whose instances are named in lines; `names` are those by picture.

    `classes` has the class of every instance by picture and number, `ids` the concept of every class.
    """

    root: Path
    names: Mapping[str, str]
    classes: Mapping[str, Level]
    ids: Mapping[int, int]
    void: bool = False
    texts: tuple[str, ...] = ()

    def read(self, key: str) -> Labels | None:
        """One plane. Raises `SourceError` naming the file whose instances do not fit their lines."""
        name = self.names.get(key)
        if name is None:
            return None
        path, classes = self.root / name, self.classes.get(key, {})
        codes, instances = read_codes(path)
        pairs = np.flatnonzero(np.bincount((codes * np.uint32(256) + instances).ravel()))
        found = [divmod(pair, 256) for pair in pairs.tolist() if pair]
        ranks = {blue: rank for rank, blue in enumerate(sorted({blue for _, blue in found} - {0}), start=1)}
        ids, kinds = np.zeros(256, np.uint16), dict[int, int]()
        for code, blue in found:
            kind = classes.get(ranks.get(blue, 0))
            if kind is None or kinds.setdefault(kind, code) != code:
                lack = "no line" if kind is None else "another code than the others of its class"
                said = f"the instance with blue {blue} has {lack} in its _atr.txt"
                raise SourceError(f"{path}: {said}; restore the two files")
            ids[blue] = self.ids[kind]
        if len(set(kinds.values())) < len(kinds):
            raise SourceError(f"{path}: two classes of its _atr.txt have one code; restore the two files")
        void = instances == 0 if self.void else None
        return Labels(ids[instances][None], void if void is not None and void.any() else None)

    def list_files(self) -> Iterator[Path]:
        """The masks, then the texts that name what is in them."""
        return (self.root / name for name in (*self.names.values(), *self.texts))


def open_lines(files: FullFiles, place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """The source of a full set with `_atr.txt` files. Raises `SourceError` naming the one that is wrong."""
    texts = tuple(list_texts(files))
    paths = [files.root / name for name in texts]
    index = keep_index(_INDEX, paths, partial(_build, paths))
    found = json.loads(split_texts(index, "found")[0])
    names: list[str] = found["names"]
    called = name_apart(dict(enumerate(names)), lambda number, text: text)
    objects = {number: place for place, number in enumerate(found["objects"], start=1)}
    parts = {number: place for place, number in enumerate(found["parts"], start=len(objects) + 1)}

    levels = dict(zip(texts, found["levels"], strict=True))
    keys = files.choose(options.get("split"))
    layers = []
    for level in (0, *files.levels) if options.get("parts") != "no" else (0,):
        pictures = {key: files.pictures[key] for key in keys}
        masks = {key: name for key, one in pictures.items() if (name := one.parts.get(level))}
        masks = masks if level else {key: one.objects for key, one in pictures.items() if one.objects}
        classes = {
            key: {
                int(number): kind
                for number, kind in levels.get(files.pictures[key].text, {}).get(str(level), ())
            }
            for key in masks
        }
        void = options.get("unlabelled") == "void" and not level
        ids = parts if level else objects
        layers.append(RankedMasks(files.root, masks, classes, ids, void, () if level else texts))
    named = Named(
        Vocabulary(tuple(Concept(place, called[number], "object") for number, place in objects.items())),
        Vocabulary(tuple(Concept(place, called[number], "part") for number, place in parts.items())),
        {key: _name_scene(key) for key in files.pictures},
        {},
    )
    return make_source(files, place, options, named, tuple(layers))


def _name_scene(key: str) -> str:
    """What the folders of a picture say.

    >>> _name_scene("images/training/h/house/outdoor/ADE_train_00000001.jpg")
    'house/outdoor'
    """
    folders = key.split("/")[:-1]
    split = next((place for place, name in enumerate(folders) if name in SPLITS), -1)
    folders = folders[split + 1 :]
    if folders and len(folders[0]) == 1:
        folders = folders[1:]
    return "" if not folders or folders[0] in NO_SCENE else "/".join(folders)


def _build(paths: Sequence[Path]) -> Index:
    """All names, which are objects and which parts, and the classes of instances by file and level."""
    names: dict[str, int] = {}
    used: tuple[set[int], set[int]] = (set(), set())
    levels = []
    with follow_indexing("ADE20K", len(paths), "file") as bar:
        for path in paths:
            found: dict[int, list[tuple[int, int]]] = {}
            for number, level, name in _read_lines(path):
                place = names.setdefault(name, len(names))
                used[level > 0].add(place)
                found.setdefault(level, []).append((number, place))
            levels.append(found)
            bar.update()
    # Classes in the order of their names, whatever the order of the files.
    sorted_names = sorted(names)
    places = {names[name]: place for place, name in enumerate(sorted_names)}
    objects, parts = (sorted(places[place] for place in one) for one in used)
    moved = [
        {level: [(number, places[place]) for number, place in rows] for level, rows in found.items()}
        for found in levels
    ]
    said = {"names": sorted_names, "objects": objects, "parts": parts, "levels": moved}
    return join_texts("found", [json.dumps(said)])


def _read_lines(path: Path) -> Iterator[tuple[int, int, str]]:
    """Number, level and class of every instance. Raises `SourceError` naming a line that is wrong."""
    try:
        if path.stat().st_size > _LARGEST:
            raise SourceError(f"{path}: larger than {_LARGEST >> 20} MB, which no such file is; restore it")
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("iso-8859-1")
    seen = set()
    for place, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        number, level, _, name, *_ = *(cell.strip() for cell in line.split("#")), "", "", "", ""
        if not (re.fullmatch(r"[0-9]{1,4}", number) and re.fullmatch(r"[0-9]{1,2}", level) and name):
            raise SourceError(
                f"{path}, line {place}: {line[:60]!r}; wanted number # level # occluded # class"
            )
        if (level, number) in seen:
            raise SourceError(f"{path}, line {place}: instance {number} of level {level} is listed twice")
        seen.add((level, number))
        yield int(number), int(level), name
