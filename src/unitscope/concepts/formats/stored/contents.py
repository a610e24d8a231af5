"""A picture's file, or its contents that lie in a larger one."""

from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path

Contents = BufferedReader | BytesIO
"""What a file holds, to be read."""


@dataclass(frozen=True)
class Stored:
    """A file by its path, or the contents of one, `data`, which `name` stands for in messages.

    >>> str(Stored("train/7", b"...")), Stored("train/7", b"...").read(2), Stored("train/7", b"...").size
    ('train/7', b'..', 3)
    """

    name: Path | str
    data: bytes | None = None

    def __str__(self) -> str:
        return str(self.name)

    @property
    def suffix(self) -> str:
        """The ending of a file's name in small letters; nothing where there are only contents."""
        return Path(self.name).suffix.lower() if self.data is None else ""

    @property
    def size(self) -> int:
        """In bytes. Raises `OSError` for a file that is missing."""
        return Path(self.name).stat().st_size if self.data is None else len(self.data)

    def open(self) -> Contents:
        """The contents, from their beginning. Raises `OSError` for a file that is missing."""
        return Path(self.name).open("rb") if self.data is None else BytesIO(self.data)

    def read(self, count: int = -1) -> bytes:
        """The contents, or their first bytes. Raises `OSError` as `open` does."""
        with self.open() as file:
            return file.read(count)
