"""How a stored image and its labels are brought to the size a network reads."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8, UInt16
from PIL import Image

from unitscope.axes import Picture, Pixels, Planes
from unitscope.concepts.vocabulary import Example
from unitscope.errors import SourceError

Fitted = (
    UInt8[np.ndarray, "height width band"]
    | UInt16[np.ndarray, "height width band"]
    | Float32[np.ndarray, "height width band"]
)
"""A picture at the size that a network reads."""


def show_bands(image: Picture) -> Pixels:
    """A picture as people see it: RGB as it is, else its first three bands, or one of them as gray.

    What is no bytes is stretched, so that 2 % of its values are black and 2 % white.

    >>> show_bands(np.arange(80, dtype=np.uint16).reshape(4, 4, 5)).shape
    (4, 4, 3)
    """
    shown = image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, 2)
    if shown.dtype == np.uint8:
        return np.ascontiguousarray(shown)
    low, high = np.percentile(shown, (2, 98))
    bright = (shown.astype(np.float64) - low) * (255 / max(high - low, 1e-12))
    drawn: Pixels = bright.clip(0, 255).round().astype(np.uint8)
    return drawn


@dataclass(frozen=True)
class Frame:
    """The geometry of a run: image size, mask size, and how the stored picture is fitted to them.

    `size` is (height, width) of the network's input, `mask_size` that of the label masks. With
    `fit="stretch"` the whole image is scaled to `size` (every labelled pixel is seen, as in Network
    Dissection); with `fit="crop"` the shorter side is scaled to `size / crop_fraction` and the center
    is cut out, as classifiers are evaluated. Images are resampled with Pillow's antialiased
    `resample` filter, labels with the nearest pixel.

    >>> frame = Frame((4, 4), (2, 2))
    >>> small = frame.fit(Example("a", np.zeros((8, 6, 3), np.uint8)))
    >>> small.image.shape
    (4, 4, 3)
    """

    size: tuple[int, int]
    mask_size: tuple[int, int]
    fit_mode: Literal["stretch", "crop"] = "stretch"
    crop_fraction: float = 1.0
    resample: str = "bilinear"

    def box(self, height: int, width: int) -> tuple[float, float, float, float]:
        """The part of a picture of that size that is seen: left, top, right, bottom, in pixels."""
        if self.fit_mode == "stretch":
            return (0.0, 0.0, float(width), float(height))
        scale = max(self.size[0] / height, self.size[1] / width) / self.crop_fraction
        seen_height, seen_width = self.size[0] / scale, self.size[1] / scale
        # Rounding may put an edge a hair outside the picture, which Pillow refuses.
        left, top = max((width - seen_width) / 2, 0.0), max((height - seen_height) / 2, 0.0)
        return (left, top, min(left + seen_width, float(width)), min(top + seen_height, float(height)))

    def fit(self, example: Example) -> Example:
        """The same example at the frame's sizes.

        Raises `SourceError` where void and planes differ in size.
        """
        planes, void = example.planes, example.void
        if void is not None and planes.shape[0] and void.shape != planes.shape[1:]:
            sizes = f"the void mask is {void.shape}, the labels are {planes.shape[1:]}"
            raise SourceError(f"{example.key}: {sizes}; make them the same size")
        return replace(
            example,
            image=self.fit_image(example.image),
            planes=self.fit_planes(planes),
            void=None if void is None else self._sample(void),
        )

    def fit_image(self, image: Picture) -> Fitted:
        """The image at `size`, in the numbers and bands that it has."""
        height, width = image.shape[:2]
        if (height, width) == self.size and self.fit_mode == "stretch":
            return image
        filtered, seen = Image.Resampling[self.resample.upper()], self.box(height, width)
        if image.dtype == np.uint8 and image.shape[2] == 3:
            return np.asarray(Image.fromarray(image).resize(self.size[::-1], filtered, seen))
        bands = [Image.fromarray(band.astype(np.float32)) for band in np.moveaxis(image, 2, 0)]
        fitted: Fitted = np.stack([np.asarray(b.resize(self.size[::-1], filtered, seen)) for b in bands], 2)
        if image.dtype != np.float32:
            fitted = np.rint(fitted).clip(0, np.iinfo(image.dtype).max).astype(image.dtype)
        return fitted

    def fit_planes(self, planes: Planes) -> UInt16[np.ndarray, "plane height width"]:
        """The label planes at `mask_size`, each pixel the nearest stored one."""
        if not planes.shape[0]:
            return np.zeros((0, *self.mask_size), np.uint16)
        return self._sample(planes)

    def _sample(self, labels: np.ndarray) -> np.ndarray:
        """The labels at `mask_size`, each pixel the nearest stored one."""
        left, top, right, bottom = self.box(*labels.shape[-2:])
        places = []
        for start, stop, cells, stored in zip(
            (top, left), (bottom, right), self.mask_size, labels.shape[-2:], strict=True
        ):
            exact = start + (np.arange(cells) + 0.5) * (stop - start) / cells
            places.append(np.clip(np.floor(exact).astype(np.int64), 0, stored - 1))
        # One axis after the other: a sixth of the time of both at once.
        seen: np.ndarray = labels.take(places[0], -2).take(places[1], -1)
        return seen
