"""How good a network of the zoo is on pictures that nothing was trained on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from unitscope.lab.zoo.generator import LATENT, SceneGenerator
from unitscope.lab.zoo.networks import CLASSES, SceneClassifier, SceneSegmenter
from unitscope.lab.zoo.pictures import Pictures
from unitscope.statistics.frechet import measure_frechet

Images = Float32[Tensor, "n 3 y x"]
_BATCH = 50


def to_input(images: UInt8[np.ndarray, "n y x 3"]) -> Images:
    """Pictures as the zoo's networks read them: channels first, from -1 to 1."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _batches(images: Images) -> Iterator[Images]:
    for start in range(0, len(images), _BATCH):
        yield images[start : start + _BATCH]


@torch.inference_mode()
def classify(network: nn.Module, images: Images) -> Float32[Tensor, "n scenes"]:
    """The scene logits of pictures."""
    return torch.cat([network(batch) for batch in _batches(images)])


@torch.inference_mode()
def segment(network: SceneSegmenter, images: Images, plane: int = 0) -> UInt8[Tensor, "n y x"]:
    """The class of every pixel in one category: 0 objects, 1 parts, 2 materials; class 0 is none."""
    found = [network(batch).split(CLASSES, 1)[plane].argmax(1).byte() for batch in _batches(images)]
    return torch.cat(found)


@torch.inference_mode()
def read_features(network: SceneClassifier, images: Images) -> Float64[np.ndarray, "n units"]:
    """What the classifier's head reads: the mean of every unit of its last convolution."""
    features = []
    for batch in _batches(images):
        x = batch
        for layer in (network.layer1, network.layer2, network.layer3, network.layer4, network.layer5):
            x = layer(x)
        features.append(x.mean((2, 3)))
    return torch.cat(features).double().numpy()


@dataclass(frozen=True)
class PixelScores:
    """Intersection and union of every class of one category, in pixels."""

    intersection: Int64[np.ndarray, "classes"]
    union: Int64[np.ndarray, "classes"]
    wanted: Int64[np.ndarray, "classes"]

    @property
    def iou(self) -> Float64[np.ndarray, "classes"]:
        """Intersection over union; NaN for a class that neither truth nor prediction holds."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.intersection / self.union)

    @property
    def coverage(self) -> Float64[np.ndarray, "classes"]:
        """The fraction of all pixels that truly belong to a class."""
        return np.asarray(self.wanted / self.wanted.sum())


def score_pixels(
    found: UInt8[Tensor, "n y x"], wanted: UInt8[np.ndarray, "n y x"], classes: int
) -> PixelScores:
    """Compares segmentation and truth over all pixels; class 0 counts for no class's intersection."""
    pairs = torch.from_numpy(wanted.astype(np.int64)).reshape(-1) * classes + found.reshape(-1).long()
    table = torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes).numpy()
    same = np.diagonal(table).astype(np.int64)
    return PixelScores(same, table.sum(0) + table.sum(1) - same, table.sum(1))


@torch.inference_mode()
def generate(
    network: SceneGenerator, count: int, kinds: int, seed: int = 0
) -> tuple[Images, Int64[Tensor, "n"]]:
    """`count` generated pictures, every kind of scene in turn, and their kinds.

    Rounded to whole colors as a stored picture is, so that no measure sees what a viewer cannot.
    """
    images, wanted = [], torch.arange(count) % kinds
    for start in range(0, count, _BATCH):
        some = wanted[start : start + _BATCH]
        rng = torch.Generator().manual_seed(seed * 1_000_003 + start)
        latents = torch.randn(len(some), LATENT, generator=rng)
        images.append(((network(latents, some) + 1) * 127.5).round().div(127.5).sub(1))
    return torch.cat(images), wanted


def blur(images: Images, times: int = 4) -> Images:
    """Pictures without detail: shrunk `times` times and enlarged again."""
    small = functional.avg_pool2d(images, times)
    return functional.interpolate(small, scale_factor=times, mode="bilinear", align_corners=False)


def read_power(images: Images) -> Float64[np.ndarray, "side side"]:
    """The mean power of each frequency of gray pictures less their means, in the order of `fft2`."""
    gray = images.mean(1).double()
    gray = gray - gray.mean((1, 2), keepdim=True)
    return np.asarray(sum(one.square().sum(0) for one in _transform(gray)) / len(images))


