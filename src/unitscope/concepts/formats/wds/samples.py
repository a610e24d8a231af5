"""Shards of WebDataset: tar files in which the files of a sample lie together, alike up to the first dot.

A sample's `jpg` is its picture, `png` may be a mask, `cls` the number of its class, `json` anything, of which
a key may be a label. Nothing in a shard names numbers: a list of classes does. Pictures are read from where
they lie in the tar; members that are no plain files, or whose paths lead out of it, are never read.

A sample without a picture, or without any label among labelled ones, is left out; `bare=in` takes the latter
in.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from unitscope.axes import Picture
from unitscope.concepts.formats.annotated import AnnotatedSource, Labels, check_size
from unitscope.concepts.formats.class_lists import (
    ClassList,
    Words,
    add_void,
    find_classes,
    read_numbers,
    tell_values,
)
from unitscope.concepts.formats.indexes import Index, keep_index
from unitscope.concepts.formats.listings import list_folder
from unitscope.concepts.formats.mask_values import MaskValues
from unitscope.concepts.formats.stored.masks import decode_mask
from unitscope.concepts.formats.stored.pictures import decode_image
from unitscope.concepts.formats.wds.shards import Samples, find_lacking, find_shards, read_samples
from unitscope.concepts.formats.whole.labels import (
    NO_PICTURE,
    UNLABELLED,
    LabelCells,
    find_listed,
    gather_labels,
    guess_category,
    name_labels,
    unpack_labels,
)
from unitscope.concepts.left_out import EXAMPLES, LeftOut, count_left_out, note_bare, takes_bare
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.errors import SourceError, UsageError
from unitscope.progress import Follower, follow

PICTURES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "jfif", "ppm", "pgm")
PHOTOGRAPHS = ("jpg", "jpeg", "jfif")
CLASS = "cls"
NO_SHARD = "no shard right in the folder"
TORN = "without a picture, which a sample of that name in another shard has"
UNUSED = "of a field that is not used"
TEXT_LIMIT = 16_000_000
"""The longest label or JSON that is read, in bytes."""

_SHOWN = 12
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}")


@dataclass(frozen=True, eq=False)
class TarPictures:
    """The pictures of samples: `keys` are the shard and the path in it up to the first dot.

    `kept` are the numbers of samples, `members` has where the picture of each sample lies.
    """

    samples: Samples
    keys: tuple[str, ...]
    kept: Int64[np.ndarray, "picture"]
    members: Int64[np.ndarray, "sample"]

    def read(self, index: int, size: tuple[int, int] | None) -> Picture:
        """The picture in its stored pixels. Raises `SourceError` naming shard and sample."""
        sample = int(self.kept[index])
        member = int(self.members[sample])
        where = self.samples.where(sample, member)
        image = decode_image(self.samples.load(sample, member), where)
        check_size(where, image, size)
        return image

    def list_files(self) -> Iterator[Path]:
        """The shards."""
        return iter(self.samples.shards)


@dataclass(frozen=True, eq=False)
class TarMasks:
    """Masks of one channel; `members` are where that of each sample lies, -1 where it has none."""

    samples: Samples
    members: Int64[np.ndarray, "sample"]
    values: MaskValues

    def read(self, key: str) -> Labels | None:
        """One plane. Raises `SourceError` naming shard and sample where the mask cannot be read."""
        sample = self.samples.numbers[key]
        member = int(self.members[sample])
        if member < 0:
            return None
        where = self.samples.where(sample, member)
        return Labels(*self.values.label(decode_mask(self.samples.load(sample, member), where), where))

    def list_files(self) -> Iterable[Path]:
        """None of its own: the pictures lie in the same files."""
        return ()


@dataclass(frozen=True)
class _Choice:
    """The fields that are read; `labels` are fields, or keys in fields of JSON."""

    images: tuple[str, ...]
    masks: tuple[str, ...]
    labels: tuple[str, ...]


def open_wds(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """The samples of shards.

    Raises `UsageError` where there are no shards, or a field does not exist or must be named; `SourceError`
    for files that are no tar or compressed, and samples of which none has a picture or label.
    """
    shards = find_shards(place)
    absent, gaps = find_lacking(place, shards)
    root = Path(os.path.commonpath([path.parent.absolute() for path in shards]))
    names = [os.path.relpath(path.absolute(), root) for path in shards]
    short = [name.removesuffix(".tar") for name in names]
    names = short if len({*short}) == len(short) else names
    samples = read_samples(shards, names)
    if not samples.keys:
        told = "; ".join([*(text for _, text in samples.wrong), *map(str, samples.left_out)])
        raise SourceError(f"{place}: no sample was found{told and f' ({told})'}")
    source = _open(place, options, root, samples, _choose(samples, options, place))
    return replace(source, wrong=(*absent, *source.wrong), notes=(*source.notes, *gaps))


def _choose(samples: Samples, options: Mapping[str, str], place: str) -> _Choice:
    """The fields that options name, or else that are evident; with `image=` nothing more than is named."""
    named = {
        key: tuple(dict.fromkeys(part.strip() for part in options[key].split("+")))
        for key in ("image", "masks", "label")
        if key in options
    }
    listed = ", ".join(samples.fields[:_SHOWN]) + (", ..." if len(samples.fields) > _SHOWN else "")
    for name in (*named.get("image", ()), *named.get("masks", ())):
        if name not in samples.fields:
            raise UsageError(f"{place}: no sample has the field {name!r}; the fields are {listed}")
    masks = named.get("masks", ())
    found = [name for name in PICTURES if name in samples.fields and name not in masks]
    evident = "image" not in named
    images = named.get("image") or tuple(found)
    if not images:
        raise UsageError(f"{place}: say image=FIELD; the fields are {listed}")
    if evident and _lie_together(samples, images):
        # A photograph beside another picture, which may be its mask: no JPEG is one.
        photographs = tuple(name for name in images if name in PHOTOGRAPHS)
        apart = photographs and not _lie_together(samples, photographs)
        images, others = (photographs if apart else images[:1]), images[1:]
        if not {"masks", "label"} & {*named} and photographs and "png" in others:
            masks = ("png",)
    if {*images} & {*masks}:
        raise UsageError(f"masks={options['masks']}: that field is the picture itself")
    labels = named.get("label", (CLASS,) if evident and not masks and CLASS in samples.fields else ())
    if evident and not masks and not labels and {*images} & {*PHOTOGRAPHS} and {*images} - {*PHOTOGRAPHS}:
        # Of which some may be masks, in samples or shards of their own.
        found_in = f"pictures are {' and '.join(images)}, in samples of their own, and nothing labels them"
        raise UsageError(f"{place}: {found_in}; say image={'+'.join(images)} to take all of them as pictures")
    unused = [name for name in samples.fields if name not in images]
    if unused and evident and not masks and not labels:
        shown = ", ".join(unused[:_SHOWN])
        advice = f"say masks= or label= of {shown}, or image={images[0]} to take the pictures alone"
        raise UsageError(f"{place}: no field tells itself to be labels; {advice}")
    return _Choice(images, masks, labels)


def _lie_together(samples: Samples, names: Sequence[str]) -> bool:
    """Whether a sample has two of some fields."""
    return bool((np.sum([samples.find(name) >= 0 for name in names], axis=0) > 1).any())


@dataclass(frozen=True, eq=False)
class _Labelled:
    """The concepts, layers of masks, labels of every sample, the lists that name them, lines for people."""

    vocabulary: Vocabulary
    layers: tuple[TarMasks, ...]
    labels: Sequence[tuple[int, ...]]
    texts: tuple[Path, ...]
    notes: tuple[str, ...]


def _label(
    place: str, options: Mapping[str, str], root: Path, samples: Samples, choice: _Choice
) -> _Labelled:
    """What the chosen fields say of all samples."""
    if "void" in options and not choice.masks:
        raise UsageError(f"void={options['void']}: there are no masks to which it applies; leave it out")
    void = read_numbers("void", options["void"]) if "void" in options else ()
    cells = [_read_labels(samples, label, place) for label in choice.labels]
    needing = [label for label, one in zip(choice.labels, cells, strict=True) if not one.texts]
    lists, texts = find_classes(options.get("classes"), [*choice.masks, *needing], (), root)

    words, category = Words(), options.get("category")
    notes: list[str] = []
    layers = []
    for name in choice.masks:
        values, vocabulary = lists[name]
        values = words.adopt(add_void(values, void), vocabulary, None if choice.labels else category)
        layers.append(TarMasks(samples, samples.find(name), values))
        notes += tell_values(f"{name}: " if len(choice.masks) > 1 else "", values)
    whole = [
        name_labels(one, _find(label, lists.get(label), words, category, place))
        for label, one in zip(choice.labels, cells, strict=True)
    ]
    labels = [tuple(dict.fromkeys(chain(*one))) for one in zip(*whole, strict=True)]
    return _Labelled(words.vocabulary, tuple(layers), labels, texts, tuple(notes))


def _open(
    place: str, options: Mapping[str, str], root: Path, samples: Samples, choice: _Choice
) -> AnnotatedSource:
    said = _label(place, options, root, samples, choice)
    labels, layers, notes = said.labels, said.layers, [*said.notes]
    members = np.full(len(samples.keys), -1, np.int64)
    for name in choice.images:
        members = np.where(members < 0, samples.find(name), members)
    labelled = np.array([bool(ids) for ids in labels] or [not layers and not choice.labels] * len(members))
    labelled = np.logical_or.reduce([labelled, *(layer.members >= 0 for layer in layers)])
    if takes_bare(options) and ((members >= 0) & labelled).any():
        notes += note_bare([samples.keys[number] for number in np.flatnonzero((members >= 0) & ~labelled)])
        labelled[:] = True
    kept = np.flatnonzero((members >= 0) & labelled)
    left_out = [
        *_count_files(place, samples, said.texts),
        *samples.left_out,
        *_count_rest(samples, members, labelled, choice),
    ]
    if not len(kept):
        told = "; ".join(map(str, left_out))
        raise SourceError(f"{place}: none of {len(members)} samples can be used: {told}")
    return AnnotatedSource(
        "wds",
        place,
        root,
        TarPictures(samples, tuple(samples.keys[number] for number in kept.tolist()), kept, members),
        said.vocabulary,
        labels=tuple(labels[number] for number in kept.tolist()) if labels else (),
        layers=layers,
        options=tuple(options.items()),
        texts=said.texts,
        left_out=tuple(left_out),
        wrong=samples.wrong,
        notes=tuple(notes),
        content=f"masks {choice.masks}",  # which lie in the same files, whatever they are
    )


def _find(
    label: str, known: ClassList | None, words: Words, category: str | None, place: str
) -> Callable[[int | str], int]:
    if known is not None:
        return find_listed(known, words, category, f"{place}, field {label!r}")
    return lambda text: words.find(str(text), category or guess_category(label))


def _count_files(place: str, samples: Samples, texts: Sequence[Path]) -> tuple[LeftOut, ...]:
    """The other files of a folder that is given as a whole."""
    if not os.path.isdir(place):
        return ()
    listing = list_folder(Path(place))
    taken = {os.path.realpath(path) for path in (*samples.shards, *texts)}
    rest = [name for name in listing.names if os.path.realpath(os.path.join(place, name)) not in taken]
    return count_left_out([*listing.left_out, *((NO_SHARD, name) for name in rest)])


def _count_rest(
    samples: Samples, members: np.ndarray, labelled: np.ndarray, choice: _Choice
) -> list[LeftOut]:
    """Samples without picture or label, and members of fields that are not used."""
    lacking = np.flatnonzero(members < 0).tolist()
    pictured = {samples.name(number) for number in np.flatnonzero(members >= 0).tolist()} if lacking else ()
    bare = [
        (TORN if samples.name(number) in pictured else NO_PICTURE, samples.keys[number]) for number in lacking
    ]
    bare += [
        (UNLABELLED, samples.keys[number]) for number in np.flatnonzero((members >= 0) & ~labelled).tolist()
    ]
    used = {*choice.images, *choice.masks, *(_split_label(samples, label)[0] for label in choice.labels)}
    rest = [name for name in samples.fields if name not in used]
    unused = np.isin(samples.kinds, [samples.fields.index(name) for name in rest])
    shown = []
    for member in np.flatnonzero(unused)[:EXAMPLES].tolist():
        sample = int(np.searchsorted(samples.ends, member, "right"))
        shown.append(f"{samples.keys[sample]}.{samples.fields[int(samples.kinds[member])]}")
    others = [LeftOut(UNUSED, int(unused.sum()), tuple(shown))] if shown else []
    return [*count_left_out(bare), *others]


def _split_label(samples: Samples, label: str) -> tuple[str, str]:
    """The field of a label, and the key in it; no key where the whole field is the label."""
    if label.lower() in samples.fields:
        return label.lower(), ""
    parts = label.split(".")
    for count in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:count]).lower()
        if name in samples.fields and parts[count - 1].lower() == "json":
            return name, ".".join(parts[count:])
    return "", ""


def _read_labels(samples: Samples, label: str, place: str) -> LabelCells:
    """The labels of all samples, read once and kept. Raises `SourceError` naming one that cannot be read."""
    name, key = _split_label(samples, label)
    if not name:
        listed = ", ".join(samples.fields[:_SHOWN])
        raise UsageError(f"{place}: no sample has the field {label!r}; the fields are {listed}")
    if name.endswith("json") and not key:
        raise UsageError(f"label={label}: a sample's JSON holds many things; say which, as in {label}.KEY")

    def build() -> Index:
        with follow(len(samples.keys), f"indexing labels {label}", "samples") as work:
            return gather_labels(_list_labels(samples, name, key, work), f"{place}, {label}").pack("label")

    digest = sha256(f"{name} {key}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    cells = unpack_labels(keep_index(f"wds-label-1-{digest}", samples.shards, build), "label")
    if not len(cells.values):
        raise SourceError(f"{place}: no sample has a label in {label!r}; name another field or key")
    return cells


def _list_labels(samples: Samples, name: str, key: str, work: Follower) -> Iterator[Any]:
    for sample, member in enumerate(samples.find(name).tolist()):
        work.update()
        if member < 0:
            yield None
            continue
        if samples.sizes[member] > TEXT_LIMIT:
            where = samples.where(sample, member)
            raise SourceError(f"{where}: {samples.sizes[member]} bytes are no label; name another field")
        data = samples.load(sample, member)
        try:
            yield _find_key(json.loads(data), key) if key else _read_text(data)
        except (ValueError, RecursionError) as error:
            where, reason = samples.where(sample, member), " ".join(str(error).split())[:80]
            raise SourceError(f"{where}: cannot be read as a label ({reason}); name another field") from None


def _read_text(data: bytes) -> int | str:
    text = data.decode("utf-8-sig").strip()
    return int(text) if _NUMBER.fullmatch(text) else text


def _find_key(data: Any, key: str) -> Any:
    """What a key stands for; with dots, a key in what another stands for. None where there is none."""
    if not isinstance(data, dict):
        return None
    if key in data:
        return data[key]
    first, _, rest = key.partition(".")
    return _find_key(data.get(first), rest) if rest else None
