"""Label planes put aside on disk, compressed, until their labels are numbered."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import UInt32


@dataclass(frozen=True, slots=True)
class Stored:
    """Where planes lie in a spool, and their shape."""

    offset: int
    length: int
    shape: tuple[int, ...]


class Spool:
    """A file of planes, written once and read in any order.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Spool(Path(folder) / "spool") as spool:
    ...     place = spool.put(np.full((1, 2, 2), 70_000, np.uint32))
    ...     spool.get(place).tolist()
    [[[70000, 70000], [70000, 70000]]]
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._end = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, planes: UInt32[np.ndarray, "plane row column"]) -> Stored:
        """Appends the planes; returns what `get` needs to find them."""
        packed = zlib.compress(np.ascontiguousarray(planes).tobytes(), 1)
        self._file.seek(self._end)
        self._file.write(packed)
        stored = Stored(self._end, len(packed), planes.shape)
        self._end += len(packed)
        return stored

    def get(self, stored: Stored) -> UInt32[np.ndarray, "plane row column"]:
        """The planes again."""
        self._file.seek(stored.offset)
        packed = self._file.read(stored.length)
        return np.frombuffer(zlib.decompress(packed), np.uint32).reshape(stored.shape)
