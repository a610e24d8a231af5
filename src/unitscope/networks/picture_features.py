"""What a classifier sees in pictures as a whole: the means of a layer's units."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float64, UInt8

from unitscope.concepts.frames import Frame
from unitscope.errors import UsageError
from unitscope.networks.network import Network
from unitscope.networks.trace import tap
from unitscope.networks.unit_maps import read_units
from unitscope.progress import follow

_BATCH = 16
Picture = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True, eq=False)
class Extractor:
    """A layer of a classifier that gives pictures their features."""

    network: Network
    layer: str

    @property
    def name(self) -> str:
        """What it is called: NETWORK@LAYER."""
        return f"{self.network.name}@{self.layer}"

    def __call__(self, images: Sequence[Picture]) -> Float64[np.ndarray, "image feature"]:
        """The mean over cells of every unit, for pictures of any size, stretched to the network's input.

        Raises `UsageError` for no pictures, and what `tap` raises.
        """
        if not len(images):
            raise UsageError("there are no pictures to take features of; wanted 1 or more")
        rows = []
        with tap(self.network, [self.layer]) as read:
            for start in range(0, len(images), _BATCH):
                some = images[start : start + _BATCH]
                size = self.network.preprocessing.size or some[0].shape[:2]
                frame = Frame((size[0], size[1]), (size[0], size[1]))
                pixels = np.stack([frame.fit_image(one) for one in some])
                batch = self.network.feed(pixels, start, self.network.device)
                maps = read_units(read(batch)[self.layer], self.network.layout(batch), self.layer)
                rows.append(maps.double().mean((2, 3)).cpu().numpy())
        return np.concatenate(rows)

    def read(self, pictures: Iterable[Picture], count: int) -> Float64[np.ndarray, "{count} feature"]:
        """The features of `count` pictures that come one after the other; raises what a call raises."""
        rows, left = [], iter(pictures)
        with follow(count, f"features of {self.name}") as work:
            while some := list(islice(left, _BATCH)):
                rows.append(self(some))
                work.update(len(some))
        return np.concatenate(rows)


def open_extractor(text: str) -> Extractor:
    """What NETWORK@LAYER names. Raises `UsageError` where a part is missing, or there is no such layer.

    >>> open_extractor("zoo:scene-classifier@layer5").name
    'zoo:scene-classifier@layer5'
    """
    from unitscope.networks.load import load_network

    name, _, layer = text.rpartition("@")
    if not name or not layer:
        raise UsageError(
            f"features are of a layer of a network, not of {text!r}; give NETWORK@LAYER, such as "
            "zoo:scene-classifier@layer5"
        )
    found = Extractor(load_network(name), layer)
    with tap(found.network, [layer]) as read:
        read(found.network.blank())
    return found
