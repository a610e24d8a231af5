"""`unitscope cells` prints and writes what single units tell of cells."""

import csv
import json

from commands import assert_refused
from unitscope.cli import main

LAYERS = "layer5 layer5+random-sae:48:8:0"
WORDS = f"cells zoo:scene-classifier --layers {LAYERS} --concepts drawn:count=24,size=64"


def test_measures_are_printed_and_written(tmp_path, capsys):
    assert main([*WORDS.split(), "--threads", "1", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "layer5+random-sae:48:8:0" in printed
    assert "cells without a label: cells of no class" in printed
    rows = list(csv.DictReader((tmp_path / "out" / "cell_summary.csv").read_text().splitlines()))
    assert [int(row["units"]) for row in rows] == [160, 48]
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
    short = WORDS.replace(" layer5+random-sae:48:8:0", "")
    assert main([*short.split(), *words.split(), "--threads", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][0]["concept"] == "no label"
    assert found["rules"]["validated on"] == "drawn:count=20,seed=5,size=64,limit=16"


def test_bad_words_are_one_line(capsys):
    assert_refused(main([*WORDS.split(), "--category", "thing"]), capsys, "no category 'thing'", wanted=2)
    assert_refused(main([*WORDS.split(), "--cells", "median"]), capsys, "median", wanted=2)


def test_a_dissection_tells_them_too(tmp_path, capsys):
    asked = "zoo:scene-classifier --layers layer5+random-sae:48:8:0 --concepts drawn:count=24,size=64"
    words = f"{asked} --threads 1 --shifts 0 --no-report --cell-scores foreground --out {tmp_path / 'run'}"
    assert main(["dissect", *words.split()]) == 0
    capsys.readouterr()
    assert main(["show", str(tmp_path / "run"), "--cells"]) == 0
    printed = capsys.readouterr().out
    assert "a cell's class: the commonest concept" in printed
    other = f"cells {asked} --threads 1 --cells foreground --reduction 2 --out {tmp_path / 'cells'}"
    assert main(other.split()) == 0
    tables = [(tmp_path / folder / "cells.csv").read_text() for folder in ("run", "cells")]
    assert tables[0] == tables[1]
    capsys.readouterr()
    assert main(["show", str(tmp_path / "run"), "--cells", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"][0]["units"] == 48
    assert_refused(
        main(["show", str(tmp_path / "run"), "--cells", "--unit", "3"]), capsys, "--cells shows all", wanted=2
    )
    plain = words.replace("layer5+random-sae:48:8:0", "layer5").replace("/run", "/plain")
    assert_refused(main(["dissect", *plain.split()]), capsys, "only the highest cells are kept", wanted=2)
