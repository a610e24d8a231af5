"""Broden's tables on disk: index.csv, label.csv, category.csv and one c_CATEGORY.csv a category.

An error in a row names the file and the line. Names are only data here, whatever they look like.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from unitscope.concepts.vocabulary import MAX_ID
from unitscope.errors import SourceError

INDEX_COLUMNS = ("image", "split", "ih", "iw", "sh", "sw")


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One image of index.csv: (height, width) of image and labels, label files and image-level numbers.

    `files` are paths relative to images/, in the order of the categories and of the cells.
    """

    image: str
    split: str
    size: tuple[int, int]
    mask_size: tuple[int, int]
    files: tuple[str, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table as a mapping, which knows where it stands."""

    path: Path
    number: int
    cells: dict[str, str]

    def error(self, what: str) -> SourceError:
        """The error that `what` is wrong in this line."""
        return SourceError(f"{self.path}, line {self.number}: {what}")

    def integer(self, column: str, highest: int = 2**31 - 1) -> int:
        """The cell as a number from 0 to `highest`; raises `SourceError` where it is none."""
        number = self.decimal(column)
        if not number.is_integer() or not 0 <= number <= highest:
            raise self.error(f"{column} is {self.cells[column]!r}; wanted a whole number from 0 to {highest}")
        return int(number)

    def decimal(self, column: str) -> float:
        """The cell as a finite number, `5e-05` included; raises `SourceError` where it is none."""
        try:
            number = float(self.cells[column])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.error(f"{column} is {self.cells[column]!r}; wanted a number")
        return number


def read_table(path: Path, columns: tuple[str, ...]) -> Iterator[Line]:
    """The rows of a CSV file with a header that holds at least `columns`; empty lines are skipped.

    Raises `SourceError` naming the file and the line that cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header: list[str] = next(reader, [])
            missing = [column for column in columns if column not in header]
            if missing:
                found = ",".join(header)
                raise SourceError(f"{path}, line 1: there is no column {missing[0]!r}; found {found!r}")
            for cells in filter(None, reader):
                line = Line(path, reader.line_num, dict(zip(header, cells, strict=False)))
                if len(cells) != len(header):
                    raise line.error(f"{len(cells)} cells, but the header has {len(header)}")
                yield line
    except FileNotFoundError:
        raise SourceError(f"{path}: the file is missing; Broden needs it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({error})") from None
    except csv.Error as error:
        raise SourceError(f"{path}, line {reader.line_num}: not CSV ({error})") from None


def read_categories(root: Path) -> tuple[str, ...]:
    """The categories of category.csv in their order, which settles ties of the primary category."""
    lines = list(read_table(root / "category.csv", ("name",)))
    names = tuple(line.cells["name"] for line in lines)
    for place, line in enumerate(lines):
        if not names[place] or names[place] in names[:place]:
            raise line.error(f"the category {names[place]!r} is empty or given twice")
        if "/" in names[place] or "\\" in names[place]:
            raise line.error(f"the category {names[place]!r} cannot be part of a file name")
    if not names:
        raise SourceError(f"{root / 'category.csv'}: no categories are listed")
    return names


def read_labels(root: Path) -> dict[int, str]:
    """The names of label.csv by number, gaps kept; number 0 (no label) is left out."""
    names: dict[int, str] = {}
    for line in read_table(root / "label.csv", ("number", "name")):
        number = line.integer("number", MAX_ID)
        if number in names:
            raise line.error(f"number {number} is listed twice, as {names[number]!r} before")
        if number:
            names[number] = line.cells["name"]
    if not names:
        raise SourceError(f"{root / 'label.csv'}: no labels are listed")
    return names


def read_coverage(root: Path, category: str) -> dict[int, float]:
    """Coverage by label number in one category, in whole images, from c_CATEGORY.csv."""
    lines = read_table(root / f"c_{category}.csv", ("number", "coverage"))
    pairs = ((line.integer("number", MAX_ID), line) for line in lines)
    return {number: line.decimal("coverage") for number, line in pairs if number}


def read_index(root: Path, categories: tuple[str, ...]) -> list[IndexRow]:
    """The images of index.csv with their labels in `categories`, in the order of the file.

    Raises `SourceError` naming the line where a row cannot be read or an image occurs twice.
    """
    rows: dict[str, IndexRow] = {}
    for line in read_table(root / "index.csv", INDEX_COLUMNS + categories):
        row = _read_index_row(line, categories)
        if rows.setdefault(row.image, row) is not row:
            raise line.error(f"the image {row.image!r} is listed twice")
    return list(rows.values())


def _read_index_row(line: Line, categories: tuple[str, ...]) -> IndexRow:
    files: list[str] = []
    numbers: list[int] = []
    for category in categories:
        for item in filter(None, (item.strip() for item in line.cells[category].split(";"))):
            if not (item.isascii() and item.isdigit()):
                files.append(_inside(line, item))
            elif len(item) > 5 or int(item) > MAX_ID:
                raise line.error(f"label {item} in {category!r} is above {MAX_ID}")
            elif int(item):
                numbers.append(int(item))
    mask_size = (line.integer("sh"), line.integer("sw"))
    if files and not all(mask_size):
        raise line.error(f"sh x sw is {mask_size[0]}x{mask_size[1]}, but there are label files")
    return IndexRow(
        _inside(line, line.cells["image"]),
        line.cells["split"],
        (line.integer("ih"), line.integer("iw")),
        mask_size,
        tuple(files),
        tuple(dict.fromkeys(numbers)),
    )


def _inside(line: Line, name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise line.error(f"{name!r} is not the path of a file inside images/")
    return name
