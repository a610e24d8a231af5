"""Removal of units: three ways, one answer; counts that merge; importance as by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn

from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.errors import NetworkError, SourceError, UsageError
from unitscope.interventions import sweeps
from unitscope.interventions.ablation import Trial, find_targets, score_removals, single_units
from unitscope.interventions.classes import ClassScores, add_logits, empty_scores
from unitscope.interventions.importance import (
    Importance,
    correlate_ranks,
    group_by_classes,
    group_by_importance,
    measure_importance,
)
from unitscope.interventions.replay import replay
from unitscope.interventions.sweeps import sweep_removals
from unitscope.networks.network import Network, Preprocessing

CLASSES = ("calm", "wild", "dull")


class Noise:
    """Images of noise, each of one class, brighter by class."""

    vocabulary = Vocabulary(tuple(Concept(7 + k, f"{name}-s", "scene") for k, name in enumerate(CLASSES)))

    def __init__(self, count=18):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index, /):
        rng = np.random.default_rng(index)
        image = rng.integers(0, 120, (16, 16, 3), dtype=np.uint8) + np.uint8(60 * (index % 3))
        return Example(str(index), image, ids=(7 + index % 3,))


class Pooled(nn.Module):
    """Convolutions, a mean, one linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.act(self.norm(self.conv(x))).mean((2, 3)))


