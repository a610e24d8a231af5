"""SUN397, pictures of 397 scenes (Xiao et al., CVPR 2010).

::

    DIR/a/abbey/sun_aaalbzqrimafwbiv.jpg   DIR/a/apartment_building/outdoor/sun_*.jpg
    DIR/ClassName.txt                      "/a/abbey", a line a scene
    DIR/Partitions/Training_01.txt         "/a/abbey/sun_aaalbzqrimafwbiv.jpg": ten pairs of splits

The lists have an archive of their own, without a folder: they may also lie in DIR, or in either place beside
it. A scene is called as its folder, without the letter: `abbey`, `apartment_building/outdoor`.
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

_CLASSES, _LISTS = "ClassName.txt", "Partitions"
_LIST = re.compile(r"(Training|Testing)_\d+")


def open_sun397(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """SUN397 as it is published; option `split` (`Training_01` to `Testing_10`).

    Raises `UsageError` for an unknown split, `SourceError` where there is no picture.
    """
    root = find_set(place, ("SUN397",), _holds, "SUN397's folders a/ to z/, ClassName.txt and Partitions/")
    folders = (root / _LISTS, root, root.parent / _LISTS, root.parent)
    lists = {
        path.stem: path
        for folder in reversed(folders)
        for path in folder.glob("T*ing_*.txt")
        if _LIST.fullmatch(path.stem)
    }
    split = options.get("split")
    check_split(root, split, sorted(lists, key=lambda name: (not name.startswith("Training"), name)))

    listing = list_set(place, root)
    texts = [path for folder in (root, *folders) if (path := folder / _CLASSES).is_file()][:1]
    scenes = {line.strip("/") for text in texts for line in read_lines(text) if line}
    labels: dict[str, tuple[str, ...]] = {}
    for name in filter(is_picture, listing.names):
        folder = name.rpartition("/")[0]
        if folder in scenes or (not scenes and len(folder.partition("/")[0]) == 1 < len(folder)):
            labels[name] = (name_scene(folder),)
    names = sorted({*map(name_scene, scenes), *(one for named in labels.values() for one in named)})
    found = LabelledPictures(root, names, labels, texts)
    if split is not None:
        found.texts = [*texts, lists[split]]
        chosen = {line.strip("/") for line in read_lines(lists[split]) if line}
        found.left_out = [(MISSING, name) for name in sorted(chosen.difference(listing.names))]
        found.labels = {name: named for name, named in labels.items() if name in chosen}
    found.leave_out_rest(listing, lambda name: OTHER_SPLIT if name in labels else tell_rest(name))
    return found.open("sun397", place, options, "scene")


def name_scene(folder: str) -> str:
    """What a folder of scenes says without its letter.

    >>> name_scene("a/apartment_building/outdoor")
    'apartment_building/outdoor'
    """
    letter, _, rest = folder.partition("/")
    return rest if len(letter) == 1 and rest else folder


def _holds(path: Path) -> bool:
    return (path / _CLASSES).is_file() or (path / _LISTS).is_dir() or (path / "a").is_dir()
