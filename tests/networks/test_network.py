"""A network: its digest, of its weights as they are now, and what it is fed."""

import hashlib
import io

import numpy as np
import pytest
import torch
from torch import nn

from unitscope.networks import network as networks
from unitscope.networks.network import Network


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))


@pytest.fixture
def hashed(monkeypatch):
    """How many times a state was hashed, as a list."""
    states, hash_state = [], networks._hash

    def count(state):
        states.append(state)
        return hash_state(state)

    monkeypatch.setattr(networks, "_hash", count)
    return states


def test_unchanged_weights_are_hashed_once(network, hashed):
    first = network.digest
    with torch.no_grad():
        network.module.eval()(torch.rand(1, 3, 8, 8))
    assert network.digest == first
    assert len(hashed) == 1
    hasher = hashlib.sha256()
    for key, value in sorted(network.module.state_dict().items()):
        hasher.update(f"{key}{tuple(value.shape)}{value.dtype}".encode() + value.numpy().tobytes())
    assert first == hasher.hexdigest()


def train(module):
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    module.eval()(torch.ones(1, 3, 8, 8)).sum().backward()
    optimizer.step()


def replace_twice(module):
    # The memory of the first may become that of the third.
    for _ in range(2):
        module[0].weight = nn.Parameter(torch.rand(4, 3, 3, 3))


CHANGES = {
    "a step of training": train,
    "a buffer": lambda module: module.train()(torch.rand(2, 3, 8, 8)),
    "other weights loaded": lambda module: module.load_state_dict(
        {key: value + 1 for key, value in module.state_dict().items()}
    ),
    "an exchanged weight": replace_twice,
    "another precision": lambda module: module.half(),
    "another shape of the same numbers": lambda module: setattr(
        module[0], "weight", nn.Parameter(module[0].weight.detach().view(4, 3, 9, 1))
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_weights_give_another_digest(network, change):
    first = network.digest
    change(network.module)
    second = network.digest
    assert second != first
    assert Network(network.module).digest == second


def test_weights_whose_changes_are_not_counted_are_hashed_every_time(hashed):
    with torch.inference_mode():
        network = Network(nn.Linear(2, 2))
        first = network.digest
        network.module.weight.add_(1)
    assert network.digest != first
    assert len(hashed) == 2


class Keeping(nn.Linear):
    def __init__(self, kept):
        super().__init__(2, 2)
        self.kept = kept

    def get_extra_state(self):
        return self.kept

    def set_extra_state(self, state):
        self.kept = state


def test_what_a_module_keeps_besides_its_tensors_counts_too():
    def digest(kept):
        torch.manual_seed(0)
        return Network(Keeping(kept)).digest

    kept = [{"scale": 2.0}, {"scale": 3.0}, io.BytesIO(b"scale"), torch.ones(2), None]
    assert len({digest(one) for one in kept}) == len(kept)
    assert digest({"scale": 2.0}) == digest({"scale": 2.0})
    assert digest(lambda: 1) == digest(lambda: 1)  # cannot be pickled
    network = Network(Keeping({"scale": 2.0}))
    before = network.digest
    network.module.kept["scale"] = 5.0
    assert network.digest != before


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_what_a_network_is_fed_has_the_precision_of_its_parameters(kind):
    network = Network(nn.Conv2d(3, 2, 3).to(kind))
    images = np.zeros((1, 8, 8, 3), np.uint8)
    assert network.feed(images, 0).dtype == network.blank((8, 8)).dtype == network.module.weight.dtype == kind
    assert network.module(network.feed(images, 0)).shape == (1, 2, 6, 6)
