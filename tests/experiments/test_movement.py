"""Which units an attack moves: the means as by hand, the images as described, errors in words."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.errors import SourceError, UsageError
from unitscope.experiments.movement import (
    MOST,
    choose_aims,
    measure_movements,
    measure_peaks,
    study_attacks,
)
from unitscope.interventions.ablation import find_targets
from unitscope.interventions.attacks import Attacked, CarliniWagner, ProjectedGradient
from unitscope.networks.network import Network, Preprocessing

CLASSES = ("deep_blue", "green", "red")


class Fields:
    """Noise around one color an image, which is its class."""

    vocabulary = Vocabulary(tuple(Concept(4 + k, name, "scene") for k, name in enumerate(CLASSES)))

    def __init__(self, count=24):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index, /):
        image = np.random.default_rng(index).integers(40, 120, (12, 12, 3), dtype=np.uint8)
        image[..., 2 - index % 3] += 60
        return Example(f"f{index}", image, ids=(4 + index % 3,))


class Tones(nn.Module):
    """Twelve units, four a color, and a linear layer over their mean: names fields right."""

    def __init__(self):
        super().__init__()
        self.units = nn.Conv2d(3, 12, 1)
        self.head = nn.Linear(12, 3)
        torch.manual_seed(0)
        color = torch.eye(3).flip(1).repeat_interleave(4, 0) + 0.1 * torch.rand(12, 3)
        self.units.weight.data = color[..., None, None]
        self.units.bias.data.fill_(-0.25)  # else the units of a class's rivals matter as much to it
        self.head.weight.data = 10 * torch.eye(3).repeat_interleave(4, 1)
        self.head.bias.data.zero_()
        self.again = nn.Identity()
        self.aside = nn.Conv2d(3, 12, 1)

    def forward(self, x):
        self.aside(x)
        return self.again(self.head(torch.relu(self.units(x)).mean((2, 3))))


@pytest.fixture
def network():
    return Network(Tones(), Preprocessing((12, 12)), CLASSES, "tones")


@pytest.fixture
def study(network):
    return study_attacks(network, "units", find_targets(network, Fields()), [0, 1], CarliniWagner(), count=4)


def test_attacks_move_the_units_of_both_classes(study):
    assert study.success.all()
    pooled = {row.group: row for row in study.movements if row.target is None}
    assert pooled["source"].change.high < 0 < pooled["target"].change.low
    assert abs(pooled["random"].change.value) < pooled["target"].change.value
    assert pooled["rest"].units == 12 - 2 * MOST
    first = study.attacked[0]
    assert np.allclose(study.after[0] - study.before[0], _by_hand(study, first), atol=1e-6)


def _by_hand(study, one):
    peaks = [study.network.module.units(x[None]).amax((2, 3))[0].detach() for x in (one.original, one.image)]
    return (peaks[1] - peaks[0]).numpy()


def test_images_attacked_are_of_the_other_half_and_of_another_class(study, network):
    first, second = find_targets(network, Fields()).split()
    ranking, testing = ({Fields()[int(i)].key for i in half.images} for half in (first, second))
    assert not ranking & testing
    for aim, one in zip(study.aims, study.attacked, strict=True):
        assert aim.key in testing
        assert one.key == aim.key
        assert aim.target not in (aim.truth, aim.source)
        assert one.source == aim.source == aim.truth
    assert [aim.target for aim in study.aims] == [0] * 4 + [1] * 4


def test_the_same_seed_gives_the_same_study(network, study):
    trial = find_targets(network, Fields())
    again = study_attacks(network, "units", trial, [0, 1], CarliniWagner(), count=4)
    other = study_attacks(network, "units", trial, [0, 1], CarliniWagner(), count=4, seed=1)
    assert repr(again.movements) == repr(study.movements)  # NaN is not itself
    assert repr(other.movements) != repr(study.movements)


def _attacked(key, source, target, success=True):
    image = torch.zeros(3, 1, 1)
    return Attacked(key, source, target, success, image, image)


def test_means_and_intervals_are_those_of_the_plain_loop():
    rng = np.random.default_rng(0)
    order = np.stack([rng.permutation(15) for _ in range(4)])
    attacked = [
        _attacked(f"k{rng.integers(6)}", int(source), int((source + turn) % 4), bool(rng.random() < 0.8))
        for source, turn in zip(rng.integers(0, 4, 30), rng.integers(1, 4, 30), strict=True)
    ]
    before, after = rng.random((30, 15)), rng.random((30, 15))
    rows = measure_movements(attacked, before, after, order, draws=12)
    assert {row.source for row in rows} == {None, 0, 1, 2, 3}
    for row in rows:
        images = {}
        for place, one in enumerate(attacked):
            if one.success and row.source in (None, one.source) and row.target in (None, one.target):
                images.setdefault(one.key, []).append(place)
        assert row.images == len(images)
        if row.group == "random":
            continue
        for estimate, change in ((row.change, after - before), (row.size, abs(after - before))):
            means = []
            for places in images.values():
                values = []
                for place in places:
                    one = attacked[place]
                    own, got = set(order[one.source, :MOST]), set(order[one.target, :MOST])
                    units = {"source": own, "target": got, "rest": set(range(15)) - own - got}[row.group]
                    values.append(np.mean([change[place, unit] for unit in units]))
                means.append(np.mean(values))
            assert estimate.value == pytest.approx(np.mean(means))
            if len(means) == 1:
                assert math.isnan(estimate.low)
            else:
                half = 2.58 * np.std(means, ddof=1) / np.sqrt(len(means))
                assert estimate.high - estimate.value == pytest.approx(half)
                assert estimate.value - estimate.low == pytest.approx(half)


def test_random_groups_have_as_many_units_and_the_mean_of_all():
    attacked = [_attacked(f"k{k}", 0, 1) for k in range(5)]
    change = np.tile(np.arange(40.0), (5, 1))
    order = np.stack([np.arange(40), np.arange(40)[::-1]])
    rows = measure_movements(attacked, change * 0, change, order, draws=400)
    random = next(row for row in rows if row.group == "random")
    assert random.units == MOST
    assert random.change.value == pytest.approx(19.5, abs=1.5)
    # The mean of 4 of 40 numbers drawn without replacement.
    spread = np.arange(40).std(ddof=1) / 2 * np.sqrt(1 - 4 / 40)
    assert (random.change.high - random.change.value) / 2.58 == pytest.approx(spread, rel=0.15)


def test_failures_take_no_part():
    change = np.ones((2, 9))
    order = np.stack([np.arange(9), np.arange(9)])
    attacked = [_attacked("a", 0, 1), _attacked("b", 0, 1, success=False)]
    rows = measure_movements(attacked, change * 0, change * [[1], [5]], order)
    assert {row.images for row in rows} == {1}
    assert {row.change.value for row in rows} == {1.0}
    assert measure_movements(attacked[1:], change[:1], change[:1], order) == []


def test_tables_hold_every_attack_and_movement(study, tmp_path):
    found = study.describe()
    assert [row["key"] for row in found["attacks"]] == [aim.key for aim in study.aims]
    assert found["movements"][0]["target"] == "all"
    study.save(tmp_path)
    assert len((tmp_path / "movement.csv").read_text().splitlines()) == len(study.movements) + 1
    header, first, *_ = (tmp_path / "attacks.csv").read_text().splitlines()
    assert header == "key,truth,source,target,success,l2,linf"
    assert first.split(",")[3] == "deep_blue"
    text = study.text()
    assert text.startswith("8 of 8 attacks succeeded")
    assert "| to deep_blue | −" in text


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ("unit", "no layer 'unit'; near names: units"),
        ("head", "gives the classes themselves"),
        ("again", "gives the classes themselves"),
        ("aside", "do not depend on aside"),
    ],
)
def test_layers_that_cannot_be_watched_are_told(network, layer, told):
    trial = find_targets(network, Fields())
    with pytest.raises(UsageError, match=told):
        study_attacks(network, layer, trial, [0], CarliniWagner(), count=2)


def test_too_few_images_are_told(network):
    trial = find_targets(network, Fields())
    with pytest.raises(SourceError, match="8 images can be attacked towards 'deep_blue'; wanted 9"):
        study_attacks(network, "units", trial, [0], CarliniWagner(), count=9)
    reds = trial.keep(trial.targets == 2)
    with pytest.raises(SourceError, match="no image of class 'green'"):
        study_attacks(network, "units", reds, [1], CarliniWagner(), count=1)
    with pytest.raises(UsageError, match="0 images"):
        study_attacks(network, "units", trial, [0], CarliniWagner(), count=0)


def test_small_layers_are_told(network):
    network.module.units = nn.Conv2d(3, 8, 1)
    network.module.head = nn.Linear(8, 3)
    with pytest.raises(UsageError, match="8 units; wanted more than 8"):
        study_attacks(network, "units", find_targets(network, Fields()), [0], CarliniWagner(), count=1)


def test_images_taken_for_classes_that_were_not_ranked_are_left_out(network):
    trial = find_targets(network, Fields())
    aims = choose_aims(network, trial, [0], {0, 1}, 8, 0)
    assert {aim.source for aim in aims} == {1}
    assert all(trial.source[aim.number].key == aim.key for aim in aims)
    assert len({aim.number for aim in aims}) == 8


def test_the_network_is_as_before(network):
    network.module.train()
    before = {key: value.clone() for key, value in network.module.state_dict().items()}
    attack = ProjectedGradient("linf", 0.2, 3, seed=0)
    study_attacks(network, "units", find_targets(network, Fields()), [0], attack, count=2)
    assert all(part.training for part in network.module.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.module.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in network.module.parameters())
    assert not any(part._forward_hooks for part in network.module.modules())


def test_peaks_are_those_of_the_layer(network):
    image = torch.rand(3, 12, 12)
    found = measure_peaks(network, "units", [image, image / 2])
    wanted = network.module.units(image[None]).amax((2, 3)).detach().numpy()
    assert np.allclose(found[:1], wanted, atol=1e-6)
