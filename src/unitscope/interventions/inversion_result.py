"""A picture inverted into a generator: what was fitted, how near that came, and whether the generator can."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from unitscope.concepts.segmented import Segmenter
from unitscope.errors import writing
from unitscope.results import Result
from unitscope.tables import Table, align, clean

LEAST_PSNR, LEAST_NAMED = 14.0, 0.4
"""What a generator makes by itself is a picture of the given thing from so many decibels, and from such a
share of pixels named alike, on."""
FILE, SHEET = "inversion.safetensors", "stages.png"
_GAP = 2

Picture = UInt8[np.ndarray, "y x 3"]


@dataclass(frozen=True, eq=False)
class Fit:
    """What the generator makes after a stage: the picture, its PSNR to the given one, and how it is named.

    `named` is the share of pixels whose first name by the segmenter is that in the given picture, NaN without
    a segmenter.
    """

    stage: str
    picture: Picture
    psnr: float
    named: float


@dataclass(frozen=True, eq=False)
class Inversion(Result):
    """A picture in a generator; made by `invert_picture`.

    `latent` [1, ...] and `kind`, None where the generator has no kinds, are what the generator makes
    something near the picture from; there its `layer` gives `generated`, and what was fitted is `fitted`,
    both [1, unit, cell_y, cell_x]. `maps` are added at later places, `residual` to the pixels, in the numbers
    that the generator makes: with all of these it makes `picture`, bit for bit. `fits` are what came of the
    stages, in their order. `key` tells the picture in this generator from all others.

    The main table has a row a stage; the page is a sheet of pictures: the given one, then those of the
    stages.
    """

    key: str
    generator: str
    digest: str
    picture: Picture
    latent: Tensor
    kind: int | None
    layer: str
    generated: Float32[Tensor, "1 unit cell_y cell_x"]
    fitted: Float32[Tensor, "1 unit cell_y cell_x"]
    maps: Mapping[str, Float32[Tensor, "1 _unit _cell_y _cell_x"]]
    residual: Float32[Tensor, "1 3 y x"]
    fits: Sequence[Fit]
    kind_name: str = ""
    name: str = "the picture"

    def __repr__(self) -> str:
        return f"Inversion({self.name!r} in {self.generator}, key {self.key})"

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that `save` writes."""
        return ("stages.csv", FILE, SHEET)

    @cached_property
    def lacks(self) -> Sequence[str]:
        """What is too little in the picture that the generator makes from the latent alone."""
        found, lacks = self.fits[0], []
        if found.psnr < LEAST_PSNR:
            lacks.append(f"a PSNR of {found.psnr:.1f} dB (wanted {LEAST_PSNR:g})")
        if found.named < LEAST_NAMED:
            lacks.append(f"{found.named:.0%} of its pixels named alike (wanted {LEAST_NAMED:.0%})")
        return lacks

    @cached_property
    def verdict(self) -> str:
        """Whether the generator can make the picture, judged by what it makes from the latent alone.

        It can from 14 dB on and, where a segmenter looked, with four tenths of the pixels named alike.
        """
        if not self.lacks:
            return f"{clean(self.generator)} can make something like this picture"
        why = f"the nearest that it makes by itself has {' and '.join(self.lacks)}"
        return f"{clean(self.generator)} cannot make this picture: {why}; strokes will not look like it"

    def tables(self) -> dict[str, Table]:
        """`stages.csv`: what came of the stages."""
        rows = tuple((fit.stage, fit.psnr, fit.named) for fit in self.fits)
        return {"stages.csv": Table(("stage", "psnr", "named_alike"), rows)}

    def text(self) -> str:
        """The stages, and whether the generator can make the picture."""
        kind = f", as {self.kind_name}" if self.kind_name else ""
        rows = [["fitted", "PSNR, dB", "named alike"]]
        for fit in self.fits:
            named = "-" if np.isnan(fit.named) else f"{fit.named:.1%}"
            rows.append([fit.stage, f"{fit.psnr:.1f}", named])
        head = f"{clean(self.name, 80)} in {clean(self.generator)}{kind}"
        return f"{head}\n{align(rows, left=(0,))}\n{self.verdict}"

    def describe(self) -> dict[str, Any]:
        """The stages and the verdict, ready for JSON."""
        about = {"picture": self.name, "generator": self.generator, "layer": self.layer, "key": self.key}
        return {**about, "kind": self.kind_name or None, "stages": self.rows(), "verdict": self.verdict}

    def save(self, folder: str | Path) -> Path:
        """Writes the table and the file that `load_inversion` reads into a folder, which is made; the folder.

        Raises `RunError` where they cannot be written.
        """
        from unitscope.interventions.inversion_files import save_inversion

        save_inversion(self, super().save(folder) / FILE)
        return Path(folder)

    def page(self, folder: str | Path, **shown: Any) -> Path:
        """Writes the given picture and those of the stages, side by side; the file's path.

        Raises `RunError` where it cannot be written.
        """
        path = Path(folder) / SHEET
        gap = np.full((self.picture.shape[0], _GAP, 3), 255, np.uint8)
        parts = [self.picture, *(part for fit in self.fits for part in (gap, fit.picture))]
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.concatenate(parts, 1)).save(path)
        return path


def compare_pictures(stage: str, made: Picture, picture: Picture, segmenter: Segmenter | None = None) -> Fit:
    """How near a picture comes to another one: its PSNR, and the share of pixels named alike.

    PSNR is 10 log10(255^2 / mean square of the difference), in decibels, infinite for the same picture.

    >>> gray = np.full((2, 2, 3), 100, np.uint8)
    >>> round(compare_pictures("latent", gray + np.uint8(10), gray).psnr, 1)
    28.1
    """
    error = float(np.square(made.astype(np.float64) - picture).mean())
    psnr = float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
    if segmenter is None:
        return Fit(stage, made, psnr, float("nan"))
    here, there = segmenter(np.stack([made, picture]))
    return Fit(stage, made, psnr, float((here[0] == there[0]).mean()))
