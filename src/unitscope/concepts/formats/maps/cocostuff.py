"""COCO-Stuff: 91 things and 91 kinds of stuff on COCO's photographs, as one mask each.

::

    images/SPLIT/NAME.jpg  annotations/SPLIT/NAME.png      as its authors lay it out
    SPLIT/NAME.jpg  stuffthingmaps_trainval2017/SPLIT/NAME.png   as the archives unpack

A mask's value is the number in the list of classes less 1; 255 has no label.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from unitscope.concepts.formats.annotated import AnnotatedSource, MaskFiles, PictureFiles
from unitscope.concepts.formats.file_names import cut_suffix, find_suffix
from unitscope.concepts.formats.folder.mask_matches import NO_PICTURE, UNLABELLED
from unitscope.concepts.formats.listings import Listing, list_folder
from unitscope.concepts.formats.maps.label_maps import OTHER_FORM, Pairs, count_rest, pair_masks
from unitscope.concepts.formats.mask_values import name_values
from unitscope.concepts.formats.roots import find_root, note_root
from unitscope.concepts.formats.splits import check_split
from unitscope.concepts.formats.stored.masks import MASK_SUFFIXES
from unitscope.concepts.formats.stored.pictures import IMAGE_SUFFIXES
from unitscope.concepts.formats.text_lists import read_names, split_names
from unitscope.concepts.left_out import OTHER_SPLIT, takes_bare
from unitscope.errors import SourceError
from unitscope.options import read_choice

MASKS = ("annotations", "stuffthingmaps_trainval2017", "stuffthingmaps")
IMAGES = "images"
LABELS = "labels.txt"
UNLABELLED_VALUE = 255
TRAIN_ENDING = "_labelTrainIds"

NAMES = split_names(
    """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
    street sign, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
    zebra, giraffe, hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis,
    snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket,
    bottle, plate, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli,
    carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, mirror, dining table, window,
    desk, toilet, door, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
    refrigerator, blender, book, clock, vase, scissors, teddy bear, hair drier, toothbrush, hair brush,
    banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet,
    ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt,
    door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, fog,
    food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house, leaves, light, mat,
    metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow, plant-other,
    plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea,
    shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table,
    tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel,
    wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood
    """
)
"""The classes by the value in a mask; 11 of them never occur."""

_TRAIN = "numbered for training, by another list"


def open_cocostuff(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """Pictures with their masks; a `labels.txt` beside (`1: person`) replaces the names that are known.

    Options: `split` (default: all), `unlabelled` ("void": pixels without a label are void) and `bare` ("in":
    pictures without a mask are taken in).

    Raises `UsageError` for a split that is not there, `SourceError` where no picture has a mask, or masks are
    there only in another numbering, of `_labelTrainIds.png`.
    """
    read_choice("unlabelled", options.get("unlabelled", "void"), ("void",))
    bare = takes_bare(options)
    root = find_root(place, lambda path: _find_masks(path) is not None, f"{' or '.join(MASKS)}, with SPLIT/")
    masks = _find_masks(root)
    assert masks is not None
    listing = list_folder(root)
    found = list(_list_keys(listing, masks, MASK_SUFFIXES))
    splits = _list_splits(listing, found)
    split = options.get("split")
    check_split(root, split, splits)
    chosen = splits if split is None else [split]
    pairs = _pair(listing, found, chosen, bare)
    if not pairs.masks:
        raise _refuse(root, masks, pairs, chosen)
    texts = tuple(path for path in (root / LABELS, root / masks / LABELS) if path.is_file())[:1]
    names = _name_values(texts)
    void, unlabelled = ([UNLABELLED_VALUE], []) if "unlabelled" in options else ([], [UNLABELLED_VALUE])
    classes = {value: (name, "object") for value, name in names.items()}
    listed_in = texts[0].name if texts else "the list of COCO-Stuff's 182 classes"
    values, vocabulary = name_values(classes, void, unlabelled, listed_in, "replace the mask")
    what = "void" if void else "unlabelled, not void"
    return AnnotatedSource(
        "cocostuff",
        place,
        root,
        PictureFiles(root, pairs.pictures),
        vocabulary,
        layers=(MaskFiles(root, pairs.masks, values),),
        options=tuple(options.items()),
        texts=texts,
        left_out=count_rest(listing, pairs, texts, lambda name: _say(name, masks, splits, chosen)),
        wrong=tuple(pairs.wrong),
        notes=(*note_root(place, root), *pairs.notes, f"{what}: {UNLABELLED_VALUE}"),
    )


def _find_masks(place: Path) -> str | None:
    """The folder of masks, which has folders of its own."""
    for name in MASKS:
        if any(_is_split(path) for path in (place / name).glob("*20??")):
            return name
    return None


def _list_splits(listing: Listing, masks: list[tuple[str, str]]) -> list[str]:
    """The folders of masks, without those (of other kinds of labels) that have no folder of pictures."""
    folders = sorted({key.partition("/")[0] for key, _ in masks if "/" in key})
    with_pictures = [one for one in folders if listing.choose(f"{IMAGES}/{one}") or listing.choose(one)]
    return with_pictures or folders


def _is_split(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith("panoptic")


def _list_keys(listing: Listing, folder: str, suffixes: frozenset[str]) -> list[tuple[str, str]]:
    """The path below a folder, without suffix, and the name of its files."""
    start = len(folder) + 1 if folder else 0
    names = (name for name in listing.choose(folder) if find_suffix(name) in suffixes)
    return [(cut_suffix(name)[start:], name) for name in names]


def _pair(listing: Listing, masks: list[tuple[str, str]], chosen: list[str], bare: bool) -> Pairs:
    """Pictures in `images/SPLIT/` or `SPLIT/`, with their masks."""
    pictures = []
    for split in chosen:
        parent = IMAGES if listing.choose(f"{IMAGES}/{split}") else ""
        found = _list_keys(listing, f"{parent}/{split}" if parent else split, IMAGE_SUFFIXES)
        pictures += [(f"{split}/{key}", name) for key, name in found]
    wanted = [pair for pair in masks if pair[0].partition("/")[0] in chosen]
    train = [name for key, name in wanted if key.endswith(TRAIN_ENDING)]
    pairs = pair_masks(pictures, [pair for pair in wanted if not pair[0].endswith(TRAIN_ENDING)], bare)
    return replace(pairs, left_out=pairs.left_out + [(_TRAIN, name) for name in train])


def _refuse(root: Path, masks: str, pairs: Pairs, chosen: list[str]) -> SourceError:
    train = next((name for why, name in pairs.left_out if why == _TRAIN), None)
    if train is not None:
        advice = "unpack stuffthingmaps_trainval2017.zip, whose masks are called as the pictures are"
        return SourceError(f"{root}: {train} is {_TRAIN}, and no picture has a mask beside it; {advice}")
    wanted = " or ".join(f"{IMAGES}/{split}/ or {split}/" for split in chosen)
    return SourceError(f"{root}: no mask in {masks}/ has the name of a picture in {wanted}; put them there")


def _name_values(texts: tuple[Path, ...]) -> dict[int, str]:
    """The name of every value that a mask may hold."""
    if not texts:
        return dict(enumerate(NAMES))
    names = {number - 1: name for number, name in read_names(texts[0]).items() if number > 0}
    if not names or UNLABELLED_VALUE in names:
        wanted = f"wanted '1: person' to '182: wood', where {UNLABELLED_VALUE + 1} is free"
        raise SourceError(f"{texts[0]}: is no list of the classes of COCO-Stuff; {wanted}")
    return names


def _say(name: str, masks: str, splits: list[str], chosen: list[str]) -> str:
    """Why a file is not used."""
    parts = name.split("/")
    split = parts[1] if parts[0] in (masks, IMAGES) and len(parts) > 2 else parts[0]
    if find_suffix(name) not in IMAGE_SUFFIXES or len(parts) < 2:
        return NO_PICTURE
    if split not in splits:
        return OTHER_FORM if parts[0] == masks else NO_PICTURE
    if split not in chosen:
        return OTHER_SPLIT
    return NO_PICTURE if parts[0] == masks else UNLABELLED
