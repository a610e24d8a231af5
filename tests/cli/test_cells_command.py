"""`unitscope cells` prints and writes what single units tell of cells."""

import csv
import json

from commands import assert_refused
from unitscope.cli import main

LAYERS = "layer5 layer5+random-sae:320:8:0"
WORDS = f"cells zoo:scene-classifier --layers {LAYERS} --concepts drawn:count=40,size=64"


def test_measures_are_printed_and_written(tmp_path, capsys):
    assert main([*WORDS.split(), "--threads", "1", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "layer5+random-sae:320:8:0" in printed
    assert "cells without a label: cells of no class" in printed
    rows = list(csv.DictReader((tmp_path / "out" / "cell_summary.csv").read_text().splitlines()))
    assert [int(row["units"]) for row in rows] == [160, 320]
    assert float(rows[1]["l0"]) <= 8
    assert rows[0]["nmse"] == ""
    assert float(rows[1]["nmse"]) > 0
    classes = list(csv.DictReader((tmp_path / "out" / "cells.csv").read_text().splitlines()))
    assert len(classes) == 2 * int(rows[0]["classes"])
    assert all(0 <= float(row["ap"]) <= 1 for row in classes)


def test_two_sources_and_json(capsys):
    words = (
        "--validation drawn:count=20,size=64,seed=5 --cells foreground --unlabeled class --json --limit 16"
    )
    short = WORDS.replace(" layer5+random-sae:320:8:0", "")
    assert main([*short.split(), *words.split(), "--threads", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][0]["concept"] == "no label"
    assert found["rules"]["validated on"] == "drawn:count=20,seed=5,size=64,limit=16"


def test_bad_words_are_one_line(capsys):
    assert_refused(main([*WORDS.split(), "--category", "thing"]), capsys, "no category 'thing'", wanted=2)
    assert_refused(main([*WORDS.split(), "--cells", "median"]), capsys, "median", wanted=2)
