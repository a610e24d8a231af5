"""Agreement of two dissections against a plain count."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import made
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.agreement import measure_agreement
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import UsageError
from unitscope.networks.network import Network


class Renamed:
    """The same images and planes under other ids, with other words beside them."""

    vocabulary = Vocabulary(
        (
            Concept(1, "cat", "object"),
            Concept(2, "sky", "part"),
            Concept(3, "ear", "part"),
            Concept(5, "red-c", "color"),
        )
    )

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        example = self.source[index]
        planes = np.where(np.isin(example.planes, (6, 9, 11)), 0, example.planes).astype(np.uint16)
        return replace(example, planes=planes, ids=())


def layer_of(source, units=9):
    torch.manual_seed(0)
    network = Network(nn.Sequential(nn.Conv2d(3, units, 5, 2)))
    rules = "pnas"
    return dissect(network, source, ["0"], convention=rules, confidences=Confidences(shifts=0))["0"]


def test_it_equals_a_plain_count():
    source = made.make_source(images=16)
    one, other = layer_of(source), layer_of(Renamed(source))
    found = measure_agreement(one, other)
    shared = [1, 3, 5]  # sky has another category there
    first, second = one.iou[:, shared], other.iou[:, shared]
    same = [
        int(a.argmax() == b.argmax() and a.max() > 0 and b.max() > 0)
        for a, b in zip(first, second, strict=True)
    ]
    assert (found.units, found.concepts) == (9, 3)
    assert found.same == pytest.approx(np.mean(same))
    assert found.correlation == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1])
    pairs = [(a.argmax(), b.argmax()) for a in first for b in second if a.max() > 0 and b.max() > 0]
    assert found.chance == pytest.approx(sum(a == b for a, b in pairs) / 81)
    cutoff = one.convention.iou_cutoff
    assert found.both_detect == sum(
        a.max() > cutoff and b.max() > cutoff for a, b in zip(first, second, strict=True)
    )


def test_a_layer_agrees_with_itself():
    layer = layer_of(made.make_source(images=16))
    found = measure_agreement(layer, layer)
    assert (found.same, found.correlation, found.best_correlation) == pytest.approx((1, 1, 1))


def test_what_cannot_be_compared_is_refused():
    source = made.make_source(images=4)
    with pytest.raises(UsageError, match="9 units cannot be compared with 5"):
        measure_agreement(layer_of(source), layer_of(source, 5))
