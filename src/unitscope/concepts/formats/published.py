"""Which published data set a folder holds, told by a few names of files in it.

Some signs are sure: what they ask for lies together in that set alone. Others are a single name
(`codes.txt`, a `.tar`), which may stray into any folder; they tell only where nothing else explains the
folder: neither folders whose names say something about the pictures in them, nor pictures right in it.
"""

import os
import re
from pathlib import Path

from unitscope.concepts.formats.file_names import is_picture
from unitscope.concepts.formats.folder.names import is_mask_folder
from unitscope.concepts.formats.published_signs import (
    COCO,
    INSIDE,
    PANOPTIC,
    PARTS,
    STRAY,
    SURE,
    WRAPPERS,
    find_annotations,
    find_names,
    forget,
    has_own_pictures,
    list_folders,
    names_pictures,
    scan,
    scan_rest,
)

_ABOVE = 6
"""So many folders above one may be the set's."""

_Told = tuple[str, Path]
"""A word and the folder that it opens."""


def recognize(root: Path) -> str | None:
    """How the published data set is opened that a folder holds, itself or in the folders of an archive.

    Of a folder inside a set the word of the whole set is said; one of plain pictures alone may be opened as
    such. None where the folder looks like no published set.

    >>> recognize(Path("no such folder"))
    """
    try:
        told = _tell(root)
        found = _tell_above(root, told) or told
        return None if found is None else _spell(*found)
    finally:
        forget()


def _tell(root: Path) -> _Told | None:
    """The word of a set and its folder, `root` or one below."""
    places = (root, *_below(root))
    sure = ((word, place) for place in places for word, tells in SURE if tells(place))
    if (told := next(sure, None)) is not None:
        return told
    stray = ((word, place) for place in places for word, tells in STRAY if tells(place))
    told = next(stray, None)
    return None if told is None or any(map(_is_explained, {root, told[1]})) else told


def _tell_above(root: Path, told: _Told | None) -> _Told | None:
    """The set that a folder is a part of: of the kind that it looks like itself, or any where of none."""
    if told is not None and (told[1] != root or (told[0] == "coco" and has_own_pictures(root))):
        return None  # whole by itself: further down, or pictures beside their annotations
    kind = None if told is None else told[0].partition("-")[0].removesuffix("stuff")
    whole = Path(os.path.abspath(root))
    spelled = {os.path.abspath(place): place for place in root.parents}
    for place in (one for one in whole.parents[:_ABOVE] if one.name != "annotations"):
        inside = whole.relative_to(place).as_posix()
        for word, inner, tells in INSIDE:
            is_same = kind is None or word.startswith(kind)
            if is_same and re.match(rf"({inner})(/|$)", inside) and tells(place):
                is_fine = told is None and _is_plain(root, inside)
                return None if is_fine else (word, spelled.get(os.fspath(place), place))
    return None


def _is_plain(root: Path, inside: str) -> bool:
    """Whether a folder has pictures and no folders, and lies in none of masks."""
    if any(is_mask_folder(name) or _MASKED.match(name) for name in inside.split("/")):
        return False
    names, folders = scan(os.fspath(root))
    return any(map(is_picture, names)) and all(name.startswith(".") for name in folders)


def _is_explained(place: Path) -> bool:
    """Whether most of what a folder holds are pictures, or its folders say what pictures in them show."""
    top = os.fspath(place)
    rest = [name for name in scan_rest(top) if not name.startswith(".")]
    return len(scan(top)[0]) - len(scan_rest(top)) > len(rest) or names_pictures(top)


def _below(root: Path) -> list[Path]:
    """The folders that hold a set where an archive was unpacked into a folder of its own, two deep."""
    found = []
    names = [name for name in list_folders(os.fspath(root)) if not name.startswith((".", "__MACOSX"))]
    for name in names:
        if len(names) == 1 or WRAPPERS.fullmatch(name):
            inner = list_folders(os.path.join(root, name))
            found += [root / name, *(root / name / below for below in inner)]
    return found


def _spell(word: str, place: Path) -> str:
    text = f"{word}:{place}"
    if word == "voc" and not (place / "SegmentationClass").is_dir():
        found = (name for one in _VOC_MASKS for name in find_names(os.fspath(place), one.split("/")))
        masks = next(found, "").partition("/")[0]
        return f"{text},masks={masks}" if masks else text
    if word == "coco" and not find_annotations(place, COCO):
        return next(_spell(word, place / part) for part in PARTS if find_annotations(place / part, COCO))
    if word in ("coco", "coco-panoptic"):
        files = find_annotations(place, COCO if word == "coco" else PANOPTIC)
        return f"{text},annotations={files[0]}"
    return text


_VOC_MASKS = (
    "SegmentationClassContext",
    "SegmentationClassAug",
    "SegmentationClass*",
    "trainval/*.mat",
    "Annotations_Part",
)

_MASKED = re.compile(r"Segmentation|LabeledApproved")
