"""Segmentation networks as a source of labels."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, UInt8, UInt16
from torch import Tensor
from torch.nn import functional

from unitscope.concepts.frames import Frame
from unitscope.concepts.union.colors import name_colors
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.network import Network
from unitscope.networks.randomness import run_steadily
from unitscope.networks.trace import evaluation


@runtime_checkable
class Scorer(Protocol):
    """A segmenter that says how likely a concept is at every pixel, with gradients back to the pixels."""

    def score(self, pixels: Float32[Tensor, "n 3 y x"], concept: int, /) -> Float32[Tensor, "n y x"]: ...


@runtime_checkable
class Judge(Protocol):
    """A segmenter that says how sure it is of the names that it gives."""

    def judge(
        self, images: UInt8[np.ndarray, "n y x 3"], /
    ) -> tuple[UInt16[np.ndarray, "n plane y x"], Float32[np.ndarray, "n y x"]]: ...


@dataclass(frozen=True, eq=False)
class NetworkSegmenter:
    """A segmentation network and the concepts its channels stand for.

    The network gives logits [n, channel, y, x]. `planes` cuts the channels into groups, one a label plane:
    for every channel of the group the id of its concept, 0 for "none of them"; the highest logit of
    a group names the pixel. With `colors`, the id of the first of the 11 colors, one more plane holds the
    color of every pixel, which takes no network (`name_colors`). `owners` are the objects that parts may
    belong to, by name, for `concepts.owned_parts.keep_owned`.
    """

    network: Network
    vocabulary: Vocabulary
    planes: tuple[tuple[int, ...], ...]
    colors: int = 0
    owners: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        unknown = {i for plane in self.planes for i in plane if i and i not in self.vocabulary}
        if unknown:
            raise UsageError(f"the planes name concept {min(unknown)}, which the vocabulary does not hold")

    @property
    def name(self) -> str:
        """What opens the network."""
        return self.network.name

    @property
    def digest(self) -> str:
        """Changes with the network's weights and with what its channels stand for."""
        words = [(concept.id, concept.name, concept.category) for concept in self.vocabulary]
        text = f"{self.network.digest} {self.planes} {self.colors} {words}"
        return hashlib.sha256(text.encode()).hexdigest()

    @torch.inference_mode()
    def __call__(self, images: UInt8[np.ndarray, "n y x 3"], /) -> UInt16[np.ndarray, "n plane y x"]:
        """The concept ids of every pixel, at the size of the images.

        Images of another size than the network's are resized for it; its logits are brought back
        bilinearly. Raises `NetworkError` where the network gives other channels than the planes need.
        """
        return self._name(images, self._look(images))

    @torch.inference_mode()
    def judge(
        self, images: UInt8[np.ndarray, "n y x 3"], /
    ) -> tuple[UInt16[np.ndarray, "n plane y x"], Float32[np.ndarray, "n y x"]]:
        """The concept ids of every pixel, and the probability of what the first plane names there.

        The highest softmax of the plane's channels, "none of them" among them. Raises what a call raises.
        """
        groups = self._look(images)
        return self._name(images, groups), groups[0].float().softmax(1).amax(1).cpu().numpy()

    def _look(self, images: UInt8[np.ndarray, "n y x 3"]) -> tuple[Tensor, ...]:
        """The logits of every plane at the size of the images."""
        height, width = images.shape[1:3]
        size = self.network.preprocessing.size or (height, width)
        frame = Frame(size, size)
        seen = np.stack([frame.fit_image(image) for image in images])
        batch = self.network.preprocessing.tensor(seen, self.network.device).to(self.network.dtype)
        return self._groups(batch, (height, width))

    def _name(
        self, images: UInt8[np.ndarray, "n y x 3"], groups: tuple[Tensor, ...]
    ) -> UInt16[np.ndarray, "n plane y x"]:
        found = [
            np.array(plane, np.uint16)[group.argmax(1).cpu().numpy()]
            for plane, group in zip(self.planes, groups, strict=True)
        ]
        if self.colors:
            found.append(np.stack([name_colors(image) for image in images]) + np.uint16(self.colors - 1))
        return np.stack(found, 1)

    def score(self, pixels: Float32[Tensor, "n 3 y x"], concept: int, /) -> Float32[Tensor, "n y x"]:
        """The probability that the concept is at a pixel, from 0 to 1, of RGB pixels in [0, 1].

        The softmax over the channels of its plane; where several planes name it, the probability that one
        of them does, 1 - (1 - p)(1 - q). Gradients flow back to the pixels. Raises `UsageError` for a concept
        that no channel stands for, such as a color.
        """
        height, width = pixels.shape[2:]
        size = self.network.preprocessing.size or (height, width)
        if not any(concept in plane for plane in self.planes):
            lack = f"no channel for concept {concept}"
            raise UsageError(f"{self.name} has {lack}, so it gives no gradient for it")
        seen = pixels = pixels.to(self.network.device)
        if size != (height, width):
            seen = functional.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
        missing = torch.ones_like(pixels[:, 0])
        groups = self._groups(self.network.preprocessing.normalize(seen), (height, width))
        for plane, group in zip(self.planes, groups, strict=True):
            channels = [channel for channel, found in enumerate(plane) if found == concept]
            if channels:
                missing = missing * (1 - group.float().softmax(1)[:, channels].sum(1))
        return 1 - missing

    def _groups(self, batch: Tensor, size: tuple[int, int]) -> tuple[Tensor, ...]:
        """The logits of every plane at that size."""
        with evaluation(self.network.module):
            logits = run_steadily(self.network, batch)
        wanted = sum(len(plane) for plane in self.planes)
        if not (isinstance(logits, Tensor) and logits.ndim == 4 and logits.shape[1] == wanted):
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise NetworkError(f"{self.name} gave {shape}; wanted logits of {wanted} channels")
        if logits.shape[2:] != size:
            logits = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
        return torch.split(logits, [len(plane) for plane in self.planes], 1)
