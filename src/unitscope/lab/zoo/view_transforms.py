"""Cameras over a still picture: where a view looks, how near, in which light; clips are their movements."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

Rng = np.random.Generator
Pictures = Float32[Tensor, "n 3 y x"]


@dataclass(frozen=True, eq=False)
class Cameras:
    """A camera a picture: the middle of its view (`x`, `y`, from -1 to 1), the share of the side it sees."""

    x: Float[np.ndarray, "n"]
    y: Float[np.ndarray, "n"]
    share: Float[np.ndarray, "n"]

    def moved(self, x: np.ndarray, y: np.ndarray, zoom: np.ndarray) -> "Cameras":
        """The cameras moved by parts of a side of the picture, and nearer where `zoom` is below 1."""
        return Cameras(self.x + x, self.y + y, self.share * zoom)


def place_cameras(rng: Rng, count: int, least: float, most: float) -> Cameras:
    """Cameras that see between `least` and `most` of a side, wholly inside of their pictures."""
    share = rng.uniform(least, most, count)
    reach = 1 - share
    return Cameras(reach * rng.uniform(-1, 1, count), reach * rng.uniform(-1, 1, count), share)


def look(images: Pictures, cameras: Cameras) -> Pictures:
    """What the cameras see, at the pictures' own size; beyond the border, the border.

    >>> still = Cameras(np.zeros(1), np.zeros(1), np.ones(1))
    >>> picture = torch.rand(1, 3, 8, 8)
    >>> torch.allclose(look(picture, still), picture, atol=1e-6)
    True
    """
    theta = np.zeros((len(images), 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = cameras.share, cameras.share
    theta[:, 0, 2], theta[:, 1, 2] = cameras.x, cameras.y
    grid = functional.affine_grid(torch.from_numpy(theta), list(images.shape), False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def relight(rng: Rng, images: Pictures) -> Pictures:
    """Other brightness, contrast, saturation and tint; images in [-1, 1] stay there."""
    count = len(images)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, channels, 1, 1)).astype(np.float32))

    gray = images.mean(1, keepdim=True)
    images = gray + (images - gray) * draw(0.3, 1.5)
    images = images * draw(0.6, 1.4) + draw(-0.3, 0.3) + draw(-0.12, 0.12, 3)
    return images.clamp(-1, 1)


def vary(rng: Rng, images: Pictures, least: float = 0.6) -> Pictures:
    """Another view of every picture, in another light: the augmentation of the studies."""
    return relight(rng, look(images, place_cameras(rng, len(images), least, 1.0)))
