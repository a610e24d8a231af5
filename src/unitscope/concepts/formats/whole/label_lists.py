"""Lists of pictures with their labels: text with a line a picture, and tables.

In a table (`.csv`, `.tsv`, a tab or a comma behind the picture) a cell is a label. In other texts blanks
stand between labels. Where words may be one label or several, that is not guessed: see `split_labels`.
"""

import csv
import os
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unitscope.concepts.formats.file_names import cut_suffix, is_picture
from unitscope.concepts.formats.text_lists import read_lines
from unitscope.errors import SourceError, UsageError

WORDS = ("apart", "together")
"""Values of `words=`: whether several words are several labels, or one."""

_TITLED = re.compile(r"(image|img|picture|pic|photo|file|path|name|key|id|url)", re.IGNORECASE)
_LABELS = re.compile(r"(labels?|class(es)?|categor(y|ies)|tags?|attributes?)[ _-]?\d*", re.IGNORECASE)
_PLURAL = re.compile(r"labels|classes|categories|tags|attributes", re.IGNORECASE)
_OTHERS = re.compile(r"|id|index|idx|split|subset|fold|width|height|size", re.IGNORECASE)
"""Titles of columns that are no labels, if not named."""
_BETWEEN = re.compile(r"\s*(?:[|;]|,(?=\S))\s*")
_MARKS = {"0", "1", "-1"}


@dataclass(frozen=True)
class Listed:
    """A line: a picture, the cells that say what it shows, and the line's number.

    A cell of a table is one label unless its title has a plural; what stands behind a picture in other texts
    may be several.
    """

    picture: str
    cells: tuple[str, ...]
    line: int
    single: bool


class Pictures:
    """The pictures below a folder, found by what lists call them."""

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._roots = [f"{os.path.abspath(root)}/", f"{os.path.realpath(root)}/"]
        self._by_stem: dict[str, list[str]] | None = None

    def find(self, called: str) -> list[str]:
        """Those that may be meant, of which one without ending may be several."""
        if called in self.names:
            return [called]
        name = self.cut(called)
        for one in (name, name.replace("\\", "/")):
            if one in self.names:
                return [one]
        if not name or is_picture(name):
            return []
        if self._by_stem is None:
            self._by_stem = {}
            for one in sorted(self.names):
                stem = cut_suffix(one)
                for key in dict.fromkeys((stem, f"*/{stem.rpartition('/')[2]}")):
                    self._by_stem.setdefault(key, []).append(one)
        return self._by_stem.get(name) or self._by_stem.get(f"*/{name}", [])

    def cut(self, called: str) -> str:
        """What a list calls a picture, without what leads to the folder."""
        for root in self._roots:
            if called.startswith(root):
                return called[len(root) :]
        return called.removeprefix("./").lstrip("/")


def read_list(path: Path, pictures: Pictures, columns: str | None = None) -> list[Listed]:
    """The lines of a list; `columns` are the titles of those of a table that hold labels, joined by `+`.

    Raises `SourceError` naming file and line for what is no picture and its label, where a picture may be
    several, and where it is not known which columns hold labels; `UsageError` for columns that are not there.
    """
    lines = [(number, line) for number, line in enumerate(read_lines(path), start=1) if line]
    mark = _find_mark(path, lines[0][1]) if lines else ""
    if mark == "\t":  # which blanks around a line may be: they are cells without a text
        whole = path.read_text(encoding="utf-8-sig").splitlines()
        lines = [(number, whole[number - 1]) for number, _ in lines]
    if mark:
        listed = _Table(path, mark, lines, pictures).read(columns)
    elif columns is not None:
        raise UsageError(f"label={columns}: {path} is no table with titles; leave it out")
    else:
        listed = [_split_line(path, number, line, pictures) for number, line in lines]
    if not listed:
        raise SourceError(f"{path}: lists nothing; wanted a line a picture, with its label")
    found = [_find_picture(path, one, pictures) for one in listed]
    pairs = zip(listed, found, strict=True)
    return [one if one.picture == picture else replace(one, picture=picture) for one, picture in pairs]


