"""Published sets with something wrong in every file: one line each, and nothing that is no error of ours."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sets.published_words import WORDS, write_tree
from unitscope.concepts.inspection import check_source
from unitscope.errors import UnitscopeError

TEXTS = {".txt", ".json", ".csv", ".md"}
PICTURES = {".jpg", ".JPEG", ".png"}


def change(root: Path, suffixes: set[str], make: Callable[[bytes], bytes]) -> None:
    """Writes other contents to every file with one of the endings; to all, where there are none such."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    chosen = [path for path in files if path.suffix in suffixes] or files
    for path in chosen:
        path.write_bytes(make(path.read_bytes()))


def claim(width: int, height: int) -> bytes:
    """A PNG that says to be of a size, and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def encode(pixels: np.ndarray, folder: Path) -> bytes:
    Image.fromarray(pixels).save(folder / "made.png")
    data = (folder / "made.png").read_bytes()
    (folder / "made.png").unlink()
    return data


def shuffle(data: bytes) -> bytes:
    """The bytes in another order, always the same one."""
    return np.random.default_rng(0).permutation(np.frombuffer(data, np.uint8).copy()).tobytes()


def add_loops(root: Path) -> None:
    for folder in [root, *(path for path in sorted(root.rglob("*")) if path.is_dir())]:
        os.symlink(root, folder / "again")
        os.symlink("nowhere", folder / "lost.png")
        os.symlink("circle", folder / "circle")


def remove_pictures(root: Path) -> None:
    for path in [path for path in root.rglob("*") if path.suffix in (".jpg", ".JPEG")]:
        path.unlink()


def replace_texts(root: Path, put: Callable[[Path], None]) -> None:
    """Something else in the place of every file but pictures and shards."""
    for path in [path for path in root.rglob("*") if path.is_file()]:
        if path.suffix not in PICTURES | {".tar"}:
            path.unlink()
            put(path)


EVIL = (
    b"/etc/passwd 0\n../../../etc/passwd 1\n/a/../../../../etc/passwd 99999999999999999999\n\xff\xfe\x00 \n"
)

ATTACKS: dict[str, Callable[[Path], None]] = {
    "texts cut": lambda root: change(root, TEXTS, lambda data: data[: len(data) // 2]),
    "texts deep": lambda root: change(root, TEXTS, lambda _: b"[" * 200_000),
    "texts of numbers": lambda root: change(root, TEXTS, lambda _: b"[1e400, NaN, " + b"9" * 5000 + b"]"),
    "texts that lead out": lambda root: change(root, TEXTS, lambda _: EVIL),
    "texts of another kind": lambda root: change(root, TEXTS, lambda _: b'{"a": {"b": [null, {}, "x"]}}'),
    "everything empty": lambda root: change(root, set(), lambda _: b""),
    "everything shuffled": lambda root: change(root, set(), shuffle),
    "pictures cut": lambda root: change(root, PICTURES, lambda data: data[: len(data) // 2]),
    "pictures huge": lambda root: change(root, PICTURES, lambda _: claim(60_000, 60_000)),
    "pictures of one pixel": lambda root: change(
        root, PICTURES, lambda _, root=root: encode(np.zeros((1, 1, 3), np.uint8), root)
    ),
    "masks of 16 bits": lambda root: change(
        root, {".png"}, lambda _, root=root: encode(np.full((9, 9), 65_535, np.uint16), root)
    ),
    "texts that never come": lambda root: replace_texts(root, os.mkfifo),
    "texts without an end": lambda root: replace_texts(root, lambda path: path.symlink_to("/dev/zero")),
    "texts that are folders": lambda root: replace_texts(root, Path.mkdir),
    "links in circles": add_loops,
    "no pictures": remove_pictures,
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("word", [word for word in WORDS if not word.startswith("folder:")])
def test_a_spoiled_set_is_told_in_lines(
    word: str, attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(word, tmp_path / "set")
    ATTACKS[attack](tmp_path / "set")
    monkeypatch.chdir(tmp_path / "set")
    try:
        report = check_source(word)
    except UnitscopeError as error:
        lines = [str(error)]
    else:
        lines = [f"{problem.place}: {problem.message}" for problem in report.problems]
        lines += map(str, report.left_out)
        assert lines or report.labelled, "nothing is said, and nothing is labelled"
    assert [line for line in lines if "\n" in line or "Traceback" in line or not line.strip()] == []
