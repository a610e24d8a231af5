"""Two small towers, one for pictures and one for texts, that end in one space (CLIP, Radford et al. 2021)."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from unitscope.lab.zoo.texts import COUNT

WIDTH = 128
CHANNELS = (32, 64, 128, 128, 192)
STATE = 160


def _convolve(channels: int, out: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())


class TextTower(nn.Module):
    """Embeddings of texts: `tower(places[text, word]) -> [text, 128]`, of norm 1; place 0 ends a text.

    A recurrent network (GRU) over the embeddings of the words; its state after the last word is projected.
    """

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(COUNT, WIDTH)
        self.cell = nn.GRU(WIDTH, STATE, batch_first=True)
        self.head = nn.Linear(STATE, WIDTH)

    def forward(self, places: Int64[Tensor, "text word"]) -> Float[Tensor, "text width"]:
        states, _ = self.cell(self.words(places))
        # What follows the last word of a shorter text does not reach its state there.
        last = (places > 0).sum(1) - 1
        ends = states[torch.arange(len(places)), last]
        return functional.normalize(self.head(ends), dim=1)


class Towers(nn.Module):
    """Embeddings of pictures of 64 by 64 pixels: `towers(images[n, 3, 64, 64]) -> [n, 128]`, of norm 1.

    `layer1` to `layer5` are convolutions, the last of 192 units on 8 by 8 cells; `head` reads the mean and
    the largest value of every unit's map, so that small things count. `text` is the tower of texts, `scale`
    the logarithm of what cosines are multiplied with (the inverse temperature).

    >>> Towers().eval()(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 128])
    """

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d, e = CHANNELS
        self.layer1 = nn.Sequential(nn.Conv2d(3, a, 4, 2, 1, bias=False), nn.BatchNorm2d(a), nn.ReLU())
        self.layer2 = nn.Sequential(*_convolve(a, b))
        self.layer3 = nn.Sequential(nn.MaxPool2d(2), *_convolve(b, c))
        self.layer4 = nn.Sequential(*_convolve(c, d))
        self.layer5 = nn.Sequential(nn.MaxPool2d(2), *_convolve(d, e))
        self.head = nn.Linear(2 * e, WIDTH)
        self.text = TextTower()
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n width"]:
        x = images.contiguous(memory_format=torch.channels_last)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4, self.layer5):
            x = layer(x)
        seen = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return functional.normalize(self.head(seen).float(), dim=1)
