"""Which published data set a folder holds, told by a few names of files in it.

Some signs are sure: what they ask for lies together in that set alone. Others are a single name
(`codes.txt`, a `.tar`), which may stray into any folder; they tell only where nothing else explains the
folder: neither folders whose names say something about the pictures in them, nor pictures right in it.
"""

import contextlib
import fnmatch
import heapq
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from unitscope.concepts.formats.folder.names import is_mask_folder, is_part
from unitscope.concepts.formats.stored.pictures import IMAGE_SUFFIXES

_FEW = 400
"""So many names of a folder are looked at: the ones that tell come among them, or as patterns."""

_ABOVE, _BELOW, _SOME, _HEAD = 6, 4, 20, 4096
"""So many folders above one may be the set's; so deep, and into so many folders of one, is looked for named
pictures; so many bytes of a file of annotations are read."""

_Tells = Callable[[Path], bool]
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
        _scan.cache_clear()
        _scan_rest.cache_clear()


def _tell(root: Path) -> _Told | None:
    """The word of a set and its folder, `root` or one below."""
    places = (root, *_below(root))
    sure = ((word, place) for place in places for word, tells in _SURE if tells(place))
    if (told := next(sure, None)) is not None:
        return told
    stray = ((word, place) for place in places for word, tells in _STRAY if tells(place))
    told = next(stray, None)
    return None if told is None or any(map(_is_explained, {root, told[1]})) else told


def _tell_above(root: Path, told: _Told | None) -> _Told | None:
    """The set that a folder is a part of: of the kind that it looks like itself, or any where of none."""
    if told is not None and (told[1] != root or (told[0] == "coco" and _has_own_pictures(root))):
        return None  # whole by itself: further down, or pictures beside their annotations
    kind = None if told is None else told[0].partition("-")[0].removesuffix("stuff")
    whole = Path(os.path.abspath(root))
    spelled = {os.path.abspath(place): place for place in root.parents}
    for place in (one for one in whole.parents[:_ABOVE] if one.name != "annotations"):
        inside = whole.relative_to(place).as_posix()
        for word, inner, tells in _INSIDE:
            is_same = kind is None or word.startswith(kind)
            if is_same and re.match(rf"({inner})(/|$)", inside) and tells(place):
                is_fine = told is None and _is_plain(root, inside)
                return None if is_fine else (word, spelled.get(os.fspath(place), place))
    return None


def _is_plain(root: Path, inside: str) -> bool:
    """Whether a folder has pictures and no folders, and lies in none of masks."""
    if any(is_mask_folder(name) or _MASKED.match(name) for name in inside.split("/")):
        return False
    names, folders = _scan(os.fspath(root))
    return any(map(_is_picture, names)) and all(name.startswith(".") for name in folders)


def _is_explained(place: Path) -> bool:
    """Whether most of what a folder holds are pictures, or its folders say what pictures in them show."""
    top = os.fspath(place)
    rest = [name for name in _scan_rest(top) if not name.startswith(".")]
    return len(_scan(top)[0]) - len(_scan_rest(top)) > len(rest) or _names_pictures(top)


def _names_pictures(place: str, deep: int = _BELOW, named: bool = False) -> bool:
    """Whether pictures lie in or below a folder whose name says something, other than published sets'."""
    for name in _folders(place)[:_SOME]:
        below = os.path.join(place, name)
        if name.startswith(".") or _PUBLISHED.fullmatch(name) or is_mask_folder(name):
            continue
        says = named or not (is_part(name) or _WRAPPERS.fullmatch(name))
        if says and any(map(_is_own_picture, _scan(below)[0])):
            return True
        if deep > 1 and _names_pictures(below, deep - 1, says):
            return True
    return False


def _has_own_pictures(place: Path) -> bool:
    return len(_scan_rest(os.fspath(place))) < len(_scan(os.fspath(place))[0])


def _is_picture(name: str) -> bool:
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in IMAGE_SUFFIXES


def _is_own_picture(name: str) -> bool:
    """Whether a file is a picture that is not called as those of published sets are."""
    return _is_picture(name) and _PUBLISHED_PICTURE.match(name) is None


def _below(root: Path) -> list[Path]:
    """The folders that hold a set where an archive was unpacked into a folder of its own, two deep."""
    found = []
    for name in _folders(os.fspath(root)):
        if _WRAPPERS.fullmatch(name):
            inner = _folders(os.path.join(root, name))
            found += [root / name, *(root / name / below for below in inner)]
    return found


def _folders(place: str) -> list[str]:
    """The names of the first folders in a folder."""
    return _scan(place)[1]


