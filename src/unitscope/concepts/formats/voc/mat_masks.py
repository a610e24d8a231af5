"""Masks in MATLAB files: the 459 classes of Pascal-Context."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from unitscope.concepts.formats.mask_values import COUNT
from unitscope.concepts.formats.voc.mat_files import read_variable
from unitscope.errors import SourceError

VARIABLE = "LabelMap"


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
