"""A packed cache: examples at the size a network reads, decoded once.

One folder a source and frame, named by the digests of both and by what `stamp_source` sees besides::

    CACHE/NAME-DIGEST-FRAME/images.bin    uint8[image, height, width, 3] (or other bands), memory-mapped
                            labels.bin    planes and void of all images, zlib
                            index.json    keys, ids, where each image's labels lie, the vocabulary

Measured for labels of 112x112 on photographs (one plane of objects; with a second, colorful plane):
zlib level 1 takes 0.7 and 4 kB an image and 0.03 and 0.09 ms to read; run lengths 0.9 and 13 kB and 0.01
and 0.06 ms; palettes before zlib save a quarter of the bytes and triple the packing. zlib it is.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from filelock import FileLock

from unitscope.concepts.cache_room import LIMIT, make_room, note_use, remove_partial
from unitscope.concepts.derived import source_digest, source_spec, walk
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Concept, ConceptSource, Example, Vocabulary
from unitscope.errors import SourceError, UsageError, writing
from unitscope.executors.jobs import count_cores
from unitscope.progress import follow

VERSION = 3
_LEVEL = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one image's labels lie in labels.bin, and what is known of the whole image."""

    key: str
    ids: tuple[int, ...]
    planes: int
    has_void: bool
    offset: int
    length: int


@dataclass(frozen=True, eq=False)
class PackedSource:
    """Examples that were packed at the size of `frame`, which need not be fitted again.

    Made by `pack_source`. `digest` and `spec` are those of the source that was packed.
    """

    folder: Path
    frame: Frame
    vocabulary: Vocabulary
    entries: tuple[Entry, ...]
    digest: str
    spec: str
    kind: str = "uint8"
    bands: int = 3

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int, /) -> Example:
        """The example: an image of `frame.size`, planes and void of `frame.mask_size`."""
        place = range(len(self.entries))[index]
        entry = self.entries[place]
        data = self.labels[entry.offset : entry.offset + entry.length].tobytes()
        height, width = self.frame.mask_size
        try:
            raw = bytearray(zlib.decompress(data))
            count = entry.planes * height * width
            planes = np.frombuffer(raw, "<u2", count).reshape(entry.planes, height, width)
            void = np.frombuffer(raw, bool, offset=2 * count) if entry.has_void else None
            void = None if void is None else void.reshape(height, width)
        except (zlib.error, ValueError):
            damage = f"the packed labels of {entry.key} are damaged"
            raise SourceError(f"{self.folder}: {damage}; delete the folder") from None
        return Example(entry.key, np.asarray(self.images[place]), planes, entry.ids, void)

    def __reduce__(self) -> tuple[Any, ...]:
        return open_packed, (self.folder,)

    @cached_property
    def images(self) -> np.ndarray:
        """uint8[image, height, width, 3], or other bands, read from the disk as they are needed."""
        shape = (len(self), *self.frame.size, self.bands)
        return np.memmap(self.folder / "images.bin", self.kind, "c", shape=shape)

    @cached_property
    def labels(self) -> np.ndarray:
        """uint8[byte]: the compressed labels of all images, one after the other."""
        return np.memmap(self.folder / "labels.bin", np.uint8, "r")


