"""Six styles of architecture at one scale: 64 by 64 pixels in, 8 by 8 cells of the same number of units out.

Each is five stages, `layer1` to `layer5`, in the manner of a well-known network and a hundredth of its size:
what is compared is how the stages are wired, so all have the same cells and units in the end.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

UNITS = 128
"""The units of the last stage at width 1."""

Maps = Float[Tensor, "n c y x"]
Made = Float[Tensor, "n k v u"]


@dataclass(frozen=True)
class Make:
    """How stages are built: how many units the last one has, and whether convolutions are normalized."""

    units: int = UNITS
    norm: bool = True

    def convolve(self, channels: int, out: int, size: int = 3, stride: int = 1) -> nn.Sequential:
        """A convolution that keeps the place of things, normalized if wanted, and rectified."""
        convolution = nn.Conv2d(channels, out, size, stride, size // 2, bias=not self.norm)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        return nn.Sequential(convolution, *([nn.BatchNorm2d(out)] if self.norm else []), nn.ReLU())


def _pool() -> nn.Module:
    return nn.MaxPool2d(2)


def _alexnet(make: Make) -> list[nn.Module]:
    """A large first filter, pooling early, five convolutions in all (Krizhevsky et al., 2012)."""
    return [
        make.convolve(3, 48, 7, 2),
        nn.Sequential(_pool(), make.convolve(48, 96, 5)),
        nn.Sequential(_pool(), make.convolve(96, 128)),
        make.convolve(128, 128),
        make.convolve(128, make.units),
    ]


def _vgg(make: Make) -> list[nn.Module]:
    """Small filters only, in pairs (Simonyan and Zisserman, 2015)."""
    return [
        make.convolve(3, 32, 3, 2),
        nn.Sequential(make.convolve(32, 32), _pool()),
        nn.Sequential(make.convolve(32, 64), make.convolve(64, 64)),
        nn.Sequential(_pool(), make.convolve(64, 128), make.convolve(128, 128)),
        make.convolve(128, make.units),
    ]


class _Inception(nn.Module):
    """Filters of several sizes side by side (Szegedy et al., 2015)."""

    def __init__(self, make: Make, channels: int, out: int) -> None:
        super().__init__()
        half, quarter, eighth = out // 2, out // 4, out // 8
        self.branches = nn.ModuleList(
            [
                make.convolve(channels, quarter, 1),
                nn.Sequential(make.convolve(channels, quarter, 1), make.convolve(quarter, half)),
                nn.Sequential(make.convolve(channels, eighth, 1), make.convolve(eighth, eighth, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), make.convolve(channels, eighth, 1)),
            ]
        )

    def forward(self, maps: Maps) -> Made:
        return torch.cat([branch(maps) for branch in self.branches], 1)


def _googlenet(make: Make) -> list[nn.Module]:
    return [
        make.convolve(3, 32, 5, 2),
        nn.Sequential(_pool(), make.convolve(32, 64)),
        _Inception(make, 64, 128),
        nn.Sequential(_pool(), _Inception(make, 128, 128)),
        nn.Sequential(_Inception(make, 128, 128), _Inception(make, 128, make.units)),
    ]


class _Residual(nn.Module):
    """Two convolutions whose sum with their input goes on (He et al., 2016)."""

    def __init__(self, make: Make, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.first = make.convolve(channels, out, 3, stride)
        self.second = nn.Sequential(nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))
        same = channels == out and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, maps: Maps) -> Made:
        return torch.relu(self.second(self.first(maps)) + self.short(maps))


def _resnet(make: Make) -> list[nn.Module]:
    return [
        make.convolve(3, 32, 3, 2),
        _Residual(make, 32, 32, 2),
        _Residual(make, 32, 64),
        nn.Sequential(_Residual(make, 64, 128, 2), _Residual(make, 128, 128)),
        _Residual(make, 128, make.units),
    ]


class _Dense(nn.Module):
    """Every convolution reads all that came before it (Huang et al., 2017)."""

    def __init__(self, make: Make, channels: int, growth: int, count: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(make.convolve(channels + growth * i, growth) for i in range(count))

    def forward(self, maps: Maps) -> Made:
        for step in self.steps:
            maps = torch.cat([maps, step(maps)], 1)
        return maps


def _densenet(make: Make) -> list[nn.Module]:
    return [
        make.convolve(3, 32, 3, 2),
        nn.Sequential(_pool(), _Dense(make, 32, 16, 3)),
        nn.Sequential(make.convolve(80, 48, 1), _Dense(make, 48, 16, 3)),
        nn.Sequential(make.convolve(96, 64, 1), _pool(), _Dense(make, 64, 24, 4)),
        make.convolve(160, make.units, 1),
    ]


class _Patches(nn.Module):
    """Patches of eight by eight pixels as cells, with where they are added (Dosovitskiy et al., 2021)."""

    def __init__(self, width: int, cells: int = 8) -> None:
        super().__init__()
        self.cut = nn.Conv2d(3, width, 8, 8)
        self.places = nn.Parameter(0.02 * torch.randn(1, width, cells, cells))

    def forward(self, images: Maps) -> Made:
        maps: Tensor = self.cut(images)
        places: Tensor = self.places
        if maps.shape[2:] != places.shape[2:]:
            places = nn.functional.interpolate(places, maps.shape[2:], mode="bilinear", align_corners=False)
        return maps + places


class _Attend(nn.Module):
    """A transformer's block over the cells of a map."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(
            width, 4, 3 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.widen = nn.Identity() if out == width else nn.Linear(width, out)

    def forward(self, maps: Maps) -> Made:
        y, x = maps.shape[2:]
        cells = self.widen(self.block(maps.flatten(2).transpose(1, 2)))
        made: Tensor = cells.transpose(1, 2).unflatten(2, (y, x))
        return made


def _vit(make: Make) -> list[nn.Module]:
    return [_Patches(128), *(_Attend(128, 128) for _ in range(3)), _Attend(128, make.units)]


STYLES: dict[str, Callable[[Make], list[nn.Module]]] = {
    "alexnet": _alexnet,
    "vgg": _vgg,
    "googlenet": _googlenet,
    "resnet": _resnet,
    "densenet": _densenet,
    "vit": _vit,
}
"""The five stages of every style."""