@lru_cache(maxsize=1024)
def _scan(place: str) -> tuple[list[str], list[str]]:
    """All names in a folder, which may be 100,000, and those of the first folders; few links are followed."""
    names, links, folders = [], [], []
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            names.append(entry.name)
            if entry.is_symlink():
                links.append(entry.name)
            elif entry.is_dir():
                folders.append(entry.name)
    first = heapq.nsmallest(_FEW, links)
    folders += [name for name in first if os.path.isdir(os.path.join(place, name))]
    return names, heapq.nsmallest(_FEW, folders)


@lru_cache(maxsize=1024)
def _scan_rest(place: str) -> list[str]:
    """The names in a folder but those of its own pictures."""
    return [name for name in _scan(place)[0] if not _is_own_picture(name)]


def _has(*patterns: str) -> _Tells:
    """Whether a folder has a file or folder for every pattern; `|` stands between alternatives."""
    wanted = [[one.split("/") for one in pattern.split("|")] for pattern in patterns]

    def tells(place: Path) -> bool:
        return all(any(_matches(os.fspath(place), parts) for parts in pattern) for pattern in wanted)

    return tells


def _has_two(*patterns: str) -> _Tells:
    """Whether a folder has something for two of the patterns."""
    each = [_has(pattern) for pattern in patterns]
    return lambda place: sum(tells(place) for tells in each) > 1


def _has_any(*tells: _Tells) -> _Tells:
    return lambda place: any(one(place) for one in tells)


def _matches(place: str, parts: Sequence[str]) -> bool:
    """Whether something in a folder has a name like the first part, and something in it one like the next.

    Where there is one part alone, it is that of no picture, or of one called as in published sets.
    """
    return next(_find(place, parts, _scan_rest), None) is not None


def _find(
    place: str, parts: Sequence[str], scan: Callable[[str], Sequence[str]] = lambda place: _scan(place)[0]
) -> Iterator[str]:
    """The paths below a folder that have names like the parts; `scan` gives the names right in it."""
    first, *rest = parts
    if "*" in first or "[" in first or "?" in first:
        found = sorted(fnmatch.filter(_folders(place) if rest else scan(place), first))
    else:
        found = [first] if os.path.lexists(os.path.join(place, first)) else []
    for name in found:
        if not rest:
            yield name
        else:
            yield from (f"{name}/{one}" for one in _find(os.path.join(place, name), rest))


def _has_synsets(place: Path) -> bool:
    top = os.fspath(place)
    below = [os.path.join(top, part) for part in ("train", "val")]
    names = [name for one in (top, *below) for name in _folders(one)]
    return sum(re.fullmatch(r"n\d{8}", name) is not None for name in names) > 1


def _has_shards(place: Path) -> bool:
    numbered = [re.fullmatch(r"(.*?)\d{4,}\.tar", name) for name in _scan_rest(os.fspath(place))]
    starts = [one[1] for one in numbered if one is not None]
    return len(starts) > len(set(starts))


def _find_annotations(place: Path, kinds: Sequence[str]) -> list[str]:
    """Files of annotations in a folder and its `annotations/`, those of pictures that are there first."""
    found: dict[str, str] = {}
    for folder in (place, place / "annotations"):
        names = [name for name in _scan_rest(os.fspath(folder)) if name.endswith(".json")]
        for kind in kinds:
            for name in sorted(fnmatch.filter(names, kind))[:_SOME]:
                if kind not in _ANY_JSON or _begins_as_coco(folder / name):
                    found.setdefault(name, kind)
    parts = {*_folders(os.fspath(place)), *_folders(os.fspath(place / "images"))} - {"images", "annotations"}
    bare = {part.rstrip("0123456789") or part for part in parts}

    def rank(name: str) -> tuple[bool, bool, bool, str]:
        whole, like = (any(part in name for part in ones) for ones in (parts, bare))
        return found[name] not in _INSTANCES, not whole, not like, name

    return sorted(found, key=rank)


def _begins_as_coco(path: Path) -> bool:
    """Whether a file begins as COCO's do."""
    with contextlib.suppress(OSError):
        if path.is_file():
            with open(path, "rb") as file:
                return _COCO_HEAD.match(file.read(_HEAD)) is not None
    return False


def _has_json(*kinds: str) -> _Tells:
    """Whether a folder has such annotations, and no folders with names and pictures of their own."""

    def tells(place: Path) -> bool:
        return bool(_find_annotations(place, kinds)) and not _names_pictures(os.fspath(place))

    return tells


def _spell(word: str, place: Path) -> str:
    text = f"{word}:{place}"
    if word == "voc" and not (place / "SegmentationClass").is_dir():
        found = (name for one in _VOC_MASKS for name in _find(os.fspath(place), one.split("/")))
        masks = next(found, "").partition("/")[0]
        return f"{text},masks={masks}" if masks else text
    if word == "coco" and not _find_annotations(place, _COCO):
        return next(_spell(word, place / part) for part in _PARTS if (place / part / _ROBOFLOW).is_file())
    if word in ("coco", "coco-panoptic"):
        files = _find_annotations(place, _COCO if word == "coco" else _PANOPTIC)
        return f"{text},annotations={files[0]}"
    return text


