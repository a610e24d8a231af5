"""The labels of the images of a scan, packed as runs along rows, and the area of every concept."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt16

from unitscope.axes import ConceptAreas
from unitscope.concepts.vocabulary import Example, Vocabulary
from unitscope.errors import SourceError
from unitscope.statistics.kernels import label_runs as loops

Doubles = Literal["twice", "truth-twice", "once"]

MAX_CATEGORIES = 64
"""The categories of an image are kept as the bits of one number."""

_Coded = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Segments of equal id along the rows of planes: their number by row, their ends and ids."""

FIELDS = {
    "planes": np.int32,
    "per_row": np.uint16,
    "ends": np.uint16,
    "ids": np.uint16,
    "scalar_counts": np.int32,
    "scalars": np.uint16,
    "area_counts": np.int32,
    "area_ids": np.uint16,
    "area_pixels": np.int64,
    "valid_pixels": np.int64,
}
"""The arrays of annotations by name, in the order in which `annotate` makes them."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """Labels of images at mask size: a mergeable statistic.

    `pieces` are stretches of consecutive images, each with the number of its first; together they
    must be without gaps before `arrays`, all of them in order, is read.

    Each image has `planes` coded planes. A plane is coded row by row as segments of equal id:
    `per_row` segments each, with their `ends` and `ids`. Void pixels have the id after the vocabulary's
    last in the first plane, and none in the others.
    `area_ids`, `area_pixels` hold the pixels of each concept of each image; void ones are left out.
    A few per cent of the size of the planes, and faster to intersect. `folder` is where they lie in files.
    """

    mask_size: tuple[int, int]
    pieces: tuple[tuple[int, Mapping[str, np.ndarray]], ...]
    folder: Path | None = None

    @property
    def first(self) -> int:
        """The number of the first image."""
        return self.pieces[0][0]

    @cached_property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """The coded labels of all images, in their order."""
        if len(self.pieces) == 1:
            return self.pieces[0][1]
        return {name: np.concatenate([piece[name] for _, piece in self.pieces]) for name in FIELDS}

    def __len__(self) -> int:
        return len(self.arrays["planes"])

    def merge(self, other: "Annotations") -> "Annotations":
        """The annotations of both, in the order of their images."""
        return merge_annotations([self, other])

    def join(self) -> "Annotations":
        """The same in one piece, which takes less room than many."""
        return Annotations(self.mask_size, ((self.first, self.arrays),))

    @cached_property
    def row_starts(self) -> np.ndarray:
        """Where the segments of every row of every plane begin."""
        if "row_starts" in self.arrays:
            return self.arrays["row_starts"]
        starts = _starts(self.arrays["per_row"])
        _check_segments(int(starts[-1]))
        return starts[:-1].astype(np.uint32)

    def concept_pixels(self, size: int, images: np.ndarray | None = None) -> ConceptAreas:
        """Pixels of every concept id, over all images or those where `images` (bool) is true."""
        chosen = slice(None) if images is None else np.repeat(images, self.arrays["area_counts"])
        areas = np.zeros(size, np.int64)
        np.add.at(areas, self.arrays["area_ids"][chosen], self.arrays["area_pixels"][chosen])
        return areas

    @cached_property
    def by_concept(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images and pixels sorted by concept: starts[id], image indices, pixels."""
        ids = self.arrays["area_ids"]
        order = np.argsort(ids, kind="stable")
        owners = np.repeat(np.arange(len(self), dtype=np.int32), self.arrays["area_counts"])
        starts = _starts(np.bincount(ids, minlength=65_536))
        return starts, owners[order], self.arrays["area_pixels"][order].astype(np.int32)


@dataclass(frozen=True, eq=False)
class LabelIndex:
    """Annotations ready for the compiled loops, with a vocabulary: see `tallies`."""

    annotations: Annotations
    vocabulary: Vocabulary

    @cached_property
    def image_categories(self) -> np.ndarray:
        """uint64[image]: one bit for each category that has a label in the image."""
        arrays = self.annotations.arrays
        bits = np.zeros(len(self.annotations), np.uint64)
        owners = np.repeat(np.arange(len(self.annotations), dtype=np.int32), arrays["area_counts"])
        np.bitwise_or.at(bits, owners, self.concept_bits[arrays["area_ids"]])
        return bits

    @cached_property
    def concept_bits(self) -> np.ndarray:
        """uint64[id]: the bit of the concept's category; 0 for no concept, and for void behind the last."""
        places = np.append(self.vocabulary.category_index, -1).astype(np.int64)
        return np.where(places >= 0, np.uint64(1) << np.maximum(places, 0).astype(np.uint64), np.uint64(0))

    @cached_property
    def arrays(self) -> tuple[object, ...]:
        """The tuple that the compiled loops read."""
        arrays = self.annotations.arrays
        return (
            _starts(arrays["planes"]),
            self.annotations.row_starts,
            arrays["ends"],
            arrays["ids"],
            _starts(arrays["scalar_counts"]),
            arrays["scalars"],
            self.image_categories,
            self.concept_bits,
            np.maximum(self.vocabulary.category_index, 0).astype(np.int64),
            self.annotations.mask_size[0],
        )


def _starts(counts: np.ndarray) -> Int64[np.ndarray, "counts_and_one"]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _check_segments(count: int) -> None:
    if count > np.iinfo(np.uint32).max:
        most = f"at most {np.iinfo(np.uint32).max:,} can be counted"
        raise SourceError(f"the labels have {count:,} segments along rows, {most}; limit the source")


