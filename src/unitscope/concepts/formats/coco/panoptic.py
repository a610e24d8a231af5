"""Panoptic segments: pictures, a file of annotations, and a PNG for each picture.

`coco-panoptic:IMAGES,annotations=FILE.json`. The PNGs lie in the folder `masks=`, else in one called as
`FILE` is without `.json`, beside it or below `IMAGES`, else beside `FILE` itself.

- A pixel has the number R + 256 G + 65,536 B of its segment; 0 is void. Things and stuff alike are concepts,
  objects, named as the set names them (`tree-merged`).
- A crowd counts as its category; with `crowd=void` it is void.
- A picture that no annotation belongs to is left out: nobody has said what is there. `bare=in` takes it in.
  One whose PNG is missing is left out in any case: what it shows is known, but not where.

Cityscapes, Mapillary Vistas and ADE20K are published in this form, too. Sources of the format:
cocodataset.org, "Panoptic Segmentation"; github.com/cocodataset/panopticapi.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from unitscope.concepts.formats.annotated import AnnotatedSource, Labels, PictureFiles
from unitscope.concepts.formats.coco.instances_source import (
    check_choice,
    find_annotations,
    find_pictures,
    open_root,
)
from unitscope.concepts.formats.coco.tables import (
    TAKE_OUT,
    Header,
    Integers,
    get_fields,
    new_integers,
    read_tables,
    read_text,
    show,
)
from unitscope.concepts.formats.indexes import Index, join_texts, keep_index, split_texts
from unitscope.concepts.formats.listings import list_folder
from unitscope.concepts.formats.named_files import find_file, index_names
from unitscope.concepts.formats.stored.masks import read_colors
from unitscope.concepts.left_out import count_left_out, note_bare, takes_bare
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError, UsageError

KIND = "coco-panoptic-1"

NO_SEGMENTS = "a picture without segments"
NO_MASK = "a picture whose mask is missing"
UNLISTED_MASK = "a mask that the annotations do not list"

_MOST_SEGMENTS = 1 << 24


@dataclass
class Segments:
    """Takes the items of a panoptic file. Its index has `masks`, the PNG of each image in their order.

    Of each segment it has `ids`, `category`, its place among the categories, and `crowd`; those of image i
    begin at `first[i]`.
    """

    header: Header = field(default_factory=Header)
    image: Integers = field(default_factory=new_integers)
    masks: list[str] = field(default_factory=list)
    counts: Integers = field(default_factory=new_integers)
    ids: Integers = field(default_factory=new_integers)
    category: Integers = field(default_factory=new_integers)
    crowd: Integers = field(default_factory=new_integers)

    def add(self, key: str, item: Any) -> None:
        """Takes an item; those that say nothing about segments are passed over."""
        if self.header.add(key, item) or key != "annotations":
            return
        fields = get_fields(item, key)
        segments = fields.get("segments_info")
        if not isinstance(segments, list):
            wanted = "a list; a file of instances is opened as coco:IMAGES,annotations=FILE"
            raise SourceError(f"an annotation has the segments_info {show(segments)}; wanted {wanted}")
        name = read_text(fields, "file_name", "an annotation").replace("\\", "/").removeprefix("./")
        self.image.append(self.header.images.find(fields.get("image_id"), lambda: f"the mask {name[:100]}"))
        self.masks.append(name)
        seen = set()
        for segment in segments:
            number = get_fields(segment, "segments_info").get("id")
            if type(number) is not int or not 0 < number < _MOST_SEGMENTS or number in seen:
                found = f"the mask {name[:100]} has a segment with the id {show(number)}"
                raise SourceError(f"{found}; wanted 1 to {_MOST_SEGMENTS - 1}, each once")
            seen.add(number)
            self._add_segment(segment, f"segment {number} of the mask {name[:100]}")
        self.counts.append(len(segments))

    def _add_segment(self, segment: dict[str, Any], where: str) -> None:
        crowd = segment.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise SourceError(f"{where} has iscrowd {show(crowd)}; wanted 0 or 1")
        self.ids.append(segment["id"])
        self.category.append(self.header.categories.find(segment.get("category_id"), lambda: where))
        self.crowd.append(bool(crowd))

    def finish(self) -> dict[str, np.ndarray]:
        """The index."""
        header = self.header.finish()
        if not self.ids:
            raise SourceError("it has no segments; wanted annotations with segments_info")
        image = self.header.images.place(np.array(self.image), lambda index: f"the mask {self.masks[index]}")
        masks = [""] * len(self.header.names)
        for place, name in zip(image.tolist(), self.masks, strict=True):
            if masks[place]:
                raise SourceError(f"one image has two masks, {masks[place]} and {name}; {TAKE_OUT}")
            masks[place] = name
        owners = np.repeat(image, np.array(self.counts))
        order = np.argsort(owners, kind="stable")
        category = self.header.categories.place(np.array(self.category), self._spell)
        return {
            **header,
            **join_texts("masks", masks),
            "first": np.searchsorted(owners[order], np.arange(len(masks) + 1)).astype(np.int64),
            "ids": np.array(self.ids)[order],
            "category": category[order],
            "crowd": np.array(self.crowd, bool)[order],
        }

    def _spell(self, index: int) -> str:
        mask = int(np.searchsorted(np.cumsum(np.array(self.counts)), index, "right"))
        return f"segment {self.ids[index]} of the mask {self.masks[mask]}"


@dataclass(frozen=True, eq=False)
class SegmentMasks:
    """The masks below `root`. `images` has, by key, the place of each image in the index; `names` its mask.

    `concepts` are the ids of every category. `void` says whether crowds are void.
    """

    index: Index
    root: Path
    images: Mapping[str, int]
    names: Mapping[str, str]
    concepts: np.ndarray
    void: bool = False

    def read(self, key: str) -> Labels | None:
        """One plane. Raises `SourceError` where mask and annotations contradict each other."""
        image, name = self.images.get(key), self.names.get(key)
        if image is None or name is None:
            return None
        path = self.root / name
        numbers = read_numbers(path)
        first, last = self.index["first"][image : image + 2].tolist()
        order = np.argsort(self.index["ids"][first:last])
        known = np.concatenate([[0], self.index["ids"][first:last][order]])
        place = np.searchsorted(known, numbers).clip(max=len(known) - 1)
        unknown = numbers[known[place] != numbers]
        if unknown.size:
            lack = "which the annotations do not name; the two do not belong together"
            raise SourceError(f"{path}: a pixel has the segment {unknown[0]}, {lack}")
        unseen = known[np.bincount(place.ravel(), minlength=len(known)) == 0]
        if unseen[unseen > 0].size:
            lack = "which no pixel of the mask has; the two do not belong together"
            raise SourceError(f"{path}: the annotations name the segment {unseen[unseen > 0][0]}, {lack}")
        silent = np.concatenate([[True], self.index["crowd"][first:last][order] & self.void])
        concepts = np.concatenate([[0], self.concepts[self.index["category"][first:last][order]]])
        void = silent[place]
        planes = np.where(silent, 0, concepts).astype(np.uint16)[place][None]
        return Labels(planes, void if void.any() else None)

    def list_files(self) -> Iterator[Path]:
        """One file a mask."""
        return (self.root / name for name in self.names.values())


def read_numbers(path: Path) -> Int64[np.ndarray, "y x"]:
    """The numbers of the segments of a mask, R + 256 G + 65,536 B.

    Raises `SourceError` as `read_colors` does.
    """
    red, green, blue = np.moveaxis(read_colors(path).astype(np.int64), -1, 0)
    numbers: np.ndarray = red + 256 * green + 65_536 * blue
    return numbers


def open_panoptic(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """The pictures in a folder with the segments of a file of annotations, as the module says.

    The file is read once; what it says is kept on disk (`unitscope.concepts.formats.indexes`).

    Raises `UsageError` for a folder or file that is not there and an option that has no such value;
    `SourceError` naming the file where the annotations are wrong, and where no picture with a mask is found.
    """
    root = open_root("coco-panoptic", place)
    path = find_annotations(root, options)
    void = check_choice("crowd", options.get("crowd", "label")) == "void"
    bare = takes_bare(options)
    index = keep_index(KIND, [path], lambda: read_tables(path, Segments))
    # The script that makes those of Cityscapes names its pictures so.
    images = [name.replace("_gtFine_leftImg8bit", "_leftImg8bit") for name in split_texts(index, "images")]
    masks = split_texts(index, "masks")
    folder = find_masks(root, path, options.get("masks"), masks)
    listing = list_folder(folder)
    known = index_names(folder.resolve().name, listing.names)
    named = [known.find(mask, path.stem) if mask else None for mask in masks]
    taken = {name for name in named if name}
    prefix = _place_below(folder, root)
    below = frozenset(f"{prefix}{name}" for name in taken) if prefix is not None else frozenset[str]()
    lacking = {
        place: NO_MASK if masks[place] else NO_SEGMENTS
        for place, name in enumerate(named)
        if not name and (masks[place] or not bare)
    }
    pictures = find_pictures(root, path, images, lacking, below)
    spare = [(UNLISTED_MASK, name) for name in listing.names if name not in taken and name.endswith(".png")]
    outside = [*listing.left_out, *spare] if prefix is None else []
    ids: dict[str, int] = {}
    concepts = np.array([ids.setdefault(name, len(ids) + 1) for name in split_texts(index, "categories")])
    names = {key: name for key, one in pictures.places.items() if (name := named[one])}
    if not names:
        raise SourceError(f"{root}: no picture of {path} has its mask in {folder}; put the masks there")
    return AnnotatedSource(
        "coco-panoptic",
        place,
        root,
        PictureFiles(root, tuple(pictures.places)),
        Vocabulary(tuple(Concept(number, name, "object") for name, number in ids.items())),
        layers=(SegmentMasks(index, folder, pictures.places, names, concepts, void),),
        options=tuple(options.items()),
        left_out=(*pictures.left_out, *count_left_out(outside)),
        notes=(
            "void: the number 0, which is no segment",
            *_note_crowds(index, void),
            *note_bare([key for key in pictures.places if key not in names]),
        ),
        content=index["content"].tobytes().hex(),
    )


def _note_crowds(index: Index, void: bool) -> tuple[str, ...]:
    count = int(index["crowd"].sum())
    told = "void, too: crowds" if void else "labeled as their category: crowds"
    return (f"{told} ({count:,} in the annotations)",) if count else ()


def find_masks(root: Path, annotations: Path, given: str | None, names: list[str]) -> Path:
    """The folder of masks. Raises `UsageError` where it is not there, or has none of those names."""
    if given is not None:
        return find_file(given, root, ("..", "annotations"), "masks")
    name = annotations.stem
    folders = [place / name for place in (annotations.parent, root, root / "annotations", root.parent)]
    first = next((mask for mask in names if mask), "")
    for folder in [*folders, annotations.parent]:
        if folder.is_dir() and (folder in folders or (folder / first).is_file()):
            return folder
    packed = next((path for folder in folders if (path := folder.with_name(f"{name}.zip")).is_file()), None)
    if packed is not None:
        raise UsageError(f"the masks of {annotations} are packed in {packed}; unpack them there")
    looked = ", ".join(dict.fromkeys(str(folder) for folder in folders))
    raise UsageError(f"the masks of {annotations} were not found (looked for {looked}); say masks=DIR")


def _place_below(folder: Path, root: Path) -> str | None:
    """What names below `folder` begin with below `root`; None where it lies elsewhere."""
    inner, outer = folder.resolve(), root.resolve()
    if not inner.is_relative_to(outer):
        return None
    return "" if inner == outer else f"{inner.relative_to(outer).as_posix()}/"
