"""The head of a data set's card: the little of YAML that `README.md` of published sets begins with.

Read are mappings, lists, and plain or quoted texts, in blocks or as `[a, b]`, as the tools of the Hub write
them. Anything else, such as anchors, is refused where it stands in a part that is wanted.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unitscope.concepts.formats.plain_files import read_plain
from unitscope.errors import SourceError

SIZE_LIMIT = 16_000_000
"""The longest card that is read, in bytes."""
_DEPTH = 60
_LONG = 10_000

_KEY = re.compile(
    r"""(?P<key>'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[^\s'"\[\]{}#&*!|>%@`,-][^#]{0,200}?|-[^\s#][^#]{0,200}?)\s*:(?=\s|$)"""
)
_ITEM = re.compile(r"-(?=\s|$)\s*")


def read_front_matter(path: Path, wanted: Collection[str]) -> dict[str, Any]:
    """Of the block between the first two lines of `---` in a file, the values of those keys that it has.

    Texts stay texts, numbers too. Empty where the file is missing or begins otherwise. Raises `SourceError`
    naming file and line where a wanted part cannot be read, or the file is too large.
    """
    try:
        text = read_plain(path, SIZE_LIMIT, "card").decode("utf-8-sig", "replace")
    except OSError:
        return {}
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), 0)
    found: dict[str, Any] = {}
    for start, key in _find_keys(lines[:end]):
        if key in wanted:
            stop = next((at for at, _ in _find_keys(lines[:end]) if at > start), end)
            found[key] = _Reader(path, _take_lines(lines, start, stop)).read()[key]
    return found


def _find_keys(lines: list[str]) -> list[tuple[int, str]]:
    """The lines with keys that are not indented, and the keys."""
    found = [
        (number, _KEY.match(line)) for number, line in enumerate(lines) if line[:1] not in ("", " ", "#")
    ]
    return [(number, _unquote(match["key"])) for number, match in found if match is not None]


def _take_lines(lines: list[str], start: int, stop: int) -> list["_Line"]:
    taken = []
    for number, line in enumerate(lines[start:stop], start + 1):
        text = line[:_LONG].strip()
        if text and not text.startswith("#"):
            taken.append(_Line(number, len(line) - len(line.lstrip(" ")), text))
    return taken


@dataclass
class _Line:
    number: int
    indent: int
    text: str


@dataclass
class _Reader:
    path: Path
    lines: list[_Line]
    place: int = 0

    def read(self) -> Any:
        return self._block(0, 0)

    def _block(self, indent: int, depth: int) -> Any:
        """What stands at that indent or deeper, up to the first line that is indented less."""
        if self.place >= len(self.lines) or self.lines[self.place].indent < indent:
            return None
        line = self.lines[self.place]
        if depth > _DEPTH:
            raise self._wrong(line, "is nested too deep")
        if _ITEM.match(line.text):
            return self._items(line.indent, depth)
        if _KEY.match(line.text):
            return self._pairs(line.indent, depth)
        self.place += 1
        return self._scalar(line, line.text, indent - 1)

    def _items(self, indent: int, depth: int) -> list[Any]:
        found = []
        while self.place < len(self.lines):
            line = self.lines[self.place]
            mark = _ITEM.match(line.text)
            if line.indent != indent or mark is None:
                break
            rest = line.text[mark.end() :]
            if rest:  # what follows the dash begins a block of its own
                self.lines[self.place] = _Line(line.number, indent + mark.end(), rest)
            else:
                self.place += 1
            found.append(self._block(indent + 1, depth + 1))
        return found

    def _pairs(self, indent: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.place < len(self.lines):
            line = self.lines[self.place]
            match = _KEY.match(line.text)
            if line.indent != indent or _ITEM.match(line.text) or match is None:
                break
            self.place += 1
            key, rest = _unquote(match["key"]), line.text[match.end() :].strip()
            if key in found:
                raise self._wrong(line, f"gives {key!r} twice")
            if rest and not rest.startswith("#"):
                found[key] = self._scalar(line, rest, indent)
                continue
            below = self.lines[self.place] if self.place < len(self.lines) else None
            listed = below is not None and below.indent == indent and _ITEM.match(below.text)
            found[key] = self._block(indent if listed else indent + 1, depth + 1)
        if self.place < len(self.lines) and self.lines[self.place].indent > indent:
            raise self._wrong(self.lines[self.place], "is indented as nothing before it")
        return found

    def _scalar(self, line: _Line, text: str, indent: int) -> Any:
        """A text, with the lines that it goes on in, which are indented more; or a list in brackets."""
        while self.place < len(self.lines) and self.lines[self.place].indent > indent:
            text += " " + self.lines[self.place].text
            self.place += 1
        if text[0] in "&*!|>{%@`":
            raise self._wrong(line, f"has {text[0]!r}, which is not read here")
        if text[0] == "[":
            return [_unquote(part) for part in self._split(line, text)]
        if text[0] in "'\"":
            match = re.fullmatch(r"""('(?:[^']|'')*'|"(?:[^"\\]|\\.)*")\s*(#.*)?""", text)
            if match is None:
                raise self._wrong(line, "has a quote that does not end")
            return _unquote(match[1])
        return re.sub(r"\s+#.*$", "", text)

    def _split(self, line: _Line, text: str) -> list[str]:
        parts = re.findall(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[^,\[\]{}'"]+""", text[1:])
        match = re.fullmatch(r"\[[^\[\]{}]*\]\s*(#.*)?", text)
        if match is None:
            raise self._wrong(line, "has a list in brackets that is not read here")
        return [part.strip() for part in parts if part.strip()]

    def _wrong(self, line: _Line, what: str) -> SourceError:
        advice = "name the parquet files instead, or write it as the tools of the Hub do"
        return SourceError(f"{self.path}, line {line.number}: the head {what}; {advice}")


def _unquote(text: str) -> str:
    if text[:1] == "'":
        return text[1:-1].replace("''", "'")
    if text[:1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text
