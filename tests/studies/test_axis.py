"""Rotated bases: right angles, an untouched network, and rows that a plain dissection gives."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from unitscope.concepts.drawn import open_drawn
from unitscope.dissection.dissect import dissect
from unitscope.errors import RunError, UsageError
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.trace import tap
from unitscope.studies import axis
from unitscope.studies.axis import Rotations, compare_bases, draw_rotations, spell_bases, write_bases


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 225, 4))
    return Network(module.eval(), Preprocessing((64, 64)), (), "small")


@pytest.fixture(scope="module")
def source():
    return open_drawn(count=24, seed=1, size=64)


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


def test_turned_maps_are_the_units_mixed_and_the_network_gives_the_same(network):
    bases = draw_rotations(6, 2, 0)
    module = Rotations(network.module, "0", bases)
    batch = torch.rand(3, 3, 64, 64)
    with tap(replace(network, module=module), ["module.0", "turned.1"]) as read:
        maps = read(batch)
    wanted = np.einsum("ij,njyx->niyx", bases[1], maps["module.0"].numpy())
    assert np.allclose(maps["turned.1"].numpy(), wanted, atol=1e-5)
    assert torch.equal(module(batch), network.module(batch))
    assert not network.module[0]._forward_hooks


def test_no_hook_stays_after_an_error(network):
    module = Rotations(network.module, "0", draw_rotations(6, 1, 0))
    with pytest.raises(RuntimeError):
        module(torch.rand(1, 3, 8, 8))
    assert not network.module[0]._forward_hooks


def test_the_identity_is_the_layer_itself(network, source, monkeypatch):
    monkeypatch.setattr(axis, "draw_rotations", lambda units, count, seed: np.stack([np.eye(units)] * count))
    own, turned = compare_bases(network, "1", source, rotations=1)
    assert (own.basis, turned.basis) == ("units", "rotation 1")
    assert replace(turned, basis="units") == own
    plain = dissect(network, source, ["1"])["1"]
    assert own.detectors == plain.detectors
    assert own.iou == pytest.approx(plain.iou.max(1).mean())
    assert own.best_iou >= own.iou


def test_a_layer_without_maps_is_refused(network, source):
    with pytest.raises(UsageError, match="no maps to turn"):
        compare_bases(network, "9", source)


def test_bases_are_written_and_spelled(network, source, tmp_path):
    rows = compare_bases(network, "0", source, rotations=2, name="one")
    write_bases(rows, tmp_path / "bases.csv")
    with (tmp_path / "bases.csv").open() as file:
        assert [row["basis"] for row in csv.DictReader(file)] == ["units", "rotation 1", "rotation 2"]
    assert "| one | 2 rotations |" in spell_bases(rows)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="name another folder"):
        write_bases(rows, tmp_path / "file" / "a.csv")
