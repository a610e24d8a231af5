"""Ranges of activation: what lies above one quantile and not above the next, to the integer."""

from itertools import pairwise

import numpy as np
import pytest

import made
import unitscope as us
from unitscope.dissection import dissect_part, merge_run
from unitscope.errors import UsageError
from unitscope.statistics import label_sets

IMAGES, FRACTIONS = 24, (0.3, 0.1, 0.02)


@pytest.fixture(scope="module")
def source():
    return made.make_source(IMAGES, seed=3)


@pytest.fixture(scope="module")
def network(source):
    maps = np.random.default_rng(0).normal(size=(IMAGES, 5, 4, 4)).astype(np.float32)
    maps[:, 3] = np.maximum(maps[:, 3], 0)  # a rectified unit, whose lowest ranges begin at 0
    maps[:, 4] = 1  # a constant one
    return made.wire(source, maps)


def options(convention, **more):
    asked = {"shard_size": 5, "batch_size": 5, "confidences": us.Confidences(20)}
    return {**asked, "convention": convention, **more}


@pytest.mark.parametrize("convention", ["pnas", "netdissect"])
def test_a_range_is_one_run_less_another(network, source, convention):
    run = us.dissect(network, source, ["maps"], **options(convention, ranges=FRACTIONS))["maps"]
    runs = [
        us.dissect(network, source, ["maps"], **options(convention, quantile=one))["maps"]
        for one in FRACTIONS
    ]
    plain = us.dissect(network, source, ["maps"], **options(convention))["maps"]
    for name, array in plain.arrays().items():
        np.testing.assert_array_equal(array, run.arrays()[name])
    table = run.range_table
    assert (table.units, table.parts) == (5 * len(FRACTIONS), run.label_table.parts)
    np.testing.assert_array_equal(table.areas, run.label_table.areas)
    for unit in range(5):
        for part in range(table.parts):
            part = np.array([part])
            whole = [other.label_table.count(unit, part) for other in runs]
            expected = [*(low - high for low, high in pairwise(whole)), whole[-1]]
            for place, pixels in enumerate(expected):
                np.testing.assert_array_equal(table.count(3 * unit + place, part), pixels)
    assert sum(table.count(3 * 3 + k, table.true_parts).sum() for k in range(3)) > 0


def test_parts_workers_and_files_keep_ranges(network, source, tmp_path):
    asked = options("pnas", ranges=FRACTIONS)
    whole = us.dissect(network, source, ["maps"], out=tmp_path / "whole", **asked)
    for text in ("2/2", "1/2"):
        dissect_part(network, source, ["maps"], text, out=tmp_path / "parts", **asked)
    merge_run(tmp_path / "parts")
    one, other = (tmp_path / name / "maps.safetensors" for name in ("whole", "parts"))
    assert one.read_bytes() == other.read_bytes()
    again = us.load(tmp_path / "whole")
    assert again.recipe == whole.recipe
    for name, array in whole["maps"].range_table.arrays().items():
        np.testing.assert_array_equal(array, again["maps"].range_table.arrays()[name])


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"ranges": (0.1, 0.2)}, "give falling fractions below 1"),
        ({"ranges": ()}, "give falling fractions below 1"),
        ({"ranges": (1.0, 0.2)}, "give falling fractions below 1"),
        ({"ranges": (0.2,), "label_sets": False}, "which are left out; keep these"),
        ({"ranges": (0.2,), "thresholds": {"maps": np.zeros(5, np.float32)}}, "its thresholds are given"),
    ],
)
def test_ranges_that_there_are_not_are_told(network, source, more, told):
    with pytest.raises(UsageError, match=told):
        us.dissect(network, source, ["maps"], **options("pnas", **more))


def test_every_range_has_a_name(network, source):
    layer = us.dissect(network, source, ["maps"], **options("pnas", ranges=FRACTIONS))["maps"]
    found = us.find_formulas(layer, length=2, units=[0, 2], ranges=True, draws=20)
    assert [(row["unit"], row["range"]) for row in found.rows()] == [(u, r) for u in (0, 2) for r in range(3)]
    highest = us.dissect(network, source, ["maps"], **options("pnas", quantile=FRACTIONS[-1]))["maps"]
    alone = us.find_formulas(highest, length=2, units=[0, 2], draws=20)
    for row, other in zip(found.rows()[2::3], alone.rows(), strict=True):
        assert {name: row[name] for name in ("formula", "intersection", "union", "iou_held_out")} == {
            name: other[name] for name in ("formula", "intersection", "union", "iou_held_out")
        }
    assert "2:1" in str(found)
    with pytest.raises(UsageError, match="has no ranges of activation; dissect again with ranges"):
        us.find_formulas(highest, ranges=True)


def test_what_is_left_out_of_a_table_is_told(network, source, monkeypatch):
    whole = us.dissect(network, source, ["maps"], **options("pnas", ranges=FRACTIONS))["maps"]
    assert not [one for one in whole.warnings if "formulas" in one]
    monkeypatch.setattr(label_sets, "MOST", len(whole.label_table.rows))
    less = us.dissect(network, source, ["maps"], **options("pnas", ranges=FRACTIONS))["maps"]
    told = [one for one in less.warnings if "formulas" in one]
    assert less.label_table.ways > 1
    assert len(told) == 1
    assert "of ranges of activation would be too large" in told[0]
    monkeypatch.setattr(label_sets, "MOST", 0)
    none = us.dissect(network, source, ["maps"], **options("pnas", ranges=FRACTIONS))["maps"]
    assert none.label_table is none.range_table is None
    assert sum("there are no formulas" in one for one in none.warnings) == 2
