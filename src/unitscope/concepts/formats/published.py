"""Which published data set a folder holds, told by a few names of files in it."""

import contextlib
import fnmatch
import heapq
import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

_FEW = 400
"""So many names of a folder are looked at: the ones that tell come among them, or as patterns."""


def recognize(root: Path) -> str | None:
    """How the published data set in a folder is opened, or in the only folders that its archive adds.

    None where the folder looks like no published set.

    >>> recognize(Path("no such folder"))
    """
    try:
        places = (root, *_below(root))
        found = ((word, place) for place in places for word, tells in _SIGNS if tells(place))
        told = next(found, None)
    finally:
        _scan.cache_clear()
    return None if told is None else _spell(*told)


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


@lru_cache(maxsize=64)
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


def _has(*patterns: str) -> Callable[[Path], bool]:
    """Whether a folder has a file or folder for every pattern; `|` stands between alternatives."""
    wanted = [[one.split("/") for one in pattern.split("|")] for pattern in patterns]

    def tells(place: Path) -> bool:
        return all(any(_matches(os.fspath(place), parts) for parts in pattern) for pattern in wanted)

    return tells


def _matches(place: str, parts: Sequence[str]) -> bool:
    """Whether something in a folder has a name like the first part, and something in it one like the next."""
    first, *rest = parts
    if "*" in first or "[" in first or "?" in first:
        found = fnmatch.filter(_folders(place) if rest else _scan(place)[0], first)
    else:
        found = [first] if os.path.lexists(os.path.join(place, first)) else []
    if not rest:
        return bool(found)
    return any(_matches(os.path.join(place, name), rest) for name in found)


def _has_synsets(place: Path) -> bool:
    names = [*_folders(os.fspath(place)), *_folders(os.path.join(place, "train"))]
    return sum(re.fullmatch(r"n\d{8}", name) is not None for name in names) > 1


def _spell(word: str, place: Path) -> str:
    text = f"{word}:{place}"
    if word == "coco":
        files = sorted(path.name for one in _COCO for path in (place / "annotations").glob(one))
        return f"{text},annotations={files[0]}"
    if word == "coco-panoptic":
        files = sorted(path.name for path in (place / "annotations").glob("panoptic_*.json"))
        return f"{text},annotations={files[0]}"
    return text


_COCO = ("instances_*.json", "lvis_v1_*.json", "paco_*.json", "stuff_*.json", "person_keypoints_*.json")

_WRAPPERS = re.compile(
    r"VOCdevkit|VOC20\d\d|ADEChallengeData2016|ADE20K_\w+|CamVid|SegNet(-Tutorial)?|ILSVRC|Data|CLS-LOC|imagenet"
    r"|dtd|SUN397|cityscapes|coco|places365_standard|dataset|data",
    re.IGNORECASE,
)
"""The folders that archives of published sets add above what they hold."""

_SIGNS: tuple[tuple[str, Callable[[Path], bool]], ...] = (
    ("voc", _has("JPEGImages", "SegmentationClass*|SegmentationObject|Annotations|ImageSets")),
    ("ade20k", _has("objectInfo150.txt|sceneCategories.txt|index_ade20k.*|images/ADE|ADE_train_*|ADE_val_*")),
    ("ade20k", _has("images/training|images/validation", "annotations/training|annotations/validation")),
    ("ade20k", _has("images/*/?/*/ADE_*_seg.png|images/*/?/*/*/ADE_*_seg.png")),
    ("cityscapes", _has("leftImg8bit|gtFine|gtCoarse")),
    ("camvid", _has("trainannot|valannot|testannot")),
    ("camvid", _has("701_StillsRaw_full|LabeledApproved_full|label_colors.txt|codes.txt")),
    ("mapillary", _has("training|validation|testing", "config_v*.json|*/v[12].[02]|*/instances|*/panoptic")),
    ("coco", _has("|".join(f"annotations/{one}" for one in _COCO))),
    ("coco-panoptic", _has("annotations/panoptic_*.json")),
    ("cocostuff", _has("stuffthingmaps*|annotations/train2017|annotations/val2017")),
    (
        "hf",
        _has("dataset_dict.json|dataset_info.json|state.json|*.parquet|data/*.parquet|*/*.parquet|*.arrow"),
    ),
    ("wds", _has("*.tar")),
    ("dtd", _has("labels/labels_joint_anno.txt|labels/train1.txt")),
    (
        "places365",
        _has("categories_places365.txt|places365_*.txt|data_256|data_256_standard|data_large|val_256"),
    ),
    ("sun397", _has("ClassName.txt|Partitions")),
    (
        "imagenet",
        _has("ILSVRC|LOC_synset_mapping.txt|LOC_val_solution.csv|ILSVRC2012_val*|ILSVRC2012_devkit*"),
    ),
    ("imagenet", _has_synsets),
)
"""What each published set is told by, in the order in which it is tried."""
