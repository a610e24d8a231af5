"""The full ADE20K of 2016: the lines of `_atr.txt` beside each picture name what its masks hold.

A line is `number # level # occluded # class # raw name # "attributes"`. The number is the rank of the
instance's blue among those of the mask of its level (0: `_seg.png`, 1: `_parts_1.png`, ...), counted from 1.
So names need no list of all classes. Where lines and blues are not as many, ranks say nothing, and the codes
of the classes in red and green tell (`class_codes`).

The scene is the folder's name without its letter: `images/training/h/house/outdoor` is `house/outdoor`.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from unitscope.concepts.formats.ade20k.class_codes import (
    ClassCodes,
    Level,
    Pair,
    learn_codes,
    list_instances,
    rank_instances,
)
from unitscope.concepts.formats.ade20k.codes import read_codes
from unitscope.concepts.formats.ade20k.files import (
    MAX_CODE,
    NO_SCENE,
    SPLITS,
    FullFiles,
    Named,
    list_texts,
    make_source,
)
from unitscope.concepts.formats.ade20k.synonyms import name_apart
from unitscope.concepts.formats.annotated import AnnotatedSource, Labels
from unitscope.concepts.formats.indexes import Index, join_texts, keep_index, split_texts
from unitscope.concepts.formats.plain_files import read_plain
from unitscope.concepts.left_out import name_some
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError
from unitscope.progress import follow

_INDEX = "ade20k-lines-2"
_LARGEST = 4 << 20


@dataclass(frozen=True, eq=False)
class RankedMasks:
    """Masks of a level whose instances are named in lines; `names` are those by picture.

    `classes` has the class of every line by picture and number, `ids` the concept of every class.
    """

    root: Path
    names: Mapping[str, str]
    classes: Mapping[str, Level]
    ids: Mapping[int, int]
    codes: ClassCodes
    void: bool = False
    texts: tuple[str, ...] = ()

    def read(self, key: str) -> Labels | None:
        """One plane. Raises `SourceError` naming the file whose instances do not fit their lines."""
        name = self.names.get(key)
        if name is None:
            return None
        path, lines = self.root / name, self.classes.get(key, {})
        codes, blues = read_codes(path)
        pairs = list_instances(codes, blues)
        ranked = rank_instances(pairs, lines)
        if ranked is None:
            kinds = self._name_by_code(path, pairs, lines)
        else:
            kinds = self._name_by_rank(path, pairs, ranked)
        ids = np.zeros(MAX_CODE + 1, np.uint16)
        for code, kind in kinds.items():
            ids[code] = self.ids[kind]
        blank = (codes == 0) & (blues == 0)
        planes = np.where(blank, np.uint16(0), ids[codes])[None]
        return Labels(planes, blank if self.void and blank.any() else None)

    def _name_by_rank(self, path: Path, pairs: Sequence[Pair], ranked: Level) -> dict[int, int]:
        """The class of every code, where all that is known agrees."""
        kinds, codes = dict[int, int](), dict[int, int]()
        for code, blue in pairs:
            kind = ranked[blue]
            said = self.codes.doubt(code, kind)
            if codes.setdefault(kind, code) != code:
                said = f"the instance with blue {blue} has another code than the others of its class"
            elif kinds.setdefault(code, kind) != kind:
                said = "two classes of its _atr.txt have one code"
            if said:
                raise SourceError(f"{path}: {said}; restore the two files")
        return kinds

    def _name_by_code(self, path: Path, pairs: Sequence[Pair], lines: Level) -> dict[int, int]:
        """The class of every code as other pictures have it."""
        kinds = {}
        for code, _ in pairs:
            try:
                kinds[code] = self.codes.find(code)
                if kinds[code] not in self.ids:
                    raise SourceError(f"no line of this level names {self.codes.called[kinds[code]]!r}")
            except SourceError as error:
                blues = len({blue for _, blue in pairs})
                listed = f"{len(lines)}, numbered up to {max(lines, default=0)}"
                found = f"its instances ({blues}) do not fit the lines of its _atr.txt ({listed})"
                raise SourceError(f"{path}: {found}, and {error}; restore the two files") from None
        return kinds

    def list_files(self) -> Iterator[Path]:
        """The masks, then the texts that name what is in them."""
        return (self.root / name for name in (*self.names.values(), *self.texts))


def open_lines(files: FullFiles, place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """The source of a full set with `_atr.txt` files. Raises `SourceError` naming the one that is wrong."""
    texts = tuple(list_texts(files))
    masks = tuple(name for one in files.pictures.values() for name in (one.objects, *one.parts.values()))
    kind = f"{_INDEX}-{_stamp(files.root, (*texts, *masks))}"
    index = keep_index(kind, (), partial(_build, files))
    found = json.loads(split_texts(index, "found")[0])
    names: list[str] = found["names"]
    called = name_apart(dict(enumerate(names)), lambda number, text: text)
    objects = {number: place for place, number in enumerate(found["objects"], start=1)}
    parts = {number: place for place, number in enumerate(found["parts"], start=len(objects) + 1)}

    levels = {text: _read_levels(said) for text, said in zip(texts, found["levels"], strict=True)}
    codes = ClassCodes({(code, kind): count for code, kind, count in found["codes"]}, names)
    pictures = {key: files.pictures[key] for key in files.choose(options.get("split"))}
    layers = [
        RankedMasks(
            files.root,
            {key: name for key, one in pictures.items() if (name := one.find(level))},
            {key: levels.get(one.text, {}).get(level, {}) for key, one in pictures.items()},
            parts if level else objects,
            codes,
            options.get("unlabelled") == "void" and not level,
            () if level else texts,
        )
        for level in ((0, *files.levels) if options.get("parts") != "no" else (0,))
    ]
    used = {name for layer in layers for name in layer.names.values()}
    named = Named(
        Vocabulary(tuple(Concept(place, called[number], "object") for number, place in objects.items())),
        Vocabulary(tuple(Concept(place, called[number], "part") for number, place in parts.items())),
        {key: _name_scene(key) for key in files.pictures},
        levels={text: tuple(said) for text, said in levels.items()},
        notes=_note_uneven([name for name in found["uneven"] if name in used]),
    )
    return make_source(files, place, options, named, tuple(layers))


def _stamp(root: Path, names: Iterable[str]) -> str:
    """Changes as any of the files does. `keep_index` looks every path up, which takes seconds for so many."""
    digest, start = sha256(os.fsencode(os.path.realpath(root))), os.path.join(root, "")
    for name in names:
        try:
            seen = os.stat(start + name)
            state = f"{name} {seen.st_size} {seen.st_mtime_ns}"
        except OSError:
            state = f"{name} missing"
        digest.update(f"\n{state}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _read_levels(said: Mapping[str, list[list[int]]]) -> dict[int, Level]:
    return {int(level): {number: kind for number, kind in rows} for level, rows in said.items()}  # noqa: C416


def _note_uneven(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    told = f"{len(names)} {'mask' if len(names) == 1 else 'masks'} whose instances do not fit their lines"
    return (f"{told}, named by their codes in other pictures: {name_some(names)}",)


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


def _build(files: FullFiles) -> Index:
    """All that is found out once: all names, which are objects and which parts, the classes of lines by file
    and level, the classes of codes, and the masks whose instances and lines are not as many."""
    names: dict[str, int] = {}
    used: tuple[set[int], set[int]] = (set(), set())
    levels: dict[str, dict[int, list[Pair]]] = {}
    texts = tuple(list_texts(files))
    with follow(len(texts), "indexing ADE20K", "files") as work:
        for text in texts:
            found = levels[text] = {}
            for number, level, name in _read_lines(files.root / text):
                place = names.setdefault(name, len(names))
                used[level > 0].add(place)
                found.setdefault(level, []).append((number, place))
            work.update()
    # Classes in the order of their names, whatever the order of the files.
    sorted_names = sorted(names)
    places = {names[name]: place for place, name in enumerate(sorted_names)}
    moved = {
        text: {level: [(number, places[place]) for number, place in rows] for level, rows in found.items()}
        for text, found in levels.items()
    }
    masks = [
        (name, dict(moved.get(one.text, {}).get(level, ())))
        for one in files.pictures.values()
        for level in (0, *one.parts)
        if (name := one.find(level))
    ]
    votes, uneven = learn_codes([(files.root / name, lines) for name, lines in masks])
    said = {
        "names": sorted_names,
        "objects": sorted(places[place] for place in used[0]),
        "parts": sorted(places[place] for place in used[1]),
        "levels": [moved[text] for text in texts],
        "codes": sorted((code, kind, count) for (code, kind), count in votes.items()),
        "uneven": [masks[place][0] for place in uneven],
    }
    return join_texts("found", [json.dumps(said)])


def _read_lines(path: Path) -> Iterator[tuple[int, int, str]]:
    """Number, level and class of every instance. Raises `SourceError` naming a line that is wrong."""
    try:
        data = read_plain(path, _LARGEST, "list of objects")
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
