"""What tells published data sets: names of files and folders, of which some are found in one set alone."""

import contextlib
import fnmatch
import heapq
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from unitscope.concepts.formats.file_names import is_picture
from unitscope.concepts.formats.folder.names import is_mask_folder, is_part

_FEW = 400
"""So many names of a folder are looked at: the ones that tell come among them, or as patterns."""

_DEEP, _SOME, _HEAD = 4, 20, 4096
"""So deep, and into so many folders of each, is looked for named pictures; so many bytes of annotations
are read."""

_Tells = Callable[[Path], bool]


def forget() -> None:
    """Forgets what lies in folders."""
    scan.cache_clear()
    scan_rest.cache_clear()


def names_pictures(place: str, deep: int = _DEEP, named: bool = False) -> bool:
    """Whether pictures lie in or below a folder whose name says something, other than published sets'."""
    for name in list_folders(place)[:_SOME]:
        below = os.path.join(place, name)
        if name.startswith(".") or _PUBLISHED.fullmatch(name) or is_mask_folder(name):
            continue
        says = named or not (is_part(name) or WRAPPERS.fullmatch(name))
        if says and any(map(_is_own_picture, scan(below)[0])):
            return True
        if deep > 1 and names_pictures(below, deep - 1, says):
            return True
    return False


def has_own_pictures(place: Path) -> bool:
    """Whether pictures lie right in a folder, other than those of published sets."""
    return len(scan_rest(os.fspath(place))) < len(scan(os.fspath(place))[0])


def _is_own_picture(name: str) -> bool:
    """Whether a file is a picture that is not called as those of published sets are."""
    return is_picture(name) and _PUBLISHED_PICTURE.match(name) is None


def list_folders(place: str) -> list[str]:
    """The names of the first folders in a folder."""
    return scan(place)[1]


@lru_cache(maxsize=1024)
def scan(place: str) -> tuple[list[str], list[str]]:
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
def scan_rest(place: str) -> list[str]:
    """The names in a folder but those of its own pictures."""
    return [name for name in scan(place)[0] if not _is_own_picture(name)]


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
    return next(find_names(place, parts, scan_rest), None) is not None


def find_names(
    place: str, parts: Sequence[str], names_in: Callable[[str], Sequence[str]] = lambda place: scan(place)[0]
) -> Iterator[str]:
    """The paths below a folder that have names like the parts; `names_in` gives those right in a folder."""
    first, *rest = parts
    if "*" in first or "[" in first or "?" in first:
        found = sorted(fnmatch.filter(list_folders(place) if rest else names_in(place), first))
    else:
        found = [first] if os.path.lexists(os.path.join(place, first)) else []
    for name in found:
        if not rest:
            yield name
        else:
            yield from (f"{name}/{one}" for one in find_names(os.path.join(place, name), rest))


def _has_synsets(place: Path) -> bool:
    top = os.fspath(place)
    below = [os.path.join(top, part) for part in ("train", "val")]
    names = [name for one in (top, *below) for name in list_folders(one)]
    return sum(re.fullmatch(r"n\d{8}", name) is not None for name in names) > 1


def _has_shards(place: Path) -> bool:
    numbered = [re.fullmatch(r"(.*?)\d{4,}\.tar", name) for name in scan_rest(os.fspath(place))]
    starts = [one[1] for one in numbered if one is not None]
    return len(starts) > len(set(starts))


def find_annotations(place: Path, kinds: Sequence[str]) -> list[str]:
    """Files of annotations in a folder and its `annotations/`, those of pictures that are there first."""
    found: dict[str, str] = {}
    for folder in (place, place / "annotations"):
        names = [name for name in scan_rest(os.fspath(folder)) if name.endswith(".json")]
        for kind in kinds:
            for name in sorted(fnmatch.filter(names, kind))[:_SOME]:
                if kind not in _ANY_JSON or _begins_as_coco(folder / name):
                    found.setdefault(name, kind)
    parts = {*list_folders(os.fspath(place)), *list_folders(os.fspath(place / "images"))} - {
        "images",
        "annotations",
    }
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
        return bool(find_annotations(place, kinds)) and not names_pictures(os.fspath(place))

    return tells


_INSTANCES = ("instances_*.json", "lvis_v1_*.json", "paco_*.json")
_ANY_JSON = ("annotations.json", "result.json", "coco.json", "labels.json", "*coco*.json")
"""Names of annotations by tools, of which the beginning of the file is looked at, too."""
_OTHERS = ("stuff_*.json", "person_keypoints_*.json")
COCO = (*_INSTANCES, *_ANY_JSON, *_OTHERS)
PANOPTIC = ("panoptic_*.json", "ade20k_panoptic_*.json", "cityscapes_panoptic_*.json")
_COCO_HEAD = re.compile(
    rb'(\xef\xbb\xbf)?\s*\{\s*"(info"\s*:\s*\{|(licenses|categories)"\s*:\s*\[\s*\{'
    rb'|(images|annotations)"\s*:\s*\[\s*\{.*"(file_name|coco_url|image_id)")',
    re.DOTALL,
)
PARTS = ("train", "valid", "val", "test")
WRAPPERS = re.compile(
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
_PANOPTIC_SET = _has_any(_has_json(*PANOPTIC), _has("annotations/panoptic_*.json", _YEARS))
_PARQUET = "*.parquet|data/*.parquet|*/*.parquet"

SURE: tuple[tuple[str, _Tells], ...] = (
    ("voc", _VOC),
    ("ade20k", _ADE),
    ("cityscapes", _CITYSCAPES),
    ("camvid", _CAMVID),
    ("mapillary", _MAPILLARY),
    ("coco", _COCO_SET),
    ("coco", lambda place: any(_COCO_SET(place / part) for part in PARTS)),
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

STRAY: tuple[tuple[str, _Tells], ...] = (
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

INSIDE: tuple[tuple[str, str, _Tells], ...] = (
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
