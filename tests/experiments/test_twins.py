"""Units over pictures and their twins: as counted by hand, alike where twins are alike, luck where not."""

import csv

import numpy as np
import pytest
import torch
from torch import nn

from unitscope.errors import UsageError
from unitscope.experiments import measure_twins
from unitscope.experiments.twins import draw_partners
from unitscope.networks.network import Network, Preprocessing
from unitscope.statistics.quantiles import tail_rank
from unitscope.statistics.scan import Machine


class Eyes(nn.Module):
    """Unit 0 sees red, unit 1 green, unit 2 nothing; `deep` the same on coarser cells."""

    def __init__(self):
        super().__init__()
        self.shallow, self.deep = nn.Identity(), nn.AvgPool2d(2)

    def forward(self, x):
        return self.deep(self.shallow(torch.stack([x[:, 0], x[:, 1], torch.zeros_like(x[:, 0])], 1)))


@pytest.fixture
def network():
    return Network(Eyes(), Preprocessing((12, 12)), name="eyes")


@pytest.fixture
def pictures():
    return list(np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3)).astype(np.uint8))


def change_green(pictures):
    """Twins whose red stays; their green is that of nobody."""
    noise = np.random.default_rng(1).integers(0, 256, (len(pictures), 12, 12)).astype(np.uint8)
    return [np.dstack([one[..., 0], green, one[..., 2]]) for one, green in zip(pictures, noise, strict=True)]


def mask_slowly(maps, quantile):
    """Where a unit is above its threshold, which is found by sorting all of its cells."""
    values = sorted((float(one) for one in maps.ravel()), reverse=True)
    return maps > values[tail_rank(quantile, len(values)) - 1]


def score_slowly(pairs, quantile):
    """i / (2 q - i) of pairs of masks, cell by cell."""
    cells = [bool(a and b) for one, other in pairs for a, b in zip(one.ravel(), other.ravel(), strict=True)]
    shared = sum(cells) / len(cells)
    return shared / (2 * quantile - shared)


@pytest.mark.parametrize("quantile", [0.01, 0.1])
def test_scores_are_those_of_the_slow_way(network, pictures, quantile):
    twins = change_green(pictures)
    found = measure_twins(network, pictures, twins, ["shallow", "deep"], quantile=quantile, draws=2, seed=3)
    sides = [torch.from_numpy(np.stack(side)).permute(0, 3, 1, 2) / 255 for side in (pictures, twins)]
    own, *others = draw_partners(8, 2, 3)
    for layer in ("shallow", "deep"):
        maps = [(nn.AvgPool2d(2)(side) if layer == "deep" else side).float().numpy() for side in sides]
        for unit in (0, 1):
            first, second = (mask_slowly(side[:, unit], quantile) for side in maps)
            pairs = [(first[k], second[own[k]]) for k in range(8)]
            crossed = [(first[k], second[order[k]]) for order in others for k in range(8)]
            assert found[layer].score[unit] == pytest.approx(score_slowly(pairs, quantile))
            assert found[layer].crossed_score[unit] == pytest.approx(score_slowly(crossed, quantile))
    red, green, none = found["shallow"].score
    assert red > 0.8 > 0.3 > green
    assert none == 0
    assert found["shallow"].paired.iou[0] == 1
    assert np.isnan(found["shallow"].paired.iou[2])


def test_what_is_left(network, pictures, tmp_path):
    found = measure_twins(network, pictures, change_green(pictures), ["deep"])
    rows = list(csv.DictReader((found.save(tmp_path) / "twins.csv").read_text().splitlines()))
    assert [row["unit"] for row in rows] == ["0", "1", "2"]
    assert float(rows[0]["score"]) == pytest.approx(found["deep"].score[0], abs=1e-5)
    assert rows[2]["iou"] == ""  # active nowhere
    assert "8 pictures and their twins" in str(found)
    assert network.module.training
    assert not any(part._forward_hooks for part in network.module.modules())
    cramped = Machine(memory=8 * 4 * 8 * 3 * 36 - 1)  # read twice
    again = measure_twins(network, pictures, change_green(pictures), ["deep"], machine=cramped)
    assert again.tables()["twins.csv"].csv() == found.tables()["twins.csv"].csv()


def test_bad_input_is_told_before_the_work(network, pictures):
    for given, text in (
        ({"quantile": 0.0}, "the quantile is 0"),
        ({"draws": 0}, "0 twins of others are no control"),
        ({"twins": pictures[:3]}, "8 pictures and 3 twins"),
        ({"layers": ["nowhere"]}, "no layer 'nowhere'"),
        ({"machine": Machine(memory=10)}, "the masks of 8 pairs take"),
        ({"seed": -1}, "seed"),
    ):
        asked = {"pictures": pictures, "twins": pictures, "layers": ["deep"]} | given
        with pytest.raises(UsageError, match=text):
            measure_twins(network, **asked)


@pytest.mark.parametrize("count", [2, 3, 17])
def test_nobody_is_held_against_its_own_twin_in_the_control(count):
    orders = draw_partners(count, 5, 0)
    assert np.array_equal(orders[0], np.arange(count))
    assert not (orders[1:] == np.arange(count)).any()
    assert all(sorted(order) == list(range(count)) for order in orders.tolist())
