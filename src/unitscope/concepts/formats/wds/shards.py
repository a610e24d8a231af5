"""Which tar files a text means, and the samples in them: members that are alike up to the first dot."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64

from unitscope.concepts.formats.indexes import Index, join_texts, keep_index, split_texts
from unitscope.concepts.formats.shard_names import find_absent, find_copies, find_gaps
from unitscope.concepts.formats.wds.tar_members import Damage, list_members
from unitscope.concepts.left_out import EXAMPLES, LeftOut
from unitscope.errors import SourceError, UsageError
from unitscope.progress import BYTES, follow
from unitscope.tables import clean

SHARD_LIMIT = 100_000

NAMELESS = "without a field, which a name has after its first dot"
DOUBLED_FIELD = "a field that its sample has already"
DOUBLED_SAMPLE = "of a sample that came before, elsewhere in its tar"

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,12})\.\.(\d{1,12})")
_INDEX = "wds-1"


def find_shards(place: str) -> list[Path]:
    """The tar files of a text: a file, a folder, `{000..017}` or `{a,b}` in braces, `*` and `?`; in order.

    Of a folder, hidden ones are passed over, such as macOS writes beside files.
    Raises `UsageError` where there is none, or one that braces name is missing.

    >>> find_shards("no such folder")
    Traceback (most recent call last):
    unitscope.errors.UsageError: no such folder: there is no such file or folder of .tar files
    """
    if os.path.isdir(place):
        tars = [path for path in Path(place).iterdir() if path.suffix == ".tar" and path.is_file()]
        found = sorted(path for path in tars if not path.name.startswith("."))
        if not found:
            raise UsageError(f"{place}: no .tar file was found right in it; name the folder of the shards")
        return found
    if os.path.isfile(place):
        return [Path(place)]
    found = []
    for text in _expand(place):
        paths = sorted(glob.glob(text)) if glob.has_magic(text) and not os.path.exists(text) else [text]
        missing = [path for path in paths or [text] if not os.path.isfile(path)]
        if missing:
            raise UsageError(f"{missing[0]}: there is no such file or folder of .tar files")
        found += map(Path, paths)
    return list(dict.fromkeys(found))


def find_lacking(place: str, shards: Sequence[Path]) -> tuple[list[tuple[str, str]], list[str]]:
    """What is wrong with some shards: pairs of a shard and a remark, and lines about gaps in their numbers.

    Missing ones are told unless a text names the shards one by one. Raises `SourceError` where a set of them
    is there twice.
    """
    folder = os.path.isdir(place)
    named = [] if folder or os.path.isfile(place) else _expand(place)
    texts = [os.path.normpath(text) for text in named if glob.has_magic(text)]
    copies = find_copies(shards)
    if not folder and not texts:
        return copies, []
    absent = find_absent(shards, lambda path: folder or any(fnmatch(str(path), text) for text in texts))
    return [*absent, *copies], [] if absent else find_gaps(shards)


def _expand(text: str) -> Iterator[str]:
    """The texts that braces stand for."""
    parts = _BRACES.split(text)
    choices = [list(_choose(part)) if number % 2 else [part] for number, part in enumerate(parts)]
    if np.prod([float(len(one)) for one in choices]) > SHARD_LIMIT:
        raise UsageError(f"{text}: names more than {SHARD_LIMIT} shards; name fewer")
    return map("".join, product(*choices))


def _choose(text: str) -> Iterator[str]:
    match = _RANGE.fullmatch(text)
    if match is None:
        yield from text.split(",")
        return
    first, last = int(match[1]), int(match[2])
    if last < first:
        raise UsageError(f"{{{text}}} counts down; name the lower number first")
    if last - first >= SHARD_LIMIT:
        raise UsageError(f"{{{text}}} names more than {SHARD_LIMIT} shards; name fewer")
    for number in range(first, last + 1):
        yield str(number).zfill(len(match[1]))


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of shards: `keys`, and for every field of one the shard, where its bytes begin, how many.

    Keys begin with the `names` of shards.
    The fields of sample i end at `ends[i]` in `kinds`, which has places in `fields`.
    """

    shards: tuple[Path, ...]
    names: tuple[str, ...]
    keys: tuple[str, ...]
    fields: tuple[str, ...]
    places: Int32[np.ndarray, "sample"]
    ends: Int64[np.ndarray, "sample"]
    kinds: Int32[np.ndarray, "member"]
    offsets: Int64[np.ndarray, "member"]
    sizes: Int64[np.ndarray, "member"]
    left_out: tuple[LeftOut, ...] = ()
    wrong: tuple[tuple[str, str], ...] = ()

    def name(self, sample: int) -> str:
        """The key of a sample in its shard."""
        return self.keys[sample].removeprefix(f"{self.names[int(self.places[sample])]}/")

    def find(self, name: str) -> Int64[np.ndarray, "sample"]:
        """The number of the member that is the field of each sample, -1 where it has none."""
        found = np.full(len(self.keys), -1, np.int64)
        if name in self.fields:
            members = np.flatnonzero(self.kinds == self.fields.index(name))
            found[np.searchsorted(self.ends, members, "right")] = members
        return found

    def load(self, sample: int, member: int) -> bytes:
        """The bytes of a member of a sample. Raises `SourceError` naming shard and sample."""
        try:
            # Its own for every reading: threads do not meet, and other processes have nothing to inherit.
            file = os.open(self.shards[int(self.places[sample])], os.O_RDONLY | os.O_CLOEXEC)
            try:
                data = os.pread(file, int(self.sizes[member]), int(self.offsets[member]))
            finally:
                os.close(file)
        except OSError as error:
            reason = error.strerror or error
            raise SourceError(f"{self.where(sample, member)}: cannot be read ({reason})") from None
        if len(data) < self.sizes[member]:
            raise SourceError(f"{self.where(sample, member)}: the tar is shorter than before; open it again")
        return data

    def where(self, sample: int, member: int) -> str:
        """A member for a message: shard, sample, field."""
        path = self.shards[int(self.places[sample])]
        return f"{path}, {self.name(sample)}.{self.fields[int(self.kinds[member])]}"

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of a sample by its key."""
        return {key: number for number, key in enumerate(self.keys)}


def read_samples(shards: Sequence[Path], names: Sequence[str]) -> Samples:
    """The samples of shards, whose headers are read once; `names` stand for these in keys.

    Raises `SourceError` naming a file that is no tar.
    """
    index = keep_index(_INDEX, shards, lambda: _scan(shards))
    keys, places = split_texts(index, "keys"), index["places"]
    left_out = zip(split_texts(index, "reasons"), index["counts"].tolist(), strict=True)
    shown = split_texts(index, "examples")
    return Samples(
        tuple(shards),
        tuple(names),
        tuple(f"{names[place]}/{key}" for place, key in zip(places.tolist(), keys, strict=True)),
        tuple(split_texts(index, "fields")),
        places,
        index["ends"],
        index["kinds"],
        index["offsets"],
        index["sizes"],
        tuple(
            LeftOut(reason, count, tuple(one for one in shown[at * EXAMPLES : (at + 1) * EXAMPLES] if one))
            for at, (reason, count) in enumerate(left_out)
        ),
        tuple(
            (names[place], text)
            for place, text in zip(index["damaged"].tolist(), split_texts(index, "damages"), strict=True)
        ),
    )


@dataclass
class _Scan:
    keys: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    fields: dict[str, int] = field(default_factory=dict)
    members: list[tuple[int, int, int]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, reason: str, name: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(name or "?")


def _scan(shards: Sequence[Path]) -> Index:
    scan, damages = _Scan(), dict[int, str]()
    with follow(sum(path.stat().st_size for path in shards), "indexing shards", BYTES) as work:
        for place, path in enumerate(shards):
            damage = Damage()
            _scan_shard(scan, path, place, damage)
            if damage.text:
                damages[place] = damage.text
            work.update(path.stat().st_size)
    members = np.array(scan.members, np.int64).reshape(-1, 3)
    shown = [one for found in scan.examples.values() for one in (*found, *[""] * (EXAMPLES - len(found)))]
    return {
        **join_texts("keys", scan.keys),
        **join_texts("fields", scan.fields),
        **join_texts("reasons", scan.counts),
        **join_texts("examples", shown),
        **join_texts("damages", damages.values()),
        "damaged": np.array([*damages], np.int64),
        "counts": np.array([*scan.counts.values()], np.int64),
        "places": np.array(scan.places, np.int32),
        "ends": np.array(scan.ends, np.int64),
        "kinds": members[:, 0].astype(np.int32),
        "offsets": np.ascontiguousarray(members[:, 1]),
        "sizes": np.ascontiguousarray(members[:, 2]),
    }


def _scan_shard(scan: _Scan, path: Path, place: int, damage: Damage) -> None:
    seen, last, kinds = set[str](), None, set[str]()
    for member in list_members(path, damage):
        folder, slash, base = member.name.removeprefix("./").rpartition("/")
        stem, _, kind = base.partition(".")
        key, shown = f"{folder}{slash}{stem}", f"{path.name}: {clean(member.name, 200)}"
        if member.reason:
            scan.leave_out(member.reason, shown)
        elif not stem or not kind:
            scan.leave_out(NAMELESS, shown)
        elif key != last and key in seen:
            scan.leave_out(DOUBLED_SAMPLE, shown)
        elif key == last and kind.lower() in kinds:
            scan.leave_out(DOUBLED_FIELD, shown)
        else:
            if key != last:
                scan.keys.append(key)
                scan.places.append(place)
                scan.ends.append(len(scan.members))
                seen.add(key)
                last, kinds = key, set()
            kinds.add(kind.lower())
            number = scan.fields.setdefault(kind.lower(), len(scan.fields))
            scan.members.append((number, member.offset, member.size))
            scan.ends[-1] = len(scan.members)
