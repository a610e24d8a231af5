"""`unitscope study directions`, quick: it says so, leaves its results, and goes on from what is there."""

import csv
import re
from dataclasses import replace

import pytest

from unitscope.cli import main
from unitscope.experiments.fitting.asked import Training
from unitscope.lab.studies import direction_removal, directions, directions_finding, trained_groups
from unitscope.lab.studies.direction_bases import QUICK
from unitscope.lab.studies.directions import Measured
from unitscope.lab.studies.directions_finding import ZOO
from unitscope.lab.studies.held_out import HeldOut
from unitscope.lab.world import open_drawn


@pytest.fixture(scope="module", autouse=True)
def smaller():
    """Fewer steps and pictures than even --quick takes: what is left is tested, not what is found."""
    with pytest.MonkeyPatch.context() as patch:
        tiny = replace(QUICK, training=Training(2, 64), factors=(1, 1), cells=170)
        patch.setattr(directions_finding, "QUICK", tiny)
        patch.setattr(trained_groups.Setting, "source", lambda _: open_drawn(count=16, seed=2000, size=64))
        patch.setattr(directions_finding, "open_drawn", lambda count, *_, **__: open_drawn(12, 11, 64))
        patch.setattr(direction_removal, "LEAST", 1)
        yield


def run(kept, *words):
    return main(["study", "directions", "--quick", "--kept", str(kept), *words])


def test_a_quick_study_says_so_and_goes_on_from_what_it_left(tmp_path, capsys, monkeypatch):
    assert run(tmp_path) == 0
    printed = capsys.readouterr().out
    assert "*A quick look, not a result.*" in printed
    assert "| the paper found | measured here | verdict |" in printed
    assert "**replicates**" not in printed  # one seed
    for layer in ("zoo:scene-classifier layer5", "zoo:scene-transformer blocks.3"):
        assert f"## {layer}" in printed
    home = tmp_path / "directions"
    for table in ("bases.csv", "concepts.csv", "removals.csv"):
        rows = list(csv.reader((home / table).read_text().splitlines()))
        assert len(rows) > 10
        assert len({len(row) for row in rows}) == 1
    figure = (home / "figure.svg").read_text()
    assert figure.startswith("<?xml")
    assert not re.search(r"\bnan\b", figure)
    assert (home / "finding.md").read_text() in printed

    def never(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(directions, "measure_bases", never)
    monkeypatch.setattr("unitscope.lab.studies.study.Finding.draw", lambda _, path: path)  # it is there
    assert run(tmp_path) == 0
    assert capsys.readouterr().out == printed


def test_layers_of_your_own_are_studied_over_every_source(tmp_path, monkeypatch):
    asked = []

    def note(subjects, *_):
        asked.extend(subjects)
        return Measured(
            (HeldOut("s", 0, "neurons", "layer", 3, 0.005, "zero", "own", *[0.5] * 2, 1, 1, 0.5, 1, 0),)
        )

    monkeypatch.setattr(directions_finding, "measure_all", note)
    concepts = ["drawn:count=24,seed=5,size=64", "drawn:count=30,seed=6,size=64"]
    words = ["--network", "zoo:scene-classifier", "--layers", "layer3", "layer4", "--concepts", *concepts]
    assert run(tmp_path, *words, "--images", "drawn:count=200,seed=7,size=64") == 0
    assert [one.name for one in asked] == [
        f"zoo:scene-classifier {layer}, {text}" for text in concepts for layer in ("layer3", "layer4")
    ]
    assert [(len(one.source), len(one.images)) for one in asked] == [(24, 100)] * 2 + [(30, 100)] * 2
    asked.clear()
    monkeypatch.setattr(directions_finding, "PHOTOGRAPHS", ("zoo:segmenter", ("down1",)))
    assert run(tmp_path, "--photographs", concepts[0]) == 0
    names = [*(f"{network} {layer}" for network, layer in ZOO), f"zoo:segmenter down1, {concepts[0]}"]
    assert [one.name for one in asked] == names
    assert asked[-1].images is None


def test_options_that_go_together_are_named(tmp_path, capsys):
    for words, text in (
        (["--layers", "layer5"], "go with --network"),
        (["--network", "zoo:scene-classifier", "--layers", "layer5"], "which --layers of"),
        (["--images", "drawn:count=4"], "--images goes with --network or --photographs"),
        (["--seeds", "0"], "wanted 1 or more"),
    ):
        assert run(tmp_path, *words) == 2
        assert text in capsys.readouterr().err
