"""What a union puts on disk: names of files, and tables as Broden's (index, label, category, c_CATEGORY).

Older tools take a cell for a number only where it has digits and at most one point, so that `5e-05`
stays a text: coverages are plain decimals here.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from unitscope.concepts.formats.broden.tables import INDEX_COLUMNS
from unitscope.concepts.union.label_numbers import DIGITS, Label, Share, order_categories
from unitscope.tables import spell_csv

_LONGEST = 120


def safe_name(text: str) -> str:
    """The text as one part of a path: letters, digits, `.`, `-` and `_`, no hidden name, not too long.

    >>> safe_name("a b;c"), safe_name(".."), safe_name("left.png")
    ('a_b_c', '_', 'left.png')
    """
    name = re.sub(r"[^\w.\-]+", "_", text).strip(".") or "_"
    if len(name.encode()) > _LONGEST:
        digest = hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        name = name.encode()[: _LONGEST - 33].decode(errors="ignore") + "-" + digest
    return name


def distinct_name(name: str, taken: set[str]) -> str:
    """The name, or the first of `name-2`, `name-3`... that is not yet in `taken`, which it joins.

    Upper and lower case count as equal, as on some file systems.

    >>> taken = set()
    >>> [distinct_name(name, taken) for name in ("a", "A", "a")]
    ['a', 'A-2', 'a-3']
    """
    candidate, number = name, 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate.lower())
    return candidate


@dataclass
class StemNames:
    """Where the files of one image go: a path without suffix that no other image's files can meet.

    Label files are called `STEM_CATEGORY.png`, so no stem ends like one.
    """

    categories: Iterable[str]
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        names = "|".join(map(re.escape, self.categories))
        self._label = re.compile(rf"_({names})(_\d+)?$", re.IGNORECASE)

    def place(self, source: str, key: str) -> str:
        """The stem of the image `key` of a source.

        >>> stems = StemNames(["color"])
        >>> [stems.place("dtd", key) for key in ("knit/1.jpg", "knit/1.png", "a_color.png", "../b")]
        ['dtd/knit/1', 'dtd/knit/1-2', 'dtd/a_color-', 'dtd/_/b']
        """
        path = PurePosixPath(key.replace("\\", "/"))
        folders = [safe_name(part).replace(".", "_") for part in path.parent.parts if part not in ("/", ".")]
        stem = safe_name(path.stem)
        if self._label.search(stem):
            stem += "-"
        return distinct_name("/".join([source, *folders, stem]), self.taken)


def write_labels(folder: Path, labels: Sequence[Label], images: dict[str, int]) -> tuple[str, ...]:
    """Writes label.csv, category.csv and one c_CATEGORY.csv a category; returns the categories in order.

    `images` says how many images have a label of a category.
    """
    categories = order_categories(label.shares for label in labels)
    heads, rows = [], []
    for label in labels:
        shares = sorted(label.shares.items(), key=lambda item: (-item[1].images, item[0]))
        spelled = ";".join(f"{category}({share.images})" for category, share in shares)
        heads.append((str(label.number), label.name, spelled, *_cells(label.total), ";".join(label.others)))
    _write(folder / "label.csv", ("number", "name", "category", "frequency", "coverage", "syns"), heads)
    for name in categories:
        listed = [(label.shares[name], label) for label in labels if name in label.shares]
        ends = (listed[0][1].number, listed[-1][1].number)
        rows.append((name, *map(str, (*ends, len(listed), images[name]))))
        ranked = sorted(listed, key=lambda pair: (-pair[0].images, -pair[0].coverage, pair[1].number))
        cells = (
            (str(code), str(label.number), label.name, *_cells(share))
            for code, (share, label) in enumerate(ranked, 1)
        )
        _write(folder / f"c_{name}.csv", ("code", "number", "name", "frequency", "coverage"), cells)
    _write(folder / "category.csv", ("name", "first", "last", "count", "frequency"), rows)
    return categories


def write_index(folder: Path, categories: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes index.csv, with one column a category after `INDEX_COLUMNS`."""
    _write(folder / "index.csv", (*INDEX_COLUMNS, *categories), (list(map(str, row)) for row in rows))


def write_readme(
    folder: Path,
    sources: Mapping[str, int],
    labels: Sequence[Label],
    size: int | None,
    minimum: tuple[int, float],
) -> None:
    """Writes README.txt: what the set was made of, and how it is read."""
    merged = "\n".join(f"  {label.name}: {', '.join(label.others)}" for label in labels if label.others)
    text = _README.format(
        sources="\n".join(f"  {name}: {images} images" for name, images in sources.items()),
        merged=merged or "  none",
        labels=len(labels),
        images=sum(sources.values()),
        stored=f"stretched to {size} x {size} pixels, JPEG" if size else "as they were",
        min_images=minimum[0],
        min_coverage=minimum[1],
    )
    (folder / "README.txt").write_text(text, encoding="utf-8")


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    path.write_text(spell_csv([header, *rows]), encoding="utf-8", newline="")


def _cells(share: Share) -> tuple[str, str]:
    return str(share.images), f"{share.coverage:.{DIGITS}f}"


_README = """A densely labelled set of images in the format of Broden, made by unitscope.

{images} images ({stored}) with {labels} labels, from
{sources}

images/        images, and label masks of half their size. A label is R + 256 G, 0 is none, B is 0.
index.csv      one row an image: image, split, ih, iw (image size), sh, sw (mask size), then a cell a
               category. Items of a cell are separated by semicolons; an all-digit item is a label of the
               whole image, any other a mask. Rows are in the order of the MD5 of the image's path; the
               split (train 0.7, val 0.3) follows from it too.
label.csv      the labels by number; numbers are the same in every category. frequency is the number of
               images with the label; coverage its area, in whole images; syns the names merged into it.
category.csv   the categories. c_CATEGORY.csv: the labels of each, code being dense in it.

Labels of fewer than {min_images} images or of less coverage than {min_coverage} were dropped.

The format has no void: pixels whose truth is unknown in a source are unlabelled (0) here, so whatever is
found there counts as wrong.

Labels ending in -s are scenes, in -c colors. The color of a mask pixel is one of 11 names for the mean
color of its cell, given by rules in Oklab. They are not the published table that the original Broden
used, and near the borders between two names they can differ from it.

Names merged into a label:
{merged}
"""
