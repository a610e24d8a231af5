"""COCO's instances, LVIS and PACO: pictures beside one file of annotations.

`coco:IMAGES,annotations=FILE.json`. `IMAGES` is the folder of pictures or one above it; `FILE` is looked for
as given, below `IMAGES`, in the `annotations/` there, and in the same places of the folder above.

- Every category is a concept, an object; those of one name are one. Each instance is painted with its own; a
  pixel under several instances keeps them all, each concept once.
- A crowd (`iscrowd`) is void where no other instance lies; with `crowd=label` it counts as its category.
- An image that is listed without annotations shows none of the concepts: that is truth, not a mask that is
  missing. So is every pixel that no instance covers. `bare=out` leaves such images out.
- An annotation without a segmentation says nothing about pixels, and is passed over.
- COCO-Stuff's category `other` is no concept: its pixels are whatever is no stuff.

LVIS (Gupta, Dollar, Girshick, 2019) has no names of files; they come from `coco_url`. Its truth is
*federated*: only some categories were looked for in an image, and one that is neither annotated there nor
listed as absent may be there all the same. Here it counts as absent, so that IoU is understated for such
concepts.

PACO (Ramanathan et al., 2023) has parts, `chair:leg`, with the category `part`. With `parts=merged` the legs
of all objects are one concept, `leg`. With `attributes=yes` what is said of an annotation is labelled on its
mask too: colors (`color`), patterns and markings (`texture`), materials (`material`) and `transparency`.
`other(...)` is no concept. Parts and attributes were annotated on some of the objects only; elsewhere they
count as absent.

Sources of the formats: cocodataset.org; the pages of LVIS (lvisdataset.org); PACO_DATASET.md of
github.com/facebookresearch/paco.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from unitscope.concepts.formats.annotated import AnnotatedSource, Labels, PictureFiles
from unitscope.concepts.formats.coco.instances import (
    KIND,
    NOTHING,
    POLYGONS,
    Instances,
    find_pycocotools,
    read_runs,
)
from unitscope.concepts.formats.coco.overlaps import Overlaps
from unitscope.concepts.formats.coco.tables import read_tables
from unitscope.concepts.formats.folder.mask_matches import UNLABELLED
from unitscope.concepts.formats.folder.names import is_mask_folder, is_part
from unitscope.concepts.formats.indexes import Index, keep_index, split_texts
from unitscope.concepts.formats.listings import list_folder
from unitscope.concepts.formats.named_files import find_file, index_names
from unitscope.concepts.formats.stored.pictures import IMAGE_SUFFIXES
from unitscope.concepts.left_out import EXAMPLES, LeftOut, count_left_out, name_some, note_bare, takes_bare
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError, UsageError

CHOICES = {"crowd": ("void", "label"), "parts": ("whole", "merged"), "attributes": ("no", "yes")}
"""What each option may be; the first is meant where it is not given."""

FOLDERS = ("annotations", "..", "../annotations", "../../annotations")
"""Where annotations lie, seen from the pictures."""

MISSING = "listed, but missing"
UNLISTED = "a picture that the annotations do not list"
UNUSED = "no picture"

_MOST_PIECES = 20_000
_SPLITS = re.compile("train|val|test")
_TYPES = {"pattern_marking": "texture", "pattern": "texture", "marking": "texture"}


@dataclass(frozen=True, eq=False)
class InstanceMasks:
    """The masks of instances. `images` has, by key, the place of each image in the index.

    `concepts` are the ids of every category, `marks` those of every attribute, 0 where they are none. `void`
    says whether crowds are void.
    """

    index: Index
    images: Mapping[str, int]
    concepts: tuple[int, ...]
    marks: tuple[int, ...] = ()
    void: bool = True

    def read(self, key: str) -> Labels | None:
        """All instances of a picture. Raises `SourceError` naming the annotation that cannot be painted."""
        image = self.images.get(key)
        if image is None:
            return None
        first, last = self.index["first"][image : image + 2].tolist()
        height, width = self.index["sizes"][image].tolist()
        pieces = (self.index["stop"][first:last] - self.index["start"][first:last])[
            self.index["form"][first:last] == POLYGONS
        ]
        if max(last - first, int(pieces.sum())) > _MOST_PIECES:
            found = f"{last - first} annotations of {int(pieces.sum())} polygons"
            raise SourceError(f"{key}: {found}; wanted up to {_MOST_PIECES} of one picture")
        overlaps = Overlaps((height, width))
        for number in range(first, last):
            try:
                for lengths in read_runs(self.index, number, (height, width)):
                    if self.void and self.index["crowd"][number]:
                        overlaps.veil(lengths)
                    else:
                        overlaps.paint(lengths, self._list_concepts(number))
            except SourceError as error:
                annotation = self.index["ids"][number]
                raise SourceError(f"{key}, annotation {annotation}: {error}") from None
        return overlaps.finish()

    def list_files(self) -> Iterable[Path]:
        """None: the file of annotations is part of the source's `content`."""
        return ()

    def _list_concepts(self, number: int) -> list[int]:
        own = self.concepts[self.index["category"][number]]
        if not self.marks:
            return [own] if own else []
        first, last = self._stops[number : number + 2].tolist()
        found = [self.marks[place] for place in self.index["attributes"][first:last]]
        return list(dict.fromkeys(concept for concept in (own, *found) if concept))

    @cached_property
    def _stops(self) -> np.ndarray:
        return np.concatenate([[0], self.index["attribute_stops"]])


