"""A run held against a network: the digest decides, not the name."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from made import make_source
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.matching import check_network, find_layer, pick_layer
from unitscope.dissection.recipe import NetworkRecord
from unitscope.errors import UsageError
from unitscope.lab.zoo.heads import Head, replace_head
from unitscope.networks.network import Network, Preprocessing


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.body(x).mean((2, 3)))


def make(seed=0, name="small"):
    torch.manual_seed(seed)
    return Network(Small(), Preprocessing((24, 24)), name=name)


def made_run(network):
    return dissect(network, make_source(), ["body"], quantile=0.2, confidences=Confidences(0))


def test_the_run_of_a_network_gives_its_layer():
    run = made_run(make())
    assert find_layer(run, make(), "body") is run["body"] is pick_layer(run, "body")
    check_network(run, make(name="a copy"))


def test_another_network_of_the_same_layers_and_widths_is_refused():
    run = made_run(make())
    with pytest.raises(UsageError, match="the run is of small with other weights than small here has; give"):
        find_layer(run, make(seed=1), "body")
    with pytest.raises(UsageError, match="the run is of small with other weights than twin here has"):
        check_network(run, make(seed=1, name="twin"))


def test_a_network_with_a_head_is_matched_with_its_own_run():
    network = make()
    head = Head(torch.ones(3, 4), torch.zeros(3), ("a", "b", "c"), "last", "small", network.digest, {})
    headed = replace_head(network, head)
    run = made_run(headed)
    assert find_layer(run, replace_head(make(), head), "body") is run["body"]
    with pytest.raises(UsageError, match="other weights"):
        find_layer(run, network, "body")


def test_a_recipe_without_a_digest_fits_every_network():
    run = made_run(make())
    silent = replace(run, recipe=replace(run.recipe, network=NetworkRecord("small")))
    assert find_layer(silent, make(seed=1), "body") is run["body"]


def test_a_layer_that_the_run_has_not_is_told():
    run = made_run(make())
    with pytest.raises(UsageError, match="the run has no layer 'bodi'; near names: body"):
        find_layer(run, make(), "bodi")
    with pytest.raises(UsageError, match="the run has no layer 'last'; it has body"):
        pick_layer(run, "last")
