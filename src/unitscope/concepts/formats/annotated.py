"""Pictures with labels of pixels, of whole pictures, or both: what every reader of a data set gives.

A reader finds the pictures, says what each shows as a whole, and brings layers of pixel labels. All of it is
read when it is asked for.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from unitscope.axes import Picture, Planes, Void
from unitscope.concepts.formats.mask_values import MaskValues
from unitscope.concepts.formats.stored.decoding import Decoding
from unitscope.concepts.formats.stored.masks import read_mask
from unitscope.concepts.formats.stored.pictures import read_turned
from unitscope.concepts.left_out import LeftOut, name_some
from unitscope.concepts.vocabulary import Example, Vocabulary
from unitscope.errors import SourceError

_MOST_LABELS = 400_000_000
"""Of all planes of a picture with several layers."""
PLACES = ("masks", "annotations")
"""Options that say where something lies, which is no choice."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of one picture's pixels: uint16[plane, y, x] of concept ids, bool[y, x] of void ones.

    `origin` is the file that says so, for messages.
    """

    planes: Planes
    void: Void | None = None
    origin: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the labels, in pixels."""
        height, width = self.planes.shape[1:]
        return height, width


@runtime_checkable
class Layer(Protocol):
    """One kind of labels of pixels."""

    def read(self, key: str, /) -> Labels | None:
        """The labels of the picture with that key; None where the layer knows nothing of it.

        Raises `SourceError` where they cannot be read.
        """

    def list_files(self) -> Iterable[Path]:
        """The files that it reads, in a fixed order."""


@runtime_checkable
class Pictures(Protocol):
    """Pictures by number, each with a key of its own."""

    @property
    def keys(self) -> Sequence[str]: ...

    def read(self, index: int, size: tuple[int, int] | None, /) -> Picture:
        """The picture, decoded; `size` is (height, width) of its labels, where pixels are labelled.

        Raises `SourceError` where it cannot be read.
        """

    def list_files(self) -> Iterable[Path]:
        """The files that hold them, in a fixed order."""


