"""Mapillary Vistas: streets of the whole world, with the classes of two versions.

::

    SPLIT/images/NAME.jpg  SPLIT/v2.0/labels/NAME.png  config_v2.0.json

Before it had versions: `SPLIT/labels/NAME.png` and `config.json`.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unitscope.concepts.formats.annotated import AnnotatedSource, MaskFiles, PictureFiles
from unitscope.concepts.formats.file_names import cut_suffix, find_suffix
from unitscope.concepts.formats.folder.mask_classes import read_json
from unitscope.concepts.formats.folder.mask_matches import NO_PICTURE, UNLABELLED
from unitscope.concepts.formats.listings import Listing, list_folder
from unitscope.concepts.formats.maps.label_maps import OTHER_FORM, count_rest, pair_masks
from unitscope.concepts.formats.mask_values import MaskValues, name_values
from unitscope.concepts.formats.roots import find_root, note_root
from unitscope.concepts.formats.splits import check_split
from unitscope.concepts.formats.stored.masks import MASK_SUFFIXES
from unitscope.concepts.formats.stored.pictures import IMAGE_SUFFIXES
from unitscope.concepts.formats.text_lists import check_count
from unitscope.concepts.left_out import OTHER_SPLIT, takes_bare
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.errors import SourceError, UsageError

IMAGES, LABELS = "images", "labels"
_CONFIG = re.compile(r"config_(v\d{1,4}\.\d{1,4})\.json")
_VOID = "void--"


@dataclass(frozen=True)
class _Version:
    """A version of the labels: its name, or "" before there were any, and the file that names its classes."""

    name: str
    config: Path

    @property
    def labels(self) -> str:
        """The folder of the labels below that of a split."""
        return f"{self.name}/{LABELS}" if self.name else LABELS


def open_mapillary(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """Pictures with their masks, whose classes a `config_v*.json` names.

    Options: `split` (default: all that have masks), `version` (default: the latest) and `bare` ("in":
    pictures without a mask are taken in, in splits that have masks). Classes that are not evaluated, or
    called `void--`, are void.

    Raises `UsageError` for a split or version that is not there, `SourceError` where the file of classes is
    missing or wrong, or no picture has a mask.
    """
    bare = takes_bare(options)
    root = find_root(
        place, lambda path: bool(_list_splits(path)), f"SPLIT/{IMAGES}/ and a config_v*.json or config.json"
    )
    version = _choose_version(root, options.get("version"))
    splits = _list_splits(root)
    split = options.get("split")
    check_split(root, split, splits)
    chosen = splits if split is None else (split,)
    listing = list_folder(root)
    middle = version.labels
    pairs = pair_masks(
        [pair for one in chosen for pair in _list_keys(listing, one, IMAGES, IMAGE_SUFFIXES)],
        [pair for one in chosen for pair in _list_keys(listing, one, middle, MASK_SUFFIXES)],
        bare,
    )
    if not pairs.masks:
        wanted = " or ".join(f"{one}/{middle}/" for one in chosen)
        raise SourceError(f"{root}: no picture has a mask in {wanted}; unpack them, or name another split")
    values, vocabulary, note = _read_classes(version.config)
    return AnnotatedSource(
        "mapillary",
        place,
        root,
        PictureFiles(root, pairs.pictures),
        vocabulary,
        layers=(MaskFiles(root, pairs.masks, values),),
        options=tuple(options.items()),
        texts=(version.config,),
        left_out=count_rest(listing, pairs, (version.config,), lambda name: _say(name, chosen)),
        wrong=tuple(pairs.wrong),
        notes=(*note_root(place, root), f"classes named by {version.config.name}", *pairs.notes, note),
    )


def _list_splits(place: Path) -> tuple[str, ...]:
    """The folders with pictures beside a file of classes; none where there is no such file."""
    if not _list_versions(place):
        return ()
    return tuple(sorted(path.parent.name for path in place.glob(f"*/{IMAGES}") if path.is_dir()))


def _list_versions(place: Path) -> tuple[_Version, ...]:
    """All versions whose classes are named, the latest first, the one without a number last."""
    found = [
        (match, path) for path in place.glob("config_v*.json") if (match := _CONFIG.fullmatch(path.name))
    ]
    versions = [_Version(match[1], path) for match, path in found]
    versions.sort(key=lambda one: [*map(int, one.name[1:].split("."))], reverse=True)
    first = place / "config.json"
    return (*versions, _Version("", first)) if first.is_file() else tuple(versions)


def _choose_version(root: Path, given: str | None) -> _Version:
    versions = _list_versions(root)
    if given is None:
        labelled = (one for one in versions if any(root.glob(f"*/{one.labels}")))
        return next(labelled, versions[0])
    for version in versions:
        if version.name == given:
            return version
    listed = ", ".join(one.name for one in versions if one.name) or "without numbers"
    raise UsageError(f"{root} has no config_{given}.json; its versions are {listed}")


def _list_keys(listing: Listing, split: str, middle: str, suffixes: frozenset[str]) -> list[tuple[str, str]]:
    """SPLIT/NAME of the files of one folder of a split, and their names."""
    start = len(f"{split}/{middle}/")
    names = (name for name in listing.choose(f"{split}/{middle}") if find_suffix(name) in suffixes)
    return [(f"{split}/{cut_suffix(name)[start:]}", name) for name in names]


def _read_classes(path: Path) -> tuple[MaskValues, Vocabulary, str]:
    """The classes by place in the file, under the names for people where these differ from each other."""
    data = read_json(path)
    labels = data.get("labels") if isinstance(data, dict) else None
    if not isinstance(labels, list) or not labels:
        raise SourceError(f"{path}: wanted an object with a list of 'labels'; restore the published file")
    for number, label in enumerate(labels):
        if not isinstance(label, dict) or not isinstance(label.get("name"), str) or not label["name"]:
            raise SourceError(f"{path}: label {number} has no 'name'; restore the published file")
    check_count(path, labels)
    shown = [str(label.get("readable") or label["name"]) for label in labels]
    several = {name for name, count in Counter(shown).items() if count > 1}
    names = [label["name"] if name in several else name for name, label in zip(shown, labels, strict=True)]
    void = [
        number
        for number, label in enumerate(labels)
        if label.get("evaluate") is False or label["name"].startswith(_VOID)
    ]
    classes = {number: (name, "object") for number, name in enumerate(names)}
    values, vocabulary = name_values(classes, void, listed_in=path.name)
    spelled = ", ".join(f"{number} ({names[number]})" for number in void) or "nothing"
    return values, vocabulary, f"void: {spelled}"


def _say(name: str, chosen: tuple[str, ...]) -> str:
    """Why a file is not used."""
    split, _, rest = name.partition("/")
    if not rest:
        return NO_PICTURE
    if split not in chosen:
        return OTHER_SPLIT
    return UNLABELLED if rest.startswith(f"{IMAGES}/") else OTHER_FORM
