"""Masks in MATLAB files: the 459 classes of Pascal-Context."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from unitscope.concepts.formats.annotated import Labels
from unitscope.concepts.formats.mask_values import COUNT, MaskValues
from unitscope.concepts.formats.voc.mat_files import read_variable
from unitscope.errors import SourceError

VARIABLE = "LabelMap"


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

    Raises `SourceError` naming the file where there is no such map.
    """
    numbers = read_variable(path, VARIABLE)
    if not isinstance(numbers, np.ndarray) or numbers.ndim != 2 or not numbers.size:
        raise SourceError(f"{path}: {VARIABLE} is no map of numbers; wanted one number for every pixel")
    whole = (numbers >= 0) & (numbers < COUNT) & (numbers == np.floor(numbers))  # and so no NaN
    if not whole.all():
        raise SourceError(f"{path}: {VARIABLE} holds {numbers[~whole][0]}; wanted whole numbers up to 65535")
    return numbers.astype(np.uint16)
