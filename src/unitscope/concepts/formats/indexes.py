"""Indexes of data sets: what takes long to find out is found out once, kept on disk, and found again.

An index is a mapping of names to arrays. It is kept as one .npz file, without pickles, in `indexes/` below
the cache folder: `UNITSCOPE_CACHE`, else `XDG_CACHE_HOME/unitscope`, else `~/.cache/unitscope`. Its name says
which files it was made from, by path, size and time of change. Files appear whole or not at all, and several
processes may build the same one; the last to finish is kept. Past `LIMIT` bytes together, those that were
used longest ago are removed.
"""

import contextlib
import os
import re
import struct
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO

import numpy as np

Index = Mapping[str, np.ndarray]
"""Arrays by name. Texts are two of them (`join_texts`)."""

VERSION = 1
LIMIT = 2 << 30
"""How many bytes all indexes may take together."""

_STALE_SECONDS = 3600.0
_ALIGNED = 64
_PADDING = 0xD935
"""The number of the field in a ZIP header that is there to align what follows."""
_DAMAGED = (OSError, ValueError, KeyError, EOFError, SyntaxError, NotImplementedError, zipfile.BadZipFile)


def keep_index(kind: str, files: Iterable[Path], build: Callable[[], Index]) -> Index:
    """The index of that kind of those files: the one on disk, or else what `build` returns, which is kept.

    `kind` names the reader and the version of its index, as in `coco-1`. The files need not exist; one that
    appears, goes or changes makes another index. Arrays from the disk are mapped into memory and cannot be
    written to. An index that is damaged is built again, one that cannot be written is not kept; neither is
    told.

    Raises what `build` raises.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     listed = Path(folder) / "list.txt"
    ...     _ = listed.write_text("a.jpg b.jpg")
    ...     build = lambda: join_texts("names", listed.read_text().split())
    ...     [split_texts(keep_index("doctest-1", [listed], build), "names") for _ in range(2)]
    [['a.jpg', 'b.jpg'], ['a.jpg', 'b.jpg']]
    """
    path = place_index(kind, files)  # before it is built: the files may change while it is
    kept = find_index(path)
    if kept is not None:
        return kept
    built = build()
    write_index(path, built)
    return find_index(path) or built


def place_index(kind: str, files: Iterable[Path] = ()) -> Path | None:
    """Where the index of that kind of those files lies, if it was kept; None where there is no cache."""
    folder = find_cache()
    return None if folder is None else folder / "indexes" / f"{kind}-{_stamp(kind, files)}.npz"


def find_index(path: Path | None) -> Index | None:
    """The index in that place, mapped into memory; None where there is none, or it is damaged."""
    with contextlib.suppress(*_DAMAGED):
        if path is not None:
            index = _open(path)
            with contextlib.suppress(OSError):
                os.utime(path)  # the time of change of an index is when it was last used
            return index
    return None


def write_index(path: Path | None, index: Index) -> None:
    """Keeps an index in that place, whatever was there; where that cannot be, nothing happens."""
    with contextlib.suppress(*_DAMAGED):
        if path is not None:
            _write(path, {name: np.ascontiguousarray(array) for name, array in index.items()})
            _tidy(path.parent)


def find_cache() -> Path | None:
    """The folder for what can be made again; None where there is no home to put it.

    It need not exist.
    """
    named = os.environ.get("UNITSCOPE_CACHE")
    if named:
        return Path(named)
    shared = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(shared or Path.home() / ".cache") / "unitscope"
    except RuntimeError:  # nobody has this process's user number
        return None


def join_texts(name: str, texts: Iterable[str]) -> dict[str, np.ndarray]:
    """Texts as two arrays, `name`, uint8 of UTF-8, and `name_ends`, int64, where each ends in it.

    >>> join_texts("words", ["sky", "", "sea"])["words_ends"]
    array([3, 3, 6])
    """
    coded = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([len(one) for one in coded], dtype=np.int64)
    return {name: np.frombuffer(b"".join(coded), np.uint8), f"{name}_ends": ends}


def split_texts(index: Index, name: str) -> list[str]:
    """The texts that `join_texts` made arrays of.

    >>> split_texts(join_texts("words", ["sky", "", "sea"]), "words")
    ['sky', '', 'sea']
    """
    data, ends = index[name].tobytes(), index[f"{name}_ends"].tolist()
    starts: Sequence[int] = [0, *ends]
    return [
        data[start:end].decode("utf-8", "surrogatepass") for start, end in zip(starts, ends, strict=False)
    ]


def _stamp(kind: str, files: Iterable[Path]) -> str:
    digest = sha256(f"{VERSION} {kind}".encode())
    for file in files:
        try:
            seen = os.stat(file)
            state = f"{seen.st_size} {seen.st_mtime_ns}"
        except OSError:
            state = "missing"
        digest.update(f"\n{os.path.realpath(file)} {state}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _write(path: Path, index: Index) -> None:
    """Writes an index whole; each array begins at a multiple of `_ALIGNED` bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, unfinished = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            for name, array in index.items():
                info = zipfile.ZipInfo(f"{name}.npy")
                # Before the array: 30 bytes, the name, 4 bytes and the padding, 20 for long files.
                taken = file.tell() + 30 + len(info.filename.encode()) + 4 + 20
                padding = bytes(-taken % _ALIGNED)
                info.extra = struct.pack("<HH", _PADDING, len(padding)) + padding
                with archive.open(info, "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        os.replace(unfinished, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)


def _open(path: Path) -> Index:
    """The index in a file. Raises one of `_DAMAGED` where it is missing or not as it was written."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        if archive.testzip() is not None:
            raise zipfile.BadZipFile(path)
        data = np.memmap(file, np.uint8, "r")
        return {
            info.filename.removesuffix(".npy"): _map_array(file, data, info.header_offset)
            for info in archive.infolist()
        }


def _map_array(file: IO[bytes], data: np.ndarray, start: int) -> np.ndarray:
    file.seek(start + 26)
    name, extra = struct.unpack("<HH", file.read(4))
    file.seek(start + 30 + name + extra)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    if kind.hasobject:
        raise ValueError("an array of objects")
    mapped: np.ndarray = np.ndarray(shape, kind, np.asarray(data), file.tell())
    return mapped


def _tidy(folder: Path) -> None:
    """Removes what was used longest ago, past the limit, and unfinished files that nobody is writing."""
    kept = 0
    files = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process removed it
            seen = path.stat()
            files.append((seen.st_mtime, seen.st_size, path))
    for used, size, path in sorted(files, reverse=True):
        unfinished = re.fullmatch(r"\..*\.part", path.name) is not None
        kept += 0 if unfinished else size
        if used < time.time() - _STALE_SECONDS if unfinished else kept > LIMIT:
            with contextlib.suppress(OSError):
                path.unlink()
