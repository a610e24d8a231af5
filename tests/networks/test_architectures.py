"""Twelve families that lay their cells differently: what is in place, and that brute force agrees."""

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models.mlp_mixer import MlpMixer
from timm.models.nest import Nest
from torch import Tensor, nn

from unitscope.networks.listing import LayerShape
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.places import draw_changes, locate
from unitscope.networks.probe import list_places
from unitscope.networks.tokens import Tokens
from unitscope.networks.weights import random_weights

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from brute_force import draw_patches, find_answers, judge, measure

Size = tuple[int, int]

NETWORKS: dict[str, tuple[str | type[nn.Module], Size, dict[str, Any]]] = {
    "vit": ("vit_tiny_patch16_224", (96, 192), {"img_size": (96, 192), "depth": 2}),
    "swin": (
        "swin_tiny_patch4_window7_224",
        (56, 112),
        {"img_size": (56, 112), "embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4)},
    ),
    "hiera": ("hiera_tiny_224", (64, 128), {"img_size": (64, 128), "embed_dim": 24, "stages": (1, 1, 1, 1)}),
    "nest": (
        Nest,
        (64, 64),
        {"img_size": 64, "depths": (1, 1, 1), "embed_dims": (24, 48, 96), "num_heads": (2, 2, 2)},
    ),
    "cait": ("cait_xxs24_224", (96, 192), {"img_size": (96, 192), "depth": 2, "embed_dim": 96}),
    "mixer": (MlpMixer, (96, 96), {"img_size": 96, "num_blocks": 2, "embed_dim": 64}),
    "convnext": ("convnext_atto", (96, 192), {"depths": (1, 1, 1, 1)}),
    "resnet": ("resnet10t", (64, 128), {}),
    "levit": ("levit_128s", (96, 192), {"img_size": (96, 192)}),
    "davit": (
        "davit_tiny",
        (64, 128),
        {"depths": (1, 1, 1), "embed_dims": (24, 48, 96), "num_heads": (2, 2, 2)},
    ),
    "xcit": ("xcit_nano_12_p16_224", (96, 192), {"depth": 2, "embed_dim": 64, "img_size": (96, 192)}),
    "pvt": ("pvt_v2_b0", (96, 192), {"depths": (1, 1, 1, 1)}),
}
IN_PLACE = {
    "vit": ["patch_embed", "blocks.0", "blocks.1", "norm"],
    "swin": ["patch_embed", "layers.0", "layers.1", "norm"],
    "hiera": ["patch_embed", "blocks.0", "blocks.1"],
    "nest": ["levels.0"],
    "cait": ["patch_embed", "blocks.0", "blocks.1"],
    "mixer": ["stem", "blocks.0", "blocks.1"],
    "convnext": ["stem", "stages.0", "stages.1", "stages.2"],
    "resnet": ["layer1", "layer2", "layer3"],
    "levit": ["stem"],
    "davit": ["stem", "stages.0", "stages.1"],
    "xcit": ["blocks.0", "blocks.1"],
    "pvt": ["patch_embed", "stages.0", "stages.1"],
}
REFUSED = {
    "vit": "blocks.N.attn.(q_norm|k_norm)",
    "swin": "layers.N.blocks.N.drop_path1",
    "hiera": "blocks.N.(attn|attn@heads|attn.proj|ls1|drop_path1)",
    "nest": "levels.N.transformer_encoder.*",
    "cait": "blocks.N.attn.(attn_drop|proj_l|proj_w)",
    "mixer": "blocks.N.(mlp_tokens.*|drop_path)",
    "davit": "stages.N.blocks.N.N.drop_path1",
    "xcit": "blocks.N.attn.attn_drop",
}
"""What may be refused: heads, windows one after the other, answers of windows alone, channels for tokens."""


@cache
def look(family: str) -> tuple[Network, tuple[LayerShape, ...]]:
    architecture, size, options = NETWORKS[family]
    with random_weights(0):
        named = isinstance(architecture, str)
        module = timm.create_model(architecture, **options) if named else architecture(**options)
        module.eval()
    tokens = Tokens(getattr(module, "num_prefix_tokens", None))
    network = Network(module, Preprocessing(size), tokens=tokens)
    return network, tuple(list_places(network, size))


@pytest.mark.parametrize("family", NETWORKS)
def test_stages_are_in_place_and_only_heads_and_windows_are_refused(family: str) -> None:
    _, rows = look(family)
    found = {row.name: row.place for row in rows}
    assert {name: found[name] for name in IN_PLACE[family]} == dict.fromkeys(IN_PLACE[family], "in place")
    refused = {re.sub(r"\b\d+\b", "N", row.name) for row in rows if row.place == "elsewhere"}
    assert [name for name in refused if not re.fullmatch(REFUSED.get(family, ""), name)] == []
    assert (family in REFUSED) == bool(refused)


@pytest.mark.parametrize("family", NETWORKS)
def test_no_layer_is_accepted_that_answers_elsewhere(family: str) -> None:
    network, rows = look(family)
    size = NETWORKS[family][1]
    placed = [row.name for row in rows if row.place == "in place"]
    answers = find_answers(network, placed, size)
    assert answers.keys() == set(placed)
    doubtful = [name for name in placed if not (answers[name].tells and answers[name].agrees)]
    more = find_answers(network, doubtful, size, 4) if doubtful else {}
    assert [name for name in doubtful if more[name].tells and not more[name].agrees] == []


def cut(maps: Tensor) -> Tensor:
    """Windows of 7 one after the other, read as if they were rows of a picture."""
    windows = maps.unflatten(2, (-1, 7)).unflatten(4, (-1, 7))
    return windows.transpose(3, 4).reshape(maps.shape)


@pytest.mark.parametrize("grid", [(14, 14), (14, 28), (56, 56)])
def test_brute_force_tells_orders_apart(grid: Size) -> None:
    images = torch.from_numpy(draw_patches((112, 224))).permute(0, 3, 1, 2).float()
    maps = torch.nn.functional.adaptive_avg_pool2d(images, grid)
    assert judge(measure(maps)).agrees
    assert judge(measure(maps + 3 * maps.mean((2, 3), keepdim=True))).agrees
    order = torch.randperm(grid[0] * grid[1], generator=torch.Generator().manual_seed(0))
    shuffled = maps.flatten(2)[..., order].reshape(maps.shape)
    for wrong in (maps.flip(2), maps.flip(3), maps.transpose(2, 3).reshape(maps.shape), cut(maps), shuffled):
        assert not judge(measure(wrong)).agrees


def test_what_is_alike_everywhere_or_fits_by_chance_is_not_in_place() -> None:
    images = torch.from_numpy(draw_changes((84, 168))).permute(0, 3, 1, 2).float()
    maps = torch.nn.functional.adaptive_avg_pool2d(images, (3, 6))
    alike = maps.amax((2, 3), keepdim=True) + 1e-4 * maps
    assert locate(alike).where == "mixed"
    fine = torch.nn.functional.adaptive_avg_pool2d(images, (12, 24))
    assert locate(fine, fitting=False).where == "in place"
    blurred = torch.nn.functional.avg_pool2d(fine, 9, 1, 4)
    mixed = blurred + torch.randn(blurred.shape, generator=torch.Generator().manual_seed(0)) * 2
    assert locate(mixed, fitting=False).where == "elsewhere"
