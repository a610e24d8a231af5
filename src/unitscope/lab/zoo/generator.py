"""The zoo's generator of scenes, and the critic it learns from.

The generator enlarges its map by bilinear interpolation before every convolution, so that neither the grid
of a transposed convolution shows nor the plaid of repeated cells. The latent enters every layer, where it
scales and shifts what normalization leaves (self-modulation, Chen et al., ICLR 2019). From 32 by 32 cells
on every unit adds a noise map of its own, always the same one, times a strength that it learned: grain that
convolutions can pick up instead of inventing it.
"""

from itertools import pairwise
from typing import Literal, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

LATENT = 64
KIND = 32
START = 256
"""Units of the map of 4 by 4 cells that the latent is turned into."""

Norm = Literal["batch", "pixel"]


def enlarge(x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c v u"]:
    """Twice as many rows and columns, interpolated between the cells."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class PixelNorm(nn.Module):
    """Every cell's vector over the units scaled to a mean square of 1 (Karras et al., ICLR 2018)."""

    def forward(self, x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c y x"]:
        size = x.float().pow(2).mean(1, keepdim=True).add(1e-6).rsqrt()
        return x * size.to(x.dtype)


class Modulation(nn.Module):
    """Normalization whose scale and shift come from the latent; "batch" or "pixel"."""

    def __init__(self, channels: int, norm: Norm = "batch") -> None:
        super().__init__()
        self.norm = PixelNorm() if norm == "pixel" else nn.BatchNorm2d(channels, affine=False)
        self.style = nn.Linear(LATENT + KIND, 2 * channels)
        with torch.no_grad():
            self.style.weight.mul_(0.3)
            self.style.bias.zero_()

    def forward(self, x: Float[Tensor, "n c y x"], style: Float[Tensor, "n s"]) -> Float[Tensor, "n c y x"]:
        scale, shift = self.style(style)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(x), 1 + scale)


class Grain(nn.Module):
    """Adds a fixed map of normal noise to every unit, times a strength that is learned.

    The maps are drawn anew from their seed whenever the network is built, and so are in no file.
    """

    maps: Tensor

    def __init__(self, channels: int, side: int, seed: int) -> None:
        super().__init__()
        rng = torch.Generator(device="cpu").manual_seed(seed)
        maps = torch.randn(1, channels, side, side, generator=rng, device="cpu")
        self.register_buffer("maps", maps.contiguous(memory_format=torch.channels_last), persistent=False)
        self.strength = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c y x"]:
        return x + (self.maps * self.strength[:, None, None]).to(x.dtype)


class Block(nn.Module):
    """Enlarges a map, convolves it, normalizes it as the latent says, adds grain, rectifies it.

    If `narrow`, a convolution of single cells leaves so many units before the map is enlarged. If `side`,
    the units add grain of that many cells.
    """

    def __init__(
        self, channels: int, out: int, norm: Norm, *, narrow: int = 0, larger: bool = True, side: int = 0
    ) -> None:
        super().__init__()
        self.larger = larger
        self.narrow = nn.Conv2d(channels, narrow, 1, bias=False) if narrow else nn.Identity()
        self.conv = nn.Conv2d(narrow or channels, out, 3, padding=1, bias=False)
        self.norm = Modulation(out, norm)
        self.grain = Grain(out, side, seed=1000 * side + out) if side else nn.Identity()

    def forward(self, x: Float[Tensor, "n c y x"], style: Float[Tensor, "n s"]) -> Float[Tensor, "n d v u"]:
        x = self.narrow(x)
        x = self.conv(enlarge(x) if self.larger else x)
        return functional.relu(self.grain(self.norm(x, style)))


class Pair(Block):
    """A block that enlarges, `first`, then one that does not."""

    def __init__(self, channels: int, out: int, norm: Norm, *, narrow: int, side: int) -> None:
        super().__init__(out, out, norm, larger=False, side=side)
        self.first = Block(channels, out, norm, narrow=narrow)

    def forward(self, x: Float[Tensor, "n c y x"], style: Float[Tensor, "n s"]) -> Float[Tensor, "n d v u"]:
        return super().forward(self.first(x, style), style)


class SceneGenerator(nn.Module):
    """Pictures from latents: `generator(latents[n, 64], kinds[n]) -> [n, 3, 64, 64]` in [-1, 1].

    Its layers are `layer1` (192 units, 8 by 8 cells), `layer2` (160, 16 by 16), `layer3` (128,
    32 by 32), `layer4.first` and `layer4` (32 each, 64 by 64) and `layer5`, which is the picture. `norm`
    normalizes every unit over the batch, or every cell over its units.

    >>> generator = SceneGenerator(kinds=5).eval()
    >>> generator(torch.zeros(2, LATENT), torch.tensor([0, 4])).shape
    torch.Size([2, 3, 64, 64])
    """

    def __init__(self, kinds: int, norm: Norm = "batch") -> None:
        super().__init__()
        self.kind = nn.Embedding(kinds, KIND)
        self.seed = nn.Linear(LATENT + KIND, START * 16)
        self.norm = Modulation(START, norm)
        self.layer1 = Block(START, 192, norm)
        self.layer2 = Block(192, 160, norm)
        self.layer3 = Block(160, 128, norm, narrow=64, side=32)
        self.layer4 = Pair(128, 32, norm, narrow=32, side=64)
        self.layer5 = nn.Conv2d(32, 3, 3, padding=1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.orthogonal_(part.weight)

    def forward(self, latents: Float[Tensor, "n 64"], kinds: Int64[Tensor, "n"]) -> Float[Tensor, "n 3 y x"]:
        style = torch.cat([latents, self.kind(kinds)], 1)
        x = self.seed(style).view(-1, START, 4, 4)
        x = x.contiguous(memory_format=torch.channels_last)
        x = functional.relu(self.norm(x, style))
        for block in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = block(x, style)
        return torch.tanh(self.layer5(x))


class Encoder(nn.Module):
    """What a trained segmenter sees in pictures, from fine to coarse; nothing of it is trained.

    `encoder(images[n, 3, 64, 64])` gives the maps of `down2` to `down5`. Each batch normalization is folded
    into its convolution.
    """

    def __init__(self, segmenter: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        steps = [cast("nn.Module", getattr(segmenter, f"down{k}")) for k in range(1, 6)]
        self.steps = nn.ModuleList(nn.Sequential(*_fold(step)) for step in steps)
        self.to(dtype).to(memory_format=torch.channels_last).requires_grad_(False).eval()
        self.dtype = dtype

    def forward(self, images: Float[Tensor, "n 3 64 64"]) -> list[Float[Tensor, "n c y x"]]:
        x = images.to(self.dtype, memory_format=torch.channels_last)
        seen = []
        for step in self.steps:
            x = step(x)
            seen.append(x)
        return seen[1:]


def _fold(step: nn.Module) -> list[nn.Module]:
    """The layers of a step in order, without batch normalization: it is in the convolutions."""
    layers: list[nn.Module] = []
    for part in step.modules():
        if isinstance(part, nn.BatchNorm2d):
            layers[-1] = fuse_conv_bn_eval(cast("nn.Conv2d", layers[-1]).eval(), part.eval())
        elif not list(part.children()):
            layers.append(part)
    return layers


class Critic(nn.Module):
    """Distinguishes painted pictures from generated ones: one logit a picture, high for painted.

    It reads the picture at full resolution, and at each coarser step also what `Encoder` sees there. The
    sum of three scores: of the whole picture, of how well it fits the kind of scene (projection,
    Miyato and Koyama, ICLR 2018), and of patches. If `spread`, it also reads the spread of features
    within groups of 8 pictures, so that a generator that repeats itself is recognized (Karras et al.,
    ICLR 2018).
    """

    def __init__(
        self, kinds: int, seen: tuple[int, ...] = (64, 128, 192, 256), *, spread: bool = True
    ) -> None:
        super().__init__()
        channels = (64, 128, 192, 256)
        self.spread = spread
        self.stem = nn.Conv2d(12, channels[0], 3, padding=1)
        self.steps = nn.ModuleList(nn.Conv2d(i, o, 4, stride=2, padding=1) for i, o in pairwise(channels))
        self.sides = nn.ModuleList(
            nn.Conv2d(i, o, 1, bias=False) for i, o in zip(seen, channels, strict=True)
        )
        self.mixed = nn.Conv2d(channels[-1] + spread, channels[-1], 3, padding=1)
        self.whole = nn.Linear(channels[-1], 1)
        self.fitting = nn.Embedding(kinds, channels[-1])
        self.patches = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in channels[:3])
        nn.init.normal_(self.fitting.weight, std=0.05)

    def forward(
        self,
        images: Float[Tensor, "n 3 64 64"],
        seen: list[Float[Tensor, "n c y x"]],
        kinds: Int64[Tensor, "n"],
    ) -> Float[Tensor, "n"]:
        # Two by two pixels become one cell: the stem convolves 6 by 6 pixels, and none is averaged away.
        x = functional.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last)
        score = torch.zeros(len(x))
        for place, (step, side) in enumerate(zip((self.stem, *self.steps), self.sides, strict=True)):
            x = functional.leaky_relu(step(x) + side(seen[place]), 0.2)
            if place < len(self.patches):
                score = score + self.patches[place](x).float().mean((1, 2, 3))
        if self.spread:
            x = torch.cat([x, _spread(x)], 1)
        x = functional.leaky_relu(self.mixed(x), 0.2).float().mean((2, 3))
        whole = cast("Tensor", self.whole(x))[:, 0].float()
        return cast("Tensor", score + whole + (x * self.fitting(kinds)).sum(1))


def _spread(x: Float[Tensor, "n c y x"]) -> Float[Tensor, "n 1 y x"]:
    """The mean standard deviation of features within each group of up to 8 pictures, as one more channel."""
    group = 8 if len(x) % 8 == 0 else len(x)
    grouped = x.float().reshape(group, -1, *x.shape[1:])
    deviation = (grouped.var(0, unbiased=False) + 1e-6).sqrt().mean((1, 2, 3))
    return deviation.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:]).to(x.dtype)
