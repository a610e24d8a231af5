"""Cityscapes: streets of 50 cities, in fine and in coarse masks.

::

    leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png
    gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png      gtCoarse/SPLIT/CITY/NAME_gtCoarse_labelIds.png

The masks of `test` hold void alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from unitscope.concepts.formats.annotated import AnnotatedSource, MaskFiles, PictureFiles
from unitscope.concepts.formats.file_names import cut_suffix
from unitscope.concepts.formats.folder.mask_matches import NO_PICTURE, UNLABELLED
from unitscope.concepts.formats.listings import Listing, list_folder
from unitscope.concepts.formats.maps.label_maps import OTHER_FORM, Pairs, count_rest, pair_masks
from unitscope.concepts.formats.mask_values import MaskValues, name_values
from unitscope.concepts.formats.roots import find_root, note_root
from unitscope.concepts.formats.splits import check_split
from unitscope.concepts.formats.stored.pictures import IMAGE_SUFFIXES
from unitscope.concepts.formats.text_lists import split_names
from unitscope.concepts.left_out import OTHER_SPLIT, takes_bare
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.errors import SourceError
from unitscope.options import read_choice

IMAGES, FINE, COARSE = "leftImg8bit", "gtFine", "gtCoarse"
LABELS, TRAIN_LABELS = "labelIds", "labelTrainIds"
TEST = "test"

NAMES = split_names(
    """
    unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, road, sidewalk,
    parking, rail track, building, wall, fence, guard rail, bridge, tunnel, pole, polegroup, traffic
    light, traffic sign, vegetation, terrain, sky, person, rider, car, truck, bus, caravan, trailer,
    train, motorcycle, bicycle
    """
)
"""The classes by number; license plate, -1, is never drawn."""
VOID = range(7)
NOT_EVALUATED = (9, 10, 14, 15, 16, 18, 29, 30)
"""Classes with names that the benchmark leaves out, beside those that are void."""

_COARSER = "a coarse mask where there is a fine one"
_TRAIN_VOID = 255


def open_cityscapes(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """Pictures with the fine mask of each, or the coarse one where there is no fine one.

    Options: `split` (default: all but `test`), `masks` ("gtFine" or "gtCoarse": only these), `eval`
    ("yes": classes that the benchmark leaves out are void too), and `bare` ("in": pictures without a mask are
    taken in, in splits that have masks). Masks of `labelTrainIds` are read by their
    own numbers where the set has no others.

    Raises `UsageError` for an option's value that does not fit, `SourceError` where no picture has a mask.
    """
    evaluated = read_choice("eval", options.get("eval", "no"), ("yes", "no")) == "yes"
    given = options.get("masks")
    kinds = (FINE, COARSE) if given is None else (read_choice("masks", given, (FINE, COARSE)),)
    bare = takes_bare(options)
    root = find_root(place, _holds, f"{IMAGES}/ and {FINE}/ or {COARSE}/")
    listing = list_folder(root)
    pictures = dict(_list_keys(listing, IMAGES, IMAGES))
    splits = dict.fromkeys(key.partition("/")[0] for key in pictures)
    split = options.get("split")
    check_split(root, split, splits)
    wanted = [split] if split is not None else [one for one in splits if one != TEST]
    numbering = LABELS
    masks, coarser = _list_masks(listing, kinds, numbering)
    if not masks:
        numbering = TRAIN_LABELS
        masks, coarser = _list_masks(listing, kinds, numbering)
    chosen = [pair for pair in pictures.items() if pair[0].partition("/")[0] in wanted]
    drawn = [pair for pair in masks.items() if pair[0].partition("/")[0] in wanted]
    pairs = pair_masks(chosen, drawn, bare)
    if not pairs.masks:
        looked = " or ".join(f"{kind}/*/*/*_{kind}_{LABELS}.png" for kind in kinds)
        raise SourceError(f"{root}: no picture of {', '.join(wanted)} in {IMAGES}/ has a mask {looked}")
    pairs = replace(pairs, left_out=pairs.left_out + [(_COARSER, name) for name in coarser])
    values, vocabulary, notes = _name_numbers(numbering, evaluated)
    return AnnotatedSource(
        "cityscapes",
        place,
        root,
        PictureFiles(root, pairs.pictures),
        vocabulary,
        layers=(MaskFiles(root, pairs.masks, values),),
        options=tuple(options.items()),
        left_out=count_rest(listing, pairs, say=lambda name: _say(name, wanted, numbering)),
        wrong=tuple(pairs.wrong),
        notes=(*note_root(place, root), *pairs.notes, *notes, *_count_kinds(pairs)),
    )


def _holds(place: Path) -> bool:
    return (place / IMAGES).is_dir() and any((place / kind).is_dir() for kind in (FINE, COARSE))


def _list_keys(listing: Listing, folder: str, ending: str) -> Iterator[tuple[str, str]]:
    """SPLIT/CITY/NAME of every file of a folder whose stem ends so, and its name."""
    end = f"_{ending}"
    for name in listing.choose(folder):
        stem = cut_suffix(name)
        if stem.endswith(end) and name[len(stem) :].lower() in IMAGE_SUFFIXES:
            yield stem[len(folder) + 1 : -len(end)], name


def _list_masks(listing: Listing, kinds: tuple[str, ...], numbering: str) -> tuple[dict[str, str], list[str]]:
    """The mask by key, of the first kind that has it; and the masks of later kinds that are not taken."""
    masks: dict[str, str] = {}
    coarser = []
    for kind in kinds:
        for key, name in _list_keys(listing, kind, f"{kind}_{numbering}"):
            if masks.setdefault(key, name) != name:
                coarser.append(name)
    return masks, coarser


def _name_numbers(numbering: str, evaluated: bool) -> tuple[MaskValues, Vocabulary, tuple[str, ...]]:
    spared = [number for number in range(len(NAMES)) if number not in (*VOID, *NOT_EVALUATED)]
    listed_in, advice = f"the list of {numbering}", "replace the mask"
    if numbering == TRAIN_LABELS:
        classes = {place: (NAMES[number], "object") for place, number in enumerate(spared)}
        note = f"void: {_TRAIN_VOID} ({TRAIN_LABELS}, which name the {len(spared)} evaluated classes)"
        return *name_values(classes, [_TRAIN_VOID], listed_in=listed_in, advice=advice), (note,)
    classes = {number: (name, "object") for number, name in enumerate(NAMES)}
    void = [*VOID, *NOT_EVALUATED] if evaluated else [*VOID]
    note = f"void: {', '.join(NAMES[number] for number in void)}"
    return *name_values(classes, void, listed_in=listed_in, advice=advice), (note,)


def _count_kinds(pairs: Pairs) -> tuple[str, ...]:
    """How many masks are fine and how many coarse, where there are coarse ones."""
    coarse = sum(name.startswith(f"{COARSE}/") for name in pairs.masks.values())
    fine = len(pairs.masks) - coarse
    return (f"masks: {fine} fine, {coarse} coarse",) if coarse else ()


def _say(name: str, wanted: list[str], numbering: str) -> str:
    """Why a file is not used."""
    folder, _, rest = name.partition("/")
    if folder not in (IMAGES, FINE, COARSE):
        return NO_PICTURE
    if folder != IMAGES and not cut_suffix(name).endswith(f"_{numbering}"):
        return OTHER_FORM
    split = rest.partition("/")[0]
    if split == TEST and split not in wanted:
        return "of the split test, whose masks hold void alone"
    if split not in wanted:
        return OTHER_SPLIT
    return UNLABELLED if folder == IMAGES else NO_PICTURE
