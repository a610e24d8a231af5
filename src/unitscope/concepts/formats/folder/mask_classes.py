"""`classes.json`: what the numbers in a folder's masks mean.

The file is either a plain list of names, where the id is the place in the list::

    ["void", "building", "grass"]

or an object. For one layer of masks, in `masks/`::

    {"category": "part", "classes": {"1": "leg", "7": "wing"}, "void": 255, "unlabelled": 0}

and for several::

    {"category": "object",
     "layers": {
       "things": {"folder": "masks", "classes": ["unlabelled", "cat", "dog"]},
       "parts":  {"folder": "masks-part", "category": "part", "void": [255],
                  "classes": {"1": "leg", "2": {"name": "red", "category": "color"}}}}}

- `folder`: where the layer's masks lie, beside `images/`; `masks` for a single layer, else `masks-NAME`.
- `category`: of the classes of a layer, or of one class; the nearest statement wins; `object` if none.
- `classes`: a list of names, or a map of id to name; in both, an entry may be an object with `name` and
  `category` instead. Entries of one name and category, also in several layers, are one concept.
- Masks of colors: the keys of `classes` are these, `"#804080": "road"`, as are the ids of `void` and
  `unlabelled`; a color that is not named is an error.
- `void`, `unlabelled`: an id or a list of ids. Void pixels are of unknown truth and counted nowhere;
  unlabelled ones are known to have no label of this layer. A class called `void` is void, and one called
  `unlabelled`, `unlabeled` or `none` unlabelled. In an object (not in a plain list), id 0 is unlabelled
  if nothing is said of it. Everything else, `background` included, is a concept, also at id 0.
"""

import json
import posixpath
import re
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageColor

from unitscope.concepts.formats.color_masks import ColorTable
from unitscope.concepts.formats.mask_values import COUNT, MaskValues
from unitscope.concepts.formats.plain_files import read_plain
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError

FILE_NAME = "classes.json"
VOID_NAMES = frozenset({"void"})
UNLABELLED_NAMES = frozenset({"unlabelled", "unlabeled", "none"})
_LARGEST = 64_000_000
_MOST_LAYERS = 255
_DIGITS = 5
_LAYER_KEYS = frozenset({"folder", "category", "classes", "void", "unlabelled"})


@dataclass(frozen=True, eq=False)
class MaskLayer:
    """One folder of masks with the meaning of every stored value, or of the number of every color."""

    name: str
    folder: str
    values: MaskValues
    colors: ColorTable | None = None


@dataclass(frozen=True)
class ClassFile:
    """What a `classes.json` says: its layers, the concepts of all of them, the default category."""

    layers: tuple[MaskLayer, ...] = ()
    vocabulary: Vocabulary = Vocabulary(())  # noqa: RUF009 (frozen)
    category: str | None = None


def read_classes(path: Path, category: str | None = None) -> ClassFile:
    """The contents of a `classes.json`, with `category`, where given, instead of every category in it.

    Raises `SourceError` naming the file where it is no JSON or not of the form described above.
    """
    data = read_json(path)
    if isinstance(data, list):
        data = {"classes": data, "unlabelled": []}
    if not isinstance(data, dict):
        raise SourceError(f"{path}: wanted a list of class names or an object, found {type(data).__name__}")
    reader = _Reader(path, category, _text(data.get("category"), path, "category"))
    layers = tuple(reader.read_layer(name, entry) for name, entry in reader.list_layers(data).items())
    concepts = tuple(Concept(number, *key) for key, number in reader.ids.items())
    return ClassFile(layers, Vocabulary(concepts), category or reader.default)


def read_json(path: Path) -> Any:
    """The JSON in a file.

    Raises `SourceError` naming the file and the line where it cannot be read, or where it is too large or
    has a key twice in one object.
    """
    try:
        text = read_plain(path, _LARGEST, "such list").decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_pair)
    except json.JSONDecodeError as error:
        raise SourceError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError also of numbers of many digits
        raise SourceError(f"{path}: cannot be read ({error})") from None


def _pair(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:40]!r} comes twice")
    return found


