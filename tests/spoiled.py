"""The planted generator with one unit that paints what no segmenter knows, and a classifier of colors."""

import torch
from torch import nn

from generated import SCALE, Planted
from unitscope.networks.generators import Generator
from unitscope.networks.network import Network
from unitscope.networks.picture_features import Extractor

SPOILER = 3


class Spoiled(Planted):
    """Cells of the first row where unit 3 is high are pale blue, which the reader takes for anything."""

    def forward(self, latents):
        picture = super().forward(latents)
        spoiled = (self.spoiling > 1.5)[:, None].repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3)
        pale = torch.tensor([0.0, 0, 1])[:, None, None]
        return torch.where(spoiled, pale, picture)

    def lay(self, units):
        units[:, SPOILER, 1:] = 0  # else the balls' pictures excite it as well
        x = super().lay(units)
        self.spoiling = x[:, SPOILER]
        return x


def spoiled_generator(kinds=()):
    class Kinds(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Spoiled()

        def forward(self, latents, kind):
            return self.inner(latents + 0.2 * kind[:, None])

    if kinds:
        return Generator(Kinds().eval(), name="spoiled", latent=(16,), kinds=kinds)
    return Generator(Spoiled().eval(), name="spoiled", latent=(16,))


def color_features():
    """Red, green, blue, and what only pale blue has."""
    layer = nn.Conv2d(3, 4, 1)
    rows = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [200, 200, 200]])
    layer.weight.data.copy_(rows[:, :, None, None])
    layer.bias.data.copy_(torch.tensor([0.0, 0, 0, -360]))
    module = nn.Sequential(layer, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Extractor(Network(module.eval(), name="colors"), "1")
