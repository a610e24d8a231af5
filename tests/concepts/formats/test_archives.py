"""Archives that mean harm."""

import errno
import os
import stat
import zipfile
from pathlib import Path

import pytest

from unitscope.concepts.formats.broden.archives import Bounds, unpack_archive
from unitscope.errors import DownloadError


def write_zip(path: Path, *entries: str | zipfile.ZipInfo, content: bytes = b"data") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            archive.writestr(entry, content)
    return path


def entry_of_kind(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    return entry


def assert_refused(archive: Path, message: str, bounds: Bounds | None = None) -> None:
    folder = archive.parent / "out"
    with pytest.raises(DownloadError) as caught:
        unpack_archive(archive, folder, bounds)
    assert message in str(caught.value)
    assert not folder.exists() or not list(folder.iterdir())
    assert sorted(path.name for path in archive.parent.iterdir() if path != folder) == [archive.name]


def test_an_archive_with_one_top_folder_keeps_its_name(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", "set/a.txt", "set/sub/b.txt", "__MACOSX/set/._a.txt")
    folder = unpack_archive(archive, tmp_path / "out")
    assert folder == tmp_path / "out" / "set"
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.txt")) == ["a.txt", "sub/b.txt"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["set"]


def test_an_archive_of_loose_files_gives_a_folder_of_its_own_name(tmp_path: Path) -> None:
    folder = unpack_archive(write_zip(tmp_path / "x.zip", "a.txt", "sub/", "sub/b.txt"), tmp_path / "out")
    assert (folder.name, (folder / "sub" / "b.txt").read_bytes()) == ("x", b"data")


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "a/../../evil.txt",
        "/evil.txt",
        "C:/evil.txt",
        "C:evil.txt",
        "..\\evil.txt",
        "a\\..\\evil.txt",
        "\\\\host\\share\\evil.txt",
        "a\nb",
        "x" * 300,
        ".",
        "a/..",
    ],
)
def test_paths_that_escape_are_refused(tmp_path: Path, name: str) -> None:
    archive = write_zip(tmp_path / "x.zip", "good.txt", name)
    assert_refused(archive, "is not the path of a file inside a folder")


def test_a_name_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", "good.txt", "evilZ.txt")
    archive.write_bytes(archive.read_bytes().replace(b"evilZ", b"evil\0"))
    assert_refused(archive, "is not the path of a file")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (stat.S_IFLNK, "is a link"),
        (stat.S_IFIFO, "is a special file"),
        (stat.S_IFCHR, "is a special file"),
        (stat.S_IFBLK, "is a special file"),
        (stat.S_IFSOCK, "is a special file"),
    ],
)
def test_links_and_special_files_are_refused(tmp_path: Path, kind: int, message: str) -> None:
    assert_refused(write_zip(tmp_path / "x.zip", entry_of_kind("a", kind), "b.txt"), message)


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    assert_refused(write_zip(tmp_path / "x.zip", "a", content=bytes(10_000_000)), "looks like a zip bomb")


def test_size_and_number_are_bounded(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", "a", "b", "c")
    assert_refused(archive, "3 entries, more than the 2 allowed", Bounds(entries=2))
    assert_refused(archive, "would unpack to 12 bytes, more than the 11 allowed", Bounds(total=11))


def test_an_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", "a", content=bytes(100_000))
    size = (100_000).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(size, (10).to_bytes(4, "little")))
    assert_refused(archive, "the archive is damaged")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.txt", "A.TXT"), "the entry 'A.TXT' occurs twice"),
        (("a", "a/b"), "'a' is both a file and a folder"),
        (("a/b", "A"), "is both a file and a folder"),
    ],
)
def test_names_that_clash_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    assert_refused(write_zip(tmp_path / "x.zip", *names), message)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", "a")
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    assert_refused(archive, "is encrypted")


def test_an_unusual_compression_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"data")
    assert_refused(tmp_path / "x.zip", "compressed in an unusual way")


@pytest.mark.parametrize("kept", [0, 10, 60])
def test_a_truncated_archive_is_told(tmp_path: Path, kept: int) -> None:
    archive = write_zip(tmp_path / "x.zip", "a", content=os.urandom(100))
    archive.write_bytes(archive.read_bytes()[:kept])
    assert_refused(archive, "the archive is damaged")


def test_a_damaged_entry_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a", b"first")
        opened.writestr("b", b"needle")
    archive.write_bytes(archive.read_bytes().replace(b"needle", b"noodle"))
    assert_refused(archive, "the archive is damaged")


def test_an_empty_archive_is_told(tmp_path: Path) -> None:
    assert_refused(write_zip(tmp_path / "x.zip"), "the archive is empty")


def test_a_folder_that_exists_is_not_touched(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", "set/a.txt", "set/b.txt")
    (tmp_path / "out" / "set").mkdir(parents=True)
    with pytest.raises(DownloadError, match="exists already"):
        unpack_archive(archive, tmp_path / "out")
    assert not list((tmp_path / "out" / "set").iterdir())


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("unitscope.concepts.formats.broden.archives._copy", fill)
    assert_refused(write_zip(tmp_path / "x.zip", "a"), "No space left on device")