@dataclass(frozen=True, eq=False)
class PictureFiles:
    """Pictures that are files of their own; `keys` are their paths below `root`.

    `decoding` says what becomes of them where their files leave a choice; as it is, none is turned. `met` has
    what was done to those that were read so far, and to which.
    """

    root: Path
    keys: tuple[str, ...]
    decoding: Decoding = Decoding()  # noqa: RUF009 - frozen
    met: dict[str, dict[str, None]] = field(default_factory=dict, init=False, repr=False)

    def read(self, index: int, size: tuple[int, int] | None) -> Picture:
        """The picture, decoded. Raises `SourceError` as `read_image` does."""
        key = self.keys[index]
        path = self.root / key
        image, done = read_turned(path, self.decoding, size)
        for what in done:
            self.met.setdefault(what, {})[key] = None
        return image

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to pictures that were read so far, a line each."""
        lines = []
        for what, keys in sorted(self.met.items()):
            noun = "picture" if len(keys) == 1 else "pictures"
            lines.append(f"{len(keys)} {noun} {what}: {name_some([*keys])}")
        return tuple(lines)

    def list_files(self) -> Iterator[Path]:
        """One file a picture."""
        return (self.root / key for key in self.keys)


def check_size(path: object, image: Picture, size: tuple[int, int] | None, origin: str = "") -> None:
    """Raises `SourceError` where a picture has not the size of its labels, which is (height, width)."""
    if size is not None and image.shape[:2] != size:
        found = f"the picture is {image.shape[1]}x{image.shape[0]} pixels, its labels {size[1]}x{size[0]}"
        of = f" in {origin}" if origin else ""
        raise SourceError(f"{path}: {found}{of}; make them the same size")


@dataclass(frozen=True, eq=False)
class MaskFiles:
    """Masks of one channel: `names` has, by key, the path below `root` of each; `values` what is in them.

    `read_file` gives the numbers in a file.
    """

    root: Path
    names: Mapping[str, str]
    values: MaskValues
    read_file: Callable[[Path], np.ndarray] = read_mask

    def read(self, key: str) -> Labels | None:
        """One plane. Raises `SourceError` naming the file where it holds a number without a meaning."""
        name = self.names.get(key)
        if name is None:
            return None
        path = self.root / name
        numbers = self.read_file(path)
        return Labels(*self.values.label(numbers, path), str(path))

    def list_files(self) -> Iterator[Path]:
        """One file a mask."""
        return (self.root / name for name in self.names.values())


@dataclass(frozen=True, eq=False)
class AnnotatedSource:
    """Pictures with what is known of them; made by the readers of `unitscope.concepts.formats`.

    `word` opens it (`folder`, `voc`) at `place`, with `options`. `labels` has the concepts of every whole
    picture, or nothing. The contents of `texts` are part of the digest, and `content`, which stands for those
    of files too large to be read again; of all other files it has only their names and sizes. `left_out`
    counts the files that it does not use; `wrong` are pairs of file and remark about some that it should.
    `notes` are lines for people, such as which pixels are void. `families` has, by the
    name of a concept, what it is a kind of, the nearest first.
    """

    word: str
    place: str
    root: Path
    pictures: Pictures
    vocabulary: Vocabulary
    labels: Sequence[tuple[int, ...]] = ()
    layers: tuple[Layer, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    texts: tuple[Path, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    wrong: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    content: str = ""
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pictures.keys)

    def __getitem__(self, index: int, /) -> Example:
        """The example; raises `SourceError` where its picture or labels of it cannot be used."""
        key = self.pictures.keys[index]
        found = self._read_layers(key)
        sizes = {labels.size for labels in found}
        if len(sizes) > 1:
            spelled = " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
            raise SourceError(f"{key}: its labels are of several sizes, {spelled}; make them the same")
        size = next(iter(sizes), None)
        image = self.pictures.read(index, size)
        if size is not None:
            path = self.pictures.root / key if isinstance(self.pictures, PictureFiles) else key
            check_size(path, image, size, " and ".join(filter(None, (labels.origin for labels in found))))
        whole = self.labels[index] if self.labels else ()
        if not found:
            return Example(key, image, ids=whole)
        planes = np.concatenate([labels.planes for labels in found])
        voids = [labels.void for labels in found if labels.void is not None]
        return Example(key, image, planes, whole, np.logical_or.reduce(voids) if voids else None)

    def _read_layers(self, key: str) -> list[Labels]:
        found: list[Labels] = []
        for layer in self.layers:
            labels = layer.read(key)
            if labels is not None:
                found.append(labels)
            if len(found) > 1 and sum(one.planes.size for one in found) > _MOST_LABELS:
                raise SourceError(f"{key}: its layers have more labels than are kept; make it smaller")
        return found

    def peek(self, index: int) -> tuple[str, tuple[int, ...]]:
        """The key of an example and the labels of its whole image."""
        return self.pictures.keys[index], self.labels[index] if self.labels else ()

    @property
    def keys(self) -> Sequence[str]:
        """The keys of all examples."""
        return self.pictures.keys

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.resolve().name

    @property
    def spec(self) -> str:
        """The text that opens this source again."""
        return ",".join([f"{self.word}:{self.place}", *(f"{key}={value}" for key, value in self.options)])

    def list_files(self) -> Iterator[Path]:
        """All pictures, then all labels."""
        yield from self.pictures.list_files()
        for layer in self.layers:
            yield from layer.list_files()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over options, names and sizes of all files, and the contents of `texts`."""
        options = sorted(
            option for option in self.options if not (option[0] in PLACES or self._is_place(option[1]))
        )
        head = f"{self.word} {options}" + (f" {self.content}" if self.content else "")
        held: tuple[Pictures | Layer, ...] = (self.pictures, *self.layers)
        files = chain.from_iterable(map(_spell_files, held))
        return digest_files(self.root, files, self.texts, head)

    def _is_place(self, value: str) -> bool:
        """Whether an option says where something lies, which may lie elsewhere tomorrow, and is no choice."""
        return os.path.isabs(value) or any(text in (Path(value), self.root / value) for text in self.texts)

    def audit(self) -> Iterator[tuple[str, str]]:
        """What reading never meets, as pairs of file and remark."""
        return iter(self.wrong)


def _spell_files(held: Pictures | Layer) -> Iterable[str]:
    """The paths of the files that hold something, as texts: to make 100,000 of `Path` takes seconds."""
    if not isinstance(held, PictureFiles | MaskFiles):
        return (str(path) for path in held.list_files())
    start = os.path.join(held.root, "")
    names = held.keys if isinstance(held, PictureFiles) else held.names.values()
    return (start + name for name in names)


def keep_pictures(source: AnnotatedSource, places: Sequence[int]) -> AnnotatedSource:
    """The same source with the pictures at those places alone, which are files."""
    assert isinstance(source.pictures, PictureFiles)
    keys = tuple(source.pictures.keys[place] for place in places)
    labels = tuple(source.labels[place] for place in places) if source.labels else ()
    return replace(source, pictures=replace(source.pictures, keys=keys), labels=labels)


def decode_by(source: AnnotatedSource, decoding: Decoding) -> AnnotatedSource:
    """The same source with its pictures, which are files, decoded by other choices."""
    assert isinstance(source.pictures, PictureFiles)
    return replace(source, pictures=replace(source.pictures, decoding=decoding))


def digest_files(root: Path, files: Iterable[str | Path], texts: Iterable[Path], head: str) -> str:
    """SHA-256 over `head`, the relative names and sizes of `files`, and the contents of `texts`."""
    digest, start = sha256(head.encode()), os.path.join(root, "")
    for file in map(str, files):
        try:
            size = os.stat(file).st_size
        except OSError:
            size = -1
        below = file[len(start) :] if file.startswith(start) else os.path.relpath(file, root)
        name = below.replace(os.sep, "/")
        digest.update(f"\n{name} {size}".encode("utf-8", "surrogateescape"))
    for text in texts:
        if text.is_file():
            digest.update(f"\n{text.name}\n".encode() + sha256(text.read_bytes()).digest())
    return digest.hexdigest()
