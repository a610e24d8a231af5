"""Pascal VOC, and sets laid out like it: Pascal-Context, SBD, exports of labelling tools.

::

    JPEGImages/NAME.jpg  SegmentationClass/NAME.png  ImageSets/Segmentation/SPLIT.txt
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from unitscope.concepts.formats.annotated import AnnotatedSource, Layer, MaskFiles, PictureFiles
from unitscope.concepts.formats.color_masks import ColorFiles
from unitscope.concepts.formats.file_names import cut_suffix, find_suffix
from unitscope.concepts.formats.folder.mask_matches import NO_PICTURE
from unitscope.concepts.formats.listings import Listing, list_folder
from unitscope.concepts.formats.maps.label_maps import MISSING, OTHER_FORM, Pairs, count_rest, pair_masks
from unitscope.concepts.formats.roots import find_root, note_root
from unitscope.concepts.formats.splits import check_split
from unitscope.concepts.formats.stored.masks import MASK_SUFFIXES
from unitscope.concepts.formats.stored.pictures import IMAGE_SUFFIXES
from unitscope.concepts.formats.text_lists import read_lines
from unitscope.concepts.formats.voc.classes import (
    KNOWN,
    USUAL,
    VOC,
    VOID,
    Classes,
    name_voc,
    read_voc_classes,
)
from unitscope.concepts.formats.voc.mat_files import MAT_SUFFIX
from unitscope.concepts.formats.voc.mat_masks import read_label_map
from unitscope.concepts.formats.voc.pascal_parts import FOLDER, VOCABULARY, PartFiles
from unitscope.concepts.left_out import count_left_out, takes_bare
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.errors import SourceError, UsageError
from unitscope.options import read_choice

IMAGES, MASKS, BOXES, LISTS = "JPEGImages", "SegmentationClass", "Annotations", "ImageSets"
CONTEXT, CONTEXT_MASKS = "context59", "SegmentationClassContext"
ALL = "trainval"
UNLISTED = "in no list that is read"


@dataclass(frozen=True)
class _Members:
    """The lines of lists, the lists, and which pictures these are; no lines where there are no lists."""

    lines: tuple[str, ...]
    files: tuple[Path, ...]
    told: str


@dataclass(frozen=True, eq=False)
class _Meaning:
    """What makes a layer of the masks, the concepts, lines for people, and the texts that say it."""

    make_layer: Callable[[Path, Mapping[str, str]], Layer]
    vocabulary: Vocabulary
    notes: tuple[str, ...]
    texts: tuple[Path, ...] = ()


def open_voc(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """The pictures of a split with their masks.

    Options: `split` (default: the list `trainval`, else all lists, else all masks), `masks` (a folder in
    place of SegmentationClass), `lists` (a folder of ImageSets in place of Segmentation), `classes`
    ("context59", or a file: one name a line, lines `1: name`, or a classes.json), `background` ("no": it
    is no concept, and its pixels are unlabelled), and `bare` ("in": pictures of the split without a mask are
    taken in). 255 is void. Masks may have the colors of VOC's palette, or be MATLAB files with a `LabelMap`
    (Pascal-Context), or in Annotations_Part (Pascal-Part).

    Raises `UsageError` where an option names nothing that exists, `SourceError` where no picture has a mask.
    """
    background = read_choice("background", options.get("background", "yes"), ("yes", "no")) == "yes"
    bare = takes_bare(options)
    root = find_root(place, lambda path: (path / IMAGES).is_dir(), f"{IMAGES}/ and {MASKS}/")
    listing = list_folder(root)
    folder = _find_masks(root, options, listing)
    given = options.get("classes", CONTEXT if folder.name == CONTEXT_MASKS else None)
    masks = _list_masks(listing, root, folder)
    is_mat = find_suffix(masks[0][1]) == MAT_SUFFIX
    members = _read_members(root, options, given, is_mat)
    pairs = _join(listing, masks, members, bare)
    if not pairs.masks:
        lack = "; ".join(map(str, count_left_out(pairs.left_out)))
        told = f" ({lack})" if lack else ""
        raise SourceError(f"{root}: no picture {members.told} has a mask of its name in {folder}/{told}")
    meaning = _find_meaning(root, folder, given, background, is_mat)
    texts = (*members.files, *meaning.texts)
    return AnnotatedSource(
        "voc",
        place,
        root,
        PictureFiles(root, pairs.pictures),
        meaning.vocabulary,
        layers=(meaning.make_layer(root, pairs.masks),),
        options=tuple(options.items()),
        texts=texts,
        left_out=count_rest(listing, pairs, texts, _say),
        wrong=tuple(pairs.wrong),
        notes=(*note_root(place, root), f"read: pictures {members.told}", *pairs.notes, *meaning.notes),
    )


def _find_masks(root: Path, options: Mapping[str, str], listing: Listing) -> Path:
    """The folder of masks."""
    given = options.get("masks")
    folder = root / (given or (CONTEXT_MASKS if options.get("classes") == CONTEXT else MASKS))
    if folder.is_dir():
        return folder
    if given is not None:
        if Path(given).is_dir():
            return Path(given)
        folders = [path.name for path in sorted(root.iterdir()) if path.is_dir() and path.name != IMAGES]
        raise UsageError(f"{root} has no folder {given!r} of masks; its folders are {', '.join(folders)}")
    if any(name.endswith(".xml") for name in listing.choose(BOXES)):
        found = f"has boxes in {BOXES}/, which are no labels of pixels, and no masks in {folder.name}/"
        raise SourceError(f"{root} {found}; unpack the masks, or name their folder with masks=DIR")
    advice = "unpack them, or name their folder with masks=DIR"
    raise SourceError(f"{root} has no masks in {folder.name}/; {advice}")


def _list_masks(listing: Listing, root: Path, folder: Path) -> list[tuple[str, str]]:
    """Pairs of stem and name below `root` of all files of a folder that may be masks."""
    inside = folder.is_relative_to(root) and ".." not in folder.parts
    start = folder.relative_to(root).as_posix() if inside else _climb(root, folder)
    # None where it lies elsewhere, or is a link to a folder that is read already.
    names = listing.choose(start)
    names = names or [f"{start}/{name}" for name in list_folder(folder).names]
    pairs = [(cut_suffix(name)[len(start) + 1 :], name) for name in names]
    masks = [pair for pair in pairs if find_suffix(pair[1]) in MASK_SUFFIXES]
    masks = masks or [pair for pair in pairs if find_suffix(pair[1]) == MAT_SUFFIX]
    if not masks:
        found = f"such as {names[0].rpartition('/')[2]}" if names else "it is empty"
        raise SourceError(f"{folder} holds no masks (.png, .tif, .bmp or .mat), {found}; name their folder")
    return masks


def _climb(root: Path, folder: Path) -> str:
    """The way from one folder to another."""
    return os.path.relpath(folder.resolve(), root.resolve()).replace(os.sep, "/")


def _read_members(root: Path, options: Mapping[str, str], classes: str | None, is_mat: bool) -> _Members:
    """What the lists of a split name: of `trainval` where no split is given, else of all lists."""
    given, split = options.get("lists"), options.get("split")
    if given is None:
        usual = ["SegmentationContext"] if classes == CONTEXT or is_mat else []
        found = [name for name in (*usual, "Segmentation") if (root / LISTS / name).is_dir()]
        folder = root / LISTS / (found or ["Segmentation"])[0]
        if is_mat and found[:1] == ["Segmentation"] and split is None:
            return _Members((), (), "of all masks")  # VOC's own lists have but a fifth of Pascal-Context
    else:
        choices = [root / LISTS / given, root / given, Path(given)]
        folder = next((path for path in choices if path.is_dir()), choices[0])
        if not folder.is_dir():
            places = (root / LISTS).iterdir() if (root / LISTS).is_dir() else ()
            listed = ", ".join(sorted(path.name for path in places)) or "none"
            raise UsageError(f"{root} has no lists {given!r} in {LISTS}/; those there are {listed}")
    files = {path.stem: path for path in sorted(folder.glob("[!.]*.txt"))}
    check_split(root, split, files)
    chosen = [split] if split is not None else [ALL] if ALL in files else [*files]
    if not chosen:
        return _Members((), (), "of all masks")
    lines = dict.fromkeys(line for one in chosen for line in read_lines(files[one]) if line)
    told = f"named by {', '.join(files[one].relative_to(folder.parent).as_posix() for one in chosen)}"
    if not lines:
        raise SourceError(f"{files[chosen[0]]}: names no pictures; wanted the name of one in each line")
    return _Members(tuple(lines), tuple(files[one] for one in chosen), told)


def _read_name(line: str) -> str:
    """The stem in a line of a list that holds more: numbers behind it, or the paths of picture and mask."""
    name = line.split()[0]
    named = find_suffix(name) in IMAGE_SUFFIXES
    return cut_suffix(name).rpartition("/")[2] if named else name


def _join(listing: Listing, masks: list[tuple[str, str]], members: _Members, bare: bool) -> Pairs:
    """Masks of the pictures that lists name, or of all pictures."""
    start = len(IMAGES) + 1
    pictures = [
        (cut_suffix(name)[start:], name)
        for name in listing.choose(IMAGES)
        if find_suffix(name) in IMAGE_SUFFIXES
    ]
    if not members.lines:
        return pair_masks(pictures, masks, bare)
    there = {key for key, _ in pictures}
    wanted = dict.fromkeys(line if line in there else _read_name(line) for line in members.lines)
    pairs = pair_masks(
        [pair for pair in pictures if pair[0] in wanted],
        [pair for pair in masks if pair[0] in wanted],
        bare,
    )
    missing = [name for name in wanted if name not in there]
    return replace(
        pairs,
        left_out=pairs.left_out + [(MISSING, f"{IMAGES}/{name}") for name in missing],
        wrong=pairs.wrong + [(f"{IMAGES}/{name}", MISSING) for name in missing],
    )


def _find_meaning(root: Path, masks: Path, given: str | None, background: bool, is_mat: bool) -> _Meaning:
    """What is in the masks of a folder."""
    if is_mat and masks.name == FOLDER:
        return _Meaning(PartFiles, VOCABULARY, ("unlabelled: what is no object and no part",))
    classes, texts = _find_classes(root, masks, given, background, is_mat)
    notes = (*(f"classes named by {path.name}" for path in texts), *classes.notes)

    def make_layer(root: Path, names: Mapping[str, str]) -> Layer:
        if is_mat:
            return MaskFiles(root, names, classes.values, read_label_map)
        return ColorFiles(root, names, classes.values, classes.table, indexed=True)

    return _Meaning(make_layer, classes.vocabulary, notes, texts)


def _find_classes(
    root: Path, masks: Path, given: str | None, background: bool, is_mat: bool
) -> tuple[Classes, tuple[Path, ...]]:
    """What the numbers mean, and the file that says it."""
    usual = () if is_mat or given else (name for name in USUAL if (root / name).is_file())
    name = given or ("labels.txt" if is_mat else next(iter(usual), None))
    if name is None or name in KNOWN:
        names, listed_in = (
            KNOWN.get(name or "", VOC),
            f"the list {name}" if name else "VOC's list of 20 classes",
        )
        return name_voc(dict(enumerate(names)), background, listed_in=listed_in), ()
    choices = [root / name, masks / name, masks.parent / name, Path(name)]
    path = next((path for path in choices if path.is_file()), None)
    if path is None:
        advice = f"give classes=FILE, or {' or '.join(f'classes={one}' for one in KNOWN)}"
        raise UsageError(f"there is no file {name!r} that names the classes of {masks}; {advice}")
    return read_voc_classes(path, background, None if is_mat else VOID), (path,)


def _say(name: str) -> str:
    """Why a file is not used."""
    folder = name.partition("/")[0]
    if folder == IMAGES or (folder.startswith("Segmentation") and folder != "SegmentationObject"):
        return UNLISTED
    return OTHER_FORM if folder in (BOXES, "SegmentationObject") else NO_PICTURE
