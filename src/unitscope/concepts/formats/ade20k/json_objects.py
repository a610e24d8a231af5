"""The full ADE20K of 2021: what the `.json` beside each picture says, and what the masks' codes are called.

A class of objects or parts has one number in the whole set, `name_ndx`, which is the code in the masks. Its
name stands in every file that has one of it; so all files are read once, and what they say is kept
(`unitscope.concepts.formats.indexes`). In these files a list of one element is written as the element, and an
empty one as `[]`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.concepts.formats.ade20k.codes import read_codes
from unitscope.concepts.formats.ade20k.files import (
    MAX_CODE,
    NO_SCENE,
    FullFiles,
    Named,
    list_texts,
    make_source,
)
from unitscope.concepts.formats.ade20k.synonyms import first_synonym, name_apart
from unitscope.concepts.formats.annotated import AnnotatedSource, Labels
from unitscope.concepts.formats.indexes import Index, join_texts, keep_index, split_texts
from unitscope.concepts.formats.mask_values import MaskValues, name_values
from unitscope.concepts.formats.plain_files import read_plain
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError
from unitscope.progress import follow

_INDEX = "ade20k-json-2"
_LARGEST = 64 << 20


@dataclass(frozen=True, eq=False)
class CodedMasks:
    """Masks whose codes are classes, as `name_ndx` has them; `names` are those by picture."""

    root: Path
    names: Mapping[str, str]
    values: MaskValues
    texts: tuple[str, ...] = ()

    def read(self, key: str) -> Labels | None:
        """One plane. Raises `SourceError` naming the file where it holds a code without a name."""
        name = self.names.get(key)
        if name is None:
            return None
        codes, _ = read_codes(self.root / name)
        return Labels(*self.values.label(codes, self.root / name))

    def list_files(self) -> Iterator[Path]:
        """The masks, then the texts that name what is in them."""
        return (self.root / name for name in (*self.names.values(), *self.texts))


def open_json(files: FullFiles, place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """The source of a full set with `.json` files. Raises `SourceError` naming the one that is wrong."""
    texts = tuple(list_texts(files))
    paths = [files.root / name for name in texts]
    index = keep_index(_INDEX, paths, partial(_build, paths))
    found = json.loads(split_texts(index, "found")[0])
    named, objects, parts = _name(files, found, options.get("unlabelled") == "void")
    keys = files.choose(options.get("split"))
    drawn = {key: files.pictures[key].objects for key in keys if files.pictures[key].objects}
    layers = [CodedMasks(files.root, drawn, objects, texts)]
    for level in files.levels if options.get("parts") != "no" else ():
        masks = {key: name for key in keys if (name := files.pictures[key].parts.get(level))}
        layers.append(CodedMasks(files.root, masks, parts))
    return make_source(files, place, options, named, tuple(layers))


def _name(files: FullFiles, found: dict[str, Any], void: bool) -> tuple[Named, MaskValues, MaskValues]:
    """What everything is called, and the meaning of the codes of objects and of parts."""
    names = {int(code): name for code, name in found["names"].items()}
    called = name_apart(names, lambda code, text: text.strip())
    listed = "a .json of the set"
    objects = {code: (called[code], "object") for code in found["objects"]}
    parts = {code: (called[code], "part") for code in found["parts"]}
    object_values, words = name_values(objects, [0] if void else [], [0], listed)
    part_values, part_words = name_values(parts, [], [0], listed)
    shift = words.size - 1
    ids = np.where(part_values.concept_ids > 0, part_values.concept_ids + np.uint16(shift), 0)
    shifted = replace(part_values, concept_ids=ids.astype(np.uint16))
    families = {
        called[int(code)]: tuple(kind for kind in map(first_synonym, kinds) if kind != called[int(code)])
        for code, kinds in found["kinds"].items()
    }
    scenes = dict(zip(list_texts(files), found["scenes"], strict=True))
    return (
        Named(
            words,
            Vocabulary(tuple(Concept(one.id + shift, one.name, one.category) for one in part_words)),
            {key: scenes.get(one.text, "") for key, one in files.pictures.items()},
            families,
            dict(zip(list_texts(files), found["levels"], strict=True)),
        ),
        object_values,
        shifted,
    )


def _build(paths: Sequence[Path]) -> Index:
    """What files say: names and hypernyms by code, codes of objects and parts; scene and levels by file."""
    said = _Said({}, {}, set(), set(), {})
    scenes, levels = [], []
    with follow(len(paths), "indexing ADE20K", "files") as work:
        for path in paths:
            scene, seen = _read_annotation(path, said)
            scenes.append(scene)
            levels.append(sorted(seen))
            work.update()
    found = {
        "names": said.names,
        "kinds": said.kinds,
        "objects": sorted(said.objects),
        "parts": sorted(said.parts),
        "scenes": scenes,
        "levels": levels,
    }
    return join_texts("found", [json.dumps(found)])


@dataclass
class _Said:
    names: dict[int, str]
    kinds: dict[int, list[str]]
    objects: set[int]
    parts: set[int]
    origins: dict[int, Path]


def _read_annotation(path: Path, said: _Said) -> tuple[str, set[int]]:
    """Adds what a file says of its objects; its scene, or "", and the levels of its parts.

    Raises `SourceError` where it is wrong.
    """
    about, levels = _read_json(path), set[int]()
    for entry in _list(about.get("object")):
        code, name = (entry.get("name_ndx"), entry.get("name")) if isinstance(entry, dict) else (None, None)
        if type(code) is not int or not 0 <= code <= MAX_CODE or not isinstance(name, str):
            wanted = f"annotation.object to list objects with a name and a name_ndx up to {MAX_CODE}"
            raise SourceError(f"{path}: {name!r} has name_ndx {code!r}; wanted {wanted}")
        if code == 0 or not name.strip():
            continue
        if said.names.setdefault(code, name.strip()) != name.strip():
            other = f"{said.names[code]!r} in {said.origins[code].name}"
            raise SourceError(f"{path}: class {code} is {name!r} here and {other}; restore one of them")
        said.origins.setdefault(code, path)
        level = _find_level(entry.get("parts"))
        (said.parts if level else said.objects).add(code)
        levels |= {level} - {0}
        kinds = [kind for kind in _list(entry.get("hypernym")) if isinstance(kind, str) and kind.strip()]
        if kinds:
            said.kinds.setdefault(code, kinds)
    scene = next((one for one in reversed(_list(about.get("scene"))) if isinstance(one, str)), "").strip()
    return "" if scene.startswith("~") or scene in NO_SCENE else scene, levels


def _find_level(parts: Any) -> int:
    """The level of an entry that is a part of another one; 0 where it is not."""
    if not isinstance(parts, dict):
        return 0
    level = parts.get("part_level")
    return max(level, 0) if isinstance(level, int) else int(bool(_list(parts.get("ispartof"))))


def _list(value: Any) -> list[Any]:
    """A list of one is written without brackets."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = read_plain(path, _LARGEST, "list of objects")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("iso-8859-1")  # as some of the published files are
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path}: cannot be read as JSON ({error}); restore the file") from None
    about = found.get("annotation", found) if isinstance(found, dict) else found
    if not isinstance(about, dict):
        raise SourceError(f"{path}: wanted an object with 'annotation', found {type(about).__name__}")
    return about
