"""Places365, pictures of 365 scenes (Zhou et al., TPAMI 2017).

::

    DIR/categories_places365.txt              "/a/airfield 0"
    DIR/places365_train_standard.txt          "/a/airfield/00000001.jpg 0"
    DIR/places365_val.txt                     "Places365_val_00000001.jpg 165"
    DIR/data_256/a/airfield/00000001.jpg      or data_256_standard/, data_large/, data_large_standard/
    DIR/val_256/Places365_val_00000001.jpg    or val_large/

The lists may also lie in a folder of their own, `filelist_places365-standard/`. A scene is called as in the
list of categories, without the letter: `airfield`, `apartment_building/outdoor`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.file_names import is_picture
from unitscope.concepts.formats.splits import check_split
from unitscope.concepts.formats.text_lists import read_lines
from unitscope.concepts.formats.whole.images import MISSING, LabelledPictures, find_set, list_set, tell_rest
from unitscope.concepts.formats.whole.sun397 import name_scene
from unitscope.concepts.left_out import OTHER_SPLIT
from unitscope.errors import SourceError

_MOST, _LONG = 9_000_000, 4096
"""More lines than the longest list has, the challenge's, and more letters than a line."""
AGAIN = "the same pictures in another size"
_CATEGORIES = "categories_places365.txt"
_SPLITS = {
    "train": (
        "places365_train_standard.txt",
        ("data_256", "data_256_standard", "data_large", "data_large_standard"),
    ),
    "challenge": ("places365_train_challenge.txt", ("data_256_challenge", "data_large_challenge")),
    "val": ("places365_val.txt", ("val_256", "val_large")),
}
"""The list of every split, and the folders where its pictures may lie."""


def open_places365(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """Places365 as it is published; option `split` (`train`, `challenge`, `val`).

    Raises `UsageError` for an unknown split, `SourceError` where lists or pictures are missing or wrong.
    """
    root = find_set(
        place,
        ("places365", "places365_standard"),
        _holds,
        f"Places365's {_CATEGORIES} and data_256/ or val_256/",
    )
    parts = {split: part for split, (_, folders) in _SPLITS.items() if (part := _find_folders(root, folders))}
    split = options.get("split")
    check_split(root, split, parts)
    scenes = _read_categories(_find_list(root, _CATEGORIES))
    found = LabelledPictures(root, list(scenes.values()), {}, [_find_list(root, _CATEGORIES)])
    listing = list_set(place, root)
    reasons = {folder: AGAIN for _, *others in parts.values() for folder in others}
    for name, (folder, *others) in parts.items():
        if split in (None, name):
            path = _find_list(root, _SPLITS[name][0])
            found.texts = [*found.texts, path]
            _take(found, listing.choose(folder), folder, _read_list(path, scenes))
        else:
            reasons |= dict.fromkeys((folder, *others), OTHER_SPLIT)

    def say(name: str) -> str:
        folder = name.partition("/")[0]
        return reasons[folder] if folder in reasons and is_picture(name) else tell_rest(name)

    found.leave_out_rest(listing, say)
    return found.open("places365", place, options, "scene")


def _take(
    found: LabelledPictures, names: list[str], folder: str, listed: Mapping[str, tuple[str, ...]]
) -> None:
    """The pictures of a folder, with what the list of its split says."""
    start, left = len(folder) + 1, set(listed)
    for name in names:
        below = name[start:]
        left.discard(below)
        if below in listed and is_picture(name):
            found.labels[name] = listed[below]
    found.left_out += [(MISSING, f"{folder}/{name}") for name in sorted(left)]


def _find_folders(root: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (root / name).is_dir()]


def _find_list(root: Path, name: str) -> Path:
    """A list in the folder, or in the one that its archive adds. Raises `SourceError` where it is missing."""
    for path in (root / name, *sorted(root.glob(f"filelist*/{name}"))):
        if path.is_file():
            return path
    raise SourceError(f"{root / name}: the file is missing, which says what the pictures show; restore it")


def _read_categories(path: Path) -> dict[int, str]:
    """The scenes by number."""
    found = {}
    for number, line in enumerate(read_lines(path), start=1):
        if line:
            name, value = _split_line(path, number, line)
            found[value] = name_scene(name.strip("/"))
    return dict(sorted(found.items()))


def _read_list(path: Path, scenes: Mapping[int, str]) -> dict[str, tuple[str, ...]]:
    """The scene of every picture, by its place below the folder of its split."""
    named = {value: (name,) for value, name in scenes.items()}
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(_stream_lines(path), start=1):
        if line:
            name, value = _split_line(path, number, line)
            if value not in named:
                raise SourceError(f"{path}, line {number}: there is no scene {value} in {_CATEGORIES}")
            found[name.lstrip("/")] = named[value]
    return found


def _stream_lines(path: Path) -> Iterator[str]:
    """The lines of a list that is too long to be held. Raises `SourceError` for what is none."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONG), ""), start=1):
                if number > _MOST:
                    raise SourceError(f"{path}: more than {_MOST:,} lines, which no list of Places365 has")
                yield line.strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({error})") from None


def _split_line(path: Path, number: int, line: str) -> tuple[str, int]:
    name, _, value = line.rpartition(" ")
    if not name or not re.fullmatch(r"[0-9]{1,6}", value):
        raise SourceError(f"{path}, line {number}: {line[:80]!r}; wanted a name and a number")
    return name.strip(), int(value)


def _holds(path: Path) -> bool:
    folders = (folder for _, known in _SPLITS.values() for folder in known)
    return (path / _CATEGORIES).is_file() or any((path / folder).is_dir() for folder in folders)
