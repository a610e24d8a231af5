"""A run, a layer and a unit as rows: the same values in records, frames, words and units.csv."""

import csv
import math

import numpy as np
import pytest
from made_dissection import HOSTILE, MadeSource, made_dissection

from unitscope.dissection.storage import load
from unitscope.dissection.units import COLUMNS
from unitscope.errors import UsageError
from unitscope.views.terminal import show_dissection


@pytest.fixture(scope="module")
def run():
    return made_dissection(12, ("a", "b"))


def test_rows_are_those_of_units_csv(run, tmp_path):
    run.save(tmp_path / "run")
    with (tmp_path / "run" / "units.csv").open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    rows = run.rows()
    assert len(rows) == len(written) == 24
    assert rows[12:] == run["b"].rows()
    assert rows[3] == run["a"][3].rows()[0]
    for row, line in zip(rows, written, strict=True):
        assert tuple(row) == tuple(line) == COLUMNS
        assert (row["layer"], str(row["unit"])) == (line["layer"], line["unit"])
        assert (row["concept"] or "") in (line["concept"], line["concept"][1:])
        assert row["detector"] is bool(int(line["detector"]))
        assert row["iou"] == pytest.approx(float(line["iou"]), rel=1e-8)
    assert HOSTILE[1] in {row["concept"] for row in rows}


def test_a_frame_has_a_row_a_unit(run):
    frame = run.to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == 24
    assert set(frame[frame.detector].layer) == {"a", "b"}
    assert frame.detector.sum() == run["a"].detectors + run["b"].detectors
    np.testing.assert_array_equal(run["a"].to_frame().threshold, run["a"].thresholds.astype(float))
    assert run["a"][2].to_frame().iloc[0].iou == run["a"][2].iou


def test_a_unit_without_confidence_has_no_number_for_it():
    unit = made_dissection(8, ("a",), confident=False)["a"][1]
    assert math.isnan(unit.q_value)
    assert unit.rows()[0]["q_value"] is None


def test_printing_shows_what_the_command_shows(run):
    assert str(run) == show_dissection(run)
    assert run.text(unit=3, layer="b") == show_dissection(run, unit=3, layer="b")
    assert str(run["a"]).startswith("layer  units  detectors")
    assert run["a"].text(unit=3) in run.text(unit=3)
    assert "unit" in str(run["a"][3])
    assert repr(run).startswith("<Dissection of efficientnet-lite0 over 40 images: a (12 units)")


def test_a_run_saves_itself_a_layer_its_table(run, tmp_path):
    assert run.save(tmp_path / "run") == tmp_path / "run"
    assert list(load(tmp_path / "run")) == ["a", "b"]
    run["b"].save(tmp_path / "b")
    lines = (tmp_path / "run" / "units.csv").read_text(encoding="utf-8").split("\n")
    assert (tmp_path / "b" / "units.csv").read_text(encoding="utf-8").split("\n") == [lines[0], *lines[13:]]


def test_a_run_writes_its_report(run, tmp_path):
    with pytest.warns(UserWarning, match="differs from what the run recorded"):
        page = run.page(tmp_path / "report", source=MadeSource())
    assert page == tmp_path / "report" / "index.html"
    assert (tmp_path / "report" / "pictures" / "0.jpg").is_file()
    with pytest.raises(UsageError, match="a LayerDissection has no page"):
        run["a"].page(tmp_path / "layer")
