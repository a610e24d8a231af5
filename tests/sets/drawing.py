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


def write_mask(path: Path, numbers: np.ndarray, palette: list[int] | None = None) -> None:
    """A mask of numbers, of RGB where the array has three channels, with a palette where there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(numbers)
    if palette is not None:
        mask.putpalette(palette)  # which makes of gray a picture of indices
    mask.save(path)


def write_text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
