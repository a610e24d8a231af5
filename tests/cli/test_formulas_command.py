"""`unitscope formulas` names the units of a run by formulas; `report` and `compare` show these too."""

import csv
import json
import re
import shutil
import sys

import pytest

from commands import assert_refused
from unitscope.cli import main

WORDS = "--layers layer5 --concepts drawn:count=24,size=64 --threads 1 --shifts 20 --no-report"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert main(["dissect", "zoo:scene-classifier", *WORDS.split(), "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_formulas_are_printed_and_written(run, tmp_path, capsys):
    out = tmp_path / "out"
    words = [
        "--units",
        "3,5-9",
        "--draws",
        "10",
        "--without",
        "color",
        "--without",
        "texture",
        "--out",
        str(out),
    ]
    assert main(["formulas", str(run), *words]) == 0
    printed = capsys.readouterr().out
    assert "layer5: 6 of 6 units have a formula of up to 3 concepts (all tried)" in printed
    assert "without concepts of color, texture" in printed
    assert f"page: {out / 'index.html'}" in printed
    rows = list(csv.DictReader((out / "formulas.csv").read_text().splitlines()))
    assert [int(row["unit"]) for row in rows] == [3, 5, 6, 7, 8, 9]
    page = (out / "index.html").read_text()
    assert page.count("<svg") == 6 * 4
    assert "data:image/jpeg" in page


def test_json_has_the_rows(run, capsys):
    assert (
        main(
            [
                "formulas",
                str(run),
                "--length",
                "4",
                "--search",
                "beam",
                "--units",
                "0-2",
                "--draws",
                "0",
                "--json",
            ]
        )
        == 0
    )
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["unit"] for row in rows] == [0, 1, 2]
    assert rows[0]["p_value"] is None


def test_a_terminal_has_colors_and_the_same_words(run, capsys, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    words = ["formulas", str(run), "--units", "0-30", "--draws", "0"]
    assert main(words) == 0
    plain = capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(words) == 0
    colored = capsys.readouterr().out
    assert "\x1b[38;2;" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain


def test_bad_words_are_one_line(run, capsys):
    for words, told in (
        ("--layer layer9", "no layer 'layer9'"),
        ("--units 3,x", "--units is '3,x'; give numbers and ranges, such as 3,5-9"),
        ("--units 9-5", "--units is '9-5'"),
        ("--units 5000", "unit 5000 is not in layer5"),
        ("--units 1-99999999999", "there are not so many units"),
        ("--without colour", "no category 'colour'"),
        ("--length 12", "length is 12"),
        ("--search best", "best"),
    ):
        assert_refused(main(["formulas", str(run), *words.split()]), capsys, told, wanted=2)
    assert_refused(main(["formulas", str(run / "none")]), capsys, "none", wanted=1)


def test_a_run_without_the_table_is_one_line(tmp_path, capsys):
    out = str(tmp_path / "bare")
    assert main(["dissect", "zoo:scene-classifier", *WORDS.split(), "--no-label-sets", "--out", out]) == 0
    capsys.readouterr()
    told = "layer layer5 has no table of label sets, which formulas are read from; dissect again"
    assert_refused(main(["formulas", out]), capsys, told, wanted=2)


def test_the_report_has_a_page_of_them(run, tmp_path, capsys):
    assert main(["report", str(run), "--out", str(tmp_path / "report"), "--formulas"]) == 0
    assert 'href="formulas/index.html"' in (tmp_path / "report" / "index.html").read_text()
    assert "Names by formulas" in (tmp_path / "report" / "formulas" / "index.html").read_text()


def test_runs_are_compared_by_them(run, tmp_path, capsys):
    words = WORDS.replace("size=64", "size=64,seed=5").split()
    other = str(tmp_path / "other")
    assert main(["dissect", "zoo:scene-classifier", *words, "--out", other]) == 0
    capsys.readouterr()
    assert main(["compare", str(run), other, "--formulas", "--out", str(tmp_path / "page")]) == 0
    printed = capsys.readouterr().out
    found = re.search(r"(\d+) of 160 units keep their name by a formula, (\d+) a word of it", printed)
    assert int(found[1]) <= int(found[2])
    rows = list(csv.DictReader((tmp_path / "page" / "formulas.csv").read_text().splitlines()))
    assert len(rows) == 160
    assert sum(row["name_before"] == row["name_after"] for row in rows) == int(found[1])
    assert "Names by formulas" in (tmp_path / "page" / "index.html").read_text()
    shutil.copytree(run, tmp_path / "same")
    assert main(["compare", str(run), str(tmp_path / "same"), "--formulas", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["formulas"]
    assert all(row["words_shared"] == row["words"] for row in told)
