"""A table, written once: text for a terminal, Markdown, CSV, and records for JSON and pandas."""

import csv
import io
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unitscope.errors import missing_extra
from unitscope.files import write_whole

Cells = list[str]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_WIDEST = 60


@dataclass(frozen=True)
class Table:
    """Named columns and rows of equal length.

    Cells are texts, numbers, or None where there is none. `left` says which columns are flush left where
    people read them, by place; the others, numbers, are flush right. Numbers have so many significant
    `digits`, all of them for None.

    >>> table = Table(("unit", "concept", "iou"), ((3, "sky", 0.25), (7, None, float("nan"))), left=(1,))
    >>> print(table.text())
    unit  concept   iou
       3  sky      0.25
       7
    >>> print(table.markdown())
    | unit | concept | iou |
    |---:|---|---:|
    | 3 | sky | 0.25 |
    | 7 |  |  |
    >>> table.records()[1]
    {'unit': 7, 'concept': None, 'iou': None}
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    left: Collection[int] = (0,)
    digits: int | None = 6

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> "Table":
        """The columns named, of mappings; columns of texts are flush left.

        >>> Table.of([{"unit": 1, "concept": "sky", "iou": 0.5}], ["concept", "unit"]).rows
        (('sky', 1),)
        """
        rows = tuple(tuple(record[column] for column in columns) for record in records)
        columns_of = enumerate(zip(*rows, strict=True))
        left = [place for place, cells in columns_of if any(isinstance(cell, str) for cell in cells)]
        return cls(tuple(columns), rows, left)

    def extend(self, column: str, cells: Iterable[str]) -> "Table":
        """The same with a column of texts more, a cell a row.

        >>> Table(("unit",), ((3,),)).extend("head_unit", ["0.3"]).records()
        [{'unit': 3, 'head_unit': '0.3'}]
        """
        rows = tuple((*row, cell) for row, cell in zip(self.rows, cells, strict=True))
        left = (*self.left, len(self.columns))
        return Table((*self.columns, column), rows, left, self.digits)

    def text(self) -> str:
        """The table in columns two spaces apart, for a terminal."""
        return align([self.columns, *self._spelled()], self.left)

    def markdown(self) -> str:
        """The table in Markdown."""
        rules = ["---" if place in self.left else "---:" for place in range(len(self.columns))]
        rows = [self.columns, *self._spelled()]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([lines[0], f"|{'|'.join(rules)}|", *lines[1:]])

    def cells(self) -> Iterator[Cells]:
        """The rows as they stand in a CSV file, the names of the columns first.

        A text that a sheet would take for a formula is guarded.
        """
        yield [guard_cell(name) for name in self.columns]
        for row, cells in zip(self.rows, self._spelled(), strict=True):
            yield [guard_cell(t) if isinstance(cell, str) else t for cell, t in zip(row, cells, strict=True)]

    def _spelled(self) -> Iterator[Cells]:
        for row in self.rows:
            spelled = (short(cell, self.digits) if isinstance(cell, float) else cell for cell in row)
            yield ["" if cell is None else str(cell) for cell in spelled]

    def csv(self) -> str:
        """The table as CSV."""
        return spell_csv(self.cells())

    def records(self) -> list[dict[str, Any]]:
        """A mapping a row, ready for JSON: None for a number that is none."""
        return [
            {name: plain(cell) for name, cell in zip(self.columns, row, strict=True)} for row in self.rows
        ]

    def to_frame(self) -> Any:
        """The table as a pandas.DataFrame. Raises `UsageError` where pandas is missing."""
        return make_frame([dict(zip(self.columns, row, strict=True)) for row in self.rows], self.columns)


def make_frame(records: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> Any:
    """Records as a pandas.DataFrame. Raises `UsageError` where pandas is missing."""
    try:
        import pandas
    except ImportError as error:
        raise missing_extra("pandas", "makes data frames", "frames") from error
    return pandas.DataFrame.from_records(list(records), columns=columns)


def align(rows: Sequence[Sequence[str]], left: Collection[int]) -> str:
    """Rows as columns two spaces apart, the columns in `left` flush left, the others right.

    >>> print(align([["unit", "IoU"], ["cat", "0.1"]], left=(0,)))
    unit  IoU
    cat   0.1
    """
    cleaned = [[clean(cell, _WIDEST) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cleaned, strict=True)]
    lines = []
    for row in cleaned:
        pairs = enumerate(zip(row, widths, strict=True))
        lines.append("  ".join(f"{c:<{w}}" if place in left else f"{c:>{w}}" for place, (c, w) in pairs))
    return "\n".join(line.rstrip() for line in lines)


def clean(text: str, letters: int | None = 32) -> str:
    """The text in one line without control characters, which a terminal might obey, shortened.

    >>> clean("a\\x1b[31m\\nb"), clean("a long name", 6)
    ('a?[31m?b', 'a l...')
    """
    safe = "".join(letter if letter.isprintable() else "?" for letter in text)
    return safe if letters is None or len(safe) <= letters else safe[: letters - 3] + "..."


def guard_cell(text: str) -> str:
    """The text with an apostrophe in front where it has one, or a spreadsheet would take it for a formula.

    >>> guard_cell("=1+1"), guard_cell("cat")
    ("'=1+1", 'cat')
    """
    return "'" + text if text.startswith(_FORMULA) else text


def short(value: float, digits: int | None = 6) -> str:
    """A number to six digits, or others, all for None; empty where there is none.

    >>> short(1 / 3), short(1 / 3, 2), short(float("nan"))
    ('0.333333', '0.33', '')
    """
    if math.isnan(value):
        return ""
    return repr(float(value)) if digits is None else f"{value:.{digits}g}"


def plain(value: Any) -> Any:
    """A value of mappings, sequences and numbers with None for every number that is none, ready for JSON.

    >>> plain({"iou": (0.5, float("nan")), "unit": 3})
    {'iou': [0.5, None], 'unit': 3}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    return value


def spell_csv(rows: Iterable[Sequence[str]]) -> str:
    """Rows of text as CSV, one line each.

    >>> spell_csv([["unit", "concept"], ["3", "a, b"]])
    'unit,concept\\n3,"a, b"\\n'
    """
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()


def write_tables(out: Path, tables: Mapping[str, "Table | Iterable[Cells]"]) -> list[Path]:
    """Writes every table as CSV into the folder `out`, which is made, by its file's name; their paths.

    Raises `RunError` where they cannot be written.
    """
    for name, table in tables.items():
        rows = table.cells() if isinstance(table, Table) else table
        write_whole(out / name, spell_csv(rows))
    return [out / name for name in tables]
