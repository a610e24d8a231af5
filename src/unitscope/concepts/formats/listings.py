"""What lies below a folder, found quickly: every file, and every one that cannot be used.

Listings of very many files are kept (`unitscope.concepts.formats.indexes`), with the time of change of every
folder in them; one is used again while no folder has changed since. What a link to a file leads to is not
looked at then: one that leads nowhere by now is told when the file is read.
"""

import contextlib
import os
import re
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from unitscope.concepts.formats.indexes import (
    Index,
    find_index,
    join_texts,
    place_index,
    split_texts,
    write_index,
)

NOWHERE = "a link that leads nowhere"
HIDDEN = "hidden"
AGAIN = "a link to a folder that is read already"
CLOSED = "a folder that cannot be opened"
SPECIAL = "no plain file"
LEFTOVERS = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
"""What operating systems put beside files."""

MANY = 50_000
"""A listing of more files is kept."""
_SETTLED = 2_000_000_000
"""In nanoseconds: files may still be added to a folder within the tick of the clock that it changed in."""
_WORD = 1 << 63


_State = tuple[int, int, int, int]
"""Of a folder: its device and number there, and when it and what is known of it changed, in nanoseconds."""


@dataclass(frozen=True)
class Listing:
    """The files below `root`.

    `names` are paths relative to it with slashes, sorted; `left_out` holds pairs of reason and path of all
    others, sorted. A folder left out as a whole is one such path, which ends in a slash.
    """

    root: Path
    names: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    def choose(self, folder: str = "") -> list[str]:
        """The names below a folder of it, all for "".

        >>> Listing(Path("set"), ("images/a.png", "masks/a.png")).choose("masks")
        ['masks/a.png']
        """
        start = f"{folder}/" if folder else ""
        return [name for name in self.names if name.startswith(start)]


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to read: its name with a slash at the end, and where it is."""

    name: str
    path: str
    hidden: bool = False


@dataclass
class _Found:
    """What was found so far; folders that links lead to wait for the end."""

    names: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    links: list[_Folder] = field(default_factory=list)
    states: dict[str, _State] = field(default_factory=dict)

    def leave_out(self, folders: list[_Folder], closed: re.Pattern[str], why: str) -> list[_Folder]:
        """The folders that are read; those of a name that is closed are left out."""
        names = [closed.fullmatch(folder.name.rstrip("/").rpartition("/")[2]) for folder in folders]
        self.left_out += [(why, folder.name) for folder, name in zip(folders, names, strict=True) if name]
        return [folder for folder, name in zip(folders, names, strict=True) if not name]


def list_folder(root: Path, closed: str = "", why: str = "") -> Listing:
    """Everything below a folder; links are followed.

    A folder whose name the regular expression `closed` matches is left out as a whole for the reason `why`,
    and not read.

    Each folder is read once: where several ways lead to it, by the one without links, else by the first.
    Hidden files, those in hidden folders, and what operating systems put beside files, are left out.

    >>> list_folder(Path("no such folder")).names
    ()
    """
    place = place_index(f"listing-1-{sha256(f'{why}: {closed}'.encode()).hexdigest()[:8]}", [root])
    kept = find_index(place)
    if kept is not None and _holds(root, kept):
        left_out = zip(split_texts(kept, "reasons"), split_texts(kept, "others"), strict=True)
        return Listing(root, tuple(split_texts(kept, "names")), tuple(left_out))
    start = time.time_ns()
    found = _walk(root, re.compile(closed), why)
    listing = Listing(root, tuple(sorted(found.names)), tuple(sorted(found.left_out)))
    settled = all(max(state[2:]) < start - _SETTLED for state in found.states.values())
    if settled and len(listing.names) >= MANY:
        write_index(place, _index(listing, found.states))
    return listing


def _walk(root: Path, closed: re.Pattern[str], why: str) -> _Found:
    found, seen = _Found(), set[tuple[int, ...]]()
    waiting = [_Folder("", os.fspath(root))]
    while waiting:
        folder = waiting.pop()
        try:
            state = _look(folder.path)
            if state[:2] in seen:
                found.left_out.append((AGAIN, folder.name))
            else:
                seen.add(state[:2])
                found.states[folder.name] = state
                waiting += found.leave_out(_read(folder, found), closed, why)
        except OSError:
            if folder.name or os.path.exists(folder.path):
                found.left_out.append((CLOSED, folder.name or "/"))
        if not waiting and found.links:
            links = sorted(found.links, key=lambda link: link.name, reverse=True)
            waiting = found.leave_out(links, closed, why)
            found.links = []
    return found


def _look(path: str) -> _State:
    seen = os.stat(path)
    device, number, *times = seen.st_dev, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns
    return device % _WORD, number % _WORD, times[0] % _WORD, times[1] % _WORD


def _index(listing: Listing, states: Mapping[str, _State]) -> Index:
    return {
        **join_texts("names", listing.names),
        **join_texts("reasons", [reason for reason, _ in listing.left_out]),
        **join_texts("others", [name for _, name in listing.left_out]),
        **join_texts("folders", states),
        "states": np.array([*states.values()], np.int64),
    }


def _holds(root: Path, kept: Index) -> bool:
    """Whether no folder of a listing has changed."""
    folders, states = split_texts(kept, "folders"), kept["states"].tolist()
    with contextlib.suppress(OSError):
        return all(
            list(_look(os.path.join(root, folder))) == state
            for folder, state in zip(folders, states, strict=True)
        )
    return False


def _read(folder: _Folder, found: _Found) -> list[_Folder]:
    """The folders right below a folder that are no links; all else goes to `found`."""
    below = []
    with os.scandir(folder.path) as entries:
        for entry in entries:
            name = folder.name + entry.name
            hidden = folder.hidden or entry.name.startswith(".") or entry.name in LEFTOVERS
            if entry.is_dir(follow_symlinks=False):
                below.append(_Folder(f"{name}/", entry.path, hidden))
            elif hidden:
                found.left_out.append((HIDDEN, name))
            elif entry.is_file(follow_symlinks=False):
                found.names.append(name)  # without a look at the file itself, which takes longest
            else:
                _take(entry, name, found)
    return below


def _take(entry: "os.DirEntry[str]", name: str, found: _Found) -> None:
    if entry.is_file(follow_symlinks=False):  # told by the folder itself, unlike what a link leads to
        found.names.append(name)
        return
    try:
        kind = entry.stat().st_mode
    except OSError:  # also of links in a circle
        found.left_out.append((NOWHERE, name))
        return
    if stat.S_ISREG(kind):
        found.names.append(name)
    elif stat.S_ISDIR(kind):
        found.links.append(_Folder(f"{name}/", entry.path))
    else:
        found.left_out.append((SPECIAL, name))