def annotate(
    example: Example, mask_size: tuple[int, int], doubles: Doubles, vocabulary: Vocabulary, number: int = 0
) -> Annotations:
    """The annotations of one framed example, image `number` of its source.

    Void pixels lose their labels. A concept twice on a pixel is kept, kept in its area only, or
    dropped, as `doubles` says. Raises `SourceError` for an id outside the vocabulary or planes of
    another size.
    """
    planes, coded, areas = _valid_planes(example, mask_size, vocabulary)
    size, void = vocabulary.size, example.void
    valid = mask_size[0] * mask_size[1]
    if void is not None and void.any():
        planes = np.where(void[None], 0, planes).astype(np.uint16)
        coded, areas, _ = _code_planes(planes, size)
        valid -= int(void.sum())
    else:
        void = None
    scalars = np.array(example.ids if doubles == "twice" else sorted(set(example.ids)), np.uint16)
    if doubles != "twice" and len(planes) + len(scalars) > 1:
        planes = loops.drop_doubles(planes, scalars)
        coded, fewer, _ = _code_planes(planes, size)
        areas = fewer if doubles == "once" else areas
    np.add.at(areas, np.array(example.ids if doubles != "once" else scalars, np.int64), valid)
    areas[0] = 0
    if void is not None:
        labelled = planes[planes.any((1, 2))]
        labelled = labelled if len(labelled) else np.zeros((1, *mask_size), np.uint16)
        labelled[0][void] = size
        coded = loops.encode_planes(labelled)
    per_row, ends, ids = coded
    present = np.flatnonzero(areas)
    values: tuple[Sequence[object] | np.ndarray, ...] = (
        [len(per_row) // mask_size[0]], per_row, ends, ids, [len(scalars)], scalars,
        [len(present)], present, areas[present], [valid],
    )  # fmt: skip
    coded_as = zip(FIELDS.items(), values, strict=True)
    arrays: dict[str, np.ndarray] = {name: np.asarray(value, kind) for (name, kind), value in coded_as}
    return Annotations(mask_size, ((number, arrays),))


def merge_annotations(parts: Sequence[Annotations]) -> Annotations:
    """The annotations of several stretches of images, in the order of their images."""
    pieces = sorted((piece for part in parts for piece in part.pieces), key=lambda piece: piece[0])
    return Annotations(parts[0].mask_size, tuple(pieces))


def map_annotations(mask_size: tuple[int, int], parts: Iterable[Annotations], folder: Path) -> Annotations:
    """The annotations of consecutive stretches of images, in files of a new folder that are read as needed.

    Raises `OSError` where they cannot be written, `SourceError` where there are too many.
    """
    kinds = {name: np.dtype(kind) for name, kind in FIELDS.items() if name != "per_row"}
    kinds["row_starts"] = np.dtype(np.uint32)
    folder.mkdir(parents=True)
    segments = 0
    with ExitStack() as stack:
        files = {name: stack.enter_context(open(folder / name, "wb")) for name in kinds}
        for part in parts:
            starts = _starts(part.arrays["per_row"]) + segments
            segments = int(starts[-1])
            for name, kind in kinds.items():
                array = starts[:-1] if name == "row_starts" else part.arrays[name]
                array.astype(kind).tofile(files[name])
    _check_segments(segments)
    # Private copies may be written to, which none does: loops compiled for such arrays serve them as well.
    sizes = {name: (folder / name).stat().st_size for name in kinds}
    mapped = {
        name: np.asarray(np.memmap(folder / name, kind, "c")) if sizes[name] else np.empty(0, kind)
        for name, kind in kinds.items()
    }
    return Annotations(mask_size, ((0, mapped),), folder)


def _valid_planes(
    example: Example, mask_size: tuple[int, int], vocabulary: Vocabulary
) -> tuple[UInt16[np.ndarray, "plane row column"], _Coded, ConceptAreas]:
    """The planes, their code, and the pixels of every id in them."""
    planes = example.planes
    if planes.shape[0] and planes.shape[1:] != mask_size:
        raise SourceError(
            f"{example.key}: labels are {planes.shape[1]}x{planes.shape[2]}, "
            f"the masks of this run {mask_size[0]}x{mask_size[1]}; fit the example to the frame first"
        )
    planes = np.ascontiguousarray(planes if planes.shape[0] else np.zeros((0, *mask_size)), np.uint16)
    coded, areas, beyond = _code_planes(planes, vocabulary.size)
    strange = {beyond, *example.ids}
    strange |= set(np.flatnonzero((areas > 0) & (vocabulary.category_index < 0)).tolist())
    unknown = sorted(identity for identity in strange - {0} if identity not in vocabulary)
    if unknown:
        raise SourceError(
            f"{example.key}: label {unknown[0]} is not in the vocabulary, whose ids end at "
            f"{vocabulary.size - 1}; check the source with `unitscope concepts check`"
        )
    return planes, coded, areas


def _code_planes(
    planes: UInt16[np.ndarray, "plane row column"], size: int
) -> tuple[_Coded, ConceptAreas, int]:
    """The code of the planes, the pixels of every label below `size`, and the least that is not, or 0."""
    coded = loops.encode_planes(planes)
    areas = np.zeros(size, np.int64)
    return coded, areas, loops.count_ids(*coded[1:], planes.shape[2], areas)
