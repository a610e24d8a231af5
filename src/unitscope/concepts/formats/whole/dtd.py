"""DTD, the Describable Textures Dataset (Cimpoi et al., CVPR 2014).

::

    DIR/images/banded/banded_0002.jpg
    DIR/labels/train1.txt .. test10.txt        "banded/banded_0002.jpg": ten splits
    DIR/labels/labels_joint_anno.txt           "banded/banded_0002.jpg banded lined"

A folder's name is the texture of its pictures; with `joint=yes` all that the joint annotation says of them.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.file_names import is_picture
from unitscope.concepts.formats.splits import check_split
from unitscope.concepts.formats.text_lists import read_lines
from unitscope.concepts.formats.whole.images import MISSING, LabelledPictures, find_set, list_set, tell_rest
from unitscope.concepts.left_out import OTHER_SPLIT
from unitscope.errors import SourceError, UsageError

_JOINT = "labels/labels_joint_anno.txt"
_LIST = re.compile(r"labels/[^/]+\.txt")


def open_dtd(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """DTD as it is published; options `split` (`train1` to `test10`) and `joint=yes`.

    Raises `UsageError` for an unknown split or value, `SourceError` where pictures or lists are missing.
    """
    if options.get("joint", "no") not in ("yes", "no"):
        raise UsageError(f"joint={options['joint']!r}: wanted yes or no")
    root = find_set(
        place, ("dtd", ".."), lambda path: (path / "images").is_dir(), "DTD's images/ and labels/"
    )
    listing = list_set(place, root)
    lists = {Path(name).stem: name for name in listing.names if _LIST.fullmatch(name)}
    lists.pop(Path(_JOINT).stem, None)
    split = options.get("split")
    check_split(root, split, sorted(lists, key=lambda name: (name.rstrip("0123456789"), len(name), name)))

    pictures = [name for name in listing.choose("images") if is_picture(name) and name.count("/") > 1]
    labels: dict[str, tuple[str, ...]] = {name: (name.split("/")[1],) for name in pictures}
    named = {texture for textures in labels.values() for texture in textures}
    found = LabelledPictures(root, sorted(named), labels)
    if options.get("joint") == "yes":
        joint = _read_joint(root / _JOINT)
        found.labels = labels | {name: textures for name, textures in joint.items() if name in labels}
        found.names = sorted(named.union(*joint.values()))
        found.texts = [root / _JOINT]
    if split is not None:
        found.texts = [*found.texts, root / lists[split]]
        chosen = {f"images/{line}": None for line in read_lines(root / lists[split]) if line}
        here = set(listing.names)
        found.left_out = [(MISSING, name) for name in chosen if name not in here]
        found.labels = {name: textures for name, textures in found.labels.items() if name in chosen}
    found.leave_out_rest(listing, lambda name: OTHER_SPLIT if name in labels else tell_rest(name))
    return found.open("dtd", place, options, "texture")


def _read_joint(path: Path) -> dict[str, tuple[str, ...]]:
    """The textures of every picture. Raises `SourceError` for a line that has none."""
    if not path.is_file():
        raise SourceError(f"{path}: the file is missing, which joint=yes reads; restore it")
    labels = {}
    for number, line in enumerate(read_lines(path), start=1):
        name, *textures = line.split() or [""]
        if name and not textures:
            raise SourceError(
                f"{path}, line {number}: {name} has no texture; wanted a picture and its textures"
            )
        labels[f"images/{name}"] = tuple(dict.fromkeys(textures))
    labels.pop("images/", None)
    return labels
