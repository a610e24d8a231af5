"""`unitscope study formulas`: what it leaves, that it goes on where it was stopped, and its claims."""

import csv
from dataclasses import replace
from functools import partial

import pytest

from unitscope.cli import main
from unitscope.lab.studies import formula_study
from unitscope.lab.studies.formula_study import CENTRAL, OWN, SHUFFLED, VARIANTS, FormulaFit, judge_formulas
from unitscope.lab.world import open_drawn


@pytest.fixture(autouse=True)
def smaller(monkeypatch):
    monkeypatch.setattr(formula_study, "open_drawn", lambda count, **more: open_drawn(count=20, **more))
    monkeypatch.setattr(formula_study, "PHOTOGRAPHS", ("zoo:scene-classifier", ("layer2",)))
    monkeypatch.setattr(
        formula_study, "find_formulas", partial(formula_study.find_formulas, units=range(0, 64, 4))
    )


def test_a_quick_study_says_so_leaves_its_results_and_goes_on(tmp_path, capsys, monkeypatch):
    words = [
        "study",
        "formulas",
        "--quick",
        "--kept",
        str(tmp_path),
        "--photographs",
        "drawn:count=18,size=64",
    ]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "*A quick look, not a result.*" in printed
    assert "| the paper found | measured here | verdict |" in printed
    home = tmp_path / "formulas"
    rows = list(csv.DictReader((home / "formulas.csv").read_text().splitlines()))
    assert {row["subject"] for row in rows} == {"layer5, drawn scenes", "layer2, drawn:count=18,size=64"}
    assert len(rows) == 2 * (len(VARIANTS) + 1)
    for row in rows:
        assert float(row["single"]) <= float(row["iou"]) <= float(row["possible"])
        assert (row["sure"] == "") == (row["length"] != CENTRAL.name)
    assert (home / "figure.svg").read_text().startswith("<?xml")
    assert (home / "finding.md").read_text() in printed
    monkeypatch.setattr(formula_study, "dissect", None)  # all was measured
    monkeypatch.setattr("unitscope.lab.studies.study.Finding.draw", lambda _, path: path)  # it is there
    assert main(words) == 0
    assert capsys.readouterr().out == printed


def test_numbers_out_of_range_are_one_line(capsys):
    for option in ("--scenes", "--seeds"):
        assert main(["study", "formulas", option, "0"]) == 2
        assert f"{option} is 0; wanted 1 or more" in capsys.readouterr().err


def made(seed, labels, variant, **figures):
    plain = FormulaFit(
        "a layer", labels, seed, variant.name, 10, 0.1, 0.2, 0.2, 0.08, 0.09, 0.09, 0.5, 0.02, 0.9, 0.0, 0.1
    )
    return replace(plain, **figures)


def test_claims_are_judged_by_their_figures():
    rows = [made(seed, OWN, variant) for seed in range(3) for variant in VARIANTS]
    rows += [made(seed, SHUFFLED, CENTRAL, sure=0.01) for seed in range(3)]
    verdicts = [claim.verdict for claim in judge_formulas(rows, 3).claims]
    missed = "does not replicate at this scale"
    assert verdicts == ["replicates", "replicates", missed, "replicates", "replicates"]
    worse = [replace(one, held_out_name=0.078, held_out=0.07, sure=0.06) for one in rows]
    verdicts = [claim.verdict for claim in judge_formulas(worse, 3).claims]
    assert verdicts == ["replicates", missed, missed, missed, missed]
