"""Networks that make images from latents, and the images they make."""

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from unitscope.concepts.derived import find_inside
from unitscope.concepts.segmented import Blocks
from unitscope.concepts.vocabulary import ConceptSource, Example, Vocabulary
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.network import Input, Network, number_images
from unitscope.networks.randomness import run_steadily
from unitscope.networks.trace import evaluation

BLOCK = 16


@dataclass(frozen=True, eq=False)
class Generator(Network):
    """A network that makes an image from a latent, and from a kind where `kinds` names some.

    The module is called with float32 latents, n of the shape `latent`, and, if there are kinds, int64 kinds
    [n]; it returns images [n, 3, y, x] whose values go from `low` to `high`. Latent i is drawn from a normal
    distribution by the seed and i alone, its kind is i modulo their number: more images never change the
    first ones.
    """

    latent: tuple[int, ...] = (128,)
    kinds: tuple[str, ...] = ()
    seed: int = 0
    low: float = -1.0
    high: float = 1.0

    def draw_latents(self, first: int, count: int) -> Float32[Tensor, "image ..."]:
        """Latents number `first` and on."""
        generators = (np.random.default_rng((self.seed, first + k)) for k in range(count))
        drawn = [generator.standard_normal(self.latent) for generator in generators]
        return torch.from_numpy(np.stack(drawn).astype(np.float32))

    def pick_kinds(self, first: int, count: int) -> Int64[Tensor, "image"]:
        """The kinds of images number `first` and on, in turn."""
        return torch.arange(first, first + count) % max(1, len(self.kinds))

    def inputs(self, first: int, count: int = 1, device: str | None = None) -> tuple[Tensor, ...]:
        """What the module is called with for images number `first` and on: latents, and kinds.

        They are where the parameters are, or on a device that is named.
        """
        place = device or self.device
        latents = self.draw_latents(first, count).to(place, self.dtype)
        number_images(latents, range(first, first + count))
        return (latents, self.pick_kinds(first, count).to(place)) if self.kinds else (latents,)

    def feed(self, images: UInt8[np.ndarray, "image y x 3"], first: int, device: str = "cpu") -> Input:
        """The inputs of images number `first` and on; the images themselves are not read."""
        return self.inputs(first, len(images), device)

    def blank(self, size: tuple[int, int] | None = None) -> Input:
        """The first latent, on the device of the parameters."""
        return self.inputs(0)

    @torch.inference_mode()
    def generate(self, first: int, count: int) -> UInt8[np.ndarray, "image y x 3"]:
        """Images number `first` and on, in whole colors, made in evaluation mode.

        Raises `NetworkError` where the module does not return images.
        """
        with evaluation(self.module):
            images = run_steadily(self, self.inputs(first, count))
        if not (isinstance(images, Tensor) and images.ndim == 4 and images.shape[:2] == (count, 3)):
            shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            wanted = f"images {(count, 3)} x y x x"
            raise NetworkError(f"{self.name} gave {shape} for {count} latents; wanted {wanted}")
        return to_pixels(images, self.low, self.high)


def to_pixels(
    images: Float32[Tensor, "image 3 y x"], low: float = -1.0, high: float = 1.0
) -> UInt8[np.ndarray, "image y x 3"]:
    """Images in whole colors from 0 to 255; `low` and `high` are what black and white were.

    >>> to_pixels(torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 3, 1, 1)).tolist()
    [[[[0, 128, 255]]]]
    """
    colors = ((images.float() - low) * (255 / (high - low))).add(0.5).floor().clamp(0, 255)
    return np.ascontiguousarray(colors.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())


@dataclass(frozen=True, eq=False)
class GeneratedImages:
    """The first `count` images of a generator as a source without labels.

    Give it labels with a segmenter (`SegmentedSource`). Images are made in blocks of 16, each again
    when it has been forgotten. They are made by a copy of the generator as it was when this source was
    made: a dissection loads images ahead while it reads the generator's layers, and neither may disturb
    the other.
    """

    generator: Generator
    count: int

    vocabulary: ClassVar[Vocabulary] = Vocabulary(())
    """No concepts: these images have no labels."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError(f"{self.count} generated images leave nothing to look at; wanted 1 or more")
        self._painter  # noqa: B018 - copied now, before anything is hooked to the generator

    @cached_property
    def _painter(self) -> Generator:
        return replace(self.generator, module=copy.deepcopy(self.generator.module))

    @property
    def name(self) -> str:
        """A short name for people."""
        return f"images of {self.generator.name}"

    @property
    def spec(self) -> str:
        """The text that opens this source again, where the generator has a name that does."""
        return f"generator:{self.generator.name},count={self.count},seed={self.generator.seed}"

    @property
    def digest(self) -> str:
        """Changes with the weights that make the images, the seed and the count."""
        return f"{self._painter.digest}-{self.generator.seed}-{self.count}"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> Example:
        """Image number `index`, without labels."""
        place = range(self.count)[index]
        kinds = self.generator.kinds
        kind = f"-{kinds[place % len(kinds)]}" if kinds else ""
        return Example(f"{self.generator.seed}-{place:06d}{kind}", self._blocks[place])

    @cached_property
    def _blocks(self) -> Blocks[UInt8[np.ndarray, "y x 3"]]:
        # Whole blocks also at the end, so that an image never depends on how many there are.
        return Blocks(BLOCK, lambda start: list(self._painter.generate(start, BLOCK)))


def as_generator(network: Network) -> Generator:
    """The network, which is a generator. Raises `UsageError` for one that makes no images."""
    if not isinstance(network, Generator):
        raise UsageError(f"{network.name} makes no images; name a generator, such as zoo:generator")
    return network


def with_seed(generator: Generator, seed: int) -> Generator:
    """The same generator with other latents."""
    if seed < 0:
        raise UsageError(f"the seed of the latents is {seed}; it must be 0 or more")
    return replace(generator, seed=seed)


def find_generated(source: ConceptSource) -> GeneratedImages | None:
    """The generated images that a source is made of, under the same numbers, if it is."""
    return find_inside(source, GeneratedImages)


def pair_generator(network: Network, source: ConceptSource) -> tuple[Network, ConceptSource]:
    """A network and the source to read it over; a generator with the seed that its images have."""
    images = find_generated(source)
    if isinstance(network, Generator) and images is not None and images.generator.digest == network.digest:
        return images.generator, source
    return network, source


def check_source(network: Network, source: ConceptSource) -> None:
    """Raises `UsageError` where the images that a generator is read over are not those that it makes."""
    if not isinstance(network, Generator):
        return
    images = find_generated(source)
    if images is None:
        advice = "dissect it over GeneratedImages that a segmenter labels"
        raise UsageError(f"{network.name} makes its own images, and the source holds others; {advice}")
    if images.digest != f"{network.digest}-{network.seed}-{images.count}":
        raise UsageError(
            "the images come from another generator or seed than the one to be dissected, or its weights "
            "were changed since the source was made; make the source again"
        )
