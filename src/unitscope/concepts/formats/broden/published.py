"""Broden as its authors publish it, read from disk unchanged.

A folder with index.csv (one row an image), label.csv (unified numbers and names), category.csv,
c_CATEGORY.csv and images/. In a cell of index.csv, items are separated by `;`: an all-digit item labels
the whole image, any other is a PNG below images/ whose pixels are numbers R + 256 G. Numbers have gaps;
0 is no label. Source of the format: the code of Bau, Zhou, Khosla, Oliva, Torralba, "Network Dissection:
Quantifying Interpretability of Deep Visual Representations", CVPR 2017, which also describes the data
set (section 2.1).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from unitscope.concepts.formats.annotated import digest_files
from unitscope.concepts.formats.broden import tables as broden_tables
from unitscope.concepts.formats.broden.tables import IndexRow
from unitscope.concepts.formats.stored.masks import read_label
from unitscope.concepts.formats.stored.opening import read_size
from unitscope.concepts.formats.stored.pictures import read_image
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary, no_planes
from unitscope.errors import SourceError, UsageError


@dataclass(frozen=True, eq=False)
class BrodenSource:
    """The images of Broden with their labels, in the order of index.csv.

    Opened by `open_broden`. Concept ids are the unified numbers, and names are kept raw (`street-s`,
    `red-c`). Every label file of a row is a plane at (sh, sw); image-level numbers are the example's
    `ids`; keys are image paths relative to images/.
    """

    root: Path
    rows: tuple[IndexRow, ...]
    vocabulary: Vocabulary
    label_ids: np.ndarray
    options: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> Example:
        """The example; raises `SourceError` where its image or a label of it cannot be used."""
        row = self.rows[index]
        image = read_image(self.root / "images" / row.image)
        paths = [self.root / "images" / name for name in row.files]
        frame = Frame(row.mask_size, row.mask_size)
        planes = [frame.fit_planes(self._known(path, read_label(path))[None])[0] for path in paths]
        numbers = self._known(self.root / "index.csv", np.array(row.numbers, np.uint16))
        ids = tuple(numbers[numbers > 0].tolist())
        return Example(row.image, image, np.stack(planes) if planes else no_planes(), ids)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all examples."""
        return tuple(row.image for row in self.rows)

    @property
    def name(self) -> str:
        """The folder's name, `broden1_224` for instance."""
        return self.root.resolve().name

    @property
    def spec(self) -> str:
        """The text that opens this source again."""
        return ",".join([f"broden:{self.root}", *(f"{key}={value}" for key, value in self.options)])

    @property
    def splits(self) -> tuple[str, ...]:
        """The split of every image, `train` or `val` in Broden."""
        return tuple(row.split for row in self.rows)

    def list_files(self) -> list[Path]:
        """All images, each followed by its labels."""
        return [self.root / "images" / name for row in self.rows for name in (row.image, *row.files)]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over options, names and sizes of all images and labels, and the tables' contents."""
        texts = sorted(self.root.glob("*.csv"))
        return digest_files(self.root, self.list_files(), texts, f"broden {self.options}")

    def audit(self) -> Iterator[tuple[str, str]]:
        """What reading tolerates: images of another size than index.csv says, as key and remark."""
        for row in self.rows:
            try:
                height, width = read_size(self.root / "images" / row.image)
            except SourceError:
                continue
            if (height, width) != row.size:
                yield row.image, f"the image is {width}x{height}, index.csv says {row.size[1]}x{row.size[0]}"

    def _known(self, path: Path, numbers: np.ndarray) -> np.ndarray:
        ids = self.label_ids[numbers]
        if (ids < 0).any():
            reason = "is not listed in label.csv; the two do not belong together"
            raise SourceError(f"{path}: label {numbers[ids < 0][0]} {reason}")
        known: np.ndarray = ids.astype(np.uint16)
        return known


def open_broden(
    path: str | Path, *, split: str | None = None, categories: Sequence[str] | None = None
) -> BrodenSource:
    """Broden in the folder `path`, or in the only folder below it that holds one.

    `split` keeps the images of that split, `categories` the labels of those categories. Images without
    any label in them are left out, as in Network Dissection. A concept that occurs in several categories
    belongs to the one where `primary_categories` puts it, which depends on the choice of categories.

    Raises `SourceError` naming file and line where a table cannot be read, and where no image is left;
    `UsageError` where the folder, the split or a category does not exist.
    """
    root = _find_root(Path(path))
    order = broden_tables.read_categories(root)
    unknown = [category for category in categories or () if category not in order]
    if unknown:
        raise UsageError(f"{root} has no category {unknown[0]!r}; it has {', '.join(order)}")
    chosen = tuple(name for name in order if categories is None or name in categories)
    labels = broden_tables.read_labels(root)
    coverage = {category: broden_tables.read_coverage(root, category) for category in order}
    primary = primary_categories(labels, {category: coverage[category] for category in chosen})
    listed = {number for numbers in coverage.values() for number in numbers}
    kept = [n for n in labels if n not in listed or any(n in coverage[category] for category in chosen)]
    label_ids = np.full(65_536, -1, np.int32)
    label_ids[[0, *labels]] = 0
    label_ids[kept] = kept
    options = (("split", split), ("categories", "+".join(chosen) if categories is not None else None))
    return BrodenSource(
        root,
        _choose(root, chosen, split),
        Vocabulary(tuple(Concept(number, labels[number], primary[number]) for number in sorted(kept))),
        label_ids,
        tuple((key, value) for key, value in options if value is not None),
    )


def primary_categories(
    numbers: Sequence[int] | Mapping[int, object], coverage: Mapping[str, Mapping[int, float]]
) -> dict[int, str]:
    """The category of every label: where it covers most; of equals the last in the order of `coverage`.

    A label that a category does not list covers 0 there (the rule of the Network Dissection code).

    >>> primary_categories([1, 2, 3], {"color": {1: 2.0, 2: 1.0}, "object": {1: 5e-05, 2: 1.0}})
    {1: 'color', 2: 'object', 3: 'object'}
    """
    order = list(enumerate(coverage))
    return {
        number: max((coverage[category].get(number, 0.0), place, category) for place, category in order)[2]
        for number in numbers
    }


def _choose(root: Path, categories: tuple[str, ...], split: str | None) -> tuple[IndexRow, ...]:
    rows = [row for row in broden_tables.read_index(root, categories) if row.files or row.numbers]
    if not rows:
        raise SourceError(f"{root / 'index.csv'}: no image has a label in {', '.join(categories)}")
    chosen = tuple(row for row in rows if split is None or row.split == split)
    if not chosen:
        splits = ", ".join(sorted({row.split for row in rows}))
        raise UsageError(f"{root} has no images of split {split!r}; its splits are {splits}")
    return chosen


def _find_root(path: Path) -> Path:
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder; wanted Broden's, which holds index.csv and label.csv")
    if _is_broden(path):
        return path
    inside = sorted(filter(_is_broden, path.iterdir()))
    if len(inside) == 1:
        return inside[0]
    if inside:
        names = ", ".join(folder.name for folder in inside)
        raise UsageError(f"{path} holds several Broden folders ({names}); name one of them")
    reason = "there is no index.csv and label.csv in it, nor in a folder below"
    raise SourceError(f"{path} is not Broden: {reason}")


def _is_broden(folder: Path) -> bool:
    return (folder / "index.csv").is_file() and (folder / "label.csv").is_file()
