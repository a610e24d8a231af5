"""Files of small data sets."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def write_files(root: Path, texts: Mapping[str, str] = {}, pictures: tuple[str, ...] = ()) -> Path:
    """Texts by name, and pictures, each of another gray."""
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for number, name in enumerate(pictures):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 6, 3), 10 * number, np.uint8)).save(root / name, "png")
    return root
