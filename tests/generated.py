"""A generator whose units paint known concepts, and a segmenter that reads them off exactly."""

import numpy as np
import torch
from torch import nn

from unitscope.concepts.segmented import SegmentedSource
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.interventions.generator_run import open_studio
from unitscope.networks.directions.activations import Relu
from unitscope.networks.directions.directions import make_directions
from unitscope.networks.generators import GeneratedImages, Generator
from unitscope.networks.network import Network
from unitscope.networks.segmentation.network_segmenter import NetworkSegmenter

WORDS = Vocabulary(
    (
        Concept(2, "ball", "object"),
        Concept(3, "tree", "object"),
        Concept(5, "ground", "object"),
        Concept(7, "moss", "part"),
        Concept(9, "ghost", "object"),
    )
)
PAINTS = {2: (1, 4), 3: (0, 6, 7)}
"""Which units of the layer `maps` paint which concept; the other five paint nothing."""
UNITS, CELLS, SCALE = 10, 4, 4


class Planted(nn.Module):
    """A latent of 16 numbers, one a cell, becomes a picture of 16 by 16 pixels.

    A cell whose number is high holds a ball: units 1 and 4 are active there, and its pixels are red. One
    whose number is low holds a tree: units 0, 6 and 7, green. Other cells are blue ground that no unit
    paints. Units 2, 3, 5, 8 and 9 follow the latent too, and nothing follows them.
    """

    def __init__(self):
        super().__init__()
        self.first, self.maps = nn.Identity(), nn.Identity()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, latents):
        z = self.first(latents).reshape(-1, 1, CELLS, CELLS) * self.scale
        ball, tree = (z > 0.8).float() * z, (z < -0.6).float() * -z
        noise = z.roll(1, 2).relu(), z.roll(1, 3).relu(), z.roll(2, 2).relu(), z.abs(), z.flip(3).relu()
        units = [tree, ball, noise[0], noise[1], ball, noise[2], tree, tree * 0.5, noise[3], noise[4]]
        x = self.lay(torch.cat(units, 1))
        red, green = x[:, PAINTS[2]].mean(1), x[:, PAINTS[3]].mean(1)
        picture = torch.stack([(4 * red - 1), (1.3 * green - 0.05), 0.2 - red - green], 1).clamp(-1, 1)
        return nn.functional.interpolate(picture, scale_factor=SCALE, mode="nearest")

    def lay(self, units):
        """The units as the layer gives them, then as the picture is painted with them."""
        return self.maps(units)


class PlantedTokens(Planted):
    """The same with a layer of tokens: one a cell behind a class token, without which all is paler."""

    def lay(self, units):
        tokens = units.flatten(2).transpose(1, 2)
        tokens = self.maps(torch.cat([tokens.amax(1, keepdim=True), tokens], 1))
        return (tokens[:, 1:] * (tokens[:, :1] > 0.9)).transpose(1, 2).reshape(units.shape)


class Reader(nn.Module):
    """Logits of ball, tree, ground, nothing, then of moss and not moss (moss is where a tree is dark)."""

    def forward(self, x):
        red, green, blue = x.unbind(1)
        ground = torch.full_like(red, 0.5) + 0 * blue
        return 9 * torch.stack([red, green, ground, ground - 9, green * (0.9 - green), 0.1 + 0 * red], 1)


def planted_generator(name="planted"):
    return Generator(Planted().eval(), name=name, latent=(16,))


BALL, TREE = 0, 1
"""The latents of `planted_latents` that are the concepts, of eight."""


def planted_latents():
    """Directions of the layer `maps`: two are the balls and the trees, six anything else."""
    rows = np.zeros((8, UNITS))
    rows[BALL, list(PAINTS[2])] = 1
    rows[TREE, list(PAINTS[3])] = 1, 1, 0.5
    rows[[2, 3, 4, 5, 6], [2, 3, 5, 8, 9]] = 1
    rows[7, [1, 4]] = 1, -1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    turned = torch.from_numpy(rows.astype(np.float32))
    return make_directions(turned.T, turned, activation=Relu(), kind="planted")


def planted_segmenter():
    return NetworkSegmenter(Network(Reader().eval(), name="reader"), WORDS, ((2, 3, 5, 0), (7, 0)))


class Plain:
    """The same labels without probabilities."""

    def __init__(self):
        self.inner = planted_segmenter()
        self.name, self.digest, self.vocabulary = "plain", "1", WORDS

    def __call__(self, images):
        return self.inner(images)


def planted_studio(images=64, segmenter=None, out=None, generator=None):
    """The planted generator dissected over its first images."""
    generator = generator or planted_generator()
    source = SegmentedSource(GeneratedImages(generator, images), segmenter or planted_segmenter())
    rules = CONVENTIONS["pnas"]
    run = dissect(generator, source, ["maps"], convention=rules, confidences=Confidences(shifts=0), out=out)
    return open_studio(generator, run, source)


def segment_alone(generator, segmenter, number, *edits):
    """The planes of one image by the plain way: one picture at a time, with its edits."""
    from unitscope.interventions.edits import edited
    from unitscope.networks.generators import to_pixels

    with torch.no_grad(), edited(generator, *edits):
        picture = generator.module(*(one if isinstance(one := generator.feed(
            np.zeros((1, 1, 1, 3), np.uint8), number), tuple) else (one,)))  # fmt: skip
    return segmenter(to_pixels(picture, generator.low, generator.high))[0]
