"""The annotations of COCO, LVIS and PACO as tables, and what is painted from them.

Polygons are kept as the reference implementation sees them: each corner in fifths of a pixel, rounded as it
rounds (`rleFrPoly` in `maskApi.c`), so that it fills exactly the same pixels.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Int64

from unitscope.concepts.formats.coco.run_lengths import read_counts
from unitscope.concepts.formats.coco.tables import (
    TAKE_OUT,
    Header,
    Ids,
    Integers,
    get_fields,
    new_integers,
    read_text,
    show,
)
from unitscope.concepts.formats.indexes import Index, join_texts
from unitscope.errors import SourceError, missing_extra

if TYPE_CHECKING:
    Floats: TypeAlias = array[float]
else:
    Floats = array  # which cannot be subscripted at run time

KIND = "coco-1"

NOTHING, POLYGONS, NUMBERS, LETTERS = range(4)
"""How a mask is stored: not at all, as corners, as lengths of runs, as lengths of runs in letters."""

_FLUSHED = 1 << 20
_FARTHEST = 1 << 28
_LONGEST_BOUNDARY = 20_000_000
"""In fifths of a pixel, of all polygons of a picture."""


@dataclass
class Instances:
    """Takes the items of a file of instances. Its index has the annotations in the order of their images.

    Those of image i begin at `first[i]`. Of each it has `ids`; `category`, its place among the categories;
    `crowd`; `form`; `start` and `stop`, where its mask lies in what its form says: `pieces` (where each
    polygon ends in `corners`: x, y, x, y in fifths), `runs` or `letters`; `attribute_stops`, where its
    `attributes` end.
    """

    header: Header = field(default_factory=Header)
    attribute_ids: Ids = field(default_factory=lambda: Ids("attribute"))
    attribute_names: list[str] = field(default_factory=list)
    attribute_types: dict[int, str] = field(default_factory=dict)
    paco: bool = False
    ids: Integers = field(default_factory=new_integers)
    image: Integers = field(default_factory=new_integers)
    category: Integers = field(default_factory=new_integers)
    crowd: Integers = field(default_factory=new_integers)
    form: Integers = field(default_factory=new_integers)
    start: Integers = field(default_factory=new_integers)
    stop: Integers = field(default_factory=new_integers)
    height: Integers = field(default_factory=new_integers)
    width: Integers = field(default_factory=new_integers)
    attributes: Integers = field(default_factory=new_integers)
    attribute_stops: Integers = field(default_factory=new_integers)
    pieces: Integers = field(default_factory=lambda: new_integers([0]))
    corners: Floats = field(default_factory=lambda: array("d"))
    runs: Integers = field(default_factory=lambda: array("I"))
    letters: bytearray = field(default_factory=bytearray)
    fifths: list[np.ndarray] = field(default_factory=list)

    def add(self, key: str, item: Any) -> None:
        """Takes an item; those that say nothing about pixels are passed over."""
        self.paco |= key in ("part_categories", "attr_type_to_attr_idxs")
        if self.header.add(key, item):
            return
        if key == "annotations":
            self._add_annotation(get_fields(item, key))
        elif key == "attributes":
            fields = get_fields(item, key)
            self.attribute_ids.tell(fields)
            self.attribute_names.append(read_text(fields, "name", f"the attribute {show(fields['id'])}"))
        elif key == "attr_type_to_attr_idxs":
            for kind, ids in get_fields(item, key).items():
                read_text({"type": kind}, "type", key)
                if not isinstance(ids, list):
                    raise SourceError(f"{key} has {show(ids)} for {show(kind)}; wanted a list of ids")
                for one in ids:
                    self.attribute_types[self.attribute_ids.find(one, lambda: key)] = kind

    def _add_annotation(self, fields: dict[str, Any]) -> None:
        if len(self.corners) > _FLUSHED:
            self._flush()
        if "segments_info" in fields:
            raise SourceError("it is panoptic; open it as coco-panoptic:IMAGES,annotations=FILE")
        number = fields.get("id")
        if type(number) is not int or abs(number) >= 1 << 63:
            raise SourceError(f"annotation {show(fields)} has the id {show(number)}; wanted a whole number")

        def where() -> str:
            return f"annotation {number}"

        crowd = fields.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise SourceError(f"{where()} has iscrowd {show(crowd)}; wanted 0 or 1")
        self.ids.append(number)
        self.image.append(self.header.images.find(fields.get("image_id"), where))
        self.category.append(self.header.categories.find(fields.get("category_id"), where))
        self.crowd.append(bool(crowd))
        self._add_mask(fields.get("segmentation"), where)
        ids = fields.get("attribute_ids", [])
        if not isinstance(ids, list):
            raise SourceError(f"{where()} has the attribute_ids {show(ids)}; wanted a list")
        self.attributes.extend(self.attribute_ids.find(one, where) for one in ids)
        self.attribute_stops.append(len(self.attributes))

    def _add_mask(self, mask: Any, where: Callable[[], str]) -> None:
        size = 0, 0
        if not mask:
            form, start, stop = NOTHING, 0, 0
        elif isinstance(mask, list):
            form, start = POLYGONS, len(self.pieces) - 1
            for piece in mask:
                self._add_polygon(piece, where)
            stop = len(self.pieces) - 1
        elif isinstance(mask, dict):
            size = _read_size(mask.get("size"), where)
            counts = mask.get("counts")
            form = LETTERS if isinstance(counts, str) else NUMBERS
            start = len(self.letters if isinstance(counts, str) else self.runs)
            self._add_counts(counts, where)
            stop = len(self.letters if isinstance(counts, str) else self.runs)
        else:
            wanted = "a list of polygons, or an object with counts and size"
            raise SourceError(f"{where()} has the segmentation {show(mask)}; wanted {wanted}")
        self.form.append(form)
        self.start.append(start)
        self.stop.append(stop)
        self.height.append(size[0])
        self.width.append(size[1])

    def _add_polygon(self, piece: Any, where: Callable[[], str]) -> None:
        if not isinstance(piece, list) or len(piece) < 6 or len(piece) % 2:
            found = f"{len(piece)} numbers" if isinstance(piece, list) else show(piece)
            raise SourceError(f"{where()} has a polygon of {found}; wanted x and y of three or more corners")
        try:
            self.corners.extend(piece)
        except (TypeError, OverflowError):
            raise SourceError(f"{where()} has a polygon of {show(piece)}; wanted numbers") from None
        self.pieces.append(self.pieces[-1] + len(piece))

    def _add_counts(self, counts: Any, where: Callable[[], str]) -> None:
        try:
            if isinstance(counts, str):
                self.letters.extend(counts.encode("ascii"))
                return
            if isinstance(counts, list):
                self.runs.extend(counts)
                return
        except (TypeError, OverflowError, UnicodeEncodeError):
            pass
        wanted = "a list of numbers of 0 or more, or letters"
        raise SourceError(f"{where()} has the counts {show(counts)}; wanted {wanted}")

    def _flush(self) -> None:
        """Rounds corners as the reference does: half a fifth is added, the rest cut off towards 0."""
        corners = np.array(self.corners)
        wrong = ~(np.abs(corners) < _FARTHEST)  # also what is no number
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            place = self.pieces[-1] - len(corners) + index
            piece = int(np.searchsorted(np.array(self.pieces), place, "right")) - 1
            before = (np.array(self.form) == POLYGONS) & (np.array(self.start) <= piece)
            annotation = self._spell(int(np.flatnonzero(before)[-1]))
            raise SourceError(f"{annotation} has a polygon with a corner at {corners[index]}; {TAKE_OUT}")
        self.fifths.append(np.trunc(5 * corners + 0.5).astype(np.int32))
        del self.corners[:]

    def finish(self) -> dict[str, np.ndarray]:
        """The index."""
        if not any(self.form):
            found = "boxes alone" if self.ids else "no annotations"
            raise SourceError(f"it has {found}; wanted the segmentations of instances")
        header = self.header.finish()
        image = self.header.images.place(np.array(self.image), self._spell)
        category = self.header.categories.place(np.array(self.category), self._spell)
        self._check_ids()
        self._check_sizes(header["sizes"][image])
        self._flush()
        corners = np.concatenate(self.fifths)
        small = not corners.size or np.abs(corners).max() < 1 << 15
        order = np.argsort(image, kind="stable")
        if not self.attribute_names:
            self.attribute_stops = new_integers([0]) * len(order)
            del self.attributes[:]
        counts = np.diff(np.array(self.attribute_stops), prepend=0)
        owners = np.repeat(np.arange(len(order)), counts)
        attributes = self.attribute_ids.place(
            np.array(self.attributes, np.int64), lambda index: self._spell(int(owners[index]))
        )
        rank = np.argsort(order)
        return {
            **header,
            "first": np.searchsorted(image[order], np.arange(len(self.header.names) + 1)).astype(np.int64),
            "ids": np.array(self.ids)[order],
            "category": category[order],
            "crowd": np.array(self.crowd, bool)[order],
            "form": np.array(self.form, np.uint8)[order],
            "start": np.array(self.start)[order],
            "stop": np.array(self.stop)[order],
            "pieces": np.array(self.pieces),
            "corners": corners.astype(np.int16) if small else corners,
            "runs": np.array(self.runs, np.uint32),
            "letters": np.frombuffer(bytes(self.letters), np.uint8),
            "attributes": attributes[np.argsort(rank[owners], kind="stable")],
            "attribute_stops": np.cumsum(counts[order]),
            "paco": np.array([self.paco or "PART" in self.header.supercategories]),
            **join_texts("attribute_names", self.attribute_names),
            **join_texts("attribute_types", self._list_types()),
        }

    def _list_types(self) -> list[str]:
        """The type of every attribute, in the order of the file."""
        return [self.attribute_types.get(number, "") for number in self.attribute_ids.told]

    def _spell(self, index: int) -> str:
        return f"annotation {self.ids[index]}"

    def _check_ids(self) -> None:
        ordered = np.sort(np.array(self.ids))
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if twice.size:
            raise SourceError(f"there are two annotations with the id {twice[0]}; {TAKE_OUT}")

    def _check_sizes(self, wanted: np.ndarray) -> None:
        """Run lengths say the size of their picture once more."""
        found = np.stack([np.array(self.height), np.array(self.width)], axis=1)
        differs = (found != wanted).any(axis=1) & (np.array(self.form) >= NUMBERS)
        if differs.any():
            index = int(np.flatnonzero(differs)[0])
            spelled = " and ".join(f"{one[1]}x{one[0]}" for one in (found[index], wanted[index]))
            raise SourceError(f"{self._spell(index)} and its image differ in size, {spelled}; {TAKE_OUT}")


def _read_size(size: Any, where: Callable[[], str]) -> tuple[int, int]:
    if isinstance(size, list) and len(size) == 2 and all(type(one) is int for one in size):
        height, width = size
        if 0 < height < 1 << 31 and 0 < width < 1 << 31:
            return height, width
    raise SourceError(f"{where()} has the size {show(size)}; wanted height and width")


def read_runs(index: Index, number: int, size: tuple[int, int]) -> Iterator[Int64[np.ndarray, "run"]]:
    """The mask of an annotation as lengths of runs, one list a piece, in a picture of `size` (height, width).

    Raises `SourceError` where they do not fit the picture.
    """
    form, start, stop = (int(index[name][number]) for name in ("form", "start", "stop"))
    if form == NUMBERS:
        yield read_counts(index["runs"][start:stop], size)
    elif form == LETTERS:
        yield read_counts(index["letters"][start:stop].tobytes(), size)
    elif form == POLYGONS:
        bounds = index["pieces"][start : stop + 1].tolist()
        pieces = [index["corners"][begin:end] for begin, end in pairwise(bounds)]
        for letters in fill_polygons(pieces, size):
            yield read_counts(letters, size)


def fill_polygons(fifths: list[np.ndarray], size: tuple[int, int]) -> list[bytes]:
    """The pixels inside each polygon as run lengths in letters; corners are x, y, x, y in fifths of a pixel.

    Raises `SourceError` where a corner lies farther from the picture than that is large, and `UsageError`
    where pycocotools is not installed.

    >>> fill_polygons([np.array([0, 0, 10, 0, 10, 10, 0, 10])], (3, 4))
    [b'02106']
    """
    mask = find_pycocotools()
    height, width = size
    places = []
    length = 0
    for piece in fifths:
        corners = piece.astype(np.int64).reshape(-1, 2)
        beyond = 5 * np.array([width, height])
        if (corners < -beyond).any() or (corners > 2 * beyond).any():
            raise SourceError(
                f"a polygon goes far beyond the {width}x{height} pixels of the picture; {TAKE_OUT}"
            )
        steps = np.abs(np.diff(corners, axis=0, append=corners[:1])).max(axis=1)
        length += int(steps.sum())
        # Negative ones are cut off towards 0 when they are rounded again: not if they are a bit farther.
        places.append(((corners - np.where(corners < 0, 0.75, 0)) / 5).ravel().tolist())
    if length > _LONGEST_BOUNDARY:
        raise SourceError(f"polygons whose boundary is {length // 5} pixels long; {TAKE_OUT}")
    return [one["counts"] for one in mask.frPyObjects(places, height, width)]


def find_pycocotools() -> Any:
    """The module that fills polygons. Raises `UsageError` where it is not installed."""
    try:
        return import_module("pycocotools.mask")
    except ImportError:
        raise missing_extra("pycocotools", "fills the polygons of COCO", "coco") from None
