"""A small generator with gradients, whose parts can be run one by one."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from unitscope.networks.generators import Generator

KINDS = ("warm", "cold")
SIDE, STEP = 32, 4


class Grow(nn.Module):
    """Enlarges, convolves, and rectifies what it has convolved."""

    def __init__(self, channels, out):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, padding=1)

    def forward(self, x):
        return functional.relu(self.conv(functional.interpolate(x, scale_factor=2)))


class Small(nn.Module):
    """Latents of 8 numbers, and a kind, become pictures of 32 by 32 pixels from 0 to 1.

    `early` has 12 units of 8 by 8 cells, `middle` 10 of 16 by 16, behind an `nn.ReLU`, `late` 8 of 32 by 32.
    """

    def __init__(self):
        super().__init__()
        self.kind = nn.Embedding(2, 4)
        self.start = nn.Linear(12, 10 * 16)
        self.early = Grow(10, 12)
        self.middle = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(12, 10, 3, padding=1), nn.ReLU())
        self.late = Grow(10, 8)
        self.picture = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, latents, kinds):
        x = self.late(self.middle(self.early(self.begin(latents, kinds))))
        return torch.sigmoid(self.picture(x))

    def begin(self, latents, kinds):
        return functional.relu(self.start(torch.cat([latents, self.kind(kinds)], 1)).reshape(-1, 10, 4, 4))

    def finish(self, early, middle=0.0, late=0.0):
        """The picture from what `early` gives, with maps added before the later rectifications."""
        upsample, conv, relu = self.middle
        x = relu(conv(upsample(early)) + middle)
        x = functional.relu(self.late.conv(functional.interpolate(x, scale_factor=2)) + late)
        return torch.sigmoid(self.picture(x))


def small_generator(name="small", seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = Small().eval()
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.weight.data *= 2.0
    return Generator(module, name=name, latent=(8,), kinds=KINDS, low=0.0, high=1.0)


def some_picture(seed=0):
    """A picture with an edge, a gradient and some noise."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(40, 200, SIDE)
    picture = np.stack(
        [np.add.outer(ramp, 0 * ramp), np.add.outer(0 * ramp, ramp), np.full((SIDE, SIDE), 90.0)], 2
    )
    picture[10:20, 8:24] = rng.integers(0, 256, 3)
    return (picture + rng.normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8)