_INSTANCES = ("instances_*.json", "lvis_v1_*.json", "paco_*.json")
_ROBOFLOW = "_annotations.coco.json"
_ANY_JSON = ("annotations.json", "result.json", "coco.json", "labels.json", "*coco*.json")
"""Names of annotations by tools, of which the beginning of the file is looked at, too."""
_OTHERS = ("stuff_*.json", "person_keypoints_*.json")
_COCO = (*_INSTANCES, *_ANY_JSON, *_OTHERS)
_PANOPTIC = ("panoptic_*.json", "ade20k_panoptic_*.json", "cityscapes_panoptic_*.json")
_COCO_HEAD = re.compile(
    rb'(\xef\xbb\xbf)?\s*\{\s*"(info|images|annotations|categories|licenses|type)"\s*:\s*[\[{"]'
)
_PARTS = ("train", "valid", "val", "test")
_VOC_MASKS = (
    "SegmentationClassContext",
    "SegmentationClassAug",
    "SegmentationClass*",
    "trainval/*.mat",
    "Annotations_Part",
)

_WRAPPERS = re.compile(
    r"VOCdevkit|VOC(20\d\d)?|pascal[\w-]*|ADEChallengeData2016|ADE20K(_\w+)?|CamVid|SegNet(-Tutorial)?|ILSVRC|Data|CLS-LOC"
    r"|imagenet|dtd|SUN397|cityscapes|coco\w*|lvis|paco|mapillary[\w-]*|places365\w*|dataset|data",
    re.IGNORECASE,
)
"""The folders that archives of published sets add above what they hold."""

_PUBLISHED = re.compile(
    r"n\d{8}|(data|val|test)_(256|large)\w*|701_StillsRaw_full|LabeledApproved_full|Partitions|leftImg8bit|gt(Fine|Coarse)"
    r"|JPEGImages|Segmentation.*|Annotations.*|ImageSets|panoptic_.*|stuffthingmaps.*"
)
"""Folders of published sets, whose names say nothing about pictures."""

_MASKED = re.compile(r"Segmentation|LabeledApproved")
_PUBLISHED_PICTURE = re.compile(
    r"(ADE_(train|val|test)|ILSVRC2012_(train|val|test)|Places365_(val|test))_\d{8}|n\d{8}_\d"
)

_ADE_TEXTS = "objectInfo150.txt|sceneCategories.txt|index_ade20k.*"
_ADE = _has_any(
    _has("images/training|images/validation", f"annotations/training|annotations/validation|{_ADE_TEXTS}"),
    _has("images/ADE/training|images/ADE/validation"),
    _has("images/*/?/*/ADE_*_seg.png|images/*/?/*/*/ADE_*_seg.png"),
)
_CITYSCAPES = _has_any(
    _has_two("leftImg8bit", "gtFine", "gtCoarse"),
    _has("leftImg8bit/*/*/*_leftImg8bit.*|gtFine/*/*/*_gtFine_*|gtCoarse/*/*/*_gtCoarse_*"),
)
_CAMVID = _has_any(
    _has_any(*(_has(f"{part}/*.png", f"{part}annot/*.png") for part in ("train", "val", "test"))),
    _has_two("701_StillsRaw_full", "LabeledApproved_full", "label_colors.txt"),
    _has("images", "labels", "codes.txt"),
)
_MAPILLARY = _has_any(
    _has("training|validation|testing", "*/v[12].[02]"),
    _has("training/images|validation/images|testing/images", "config_v*.json|*/instances|*/panoptic"),
)
_STUFF = _has_any(
    _has("stuffthingmaps*/train2017|stuffthingmaps*/val2017", "images|train2017|val2017"),
    _has("images|train2017|val2017", "annotations/train2017|annotations/val2017"),
)
_PLACES_LISTS = "categories_places365.txt|places365_train_*.txt|places365_val.txt|places365_test.txt"
_PLACES_PICTURES = "data_256*|data_large*|val_256|val_large"
_PLACES = _has_any(_has(_PLACES_LISTS, _PLACES_PICTURES), _has("data_256*/[a-z]/*/*|data_large*/[a-z]/*/*"))
_VOC = _has(
    "JPEGImages",
    "SegmentationClass*|SegmentationObject|Annotations|Annotations_Part|ImageSets|trainval/*.mat",
)
_IMAGENET = _has_any(
    _has("ILSVRC/Data|ILSVRC/Annotations|ILSVRC/ImageSets"),
    _has("val/ILSVRC2012_val_????????.[Jj][Pp]*|train/n????????/n????????_*"),
    _has("LOC_*|ILSVRC2012_devkit*", "ILSVRC|ILSVRC2012_img_*"),
    _has_synsets,
)
_YEARS = "|".join(
    f"{above}{part}20{year}" for above in ("", "images/") for part in ("train", "val") for year in (14, 17)
)
_COCO_SET = _has_any(
    _has_json(*_INSTANCES, *_ANY_JSON), _has("|".join(f"annotations/{one}" for one in _INSTANCES), _YEARS)
)
_PANOPTIC_SET = _has_any(_has_json(*_PANOPTIC), _has("annotations/panoptic_*.json", _YEARS))
_PARQUET = "*.parquet|data/*.parquet|*/*.parquet"

