"""The zoo's generator: a latent and a kind of scene become a picture of 64 by 64 pixels.

Five convolutions, each after the map was enlarged by repeating its cells, so that no grid of a
transposed convolution shows. The latent enters every layer: it scales and shifts what batch
normalization leaves (self-modulation, Chen et al., ICLR 2019).
"""

from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

LATENT = 64
KIND = 32
CHANNELS = (256, 192, 160, 128, 32)


class Modulation(nn.Module):
    """Batch normalization whose scale and shift come from the latent."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.style = nn.Linear(LATENT + KIND, 2 * channels)
        with torch.no_grad():
            self.style.weight.mul_(0.3)
            self.style.bias.zero_()

    def forward(self, x: Float[Tensor, "n c y x"], style: Float[Tensor, "n s"]) -> Float[Tensor, "n c y x"]:
        scale, shift = self.style(style).chunk(2, dim=1)
        return cast("Tensor", self.norm(x) * (1 + scale[:, :, None, None]) + shift[:, :, None, None])


class Block(nn.Module):
    """Enlarges a map, convolves it, normalizes it as the latent says, rectifies it."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, padding=1, bias=False)
        self.norm = Modulation(out)

    def forward(self, x: Float[Tensor, "n c y x"], style: Float[Tensor, "n s"]) -> Float[Tensor, "n d v u"]:
        wide = functional.interpolate(x, scale_factor=2, mode="nearest")
        return functional.relu(self.norm(self.conv(wide), style))


class SceneGenerator(nn.Module):
    """Pictures from latents: `generator(latents[n, 64], kinds[n]) -> [n, 3, 64, 64]` in [-1, 1].

    Its layers are `layer1` (192 units, 8 by 8 cells), `layer2` (160, 16 by 16), `layer3` (128,
    32 by 32), `layer4` (32, 64 by 64) and `layer5`, which is the picture.

    >>> generator = SceneGenerator(kinds=5).eval()
    >>> generator(torch.zeros(2, LATENT), torch.tensor([0, 4])).shape
    torch.Size([2, 3, 64, 64])
    """

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.kind = nn.Embedding(kinds, KIND)
        self.seed = nn.Linear(LATENT + KIND, CHANNELS[0] * 16)
        self.norm = Modulation(CHANNELS[0])
        self.layer1 = Block(CHANNELS[0], CHANNELS[1])
        self.layer2 = Block(CHANNELS[1], CHANNELS[2])
        self.layer3 = Block(CHANNELS[2], CHANNELS[3])
        self.layer4 = Block(CHANNELS[3], CHANNELS[4])
        self.layer5 = nn.Conv2d(CHANNELS[4], 3, 3, padding=1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.orthogonal_(part.weight)

    def forward(self, latents: Float[Tensor, "n 64"], kinds: Int64[Tensor, "n"]) -> Float[Tensor, "n 3 y x"]:
        style = torch.cat([latents, self.kind(kinds)], 1)
        x = self.seed(style).view(-1, CHANNELS[0], 4, 4)
        x = x.contiguous(memory_format=torch.channels_last)
        x = functional.relu(self.norm(x, style))
        for block in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = block(x, style)
        return torch.tanh(self.layer5(x))


class Critic(nn.Module):
    """Tells painted pictures from generated ones: one logit a picture, high for painted.

    The sum of three opinions: on the whole picture, on whether the whole fits the kind of scene
    (projection, Miyato and Koyama, ICLR 2018), and on patches. The spread of features within
    groups of 8 pictures is shown to it, so that a generator that repeats itself is found out
    (Karras et al., ICLR 2018). `label` also guesses the object at every fourth pixel.
    """

    def __init__(self, kinds: int, objects: int, channels: tuple[int, ...] = (48, 96, 192, 256)) -> None:
        super().__init__()
        before = (3, *channels[:-1])
        pairs = zip(before, channels, strict=True)
        self.steps = nn.ModuleList(nn.Conv2d(i, o, 4, stride=2, padding=1) for i, o in pairs)
        self.mixed = nn.Conv2d(channels[-1] + 1, channels[-1], 3, padding=1)
        self.whole = nn.Linear(channels[-1], 1)
        self.fitting = nn.Embedding(kinds, channels[-1])
        self.patch = nn.Conv2d(channels[2], 1, 1)
        self.label = nn.Conv2d(channels[1] + channels[2], objects, 1)

    def forward(
        self, images: Float[Tensor, "n 3 64 64"], kinds: Int64[Tensor, "n"]
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n objects 16 16"]]:
        features = []
        x = images.contiguous(memory_format=torch.channels_last)
        for step in self.steps:
            x = functional.leaky_relu(step(x), 0.2)
            features.append(x)
        x = torch.cat([x, _spread(x)], 1)
        x = functional.leaky_relu(self.mixed(x), 0.2).float().sum((2, 3)) / 4
        whole = self.whole(x)[:, 0] + (x * self.fitting(kinds)).sum(1)
        wide = functional.interpolate(features[2], scale_factor=2, mode="nearest")
        labels = self.label(torch.cat([wide, features[1]], 1))
        return whole + self.patch(features[2]).mean((1, 2, 3)), labels


def _spread(x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n 1 y x"]:
    """The mean standard deviation of features within each group of up to 8 pictures, as one more channel."""
    group = 8 if len(x) % 8 == 0 else len(x)
    grouped = x.float().reshape(group, -1, *x.shape[1:])
    deviation = (grouped.var(0, unbiased=False) + 1e-6).sqrt().mean((1, 2, 3))
    return deviation.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:]).to(x.dtype)
