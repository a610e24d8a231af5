"""Every file below a folder is taken, used, a setting, or said to be left out: random trees of files."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st
from PIL import Image

from unitscope.concepts.formats.annotated import AnnotatedSource, MaskFiles
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.formats.folder.mask_classes import FILE_NAME
from unitscope.concepts.formats.listings import AGAIN, CLOSED, LEFTOVERS
from unitscope.concepts.inspection import check_source
from unitscope.errors import SourceError, UsageError

PICTURE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
MASK = np.repeat(np.repeat(np.array([[0, 1], [2, 1]], np.uint8), 4, 0), 4, 1)


def save(image: np.ndarray, kind: str) -> Callable[[Path, Path], object]:
    return lambda path, _: Image.fromarray(image).save(path, kind)


def fill(data: bytes) -> Callable[[Path, Path], object]:
    return lambda path, _: path.write_bytes(data)


def link(place: Callable[[Path, Path], object]) -> Callable[[Path, Path], object]:
    return lambda path, root: os.symlink(str(place(path, root)), path)


WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "png": save(PICTURE, "PNG"),
    "jpg": save(PICTURE, "JPEG"),
    "gif": save(PICTURE, "GIF"),
    "mask": save(MASK, "PNG"),
    "broken": fill(b"\x89PNG\r\n\x1a\n and nothing"),
    "empty": fill(b""),
    "text": fill(b"a line\n"),
    "link to a file": link(lambda path, root: root / "good.png"),
    "link to nothing": link(lambda path, root: root / "gone.png"),
    "link to itself": link(lambda path, root: path),
    "link to the top": link(lambda path, root: root),
    "link to a folder": link(lambda path, root: root.parent / "elsewhere"),
    "link beside": link(lambda path, root: root / "masks"),
    "pipe": lambda path, _: os.mkfifo(path),
}
STEMS = st.sampled_from(["a", "b", "c", "a.b", " x", "ä", "0001", "-r", "a=b", "a,b", "x\n", "\udcff"])
ENDINGS = st.sampled_from(
    [".png", ".PNG", ".jpg", ".jfif", ".gif", ".tif", ".ppm", ".bmp", ".webp", ".npy", ".txt", ".xml", ""]
)
NAMES = st.one_of(
    st.builds(str.__add__, STEMS, ENDINGS), st.sampled_from([".a.png", "Thumbs.db", "._b.jpg", FILE_NAME])
)
NAMED = ("", "kitchen", "street", "train/kitchen", "val/kitchen", "train", "a.b/c", ".git", "__MACOSX", "Ünï")
MASKED = ("kitchen/deep/er", "images", "images/sub", "masks", "masks/sub", "masks-2", "other", "classes.json")
FOLDERS = st.sampled_from([*NAMED, *MASKED])
FILES = st.lists(st.tuples(FOLDERS, NAMES, st.sampled_from(list(WRITERS))), max_size=14)


def grow(root: Path, files: list[tuple[str, str, str]], layout: str) -> None:
    (root.parent / "elsewhere" / "in").mkdir(parents=True)
    Image.fromarray(PICTURE).save(root.parent / "elsewhere" / "in" / "e.png")
    (root.parent / "elsewhere" / "up").symlink_to(root)
    root.mkdir()
    Image.fromarray(PICTURE).save(root / "good.png")
    sure = [("hall", "good.jpg", "jpg")]
    if layout != "named":
        sure = [("images", "good.png", "png"), ("masks", "good.png", "mask")]
        layers = {"one": {"folder": "masks", "classes": ["none", "cat", "dog"]}}
        if layout == "masked":
            layers["two"] = {"folder": "masks-2", "classes": ["none", "ear"]}
        (root / FILE_NAME).write_text(json.dumps({"layers": layers}))
    for folder, name, kind in [*sure, *files]:
        path = root / folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(path):
                WRITERS[kind](path, root)
        except (FileExistsError, NotADirectoryError):  # where a file stands in place of a folder
            continue


def count_files(folder: Path, seen: set[tuple[int, int]], hidden: bool = False) -> int:
    """All that is no folder, below a folder and those that links lead to, if not hidden ones; each once."""
    place = folder.stat()
    if (place.st_dev, place.st_ino) in seen:
        return 0
    seen.add((place.st_dev, place.st_ino))
    files, below = 0, []
    for entry in folder.iterdir():
        concealed = hidden or entry.name.startswith(".") or entry.name in LEFTOVERS
        if entry.is_dir() and not (concealed and entry.is_symlink()):
            below.append((entry, concealed))
        else:
            files += 1
    return files + sum(count_files(entry, seen, concealed) for entry, concealed in below)


def count_accounted(source: AnnotatedSource) -> int:
    masks = set()
    for layer in source.layers:
        assert isinstance(layer, MaskFiles)
        masks |= {layer.root / layer.names[key] for key in source.keys if key in layer.names}
    texts = [path for path in source.texts if path.is_file()]
    left_out = [one.files for one in source.left_out if one.reason not in (AGAIN, CLOSED)]
    return len(set(source.keys)) + len(masks) + len(texts) + sum(left_out)


@settings(max_examples=60)
@given(FILES, st.sampled_from(["named", "masked", "pair"]), st.sampled_from(["in", "out"]))
def test_what_is_taken_and_what_is_left_out_is_all_there_is(
    files: list[tuple[str, str, str]], layout: str, bare: str
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "set"
        grow(root, files, layout)
        source, refusal = try_to_open(root, bare, pair=layout == "pair")
        if source is None:
            event("refused")
            assert "\n" not in refusal.replace("x\n", "x")
            return
        event("opened")
        parts = [root / "images", root / "masks"] if layout == "pair" else [root]
        beside = 1 if layout == "pair" else 0  # the file of classes
        assert count_accounted(source) == sum(count_files(part, set()) for part in parts) + beside
        assert {one.name for one in source.vocabulary}.isdisjoint({"train", "val", "images", "masks"})
        report = check_source(source)
        unread = {problem.place for problem in report.problems} & set(source.keys)
        assert report.readable + len(unread) >= report.images == len(source)
        assert report.left_out == source.left_out


def try_to_open(root: Path, bare: str, pair: bool) -> tuple[AnnotatedSource | None, str]:
    try:
        if pair:
            return open_folder(root / "images", masks=root / "masks", bare=bare), ""
        return open_folder(root, bare=bare), ""
    except (SourceError, UsageError) as error:
        return None, str(error)
