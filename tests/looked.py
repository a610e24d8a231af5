"""A tiny classifier with its dissection, to be looked through."""

from functools import cache

import torch
from torch import nn

import made
import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.interventions.looking.lens import open_lens
from unitscope.networks.network import Network, Preprocessing

CLASSES = ("cat", "street", "sky", "nothing")


class Tiny(nn.Module):
    """Three layers of maps, pooling, and a linear layer: units of `last` reach it one by one."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(6, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.last = nn.Sequential(nn.Conv2d(8, 9, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(9, len(CLASSES))

    def forward(self, x):
        return self.head(self.last(self.second(self.first(x))).mean((2, 3)))


def tiny_network():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = Tiny().eval()
        module.head.weight.data *= 40
        with torch.no_grad():  # no class is the likeliest everywhere
            module.head.bias -= module(torch.rand(64, 3, 24, 24) * 3.3 - 1.3).mean(0)
    return Network(module, Preprocessing((24, 24), (0.4,), (0.3,)), classes=CLASSES, name="tiny")


def tiny_source():
    return made.make_source(14, (12, 12), (24, 24), seed=5)


@cache
def tiny_run():
    quick = Confidences(shifts=0)
    layers = ["first", "second", "last"]
    return us.dissect(tiny_network(), tiny_source(), layers, convention="pnas", confidences=quick)


def tiny_lens(layers=None, names=None):
    return open_lens(tiny_network(), tiny_run(), layers, names=names)
