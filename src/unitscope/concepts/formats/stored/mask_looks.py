"""Which pictures of a folder are masks: by where they lie, what they are called, and how they look.

Names are enough where the pictures of a folder lie beside others of their stems with the ending of masks
(`X.jpg`, `X_seg.png`). Drawings have few colors too. So what looks like a mask is taken for one in two cases:
its numbers are small, as those of classes are, which nobody could see; or there is a picture of its name at
whose edges it changes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from unitscope.concepts.formats.folder.names import is_mask_folder, split_ending
from unitscope.concepts.formats.stored.masks import MASK_SUFFIXES, read_mask
from unitscope.concepts.formats.stored.opening import opened
from unitscope.concepts.formats.stored.pictures import read_image
from unitscope.errors import SourceError

_LOOKED_AT = 6
"""Pictures of a folder that are looked at."""
_FOLDERS = 32
"""Folders whose pictures are looked at, of more that are spread evenly: to decode takes long."""
_NAMESAKES = 12
_CLASSES, _SMALL, _SEVERAL, _VOID, _COLORS = 200, 64, 5, 254, 128
_CHANGES, _CHANGES_INSIDE = 0.2, 0.34
_EDGES = 1.5
_SHORT = 2
"""The length of an ending of one letter."""
_PASCAL = (128, 0, 0, 0, 128, 0, 128, 128, 0)
"""The colors of the numbers 1 to 3 in masks that follow PASCAL's, which no drawing has."""


@dataclass(frozen=True)
class Suspect:
    """A folder, below the root, that holds masks, and what tells."""

    folder: str
    reason: str


