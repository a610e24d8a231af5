"""Responses to whole images: means and maxima of maps, class tokens, and the pictures that pass by."""

import numpy as np
import pytest
import torch
from torch import nn

import unitscope as us
from made import make_source
from unitscope.concepts.unlabeled import gather_pictures
from unitscope.dissection.pooling import read_pooled
from unitscope.errors import ActivationError, UsageError
from unitscope.networks.network import Network

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, (20 + k % 3, 24, 3), dtype=np.uint8) for k in range(21)]


class Tokens(nn.Module):
    """A class token, then the patches: what a layer of a transformer gives."""

    def __init__(self):
        super().__init__()
        self.cut, self.out = nn.Conv2d(3, 4, 4, 4), nn.Identity()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))

    def forward(self, batch):
        patches = self.cut(batch).flatten(2).transpose(1, 2)
        first = self.cls_token + 2 * patches.amax(1, keepdim=True)
        return self.out(torch.cat([first, patches], 1)).mean(1)


def make_network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 14 * 14, 6))
    return Network(module, us.Preprocessing((16, 16)))


@pytest.mark.parametrize("pool", ["mean", "max"])
@pytest.mark.parametrize("batch_size", [4, 32])
def test_maps_are_pooled_as_they_are_read(pool, batch_size):
    network = make_network()
    found = read_pooled(network, gather_pictures(PICTURES), ["1", "3"], pool, batch_size=batch_size)
    maps = us.read_activations(
        network, PICTURES, ["1", "3"], batch_size=batch_size, trust_layout=True
    ).arrays()
    wanted = maps["1"].mean((2, 3), dtype=np.float64) if pool == "mean" else maps["1"].max((2, 3))
    np.testing.assert_array_equal(found.responses["1"], wanted.astype(np.float32))
    np.testing.assert_array_equal(found.responses["3"], maps["3"][:, :, 0, 0])
    assert found.ways == {"1": f"{'mean' if pool == 'mean' else 'maximum'} of the map", "3": "as it is"}


def test_tokens_are_pooled_over_patches_or_the_class_token():
    torch.manual_seed(0)
    network = Network(Tokens().eval(), us.Preprocessing((16, 16)), tokens=us.Tokens(1))
    source = gather_pictures(PICTURES)
    patches = us.read_activations(network, PICTURES, ["out"]).arrays()["out"]
    mean = read_pooled(network, source, ["out"])
    np.testing.assert_array_equal(
        mean.responses["out"], patches.mean((2, 3), dtype=np.float64).astype(np.float32)
    )
    first = read_pooled(network, source, ["out"], "class")
    np.testing.assert_allclose(first.responses["out"], 2 * patches.max((2, 3)), rtol=1e-6)
    assert (mean.ways["out"], first.ways["out"]) == ("mean of the patches", "class token")
    bare = Network(network.module, network.preprocessing, tokens=us.Tokens(0))
    with pytest.raises(UsageError, match="has no class token; pool its map: mean, max"):
        read_pooled(bare, source, ["cut"], "class")


def test_pictures_pass_by_in_order_and_in_their_own_size():
    seen = []
    read_pooled(make_network(), gather_pictures(PICTURES), ["1"], batch_size=4, look=seen.extend)
    assert len(seen) == len(PICTURES)
    for one, other in zip(seen, PICTURES, strict=True):
        np.testing.assert_array_equal(one, other)


def test_labels_and_the_order_of_images_change_nothing():
    network, source = make_network(), make_source(images=9)
    found = read_pooled(network, source, ["1"]).responses["1"]
    plain = read_pooled(network, gather_pictures([source[k].image for k in range(9)]), ["1"]).responses["1"]
    np.testing.assert_array_equal(found, plain)
    order = np.random.default_rng(1).permutation(9)
    turned = read_pooled(network, gather_pictures([source[k].image for k in order]), ["1"]).responses["1"]
    np.testing.assert_allclose(turned, found[order], rtol=1e-6)


def test_the_network_is_left_as_it_was_also_on_error():
    network = make_network()
    network.module.train()

    def fail(_pictures):
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        read_pooled(network, gather_pictures(PICTURES), ["1"], look=fail)
    assert network.module.training
    assert not any(part._forward_hooks for part in network.module.modules())


def test_numbers_that_are_not_finite_are_told():
    network = make_network()
    with torch.no_grad():
        network.module[0].bias[2] = float("nan")
    with pytest.raises(ActivationError, match="unit 2 of layer 0 gave nan on image picture 0"):
        read_pooled(network, gather_pictures(PICTURES), ["0"])


def test_bad_input():
    with pytest.raises(UsageError, match="batch_size is 0"):
        read_pooled(make_network(), gather_pictures(PICTURES), ["1"], batch_size=0)