def _transform(gray: Float64[Tensor, "n y x"]) -> Iterator[Float64[Tensor, "m y x"]]:
    for start in range(0, len(gray), _BATCH):
        yield torch.fft.fft2(gray[start : start + _BATCH]).abs()


def _find_frequencies(side: int) -> tuple[np.ndarray, np.ndarray]:
    """How many times a picture is crossed, up or down and to either side, by the wave of each frequency."""
    times = np.abs(np.fft.fftfreq(side) * side)
    return np.broadcast_to(times[:, None], (side, side)), np.broadcast_to(times, (side, side))


def compare_axes(power: Float64[np.ndarray, "side side"]) -> float:
    """Mean power on the frequency axes over that off them, of `read_power`: high where there is a plaid.

    On an axis one frequency is at most 2 cycles a picture; the other, and off them the larger, is 4 or more.

    >>> compare_axes(np.ones((64, 64)))
    1.0
    """
    fy, fx = _find_frequencies(len(power))
    less, more = np.minimum(fy, fx), np.maximum(fy, fx)
    return float(power[(less <= 2) & (more >= 4)].mean() / power[(less > 2) & (more >= 4)].mean())


def compare_grain(power: Float64[np.ndarray, "side side"], other: Float64[np.ndarray, "side side"]) -> float:
    """The power of fine isotropic detail in some pictures of 64 pixels, divided by that in others.

    Detail of 28 cycles a picture or more in one direction and of 12 or more in the other: grain, not bars.
    The smaller of both directions counts.

    >>> compare_grain(np.full((64, 64), 0.5), np.ones((64, 64)))
    0.5
    """
    fy, fx = _find_frequencies(len(power))
    fine = ((fy >= 28) & (fx >= 12), (fx >= 28) & (fy >= 12))
    return float(min(power[one].mean() / other[one].mean() for one in fine))


def measure_variety(found: UInt8[np.ndarray, "n y x"], kinds: Int64[np.ndarray, "n"]) -> float:
    """The chance that two pictures of one kind show different objects at the same place (Gini-Simpson).

    1 - sum of p^2 over the objects, p the share of a kind's pictures that show one at a pixel; its mean over
    the pixels and kinds.

    >>> same, other = np.zeros((1, 4, 4), np.uint8), np.ones((1, 4, 4), np.uint8)
    >>> measure_variety(np.concatenate([same, other]), np.zeros(2, np.int64))
    0.5
    """
    chances = []
    for kind in np.unique(kinds):
        some = found[kinds == kind]
        shares = [(some == one).mean(0) for one in np.unique(some)]
        chances.append(1 - np.square(shares).sum(0).mean())
    return float(np.mean(chances))


@dataclass(frozen=True)
class GeneratorScores:
    """How generated (or blurred, or other painted) pictures compare with painted ones."""

    frechet: float
    accuracy: float
    areas: Float64[np.ndarray, "objects"]
    """The fraction of pixels that the segmenter gives each object."""
    power: Float64[np.ndarray, "side side"]
    """The mean power of each frequency."""
    variety: float
    """The chance that two pictures of one kind show different objects at the same place."""


def score_pictures(
    images: Images,
    kinds: Int64[Tensor, "n"],
    *,
    reference: Float64[np.ndarray, "m units"],
    classifier: SceneClassifier,
    segmenter: SceneSegmenter,
) -> GeneratorScores:
    """Scores pictures against the features of painted ones; `kinds` are the classifier's classes."""
    features = read_features(classifier, images)
    right = classify(classifier, images).argmax(1) == kinds
    found = segment(segmenter, images)
    counts = torch.bincount(found.reshape(-1).long(), minlength=CLASSES[0]).double()
    return GeneratorScores(
        measure_frechet(features, reference),
        float(right.float().mean()),
        (counts / counts.sum()).numpy(),
        read_power(images),
        measure_variety(found.numpy(), kinds.numpy()),
    )


def measure_accuracy(network: nn.Module, pictures: Pictures) -> Float64[np.ndarray, "scenes"]:
    """The fraction of each scene's pictures that the classifier names right."""
    found = classify(network, to_input(pictures.images)).argmax(1).numpy()
    right = found == pictures.kinds
    return np.array([right[pictures.kinds == kind].mean() for kind in np.unique(pictures.kinds)])
