"""JSON files of any size, read item by item: an object whose values are mostly long lists, as in COCO.

Python's own decoder reads one item after the other from a window over the file. Measured on 92 MB of
annotations, all three lists: 3.1 s and 31 MB at most; `json` as a whole 4.3 s and 565 MB; `ijson`, which
reads the file once for every list, 7 s and 34 MB.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from unitscope.concepts.formats.plain_files import check_plain
from unitscope.errors import SourceError

ITEM_LIMIT = 1 << 23
"""The most characters of one item."""

KEY_LIMIT = 1000
"""The most keys of the object."""

_CHUNK = 1 << 20
_SPACE = re.compile(r"[ \t\n\r]*")
_LONGEST_WORD = 16
_decode = json.JSONDecoder().raw_decode


def stream_json(path: Path, watch: Callable[[bytes], object] = len) -> Iterator[tuple[str, Any]]:
    """The items of all lists of the object in a file, each with the list's key, and its other values.

    What lies deeper is given whole. `watch` sees the bytes as they are read.

    Raises `SourceError` naming the file, and the place in it where it is no JSON, ends too early, says a key
    twice, has more than `KEY_LIMIT` keys, or an item of more than `ITEM_LIMIT` characters.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (path := Path(folder) / "a.json").write_text('{"year": 2017, "images": [{"id": 1}, {"id": 7}]}')
    ...     list(stream_json(path))
    48
    [('year', 2017), ('images', {'id': 1}), ('images', {'id': 7})]
    """
    try:
        check_plain(path)
        with path.open("rb") as file:
            yield from _Window(path, file, watch).read_object()
    except UnicodeDecodeError:
        raise SourceError(f"{path}: not JSON (no UTF-8 text); write it again as UTF-8") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from None


class _Window:
    """The text of a file from what was read last up to as far as was needed.

    `passed` characters lie before it.
    """

    def __init__(self, path: Path, file: IO[bytes], watch: Callable[[bytes], object]) -> None:
        self.path, self.file, self.watch = path, file, watch
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text = ""
        self.place = self.passed = 0
        self.ended = False

    def read_object(self) -> Iterator[tuple[str, Any]]:
        self.take("{", "wanted an object of lists, as in COCO's annotations")
        seen = set()
        if self.peek() == "}":
            self.take("}")
        else:
            while True:
                key = self.read_value()
                if not isinstance(key, str):
                    raise self.wrong("wanted a key in quotes")
                if key in seen:
                    raise self.wrong(f"the key {key[:40]!r} comes twice")
                seen.add(key)
                if len(seen) > KEY_LIMIT:
                    raise self.wrong(f"more than {KEY_LIMIT} keys at its top")
                self.take(":")
                if self.peek() == "[":
                    yield from ((key, item) for item in self.read_list())
                else:
                    yield key, self.read_value()
                if self.take(",}") == "}":
                    break
        if self.peek():
            raise self.wrong("something follows the end")

    def read_list(self) -> Iterator[Any]:
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield self.read_value()
            if self.take(",]") == "]":
                return

    def read_value(self) -> Any:
        while True:
            self.peek()
            try:
                value, end = _decode(self.text, self.place)
            except json.JSONDecodeError as error:
                # What breaks off at the end of the window may go on in the file.
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self.text) - _LONGEST_WORD
                if not cut or not self.grow():
                    raise self.wrong(error.msg, error.pos) from None
            except RecursionError:
                raise self.wrong("nested too deeply") from None
            except ValueError:
                raise self.wrong("a number of too many digits") from None
            else:
                if end < len(self.text) - 2 or not self.grow():  # a number may go on, as in 1.5e+9
                    self.place = end
                    return value

    def peek(self) -> str:
        """The next character that is no space; nothing at the end."""
        while True:
            match = _SPACE.match(self.text, self.place)
            assert match is not None
            self.place = match.end()
            if self.place < len(self.text):
                return self.text[self.place]
            if not self.grow():
                return ""

    def take(self, wanted: str, why: str = "") -> str:
        """The next character, which is one of those wanted."""
        found = self.peek()
        if not found or found not in wanted:
            raise self.wrong(why or f"wanted {' or '.join(wanted)}")
        self.place += 1
        return found

    def grow(self) -> bool:
        """Reads on; False where the file has ended."""
        if self.ended:
            return False
        rest = self.text[self.place :]
        if len(rest) > ITEM_LIMIT:
            raise self.wrong(f"an item of more than {ITEM_LIMIT} characters")
        data = self.file.read(max(_CHUNK, len(rest)))
        self.watch(data)
        self.ended = not data
        self.passed += self.place
        self.text, self.place = rest + self.decoder.decode(data, final=self.ended), 0
        return True

    def wrong(self, why: str, place: int | None = None) -> SourceError:
        here = self.place if place is None else place
        if (self.ended and here >= len(self.text) - 1) or why.startswith("Unterminated"):
            why, advice = f"it ends in the middle ({why})", "fetch it again"
        else:
            why, advice = f"not JSON of the form that is known ({why})", "mend it"
        return SourceError(f"{self.path}, character {self.passed + here + 1}: {why}; {advice}")
