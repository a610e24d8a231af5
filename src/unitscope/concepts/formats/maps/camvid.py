"""CamVid, in the three forms in which it goes around.

::

    train/NAME.png  trainannot/NAME.png  train.txt                                SegNet's: 11 classes
    701_StillsRaw_full/NAME.png  LabeledApproved_full/NAME_L.png  label_colors.txt   as published: colors
    images/NAME.png  labels/NAME_P.png  codes.txt  valid.txt                      fast.ai's: numbers
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from unitscope.concepts.formats.annotated import AnnotatedSource, Layer, MaskFiles, PictureFiles
from unitscope.concepts.formats.color_masks import ColorFiles, ColorTable, read_color_names
from unitscope.concepts.formats.file_names import cut_suffix, find_suffix
from unitscope.concepts.formats.folder.mask_matches import NO_PICTURE
from unitscope.concepts.formats.listings import Listing, list_folder
from unitscope.concepts.formats.maps.label_maps import MISSING, Pairs, count_rest, pair_masks
from unitscope.concepts.formats.mask_values import name_values
from unitscope.concepts.formats.roots import find_root, note_root
from unitscope.concepts.formats.splits import check_split
from unitscope.concepts.formats.stored.masks import MASK_SUFFIXES
from unitscope.concepts.formats.stored.pictures import IMAGE_SUFFIXES
from unitscope.concepts.formats.text_lists import read_lines, read_names, split_names
from unitscope.concepts.left_out import OTHER_SPLIT, takes_bare
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.errors import SourceError

SPLITS = ("train", "val", "test")
SEGNET = split_names(
    """
    Sky, Building, Pole, Road, Pavement, Tree, SignSymbol, Fence, Car, Pedestrian, Bicyclist
    """
)
"""The classes of SegNet's form by number; 11 is unlabelled, and void."""

STILLS, APPROVED, COLORS = "701_StillsRaw_full", "LabeledApproved_full", "label_colors.txt"
IMAGES, LABELS, CODES, VALID = "images", "labels", "codes.txt", "valid.txt"
_VOID = frozenset({"void", "unlabelled", "unlabeled"})
_WANTED = f"train/ and trainannot/, or {STILLS}/ and {APPROVED}/, or {IMAGES}/, {LABELS}/ and {CODES}"


@dataclass(frozen=True)
class _Read:
    """What one form gives: pictures with masks, what these mean, the texts that say so, a line for people."""

    pairs: Pairs
    layer: Layer
    vocabulary: Vocabulary
    texts: tuple[Path, ...]
    note: str


