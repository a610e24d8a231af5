"""How a stored image and its labels are brought to the size a network reads."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

from unitscope.axes import Pixels, Planes
from unitscope.concepts.vocabulary import Example
from unitscope.errors import SourceError


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

    def fit_image(self, image: Pixels) -> UInt8[np.ndarray, "height width 3"]:
        """The image at `size`, uint8."""
        height, width = image.shape[:2]
        if (height, width) == self.size and self.fit_mode == "stretch":
            return image
        picture, filtered = Image.fromarray(image), Image.Resampling[self.resample.upper()]
        return np.asarray(picture.resize(self.size[::-1], filtered, self.box(height, width)))

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
        seen: np.ndarray = labels[..., places[0][:, None], places[1]]
        return seen
