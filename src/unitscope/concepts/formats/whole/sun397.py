"""SUN397, pictures of 397 scenes (Xiao et al., CVPR 2010).

::

    DIR/a/abbey/sun_aaalbzqrimafwbiv.jpg   DIR/a/apartment_building/outdoor/sun_*.jpg
    DIR/ClassName.txt                      "/a/abbey", a line a scene
    DIR/Partitions/Training_01.txt         "/a/abbey/sun_aaalbzqrimafwbiv.jpg": ten pairs of splits

A scene is called as its folder, without the letter: `abbey`, `apartment_building/outdoor`.
"""

from collections.abc import Mapping
from pathlib import Path

from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.listings import list_folder
from unitscope.concepts.formats.text_lists import read_lines
from unitscope.concepts.formats.whole.images import (
    MISSING,
    NO_PICTURE,
    UNLABELLED,
    LabelledPictures,
    check_split,
    find_set,
    is_picture,
)

_CLASSES, _LISTS = "ClassName.txt", "Partitions"


def open_sun397(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """SUN397 as it is published; option `split` (`Training_01` to `Testing_10`).

    Raises `UsageError` for an unknown split, `SourceError` where there is no picture.
    """
    root = find_set(place, ("SUN397",), _holds, "SUN397's folders a/ to z/, ClassName.txt and Partitions/")
    listing = list_folder(root)
    folders = (root / _LISTS, root.parent / _LISTS)  # which an archive of their own brings
    lists = {path.stem: path for folder in reversed(folders) for path in folder.glob("T*ing_*.txt")}
    split = options.get("split")
    check_split(root, split, sorted(lists, key=lambda name: (not name.startswith("Training"), name)))

    texts = [path for folder in (root, *folders) if (path := folder / _CLASSES).is_file()][:1]
    scenes = {line.strip("/") for text in texts for line in read_lines(text) if line}
    labels: dict[str, tuple[str, ...]] = {}
    left_out = list(listing.left_out)
    for name in listing.names:
        folder = name.rpartition("/")[0]
        if not is_picture(name):
            if name != _CLASSES and not name.startswith(f"{_LISTS}/"):
                left_out.append((NO_PICTURE, name))
        elif folder in scenes or (not scenes and len(folder.partition("/")[0]) == 1 < len(folder)):
            labels[name] = (name_scene(folder),)
        else:
            left_out.append((UNLABELLED, name))
    names = sorted({*map(name_scene, scenes), *(one for named in labels.values() for one in named)})
    if split is not None:
        texts = [*texts, lists[split]]
        chosen = {line.strip("/") for line in read_lines(lists[split]) if line}
        left_out += [(MISSING, name) for name in sorted(chosen) if name not in labels]
        labels = {name: named for name, named in labels.items() if name in chosen}
    return LabelledPictures(root, names, labels, texts, left_out).open("sun397", place, options, "scene")


def name_scene(folder: str) -> str:
    """What a folder of scenes says without its letter.

    >>> name_scene("a/apartment_building/outdoor")
    'apartment_building/outdoor'
    """
    letter, _, rest = folder.partition("/")
    return rest if len(letter) == 1 and rest else folder


def _holds(path: Path) -> bool:
    return (path / _CLASSES).is_file() or (path / _LISTS).is_dir() or (path / "a").is_dir()
