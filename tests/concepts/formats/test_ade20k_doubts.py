"""ADE20K as people have it: lines that do not fit, missing masks and lists, folders below the root."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sets.ade20k import (
    CAR,
    HOUSE,
    SIZE,
    WALL,
    add_picture,
    write_ade20k_2016,
    write_ade20k_2021,
    write_mask,
    write_scene_parsing,
)
from unitscope.concepts.formats.ade20k.class_codes import list_instances
from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.inspection import Report, check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError

STREET = "images/ADE/training/urban/street/ADE_train_00016869"
FIRST = "images/training/h/house/outdoor/ADE_train_00000001"
TOP, MIDDLE, ALL = slice(0, 2), slice(2, 5), slice(None)
NAMED_CAR = "car, auto, automobile"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("UNITSCOPE_CACHE", str(tmp_path / "cache"))
    return


def count(spec: str) -> dict[str, int]:
    """How many pixels every object and part has."""
    source = open_concepts(spec)
    examples = [source[index] for index in range(len(source))]
    ids = np.concatenate([example.planes.ravel() for example in examples])
    return {source.vocabulary[int(one)].name: int((ids == one).sum()) for one in np.unique(ids) if one}


def told(report: Report) -> dict[str, str]:
    return {problem.place: problem.message for problem in report.problems}


def in_another(root: Path) -> None:
    """A second picture that shows a house and a car."""
    add_picture(root, 7, ["house", NAMED_CAR], (TOP, ALL, HOUSE, 5), (MIDDLE, ALL, CAR, 9))


def shift(text: str) -> str:
    """A tree that nobody sees comes first."""
    text = text.replace("002 # 0", "003 # 0").replace("001 # 0", "002 # 0")
    return f'001 # 0 # 2 # tree # tree # ""\n{text}'


LINES = {
    "a line without an instance": shift,
    "an instance without a line": lambda text: text.replace(
        '001 # 0 # 0 # car, auto, automobile # car # ""\n', ""
    ),
    "no line": lambda text: "".join(line for line in text.splitlines(True) if line[3:9] != " # 0 #"),
    "a number left out": lambda text: text.replace("002 # 0", "003 # 0"),
}


@pytest.mark.parametrize("case", LINES)
def test_names_are_those_of_the_codes_where_lines_do_not_fit(tmp_path: Path, case: str) -> None:
    root = write_ade20k_2016(tmp_path / "set")
    in_another(root)
    wanted = count(f"ade20k:{root}")
    assert wanted == {"house": 60, "car": 40, "wall": 80, "door": 4, "knob": 1}
    path = root / f"{FIRST}_atr.txt"
    path.write_text(LINES[case](path.read_text()))
    assert count(f"ade20k:{root}") == wanted
    report = check_source(f"ade20k:{root}")
    assert report.problems == ()
    listed = f"named by their codes in other pictures: {FIRST}_seg.png"
    assert report.notes[1] == f"1 mask whose instances do not fit their lines, {listed}"
    voids = open_concepts(f"ade20k:{root},unlabelled=void")[0].void
    assert voids is not None
    assert int(voids.sum()) == 30
    assert len(check_source(f"ade20k:{root},split=validation").notes) == 1


@pytest.mark.parametrize("case", LINES)
def test_a_code_that_no_other_picture_names_is_told(tmp_path: Path, case: str) -> None:
    root = write_ade20k_2016(tmp_path / "set")
    path = root / f"{FIRST}_atr.txt"
    path.write_text(LINES[case](path.read_text()))
    [(place, message)] = told(check_source(f"ade20k:{root}")).items()
    assert place == f"{FIRST}.jpg"
    assert message.startswith(f"{root / FIRST}_seg.png: its instances (2) do not fit ")
    assert "no other picture tells what its code 401 is; restore the two files" in message
    assert "\n" not in message


def test_a_code_of_two_classes_names_nothing(tmp_path: Path) -> None:
    root = write_ade20k_2016(tmp_path / "set")
    in_another(root)
    add_picture(root, 8, ["tree"], (TOP, ALL, CAR, 1))
    path = root / f"{FIRST}_atr.txt"
    path.write_text(shift(path.read_text()))
    found = told(check_source(f"ade20k:{root}"))
    assert f"other pictures call its code 401 '{NAMED_CAR}' and 'tree'" in found[f"{FIRST}.jpg"]
    # Of the two that contradict each other either may be right.
    doubts = [message for place, message in found.items() if place != f"{FIRST}.jpg"]
    assert sorted(message.partition(": ")[2] for message in doubts) == [
        f"code 401 is '{NAMED_CAR}' by its _atr.txt and 'tree' in other pictures; restore the two files",
        f"code 401 is 'tree' by its _atr.txt and '{NAMED_CAR}' in other pictures; restore the two files",
    ]


def test_lines_that_fit_by_chance_are_told_by_the_other_pictures(tmp_path: Path) -> None:
    root = write_ade20k_2016(tmp_path / "set")
    in_another(root)
    add_picture(root, 8, ["tree"], (TOP, ALL, CAR, 1))
    add_picture(root, 9, ["house"], (TOP, ALL, 99, 1))
    advice = "in other pictures; restore the two files"
    found = {place[-12:]: message for place, message in told(check_source(f"ade20k:{root}")).items()}
    assert {place: message.partition(": ")[2] for place, message in found.items()} == {
        "00000008.jpg": f"code 401 is 'tree' by its _atr.txt and '{NAMED_CAR}' {advice}",
        "00000009.jpg": f"'house' has code 99 by its _atr.txt and 1530 {advice}",
    }


def test_a_class_of_objects_alone_is_no_part(tmp_path: Path) -> None:
    root = write_ade20k_2016(tmp_path / "set")
    colors = np.zeros((*SIZE, 3))
    colors[0] = WALL // 256 * 10, WALL % 256, 9
    write_mask(root / f"{FIRST}_parts_1.png", colors)
    path = root / f"{FIRST}_atr.txt"
    path.write_text(path.read_text().replace("001 # 1", "002 # 1"))
    with pytest.raises(
        SourceError, match=r"_parts_1.png: its instances \(1\) .* and no line of this level names 'wall'"
    ):
        open_concepts(f"ade20k:{root}")[0]


def test_what_was_learned_is_learned_again_when_a_mask_changes(tmp_path: Path) -> None:
    root = write_ade20k_2016(tmp_path / "set")
    in_another(root)
    path = root / f"{FIRST}_atr.txt"
    path.write_text(shift(path.read_text()))
    assert count(f"ade20k:{root}")["car"] == 40
    add_picture(root, 7, ["house", "bus"], (TOP, ALL, HOUSE, 5), (MIDDLE, ALL, CAR, 9))
    assert (count(f"ade20k:{root}")["bus"], "car" in count(f"ade20k:{root}")) == (40, False)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=40))
def test_instances_are_all_pairs_that_occur(pixels: list[tuple[int, int]]) -> None:
    codes, blues = (np.array([one]) for one in zip(*pixels, strict=True))
    assert list_instances(codes.astype(np.uint16), blues.astype(np.uint8)) == sorted({*pixels} - {(0, 0)})


@pytest.mark.parametrize(
    ("write", "first", "text"),
    [(write_ade20k_2021, STREET, ".json"), (write_ade20k_2016, FIRST, "_atr.txt")],
)
def test_masks_of_parts_that_are_missing_are_told(tmp_path, write, first, text) -> None:
    root = write(tmp_path / "set")
    assert check_source(f"ade20k:{root}").problems == ()
    for level in (1, 2):
        (root / f"{first}_parts_{level}.png").unlink()
    report = check_source(f"ade20k:{root}")
    names = [f"{first}_parts_{level}.png" for level in (1, 2)]
    base = first.rpartition("/")[2]
    assert told(report) == {
        name: f"missing, and {base}{text} names parts of level {level}"
        for level, name in enumerate(names, start=1)
    }
    assert report.notes[-1] == f"2 masks of parts missing, which texts name: {', '.join(names)}"
    for options in ("parts=no", "split=validation"):
        assert told(check_source(f"ade20k:{root},{options}")) == {}


BELOW = {
    "images/ADE": write_ade20k_2021,
    "images/ADE/training/urban/street": write_ade20k_2021,
    f"{STREET}": write_ade20k_2021,
    "images/training": write_ade20k_2016,
    "images/training/h/house/outdoor": write_ade20k_2016,
    "images": write_scene_parsing,
    "images/training/": write_scene_parsing,
    "annotations/validation": write_scene_parsing,
}


@pytest.mark.parametrize("folder", BELOW)
def test_the_whole_set_is_read_from_a_folder_below_its_root(tmp_path: Path, folder: str) -> None:
    root = BELOW[folder](tmp_path / "set")
    whole, source = open_concepts(f"ade20k:{root}"), open_concepts(f"ade20k:{root / folder}")
    assert isinstance(source, AnnotatedSource)
    assert isinstance(whole, AnnotatedSource)
    assert source.keys == whole.keys
    assert source.notes == (f"the whole set is read, from {root}", *whole.notes)


def test_of_several_sets_one_must_be_named(tmp_path: Path) -> None:
    write_ade20k_2016(tmp_path / "a")
    write_scene_parsing(tmp_path / "b")
    with pytest.raises(UsageError, match=r"holds several sets, .*a and .*b; name one of them"):
        open_concepts(f"ade20k:{tmp_path}")


def test_a_folder_of_pictures_and_masks_alone_opens(tmp_path: Path) -> None:
    root = write_ade20k_2021(tmp_path / "set")
    (root / STREET).parent.rename(tmp_path / "mine")
    source = open_concepts(f"ade20k:{tmp_path / 'mine'}")
    assert isinstance(source, AnnotatedSource)
    assert source.keys == ("ADE_train_00016869.jpg",)
    assert source.notes == ("unlabelled, not void: the code 0, which no object has",)


def test_pictures_without_a_scene_are_counted(tmp_path: Path) -> None:
    root = write_scene_parsing(tmp_path)
    path = root / "sceneCategories.txt"
    lines = path.read_text().splitlines(True)
    path.write_text("".join(lines[:-1]))
    listed = "1 without a line in sceneCategories.txt, images/validation/ADE_val_00000001.jpg"
    assert check_source(f"ade20k:{root}").notes[1:] == (f"without a scene: {listed}",)
    assert check_source(f"ade20k:{root},split=training").notes[1:] == ()
    path.unlink()
    report = check_source(f"ade20k:{root},split=training")
    assert report.notes[1:] == ("without a scene: all 2 pictures, since there is no sceneCategories.txt",)
    assert [one.concept.category for one in report.concepts] == ["object"] * 3


OBJECTS = {
    "Stuff": "Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0.15\t11664\t1172\t1\twall\n22\t0.01\t2\t1\t0\tbed \n"
    "128 \t0.001\t415\t51\t0\tbicycle, bike\n",
    "Stuff, with spaces": "Idx Ratio Train Val Stuff Name\n1 0.15 11664 1172 1 wall\n22 0.01 2 1 0 bed\n"
    "128 0.001 415 51 0 bicycle, bike\n",
    "names first": "Name\tIdx\nwall, a wall\t1\nbed \t22\nbicycle, push bike\t128\n",
    "no titles": "1\t0.15\t11664\t1172\twall\n22\t0.01\t2\t1\tbed \n128\t0.001\t415\t51\tbicycle, bike\n",
}


@pytest.mark.parametrize("form", OBJECTS)
def test_columns_are_found_by_their_titles(tmp_path: Path, form: str) -> None:
    root = write_scene_parsing(tmp_path)
    (root / "objectInfo150.txt").write_text(OBJECTS[form])
    found = [one.name for one in open_concepts(f"ade20k:{root}").vocabulary if one.category == "object"]
    assert found == ["wall", "bed", "bicycle"]


def test_a_column_without_a_title_is_no_part_of_names(tmp_path: Path) -> None:
    root = write_scene_parsing(tmp_path)
    (root / "objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tName\n1\t0.15\t11664\t1172\t1\twall\n")
    with pytest.raises(SourceError, match=r"line 2: .* wanted Idx"):
        open_concepts(f"ade20k:{root}")


@pytest.mark.parametrize("folder", ["images", "images/ADE", "images/ADE/training/urban"])
def test_masks_beside_pictures_are_refused_by_their_names(tmp_path: Path, folder: str) -> None:
    root = write_ade20k_2021(tmp_path / "set")
    for path in root.rglob("*.png"):  # masks that look like anything
        Image.effect_noise((10, 8), 50).convert("RGB").save(path)
    with pytest.raises((SourceError, UsageError), match="open it as ade20k:") as caught:
        open_concepts(f"folder:{root / folder}")
    word = str(caught.value).rpartition("open it as ")[2]
    assert word.startswith("ade20k:")
    assert json.loads(Path(f"{root / STREET}.json").read_text())  # nothing else was changed
    assert len(open_concepts(word)) == 2