class Shortcut(nn.Module):
    """A block that is added to what went in, and a second stage behind it."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True))
        self.block = nn.ModuleList([nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)])
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(6 * 14 * 14, 3))

    def forward(self, x):
        x = self.stem(x)
        x = self.act(x + self.block[1](self.act(self.block[0](x))))
        return self.head(x)


@pytest.fixture(params=[Pooled, Shortcut])
def network(request):
    torch.manual_seed(0)
    return Network(request.param(), Preprocessing((16, 16)), CLASSES, "small")


@pytest.fixture
def trial(network):
    return find_targets(network, Noise())


LAYERS = {Pooled: ("conv", "act"), Shortcut: ("stem.0", "block.0", "block.1")}


def same(one: ClassScores, other: ClassScores) -> bool:
    return (
        np.array_equal(one.images, other.images)
        and np.array_equal(one.right, other.right)
        and np.array_equal(one.called, other.called)
        and np.allclose(one.margin, other.margin, atol=1e-5 * int(one.images.sum()))
        and np.allclose(one.outside, other.outside, atol=1e-5 * int(one.images.sum()))
    )


def test_every_way_gives_what_the_plain_loop_gives(network, trial):
    masks = np.concatenate([single_units(6), np.random.default_rng(0).random((5, 6)) < 0.5])
    for layer in LAYERS[type(network.module)]:
        plain = score_removals(network, layer, trial, masks, method="plain")
        for method in ("fastest", "replay"):
            found = score_removals(network, layer, trial, masks, method=method)
            assert all(map(same, found, plain)), (layer, method)
            singles = score_removals(network, layer, trial, masks[:6], method=method)
            assert np.array_equal(singles[1].right, plain[1].right[:6])


def test_nothing_removed_changes_nothing(network, trial):
    layer = LAYERS[type(network.module)][0]
    base, none = score_removals(network, layer, trial, np.zeros((1, 6), bool))
    assert same(base, none)


def test_a_pooled_layer_is_solved_in_closed_form_and_others_say_that_they_are_not(network, trial):
    layer = LAYERS[type(network.module)][0]
    if type(network.module) is Pooled:
        assert score_removals(network, layer, trial, single_units(6), method="closed")
    else:
        with pytest.raises(NetworkError, match="one by one; use replay"):
            score_removals(network, layer, trial, single_units(6), method="closed")


def test_what_lies_before_the_layer_runs_once_an_image(trial):
    torch.manual_seed(0)
    network = Network(Shortcut(), Preprocessing((16, 16)), CLASSES, "small")
    runs = []
    network.module.stem[0].register_forward_hook(lambda *_: runs.append(1))
    with replay(network, "block.1") as rest:
        maps, _ = rest.start(torch.rand(1, 3, 16, 16))
        before = len(runs)
        rest.finish(maps.repeat(20, 1, 1, 1))
        rest.finish(maps.repeat(3, 1, 1, 1))
    assert len(runs) == before
    assert not any("forward" in part.__dict__ for part in network.module.modules())
    assert network.module.training


def test_a_replay_of_channels_last_takes_units_away():
    class Turning(nn.Sequential):
        def forward(self, images):
            maps = self[1](self[0](images).permute(0, 2, 3, 1))
            return maps.amax((1, 2))

    module = Turning(nn.Conv2d(3, 6, 1), nn.LayerNorm(6))
    with replay(Network(module, Preprocessing((8, 8))), "1") as rest:
        maps, output = rest.start(torch.rand(1, 3, 8, 8))
        without = rest.finish(maps * (torch.arange(6) != 2)[:, None, None])
    assert maps.shape == (1, 6, 8, 8)
    assert without.tolist() == [[0.0 if unit == 2 else x for unit, x in enumerate(output[0].tolist())]]


def test_a_replay_leaves_the_network_alone_after_an_error(network):
    layer = LAYERS[type(network.module)][0]
    with pytest.raises(RuntimeError), replay(network, layer) as rest:
        rest.start(torch.rand(1, 4, 16, 16))
    assert network.module.training
    assert not any("forward" in part.__dict__ for part in network.module.modules())


def test_a_replay_wants_one_image_and_a_layer(network):
    with (
        replay(network, LAYERS[type(network.module)][0]) as rest,
        pytest.raises(UsageError, match="one image"),
    ):
        rest.start(torch.rand(2, 3, 16, 16))
    with pytest.raises(UsageError, match="no layer 'none'"), replay(network, "none"):
        pass


logits = st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=2, max_size=2)


@given(st.lists(st.tuples(logits, st.integers(0, 2)), min_size=1, max_size=12), st.randoms())
def test_scores_are_plain_counts_and_merge_in_any_order(images, chance):
    parts = [empty_scores(2, 3) for _ in images]
    for part, (rows, target) in zip(parts, images, strict=True):
        add_logits(part, np.array(rows), target)
    chance.shuffle(parts)
    total = empty_scores(2, 3)
    for part in parts:
        total = part.merge(total)
    for removal in range(2):
        named = [int(np.argmax(rows[removal])) for rows, _ in images]
        truth = [target for _, target in images]
        for c in range(3):
            of_class = [n == c for n, t in zip(named, truth, strict=True) if t == c]
            others = [n != c for n, t in zip(named, truth, strict=True) if t != c]
            recall = np.mean(of_class) if of_class else 0.0
            rejected = np.mean(others) if others else 1.0
            assert total.balanced_accuracy[removal, c] == pytest.approx((recall + rejected) / 2)
        assert total.accuracy[removal] == pytest.approx(np.mean(np.equal(named, truth)))


def test_a_class_that_there_is_not_is_told():
    with pytest.raises(UsageError, match="no class 3"):
        add_logits(empty_scores(1, 3), np.zeros((1, 3)), 3)


def test_images_find_their_class_by_name(network):
    trial = find_targets(network, Noise(9))
    assert trial.targets.tolist() == [0, 1, 2] * 3
    one, two = trial.split()
    assert sorted([*one.images, *two.images]) == list(range(9))
    assert np.bincount(one.targets).tolist() == [2, 2, 2]


def test_what_cannot_be_scored_is_told(network):
    with pytest.raises(SourceError, match="class 'calm' has 1 image"):
        find_targets(network, Noise(3))
    with pytest.raises(UsageError, match="no class names"):
        find_targets(Network(network.module), Noise())
    with pytest.raises(UsageError, match="no image is labelled"):
        find_targets(Network(network.module, classes=("lion",)), Noise())
    trial, layer = find_targets(network, Noise()), LAYERS[type(network.module)][0]
    with pytest.raises(UsageError, match="masks are for 5 units"):
        score_removals(network, layer, trial, single_units(5))
    with pytest.raises(UsageError, match="cannot be edited"):
        score_removals(network, "none", trial, single_units(6))
    nobody = Trial(trial.source, trial.images[:0], trial.targets[:0])
    with pytest.raises(UsageError, match="no images to score"):
        score_removals(network, layer, nobody, single_units(6))


def test_the_units_that_a_class_stands_on_come_first():
    torch.manual_seed(0)
    network = Network(Pooled().eval(), Preprocessing((16, 16)), CLASSES, "small")
    with torch.no_grad():
        network.module.head.weight.copy_(torch.tensor([[9.0, 0, 0, 1, 0, 0], [0, 9.0, 0, 0, 1, 0], [0] * 6]))
        network.module.norm.bias.fill_(5.0)
    trial = find_targets(network, Noise())
    importance = measure_importance(network, "act", trial)
    assert importance.order[0, 0] == 0
    assert importance.order[1, 0] == 1
    rows = sweep_removals(network, "act", trial, importance, [1, 6], draws=3)
    kinds = {(row.kind, row.count) for row in rows}
    assert kinds == {("none", 0), *((k, n) for k in ("most", "only", "least", "random") for n in (1, 6))}
    everything = {row.balanced for row in rows if row.count == 6 and row.kind in ("most", "random", "least")}
    assert everything == {0.5}
    none = {row.target: row.balanced for row in rows if row.kind == "none"}
    assert all(row.balanced == none[row.target] for row in rows if row.kind == "only" and row.count == 6)
    with pytest.raises(UsageError, match="remove 1 to 6"):
        sweep_removals(network, "act", trial, importance, [7])


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_the_most_important_and_all_others_partition_the_units(monkeypatch, count):
    torch.manual_seed(0)
    network = Network(Pooled().eval(), Preprocessing((16, 16)), CLASSES, "small")
    trial = find_targets(network, Noise())
    importance = measure_importance(network, "act", trial)
    asked = {}

    def keep_masks(*args, **options):
        asked["masks"] = args[3]
        return score_removals(*args, **options)

    monkeypatch.setattr(sweeps, "score_removals", keep_masks)
    rows = sweep_removals(network, "act", trial, importance, [count], draws=1)
    targets = list(dict.fromkeys(row.target for row in rows if row.kind == "most"))
    assert len(asked["masks"]) == 1 + 3 * len(targets)
    for place, target in enumerate(targets):
        most, only, least = asked["masks"][1 + 3 * place : 4 + 3 * place]
        assert most.sum() == least.sum() == count
        assert (most ^ only).all()
        assert set(np.flatnonzero(most)) == set(importance.order[target][:count].tolist())


def test_units_are_grouped_by_the_classes_they_matter_to():
    margin = np.zeros((2, 6))
    margin[0, :4], margin[1, 2:] = 1, 1
    importance = Importance(margin * 0, margin * 0, margin)
    groups = group_by_classes(importance, np.array([1.0, 1, 5, 5, 2, 2]))
    assert [(g.name, g.units, g.mean) for g in groups] == [("1", 4, 1.5), ("2", 2, 5.0)]
    bins = group_by_importance(importance, np.array([1.0, 1, 5, 5, 2, 2]), size=4)
    assert [(g.name, g.units) for g in bins] == [("1–4", 4), ("5–6", 2)]
    assert bins[1].mean == 5


@given(st.lists(st.integers(0, 6), min_size=4, max_size=30), st.integers(0, 5))
def test_rank_correlation_equals_scipys(values, seed):
    one = np.array(values, float)
    other = np.random.default_rng(seed).integers(0, 4, len(one)).astype(float)
    found = correlate_ranks(one, other, replicates=20)
    if one.std() and other.std():
        assert found.value == pytest.approx(spearmanr(one, other).statistic)
    assert found.low <= found.high
