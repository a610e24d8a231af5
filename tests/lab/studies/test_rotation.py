"""Rotated bases: right angles, parts of a rotation, an untouched network, counts of a plain dissection."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from unitscope.cli import main
from unitscope.concepts.frames import Frame
from unitscope.concepts.packed import pack_source
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import UsageError
from unitscope.lab.studies import rotation
from unitscope.lab.studies.random_rotations import (
    draw_bases,
    order_greedily,
    pool_layer,
    rotated_and_back,
    take_part,
)
from unitscope.lab.studies.records import pack_records, read_records
from unitscope.lab.studies.rotation import (
    Chosen,
    PartialRotation,
    RotationResult,
    Rotations,
    Subject,
    count_by_iou,
    count_units,
    dissect_bases,
    measure_undoing,
    read_rotations,
    rotate_partly,
    split_crowded,
    sweep_conditions,
)
from unitscope.lab.studies.rotation_finding import compare_ratios, judge_axis, judge_ratio, spell_ratio
from unitscope.lab.world import open_drawn
from unitscope.networks.directions.drawn import draw_rotations
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.trace import tap

SIZES = st.integers(2, 9)
PARTS = st.floats(-1, 1)


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 225, 4))
    return Network(module.eval(), Preprocessing((64, 64)), (), "small")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    source = open_drawn(count=24, seed=1, size=64)
    return pack_source(source, Frame((64, 64), (32, 32), "stretch"), tmp_path_factory.mktemp("packed"))


@pytest.mark.parametrize("units", [2, 7])
def test_rotations_keep_lengths_and_handedness(units):
    bases = draw_rotations(units, 4, 0)
    assert np.allclose(bases @ bases.transpose(0, 2, 1), np.eye(units))
    assert np.allclose(np.linalg.det(bases), 1)
    assert np.array_equal(bases, draw_rotations(units, 4, 0))
    assert not np.allclose(bases[0], bases[1])


def test_rotations_point_everywhere_alike():
    first = draw_rotations(3, 4000, 0)[:, 0, :]
    assert np.abs(first.mean(0)).max() < 0.05
    assert np.abs((first**2).mean(0) - 1 / 3).max() < 0.02


@settings(max_examples=60)
@given(SIZES, st.integers(0, 50), PARTS, PARTS)
def test_parts_of_a_rotation_add_up(units, seed, first, second):
    [rotation] = draw_rotations(units, 1, seed)
    one, other = take_part(rotation, first), take_part(rotation, second)
    assert np.allclose(one @ one.T, np.eye(units), atol=1e-9)
    assert np.linalg.det(one) == pytest.approx(1)
    assert np.allclose(one @ other, take_part(rotation, first + second), atol=1e-8)
    assert np.allclose(take_part(rotation, 0.0), np.eye(units), atol=1e-10)
    assert np.allclose(take_part(rotation, 1.0), rotation, atol=1e-9)


@pytest.mark.parametrize("units", [2, 5, 8])
def test_a_part_turns_every_plane_by_that_part_of_its_angle(units):
    """The slow twin: complex eigenvalues, each turned by a part of its angle."""
    [rotation] = draw_rotations(units, 1, 3)
    values, vectors = np.linalg.eig(rotation)
    powered = vectors @ np.diag(np.exp(0.3j * np.angle(values))) @ np.linalg.inv(vectors)
    assert np.allclose(take_part(rotation, 0.3), powered.real, atol=1e-8)


def test_mirrored_axes_turn_in_pairs():
    half = np.diag([-1.0, -1.0, 1.0])
    quarter = take_part(half, 0.5)
    assert np.allclose(quarter @ quarter, half)
    assert np.linalg.det(quarter) == pytest.approx(1)


@settings(max_examples=40)
@given(SIZES, st.integers(0, 50))
def test_the_most_alike_are_paired_first(units, seed):
    """The slow twin: the largest entry, then the largest of what is left."""
    [basis] = draw_rotations(units, 1, seed)
    left, found = basis.copy(), np.empty(units, int)
    for _ in range(units):
        row, unit = np.unravel_index(left.argmax(), left.shape)
        found[unit] = row
        left[row], left[:, unit] = -np.inf, -np.inf
    assert (order_greedily(basis) == found).all()
    shuffled = np.random.default_rng(seed).permutation(units)
    assert (order_greedily(np.eye(units)[shuffled]) == np.argsort(shuffled)).all()


@pytest.mark.parametrize("basis", [np.diag([1.0, -1.0]), np.ones((2, 2))])
def test_only_rotations_are_turned(basis):
    with pytest.raises(UsageError, match="only a rotation"):
        take_part(basis, 0.5)


class Turned(nn.Module):
    """A network that also turns its layer 1, in a layer of its own: the plain way to read a rotation."""

    def __init__(self, module, basis, pool=1):
        super().__init__()
        self.module, self.turned, self.pool = module, nn.Identity(), pool
        self.register_buffer("basis", torch.from_numpy(basis.astype(np.float32)))

    def forward(self, x):
        maps = self.module[:2](x)
        maps = functional.avg_pool2d(maps, self.pool) if self.pool > 1 else maps
        self.turned(functional.conv2d(maps, self.basis[:, :, None, None]).contiguous())
        return self.module(x)


def same(one, other):
    arrays = ("thresholds", "intersections", "active")
    assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    assert np.array_equal(one.exemplars.images, other.exemplars.images)
    assert np.array_equal(one.exemplars.peaks, other.exemplars.peaks)


def test_a_rotation_by_its_address_is_that_of_the_study_and_one_turned_by_hand(network, pictures):
    [basis] = draw_rotations(6, 1, 0)
    plain = replace(network, module=Turned(network.module, basis).eval())
    by_hand = dissect(plain, pictures, ["turned"], confidences=Confidences(0, 20))["turned"]
    found = dissect(network, pictures, ["1+rotation:0"], confidences=Confidences(0, 20))["1+rotation:0"]
    same(found, by_hand)
    same(dissect_bases(network, "1", pictures, draw_bases(6, 1, 0))[1], by_hand)


def test_averaged_maps_are_turned_as_by_hand(network, pictures):
    [basis] = draw_rotations(6, 1, 0)
    plain = replace(network, module=Turned(network.module, basis, pool=3).eval())
    by_hand = dissect(plain, pictures, ["turned"], confidences=Confidences(0, 20))["turned"]
    same(dissect_bases(network, "1", pictures, basis[None], pool=3)[0], by_hand)


def test_a_layer_averaged_beside_the_network_leaves_it_as_it_is(network):
    pooled = pool_layer(network, "0", 3)
    batch = torch.rand(2, 3, 64, 64)
    with tap(pooled, ["network.0", "pooled"]) as read:
        maps = read(batch)
    assert torch.equal(maps["pooled"], functional.avg_pool2d(maps["network.0"], 3))
    assert torch.equal(pooled.run(batch), network.module(batch))
    assert not network.module[0]._forward_hooks


def test_logits_are_the_same_where_a_rotation_is_undone(network, pictures):
    assert measure_undoing(Subject(network, "1", "small"), pictures) < 1e-4
    batch = torch.rand(2, 3, 64, 64)
    [rotation] = draw_rotations(6, 1, 0)
    with torch.no_grad():
        before = network.module(batch)
        with rotated_and_back(network, "1", rotation):
            during = network.module(batch)
    assert torch.allclose(before, during, atol=1e-4)
    assert not torch.equal(before, during)
    assert torch.equal(network.module(batch), before)


def test_a_module_that_is_called_twice_is_turned_where_it_is_named():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.act, self.second = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)

        def forward(self, x):
            return self.act(self.second(self.act(self.first(x))))

    network = Network(Twice().eval())
    [basis] = draw_rotations(5, 1, 0)
    batch = torch.rand(1, 3, 16, 16)
    with tap(network, ["act#2", "act#2+rotation:0"]) as read:
        maps = read(batch)
    wanted = np.einsum("ij,njyx->niyx", basis, maps["act#2"].numpy())
    assert np.allclose(maps["act#2+rotation:0"].numpy(), wanted, atol=1e-5)
    with torch.no_grad(), rotated_and_back(network, "act#2", basis):
        assert torch.allclose(network.run(batch), maps["act#2"], atol=1e-4)


def test_no_hook_stays_after_an_error(network):
    with pytest.raises(RuntimeError):
        pool_layer(network, "0", 2).run(torch.rand(1, 3, 8, 8))
    with pytest.raises(RuntimeError), rotated_and_back(network, "0", np.eye(6)):
        network.run(torch.rand(1, 3, 8, 8))
    assert not network.module[0]._forward_hooks


def test_the_first_basis_is_the_layer_itself(network, pictures):
    own, rotated = dissect_bases(network, "1", pictures, draw_bases(6, 1, 0))
    plain = dissect(network, pictures, ["1"], confidences=Confidences(0, 20))["1"]
    assert (own.intersections == plain.intersections).all()
    assert (own.thresholds == plain.thresholds).all()
    assert (rotated.intersections != plain.intersections).any()


def test_a_network_in_training_mode_is_read_in_evaluation_and_left_as_it_was(network, pictures):
    bases = draw_bases(6, 1, 0)
    own = dissect_bases(network, "1", pictures, bases)[0]
    network.module.insert(1, nn.Dropout(0.5))
    network.module.train()
    again = dissect_bases(network, "2", pictures, bases)[0]
    assert (own.intersections == again.intersections).all()
    assert measure_undoing(Subject(network, "2", "small"), pictures) < 1e-4
    assert all(part.training for part in network.module.modules())


def test_a_network_with_a_forward_is_rotated_as_one_without(network, pictures):
    whole = replace(network, forward=lambda module, batch: module(batch))
    bases = draw_bases(6, 1, 0)
    plain = dissect_bases(network, "1", pictures, bases)
    for one, other in zip(dissect_bases(whole, "1", pictures, bases), plain, strict=True):
        assert [unit.iou for unit in one] == [unit.iou for unit in other]


@pytest.mark.parametrize("cutoff", [0.01, 0.04, 0.1])
@pytest.mark.parametrize("rule", ["label", "category"])
def test_counts_at_a_cutoff_are_those_of_such_a_convention(network, pictures, cutoff, rule):
    found = dissect(network, pictures, ["1"], confidences=Confidences(0, 20))["1"]
    rules = replace(CONVENTIONS["netdissect"], iou_cutoff=cutoff)
    again = dissect(network, pictures, ["1"], convention=rules, confidences=Confidences(0, 20))["1"]
    assert count_by_iou(found, cutoff).count(rule=rule) == sum(again.unique[rule].values())
    assert count_by_iou(found, cutoff).detectors == again.detectors


def test_fewer_concepts_are_counted_as_by_hand(network, pictures):
    found = dissect(network, pictures, ["1"], confidences=Confidences(50, 20))["1"]
    chosen = np.random.default_rng(0).random(found.vocabulary.size) < 0.3
    best = set()
    for unit in found.iou:
        allowed = [(iou, -place) for place, iou in enumerate(unit) if chosen[place] and iou > 0.02]
        best |= {max(allowed)[1]} if allowed else set()
    assert count_by_iou(found, 0.02, chosen).count() == len(best)
    sure = {u.concept for u in found if u.detector and u.q_value < 0.05}
    assert count_by_iou(found).count(sure=True) == len(sure)


def test_chosen_pictures_are_those_pictures(pictures):
    some = Chosen(pictures, np.array([3, 1]))
    assert [example.key for example in (some[0], some[1])] == [pictures[3].key, pictures[1].key]
    shifted = Chosen(pictures, np.arange(len(pictures)), 2)
    assert shifted[0].key == pictures[0].key
    assert (shifted[len(pictures) - 1].planes == pictures[1].planes).all()


def test_crowded_pictures_have_more_objects(pictures):
    few, many = split_crowded(pictures).values()
    words = pictures.vocabulary

    def objects(place):
        return sum(words[int(i)].category == "object" for i in np.unique(pictures[int(place)].planes) if i)

    assert max(map(objects, few)) <= min(map(objects, many))
    assert len(few) == len(many) == 8


def test_a_layer_without_maps_is_refused(network):
    with pytest.raises(UsageError, match="no maps to rotate"):
        count_units(network, "9")


def rotated(own, rotations, seed=0):
    counts = (own, *rotations)
    return RotationResult("one", seed, "center", "all", counts, counts, counts)


def judge(results):
    return judge_ratio(compare_ratios(results))


def test_ratios_and_their_verdicts():
    three = compare_ratios([rotated(10, (2, 3)), rotated(10, (1, 2), 1), rotated(10, (2, 2), 2)])
    assert judge_ratio(three) == "falls by more than half"
    # Student's, 2 degrees of freedom; two networks tell less
    assert three.high - three.value == pytest.approx(4.303 * 0.05 / np.sqrt(3), rel=1e-3)
    assert judge([rotated(10, (2, 3)), rotated(10, (1, 2), 1)]) == "falls"
    alone = compare_ratios([rotated(10, (2,))])
    assert (judge_ratio(alone), spell_ratio(alone)) == ("unclear", "0.20")
    assert judge([rotated(10, (7, 7, 8))]) == "falls"
    assert judge([rotated(10, (13, 13))]) == "rises"
    assert judge([rotated(10, (8, 12))]) == "unclear"
    nothing = compare_ratios([rotated(0, (3,))])
    assert judge_ratio(nothing) == "no detectors"
    assert spell_ratio(nothing) == "–"
    ratio = compare_ratios([rotated(10, (4, 6)), rotated(20, (30, 10), 1)])
    assert ratio.value == pytest.approx((0.5 + 1.0) / 2)
    assert ratio.low <= ratio.value <= ratio.high


def test_a_sweep_varies_one_thing_at_a_time(network, pictures):
    subject = Subject(network, "1", "small", before="0", others=("0",))
    results = list(
        sweep_conditions(subject, pictures, rotations=2, images=(12,), quantiles=(0.02,), pools=(2,))
    )
    assert {result.factor for result in results} == {
        *("center", "control", "IoU cut-off", "detectors", "concepts", "images", "objects an image"),
        *("quantile", "resolution", "rectified", "layer"),
    }
    assert all(len(result.unique) == 3 for result in results)
    parts = list(rotate_partly(subject, pictures, rotations=2, parts=(0.5, 1.0)))
    assert [(one.rotation, one.part) for one in parts] == [
        (0, 0.0),
        (0, 0.5),
        (0, 1.0),
        (1, 0.5),
        (1, 1.0),
    ]
    center = next(result for result in results if result.factor == "center")
    assert sum(parts[0].unique.values()) == center.unique[0]
    assert sum(parts[2].unique.values()) == center.unique[1]
    assert parts[0].cosine == parts[0].kept == 1
    assert 1 > parts[1].cosine > parts[2].cosine
    assert 0 <= parts[2].kept <= 1
    assert 0 <= parts[2].chance <= 1
    finding = judge_axis(Rotations(tuple(results), tuple(parts), 1e-6))
    assert [claim.source for claim in finding.claims][:2] == ["fig. 4", "fig. 4"]
    assert len(finding.tables()["conditions.csv"].rows) == 3 * len(results)
    for table in finding.tables().values():
        assert len(set(table.columns)) == len(table.columns)


def test_a_network_of_ones_own_is_rotated(tmp_path, capsys, monkeypatch):
    swept = partial(rotation.sweep_conditions, quantiles=(0.02,), pools=(2,))
    monkeypatch.setattr(rotation, "sweep_conditions", swept)
    monkeypatch.setattr(rotation, "rotate_partly", partial(rotation.rotate_partly, parts=(0.4, 1.0)))
    monkeypatch.setattr(rotation, "FEW_SHIFTS", Confidences(10, 20))
    words = ["study", "axis", "--network", "zoo:scene-classifier", "--layers", "layer5", "layer4", "--quick"]
    assert main([*words, "--concepts", "drawn:count=12,size=64", "--kept", str(tmp_path)]) == 0
    assert "| layer | layer4 |" in capsys.readouterr().out
    assert (tmp_path / "axis" / "figure.svg").is_file()
    assert main(["study", "axis", "--layers", "layer5"]) == 2
    assert "go with --network" in capsys.readouterr().err
    assert main(["study", "axis", "--network", "zoo:scene-classifier"]) == 2
    assert "no layer was named" in capsys.readouterr().err


def test_rotations_come_back_from_workers_as_they_were():
    result = RotationResult("a", 1, "center", "layer5, 3 images", (4, 1), (3, 1), (5, 2))
    part = PartialRotation("a", 1, 0, 0.2, 7, {"object": 2, "part": 0}, 0.9, 0.5, 0.1)
    found = Rotations((result,), (part,), 0.1 + 0.2)
    (record,) = read_records(pack_records([found]))
    assert read_rotations(record) == found
