"""Several sources as one densely labelled set, on disk in Broden's format.

What the authors of Network Dissection did to make Broden (Bau, Zhou, Khosla, Oliva, Torralba, CVPR 2017,
section 2.1, and their code), for any sources: names are merged (`unitscope.concepts.union.synonyms`), every
pixel gets one of 11 color names (`unitscope.concepts.union.colors`), rare labels are dropped, and what is
left is numbered by frequency (`unitscope.concepts.union.label_numbers`).
"""

import hashlib
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unitscope.axes import Pixels
from unitscope.concepts.derived import walk
from unitscope.concepts.formats.stored.pictures import read_image
from unitscope.concepts.frames import Frame, show_bands
from unitscope.concepts.union import broden_writer
from unitscope.concepts.union.broden_writer import StemNames, distinct_name, safe_name
from unitscope.concepts.union.colors import COLOR_CONCEPTS, name_colors
from unitscope.concepts.union.label_numbers import Census, Label, number_labels, settle_planes
from unitscope.concepts.union.recoding import Recoding, Spool, Stored, check_categories, recode_source
from unitscope.concepts.union.synonyms import open_thesaurus
from unitscope.concepts.vocabulary import ConceptSource, Example
from unitscope.errors import RunError, SourceError, UnitscopeError, UsageError, writing
from unitscope.progress import follow, follow_each
from unitscope.results import Result
from unitscope.tables import Table

TRAIN_SHARE = 0.7
"""The share of images in the split `train`; the others are `val`."""

_QUALITY = 95
_COPIED = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True)
class Summary(Result):
    """What a union holds.

    `sources` is images by source, `concepts` labels by primary category, `merged` the names that a label
    stands for besides its own, `dropped` the images of every name that was too rare. `void` images had pixels
    of unknown truth, which are unlabelled in the union.
    """

    folder: Path
    images: int
    train: int
    sources: dict[str, int]
    concepts: dict[str, int]
    merged: dict[str, tuple[str, ...]]
    dropped: dict[str, int]
    void: int = 0

    def tables(self) -> dict[str, Table]:
        """Images by source, concepts by category, and images of the names that were dropped."""
        return {
            "sources.csv": Table(("source", "images"), tuple(self.sources.items())),
            "concepts.csv": Table(("category", "concepts"), tuple(self.concepts.items())),
            "dropped.csv": Table(("name", "images"), tuple(self.dropped.items())),
        }

    def text(self) -> str:
        """The summary in a few lines for a terminal."""
        lines = [f"{self.folder}: {self.images:,} images, {self.train:,} of them in split train"]
        lines += [f"  {count:6,} images of {name}" for name, count in self.sources.items()]
        lines += [f"  {count:6,} concepts of category {name}" for name, count in self.concepts.items()]
        lines.append(f"  {len(self.dropped):6,} names were too rare")
        if self.void:
            lines.append(f"  {self.void:6,} images had void pixels, which are unlabelled here")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Row:
    image: str
    stem: str
    size: tuple[int, int]
    mask_size: tuple[int, int]
    planes: dict[str, Stored]
    whole: dict[str, tuple[int, ...]]
    void: bool


