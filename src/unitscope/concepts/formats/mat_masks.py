"""Masks in MATLAB files: the 459 classes of Pascal-Context. SciPy reads them."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt16

from unitscope.concepts.formats.annotated import Labels
from unitscope.concepts.formats.mask_values import MaskValues
from unitscope.concepts.formats.pictures import PIXEL_LIMIT
from unitscope.errors import SourceError, missing_extra

MAT_SUFFIX = ".mat"
VARIABLE = "LabelMap"
LIMIT = 256_000_000
"""The largest file that is read, in bytes of what is packed in it."""

_HEAD, _PACKED, _CHUNK = 128, 15, 1 << 20


@dataclass(frozen=True, eq=False)
class MatFiles:
    """Masks in MATLAB files: `names` has, by key, the path below `root` of each, `values` what is in them."""

    root: Path
    names: Mapping[str, str]
    values: MaskValues

    def read(self, key: str) -> Labels | None:
        """One plane. Raises `SourceError` naming the file where it holds no map of numbers with a meaning."""
        name = self.names.get(key)
        if name is None:
            return None
        path = self.root / name
        return Labels(*self.values.label(read_label_map(path), path))

    def list_files(self) -> Iterator[Path]:
        """One file a mask."""
        return (self.root / name for name in self.names.values())


def read_label_map(path: Path) -> UInt16[np.ndarray, "row column"]:
    """The numbers of the variable `LabelMap` of a MATLAB file.

    Raises `SourceError` naming the file where there is no such map, `UsageError` where SciPy is missing.
    """
    numbers = load_variable(path, VARIABLE)
    if not isinstance(numbers, np.ndarray) or numbers.ndim != 2 or numbers.dtype.kind not in "uif":
        raise SourceError(f"{path}: {VARIABLE} is no map of numbers; wanted one number for every pixel")
    whole = np.isfinite(numbers) & (numbers >= 0) & (numbers <= 65_535) & (numbers == np.floor(numbers))
    if not whole.all():
        raise SourceError(f"{path}: {VARIABLE} holds {numbers[~whole][0]}; wanted whole numbers up to 65535")
    return numbers.astype(np.uint16)


def load_variable(path: Path, variable: str) -> Any:
    """A variable of a MATLAB file, as SciPy gives it; nothing in the file is executed.

    Raises `SourceError` naming the file where it cannot be read, has no such variable, or one that is too
    large; `UsageError` where SciPy is missing.
    """
    find_scipy()
    from scipy.io import loadmat, whosmat

    try:
        _check_length(path)
        shapes = {name: shape for name, shape, _ in whosmat(str(path))}
        values = _count(shapes[variable]) if variable in shapes else 0
        if values > PIXEL_LIMIT:
            raise SourceError(f"{path}: {variable} has {values} values; wanted one for each pixel at most")
        found = loadmat(str(path), variable_names=[variable]) if values else {}
    except SourceError:
        raise
    except FileNotFoundError:
        raise SourceError(f"{path}: the file is missing; restore it or take it out of the set") from None
    except Exception as error:  # SciPy lets through whatever its parser meets
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"{path}: cannot be read as a MATLAB file ({reason}); replace it") from None
    if variable not in found:
        listed = ", ".join(sorted(shapes)) or "none"
        raise SourceError(f"{path}: has no variable {variable}, only {listed}; replace the file")
    return found[variable]


def _check_length(path: Path) -> None:
    """Raises `SourceError` for a file that unpacks to more than `LIMIT`; one that is damaged passes."""
    too_large = SourceError(f"{path}: larger than {LIMIT // 1_000_000} MB; wanted one picture's labels")
    if path.stat().st_size > LIMIT:
        raise too_large
    data, place, length = path.read_bytes(), _HEAD, 0
    order: Literal["little", "big"] = "little" if data[126:128] == b"IM" else "big"
    while place + 8 <= len(data):
        kind, size = (int.from_bytes(data[at : at + 4], order) for at in (place, place + 4))
        rest, unpacker = data[place + 8 : place + 8 + size], zlib.decompressobj()
        while kind == _PACKED and rest and not unpacker.eof:
            try:
                length += len(unpacker.decompress(rest, _CHUNK))
            except zlib.error:
                break
            if length > LIMIT:
                raise too_large
            rest = unpacker.unconsumed_tail
        place += 8 + size


def find_scipy() -> None:
    """Raises `UsageError`, which says what to install, where SciPy is missing."""
    try:
        import scipy.io  # noqa: F401
    except ImportError:
        raise missing_extra("SciPy", "reads MATLAB files", "studies") from None


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count
