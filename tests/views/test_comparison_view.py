import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_dissection import made_dissection

from unitscope.errors import RunError, UsageError
from unitscope.views.comparison import compare_runs


def test_run_agrees_with_itself() -> None:
    made = made_dissection()
    pairs = compare_runs({"a": made, "b": made}).pairs
    assert [pair.layer for pair in pairs] == list(made)
    assert all(pair.agreement == 1.0 and not pair.changes for pair in pairs)


def test_changed_units_are_listed_largest_change_first() -> None:
    first, second = made_dissection(layers=("a",), seed=0), made_dissection(layers=("a",), seed=1)
    pair = compare_runs({"x": first, "y": second}).pairs[0]
    changed = [
        old.unit for old, new in zip(first["a"], second["a"], strict=True) if old.concept != new.concept
    ]
    assert sorted(change.unit for change in pair.changes) == changed
    assert pair.same == 64 - len(changed)
    sizes = [abs(change.iou_change) for change in pair.changes]
    assert sizes == sorted(sizes, reverse=True)
    difference = second["a"].labels.best_iou - first["a"].labels.best_iou
    assert pair.mean_iou_change == pytest.approx(difference.mean())


def test_layers_of_other_size_are_counted_but_not_paired() -> None:
    comparison = compare_runs({"x": made_dissection(16, ("a",)), "y": made_dissection(32, ("a",))})
    assert len(comparison.columns) == 2
    assert comparison.pairs == ()


def test_layers_of_one_run_stand_side_by_side() -> None:
    comparison = compare_runs({"x": made_dissection()})
    assert [column.counts.layer for column in comparison.columns] == [
        "_blocks.5",
        "_blocks.10",
        "_conv_head",
    ]
    assert "_blocks.10" in comparison.text()


def test_one_layer_in_all_is_nothing_to_compare() -> None:
    with pytest.raises(UsageError, match="one layer in all"):
        compare_runs({"x": made_dissection(8, ("a",))})


def test_text_and_json_tell_the_same() -> None:
    comparison = compare_runs({"x": made_dissection(), "y": made_dissection(seed=1)})
    told = json.loads(json.dumps(comparison.describe(), allow_nan=False))
    assert told["schema"] == 1
    pair = told["pairs"][0]
    assert f"{pair['same']} of {pair['units']} units keep their label" in comparison.text()
    assert told["layers"][0]["detectors"] == made_dissection()["_blocks.5"].detectors


def test_page_and_tables_are_safe(tmp_path: Path) -> None:
    comparison = compare_runs({"=x<b>": made_dissection(), "y": made_dissection(seed=1)})
    page = comparison.page(tmp_path / "out")
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(page.read_text(encoding="utf-8"))
    assert not {"script", "img", "b"} & set(tags)
    for name in ("layers.csv", "changes.csv"):
        with (tmp_path / "out" / name).open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not any(cell.startswith(("=", "@")) for cell in cells)
    assert "look.css" in page.read_text(encoding="utf-8")
    assert (tmp_path / "out" / "look.css").is_file()


def test_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*out"):
        compare_runs({"x": made_dissection()}).page(tmp_path / "file" / "out")


def test_rows_and_frames_have_a_row_a_layer(tmp_path: Path) -> None:
    comparison = compare_runs({"x": made_dissection(), "y": made_dissection(seed=1)})
    rows = comparison.rows()
    assert [(row["run"], row["layer"]) for row in rows[:2]] == [("x", "_blocks.5"), ("x", "_blocks.10")]
    assert rows[0]["unique_label"] == sum(made_dissection()["_blocks.5"].unique["label"].values())
    assert len(comparison.to_frame()) == len(rows) == 6
    assert str(comparison) == comparison.text()
    comparison.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["changes.csv", "layers.csv"]


def test_units_of_heads_are_called_by_head_and_unit() -> None:
    runs = {"x": made_dissection(layers=("a",), seed=0), "y": made_dissection(layers=("a",), seed=1)}
    plain = compare_runs(runs)
    heads = {name: replace(run, layers={"a": replace(run["a"], heads=4)}) for name, run in runs.items()}
    found = compare_runs(heads)
    change, before = found.pairs[0].changes[0], plain.pairs[0].changes[0]
    assert (change.name, before.name) == (f"{change.unit // 16}.{change.unit % 16}", str(change.unit))
    assert re.search(rf"^ *{change.name}  ", found.text(), re.MULTILINE)
    table = found.tables()["changes.csv"]
    assert table.columns == (*plain.tables()["changes.csv"].columns, "head_unit")
    assert found.describe()["pairs"][0]["changes"][0]["head_unit"] == change.name
    assert "head_unit" not in plain.describe()["pairs"][0]["changes"][0]
