"""Chosen images of a source, batch by batch, as a network is called with them."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32

from unitscope.axes import Picture, Pictures
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import ActivationError, SourceError
from unitscope.networks.network import Input, Network, number_images, spread
from unitscope.networks.randomness import limit_batch
from unitscope.networks.trace import tap
from unitscope.networks.unit_maps import read_units
from unitscope.progress import follow


def feed_images(
    network: Network, source: ConceptSource, images: Sequence[int], *, size: int = 16, title: str = "read"
) -> Iterator[Input]:
    """Batches of at most `size` images, in the order of their numbers in `images`.

    Every image is stretched to the network's input size; for a network without one all must have the same.
    A generator is fed the latents with those numbers. Progress goes under `title`.

    Raises `SourceError` where stored sizes differ and the network has none.
    """
    if not len(images):
        return
    wanted = network.preprocessing.size
    height, width = wanted or source[int(images[0])].image.shape[:2]
    frame = Frame((height, width), (height, width))
    device, size = network.device, limit_batch(network, size)
    with follow(len(images), title) as work:
        for start in range(0, len(images), size):
            parts = []
            for index in images[start : start + size]:
                example = source[int(index)]
                if wanted is None:
                    check_native(example.image, example.key, frame)
                image = np.stack([frame.fit_image(example.image)])  # a copy: some pictures are read-only
                parts.append(network.feed(image, int(index), device))
            columns = tuple(torch.cat(column) for column in zip(*map(spread, parts), strict=True))
            batch = columns if isinstance(parts[0], tuple) else columns[0]
            yield number_images(batch, [int(index) for index in images[start : start + size]])
            work.update(len(parts))


def stack_images(images: Sequence[Picture], keys: Sequence[str]) -> Pictures:
    """Images of one size as one array. Raises `SourceError`, naming its key, for one of other bands."""
    first = images[0]
    for image, key in zip(images, keys, strict=True):
        if (image.dtype, image.shape[2]) != (first.dtype, first.shape[2]):
            found = f"{key} has {image.shape[2]} bands of {image.dtype}"
            before = f"{keys[0]} {first.shape[2]} of {first.dtype}"
            raise SourceError(f"{found}, {before}; wanted pictures of one kind")
    stacked: Pictures = np.stack(images)
    return stacked


def check_native(image: Picture, key: str, frame: Frame) -> None:
    """Raises `SourceError`, naming its key, where the size of a stored image is not that of the frame."""
    height, width = image.shape[:2]
    if (height, width) != frame.size:
        sizes = f"{key} is {height}x{width}, images before it {frame.size[0]}x{frame.size[1]}"
        raise SourceError(f"{sizes}; give the network one input size (--size)")


def read_peaks(
    network: Network, layer: str, source: ConceptSource, images: Sequence[int]
) -> Float32[np.ndarray, "image unit"]:
    """The largest activation of every unit of a layer in chosen images.

    `layer` is read as `tap` reads it: NAME@in is what the layer is given, such as a ReLU's input.

    Raises `UsageError` for an unknown layer, `ActivationError` for activations that are not finite, which
    names the image.
    """
    rows = []
    with tap(network, [layer]) as read:
        for batch in feed_images(network, source, images, title=f"peaks of {layer}"):
            maps = read_units(read(batch)[layer], network.layout(batch), layer)
            rows.append(maps.amax((2, 3)).cpu().numpy())
    peaks = np.concatenate(rows)
    if not np.isfinite(peaks).all():
        image, unit = np.argwhere(~np.isfinite(peaks))[0]
        key = source[int(images[image])].key
        raise ActivationError(
            f"unit {unit} of layer {layer} gave {peaks[image, unit]} on image {key}; "
            "check the weights and the preprocessing of the network"
        )
    return peaks
