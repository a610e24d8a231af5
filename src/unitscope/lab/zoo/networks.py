"""The zoo's networks: a classifier of scenes, a segmenter, and a generator with the critic it learns from.

The classifier is in the style of VGG, the segmenter a U-Net. The generator enlarges its map by repeating
cells before every convolution, so that no grid of a transposed convolution shows; the latent enters every
layer, where it scales and shifts what batch normalization leaves (self-modulation, Chen et al., ICLR 2019).
"""

from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from unitscope.lab.world.names import MATERIAL_IDS, OBJECT_IDS, PART_IDS

CLASSES = (len(OBJECT_IDS) + 1, len(PART_IDS) + 1, len(MATERIAL_IDS) + 1)
"""How many objects, parts and materials the segmenter distinguishes, "none" included."""

LATENT = 64
KIND = 32
CHANNELS = (256, 192, 160, 128, 32)


def _convolve(channels: int, out: int, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())


def _enlarge(x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c v u"]:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class SceneClassifier(nn.Module):
    """Scene logits of pictures of 64 by 64 pixels: `classifier(images[n, 3, 64, 64]) -> [n, scenes]`.

    `layer1` to `layer5` are its convolutions; the last has `width` units and 8 by 8 cells.

    >>> SceneClassifier(scenes=24).eval()(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 24])
    """

    def __init__(self, scenes: int, width: int = 160) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(*_convolve(3, 32))
        self.layer2 = nn.Sequential(nn.MaxPool2d(2), *_convolve(32, 64))
        self.layer3 = nn.Sequential(nn.MaxPool2d(2), *_convolve(64, 128))
        self.layer4 = nn.Sequential(*_convolve(128, 128))
        self.layer5 = nn.Sequential(nn.MaxPool2d(2), *_convolve(128, width))
        self.head = nn.Linear(width, scenes)

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n scenes"]:
        x = images.contiguous(memory_format=torch.channels_last)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4, self.layer5):
            x = layer(x)
        return cast("Tensor", self.head(x.mean((2, 3))))


class SceneSegmenter(nn.Module):
    """Logits of every pixel, one group of channels a category.

    `segmenter(images[n, 3, y, x]) -> [n, sum(classes), y, x]` for sides that 16 divides. `classes`
    counts the classes of each category, "none of them" included, in the order of the channels.
    `down1` to `down5` see the picture ever coarser; `up4` to `up1` bring what they see back to its pixels.

    >>> SceneSegmenter(classes=(67, 60, 18)).eval()(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 145, 64, 64])
    """

    def __init__(
        self, classes: tuple[int, ...], channels: tuple[int, int, int, int, int] = (32, 64, 128, 192, 256)
    ) -> None:
        super().__init__()
        a, b, c, d, e = channels
        self.classes, self.channels = classes, channels
        self.down1 = nn.Sequential(_convolve(3, a), _convolve(a, a))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), _convolve(a, b), _convolve(b, b))
        self.down3 = nn.Sequential(nn.MaxPool2d(2), _convolve(b, c), _convolve(c, c))
        self.down4 = nn.Sequential(nn.MaxPool2d(2), _convolve(c, d), _convolve(d, d))
        self.down5 = nn.Sequential(nn.MaxPool2d(2), _convolve(d, e), _convolve(e, e))
        self.side4, self.up4 = _convolve(e, d, 1), _convolve(d, d)
        self.side3, self.up3 = _convolve(d, c, 1), _convolve(c, c)
        self.side2, self.up2 = _convolve(c, b, 1), _convolve(b, b)
        self.side1, self.up1 = _convolve(b, a, 1), _convolve(a, 2 * a)
        self.head = nn.Conv2d(2 * a, sum(classes), 1)

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n classes y x"]:
        one = self.down1(images.contiguous(memory_format=torch.channels_last))
        two = self.down2(one)
        three = self.down3(two)
        four = self.down4(three)
        x = self.down5(four)
        x = self.up4(_enlarge(self.side4(x)) + four)
        x = self.up3(_enlarge(self.side3(x)) + three)
        x = self.up2(_enlarge(self.side2(x)) + two)
        x = self.up1(_enlarge(self.side1(x)) + one)
        return cast("Tensor", self.head(x))


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
        return functional.relu(self.norm(self.conv(_enlarge(x)), style))


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
    """Distinguishes painted pictures from generated ones: one logit a picture, high for painted.

    The sum of three scores: of the whole picture, of how well it fits the kind of scene (projection,
    Miyato and Koyama, ICLR 2018), and of patches. It also reads the spread of features within groups of 8
    pictures, so that a generator that repeats itself is recognized (Karras et al., ICLR 2018). `label` also
    predicts the object at every fourth pixel.
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
        labels = self.label(torch.cat([_enlarge(features[2]), features[1]], 1))
        return whole + self.patch(features[2]).mean((1, 2, 3)), labels


def _spread(x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n 1 y x"]:
    """The mean standard deviation of features within each group of up to 8 pictures, as one more channel."""
    group = 8 if len(x) % 8 == 0 else len(x)
    grouped = x.float().reshape(group, -1, *x.shape[1:])
    deviation = (grouped.var(0, unbiased=False) + 1e-6).sqrt().mean((1, 2, 3))
    return deviation.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:]).to(x.dtype)
