"""Edits: x <- (1 - a) x + a v, one after the other, and a network that is left as it was."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.edits import Edit, count_units, edited, set_units
from unitscope.networks.network import Network, Preprocessing


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 3), nn.Flatten())
    return Network(module, Preprocessing((8, 8)), (), "small")


def made(seed, shape=(2, 5, 6, 6)):
    torch.manual_seed(seed)
    return Edit("0", torch.rand(shape).round(decimals=1), torch.randn(shape))


def test_every_unit_place_and_image_has_its_own_strength_and_value(network):
    batch, edit = torch.rand(2, 3, 8, 8), made(1)
    layers = list(network.module)
    maps = layers[0](batch)
    wanted = maps * (1 - edit.strength) + edit.strength * edit.value
    for layer in layers[1:]:
        wanted = layer(wanted)
    with edited(network, edit):
        found = network.module(batch)
    assert torch.allclose(found, wanted, atol=1e-6)


@given(first=st.integers(0, 50), second=st.integers(51, 99))
def test_two_edits_are_one_after_the_other(first, second):
    one, two = made(first, (1, 3, 2, 2)), made(second, (1, 3, 2, 2))
    maps = torch.randn(4, 3, 2, 2)
    assert torch.allclose(one.then(two).apply(maps), two.apply(one.apply(maps)), atol=1e-5)


@given(seeds=st.lists(st.integers(0, 99), min_size=3, max_size=3))
def test_merging_edits_is_associative(seeds):
    a, b, c = (made(seed, (1, 3, 1, 2)) for seed in seeds)
    left, right = a.then(b).then(c), a.then(b.then(c))
    assert torch.allclose(left.strength, right.strength, atol=1e-6)
    maps = torch.randn(2, 3, 1, 2)
    assert torch.allclose(left.apply(maps), right.apply(maps), atol=1e-5)


def test_several_edits_of_several_layers_work_together(network):
    batch = torch.rand(1, 3, 8, 8)
    with edited(network, set_units("0", [1], 5), set_units("2", [0, 3], 4, value=7.0)):
        found = network.module(batch).reshape(4, -1)
    assert (found[[0, 3]] == 7).all()
    with edited(network, set_units("0", [1], 5)):
        alone = network.module(batch).reshape(4, -1)
    assert torch.equal(found[[1, 2]], alone[[1, 2]])


def test_values_differ_by_unit_and_strength_by_place():
    place = torch.tensor([[1.0, 0.0]])
    edit = set_units("0", [2, 0], 3, value=torch.tensor([5.0, 6.0]), place=place)
    assert edit.apply(torch.zeros(1, 3, 1, 2)).flatten().tolist() == [6, 0, 0, 0, 5, 0]


def test_the_network_is_left_as_it_was_also_after_an_error(network):
    batch = torch.rand(1, 3, 8, 8)
    before, training = network.module(batch), network.module.training
    with pytest.raises(RuntimeError), edited(network, set_units("0", [0], 5, value=9.0)):
        network.module(torch.rand(1, 4, 8, 8))
    assert torch.equal(network.module(batch), before)
    assert network.module.training == training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.module.modules())


def test_the_input_of_a_layer_and_one_of_its_calls_can_be_edited(network):
    batch = torch.rand(1, 3, 8, 8)
    with edited(network, set_units("2@in", [0], 5)):
        found = network.module(batch)
    with edited(network, set_units("1", [0], 5)):
        assert torch.equal(network.module(batch), found)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x):
            return self.inner(x) + 10 * self.inner(x)

    twice = Network(Twice())
    with edited(twice, set_units("inner#2", [0], 1, value=2.0)):
        assert twice.module(torch.ones(1, 1, 1, 1)).item() == 21
        assert twice.module(torch.ones(1, 1, 1, 1)).item() == 21


class Branching(nn.Module):
    """Calls one layer by keyword and never calls the other."""

    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Identity(), nn.Identity()

    def forward(self, x):
        return 10 * self.used(input=x)


@pytest.mark.parametrize(
    ("layer", "said"),
    [("idle", "never runs"), ("used#3", "runs only 1 times"), ("used@in#2", "only 1 times")],
)
def test_an_edit_that_never_happens_is_told_when_the_block_ends(layer, said):
    module = Branching()
    with pytest.raises(NetworkError, match=said), edited(Network(module), set_units(layer, [0], 1)):
        module(torch.ones(1, 1, 1, 1))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    with pytest.raises(RuntimeError, match="shape"), edited(Network(module), set_units(layer, [0], 1)):
        module(torch.ones(1, 1, 1, 1)).reshape(7)
    with edited(Network(module), set_units(layer, [0], 1)):
        pass  # nobody ran the network, so nothing is amiss


def test_the_input_of_a_layer_that_is_called_by_keyword_can_be_edited():
    module = Branching()
    with edited(Network(module), set_units("used@in", [0], 1, value=2.0)):
        assert module(torch.ones(1, 1, 1, 1)).item() == 20


def test_tokens_keep_their_class_token():
    module = nn.Sequential(nn.Identity())
    tokens = torch.randn(2, 1 + 9, 4)
    with edited(Network(module), set_units("0", [3], 4, value=1.0, tokens="patches")):
        found = module(tokens)
    assert torch.equal(found[:, 0], tokens[:, 0])
    assert (found[:, 1:, 3] == 1).all()
    assert torch.equal(found[:, 1:, :3], tokens[:, 1:, :3])


def test_what_cannot_be_edited_is_told(network):
    with pytest.raises(UsageError, match="units 0 to 4, not 5"):
        set_units("0", [5], 5)
    with pytest.raises(UsageError, match="wanted 0 to 1"):
        Edit("0", torch.full((1, 1, 1, 1), 1.5), torch.zeros(1, 1, 1, 1))
    with (
        pytest.raises(UsageError, match="does not fit the maps of 0"),
        edited(network, made(0, (1, 7, 1, 1))),
    ):
        network.module(torch.rand(1, 3, 8, 8))
    with pytest.raises(UsageError, match="no layer '9'"), edited(network, set_units("9", [0], 2)):
        pass
    with pytest.raises(UsageError, match="cannot be merged"):
        set_units("0", [0], 5).then(set_units("1", [0], 5))
    with pytest.raises(UsageError, match="cannot be edited"):
        count_units(network, "none")
    assert count_units(network, "0") == 5
