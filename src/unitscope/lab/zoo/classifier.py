"""The zoo's scene classifier: convolutions in the style of VGG, and one linear layer over their mean."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn


def _convolve(channels: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]


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
