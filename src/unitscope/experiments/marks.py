"""What people who looked at units marked them as: a file that is written anew with every mark."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from unitscope.errors import RunError, UsageError
from unitscope.files import write_whole
from unitscope.tables import Table

Mark = Literal["artifact", "fine", "unsure"]
MARKS: tuple[Mark, ...] = get_args(Mark)
FILE = "marks.csv"
_COLUMNS = ("unit", "mark")


def read_marks(path: Path) -> dict[int, Mark]:
    """The marks of a file, by unit; none where there is no file. Raises `RunError` for a broken one."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        if rows and tuple(rows[0]) != _COLUMNS:
            raise ValueError(f"its columns are {', '.join(rows[0])}")
        return {int(unit): parse_mark(mark) for unit, mark in rows[1:]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, UsageError) as error:
        wanted = f"a table of {' and '.join(_COLUMNS)} was wanted"
        raise RunError(f"cannot read marks of {path} ({error}); {wanted}") from error


def write_marks(path: Path, marks: Mapping[int, Mark]) -> Path:
    """Writes the marks by unit, in their order; the path. Raises `RunError` where they cannot be written."""
    return write_whole(path, Table(_COLUMNS, tuple(sorted(marks.items())), left=(1,)).csv())


def parse_mark(text: object) -> Mark:
    """A mark by its name. Raises `UsageError` for others.

    >>> parse_mark("fine")
    'fine'
    """
    for mark in MARKS:
        if mark == text:
            return mark
    raise UsageError(f"a unit cannot be marked {text!r}; wanted {', '.join(MARKS)}")


def find_marked(path: Path, mark: Mark = "artifact") -> tuple[int, ...]:
    """The units with a mark. Raises `UsageError` where there are none, `RunError` for a broken file."""
    found = tuple(sorted(unit for unit, given in read_marks(path).items() if given == mark))
    if not found:
        raise UsageError(f"no unit of {path} is marked {mark}; mark some with `unitscope mark`")
    return found