def find_masks(root: Path, images: Iterable[str]) -> Suspect | None:
    """The first folder of some pictures below `root` that holds masks, or None.

    Every name is looked at, and a few pictures of every folder of which there are files that masks could be.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for image in images:
        groups[image.rpartition("/")[0]].append(image)
    for folder in groups:
        if any(map(is_mask_folder, folder.split("/"))):
            return Suspect(folder, "is called like masks")
    exact = {folder: found for folder, names in groups.items() if (found := [*filter(_could_be_mask, names)])}
    if not exact:
        return None
    for folder, names in exact.items():
        if beside := _find_beside(groups[folder], names):
            return Suspect(folder, f"holds what looks like masks ({beside[0]}, of {beside[1]})")
    others = _Namesakes(groups)
    for folder in _spread(list(exact), _FOLDERS):
        for names in _by_ending(exact[folder]):
            some = _spread(names, _LOOKED_AT)
            if look_like_masks(root / name for name in some):
                return Suspect(folder, f"holds what looks like masks ({some[0]})")
            if pair := others.find_pair(root, some):
                return Suspect(folder, f"holds what looks like masks ({pair[0]}, of {pair[1]})")
    return None


def _find_beside(images: Sequence[str], exact: Sequence[str]) -> tuple[str, str] | None:
    """A mask and its picture, where half of the pictures of a folder or more have one of an ending beside.

    Half of the files of that ending must have a picture. One letter, as in `X_L.png`, tells too little.
    """
    pictures = {_stem(name): name for name in images if not split_ending(_stem(name))[1]}
    kinds: dict[str, list[str]] = defaultdict(list)
    for name in exact:
        ending = split_ending(_stem(name))[1]
        if len(ending) > _SHORT:
            kinds[ending].append(name)
    for names in kinds.values():
        found = ((name, pictures.get(split_ending(_stem(name))[0], "")) for name in names)
        pairs = [(name, picture) for name, picture in found if picture]
        if pairs and 2 * len(pairs) >= max(len(names), len(pictures)):
            return pairs[0]
    return None


def _spread(names: Sequence[str], most: int) -> list[str]:
    """Some of the names, from the first to the last."""
    count = min(most, len(names))
    return [names[round(place)] for place in np.linspace(0, len(names) - 1, count).tolist()]


def look_like_masks(paths: Iterable[Path]) -> bool:
    """Whether pictures hold numbers of classes: one channel, stored exactly, a few small values in patches.

    One that cannot be read does not look like a mask.
    """
    found, ids, shaped, pascal = 0, set[int](), 0, True
    for path in paths:
        read = _read_patches(path)
        if read is None:
            return False
        numbers, colored = read
        values = np.unique(numbers)
        found, shaped, pascal = found + 1, shaped + (len(values) > 1), pascal and colored
        ids |= set(values[(values > 0) & (values < _VOID)].tolist())
    if not ids or 2 * shaped <= found or len(ids) > _CLASSES:
        return False
    return (
        pascal
        or max(ids) < _SMALL
        or (len(ids) >= _SEVERAL and min(ids) <= _SEVERAL and max(ids) <= _CLASSES)
    )


def _read_patches(path: Path) -> tuple[np.ndarray, bool] | None:
    """The numbers of what may be a mask, and whether its palette is one of masks; None for other pictures."""
    try:
        with opened(path) as picture:
            mode, palette = picture.mode, picture.getpalette() if picture.mode == "P" else None
        if mode not in ("L", "P", "I") and not mode.startswith("I;16"):
            return None
        numbers = read_mask(path)
    except SourceError:
        return None
    pascal = palette is not None and tuple(palette[3:12]) == _PASCAL
    if palette is not None and not pascal and not _is_gray(palette):
        return None
    return (numbers, pascal) if not numbers.any() or _has_patches(numbers) else None


def _is_gray(palette: list[int]) -> bool:
    """Whether the numbers of a palette are their own shades."""
    return palette == [number // 3 for number in range(len(palette))]


def _has_patches(numbers: np.ndarray) -> bool:
    """Whether hardly any pixel differs from the one before it, also where there is something to see."""
    left, right = numbers[:, :-1], numbers[:, 1:]
    changes, seen = left != right, (left != 0) | (right != 0)
    if changes.size == 0 or not seen.any():
        return False
    return bool(changes.mean() < _CHANGES and changes[seen].mean() < _CHANGES_INSIDE)


def _lies_on(mask: Path, picture: Path, *, named: bool) -> bool | None:
    """Whether one picture, of few colors in patches, changes where another one of its size does.

    That one must have more tones, if not `named` as the picture of that mask. None where the first has one
    color.
    """
    try:
        with opened(mask) as one, opened(picture) as other:
            if one.size != other.size or one.format == "JPEG" or min(one.size) < 2:
                return False
            patches = _number_colors(one)
        edges = [patches[:, 1:] != patches[:, :-1], patches[1:] != patches[:-1]]
        if not any(edge.any() for edge in edges):
            return None
        if not _has_patches(patches + 1) or len(np.unique(patches)) > _COLORS:
            return False
        pixels = read_image(picture)[..., :3].astype(np.float32).mean(2)
    except SourceError:
        return False
    if not named and len(np.unique(pixels)) <= len(np.unique(patches)):
        return False
    steps = [np.abs(np.diff(pixels, axis=1)), np.abs(np.diff(pixels, axis=0))]
    on = np.concatenate([step[edge] for step, edge in zip(steps, edges, strict=True)])
    off = np.concatenate([step[~edge] for step, edge in zip(steps, edges, strict=True)])
    return bool(off.size and on.mean() > _EDGES * off.mean())


def _number_colors(picture: Image.Image) -> np.ndarray:
    """A number for every color of a picture."""
    if picture.mode in ("1", "L", "P"):
        return np.asarray(picture).astype(np.int64)
    return np.asarray(picture.convert("RGB")).astype(np.int64) @ (1 << 16, 1 << 8, 1)


class _Namesakes:
    """Pictures by their stems, whatever their folders and endings."""

    def __init__(self, groups: dict[str, list[str]]) -> None:
        self.names: dict[str, list[str]] = defaultdict(list)
        for names in groups.values():
            for name in names:
                self.names[split_ending(_stem(name))[0]].append(name)

    def find_pair(self, root: Path, masks: Sequence[str]) -> tuple[str, str] | None:
        """The first of some masks, with its picture, where all lie on pictures of their names.

        Those of one color may lie anywhere.
        """
        pairs = [(mask, self._find(mask)) for mask in masks]
        if not all(other for _, other in pairs):
            return None
        found = None
        for mask, other in pairs:
            named = bool(split_ending(_stem(mask))[1])
            lies = _lies_on(root / mask, root / other, named=named)
            if lies is False:
                return None
            found = found or ((mask, other) if lies else None)
        return found

    def _find(self, name: str) -> str:
        """A picture of that name without a mask's ending, of another folder, suffix or ending; or nothing.

        One that cannot be a mask comes first.
        """
        stem, ending = split_ending(_stem(name))
        kind = name.rpartition("/")[0], name.rpartition(".")[2], ending
        some = self.names[stem][:_NAMESAKES]
        for other in sorted(some, key=_could_be_mask):
            tail = split_ending(_stem(other))[1]
            there = other.rpartition("/")[0], other.rpartition(".")[2], tail
            if other != name and there != kind and not tail:
                return other
        return ""


def _by_ending(names: list[str]) -> Iterator[list[str]]:
    """The pictures of a folder by the endings of their stems and their suffixes."""
    kinds: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        kinds[split_ending(_stem(name))[1], name.rpartition(".")[2]].append(name)
    yield from kinds.values()


def _could_be_mask(name: str) -> bool:
    return f".{name.rpartition('.')[2].lower()}" in MASK_SUFFIXES


def _stem(name: str) -> str:
    last = name.rpartition("/")[2]
    dot = last.rfind(".")
    return last[:dot] if dot > 0 else last
