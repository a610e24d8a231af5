"""Mapillary Vistas as it is published, as a source of concepts."""

import json
from pathlib import Path

import pytest

from sets.counting import count_pixels
from sets.drawing import draw_halves, write_mask
from sets.mapillary import write_mapillary
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError

A, B = "training/images/a.jpg", "validation/images/b.jpg"
FLAT, BARRIER = "construction--flat--curb", "construction--barrier--curb"


def test_the_latest_version_is_read_and_each_split(tmp_path: Path) -> None:
    write_mapillary(tmp_path)
    first, second = {A: {"Bird": 48, BARRIER: 48}}, {B: {"Sky": 47, FLAT: 48, "void": 1}}
    assert count_pixels(open_concepts(f"mapillary:{tmp_path}")) == first | second
    assert count_pixels(open_concepts(f"mapillary:{tmp_path},split=training")) == first
    assert count_pixels(open_concepts(f"mapillary:{tmp_path},split=validation,version=v2.0")) == second


def test_an_older_version_has_other_classes(tmp_path: Path) -> None:
    source = open_concepts(f"mapillary:{write_mapillary(tmp_path)},version=v1.2")
    assert count_pixels(source) == {A: {"Bird": 48, "void": 48}, B: {"Sky": 96}}
    assert source.notes == ("classes named by config_v1.2.json", "void: 2 (Ego Vehicle), 3 (Unlabeled)")


def test_labels_from_before_there_were_versions_are_read(tmp_path: Path) -> None:
    write_mapillary(tmp_path)
    for split in ("training", "validation"):
        (tmp_path / split / "v1.2" / "labels").rename(tmp_path / split / "labels")
    (tmp_path / "config_v1.2.json").rename(tmp_path / "config.json")
    (tmp_path / "config_v2.0.json").unlink()
    source = open_concepts(f"mapillary:{tmp_path}")
    assert count_pixels(source) == {A: {"Bird": 48, "void": 48}, B: {"Sky": 96}}


def test_names_for_people_are_used_where_they_tell_classes_apart(tmp_path: Path) -> None:
    source = open_concepts(f"mapillary:{write_mapillary(tmp_path)}")
    assert [(one.name, one.category) for one in source.vocabulary] == [
        ("Bird", "object"),
        (BARRIER, "object"),
        ("Sky", "object"),
        (FLAT, "object"),
    ]


def test_what_is_not_read_is_counted(tmp_path: Path) -> None:
    report = check_source(f"mapillary:{write_mapillary(tmp_path)}")
    assert {one.reason: one.files for one in report.left_out} == {
        "without a label": 1,
        "neither a picture nor a mask": 1,
        "labels in a form that is not read": 10,
    }
    assert report.problems == ()
    assert report.notes == ("classes named by config_v2.0.json", "void: 4 (Unlabeled)")


def test_wrong_use_is_told(tmp_path: Path) -> None:
    write_mapillary(tmp_path)
    with pytest.raises(UsageError, match="no split 'val'; its splits are testing, training, validation"):
        open_concepts(f"mapillary:{tmp_path},split=val")
    with pytest.raises(UsageError, match=r"no config_v1.0.json; its versions are v2.0, v1.2"):
        open_concepts(f"mapillary:{tmp_path},version=v1.0")
    with pytest.raises(SourceError, match=r"no picture has a mask in testing/v2\.0/labels/"):
        open_concepts(f"mapillary:{tmp_path},split=testing")
    with pytest.raises(UsageError, match="open it as mapillary:"):
        open_concepts(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "config_v2.0.json, line 1: not JSON"),
        ("[]", "wanted an object with a list of 'labels'"),
        (json.dumps({"labels": []}), "wanted an object with a list of 'labels'"),
        (json.dumps({"labels": [{"readable": "Bird"}]}), "label 0 has no 'name'"),
        ("[" * 200_000, "cannot be read"),
    ],
)
def test_a_wrong_list_of_classes_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (write_mapillary(tmp_path) / "config_v2.0.json").write_text(text)
    with pytest.raises(SourceError, match=message) as caught:
        open_concepts(f"mapillary:{tmp_path}")
    assert "\n" not in str(caught.value)


def test_a_number_without_a_class_is_told(tmp_path: Path) -> None:
    write_mask(write_mapillary(tmp_path) / "training" / "v2.0" / "labels" / "a.png", draw_halves(0, 5))
    with pytest.raises(
        SourceError, match=r"a.png: the mask holds id 5, which config_v2.0.json does not name"
    ):
        open_concepts(f"mapillary:{tmp_path}")[0]
