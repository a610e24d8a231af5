"""The sheet and the bars of an attack."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from unitscope.concepts.vocabulary import Concept
from unitscope.errors import RunError
from unitscope.experiments.movement import Aim, AttackStudy, measure_movements, measure_peaks
from unitscope.interventions.attacks import Attacked
from unitscope.networks.network import Network, Preprocessing
from unitscope.views.attack_sheet import TILE, choose_factor, draw_attacks, draw_movements, find_region


def make_study(count=6, fails=1, labels=None):
    torch.manual_seed(0)
    network = Network(nn.Sequential(nn.Conv2d(3, 12, 3)), Preprocessing(), ("dusk", "noon", "rain"))
    images = [torch.rand(3, 9, 7) for _ in range(count)]
    changed = [(image + 0.04).clamp(0, 1) for image in images]
    attacked = [
        Attacked(f"i{k // 2}", 0, 1 + k % 2, k < count - fails, a, b)
        for k, (a, b) in enumerate(zip(images, changed, strict=True))
    ]
    before, after = (measure_peaks(network, "0", some) for some in (images, changed))
    order = np.stack([np.random.default_rng(k).permutation(12) for k in range(3)])
    rows = tuple(measure_movements(attacked, before, after, order))
    aims = tuple(Aim(one.key, 0, 0, one.target, one.original) for one in attacked)
    return AttackStudy(network, "0", aims, tuple(attacked), before, after, order, rows, labels or {})


def test_a_sheet_has_a_row_an_image_and_is_the_same_every_time():
    study = make_study(labels={3: Concept(9, "a rather long name", "part")})
    sheets = [draw_attacks(study, rows=n) for n in (1, 2, 2)]
    assert sheets[1].height - sheets[0].height > TILE
    assert sheets[0].width == sheets[1].width
    assert sheets[1].tobytes() == sheets[2].tobytes()


def test_a_failure_is_shown_where_nothing_succeeded():
    assert draw_attacks(make_study(2, fails=2)).height > 2 * TILE


def test_the_region_is_where_the_unit_moved_that_way():
    change = torch.zeros(4, 4)
    change[0, 0], change[3, 3], change[3, 0] = -2.0, 1.0, -0.5
    fell, rose = find_region(change, down=True), find_region(change, down=False)
    assert fell[0, 0]
    assert not fell[-1].any()
    assert rose[-1, -1]
    assert not rose[:, 0].any()
    assert not find_region(torch.zeros(2, 2), down=True).any()


def test_changes_are_magnified_until_they_fill_the_scale():
    assert choose_factor([torch.full((3, 4, 4), 0.9)]) == 1
    assert choose_factor([torch.full((3, 4, 4), 0.004), torch.zeros(3, 4, 4)]) == 100
    assert choose_factor([torch.zeros(3, 4, 4)]) == 1000
    assert choose_factor([]) == 1000


def test_the_figure_names_groups_and_targets(tmp_path):
    path = draw_movements(make_study(), tmp_path / "deep" / "movement.svg")
    text = path.read_text()
    for word in ("4 of source", "4 of target", "rest", "4 random", "to noon", "to rain", "all targets"):
        assert word in text
    assert text == draw_movements(make_study(), tmp_path / "again.svg").read_text()


def test_a_figure_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        draw_movements(make_study(), tmp_path / "file" / "movement.svg")


def test_the_change_is_drawn_around_gray():
    sheet = np.asarray(draw_attacks(make_study(), rows=1).convert("RGB"))
    assert Image.fromarray(sheet).size[1] < 2.5 * TILE
