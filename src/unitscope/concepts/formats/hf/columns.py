"""What the columns of a table hold: pictures, labels, or anything else."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from unitscope.concepts.formats.hf.row_blocks import load_arrow, read_schema, reading
from unitscope.errors import SourceError, UsageError

PICTURE, PICTURES, LABEL, OTHER = "a picture", "several pictures", "labels", "anything else"

_METADATA = b"huggingface"
_IMAGES = ("image", "pixel_values", "img", "picture", "photo", "jpg", "jpeg", "png")
_MASKS = ("annotation", "mask", "masks", "label", "labels", "label_map", "segmentation", "segmentation_mask")
_SCHEME = {"image", "segmentations", "scene", "objects"}


@dataclass(frozen=True)
class Column:
    """A column: what each cell holds, the names of its numbers where it says them, its type for messages.

    `nameless` labels are numbers that it does not name; `conflict` tells which files name them otherwise,
    `silent` is one that does not name them while others do.
    """

    name: str
    holds: str
    names: tuple[str, ...] = ()
    type: str = ""
    nameless: bool = False
    conflict: str = ""
    silent: Path | None = None


def read_columns(
    splits: Mapping[str, Sequence[Path]], features: Mapping[str, tuple[Path, Mapping[str, Any]]]
) -> dict[str, Column]:
    """The columns of the files of splits, which have the same; names of numbers are what the files say of
    them, or `features`, a file for each split and what it says.

    Raises `SourceError` naming a file that cannot be read or has other columns than the first.
    """
    files = [path for paths in splits.values() for path in paths]
    schemas = {path: read_schema(path) for path in files}
    first = _types(schemas[files[0]], files[0])
    for path in files[1:]:
        other = _types(schemas[path], path)
        if other != first:
            found = f"its columns are not those of {files[0].name} ({_tell_other(first, other)})"
            raise SourceError(f"{path}: {found}; say split=NAME, or open the files that are alike alone")
    said = [(path, _read_said(schemas[path], path)) for path in files]
    beside = [features[split] for split in splits if split in features]
    with reading(files[0]):
        return {name: _describe(name, kind, said, beside) for name, kind in first.items()}


def _types(schema: Any, path: Path) -> dict[str, Any]:
    with reading(path):
        if len({*schema.names}) < len(schema.names):
            raise SourceError(f"{path}: two of its columns have one name; rename one")
        return dict(zip(schema.names, schema.types, strict=True))


def _tell_other(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    name = next(name for name in [*first, *other] if first.get(name) != other.get(name))
    here, there = (str(types.get(name, "none"))[:60] for types in (other, first))
    return f"{name!r} is {here}, there {there}"


def _read_said(schema: Any, path: Path) -> dict[str, Any]:
    """What `datasets` writes about the columns into the files."""
    data = (schema.metadata or {}).get(_METADATA)
    try:
        features = json.loads(data)["info"]["features"] if data else {}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


_Said = Sequence[tuple[Path, Mapping[str, Any]]]


def _describe(name: str, kind: Any, said: _Said, beside: _Said) -> Column:
    types, spelled = load_arrow().types, str(kind)[:60]
    if _is_picture(kind):
        return Column(name, PICTURE, type=spelled)
    inner, depth = kind, 0
    while _is_list(inner) and depth < 2:
        inner, depth = inner.value_type, depth + 1
    if depth == 1 and _is_picture(inner):
        return Column(name, PICTURES, type=spelled)
    if depth < 2 and types.is_integer(inner):
        named, conflict, silent = _agree(name, said, beside)
        return Column(name, LABEL, named, spelled, not named, conflict, silent)
    named = inner.value_type if types.is_dictionary(inner) else inner
    if depth < 2 and (types.is_string(named) or types.is_large_string(named)):
        return Column(name, LABEL, type=spelled)
    return Column(name, OTHER, type=spelled)


def _is_list(kind: Any) -> bool:
    types = load_arrow().types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_picture(kind: Any) -> bool:
    types = load_arrow().types
    if types.is_struct(kind):
        fields = {kind.field(number).name: kind.field(number).type for number in range(kind.num_fields)}
        return set(fields) <= {"bytes", "path"} and "bytes" in fields and _is_bytes(fields["bytes"])
    return _is_bytes(kind)


def _is_bytes(kind: Any) -> bool:
    types = load_arrow().types
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _agree(name: str, said: _Said, beside: _Said) -> tuple[tuple[str, ...], str, Path | None]:
    """The names of the numbers in a column, which two files give others, which file none while others do."""
    found = [(path, _read_names(name, told.get(name), path)) for path, told in (*said, *beside)]
    first, names = next((pair for pair in found if pair[1]), (Path(), ()))
    for path, others in found:
        if others and others != names:
            pairs = enumerate(zip_longest(names, others, fillvalue="nothing"))
            number, (here, there) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
            clash = f"{number} of {name!r} is {there!r}, in {first} {here!r}"
            advice = "say split=NAME or config=NAME for files that agree, or open one alone"
            return names, f"{path}: {clash}; {advice}", None
    rows = found[: len(said)]
    silent = next((path for path, own in rows if not own), None)
    return names, "", silent if any(own for _, own in rows) else None


def _read_names(name: str, said: Any, path: Path) -> tuple[str, ...]:
    """The names of the numbers in a column, or in the lists in it."""
    for _ in range(3):
        if isinstance(said, list) and len(said) == 1:
            said = said[0]
        elif isinstance(said, dict) and "feature" in said:
            said = said["feature"]
    if not isinstance(said, dict) or said.get("_type") != "ClassLabel":
        return ()
    names = said.get("names")
    if names is None:
        return ()
    if not isinstance(names, list) or not all(isinstance(one, str) and one.strip() for one in names):
        raise SourceError(f"{path}: the names of the classes of {name!r} are no list of texts; save it again")
    return tuple(one.strip() for one in names)


@dataclass(frozen=True)
class Choice:
    """The columns that are read: of the picture, of masks, of labels of whole pictures."""

    image: str
    masks: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def pictured(self) -> tuple[str, ...]:
        """All those that hold pictures."""
        return (self.image, *self.masks)


def is_ade(columns: Mapping[str, Column]) -> bool:
    """Whether these are the columns of ADE20K, as in `1aurent/ADE20K`."""
    if not set(columns) >= _SCHEME:
        return False
    return columns["segmentations"].holds == PICTURES and columns["objects"].holds == OTHER


def choose_columns(columns: Mapping[str, Column], options: Mapping[str, str], place: Path) -> Choice:
    """The columns that options name, or else that are evident by what they hold and how they are called.

    With `image=` nothing more is taken than what is named. Raises `UsageError` for a column that is not
    there or holds something else, and where none is evident: no labels neither, where others could be.
    """
    pictures = [name for name, one in columns.items() if one.holds == PICTURE]
    named = {key: _split_names(options[key]) for key in ("image", "masks", "label") if key in options}
    for key, names in named.items():
        _check(key, names, columns, place)
    masks = named.get("masks", ())
    left = [name for name in pictures if name not in masks]
    if "image" in named:
        (image, *more) = named["image"]
        if more:
            raise UsageError(f"image={options['image']}: wanted one column")
    else:
        image = next(iter([name for name in _IMAGES if name in left] or (left if len(left) == 1 else [])), "")
        if not image:
            found = f"the columns of pictures are {', '.join(pictures) or 'none'} of {', '.join(columns)}"
            raise UsageError(f"{place}: say image=COLUMN; {found}")
    if image in masks:
        raise UsageError(f"masks={options['masks']}: {image!r} is the column of the picture itself")
    evident = "image" not in named and "masks" not in named
    if evident and "label" not in named:
        masks = tuple(name for name in left if name != image and _is_called(name, _MASKS))[:1]
    labels = named.get("label")
    if labels is None:
        labels = tuple(name for name, one in columns.items() if one.names) if "image" not in named else ()
    others = [name for name in columns if name != image]
    if others and not masks and not labels and "image" not in named:
        fitting = [name for name in others if columns[name].holds in (PICTURE, LABEL)]
        lack = (
            "no column tells itself to be labels"
            if fitting
            else f"{', '.join(others)} are not read as labels"
        )
        advice = (
            f"say masks= or label= of {', '.join(fitting)}, or image={image}"
            if fitting
            else f"say image={image}"
        )
        raise UsageError(f"{place}: {lack}; {advice} to take the pictures alone")
    return Choice(image, tuple(masks), tuple(labels))


def _is_called(name: str, words: Iterable[str]) -> bool:
    return name.lower() in words


def _split_names(value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in value.split("+")))


def _check(key: str, names: Sequence[str], columns: Mapping[str, Column], place: Path) -> None:
    wanted = LABEL if key == "label" else PICTURE
    fitting = [name for name, one in columns.items() if one.holds == wanted]
    said = f"the columns of {'labels' if key == 'label' else 'pictures'} are {', '.join(fitting) or 'none'}"
    for name in names:
        if name not in columns:
            raise UsageError(f"{place} has no column {name!r} for {key}=; {said} of {', '.join(columns)}")
        if columns[name].holds != wanted:
            found = f"the column {name!r} is {columns[name].type}"
            raise UsageError(f"{place}: {found}, wanted {wanted} for {key}=; {said}")
