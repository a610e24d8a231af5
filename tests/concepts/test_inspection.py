"""What is in a source, and what is wrong with it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from unitscope.concepts.derived import limit
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.inspection import check_source
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.errors import RunError, UsageError
from unitscope.views.contact_sheet import preview_source
from unitscope.views.palette import category_color


class Faulty:
    """A source whose examples contradict its vocabulary and themselves."""

    vocabulary = Vocabulary((Concept(1, "cat", "object"), Concept(2, "\x1b[2Jdog", "object")))

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int, /) -> Example:
        planes = np.array([[[1, 9], [0, 0]]], np.uint16)
        return Example("same", np.zeros((4, 4, 3), np.uint8), planes, (70_000,) if index == 2 else (12,))


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    root = tmp_path / "animals"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    (root / "classes.json").write_text('["void", "cat", "dog", "cow"]')
    for name in "abc":
        Image.fromarray(np.full((8, 8, 3), 99, np.uint8)).save(root / "images" / f"{name}.png")
    for name, corner in {"a": 1, "b": 2}.items():
        mask = np.full((8, 8), corner, np.uint8)
        mask[:4] = 0 if name == "a" else 1
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    return root


def test_counts_are_images_and_coverage_in_whole_images(animals: Path) -> None:
    report = check_source(f"folder:{animals},bare=in")
    found = {count.concept.name: (count.images, count.coverage) for count in report.concepts}
    assert found == {"cat": (2, 1.0), "dog": (1, 0.5), "cow": (0, 0.0)}
    assert (report.images, report.readable, report.labelled) == (3, 3, 2)
    assert report.void == pytest.approx(0.5 / 3)
    assert [concept.name for concept in report.empty] == ["cow"]
    assert report.problems == ()
    assert "nothing is wrong" in report.text()
    assert "never occur: cow" in report.text()


def test_the_check_goes_on_after_a_problem(animals: Path) -> None:
    source = open_folder(animals)
    (animals / "images" / "a.png").unlink()
    Image.new("L", (3, 3)).save(animals / "masks" / "b.png")
    Image.new("L", (8, 8), 7).save(animals / "masks" / "c.png")
    Image.new("L", (8, 8)).save(animals / "masks" / "z.png")
    report = check_source(open_folder(animals))
    assert [problem.place for problem in report.problems] == ["b.png", "c.png", "masks/a.png", "masks/z.png"]
    assert "3x3" in report.problems[0].message
    assert "holds id 7" in report.problems[1].message
    assert "the file is missing" in check_source(source).problems[0].message


def test_examples_that_contradict_the_vocabulary_are_told() -> None:
    report = check_source(Faulty())
    assert [problem.message for problem in report.problems] == [
        "the label 9 is not in the vocabulary",
        "another image has the same key",
        "the label 9 is not in the vocabulary",
        "same: its ids hold 70000; wanted whole numbers from 1 to 65534, ids of concepts",
    ]
    assert report.problems[-1].place == "image 2"
    assert "\x1b" not in report.text()


def test_the_report_is_complete_as_json(animals: Path) -> None:
    data = json.loads(json.dumps(check_source(f"folder:{animals}").json()))
    assert data["concepts"][0] == {
        "id": 1,
        "name": "cat",
        "category": "object",
        "images": 2,
        "coverage": 1.0,
    }
    assert data["empty"] == ["cow"]
    assert data["problems"] == []


def test_what_a_source_says_in_words_is_told(animals: Path) -> None:
    source = replace(open_folder(animals), notes=("void: the value 0",))
    report = check_source(limit(source, 2))
    assert report.notes == ("void: the value 0",)
    assert report.json()["notes"] == ["void: the value 0"]
    assert "void: the value 0" in report.text().splitlines()


class Veiled:
    """Images whose labels lie under void, wholly or but for a corner."""

    vocabulary = Vocabulary((Concept(1, "cat", "object"), Concept(2, "day", "scene")))

    def __init__(self, count: int, seen: bool) -> None:
        self.count, self.seen = count, seen

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> Example:
        void = np.ones((4, 4), bool)
        void[0, 0] = not self.seen
        return Example(f"{index}", np.zeros((4, 4, 3), np.uint8), np.ones((1, 4, 4), np.uint16), (2,), void)


def test_labels_under_void_are_not_counted() -> None:
    seen = check_source(Veiled(2, True))
    assert [(one.images, one.coverage) for one in seen.concepts] == [(2, 2 / 16), (2, 2.0)]
    assert seen.problems == ()
    hidden = check_source(Veiled(2, False))
    assert (hidden.labelled, [one.images for one in hidden.concepts]) == (0, [0, 0])
    [problem] = hidden.problems
    assert problem.message == "not one pixel or image has a label: all are void or unlabelled"


def test_a_source_without_images_is_no_source() -> None:
    [problem] = check_source(Veiled(0, True)).problems
    assert problem.message == "there is not one image in it"


def test_pictures_alone_are_no_source_of_labels(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    [problem] = check_source(f"folder:{tmp_path}").problems
    assert problem.message.startswith("no concepts: pictures alone, which a segmenter can label")


def test_the_report_is_a_result(animals: Path, tmp_path: Path) -> None:
    report = check_source(f"folder:{animals}")
    assert report.rows()[1] == {"id": 2, "name": "dog", "category": "object", "images": 1, "coverage": 0.5}
    assert str(report) == report.text()
    report.save(tmp_path / "report")
    assert (tmp_path / "report" / "concepts.csv").read_text().splitlines()[1] == "1,cat,object,2,1"
    assert (tmp_path / "report" / "problems.csv").read_text() == "place,message\n"


def test_a_contact_sheet_is_the_same_every_time(animals: Path, tmp_path: Path) -> None:
    source = open_folder(animals)
    first = preview_source(source, tmp_path / "a" / "sheet.png", count=3)
    second = preview_source(source, tmp_path / "b.png", count=3)
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as sheet:
        colors = {color for _, color in sheet.getcolors(100_000) or []}
    blue = np.array(ImageColor.getrgb(category_color("object")))
    assert any(np.abs(np.array(color) - (0.65 * blue + 0.35 * 174)).max() <= 1 for color in colors)


def test_a_contact_sheet_shows_any_labels(tmp_path: Path) -> None:
    (tmp_path / "street").mkdir()
    Image.new("RGB", (9, 5)).save(tmp_path / "street" / "a.png")
    assert preview_source(open_folder(tmp_path), tmp_path / "sheet.out", count=50).is_file()


def test_a_contact_sheet_of_nothing_is_wrong_usage(animals: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="shows nothing"):
        preview_source(open_folder(animals), tmp_path / "x.png", count=0)
    with pytest.raises(RunError, match="cannot write"):
        preview_source(open_folder(animals), animals / "classes.json" / "x.png")
