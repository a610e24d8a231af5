"""Listings of very many files are kept, and used while no folder has changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from unitscope.concepts.formats import listings
from unitscope.concepts.formats.listings import NOWHERE, list_folder


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files and links, one of them to a folder beside it; listings of any size are kept."""
    monkeypatch.setenv("UNITSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(listings, "MANY", 2)
    monkeypatch.setattr(listings, "_SETTLED", -(10**12))
    root = tmp_path / "set"
    for name in ("a/1.jpg", "a/b/2.jpg", "c/3.jpg", ".hidden/4.jpg"):
        write(root / name)
    write(tmp_path / "beside" / "5.jpg")
    write(tmp_path / "other" / "6.jpg")
    (root / "linked").symlink_to(tmp_path / "beside")
    (root / "a" / "one.jpg").symlink_to("1.jpg")
    (root / "a" / "lost.jpg").symlink_to("nothing")
    return root


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def refuse(*given: object) -> None:
    raise AssertionError("the folder is read again")


def relink(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new file": lambda root: write(root / "a" / "b" / "new.jpg"),
    "a new folder": lambda root: write(root / "new" / "new.jpg"),
    "a file less": lambda root: (root / "c" / "3.jpg").unlink(),
    "a file with another name": lambda root: (root / "c" / "3.jpg").rename(root / "c" / "33.jpg"),
    "a folder with another name": lambda root: (root / "a" / "b").rename(root / "a" / "bb"),
    "a file that is hidden": lambda root: (root / "c" / "3.jpg").rename(root / "c" / ".3.jpg"),
    "a new file behind a link": lambda root: write(root.parent / "beside" / "new.jpg"),
    "a link to another folder": lambda root: relink(root / "linked", root.parent / "other"),
    "a folder gone that was linked": lambda root: (root.parent / "beside").rename(root.parent / "gone"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_kept_listing_is_as_good_as_a_new_one(
    tree: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = list_folder(tree)
    assert (NOWHERE, "a/lost.jpg") in first.left_out
    with monkeypatch.context() as patch:
        patch.setattr(listings, "_walk", refuse)
        assert list_folder(tree) == first
    CHANGES[change](tree)
    changed = list_folder(tree)
    monkeypatch.setenv("UNITSCOPE_CACHE", str(tree.parent / "another"))
    assert changed == list_folder(tree) != first


def test_one_folder_by_two_ways_is_one_listing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = list_folder(tree)
    monkeypatch.chdir(tree.parent)
    monkeypatch.setattr(listings, "_walk", refuse)
    again = list_folder(Path("set"))
    assert (again.root, again.names, again.left_out) == (Path("set"), first.names, first.left_out)


def test_few_files_and_folders_that_just_changed_are_not_kept(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(listings, "_SETTLED", 10**9)
        list_folder(tree)
    with monkeypatch.context() as patch:
        patch.setattr(listings, "MANY", 100)
        list_folder(tree)
    assert not (tree.parent / "cache").exists()
    list_folder(tree)
    assert len(os.listdir(tree.parent / "cache" / "indexes")) == 1


def test_listings_that_leave_out_other_folders_are_others(tree: Path) -> None:
    for _ in range(2):
        assert "a/b/2.jpg" in list_folder(tree).names
        for why in ("parts", "thumbnails"):
            listing = list_folder(tree, "b|c", why)
            assert listing.names == ("a/1.jpg", "a/one.jpg", "linked/5.jpg")
            assert {(why, "a/b/"), (why, "c/")} < set(listing.left_out)
