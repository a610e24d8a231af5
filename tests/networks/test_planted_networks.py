"""Real architectures in which two units were made exact detectors: their names, and IoUs counted by hand.

How each layer lies (maps, channels last, tokens behind so many others) is stated here, not worked out.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor, nn

import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.lab.world import open_drawn
from unitscope.networks.load import load_network
from unitscope.networks.network import Network, Preprocessing

SQUARE, WIDE = (64, 64), (64, 128)
INKS = {"red": (255, 0, 0), "blue": (0, 0, 255)}
FEW = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}

TOKENS = {
    "timm:vit_tiny_patch16_224": ("blocks.5", 1),
    "timm:deit_tiny_distilled_patch16_224": ("blocks.5", 2),
    "timm:vit_little_patch16_reg4_gap_256": ("blocks.5", 4),
    "timm:cait_xxs24_224": ("blocks.5", 0),
    "timm:mixer_s16_224": ("blocks.3", 0),
    "timm:xcit_nano_12_p8_224": ("blocks.5", 0),
    "timm:gmlp_ti16_224": ("blocks.5", 0),
    "timm:swin_tiny_patch4_window7_224": ("layers.1", "channels last"),
    "timm:pvt_v2_b0": ("stages.1", "maps"),
    "DeiT": ("layers.1", 2),
}
CONVOLUTIONS = {
    "torchvision:resnet18": "layer2",
    "torchvision:densenet121": "features.denseblock2",
    "torchvision:mobilenet_v3_small": "features.4",
    "torchvision:shufflenet_v2_x0_5": "stage2",
    "torchvision:squeezenet1_1": "features.4",
    "torchvision:efficientnet_b0": "features.3",
    "torchvision:mnasnet0_5": "layers.9",
    "torchvision:regnet_y_400mf": "trunk_output.block2",
    "timm:convnext_atto": "stages.1",
    "timm:repvgg_a0": "stages.1",
}


class Painted(list):
    vocabulary = us.Vocabulary((us.Concept(1, "red", "color"), us.Concept(2, "blue", "color")))


def paint(size: tuple[int, int], count: int = 3) -> Painted:
    """Drawn scenes without pure colors, and in each a red and a blue rectangle anywhere."""
    random, scenes = np.random.default_rng(0), open_drawn(count, seed=5, size=max(size))
    pictures = Painted()
    for number in range(count):
        pixels = scenes[number].image[: size[0], : size[1]] // 2 + 30
        planes = np.zeros((1, *size), np.uint16)
        for concept, ink in enumerate(INKS.values(), 1):
            top, left = (int(random.integers(0, side - 26)) for side in size)
            pixels[top : top + 22, left : left + 26] = ink
            planes[0][planes[0] == concept] = 0
            planes[0, top : top + 22, left : left + 26] = concept
        pictures.append(us.Example(f"{number}", pixels, planes))
    return pictures


def find_ink(images: Tensor, ink: tuple[int, int, int], preprocessing: Preprocessing) -> Tensor:
    """1 where a pixel of a prepared picture has that color."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (preprocessing.mean, preprocessing.std))
    return ((images * std + mean - torch.tensor(ink)[:, None, None] / 255).abs() < 1e-3).all(1, True).float()


def plant(network: Network, layer: str, lies: str | int) -> None:
    """Makes units 1 and 3 of the layer the share of red, and of blue, in each of their cells."""
    seen: list[Tensor] = []

    def change(_module: nn.Module, _given: object, output: Tensor | tuple[Tensor, ...]) -> object:
        whole = output[0] if isinstance(output, tuple) else output
        planted = whole.clone()
        for unit, ink in zip((1, 3), INKS.values(), strict=True):
            found = find_ink(seen[-1], ink, network.preprocessing)
            if lies == "maps":
                planted[:, unit] = nn.functional.adaptive_avg_pool2d(found, whole.shape[2:])[:, 0]
            elif lies == "channels last":
                planted[..., unit] = nn.functional.adaptive_avg_pool2d(found, whole.shape[1:3])[:, 0]
            else:
                side = int(((whole.shape[1] - int(lies)) * found.shape[2] / found.shape[3]) ** 0.5)
                grid = (side, side * found.shape[3] // found.shape[2])
                cells = nn.functional.adaptive_avg_pool2d(found, grid)
                planted[:, int(lies) :, unit] = cells.flatten(1)
        return (planted, *output[1:]) if isinstance(output, tuple) else planted

    network.module.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    network.module.get_submodule(layer).register_forward_hook(change)


def count_by_hand(source: Painted, concept: int, cells: tuple[int, int]) -> float:
    """The IoU of the cells that are more than half of that color, interpolated, with the pixels that are."""
    shared = union = 0
    for example in source:
        truth = torch.from_numpy((example.image == np.array(list(INKS.values())[concept - 1])).all(2))
        share = nn.functional.adaptive_avg_pool2d(truth[None, None].float(), cells)
        mask = nn.functional.interpolate(share, size=truth.shape, mode="bilinear")[0, 0] > 0.5
        labeled = torch.from_numpy(example.planes[0] == concept)
        shared, union = shared + int((mask & labeled).sum()), union + int((mask | labeled).sum())
    return shared / union


def open_small(spec: str, size: tuple[int, int]) -> Network:
    if ":" in spec:
        return load_network(spec, random=0, size=size)
    torch.manual_seed(0)
    config = getattr(transformers, f"{spec}Config")(
        **FEW, image_size=size, patch_size=8, num_register_tokens=4
    )
    module = getattr(transformers, f"{spec}Model")(config)
    return Network(module.eval(), Preprocessing(size), tokens=us.Tokens(2))


def check(network: Network, layer: str, lies: str | int, size: tuple[int, int]) -> None:
    plant(network, layer, lies)
    source, rules = paint(size), replace(us.CONVENTIONS["pnas"], reduction=1)
    with torch.no_grad():
        units = {row.name: row.shape for row in us.list_layers(network)}[layer]
    assert units is not None
    thresholds = np.full(units[0], 1e30, np.float32)
    thresholds[[1, 3]] = 0.5
    run = us.dissect(
        network, source, [layer], convention=rules, thresholds={layer: thresholds},
        size=size, confidences=Confidences(shifts=0),
    )  # fmt: skip
    for unit, (concept, name) in zip((1, 3), enumerate(INKS, 1), strict=True):
        found = run[layer][unit]
        assert found.concept is not None
        assert found.concept.name == name
        wanted = count_by_hand(source, concept, run[layer].map_size)
        assert wanted > 0.1
        assert found.iou == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("size", [SQUARE, WIDE], ids=["square", "wide"])
@pytest.mark.parametrize("spec", TOKENS)
def test_units_planted_in_token_networks(spec: str, size: tuple[int, int]) -> None:
    layer, lies = TOKENS[spec]
    check(open_small(spec, size), layer, lies, size)


@pytest.mark.parametrize("size", [SQUARE, WIDE], ids=["square", "wide"])
@pytest.mark.parametrize("spec", CONVOLUTIONS)
def test_units_planted_in_convolutional_networks(spec: str, size: tuple[int, int]) -> None:
    check(open_small(spec, size), CONVOLUTIONS[spec], "maps", size)
