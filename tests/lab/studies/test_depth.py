"""Concepts by layer: counts as the dissection has them, the expected ones as by enumeration."""

import csv
import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from unitscope.cli import main
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import RunError, UsageError
from unitscope.lab.studies.depth import Depth, compare_layers, expect_few, expect_unique, find_peak
from unitscope.lab.world import open_drawn
from unitscope.networks.network import Network, Preprocessing


@pytest.fixture(scope="module")
def rows():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 12, 5, 4), nn.ReLU(), nn.Conv2d(12, 6, 3, 2), nn.ReLU())
    network = Network(module.eval(), Preprocessing((64, 64)), (), "small")
    source = open_drawn(count=24, seed=1, size=64)
    found = dissect(network, source, ["1", "3"], convention="pnas", confidences=Confidences(20, 20))
    return compare_layers(network, ["1", "3"], source, shifts=20, few=8), found


def test_layers_are_counted_as_the_dissection_counts_them(rows):
    depth, found = rows
    assert [row.layer for row in depth.layers] == ["1", "3"]
    for row in depth.layers:
        layer = found[row.layer]
        assert (row.units, row.cells, row.images) == (len(layer), layer.map_size, 24)
        assert (row.detectors, row.unique) == (layer.detectors, layer.unique)
        assert row.chance_detectors == layer.confidence.chance_detectors
        sure = {unit.concept for unit in layer if unit.detector and unit.q_value < 0.05}
        for category, count in row.sure_unique["label"].items():
            assert count == len({one for one in sure if one.category == category})
    assert not expect_few(depth.layers[1], depth.few)


def test_few_units_by_lot_meet_so_many_concepts(rows):
    depth, found = rows
    layer = found["1"]
    named = [unit.concept if unit.detector else None for unit in layer]
    for category, expected in expect_few(depth.layers[0], depth.few).items():
        met = [
            len({named[unit] for unit in chosen if named[unit] and named[unit].category == category})
            for chosen in combinations(range(12), 8)
        ]
        assert expected == pytest.approx(np.mean(met))


@given(st.lists(st.integers(1, 4), max_size=3), st.integers(0, 3), st.data())
def test_expected_groups_are_those_of_all_draws(sizes, rest, data):
    units = sum(sizes) + rest
    drawn = data.draw(st.integers(0, units))
    owners = [group for group, size in enumerate(sizes) for _ in range(size)] + [-1] * rest
    met = [len({owners[unit] for unit in chosen} - {-1}) for chosen in combinations(range(units), drawn)]
    assert expect_unique(sizes, units, drawn) == pytest.approx(np.mean(met))


def put(row, layer, repeat, count):
    return replace(
        row,
        layer=layer,
        seed=repeat,
        unique={rule: {**row.unique[rule], "object": count} for rule in row.unique},
    )


def test_the_peak_is_every_layer_with_the_highest_mean(rows):
    row = rows[0].layers[0]
    counts = {("a", 0): 4, ("b", 0): 6, ("c", 0): 6, ("a", 1): 7, ("b", 1): 6, ("c", 1): 6}
    made = tuple(put(row, layer, repeat, count) for (layer, repeat), count in counts.items())
    peak = find_peak(made, "object")
    assert (peak.layers, peak.mean, peak.wins, peak.repeats) == (("b", "c"), 6, (1, 1), 2)
    assert peak.spell().startswith("most object concepts, 6.0 on average: b (first in 1 of 2")
    assert "4–7 / 4–7" in Depth(made).text()
    with pytest.raises(UsageError, match="no layer"):
        find_peak([], "object")


def test_rows_become_files(rows, tmp_path):
    depth, _ = rows
    depth.save(tmp_path)
    with (tmp_path / "layers.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [(line["layer"], line["rule"]) for line in read] == [
        (layer, rule) for layer in ("1", "3") for rule in ("label", "category")
    ]
    assert read[0]["sure_object"] == str(depth.layers[0].sure_unique["label"]["object"])
    assert read[1]["sure_object"] == read[2]["few_object"] == ""
    assert len({len(line) for line in depth.tables()["layers.csv"].rows}) == 1
    figure = depth.draw(tmp_path / "figure.svg").read_text()
    assert depth.draw(tmp_path / "again.svg").read_text() == figure
    for text in ("Unique concepts", "12 units", "labels shifted", "prefers-color-scheme"):
        assert text in figure
    with pytest.raises(RunError, match="cannot write"):
        depth.save(tmp_path / "layers.csv")


def test_a_generator_is_studied_over_several_seeds(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "study depth --layers layer1@in layer5 --concepts segmenter:zoo:segmenter,count=10 --shifts 5"
    assert main(f"{words} --seeds 2 --out d --json".split()) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(row["repeat"], row["layer"]) for row in said["layers"]] == [
        (repeat, layer) for repeat in (0, 1) for layer in ("layer1@in", "layer5")
    ]
    assert said["peaks"][0]["repeats"] == 2
    assert {path.name for path in (tmp_path / "d").iterdir()} == {"layers.csv", "figure.svg"}
    assert main(f"{words} --seeds 0".split()) == 2
    assert "--seeds is 0" in capsys.readouterr().err
    assert main([*words.split(), "--quick", "--few", "0"]) == 2
    assert "few is 0" in capsys.readouterr().err
