"""The tables of a union, written as Broden's are: index.csv, label.csv, category.csv, c_CATEGORY.csv.

Older tools take a cell for a number only where it has digits and at most one point, so that `5e-05`
stays a text: coverages are plain decimals here.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from unitscope.concepts.formats.broden_tables import INDEX_COLUMNS
from unitscope.concepts.union.label_numbers import DIGITS, Label, Share, order_categories


def write_labels(folder: Path, labels: Sequence[Label], images: dict[str, int]) -> tuple[str, ...]:
    """Writes label.csv, category.csv and one c_CATEGORY.csv a category; returns the categories in order.

    `images` says how many images have a label of a category.
    """
    categories = order_categories(label.shares for label in labels)
    rows = ((label.number, label.name, _own(label), *_cells(label.total), _others(label)) for label in labels)
    _write(folder / "label.csv", ("number", "name", "category", "frequency", "coverage", "syns"), rows)
    _write(
        folder / "category.csv",
        ("name", "first", "last", "count", "frequency"),
        (_category(name, [label for label in labels if name in label.shares], images) for name in categories),
    )
    for name in categories:
        own = sorted(
            (label for label in labels if name in label.shares), key=lambda label: _rank(label, name)
        )
        _write(
            folder / f"c_{name}.csv",
            ("code", "number", "name", "frequency", "coverage"),
            (
                (code, label.number, label.name, *_cells(label.shares[name]))
                for code, label in enumerate(own, 1)
            ),
        )
    return categories


def write_index(folder: Path, categories: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes index.csv, with one column a category after `INDEX_COLUMNS`."""
    _write(folder / "index.csv", (*INDEX_COLUMNS, *categories), rows)


def write_readme(
    folder: Path,
    sources: Mapping[str, int],
    labels: Sequence[Label],
    size: int | None,
    minimum: tuple[int, float],
) -> None:
    """Writes README.txt: what the set was made of, and what a reader has to know."""
    listed = "\n".join(f"  {name}: {images} images" for name, images in sources.items())
    merged = "\n".join(f"  {label.name}: {', '.join(label.others)}" for label in labels if label.others)
    text = _README.format(
        sources=listed,
        merged=merged or "  none",
        labels=len(labels),
        images=sum(sources.values()),
        stored=f"stretched to {size} x {size} pixels, JPEG" if size else "as they were",
        min_images=minimum[0],
        min_coverage=minimum[1],
    )
    (folder / "README.txt").write_text(text, encoding="utf-8")


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _cells(share: Share) -> tuple[str, str]:
    return str(share.images), f"{share.coverage:.{DIGITS}f}"


def _rank(label: Label, category: str) -> tuple[int, float, int]:
    share = label.shares[category]
    return -share.images, -share.coverage, label.number


def _own(label: Label) -> str:
    shares = sorted(label.shares.items(), key=lambda item: (-item[1].images, item[0]))
    return ";".join(f"{category}({share.images})" for category, share in shares)


def _others(label: Label) -> str:
    return ";".join(label.others)


def _category(name: str, own: Sequence[Label], images: dict[str, int]) -> tuple[object, ...]:
    return name, own[0].number, own[-1].number, len(own), images[name]


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
