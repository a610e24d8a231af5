"""Photographs in the style of other pictures, by adaptive instance normalization without a decoder.

In a layer of an encoder every channel of the photograph's map is given the mean and standard deviation that
it has in the style (AdaIN, Huang and Belongie, ICCV 2017, equation 8); the twin is a picture with such a map.
Their decoder makes it in one pass; here it is found by gradient descent from the photograph on, under their
loss: the distance of its map from the wanted one, and of the means and deviations of several layers from the
style's. The encoder is EfficientNet-Lite0's own first layers, the only trained one at hand.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from unitscope.concepts.derived import DerivedSource, source_digest
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import ConceptSource, Example
from unitscope.errors import UsageError
from unitscope.files import whole_file
from unitscope.networks.network import Network
from unitscope.networks.trace import evaluation
from unitscope.progress import follow

LAYERS = ("_bn0", "_blocks.0", "_blocks.2", "_blocks.4")
"""The encoder's layers whose means and deviations become the style's."""
MIDDLE = "_blocks.2"
"""The layer whose map is wanted as adaptive instance normalization makes it."""
STEPS, RATE, BATCH = 40, 0.03, 4
STYLE_WEIGHT = 3.0
"""How much the means and deviations count beside the map."""

Stacked = UInt8[np.ndarray, "image y x 3"]
Maps = dict[str, Tensor]


@dataclass(frozen=True)
class Restyling:
    """How far twins went: the distance of a layer's channel means and deviations from the style's.

    Of the photograph, and of its twin; in units of the style's deviations, means over channels and pictures.
    """

    layer: str
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Photographs:
    """Photographs at a network's own size, and their twins, with the labels of their source.

    `gaps` say how far the twins went.
    """

    pictures: ConceptSource
    twins: ConceptSource
    gaps: Sequence[Restyling]


@dataclass(frozen=True, eq=False)
class StoredTwins(DerivedSource):
    """Some examples of a source, `places`, with other images, whose labels stay: uint8[image, y, x, 3]."""

    images: Stacked
    places: tuple[int, ...]
    made: str

    same_images = False

    @property
    def option(self) -> str:
        return self.made

    @property
    def spec(self) -> str:
        """What it is, for people; no text opens it again."""
        return f"StoredTwins of {len(self)} images, {len(self.vocabulary)} concepts,{self.option}"

    def __len__(self) -> int:
        return len(self.images)

    def place(self, index: int) -> int:
        """The number in `source` of an image. Raises `IndexError` past the end."""
        return self.places[range(len(self))[index]]

    def __getitem__(self, index: int, /) -> Example:
        one = self.source[self.place(index)]
        return Example(one.key, self.images[index], one.planes, one.ids, one.void)


def stretch_images(source: ConceptSource, size: tuple[int, int], places: Sequence[int]) -> Stacked:
    """Some images of a source, stretched as a network is given them."""
    frame = Frame(size, size)
    return np.stack([np.asarray(frame.fit_image(source[place].image)) for place in places])


def open_photographs(
    network: Network, source: ConceptSource, styles: ConceptSource, count: int, seed: int, folder: Path
) -> Photographs:
    """`count` photographs of a source and their twins in the styles of others, kept in a folder.

    Each seed takes other photographs while there are enough, and other styles. Raises `UsageError` where the
    source has fewer photographs than asked for.
    """
    if len(source) < count:
        raise UsageError(f"{count} photographs were asked for, and there are {len(source)}; ask for fewer")
    order, first = np.random.default_rng(0).permutation(len(source)), seed * count
    places = [int(order[(first + k) % len(source)]) for k in range(count)]
    chosen = np.random.default_rng(1000 + seed).choice(len(styles), count, replace=len(styles) < count)
    size = network.preprocessing.size or (224, 224)
    contents = stretch_images(source, size, places)
    asked = [
        network.digest,
        source_digest(source),
        source_digest(styles),
        places,
        chosen.tolist(),
        STEPS,
        RATE,
    ]
    key = hashlib.sha256(json.dumps([*asked, STYLE_WEIGHT, BATCH]).encode()).hexdigest()
    path = folder / f"restyled-{key[:16]}.npz"
    if not path.exists():
        models = stretch_images(styles, size, chosen.tolist())
        twins, gaps = restyle_photographs(network, contents, models, steps=STEPS)
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            np.savez(file, twins=twins, gaps=np.array([(one.before, one.after) for one in gaps]))
    with np.load(path) as kept:
        twins, gaps = (
            kept["twins"],
            [Restyling(layer, *pair) for layer, pair in zip(LAYERS, kept["gaps"].tolist(), strict=True)],
        )
    pictures = StoredTwins(source, contents, tuple(places), f"stretched={key[:16]}")
    return Photographs(pictures, StoredTwins(source, twins, tuple(places), f"restyled={key[:16]}"), gaps)


def restyle_photographs(
    network: Network, contents: Stacked, styles: Stacked, *, steps: int = STEPS
) -> tuple[Stacked, list[Restyling]]:
    """Twins of pictures, each in the style of one of as many others, and by layer how far they went.

    The network is left as it was.
    """
    twins, gaps = [], []
    with evaluation(network.module), follow(len(contents), "restyling") as work:
        for start in range(0, len(contents), BATCH):
            part = slice(start, start + BATCH)
            found, moved = _restyle(network, contents[part], styles[part], steps)
            twins.append(found)
            gaps.append(moved)
            work.update(len(found))
    weights = [len(part) for part in twins]
    middle = np.average(np.array(gaps), axis=0, weights=weights)
    pairs = zip(LAYERS, middle.tolist(), strict=True)
    return np.concatenate(twins), [Restyling(layer, before, after) for layer, (before, after) in pairs]


def _restyle(
    network: Network, contents: Stacked, styles: Stacked, steps: int
) -> tuple[Stacked, list[tuple[float, float]]]:
    start, model = (_to_unit(images) for images in (contents, styles))
    with torch.no_grad():
        content, style = (_encode(network, images) for images in (start, model))
    wanted = normalize_adaptively(content[MIDDLE], style[MIDDLE])
    scale = wanted.var((1, 2, 3), keepdim=True) + 1e-6
    pixels = start.clone().requires_grad_()
    descent = torch.optim.Adam([pixels], lr=RATE)
    for _ in range(steps):
        maps = _encode(network, pixels)
        loss = ((maps[MIDDLE] - wanted).square() / scale).mean((1, 2, 3)).sum()
        for layer in LAYERS:
            loss = loss + STYLE_WEIGHT * measure_gap(maps[layer], style[layer]).sum()
        (pixels.grad,) = torch.autograd.grad(loss, [pixels])
        descent.step()
        with torch.no_grad():
            pixels.clamp_(0, 1)
    images = np.round(pixels.detach().permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)
    with torch.no_grad():
        after = _encode(network, _to_unit(images))
    pairs = ([measure_gap(maps[layer], style[layer]) for maps in (content, after)] for layer in LAYERS)
    return images, [(float(before.mean()), float(past.mean())) for before, past in pairs]


def _to_unit(images: Stacked) -> Float32[Tensor, "image 3 y x"]:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


def normalize_adaptively(
    content: Float[Tensor, "image unit y x"], style: Float[Tensor, "image unit v u"]
) -> Float[Tensor, "image unit y x"]:
    """The content's map with the style's mean and standard deviation in every channel: AdaIN.

    >>> found = normalize_adaptively(torch.tensor([[[[0.0, 2.0]]]]), torch.tensor([[[[5.0, 9.0]]]]))
    >>> found.round(decimals=2).tolist()
    [[[[5.0, 9.0]]]]
    """
    (mean, deviation), (other, wanted) = map(_describe, (content, style))
    return (content - mean) / deviation * wanted + other


def measure_gap(
    maps: Float[Tensor, "image unit y x"], style: Float[Tensor, "image unit v u"]
) -> Float[Tensor, "image"]:
    """How far means and deviations are from the style's: squares over its variance, means over channels."""
    (mean, deviation), (other, wanted) = map(_describe, (maps, style))
    gap = (mean - other).square() + (deviation - wanted).square()
    return (gap / (wanted.square() + 1e-2)).mean((1, 2, 3))


def _describe(maps: Tensor) -> tuple[Tensor, Tensor]:
    return maps.mean((2, 3), keepdim=True), (maps.var((2, 3), keepdim=True, correction=0) + 1e-5).sqrt()


class _Enough(BaseException):
    """Ends a forward pass whose rest is not wanted."""


def _encode(network: Network, pixels: Float32[Tensor, "image 3 y x"]) -> Maps:
    """The maps of the encoder's layers, through which gradients flow."""
    found: Maps = {}
    with _watched(network.module, found), suppress(_Enough):
        network.run(network.preprocessing.normalize(pixels))
    return found


@contextmanager
def _watched(module: nn.Module, found: Maps) -> Iterator[None]:
    def note(layer: str, _module: nn.Module, _given: object, output: Tensor) -> None:
        found[layer] = output
        if len(found) == len(LAYERS):
            raise _Enough

    parts = {layer: module.get_submodule(layer) for layer in LAYERS}
    hooks = [part.register_forward_hook(partial(note, layer)) for layer, part in parts.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
