"""Zip files from untrusted places, unpacked so that they can do no harm."""

import io
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from unitscope.errors import DownloadError
from unitscope.progress import follow_each

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """What an archive may hold: bytes in all, number of entries, and bytes over its own size."""

    total: int = 64 << 30
    entries: int = 2_000_000
    ratio: float = 100.0


def unpack_archive(archive: str | Path, folder: str | Path, bounds: Bounds | None = None) -> Path:
    """The folder into which a zip file was unpacked, below `folder`.

    It bears the name of the archive's only top folder, or else of the archive. It appears whole or not
    at all: the files are written beside it and renamed at the end.

    Raises `DownloadError`, and leaves nothing behind, where the archive is damaged or encrypted, holds
    links or special files, names that lead out of the folder or clash, or more than `bounds` allows;
    where the folder exists already; and where the disk is full.
    """
    source, root, limits = Path(archive), Path(folder), bounds or Bounds()
    partial: Path | None = None
    try:
        with zipfile.ZipFile(source) as opened:
            names = check_entries(opened.infolist(), source, limits)
            # The folder that holds all entries, if one does.
            tops = {path.parts[0] for path in names} - {"__MACOSX"}
            top = tops.pop() if len(tops) == 1 and any(len(path.parts) > 1 for path in names) else None
            target = root / (top or source.stem)
            if target.exists():
                raise DownloadError(f"{target} exists already; use it, or delete it to unpack again")
            root.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=root))
            _extract(opened, names, partial, limits.total)
        inner = partial / top if top else partial
        inner.chmod(0o755)
        inner.rename(target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        reason = f"the archive is damaged ({error}); delete it and fetch it again"
        raise DownloadError(f"{source}: {reason}") from None
    except OSError as error:
        reason = f"({error.strerror or error}); make room for it"
        raise DownloadError(f"{source} cannot be unpacked into {root} {reason}") from None
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def check_entries(entries: Sequence[zipfile.ZipInfo], source: Path, bounds: Bounds) -> list[PurePosixPath]:
    """The path of every entry, once all of them are known to be harmless.

    Raises `DownloadError` naming the first that is not.
    """
    if not entries:
        raise DownloadError(f"{source}: the archive is empty")
    if len(entries) > bounds.entries:
        raise DownloadError(f"{source}: {len(entries)} entries, more than the {bounds.entries} allowed")
    total = sum(entry.file_size for entry in entries)
    if total > bounds.total:
        raise DownloadError(f"{source}: would unpack to {total} bytes, more than the {bounds.total} allowed")
    if total > bounds.ratio * max(source.stat().st_size, 1):
        growth = f"{bounds.ratio:g} times"
        raise DownloadError(f"{source}: would grow {growth} in unpacking; this looks like a zip bomb")
    paths = [_safe_path(entry, source) for entry in entries]
    files: set[str] = set()
    for entry, path in zip(entries, paths, strict=True):
        name = path.as_posix().lower()  # some file systems ignore case
        if name in files and not entry.is_dir():
            raise DownloadError(f"{source}: the entry {entry.filename!r} occurs twice")
        files |= set() if entry.is_dir() else {name}
    for path in paths:
        for parent in path.parents:
            if parent.as_posix().lower() in files:
                raise DownloadError(f"{source}: {parent.as_posix()!r} is both a file and a folder")
    return paths


def _safe_path(entry: zipfile.ZipInfo, source: Path) -> PurePosixPath:
    name = entry.orig_filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "a special file"
        raise DownloadError(f"{source}: the entry {name!r} is {what}; only files and folders are unpacked")
    if entry.flag_bits & 1:
        raise DownloadError(f"{source}: the entry {name!r} is encrypted; only plain archives are unpacked")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DownloadError(f"{source}: the entry {name!r} is compressed in an unusual way; wanted deflate")
    path = PurePosixPath(name)
    if (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or re.search(r"[\\\x00-\x1f:]", name)
        or any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in path.parts)
    ):
        raise DownloadError(f"{source}: the entry {name!r} is not the path of a file inside a folder")
    return path


def _extract(opened: zipfile.ZipFile, paths: Sequence[PurePosixPath], folder: Path, left: int) -> None:
    pairs = list(zip(opened.infolist(), paths, strict=True))
    for entry, path in follow_each(pairs, "unpacking", "files"):
        place = folder / path
        (place if entry.is_dir() else place.parent).mkdir(parents=True, exist_ok=True)
        if entry.is_dir():
            continue
        with opened.open(entry) as packed, place.open("xb") as file:
            left -= _copy(packed, file, min(entry.file_size, left), entry.filename)


def _copy(packed: Any, file: io.BufferedIOBase, limit: int, name: str) -> int:
    written = 0
    while chunk := packed.read(_CHUNK):
        written += len(chunk)
        if written > limit:
            advice = "do not trust this archive"
            raise DownloadError(f"the entry {name!r} is larger than the archive states; {advice}")
        file.write(chunk)
    return written
