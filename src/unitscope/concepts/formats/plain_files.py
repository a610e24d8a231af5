"""Files that are read whole: plain ones alone, and no more of them than they may be."""

import os
import stat
from pathlib import Path

from unitscope.errors import SourceError


def check_plain(path: Path) -> None:
    """Raises `SourceError` where a path leads to a pipe, a device or the like, which may never end.

    Raises `OSError` where it leads nowhere.
    """
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind):
        found = "a folder" if stat.S_ISDIR(kind) else "no plain file"
        raise SourceError(f"{path}: {found}; put the file there that belongs there")


def read_plain(path: Path, limit: int, what: str = "such file") -> bytes:
    """The contents of a file of at most `limit` bytes.

    Raises `SourceError` where it is no plain file, or larger than any `what`, and `OSError` where it cannot
    be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "labels.txt"
    >>> _ = path.write_text("cat")
    >>> read_plain(path, 3)
    b'cat'
    """
    check_plain(path)
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise SourceError(f"{path}: larger than {limit / 1e6:.3g} MB, which no {what} is; replace it")
    return data
