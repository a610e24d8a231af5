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
import shutil
import tempfile
import time
import zlib
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from unitscope.concepts.derived import source_digest, source_spec, walk
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Concept, ConceptSource, Example, Vocabulary
from unitscope.errors import SourceError, writing

VERSION = 2
_LEVEL = 1
_STALE_SECONDS = 600.0


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
        data = self._labels[entry.offset : entry.offset + entry.length].tobytes()
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
    def _labels(self) -> np.ndarray:
        return np.memmap(self.folder / "labels.bin", np.uint8, "r")


def pack_source(source: ConceptSource, frame: Frame, folder: str | Path) -> PackedSource:
    """The source's examples at the size of `frame`, from the cache in `folder` or put there first.

    The cache appears whole or not at all: it is written beside its place and renamed at the end, so a
    packing that was killed leaves nothing that is taken for one.

    Raises what reading the source raises, and `RunError` where `folder` cannot be written.

    >>> import tempfile
    >>> from unitscope.concepts.formats.folders import open_folder
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as place:
    ...     Image.new("RGB", (8, 6)).save(Path(place) / "a.png")
    ...     packed = pack_source(open_folder(place), Frame((4, 4), (2, 2)), Path(place) / "cache")
    ...     packed[0].image.shape, packed.frame.mask_size
    ((4, 4, 3), (2, 2))
    """
    root = Path(folder)
    target = root / cache_name(source, frame)
    if target.is_dir():
        with contextlib.suppress(SourceError):
            return open_packed(target)
    with writing(f"the packed cache in {root}", "make room or name another folder"):
        root.mkdir(parents=True, exist_ok=True)
        _remove_stale(root, target.name)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=root))
        try:
            _write(source, frame, partial)
            _put(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return open_packed(target)


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
            digest.update(f"{path.stat().st_mtime_ns if path.is_file() else -1}\n".encode())
        plain = not isinstance(getattr(inner, "digest", None), str)
        ends = {0, len(inner) - 1} if plain and len(inner) else ()
        for example in (inner[index] for index in sorted(ends)):
            digest.update(f"{example.key!r} {example.ids}".encode("utf-8", "surrogateescape"))
            for array in (example.image, example.planes, example.void):
                if array is not None:
                    digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        seen |= bool(files) or plain
    return digest.hexdigest() if seen else ""


def _write(source: ConceptSource, frame: Frame, folder: Path) -> None:
    entries: list[Entry] = []
    pixels: tuple[str, int] | None = None
    with (folder / "images.bin").open("wb") as images, (folder / "labels.bin").open("wb") as labels:
        for index in tqdm(range(len(source)), desc="packing", unit="image", disable=None):
            example = frame.fit(source[index])
            here = example.image.dtype.name, example.image.shape[2]
            pixels = pixels or here
            if here != pixels:
                found = f"{example.key} has {here[1]} bands of {here[0]}"
                before = f"images before it {pixels[1]} of {pixels[0]}"
                raise SourceError(f"{found}, {before}; pack pictures of one kind")
            images.write(np.ascontiguousarray(example.image).tobytes())
            planes, void, offset = example.planes, example.void, labels.tell()
            data = np.ascontiguousarray(planes, "<u2").tobytes()
            data += b"" if void is None else np.ascontiguousarray(void).tobytes()
            length = labels.write(zlib.compress(data, _LEVEL))
            entries.append(Entry(example.key, example.ids, len(planes), void is not None, offset, length))
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


def _flush(file: io.BufferedWriter) -> None:
    file.flush()
    os.fsync(file.fileno())


def _put(partial: Path, target: Path) -> None:
    try:
        partial.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        with contextlib.suppress(SourceError):
            open_packed(target)  # another process was first
            return
        shutil.rmtree(target)
        partial.rename(target)


def _remove_stale(root: Path, name: str) -> None:
    """Clears what killed packings left; one that still runs has written within the last minutes."""
    for partial in root.glob(f".{name}.*.partial"):
        with contextlib.suppress(OSError):
            newest = max(path.stat().st_mtime for path in (partial, *partial.iterdir()))
            if time.time() - newest > _STALE_SECONDS:
                shutil.rmtree(partial)
