"""Lists in text files beside a data set: the members of a split, and the names of classes by number."""

import re
from collections.abc import Sized
from pathlib import Path

from unitscope.concepts.formats.mask_values import COUNT
from unitscope.concepts.vocabulary import MAX_ID
from unitscope.errors import SourceError

LIMIT = 16_000_000
"""The largest such file, in bytes."""
LINES = 1_000_000
"""And in lines."""

_NUMBERED = re.compile(r"(\d+)\s*:\s*(\S.*)")
_DIGITS = 5


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file without the space around them, empty ones too; none of what is no text.

    Raises `SourceError` naming the file where it cannot be read, or is too large for a list.
    """
    try:
        if path.stat().st_size > LIMIT:
            raise SourceError(f"{path}: larger than {LIMIT // 1_000_000} MB; wanted a list, one name a line")
        text = path.read_text(encoding="utf-8-sig")
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
    """The name of every number: by its place from 0 on, one name a line, or as the lines say, `1: name`.

    Raises `SourceError` naming the file where there is no name, or a number is named twice or too large for
    a mask.

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
    pairs = [_NUMBERED.fullmatch(line) for line in lines]
    if not any(pairs):
        if "" in lines:
            place = lines.index("") + 1
            raise SourceError(f"{path}, line {place}: empty, so the numbers after it are in doubt; remove it")
        check_count(path, lines)
        return dict(enumerate(lines))
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