def unite_sources(
    sources: Sequence[ConceptSource],
    out: str | Path,
    *,
    names: Sequence[str] | None = None,
    min_images: int = 10,
    min_coverage: float = 0.5,
    size: int | None = 224,
    split_seed: int = 0,
    synonyms: Mapping[str, Sequence[str]] | str | Path | None = None,
) -> Summary:
    """Unites sources into one set in the folder `out`, in the format of Broden.

    - Names are folded, positional adjectives dropped, synonyms merged: by a short built-in list and by
      `synonyms`, a mapping `{name: [other names]}` or a JSON file of one. Scenes end in `-s`, colors in
      `-c`. A name in two categories is one label in both.
    - Every pixel of every image gets a color name, taken from the mean color of its mask cell; color
      labels of the sources are replaced by these.
    - Labels of fewer than `min_images` images, or that cover less than `min_coverage` whole images in
      sum, are dropped. The rest is numbered by frequency, then coverage.
    - Images are stretched to `size` x `size` and stored as JPEG; with `size=None` files are copied, or
      stored as PNG where a source has no JPEG or PNG file. Label masks have half the image's size.
    - The split and the order of the images follow from the MD5 of their paths (and `split_seed`, if not
      0), so they do not change when a source is added.
    - The format has no void: pixels of unknown truth become unlabelled, so a unit that is active there
      is counted as being wrong.

    `names` of the sources are those of their folders by default. The result appears in `out` only when
    it is complete. Memory grows with the number of images, not with their pixels.

    Raises `UsageError` for arguments out of range, `RunError` where `out` holds something or cannot be
    written, and `SourceError` where an image cannot be read (nothing is written then) or no label is
    frequent enough.

    >>> from unitscope.concepts.vocabulary import Concept, Vocabulary
    >>> class Skies:
    ...     vocabulary = Vocabulary((Concept(1, "Sky", "object"),))
    ...     def __len__(self):
    ...         return 12
    ...     def __getitem__(self, index):
    ...         image = np.full((40, 60, 3), (135, 206, 235), np.uint8)
    ...         return Example(f"{index}.png", image, np.ones((1, 40, 60), np.uint16))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     summary = unite_sources([Skies()], Path(folder) / "union", size=32)
    ...     sorted(path.name for path in summary.folder.iterdir())
    ['README.txt', 'c_color.csv', 'c_object.csv', 'category.csv', 'images', 'index.csv', 'label.csv']
    >>> summary.images, summary.concepts
    (12, {'color': 1, 'object': 1})
    """
    out = Path(out)
    _check_arguments(sources, out, names, min_images, min_coverage, size)
    thesaurus = open_thesaurus(synonyms)
    census = Census()
    colors = np.array([0, *(census.enter(color.name, color.name) for color in COLOR_CONCEPTS)], np.uint32)
    recodings = [
        recode_source(source.vocabulary, name, census, thesaurus)
        for source, name in zip(sources, _name_sources(sources, names), strict=True)
    ]
    check_categories(recodings)
    with writing(out, "nothing was kept; make room or name another folder"):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
            folder = Path(scratch) / "union"
            (folder / "images").mkdir(parents=True)
            with (Path(scratch) / "planes").open("w+b") as file:
                spool = Spool(file)
                rows = _gather(sources, recodings, colors, census, spool, folder / "images", size)
                labels = number_labels(census, min_images, min_coverage)
                named = any(recoding.categories for recoding in recodings)
                if not labels or (named and all(set(label.shares) == {"color"} for label in labels)):
                    raise SourceError(
                        f"no concept of the sources is in at least {min_images} images and covers "
                        f"{min_coverage} whole images in sum; lower the minimum, or add images"
                    )
                rows.sort(key=lambda row: _hash(row.image, split_seed))
                train = _write_masks(rows, labels, census, spool, folder, split_seed)
            kept = {label.name for label in labels}
            counted = Counter(row.image.partition("/")[0] for row in rows)
            summary = Summary(
                out,
                len(rows),
                train,
                {recoding.name: counted[recoding.name] for recoding in recodings},
                dict(sorted(Counter(label.primary for label in labels).items())),
                {label.name: label.others for label in labels if label.others},
                {
                    n: found
                    for n, code in census.codes.items()
                    if (found := census.totals[code]) and n not in kept
                },
                sum(row.void for row in rows),
            )
            broden_writer.write_readme(folder, summary.sources, labels, size, (min_images, min_coverage))
            if out.exists():
                out.rmdir()
            folder.rename(out)
    return summary


def _check_arguments(
    sources: Sequence[ConceptSource],
    out: Path,
    names: Sequence[str] | None,
    min_images: int,
    min_coverage: float,
    size: int | None,
) -> None:
    if not sources:
        raise UsageError("nothing to unite; name at least one source, such as folder:DIR")
    if names is not None and len(names) != len(sources):
        raise UsageError(f"{len(names)} names for {len(sources)} sources; give one name a source")
    if min_images < 0 or not min_coverage >= 0:
        minimum = f"{min_images} images and a coverage of {min_coverage}"
        raise UsageError(f"the minimum is {minimum}; wanted 0 or more")
    if size is not None and not 2 <= size <= 65_500:
        raise UsageError(f"images of {size} pixels; wanted a size from 2 to 65500")
    if not any(len(source) for source in sources):
        raise SourceError("the sources hold no images; there is nothing to unite")
    if out.is_dir() and any(out.iterdir()):
        raise RunError(f"{out} is not empty; choose another folder, or remove it first")
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; choose the name of a folder")


def _name_sources(sources: Sequence[ConceptSource], names: Sequence[str] | None) -> list[str]:
    taken: set[str] = set()
    wanted = names if names is not None else [_find(source, "name") or "source" for source in sources]
    return [distinct_name(safe_name(str(name)).replace(".", "_"), taken) for name in wanted]


def _find(source: ConceptSource, attribute: str) -> Any:
    """The attribute of a source, or of the nearest one that it is made from and that has it."""
    return next((getattr(one, attribute) for one in walk(source) if hasattr(one, attribute)), None)


