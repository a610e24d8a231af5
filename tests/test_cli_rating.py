"""The commands around raters: what they print, write and refuse."""

import json

import pytest

import unitscope as us
from unitscope.cli import main
from unitscope.dissection.dissect import Confidences
from unitscope.studies.questionnaire import draw_questions
from unitscope.studies.ratings import open_ledger


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """A run with ratings by two who agree in all but one."""
    folder = tmp_path_factory.mktemp("rated") / "run"
    source = us.open_source("drawn:count=40,seed=2000,size=64")
    network = us.load_network("zoo:scene-classifier")
    run = us.dissect(network, source, ["layer5"], confidences=Confidences(shifts=0), out=folder)
    asked = draw_questions(run, units=6, repeats=1, decoys=1, images=3)
    ledger = open_ledger(asked, folder / "ratings")
    for rater in ("Ada", "Grace"):
        for one in asked.questions:
            ledger.write(rater, one.number, one.kind != "decoy" and (rater == "Ada" or one.number != 2))
    return folder


def test_ratings_are_told_and_written(rated, capsys):
    assert main(["ratings", str(rated)]) == 0
    printed = capsys.readouterr().out
    assert "6 units, 1 asked twice, 1 decoys; 2 raters" in printed
    assert "raters agree in 83" in printed
    for name in ("layers.csv", "raters.csv", "agreement.csv", "ratings.csv"):
        assert (rated / "ratings" / name).is_file()
    assert main(["ratings", str(rated), "--json", "--without", "Grace"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["rater"] for row in found["raters"]] == ["Ada"]
    assert found["agreement"]["value"] is None


def test_what_is_wrong_is_told_in_a_line(rated, tmp_path, capsys):
    for words, status, said in (
        (["ratings", str(tmp_path)], 1, "holds no ratings"),
        (["ratings", str(rated), "--without", "Bea"], 2, "nobody named 'Bea'"),
        (["ratings", str(rated), "--draws", "0"], 2, "wanted 1 or more"),
        (["rate", str(rated), "--port", "99999"], 2, "wanted 0 to 65535"),
        (["rate", str(rated), "--port", "0", "--units", "-1"], 2, "wanted 1 or more"),
        (["rate", str(rated), "--port", "0", "--layers", "nowhere"], 2, "no layer 'nowhere'"),
        (
            ["rate", str(rated), "--port", "0", "--units", "4", "--repeats", "1", "--decoys", "1"],
            1,
            "other questions",
        ),
        (["study", "raters", "--seeds", "0"], 2, "wanted 1 or more"),
    ):
        assert main(words) == status
        complaint = capsys.readouterr().err
        assert said in complaint
        assert complaint.count("\n") == 1 or "pictures" in complaint


def test_scripted_raters_are_a_study(tmp_path, capsys):
    words = ["study", "raters", "--quick", "--layers", "layer5", "--out", str(tmp_path)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("A quick look, not a result.")
    assert "| rater | yes |" in printed
    assert (tmp_path / "figure.svg").read_text().startswith("<?xml")
    assert (tmp_path / "raters.csv").is_file()
