"""Small pictures and masks on disk, whose every pixel is known."""

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (8, 12)
"""Height and width of the pictures."""


def write_picture(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.indices(size)
    pixels = np.stack([rows * 9, columns * 7, rows + columns], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def draw_halves(left: int, right: int, corner: int | None = None, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Two halves side by side: 48 pixels each in pictures of 8x12; the upper left pixel may be another."""
    numbers = np.full(size, left, np.uint8)
    numbers[:, size[1] // 2 :] = right
    if corner is not None:
        numbers[0, 0] = corner
    return numbers


def write_mask(path: Path, numbers: np.ndarray, palette: bool = False) -> None:
    """A mask of numbers, gray or indices of a palette; of RGB where the array has three channels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(numbers)
    if palette:  # of 256 colors: with fewer, Pillow stores fewer bits
        mask.putpalette([value for number in range(256) for value in (number, 255 - number, 128)])
    mask.save(path)


def write_text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
