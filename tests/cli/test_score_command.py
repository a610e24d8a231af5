"""`unitscope score` prints and writes how good names are."""

import csv
import json

import pytest

from commands import assert_refused
from unitscope.cli import main
from unitscope.statistics.pair_scores import SCORES

WORDS = (
    "--network zoo:scene-classifier --concepts drawn:count=24,size=64 --threads 1 --draws 9 --replicates 9"
)


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("layer,unit,concept\nlayer5,3,tree\nlayer5,8,sky\nlayer4,1,sky OR tree\n")
    return path


def test_scores_are_printed_and_written(labels, tmp_path, capsys):
    assert main(["score", str(labels), *WORDS.split(), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "sky OR tree" in printed
    assert "inputs: pixels" in printed
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").read_text().splitlines()))
    assert len(rows) == 3 * len(SCORES)
    assert {row["score"] for row in rows} == set(SCORES)
    names = list(csv.DictReader((tmp_path / "out" / "names.csv").read_text().splitlines()))
    assert [(row["layer"], row["unit"]) for row in names] == [
        ("layer5", "3"),
        ("layer5", "8"),
        ("layer4", "1"),
    ]


def test_one_layer_and_json(labels, capsys):
    words = f"--layer layer5 --at images --pool max --limit 20 --json {WORDS}"
    assert main(["score", str(labels), *words.split()]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["unit"] for row in found["rows"]} == {3, 8}
    assert found["about"]["inputs"] == "images, the max of the map"
    assert "names of other layers, left out: 1" in found["notes"]
    assert {row["inputs"] for row in found["rows"]} == {20}


def test_bad_words_are_one_line(labels, tmp_path, capsys):
    said = ["score", str(labels), *WORDS.split()]
    assert_refused(main([*said, "--layer", "layer9"]), capsys, "no name is of layer layer9", wanted=2)
    assert_refused(main([*said, "--at", "image"]), capsys, "image", wanted=2)
    assert_refused(main([*said, "--memory", "0.0001"]), capsys, "--memory", wanted=2)
    assert_refused(main(["score", str(tmp_path / "no.csv"), *WORDS.split()]), capsys, "cannot read", wanted=1)
    for text, told in (
        (
            "layer,unit,concept\nlayer5,3,treee\n",
            "labels.csv line 2: there is no concept 'treee'; near names: tree",
        ),
        (
            "layer,unit,formula\nlayer5,3,tree OR sky OR road\n",
            "line 2: formula 'tree OR sky OR road': which of",
        ),
        ("layer,unit,concept\nlayer5,160,tree\n", "layer layer5 has no unit 160; it has 0 to 159"),
        ("layer,unit,concept\nlayer9,1,tree\n", "layer9"),
        ("", "has no rows"),
    ):
        labels.write_text(text)
        assert_refused(main(said), capsys, told, wanted=2)