def split_parts(cell: str) -> list[str]:
    """What may be the labels in a cell.

    >>> split_parts("cat dog"), split_parts("black cat|dog"), split_parts("cat, black")
    (['cat', 'dog'], ['black cat', 'dog'], ['cat,', 'black'])
    """
    parts = [part for part in _BETWEEN.split(cell) if part]
    return parts if len(parts) > 1 else cell.split()


def split_labels(
    path: Path, listed: Sequence[Listed], words: str | None, named: Container[str] | None
) -> list[list[str]]:
    """The labels of every line; `named` are those that a file names, if there is one.

    Several numbers are several labels. Several words are what `words` says. Without it they are one label
    where `named` has all of it, or a cell of a table holds them; several, where `named` has each of them, or
    each stands alone elsewhere. Raises `SourceError` naming file and line where both or neither is true.
    """
    if words is None:
        _check_marks(path, listed)
    known = named
    if known is None:
        known = {cell for one in listed for cell in one.cells if len(split_parts(cell)) == 1}
    found = []
    for one in listed:
        labels: list[str] = []
        for cell in one.cells:
            parts = split_parts(cell)
            if len(parts) < 2 or words == "together":
                labels.append(cell)
            elif words == "apart" or all(map(_is_number, parts)):
                labels += parts
            elif (apart := _is_apart(one, cell, parts, known, named is not None)) is not None:
                labels += parts if apart else [cell]
            else:
                told = f"{path}, line {one.line}: {cell[:80]!r} may be one label or several"
                raise SourceError(f"{told}; say words=together or words=apart")
        found.append(labels)
    return found


def _is_apart(one: Listed, cell: str, parts: list[str], known: Container[str], named: bool) -> bool | None:
    """Whether words in a cell are several labels, None where it is not clear."""
    several, whole = all(part in known for part in parts), cell in known
    if several != whole and (named or not one.single):
        return several
    if not several and not whole:
        if one.single:
            return None if _BETWEEN.search(cell) else False
        return True if named else None  # then the part without a name is told
    return None


def _check_marks(path: Path, listed: Sequence[Listed]) -> None:
    """Raises `SourceError` for lines of as many 0 and 1 each, which may say yes and no of every class."""
    parts = [[part for cell in one.cells for part in cell.split()] for one in listed]
    counts = {len(one) for one in parts}
    if len(counts) == 1 and min(counts) > 1 and all(_MARKS.issuperset(one) for one in parts):
        told = f"{path}, line {listed[0].line}: {' '.join(parts[0])[:80]!r} may be labels, or a mark a class"
        raise SourceError(f"{told}; say words=apart for labels, or write a line for each label of a picture")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _find_mark(path: Path, first: str) -> str:
    """What stands between the cells of a table, nothing where the list is none."""
    suffix = path.suffix.lower()
    if suffix == ".tsv" or (suffix != ".csv" and "\t" in first):
        return "\t"
    if suffix == ".csv":
        return "," if "," in first else next((mark for mark in ";\t" if mark in first), ",")
    return "," if "," in first and (" " not in first or is_picture(first.partition(",")[0])) else ""


def _find_picture(path: Path, listed: Listed, pictures: Pictures) -> str:
    found = pictures.find(listed.picture)
    if len(found) > 1:
        told = f"{path}, line {listed.line}: {listed.picture[:80]!r} may be {' or '.join(found[:3])}"
        raise SourceError(f"{told}; write which, with its ending and folder")
    return found[0] if found else pictures.cut(listed.picture)


def _split_line(path: Path, number: int, line: str, pictures: Pictures) -> Listed:
    """Picture and labels of a line with blanks between them, and perhaps in the picture's name."""
    if len(cells := line.split()) == 2 and cells[0] in pictures.names:
        return Listed(cells[0], (cells[1],), number, False)
    name, _, rest = (part.strip() for part in line.partition("\t"))
    if rest:
        return Listed(name, tuple(filter(None, (cell.strip() for cell in rest.split("\t")))), number, True)
    places = [match.start() for match in re.finditer(r"\s+", line)]
    if not places or pictures.cut(line) in pictures.names:
        raise _refuse(path, number, line)
    ends = (place for test in (pictures.find, is_picture) for place in places if test(line[:place]))
    end = next(ends, places[0])
    return Listed(line[:end], (" ".join(line[end:].split()),), number, False)