_SURE: tuple[tuple[str, _Tells], ...] = (
    ("voc", _VOC),
    ("ade20k", _ADE),
    ("cityscapes", _CITYSCAPES),
    ("camvid", _CAMVID),
    ("mapillary", _MAPILLARY),
    ("coco", _COCO_SET),
    ("coco", _has("|".join(f"{part}/{_ROBOFLOW}" for part in _PARTS))),
    ("coco-panoptic", _PANOPTIC_SET),
    ("cocostuff", _STUFF),
    ("coco", _has_json(*_OTHERS)),
    ("hf", _has_any(_has("dataset_info.json", "state.json"), _has("dataset_dict.json", "*/state.json"))),
    ("hf", _has("*-of-?????*.parquet|*/*-of-?????*.parquet")),
    ("hf", _has(".gitattributes", _PARQUET)),
    ("wds", _has_shards),
    ("dtd", _has("images", "labels/labels_joint_anno.txt", "labels/train1.txt")),
    ("places365", _PLACES),
    ("sun397", _has_any(_has("ClassName.txt", "Partitions"), _has("[a-z]/*/sun_*|[a-z]/*/*/sun_*"))),
    ("imagenet", _IMAGENET),
)
"""What each published set is told by, in the order in which it is tried."""

_STRAY: tuple[tuple[str, _Tells], ...] = (
    ("ade20k", _has(f"{_ADE_TEXTS}|images/ADE|ADE_train_????????*|ADE_val_????????*")),
    ("cityscapes", _has("leftImg8bit|gtFine|gtCoarse")),
    ("camvid", _has("trainannot|valannot|testannot|701_StillsRaw_full|LabeledApproved_full")),
    ("camvid", _has("label_colors.txt|codes.txt")),
    ("mapillary", _has("training|validation|testing", "config_v*.json|*/instances|*/panoptic")),
    ("cocostuff", _has("stuffthingmaps*|annotations/train2017|annotations/val2017")),
    ("dtd", _has("labels/labels_joint_anno.txt|labels/train1.txt")),
    ("places365", _has(f"{_PLACES_LISTS}|{_PLACES_PICTURES}")),
    ("sun397", _has("ClassName.txt|Partitions")),
    ("imagenet", _has("ILSVRC|LOC_synset_mapping.txt|LOC_val_solution.csv")),
    ("imagenet", _has("ILSVRC2012_val_????????.[Jj][Pp]*|ILSVRC2012_img_*|ILSVRC2012_devkit*")),
    ("hf", _has(f"dataset_dict.json|dataset_info.json|state.json|{_PARQUET}|*.arrow")),
    ("wds", _has("*.tar")),
)
"""Names that tell by themselves, but may lie in any folder."""

_INSIDE: tuple[tuple[str, str, _Tells], ...] = (
    ("voc", r"JPEGImages|Segmentation\w*|Annotations\w*|ImageSets|trainval", _VOC),
    ("ade20k", r"images|annotations\w*", _ADE),
    ("cityscapes", r"leftImg8bit\w*|gtFine|gtCoarse", _CITYSCAPES),
    ("camvid", r"(train|val|test)(annot)?|701_StillsRaw_full|LabeledApproved_full|images|labels", _CAMVID),
    ("mapillary", r"training|validation|testing", _MAPILLARY),
    ("cocostuff", r"stuffthingmaps\w*", _STUFF),
    ("coco-panoptic", r"annotations/panoptic_\w+|panoptic_\w+", _PANOPTIC_SET),
    ("coco", r"annotations|images|(train|val|test|unlabeled)\d*", _COCO_SET),
    ("coco-panoptic", r"annotations|images|(train|val|test)\d*", _PANOPTIC_SET),
    ("cocostuff", r"(images|annotations)(/(train|val)2017|$)", _STUFF),
    ("places365", r"(data|val|test)_(256|large)\w*", _PLACES),
    ("imagenet", r"ILSVRC|Data|CLS-LOC|train|val|test", _IMAGENET),
)
"""The folders inside a set that are no data of their own, and what tells the folder that holds them."""