def open_camvid(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """Pictures with their masks, in whichever form the folder has them.

    Options: `split` (default: all pictures) and `bare` ("in": pictures without a mask are taken in). Pixels
    called void or unlabelled are void, and so are those whose color the table of colors does not have.

    Raises `UsageError` for a split that is not there, `SourceError` where no picture has a mask.
    """
    say = _say if "split" in options else lambda name: NO_PICTURE
    bare = takes_bare(options)
    root = find_root(place, lambda path: _tell_form(path) is not None, _WANTED)
    form = _tell_form(root)
    assert form is not None
    listing = list_folder(root)
    read = form(root, listing, options.get("split"), bare)
    if not read.pairs.masks:
        raise SourceError(f"{root}: no picture has a mask of its name; wanted {_WANTED}")
    return AnnotatedSource(
        "camvid",
        place,
        root,
        PictureFiles(root, read.pairs.pictures),
        read.vocabulary,
        layers=(read.layer,),
        options=tuple(options.items()),
        texts=read.texts,
        left_out=count_rest(listing, read.pairs, read.texts, say),
        wrong=tuple(read.pairs.wrong),
        notes=(*note_root(place, root), *read.pairs.notes, read.note),
    )


def _tell_form(place: Path) -> Callable[[Path, Listing, str | None, bool], _Read] | None:
    if any((place / f"{split}annot").is_dir() for split in SPLITS):
        return _read_segnet
    if (place / APPROVED).is_dir() or (place / STILLS).is_dir():
        return _read_published
    if (place / LABELS).is_dir() and (place / CODES).is_file():
        return _read_codes
    return None


def _read_segnet(root: Path, listing: Listing, split: str | None, bare: bool) -> _Read:
    """Folders of pictures and of masks by split, with lists of what should be there."""
    splits = [one for one in SPLITS if (root / f"{one}annot").is_dir()]
    check_split(root, split, splits)
    chosen = splits if split is None else [split]
    pictures = [pair for one in chosen for pair in _list_keys(listing, one, IMAGE_SUFFIXES)]
    masks = [
        (f"{one}/{key.partition('/')[2]}", name)
        for one in chosen
        for key, name in _list_keys(listing, f"{one}annot", MASK_SUFFIXES)
    ]
    texts = tuple(path for one in chosen if (path := root / f"{one}.txt").is_file())
    lines = [(path.stem, line.split()[0]) for path in texts for line in read_lines(path) if line]
    named = [f"{one}/{cut_suffix(first.rpartition('/')[2])}" for one, first in lines]
    pairs = _add_missing(pair_masks(pictures, masks, bare), named, dict(pictures))
    classes = {number: (name, "object") for number, name in enumerate(SEGNET)}
    void = len(SEGNET)
    values, vocabulary = name_values(classes, [void], listed_in="SegNet's list", advice="replace the mask")
    layer = MaskFiles(root, pairs.masks, values)
    return _Read(pairs, layer, vocabulary, texts, f"void: {void} (Unlabelled)")


def _read_published(root: Path, listing: Listing, split: str | None, bare: bool) -> _Read:
    """Pictures and masks of colors, without splits."""
    check_split(root, split, ())
    table = next((path for path in (root / COLORS, root / APPROVED / COLORS) if path.is_file()), None)
    if table is None:
        raise SourceError(f"{root}: has no {COLORS}, which names the colors of its masks; put it there")
    colors, names = read_color_names(table)
    pairs = pair_masks(
        _cut_folder(_list_keys(listing, STILLS, IMAGE_SUFFIXES)),
        _cut_folder(_list_keys(listing, APPROVED, MASK_SUFFIXES, "_L")),
        bare,
    )
    return _name_classes(root, pairs, dict(enumerate(names)), (table,), colors)


def _read_codes(root: Path, listing: Listing, split: str | None, bare: bool) -> _Read:
    """Pictures and masks of numbers, with a list of classes and one of the pictures to validate with."""
    lists = (root / VALID,) if (root / VALID).is_file() else ()
    check_split(root, split, ("train", "valid") if lists else ())
    pictures = list(_cut_folder(_list_keys(listing, IMAGES, IMAGE_SUFFIXES)))
    masks = list(_cut_folder(_list_keys(listing, LABELS, MASK_SUFFIXES, "_P")))
    valid = {cut_suffix(line) for path in lists for line in read_lines(path) if line}
    if split is not None:
        pictures, masks = (
            [pair for pair in part if (pair[0] in valid) == (split == "valid")] for part in (pictures, masks)
        )
    pairs = pair_masks(pictures, masks, bare)
    if split != "train":
        pairs = _add_missing(pairs, sorted(valid), dict(pictures), IMAGES)
    return _name_classes(root, pairs, read_names(root / CODES), (root / CODES, *lists))


def _name_classes(
    root: Path,
    pairs: Pairs,
    names: Mapping[int, str],
    texts: tuple[Path, ...],
    colors: tuple[tuple[int, int, int], ...] = (),
) -> _Read:
    """Classes by number, of which those called void are void; with `colors`, those of the masks."""
    void = {number: name for number, name in names.items() if name.lower() in _VOID}
    classes = {number: (name, "object") for number, name in names.items()}
    values, vocabulary = name_values(classes, void, listed_in=texts[0].name)
    spelled = ", ".join(f"{number} ({name})" for number, name in void.items())
    if not colors:
        layer = MaskFiles(root, pairs.masks, values)
        return _Read(pairs, layer, vocabulary, texts, f"void: {spelled or 'nothing'}")
    spelled = ", ".join(f"{colors[number]} ({name})" for number, name in void.items())
    note = f"void: {', '.join(filter(None, [spelled, f'colors that {texts[0].name} does not have']))}"
    table = ColorFiles(root, pairs.masks, values, ColorTable(colors, texts[0].name), lenient=True)
    return _Read(pairs, table, vocabulary, texts, note)


def _list_keys(
    listing: Listing, folder: str, suffixes: Iterable[str], ending: str = ""
) -> Iterable[tuple[str, str]]:
    """The path without suffix and `ending`, and the name, of the files of a folder that have both."""
    for name in listing.choose(folder):
        stem = cut_suffix(name)
        if find_suffix(name) in suffixes and stem.endswith(ending):
            yield stem.removesuffix(ending), name


def _cut_folder(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    return ((key.rpartition("/")[2], name) for key, name in pairs)  # archives may double folders


def _add_missing(pairs: Pairs, named: Iterable[str], there: Mapping[str, str], folder: str = "") -> Pairs:
    """The pairs, with what lists name and is not there."""
    start = f"{folder}/" if folder else ""
    missing = [f"{start}{key}" for key in named if key not in there]
    return replace(
        pairs,
        left_out=pairs.left_out + [(MISSING, name) for name in missing],
        wrong=pairs.wrong + [(name, MISSING) for name in missing],
    )


def _say(name: str) -> str:
    """Why a file is not used."""
    in_folder = "/" in name and find_suffix(name) in IMAGE_SUFFIXES
    return OTHER_SPLIT if in_folder else NO_PICTURE