def _refuse(path: Path, number: int, line: str) -> SourceError:
    return SourceError(f"{path}, line {number}: {line[:80]!r}; wanted a picture and its label")


class _Table:
    """A table of pictures and labels, with or without titles."""

    def __init__(self, path: Path, mark: str, lines: list[tuple[int, str]], pictures: Pictures) -> None:
        self.path, self.pictures = path, pictures
        rows = [(number, line, self._split(number, line, mark)) for number, line in lines]
        self.rows = [(number, line, row) for number, line, row in rows if any(row)]
        self.titles = self.rows.pop(0)[2] if self._has_titles() else []

    def _split(self, number: int, line: str, mark: str) -> list[str]:
        try:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
        except csv.Error as error:
            raise SourceError(f"{self.path}, line {number}: no row of a table ({error})") from None

    def _has_titles(self) -> bool:
        """Whether no picture stands in the first row, but in the next, or words that are titles."""
        first, *others = [row for _, _, row in self.rows[:2]] or [[]]
        if any(is_picture(cell) or self.pictures.find(cell) for cell in first):
            return False
        if any(is_picture(cell) for row in others for cell in row):
            return True
        return any(_TITLED.search(cell) and not re.search(r"\d", cell) for cell in first)

    def read(self, columns: str | None) -> list[Listed]:
        if not self.rows:
            return []
        place = self._find_place()
        chosen = self._find_labels(place) if columns is None else self._find_named(columns, place)
        single = not any(_PLURAL.fullmatch(self.titles[column]) for column in chosen if self.titles)
        listed = []
        for number, line, row in self.rows:
            short = len(row) <= max(place, min(chosen, default=len(row)))
            if self.titles and len(row) > len(self.titles):
                told = f"{self.path}, line {number}: {len(row)} cells under {len(self.titles)} titles"
                raise SourceError(f"{told} ({', '.join(self.titles)[:80]}); wanted a cell a title")
            if short or not row[place]:
                raise _refuse(self.path, number, line)
            cells = tuple(row[column] for column in chosen if column < len(row) and row[column])
            listed.append(Listed(row[place], cells, number, single))
        return listed

    def _find_place(self) -> int:
        """The column of pictures, by the first row."""
        row = self.rows[0][2]
        tests = (lambda cell: cell in self.pictures.names, is_picture, self.pictures.find)
        found = (column for test in tests for column, cell in enumerate(row) if test(cell))
        return next(found, 0)

    def _find_named(self, columns: str, place: int) -> list[int]:
        chosen = []
        for title in columns.split("+"):
            found = [column for column, one in enumerate(self.titles) if one == title and column != place]
            if not found:
                others = [one for column, one in enumerate(self.titles) if column != place]
                told = f"there are {', '.join(others)}" if others else "it has no titles"
                raise UsageError(
                    f"label={columns}: {self.path} has no column {title!r} beside the pictures; {told}"
                )
            chosen += found
        return chosen

    def _find_labels(self, place: int) -> list[int]:
        """The columns of labels: the only other one, or those that all have their titles, or share labels."""
        width = len(self.titles) or max(len(row) for _, _, row in self.rows)
        values = [{row[at] for _, _, row in self.rows if at < len(row)} - {""} for at in range(width)]
        others = [column for column, found in enumerate(values) if found and column != place]
        named = [self.titles[column] for column in others if self.titles]
        if any(map(_OTHERS.fullmatch, named)):
            clear = False
        elif len(others) < 2 or (named and all(map(_LABELS.fullmatch, named))):
            clear = True
        else:
            first, *more = [values[column] for column in others]
            numbers = any(map(_is_number, first.union(*more)))
            clear = not named and not numbers and all(first & found for found in more)
        if not clear:
            number, line, _ = self.rows[0]
            told = f"{self.path}, line {number}: {line[:80]!r}; wanted a picture and its label"
            beside = f"the columns {', '.join(named)[:80]}" if named else f"{len(others)} cells"
            titles = "" if named else "write titles above them, and "
            advice = f"{titles}say which column holds labels, with label=TITLE"
            raise SourceError(f"{told}, but {beside} stand beside the picture; {advice}")
        return others