def _gather(
    sources: Sequence[ConceptSource],
    recodings: Sequence[Recoding],
    colors: np.ndarray,
    census: Census,
    spool: Spool,
    images: Path,
    size: int | None,
) -> list[_Row]:
    """Stores the images, counts their labels, and puts the planes aside."""
    stems = StemNames({category for recoding in recodings for category in recoding.categories} | {"color"})
    rows: list[_Row] = []
    with follow(sum(map(len, sources)), "uniting") as work:
        for source, recoding in zip(sources, recodings, strict=True):
            for example in _read_examples(source, recoding.name):
                height, width = example.image.shape[:2] if size is None else (size, size)
                frame = Frame((height, width), (max(1, height // 2), max(1, width // 2)))
                fitted = frame.fit(example)
                stem = stems.place(recoding.name, example.key)
                image = stem + _store_image(source, example, fitted, images / stem, size)
                labels = recoding.split(fitted)
                # A mask cell has the color of the mean of its pixels.
                small = Image.fromarray(fitted.image).resize(frame.mask_size[::-1], Image.Resampling.BOX)
                labels["color"] = (colors[name_colors(np.asarray(small))][None], ())
                census.count(labels)
                planes = {name: spool.put(planes) for name, (planes, _) in labels.items() if len(planes)}
                whole = {name: ids for name, (_, ids) in labels.items() if ids}
                void = example.void is not None and bool(example.void.any())
                rows.append(_Row(image, stem, frame.size, frame.mask_size, planes, whole, void))
                work.update()
    return rows


def _read_examples(source: ConceptSource, name: str) -> Iterator[Example]:
    for index in range(len(source)):
        try:
            example = source[index]
            yield replace(example, image=show_bands(example.image))
        except (UnitscopeError, OSError) as error:
            raise SourceError(f"{name}, image {index}: {error}; nothing was written") from error


def _store_image(
    source: ConceptSource, example: Example, fitted: Example, stem: Path, size: int | None
) -> str:
    stem.parent.mkdir(parents=True, exist_ok=True)
    if size is not None:
        Image.fromarray(fitted.image).save(f"{stem}.jpg", quality=_QUALITY)
        return ".jpg"
    root = getattr(_find(source, "pictures"), "root", None) or _find(source, "root")
    for path in (root / example.key, root / "images" / example.key) if isinstance(root, Path) else ():
        ending = path.suffix.lower()
        if ending in _COPIED and path.is_file() and _reads_as(path, example.image):
            shutil.copyfile(path, f"{stem}{ending}")
            return ending
    Image.fromarray(example.image).save(f"{stem}.png")
    return ".png"


def _reads_as(path: Path, image: Pixels) -> bool:
    """Whether a file gives that picture without any option, as one copied from it will be read."""
    try:
        return np.array_equal(read_image(path), image)
    except SourceError:
        return False


def _hash(image: str, seed: int) -> str:
    text = f"{seed}:{image}" if seed else image
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _write_masks(
    rows: Sequence[_Row], labels: Sequence[Label], census: Census, spool: Spool, folder: Path, seed: int
) -> int:
    """Writes label files and tables; returns how many images are for training."""
    numbers = np.zeros(len(census.codes) + 1, np.uint32)
    for label in labels:
        numbers[census.codes[label.name]] = label.number
    lines: list[tuple[tuple[str | int, ...], dict[str, str]]] = []
    splits: Counter[str] = Counter()
    images: Counter[str] = Counter()
    for row in follow_each(rows, "labelling"):
        split = "train" if int(_hash(row.image, seed), 16) < TRAIN_SHARE * 2**128 else "val"
        cells = _write_cells(row, numbers, spool, folder / "images")
        splits[split] += 1
        images.update(cells.keys())
        lines.append(((row.image, split, *row.size, *row.mask_size), cells))
    categories = broden_writer.write_labels(folder, labels, images)
    filled = ((*facts, *(cells.get(name, "") for name in categories)) for facts, cells in lines)
    broden_writer.write_index(folder, categories, filled)
    return splits["train"]


def _write_cells(row: _Row, numbers: np.ndarray, spool: Spool, images: Path) -> dict[str, str]:
    """The cells of a row that are not empty, by category; writes the label files they name."""
    cells: dict[str, list[str]] = defaultdict(list)
    for category, ids in row.whole.items():
        cells[category] += [str(numbers[code]) for code in ids if numbers[code]]
    for category, stored in row.planes.items():
        planes = settle_planes(numbers[spool.get(stored)])
        for place, plane in enumerate(planes, start=1):
            name = f"{row.stem}_{category}_{place}.png" if len(planes) > 1 else f"{row.stem}_{category}.png"
            picture = np.stack([plane % 256, plane // 256, np.zeros_like(plane)], -1).astype(np.uint8)
            Image.fromarray(picture).save(images / name)
            cells[category].append(name)
    return {category: ";".join(items) for category, items in cells.items() if items}