@dataclass
class _Reader:
    """Reads one file: `forced` replaces every category in it, `default` is that of all its layers.

    `ids` are the concepts so far, by name and category.
    """

    path: Path
    forced: str | None
    default: str | None
    ids: dict[tuple[str, str], int] = field(default_factory=dict)

    def list_layers(self, data: dict[str, Any]) -> dict[str, dict[str, Any]]:
        self._refuse_unknown(data, {"category", "layers"} if "layers" in data else _LAYER_KEYS)
        if "layers" not in data:
            return {"masks": {"folder": "masks", **data}} if "classes" in data else {}
        layers = data["layers"]
        if not isinstance(layers, dict) or not all(isinstance(entry, dict) for entry in layers.values()):
            raise SourceError(f"{self.path}: 'layers' must map names to objects with 'folder' and 'classes'")
        if len(layers) > _MOST_LAYERS:
            raise SourceError(f"{self.path}: names {len(layers)} layers; wanted up to {_MOST_LAYERS}")
        for entry in layers.values():
            self._refuse_unknown(entry, _LAYER_KEYS)
        return layers

    def _refuse_unknown(self, entry: dict[str, Any], known: Set[str]) -> None:
        for key in sorted(set(entry) - known):
            listed = ", ".join(sorted(known))
            raise SourceError(f"{self.path}: unknown key {key[:60]!r}; known here are {listed}")

    def read_layer(self, name: str, entry: dict[str, Any]) -> MaskLayer:
        place = f"{self.path}, layer {name!r}"
        entry, colors = _number_colors(entry, place)
        concept_ids = np.zeros(COUNT, np.uint16)
        void, known = np.zeros(COUNT, bool), np.zeros(COUNT, bool)
        void[_ids(entry.get("void", []), self.path, "void")] = True
        known[_ids(entry.get("unlabelled", []), self.path, "unlabelled")] = True
        if (void & known).any():
            value = int(np.flatnonzero(void & known)[0])
            raise SourceError(f"{place}: id {value} is both void and unlabelled; choose one")
        silent = void | known
        usual = _text(entry.get("category"), self.path, "category") or self.default or "object"
        for value, (label, category) in self._read_entries(entry.get("classes", []), place).items():
            if label.lower() in VOID_NAMES:
                void[value] = True
            elif label.lower() not in UNLABELLED_NAMES and not silent[value]:
                key = label, self.forced or category or usual
                concept_ids[value] = self.ids.setdefault(key, len(self.ids) + 1)
            known[value] = True
        if "unlabelled" not in entry:
            known[0] = True
        folder = posixpath.normpath(_text(entry.get("folder"), self.path, "folder") or f"masks-{name}")
        if Path(folder).is_absolute() or ".." in Path(folder).parts:
            raise SourceError(f"{place}: the folder {folder!r} lies outside the data set")
        return MaskLayer(name, folder, MaskValues(concept_ids, void, known | void, FILE_NAME), colors)

    def _read_entries(self, classes: Any, place: str) -> dict[int, tuple[str, str | None]]:
        """Name and category of every mask id."""
        if not isinstance(classes, list | dict):
            raise SourceError(f"{place}: 'classes' must be a list of names or a map of id to name")
        read: dict[int, tuple[str, str | None]] = {}
        for key, entry in enumerate(classes) if isinstance(classes, list) else classes.items():
            value = _ids(key, self.path, "classes")[0]
            if value in read:
                raise SourceError(f"{place}: id {value} is named twice")
            fields = entry if isinstance(entry, dict) else {"name": entry}
            name = fields.get("name")
            if not isinstance(name, str) or not name.strip():
                raise SourceError(f"{place}: the name of class {value} is {name!r}; wanted a text")
            read[value] = (name, _text(fields.get("category"), self.path, "category"))
        return dict(sorted(read.items()))


def _number_colors(entry: dict[str, Any], place: str) -> tuple[dict[str, Any], ColorTable | None]:
    """What a layer says, with a number in place of every color, and the colors; as it is without any."""
    said = {
        key: value if isinstance(value := entry.get(key, []), list) else [value]
        for key in ("void", "unlabelled")
    }
    classes = entry.get("classes")
    if not isinstance(classes, dict) or not any(map(_is_color, classes)):
        return entry, None
    keys = dict.fromkeys([*classes, *said["void"], *said["unlabelled"]])
    odd = next((key for key in keys if not _is_color(key)), None)
    if odd is not None or len({key.lower() for key in keys}) < len(keys):
        found = "a color twice" if odd is None else f"{odd!r} among colors"
        raise SourceError(f"{place} has {found}; wanted each once, as in '#804080'")
    numbers = {key: number for number, key in enumerate(keys)}
    table = ColorTable(tuple(ImageColor.getrgb(key)[:3] for key in keys), FILE_NAME)
    named = {"classes": {numbers[key]: value for key, value in classes.items()}}
    return {**entry, **named, **{key: [numbers[one] for one in value] for key, value in said.items()}}, table


def _is_color(key: object) -> bool:
    return isinstance(key, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", key) is not None


def _ids(value: Any, path: Path, key: str) -> list[int]:
    read = []
    for item in value if isinstance(value, list) else [value]:
        digits = isinstance(item, str) and item.isascii() and item.isdigit() and len(item) <= _DIGITS
        number = int(item) if digits else item
        if type(number) is not int or not 0 <= number < COUNT:
            raise SourceError(
                f"{path}: {repr(item)[:60]} in {key!r} is not a mask id; ids go from 0 to 65535"
            )
        read.append(number)
    return read


def _text(value: Any, path: Path, key: str) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise SourceError(f"{path}: {key!r} is {value!r}; wanted a text")
    return value
