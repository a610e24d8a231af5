"""What lies where in a tar file, found by its headers alone; nothing is unpacked."""

import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from unitscope.concepts.formats.shard_names import POINTER
from unitscope.errors import SourceError

LINK, DEVICE, SPARSE = "a link in a tar", "neither file nor folder in a tar", "a sparse file in a tar"
OUTSIDE = "a path that leads out of its tar"
SIZE_LIMIT = 512_000_000
"""The largest member that is read."""
LARGE = "larger than any picture"

ODD = "a name that holds control characters or no text"

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HEADER_LIMIT = 8_000_000
_BLOCK = 512
_REST = 1 << 20
_PACKED = {
    b"\x1f\x8b": ("gzip", "gunzip it"),
    b"BZh": ("bzip2", "bunzip2 it"),
    b"\xfd7zXZ": ("xz", "unxz it"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd it"),
    b"PK\x03\x04": ("zip", "save it as tar"),
}


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar: its path there, where its bytes begin, how many they are.

    `reason` says why it is not read, if it is not.
    """

    name: str
    offset: int
    size: int
    reason: str = ""


@dataclass
class Damage:
    """What is wrong with the end of a tar; empty where it is whole."""

    text: str = ""


def list_members(path: Path, damage: Damage) -> Iterator[Member]:
    """The members of a tar, folders aside, in order; `damage` is filled at the end.

    Raises `SourceError` naming the file where it is none, or is compressed: such files cannot be read here
    and there.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            _refuse_packed(path, file.read(len(POINTER)))
            file.seek(0)
            yield from _walk(path, file, size, damage)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from None


def _refuse_packed(path: Path, head: bytes) -> None:
    if head == POINTER:
        raise SourceError(
            f"{path}: a pointer of Git LFS, not the shard that it stands for; call git lfs pull"
        )
    for mark, (name, advice) in _PACKED.items():
        if head.startswith(mark):
            reason = f"compressed by {name}, so that no picture in it can be read alone"
            raise SourceError(f"{path}: {reason}; {advice}")


def _walk(path: Path, file: IO[bytes], size: int, damage: Damage) -> Iterator[Member]:
    try:
        # The pieces that a sparse file or a long name claims to have are bounded by `_Bounded`.
        tar = tarfile.open(fileobj=cast("IO[bytes]", _Bounded(file)), mode="r:")  # noqa: SIM115
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise SourceError(f"{path}: no tar file ({error}); fetch it again") from None
    count, last = 0, -1
    while True:
        plain = _read_plain(file, tar.offset) if count and not tar.pax_headers else None
        if plain is not None and plain.offset + plain.size <= size:
            last = tar.offset = plain.offset + -(-plain.size // _BLOCK) * _BLOCK
            count += 1
            yield plain
            continue
        try:
            info = tar.next()
        except (tarfile.TarError, ValueError, OverflowError, RecursionError, OSError):
            damage.text = f"cut short or damaged after {count} members; fetch it again"
            return
        if info is None:
            damage.text = _find_damage(file, tar.offset, size, count)
            return
        if info.size < 0 or tar.offset <= last:
            damage.text = f"a member of a size that cannot be, after {count} members; fetch it again"
            return
        last = tar.offset
        tar.members = []  # type: ignore[attr-defined]  # it would remember all
        count += 1
        if info.isdir():
            continue
        if info.offset_data + info.size > size and info.isreg():
            damage.text = f"cut short within {info.name[:80]!r}; fetch it again"
            return
        yield Member(info.name, info.offset_data, info.size, _find_reason(info))


def _find_reason(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return LINK
    if info.sparse is not None or info.type == tarfile.GNUTYPE_SPARSE:
        return SPARSE
    return _check_name(info.name, info.size) if info.isreg() else DEVICE


def _check_name(name: str, size: int) -> str:
    if name.startswith(("/", "\\")) or "\0" in name or (".." in name and ".." in re.split(r"[/\\]", name)):
        return OUTSIDE
    if _CONTROLS.search(name):
        return ODD
    return LARGE if size > SIZE_LIMIT else ""


def _read_plain(file: IO[bytes], offset: int) -> Member | None:
    """The file whose header begins there, if it is a plain one: five times as fast as tarfile.

    None for every header that says more, or is damaged.
    """
    file.seek(offset)
    block = file.read(_BLOCK)
    digits, checksum = block[124:136].strip(b" \0"), block[148:156].strip(b" \0")
    ordinary = len(block) == _BLOCK and block[156:157] in (b"0", b"\0") and block[257:262] == b"ustar"
    if not ordinary or block[345] or not (digits.isdigit() and checksum.isdigit()):
        return None
    name = block[:100].partition(b"\0")[0].decode("utf-8", "surrogateescape")
    try:
        size = int(digits, 8)
        whole = int(checksum, 8) == sum(block) - sum(block[148:156]) + 8 * 32
    except ValueError:
        return None
    if not whole or not name or name.endswith("/"):
        return None
    return Member(name, offset + _BLOCK, size, _check_name(name, size))


def _find_damage(file: IO[bytes], offset: int, size: int, count: int) -> str:
    """What is wrong where reading stopped: a whole tar ends with zeros."""
    file.seek(offset)
    rest = file.read(_REST)
    if not rest:
        return f"without the mark of its end, after {count} members; fetch it again"
    if len(rest) < _BLOCK:
        return f"cut short or damaged after {count} members; fetch it again"
    if rest.strip(b"\0"):
        where = "in" if rest[:_BLOCK].strip(b"\0") else "after the end of"
        return f"something else {where} it after {count} members, which is not read; fetch it again"
    return "" if size - offset <= _REST else f"{size - offset} bytes after its end, which are not read"


class _Bounded:
    """A file for tarfile, of which nothing large is read at once: headers may claim any length."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.name = ""
        self.mode = "rb"
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER_LIMIT:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.file.read(size)
