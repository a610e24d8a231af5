"""Latents of a few images at a time are those of all at once, to the bit."""

import pytest
import torch
from torch import nn

from unitscope.networks import readings
from unitscope.networks.directions import directions
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.readings import open_reading
from unitscope.networks.trace import tap


class Tokens(nn.Module):
    """A class token and nine patches of six features."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, 4)
        self.tokens = nn.Identity()

    def forward(self, x):
        patches = self.patches(x).flatten(2).transpose(1, 2)
        return self.tokens(torch.cat([patches[:, :1], patches], 1))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    module = nn.ModuleDict({"maps": nn.Conv2d(3, 8, 3), "tokens": Tokens()})
    module.forward = lambda x: (module["maps"](x), module["tokens"](x))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 10))
    module["flat"] = flat
    module.forward = lambda x: (module["maps"](x), module["tokens"](x), flat(x))
    return Network(module.eval(), Preprocessing((12, 12)), (), "three kinds")


LAYERS = ["maps+random-sae:64:3:0", "tokens.tokens+random-sae:48:2:0", "flat.1+random-sae:40:2:0", "maps"]


@pytest.mark.parametrize("block", [64, 2**10, 2**14])
@pytest.mark.parametrize("at_once", [1, 2**12, 2**16])
def test_parts_are_the_latents_of_the_whole(network, monkeypatch, block, at_once):
    monkeypatch.setattr(directions, "BLOCK", block)
    monkeypatch.setattr(readings, "AT_ONCE", at_once)
    images = torch.rand(7, 3, 12, 12)
    with tap(network, LAYERS) as read:
        wanted = read(images)
    with open_reading(network, LAYERS) as reading:
        outputs = reading.read(images)
        assert set(outputs) == {"maps", "tokens.tokens", "flat.1"}
        for layer in LAYERS:
            parts = list(reading.split(layer, outputs))
            assert [start for start, _ in parts] == [
                sum(len(part) for _, part in parts[:place]) for place in range(len(parts))
            ]
            torch.testing.assert_close(torch.cat([part for _, part in parts]), wanted[layer], rtol=0, atol=0)
            [(_, whole)] = reading.split(layer, outputs, whole=True)
            torch.testing.assert_close(whole, wanted[layer], rtol=0, atol=0)


def test_maps_that_fill_memory_come_image_by_image(network, monkeypatch):
    monkeypatch.setattr(directions, "BLOCK", 64)
    monkeypatch.setattr(readings, "AT_ONCE", 64)
    with open_reading(network, LAYERS[:1]) as reading:
        outputs = reading.read(torch.rand(3, 3, 12, 12))
        assert [len(part) for _, part in reading.split(LAYERS[0], outputs)] == [1, 1, 1]