def pack_source(
    source: ConceptSource,
    frame: Frame,
    folder: str | Path,
    *,
    limit: float = LIMIT,
    threads: int | None = None,
) -> PackedSource:
    """The source's examples at the size of `frame`, from the cache in `folder` or put there first.

    The cache appears whole or not at all: it is written beside its place and renamed at the end, so a
    packing that was killed leaves nothing that is taken for one. Of several processes that want the same, one
    packs and the others wait for it. `folder` is kept below `limit` bytes: what was not used for the longest
    time is deleted first. `threads` examples are read at once, by default one a core.

    Raises what reading the source raises, `UsageError` where the source alone needs more than `limit`, and
    `RunError` where `folder` cannot be written or the disk has no room for it.

    >>> import tempfile
    >>> from unitscope.concepts.formats.folder.layouts import open_folder
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as place:
    ...     Image.new("RGB", (8, 6)).save(Path(place) / "a.png")
    ...     packed = pack_source(open_folder(place), Frame((4, 4), (2, 2)), Path(place) / "cache")
    ...     packed[0].image.shape, packed.frame.mask_size
    ((4, 4, 3), (2, 2))
    """
    if not limit > 0:
        raise UsageError(f"a cache of at most {limit:g} bytes holds nothing; allow more, or do without")
    root = Path(folder)
    target = root / cache_name(source, frame)
    with contextlib.suppress(SourceError):
        return open_packed(target)
    with writing(f"the packed cache in {root}", "make room or name another folder"):
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{target.name}.lock"):
            with contextlib.suppress(SourceError):
                return open_packed(target)  # another process was first
            for partial in root.glob(f".{target.name}.*.partial"):
                remove_partial(partial)  # whoever wrote it held this lock
            make_room(root, measure_packed(source, frame), limit)
            partial = root / f".{target.name}.{secrets.token_hex(4)}.partial"
            partial.mkdir()  # others may read it, where the folder lets them
            try:
                _write(source, frame, partial, threads or count_cores())
                _put(partial, target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return open_packed(target)


def measure_packed(source: ConceptSource, frame: Frame) -> int:
    """About how many bytes a source takes packed, by its first example; labels are counted as they compress.

    >>> class Blanks:
    ...     vocabulary = Vocabulary(())
    ...     def __len__(self):
    ...         return 10
    ...     def __getitem__(self, index):
    ...         return Example(f"{index}.png", np.zeros((6, 8, 3), np.uint8))
    >>> measure_packed(Blanks(), Frame((4, 4), (2, 2))) >= 10 * 4 * 4 * 3
    True
    """
    if not len(source):
        return 0
    example = frame.fit(source[0])
    return len(source) * (example.image.nbytes + len(_pack_labels(example)) + len(example.key) + 64)


def open_packed(folder: str | Path) -> PackedSource:
    """The packed cache in `folder`.

    Raises `SourceError` where it is none, or is of another version or not whole.
    """
    root = Path(folder)
    try:
        data = json.loads((root / "index.json").read_text(encoding="utf-8"))
        if data["version"] != VERSION:
            raise SourceError(f"{root}: packed by another version of unitscope; delete the folder")
        sizes = {key: tuple(data["frame"][key]) for key in ("size", "mask_size")}
        frame = Frame(**{**data["frame"], **sizes})
        vocabulary = Vocabulary(tuple(Concept(*concept) for concept in data["concepts"]))
        entries = tuple(Entry(key, tuple(ids), *rest) for key, ids, *rest in data["entries"])
        kind, bands = data.get("pixels", ("uint8", 3))
        packed = PackedSource(root, frame, vocabulary, entries, data["digest"], data["spec"], kind, bands)
        values = len(entries) * bands * frame.size[0] * frame.size[1]
        wanted = (values * np.dtype(kind).itemsize, data["label_bytes"])
        found = tuple((root / name).stat().st_size for name in ("images.bin", "labels.bin"))
    except (OSError, ValueError, KeyError, TypeError):
        raise SourceError(f"{root} is no packed cache; pack the source again") from None
    if wanted != found:
        raise SourceError(f"{root}: the packed cache is not whole; delete the folder and pack again")
    note_use(root)
    # Opened now: what makes room for another cache may delete the files, and those that are open stay.
    _ = (packed.images, packed.labels) if entries else ()
    return packed


def cache_name(source: ConceptSource, frame: Frame) -> str:
    """The name of the folder that holds this source, as it is now, at this frame."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(getattr(source, "name", "") or "source"))[:40]
    geometry = hashlib.sha256(json.dumps([VERSION, asdict(frame)]).encode()).hexdigest()
    content, stamp = source_digest(source), stamp_source(source)
    if stamp:
        content = hashlib.sha256(f"{content} {stamp}".encode()).hexdigest()
    return f"{name}-{content[:16]}-{geometry[:12]}"


def stamp_source(source: ConceptSource) -> str:
    """A text that changes where a source has changed on this machine though its digest has not; or nothing.

    SHA-256 over the modification times of the files that it, or a source it is made from, lists
    (`list_files()`); for a source without `digest` also over its first and last examples.
    """
    digest, seen = hashlib.sha256(), False
    for inner in walk(source):
        files = inner.list_files() if hasattr(inner, "list_files") else []
        for path in files:
            with contextlib.suppress(OSError):
                digest.update(f"{os.stat(path).st_mtime_ns}\n".encode())
        plain = not isinstance(getattr(inner, "digest", None), str)
        ends = {0, len(inner) - 1} if plain and len(inner) else ()
        for example in (inner[index] for index in sorted(ends)):
            digest.update(f"{example.key!r} {example.ids}".encode("utf-8", "surrogateescape"))
            for array in (example.image, example.planes, example.void):
                if array is not None:
                    digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        seen |= bool(files) or plain
    return digest.hexdigest() if seen else ""


def _write(source: ConceptSource, frame: Frame, folder: Path, threads: int) -> None:
    entries: list[Entry] = []
    pixels: tuple[str, int] | None = None

    def make(index: int) -> tuple[Example, bytes]:
        example = frame.fit(source[index])
        return example, _pack_labels(example)

    with (
        (folder / "images.bin").open("wb") as images,
        (folder / "labels.bin").open("wb") as labels,
        follow(len(source), "packing") as work,
    ):
        for example, data in run_ahead(make, len(source), threads):
            here = example.image.dtype.name, example.image.shape[2]
            pixels = pixels or here
            if here != pixels:
                found = f"{example.key} has {here[1]} bands of {here[0]}"
                before = f"images before it {pixels[1]} of {pixels[0]}"
                raise SourceError(f"{found}, {before}; pack pictures of one kind")
            images.write(np.ascontiguousarray(example.image).data)
            count, has_void = len(example.planes), example.void is not None
            entries.append(Entry(example.key, example.ids, count, has_void, labels.tell(), len(data)))
            labels.write(data)
            work.update()
        _flush(images)
        _flush(labels)
    index_data = {
        "version": VERSION,
        "frame": asdict(frame),
        "pixels": pixels or ("uint8", 3),
        "digest": source_digest(source),
        "spec": source_spec(source),
        "label_bytes": sum(entry.length for entry in entries),
        "concepts": list(map(astuple, source.vocabulary)),
        "entries": list(map(astuple, entries)),
    }
    with (folder / "index.json").open("wb") as file:
        file.write(json.dumps(index_data).encode())
        _flush(file)


def run_ahead(make: Callable[[int], T], count: int, threads: int) -> Iterator[T]:
    """What a function gives for 0 to `count` - 1, in this order, some of it made ahead by threads.

    >>> list(run_ahead(lambda number: number * number, 5, 2))
    [0, 1, 4, 9, 16]
    """
    with ThreadPoolExecutor(threads, "pack") as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for number in range(count):
                waiting.append(pool.submit(make, number))
                if len(waiting) > 4 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _pack_labels(example: Example) -> bytes:
    data = np.ascontiguousarray(example.planes, "<u2").tobytes()
    data += b"" if example.void is None else np.ascontiguousarray(example.void).tobytes()
    return zlib.compress(data, _LEVEL)


def _flush(file: io.BufferedWriter) -> None:
    file.flush()
    os.fsync(file.fileno())


def _put(partial: Path, target: Path) -> None:
    """Renames, over what stands there of another version or damaged."""
    if target.is_dir():
        shutil.rmtree(target)
    partial.rename(target)
