"""The deletion test: both ways agree with removal by hand; top contributors cost more than random units."""

import numpy as np
import pytest
import torch
from torch import nn

from unitscope.concepts.vocabulary import Example, Vocabulary
from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.deletion import KINDS, DeletionTest, measure_deletion
from unitscope.interventions.edits import edited, set_units
from unitscope.interventions.explanation import explain_image, feed_image
from unitscope.lab.world import open_drawn
from unitscope.networks.load import load_network
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.trace import evaluation


class Noise:
    """Images of noise without labels."""

    vocabulary = Vocabulary(())

    def __init__(self, count=5):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index, /):
        image = np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        return Example(str(index), image)


def pooled():
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    return Network(nn.Sequential(*parts), Preprocessing((16, 16)), name="pooled")


def flat():
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 8, 3, 2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(392, 3)
    return Network(nn.Sequential(*parts), Preprocessing((16, 16)), name="flat")


@pytest.mark.parametrize(("make", "method"), [(pooled, "exact"), (flat, "gradient times activation")])
def test_drops_are_what_removing_the_units_by_hand_costs(make, method):
    network, source = make(), Noise()
    found = measure_deletion(network, "1", source, counts=(1, 3, 8), draws=2)
    assert found.method == method
    assert len(found) == 5
    assert network.module.training
    assert not any("forward" in part.__dict__ for part in network.module.modules())
    for index in range(len(source)):
        image = source[index].image
        one = explain_image(network, "1", image)
        for place, count in enumerate(found.counts):
            for kind, order in (("top", one.order), ("active", np.argsort(-one.activation, kind="stable"))):
                edit = set_units("1", order[:count].tolist(), 8)
                with evaluation(network.module), edited(network, edit), torch.no_grad():
                    after = network.module(feed_image(network, image))[0]
                logit, probability, renamed = (
                    drop[index, KINDS.index(kind), place]
                    for drop in (found.logit, found.probability, found.renamed)
                )
                assert logit == pytest.approx(one.logit - float(after[one.target]), abs=1e-5)
                left = float(after.softmax(0)[one.target])
                assert probability == pytest.approx(one.probabilities[one.target] - left, abs=1e-5)
                assert renamed == (int(after.argmax()) != one.predicted)
    # All eight units are the same eight, however they are chosen.
    assert np.allclose(found.logit[:, :, 2], found.logit[:, :1, 2])


def test_top_contributors_beat_random_units_on_the_zoo():
    network, source = load_network("zoo:scene-classifier"), open_drawn(60, 4000, 64)
    found = measure_deletion(network, "layer5", source)
    rows = {(row.kind, row.count): row for row in found.means}
    for count in found.counts:
        top, random = rows["top", count], rows["random", count]
        assert top.logit.low > random.logit.high
        assert top.probability.low > random.probability.high
        assert top.logit.value >= rows["active", count].logit.value
        assert top.logit.low <= top.logit.value <= top.logit.high
    again = measure_deletion(network, "layer5", source)
    assert np.array_equal(found.logit, again.logit)
    assert found.means == again.means
    other = measure_deletion(network, "layer5", source, seed=1)
    assert np.array_equal(found.logit[:, :2], other.logit[:, :2])
    assert not np.array_equal(found.logit[:, 2], other.logit[:, 2])


def test_intervals_are_those_of_images_drawn_again():
    rng = np.random.default_rng(0)
    drops = rng.normal(size=(40, 3, 2))
    found = DeletionTest((1, 2), 10, "exact", drops, drops / 10, (drops > 0).astype(float), seed=3)
    row = found.means[4]
    draws = np.random.default_rng(3).integers(0, 40, (1000, 40))
    low, high = np.quantile([drops[draw, 1, 1].mean() for draw in draws], [0.025, 0.975])
    assert (row.kind, row.count) == ("active", 2)
    assert row.logit.low == pytest.approx(low)
    assert row.logit.high == pytest.approx(high)
    assert row.probability.high == pytest.approx(high / 10)
    assert row.renamed == pytest.approx((drops[:, 1, 1] > 0).mean())


def test_what_cannot_be_tested_is_told():
    with pytest.raises(UsageError, match="8 units; remove 1 to 8, not 9"):
        measure_deletion(pooled(), "1", Noise(), counts=(9,))
    with pytest.raises(UsageError, match="0 random draws"):
        measure_deletion(pooled(), "1", Noise(), draws=0)
    with pytest.raises(UsageError, match="no images"):
        measure_deletion(pooled(), "1", Noise(0))
    with pytest.raises(UsageError, match="gives the classes themselves"):
        measure_deletion(pooled(), "4", Noise(), counts=(1,))
    network = flat()
    with pytest.raises(NetworkError, match="do not reach a last linear layer"):
        measure_deletion(network, "1", Noise(), exact=True)
    assert network.module.training
    assert measure_deletion(pooled(), "1", Noise()).counts == (1, 2, 4, 8)