def open_coco(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """The pictures in a folder with the instances of a file of annotations, as the module says.

    The file is read once; what it says is kept on disk (`unitscope.concepts.formats.indexes`).

    Raises `UsageError` for a folder or file that is not there and an option that has no such value or needs
    another data set; `SourceError` naming the file where the annotations are wrong, and where none of the
    pictures is found.
    """
    root = open_root("coco", place)
    path = find_annotations(root, options)
    chosen = {name: check_choice(name, options.get(name, values[0])) for name, values in CHOICES.items()}
    bare = takes_bare(options, "in")
    index = keep_index(KIND, [path], lambda: read_tables(path, Instances))
    if (index["form"] == POLYGONS).any():
        find_pycocotools()
    categories = _name_categories(index, chosen["parts"])
    attributes = _name_attributes(index) if chosen["attributes"] == "yes" else []
    if "parts" in options and not any(named and named[1] == "part" for named in categories):
        raise UsageError(f"{path} has no parts; leave parts= out")
    if chosen["attributes"] == "yes" and not any(attributes):
        raise UsageError(f"{path} has no attributes of a known type; leave attributes= out")
    ids: dict[tuple[str, str], int] = {}
    concepts, marks = (
        tuple(ids.setdefault(one, len(ids) + 1) if one else 0 for one in named)
        for named in (categories, attributes)
    )
    lone = _find_bare(index)
    lacking = {} if bare else dict.fromkeys(lone, UNLABELLED)
    pictures = find_pictures(root, path, split_texts(index, "images"), lacking)
    taken = [key for key, image in pictures.places.items() if image in lone]
    return AnnotatedSource(
        "coco",
        place,
        root,
        PictureFiles(root, tuple(pictures.places)),
        Vocabulary(tuple(Concept(number, *named) for named, number in ids.items())),
        layers=(InstanceMasks(index, pictures.places, concepts, marks, chosen["crowd"] == "void"),),
        options=tuple(options.items()),
        left_out=pictures.left_out,
        notes=(
            *_note_crowds(index, chosen["crowd"] == "void"),
            *_note_nothing(index),
            *note_bare(taken),
        ),
        content=index["content"].tobytes().hex(),
    )


def _find_bare(index: Index) -> frozenset[int]:
    """The places of the images without an annotation that says anything about pixels."""
    painted = np.concatenate([[0], np.cumsum(index["form"] != NOTHING)])[index["first"]]
    return frozenset(np.flatnonzero(np.diff(painted) == 0).tolist())


def _note_crowds(index: Index, void: bool) -> tuple[str, ...]:
    count = int(index["crowd"].sum())
    told = "void where no other instance lies: crowds" if void else "labeled as their category: crowds"
    return (f"{told} ({count:,} in the annotations)",) if count else ()


def _note_nothing(index: Index) -> tuple[str, ...]:
    bare = index["ids"][index["form"] == NOTHING]
    some = name_some([*map(str, bare[: EXAMPLES + 1].tolist())])
    return (f"passed over: {len(bare):,} annotations without a segmentation: {some}",) if len(bare) else ()


def _name_categories(index: Index, parts: str) -> list[tuple[str, str] | None]:
    """Name and category of the concept of every category of the file; None for what is something else."""
    names, above = split_texts(index, "categories"), split_texts(index, "supercategories")
    named: list[tuple[str, str] | None] = []
    for name, kind in zip(names, above, strict=True):
        if name == kind == "other":  # of COCO-Stuff: whatever is no stuff
            named.append(None)
            continue
        part = bool(index["paco"][0]) and (":" in name or kind.upper() == "PART")
        bare = name.rpartition(":")[2] or name
        named.append((bare if part and parts == "merged" else name, "part" if part else "object"))
    return named


def _name_attributes(index: Index) -> list[tuple[str, str] | None]:
    """Name and category of the concept of every attribute; None for what is something else."""
    names, kinds = split_texts(index, "attribute_names"), split_texts(index, "attribute_types")
    return [
        None if name.startswith("other(") or not kind else (name, _TYPES.get(kind, kind))
        for name, kind in zip(names, kinds, strict=True)
    ]


@dataclass(frozen=True)
class FoundPictures:
    """The places in the annotations of the pictures that are there, by key, and all other files."""

    places: dict[str, int]
    left_out: tuple[LeftOut, ...]


def find_pictures(
    root: Path,
    annotations: Path,
    names: list[str],
    lacking: Mapping[int, str] | None = None,
    masks: frozenset[str] = frozenset(),
) -> FoundPictures:
    """The pictures of those names below a folder, in the order of the names.

    Those at the places that are `lacking` something are left out for that reason. `masks` are files below the
    folder that are used otherwise.

    Raises `SourceError` where none is found, a name is that of several, or two names mean one file.
    """
    listing = list_folder(root)
    used = {annotations.resolve()} if annotations.resolve().is_relative_to(root.resolve()) else set()
    stem, called = annotations.stem, root.resolve().name
    known = index_names(called, (name for name in listing.names if name not in masks))
    # A name alone may be that of a picture of another split, or of a mask.
    bare = index_names(called, (name for name in known.names if not _lies_elsewhere(_parent(name), stem)))
    lacking = lacking or {}
    found: dict[str, int] = {}
    passed = []
    for place, name in enumerate(names):
        key = (known if "/" in name else bare).find(name, stem)
        if key in found:
            raise SourceError(f"{annotations}: two images are the picture {key}; take one of them out")
        if key is not None:
            found[key] = place
        if key is None or place in lacking:
            passed.append((lacking[place], key) if key else (MISSING, name))
    places = {key: place for key, place in found.items() if place not in lacking}
    if not places:
        reasons = "; ".join(map(str, count_left_out(passed)))
        looked = f"no picture of it goes with {annotations} ({reasons})"
        raise SourceError(f"{root}: {looked}; name the folder that holds them")
    taken = found.keys() | masks | {path.relative_to(root.resolve()).as_posix() for path in used}
    others = [name for name in listing.names if name not in taken]
    pictures = {name for name in others if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES}
    rest = [(UNLISTED if name in pictures else UNUSED, name) for name in others]
    return FoundPictures(places, count_left_out([*listing.left_out, *passed, *rest]))


@lru_cache
def _lies_elsewhere(folder: str, stem: str) -> bool:
    """Whether a folder says that its files are of another split than the annotations of that name, or masks.

    >>> [_lies_elsewhere(folder, "instances_val2017") for folder in ("val", "train2017", "all", "masks")]
    [False, True, False, True]
    """
    folders = folder.split("/")
    wanted = set(_SPLITS.findall(stem.lower()))
    found = {split for one in folders if is_part(one) for split in _SPLITS.findall(one.lower())}
    return any(map(is_mask_folder, folders)) or bool(wanted and found and not wanted & found)


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def open_root(word: str, place: str) -> Path:
    """The folder of pictures. Raises `UsageError` where it is none."""
    if not os.path.isdir(place):
        raise UsageError(f"{place} is not a folder; wanted {word}:IMAGES,annotations=FILE.json")
    return Path(place)


def find_annotations(root: Path, options: Mapping[str, str]) -> Path:
    """The file of annotations. Raises `UsageError` where none is named, or it is not there."""
    if not options.get("annotations"):
        found = sorted(path.name for path in (root / "annotations").glob("[!.]*.json"))[:9]
        there = f"; there are {', '.join(found)}" if found else ""
        raise UsageError(f"{root}: which annotations? Say annotations=FILE.json{there}")
    path = find_file(options["annotations"], root, FOLDERS, "annotations")
    if not os.path.isfile(path):
        raise UsageError(f"annotations={options['annotations']!r} is no file; wanted a .json")
    return path


def check_choice(name: str, value: str) -> str:
    """The value of an option. Raises `UsageError` where it is none of its choices.

    >>> check_choice("crowd", "void")
    'void'
    """
    if value not in CHOICES[name]:
        raise UsageError(f"{name}={value!r}: wanted {' or '.join(CHOICES[name])}")
    return value
