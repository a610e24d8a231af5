"""Networks of the libraries, from their name to named units."""

from functools import cache, partial

import pytest
import torch
import transformers

from unitscope.dissection.dissect import Confidences, dissect
from unitscope.lab.world import open_drawn
from unitscope.networks.load import load_network

load_once = cache(partial(load_network, random=0))


@pytest.mark.parametrize(
    ("spec", "layer", "size", "units", "cells"),
    [
        ("torchvision:resnet18", "layer4", 64, 512, (2, 2)),
        ("torchvision:vgg16", "features.28", 32, 512, (2, 2)),
        ("torchvision:vgg16", "features.29", 32, 512, (2, 2)),
        ("timm:mobilenetv3_small_050", "blocks.4", 64, 48, (2, 2)),
        ("torchvision:resnet18", "fc", 64, 1000, (1, 1)),
    ],
)
def test_a_network_of_a_library_is_dissected(spec, layer, size, units, cells):
    network = load_once(spec, size=size)
    source, spent = open_drawn(6, size=64), Confidences(5, 10)
    run = dissect(network, source, [layer], quantile=0.2, batch_size=3, confidences=spent)
    assert len(run[layer]) == units
    assert run[layer].map_size == cells
    assert int(run[layer].active.sum()) > 0


def test_a_vision_transformer_is_dissected_on_its_patch_grid(tmp_path):
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.ViTConfig(**sizes, image_size=64, patch_size=16)
    torch.manual_seed(0)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    network = load_network(f"hf:{tmp_path}")
    layer = next(name for name, _ in network.module.named_modules() if name.endswith("layernorm_after"))
    run = dissect(network, open_drawn(6, size=64), [layer], confidences=Confidences(5, 10))
    assert (len(run[layer]), run[layer].map_size) == (24, (4, 4))


def test_before_and_after_an_in_place_rectifier_differ():
    network = load_once("torchvision:vgg16", size=32)
    run = dissect(network, open_drawn(4, size=64), ["features.28", "features.29"], confidences=Confidences(0))
    before, after = run["features.28"], run["features.29"]
    assert (before.exemplars.peaks < 0).any()
    assert (after.exemplars.peaks >= 0).all()
