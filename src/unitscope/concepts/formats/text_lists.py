"""Lists in text files beside a data set: the members of a split, and the names of classes by number."""

import csv
import re
from collections.abc import Sequence, Sized
from pathlib import Path

from unitscope.concepts.formats.mask_values import COUNT
from unitscope.concepts.formats.plain_files import read_plain
from unitscope.concepts.vocabulary import MAX_ID
from unitscope.errors import SourceError

LIMIT = 16_000_000
"""The largest such file, in bytes."""
LINES = 1_000_000
"""And in lines."""

_NUMBERED = re.compile(r"(\d+)\s*:\s*(\S.*)")
_SPACED = re.compile(r"(\d+)(?:\s+|\s*,\s*)([^\s,].*)")
_ENDING = re.compile(r"(.*[^\s,\d])(?:\s+|\s*,\s*)(\d+)")
_NAMES = ("name", "names", "class", "label", "category")
_NUMBERS = ("id", "idx", "index", "number", "value", "class_id", "label_id")
_IGNORE = "__ignore__"
_DIGITS = 5


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file without the space around them, empty ones too; none of what is no text.

    Raises `SourceError` naming the file where it cannot be read, or is too large for a list.
    """
    try:
        text = read_plain(path, LIMIT, "list of names").decode("utf-8-sig")
    except FileNotFoundError:
        raise SourceError(f"{path}: the file is missing; restore it") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise SourceError(f"{path}: cannot be read as a list ({reason}); store it as UTF-8 text") from None
    lines = text.splitlines()
    if len(lines) > LINES:
        raise SourceError(f"{path}: {len(lines)} lines; wanted a list of up to {LINES}")
    return [line.strip() for line in lines]


def check_count(path: Path, names: Sized) -> None:
    """Raises `SourceError` naming the file where there are more names than concepts can have ids."""
    if len(names) > MAX_ID:
        raise SourceError(f"{path}: names {len(names)} classes; wanted up to {MAX_ID}")


def split_names(text: str) -> tuple[str, ...]:
    """The names in a text that has a comma and a space or a new line after each.

    >>> split_names("traffic light, car")
    ('traffic light', 'car')
    """
    return tuple(" ".join(text.split()).split(", "))


def read_names(path: Path) -> dict[int, str]:
    """The name of every number: by its place from 0 on, one name a line, or as all lines say, `1: name`.

    `1 name` and `1,name` are understood too, and columns below a line of titles (`id,name`), where one is
    called a name. Where the first line is `__ignore__`, labelme's name of -1, the next one is that of 0.

    Raises `SourceError` naming the file where there is no name, a number is named twice or too large for
    a mask, or lines end in numbers, which may be theirs or not.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "labels.txt"
    >>> _ = path.write_text("1: accordion\\n2: aeroplane\\n")
    >>> read_names(path)
    {1: 'accordion', 2: 'aeroplane'}
    """
    lines = read_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise SourceError(f"{path}: holds no names; wanted one a line, or lines such as '1: name'")
    lines = _choose_columns(path, lines)
    pairs = [_NUMBERED.fullmatch(line) for line in lines]
    if not any(pairs):
        pairs = _find_numbers(path, lines)
    if not any(pairs):
        return _number(path, lines)
    names: dict[int, str] = {}
    for place, (line, pair) in enumerate(zip(lines, pairs, strict=True), start=1):
        if pair is None and line:
            raise SourceError(f"{path}, line {place}: {line[:60]!r}; wanted a number and a name, '1: name'")
        if pair is not None and (len(pair[1]) > _DIGITS or int(pair[1]) >= COUNT):
            raise SourceError(f"{path}, line {place}: {line[:60]!r}; masks hold numbers up to {COUNT - 1}")
        if pair is not None and names.setdefault(int(pair[1]), pair[2]) != pair[2]:
            raise SourceError(f"{path}, line {place}: the number {int(pair[1])} is named twice; keep one")
    check_count(path, names)
    return names


def _number(path: Path, lines: list[str]) -> dict[int, str]:
    """Names by their places."""
    if "" in lines:
        place = lines.index("") + 1
        raise SourceError(f"{path}, line {place}: empty, so the numbers after it are in doubt; remove it")
    noted = next((place for place, line in enumerate(lines, start=1) if line.startswith("#")), None)
    if noted is not None:
        raise SourceError(f"{path}, line {noted}: {lines[noted - 1][:60]!r} counts as a name; remove it")
    check_count(path, lines)
    return dict(enumerate(lines[1:] if lines[0] == _IGNORE else lines))


def _find_numbers(path: Path, lines: list[str]) -> list[re.Match[str] | None]:
    """The numbers and names of lines that all begin with another number; else nothing."""
    before = [_SPACED.fullmatch(line) for line in lines]
    if _differ(before, 1):
        return list(before)
    behind = [_ENDING.fullmatch(line) for line in lines]
    if len(lines) > 1 and _differ(behind, 2) and _differ(behind, 1):
        raise SourceError(f"{path}: all lines end in a number, as in {lines[0][:60]!r}; write '1: name'")
    return []


def _differ(matches: Sequence[re.Match[str] | None], group: int) -> bool:
    return all(matches) and len({match[group] for match in matches if match}) == len(matches)


def _choose_columns(path: Path, lines: list[str]) -> list[str]:
    """Lines of number and name from a table with titles; all others as they are."""
    mark = "\t" if "\t" in lines[0] else ","
    titles = [title.strip().lower() for title in lines[0].split(mark)]
    place = next((titles.index(title) for title in _NAMES if title in titles[1:]), None)
    if place is None or titles[0] not in _NUMBERS:
        return lines
    rows = list(csv.reader(lines[1:], delimiter=mark))
    for line, row in enumerate(rows, start=2):
        if len(row) != len(titles) or not row[0].strip().isdigit():
            raise SourceError(f"{path}, line {line}: wanted {len(titles)} columns, the first a number")
    return [f"{row[0].strip()}: {row[place].strip()}" for row in rows]
