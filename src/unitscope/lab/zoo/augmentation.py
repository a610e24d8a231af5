"""Augmentation: other views of pictures, in other light; of masked ones also in other colors.

`vary` moves a camera over a picture and changes the light. What a segmenter learns from some dozens of
photographs must hold for pictures that look different: `draw_views` turns, stretches and cuts every picture,
gives each of its classes another color, puts a drawn scene or clouds of color behind it, hides parts of it,
and changes light, blur and noise. NumPy draws all random numbers, from the seed and the step alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from unitscope.lab.world import open_drawn
from unitscope.lab.zoo.masked import VOID, MaskedPictures
from unitscope.lab.zoo.training_steps import Batch

Pictures = Float32[Tensor, "n 3 y x"]
Rng = np.random.Generator

_GROUNDS = 96
_GROUNDS_SEED = 1002


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
    return _look(images, grid, "bilinear")


def relight(rng: Rng, images: Pictures) -> Pictures:
    """Other brightness, contrast, saturation and tint; images in [-1, 1] stay there."""
    shape = (len(images), 1, 1, 1)
    gray = images.mean(1, keepdim=True)
    images = gray + (images - gray) * _uniform(rng, 0.3, 1.5, *shape)
    images = images * _uniform(rng, 0.6, 1.4, *shape) + _uniform(rng, -0.3, 0.3, *shape)
    return (images + _uniform(rng, -0.12, 0.12, len(images), 3, 1, 1)).clamp(-1, 1)


def vary(rng: Rng, images: Pictures, least: float = 0.6) -> Pictures:
    """Another view of every picture, in another light: the augmentation of the studies."""
    return relight(rng, look(images, place_cameras(rng, len(images), least, 1.0)))


def paint_grounds(size: int) -> UInt8[np.ndarray, "n y x 3"]:
    """Drawn scenes that may stand behind what is masked."""
    scenes = open_drawn(_GROUNDS, _GROUNDS_SEED, size)
    return np.stack([scenes[index].image for index in range(_GROUNDS)])


def draw_views(
    pictures: MaskedPictures,
    grounds: UInt8[np.ndarray, "ground y x 3"],
    count: int,
    size: int,
    seed: int,
    step: int,
) -> Batch:
    """Views of `count` pictures chosen at random, of `size` by `size` pixels, for one step of a seed.

    Images lie in [-1, 1]; labels are those of `pictures`, `VOID` where nothing is known.
    """
    rng = np.random.default_rng((seed, step))
    chosen = rng.choice(len(pictures), count, replace=len(pictures) < count)
    grid = _draw_grid(rng, pictures.aspects[chosen], size)
    stored = torch.from_numpy(pictures.images[chosen]).permute(0, 3, 1, 2).float() / 255
    images = _look(stored, grid, "bilinear")
    named = torch.from_numpy(pictures.labels[chosen])
    labels = _look(named.float(), grid, "nearest").round().byte()
    outside, unknown = (grid.abs() > 1).any(3), torch.tensor(VOID, dtype=torch.uint8)
    images = _recolor(rng, images, labels[:, 0], max(map(len, pictures.classes)))
    if pictures.grounds:
        ground = torch.tensor(pictures.grounds)[:, None, None]
        bare = (named == ground).all(1, keepdim=True).float()
        soft = torch.maximum(_look(bare, grid, "bilinear"), outside[:, None].float())
        other = outside[:, None] | _toss(rng, count, 0.75)
        images = torch.where(
            other, soft * _draw_grounds(rng, grounds, count, size) + (1 - soft) * images, images
        )
        labels = torch.where(outside[:, None], ground.byte(), labels)
    else:
        labels = torch.where(outside[:, None], unknown, labels)
    # What hides a part has no class: if it were background, faces would be learned to have holes.
    blots = _draw_blots(rng, count, size)[:, None]
    labels = torch.where(blots, unknown, labels)
    images = torch.where(blots, _draw_grounds(rng, grounds, count, size), images)
    images = _relight(rng, _degrade(rng, images))
    return Batch(images * 2 - 1, torch.zeros(count, dtype=torch.int64), labels)


def _toss(rng: Rng, count: int, chance: float) -> Bool[Tensor, "n 1 1 1"]:
    return torch.from_numpy(rng.random(count) < chance)[:, None, None, None]


def _uniform(rng: Rng, low: float, high: float, *shape: int) -> Float32[Tensor, "..."]:
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def _normal(rng: Rng, spread: float, *shape: int) -> Float32[Tensor, "..."]:
    return torch.from_numpy((spread * rng.standard_normal(shape)).astype(np.float32))


def _draw_grid(rng: Rng, aspects: Float[np.ndarray, "n"], size: int) -> Float32[Tensor, "n y x 2"]:
    """Where in a stored picture, from -1 to 1, every pixel of its view lies."""
    count = len(aspects)
    part = np.exp(rng.uniform(np.log(0.55), np.log(1.25), count))
    # Between the square that a picture is squeezed into and its true shape, and a little beyond.
    stretch = aspects ** -rng.uniform(0, 1, count) * np.exp(rng.uniform(-0.25, 0.25, count))
    turn, lean = rng.uniform(-0.4, 0.4, count), rng.uniform(-0.2, 0.2, count)
    across, down = part * np.sqrt(stretch), part / np.sqrt(stretch)
    flipped = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    cos, sin = np.cos(turn), np.sin(turn)
    rows = [
        [across * cos * flipped, down * (lean * cos - sin)],
        [across * sin * flipped, down * (lean * sin + cos)],
    ]
    reach = np.maximum(0, 1 - np.stack([across, down])) + 0.2
    shift = rng.uniform(-1, 1, (2, count)) * reach
    theta = np.concatenate([np.array(rows), shift[:, None]], 1).transpose(2, 0, 1)
    return functional.affine_grid(torch.from_numpy(theta.astype(np.float32)), [count, 3, size, size], False)


def _look(
    stored: Float32[Tensor, "n c v u"], grid: Float[Tensor, "n y x 2"], mode: str, beyond: str = "border"
) -> Tensor:
    return functional.grid_sample(stored, grid, mode=mode, padding_mode=beyond, align_corners=False)


def _recolor(rng: Rng, images: Pictures, labels: UInt8[Tensor, "n y x"], classes: int) -> Pictures:
    """Gives every second class of every second picture another mean color and contrast."""
    count = len(images)
    places: Int64[Tensor, "n y x"] = torch.where(labels == VOID, classes, labels.long())
    member = functional.one_hot(places, classes + 1).float()
    sums = torch.einsum("nyxk,ncyx->nkc", member, images)
    means = sums / member.sum((1, 2))[..., None].clamp(min=1)
    kinds = classes + 1
    wanted = means + _normal(rng, 0.2, count, kinds, 1) + _normal(rng, 0.06, count, kinds, 3)
    wanted = wanted.clamp(0.03, 0.97)
    contrast = torch.exp(_normal(rng, 0.3, count, kinds, 1))
    kept = torch.from_numpy(rng.random((count, kinds, 1)) < 0.5) | (_toss(rng, count, 0.5)[:, :, :, 0])
    contrast = torch.where(kept, torch.ones(()), contrast)
    wanted = torch.where(kept, means, wanted)
    gain = torch.einsum("nyxk,nkc->ncyx", member, contrast.expand(-1, -1, 3))
    shift = torch.einsum("nyxk,nkc->ncyx", member, wanted - contrast * means)
    return (images * gain + shift).clamp(0, 1)


def _draw_clouds(rng: Rng, count: int, size: int) -> Pictures:
    """Colors that change slowly over the picture, or not at all, with a little of what is finer."""
    clouds = _uniform(rng, 0.0, 1.0, count, 3, 1, 1).expand(-1, -1, size, size)
    for cells, spread in ((2, 0.3), (5, 0.15), (16, 0.1), (32, 0.08)):
        coarse = _normal(rng, spread, count, 3, cells, cells) * _uniform(rng, 0.0, 1.0, count, 1, 1, 1)
        gray = _toss(rng, count, 0.5)
        coarse = torch.where(gray, coarse.mean(1, keepdim=True) * 3**0.5, coarse)
        clouds = clouds + functional.interpolate(coarse, (size, size), mode="bilinear", align_corners=False)
    return clouds.clamp(0, 1)


def _draw_grounds(rng: Rng, grounds: UInt8[np.ndarray, "ground y x 3"], count: int, size: int) -> Pictures:
    """Drawn scenes and clouds, half and half."""
    chosen = torch.from_numpy(grounds[rng.integers(0, len(grounds), count)])
    scenes = chosen.permute(0, 3, 1, 2).float() / 255
    scenes = _look(scenes, _draw_grid(rng, np.ones(count), size), "bilinear", "reflection")
    return torch.where(_toss(rng, count, 0.5), scenes, _draw_clouds(rng, count, size))


def _draw_blots(rng: Rng, count: int, size: int) -> Bool[Tensor, "n y x"]:
    """Boxes and ellipses that hide a part of every fourth picture."""
    line = (torch.arange(size) + 0.5) / size
    center, reach = _uniform(rng, 0.0, 1.0, 2, count, 1), _uniform(rng, 0.06, 0.25, 2, count, 1)
    down, across = (line - center[0]) / reach[0], (line - center[1]) / reach[1]
    box = torch.maximum(down.abs()[:, :, None], across.abs()[:, None, :])
    ellipse = (down.square()[:, :, None] + across.square()[:, None, :]).sqrt()
    inside = torch.where(_toss(rng, count, 0.5)[:, :, :, 0], box, ellipse) < 1
    return inside & _toss(rng, count, 0.25)[:, :, :, 0]


def _relight(rng: Rng, images: Pictures) -> Pictures:
    """Other brightness, gamma, tint, saturation; a light from one side, with a shadow soft or hard."""
    count, size = len(images), images.shape[-1]
    images = images ** torch.exp(_normal(rng, 0.25, count, 1, 1, 1))
    gray = images.mean(1, keepdim=True)
    images = gray + (images - gray) * _uniform(rng, 0.2, 1.4, count, 1, 1, 1)
    line = torch.linspace(-1, 1, size)
    slope, start = _normal(rng, 1.0, 2, count, 1, 1, 1), _uniform(rng, -0.6, 0.6, count, 1, 1, 1)
    steep = torch.exp(_uniform(rng, -1.0, 2.0, count, 1, 1, 1))
    ramp = torch.tanh(steep * (slope[0] * line[:, None] + slope[1] * line + start))
    ramp = ramp * _uniform(rng, 0.0, 0.7, count, 1, 1, 1)
    tint = _normal(rng, 0.12, count, 3, 1, 1)
    level = _uniform(rng, -1.3, 0.3, count, 1, 1, 1)
    dimmed = torch.where(_toss(rng, count, 0.7), ramp + tint + level, torch.zeros(()))
    return (images * torch.exp(dimmed)).clamp(0, 1)


def _degrade(rng: Rng, images: Pictures) -> Pictures:
    """As a small or generated picture looks: some are blurred, some noisy."""
    count, size = len(images), images.shape[-1]
    line = torch.tensor([0.25, 0.5, 0.25])
    kernel = (line[:, None] * line).expand(3, 1, 3, 3)
    for _ in range(2):
        padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
        blurred = functional.conv2d(padded, kernel, groups=3)
        images = torch.lerp(images, blurred, _uniform(rng, -0.3, 1.0, count, 1, 1, 1).clamp(min=0))
    noise = _normal(rng, 1.0, count, 3, size, size) * _uniform(rng, 0.0, 0.04, count, 1, 1, 1)
    return (images + noise).clamp(0, 1)
