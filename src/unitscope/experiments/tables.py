"""Tables as CSV: rows of text, the first of them the head."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from unitscope.errors import writing
from unitscope.tables import guard_cell

Cells = list[str]


def write_tables(out: Path, tables: Mapping[str, Iterable[Cells]]) -> list[Path]:
    """Writes every table into the folder `out`, which is made, by its file's name; their paths.

    Raises `RunError` where they cannot be written.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, rows in tables.items():
            with (out / name).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
    return [out / name for name in tables]


def write_text(path: Path, text: str) -> None:
    """Writes a text file into a folder, which is made. Raises `RunError` where it cannot be written."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def lay_out(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> Iterator[Cells]:
    """Records as a table: the columns, then a row a record, numbers to six digits, names guarded for sheets.

    >>> list(lay_out(["unit", "iou"], [{"unit": "=1", "iou": 1 / 3}, {"unit": 2, "iou": None}]))
    [['unit', 'iou'], ["'=1", '0.333333'], ['2', '']]
    """
    yield list(columns)
    for row in rows:
        yield [_spell(row[column]) for column in columns]


def _spell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return short(value)
    return guard_cell(value) if isinstance(value, str) else str(value)


def short(value: float) -> str:
    """A number to six digits, empty where there is none.

    >>> short(1 / 3), short(float("nan"))
    ('0.333333', '')
    """
    return "" if math.isnan(value) else f"{value:.6g}"
