"""The zoo's networks that read pictures: a classifier of scenes (as VGG) and a segmenter (a U-Net)."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unitscope.lab.world.names import MATERIAL_IDS, OBJECT_IDS, PART_IDS

CLASSES = (len(OBJECT_IDS) + 1, len(PART_IDS) + 1, len(MATERIAL_IDS) + 1)
"""How many objects, parts and materials the segmenter distinguishes, "none" included."""


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
