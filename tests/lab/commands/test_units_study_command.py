"""`unitscope study shape` and `study detectors`, quick: what they leave, and that they go on."""

import csv
import json
import re
from dataclasses import replace
from functools import partial

import pytest

from unitscope.cli import main
from unitscope.lab.studies import detectors_finding, restyled_photographs, shape_finding
from unitscope.lab.world import open_drawn


def want_few(home):
    return replace(home, limits=replace(home.limits, least=5))


def draw_part(part, count, **more):
    return open_drawn(count=count // part, **more)


@pytest.fixture(autouse=True)
def smaller(monkeypatch):
    monkeypatch.setattr(restyled_photographs, "STEPS", 1)
    monkeypatch.setattr(shape_finding, "ZOO", ("zoo:scene-classifier", ("layer4", "layer5")))
    monkeypatch.setattr(shape_finding, "PHOTOGRAPHS", ("efficientnet-lite0", ("_blocks.2",)))
    monkeypatch.setattr(detectors_finding, "PHOTOGRAPHS", ("zoo:scene-classifier", "layer4", "head"))
    for module, part in ((shape_finding, 7), (detectors_finding, 8)):
        monkeypatch.setattr(module, "open_drawn", partial(draw_part, part))


def check_results(home, name, printed):
    assert "*A quick look, not a result.*" in printed
    assert "| the paper found | measured here | verdict |" in printed
    rows = list(csv.DictReader((home / f"{name}.csv").read_text().splitlines()))
    assert rows
    figure = (home / "figure.svg").read_text()
    assert figure.startswith("<?xml")
    assert not re.search(r"\bnan\b", figure)
    assert (home / "finding.md").read_text() in printed
    assert "**replicates**" not in printed  # one seed
    return rows


def test_a_quick_study_of_shape_leaves_its_results_and_goes_on(tmp_path, capsys, monkeypatch):
    words = ["study", "shape", "--quick", "--kept", str(tmp_path), "--photographs", "drawn:count=9,size=64"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    rows = check_results(tmp_path / "shape", "shape", printed)
    assert {row["subject"] for row in rows} == {
        "zoo:scene-classifier, drawn scenes",
        "efficientnet-lite0, drawn",
    }
    assert {row["kind"] for row in rows} == {"trained", "rotated", "untrained"}
    assert "statistics did move" in printed
    monkeypatch.setattr(shape_finding, "measure_units", lambda *_: 1 / 0)  # all was measured
    monkeypatch.setattr("unitscope.lab.studies.study.Finding.draw", lambda _, path: path)  # it is there
    assert main(words) == 0
    assert capsys.readouterr().out == printed


def test_a_quick_study_of_detectors_leaves_its_results_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(detectors_finding, "GENERATED", 20)
    homes = detectors_finding._list_homes
    monkeypatch.setattr(detectors_finding, "_list_homes", lambda *given: map(want_few, homes(*given)))
    words = ["study", "detectors", "--quick", "--kept", str(tmp_path)]
    words += ["--photographs", "drawn:count=30,seed=9,size=64"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    rows = check_results(tmp_path / "detectors", "detectors", printed)
    places = {(row["subject"], row["place"]) for row in rows}
    assert {("zoo:scene-classifier", "inside"), ("zoo:scene-classifier", "restyled")} <= places
    assert all(0 <= float(row["named"]) <= 1 for row in rows)
    monkeypatch.setattr(detectors_finding, "measure_home", lambda *_: 1 / 0)  # all was measured
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["study"] == "detectors"
    assert found["quick"] is True


def test_numbers_out_of_range_are_one_line(capsys):
    for words, text in (
        (["shape", "--count", "1"], "--count is 1; wanted 2 photographs or more"),
        (["shape", "--styles", "drawn"], "--styles goes with --photographs"),
        (["shape", "--seeds", "0"], "--seeds is 0; wanted 1 or more"),
        (["detectors", "--images", "10"], "--images is 10; wanted 100 or more"),
        (["detectors", "--seeds", "0"], "--seeds is 0; wanted 1 or more"),
    ):
        assert main(["study", *words]) == 2
        assert text in capsys.readouterr().err
