"""ADE20K in its three forms."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sets.ade20k import CAR, DOOR, write_ade20k_2016, write_ade20k_2021, write_mask, write_scene_parsing
from unitscope.concepts.derived import find_left_out, source_digest, source_spec
from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError

STREET = "images/ADE/training/urban/street/ADE_train_00016869"
HOUSE = "images/training/h/house/outdoor/ADE_train_00000001"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("UNITSCOPE_CACHE", str(tmp_path / "cache"))
    return


def opened(spec: str) -> AnnotatedSource:
    source = open_concepts(spec)
    assert isinstance(source, AnnotatedSource)
    return source


def count(source: AnnotatedSource) -> dict[str, int]:
    """How many pixels every concept has, by category and name; a whole picture counts as one."""
    found: dict[str, int] = {}
    for index in range(len(source)):
        example = source[index]
        for number in (*example.planes[example.planes > 0].tolist(), *example.ids):
            concept = source.vocabulary[number]
            name = f"{concept.category} {concept.name}"
            found[name] = found.get(name, 0) + 1
    return found


def count_void(source: AnnotatedSource) -> list[int]:
    examples = [source[index] for index in range(len(source))]
    return [0 if one.void is None else int(one.void.sum()) for one in examples]


def test_scene_parsing_opens_whole_and_by_split(tmp_path: Path) -> None:
    root = write_scene_parsing(tmp_path / "ADEChallengeData2016")
    whole = opened(f"ade20k:{root.parent}")
    assert [(one.name, one.category) for one in whole.vocabulary] == [
        ("wall", "object"),
        ("bed", "object"),
        ("bicycle", "object"),
        ("airport_terminal", "scene"),
        ("bedroom", "scene"),
    ]
    found = {"object wall": 20, "object bicycle": 20, "scene airport_terminal": 1, "scene bedroom": 1}
    assert count(whole) == found
    assert count_void(whole) == [0, 0, 0]
    assert find_left_out(whole) == ()
    report = check_source(whole)
    assert report.problems == ()
    assert report.notes == ("unlabelled, not void: the value 0, what is none of the 150 objects",)
    val = opened(f"ade20k:{root},split=validation")
    assert count(val) == {"object bicycle": 5, "scene bedroom": 1}
    assert val.vocabulary == whole.vocabulary
    assert source_digest(open_concepts(source_spec(val))) == source_digest(val) != source_digest(whole)
    assert len(opened(f"ade20k:{root},split=training")) == 2


def test_the_rest_of_scene_parsing_is_void_where_asked(tmp_path: Path) -> None:
    source = opened(f"ade20k:{write_scene_parsing(tmp_path)},unlabelled=void")
    assert count_void(source) == [50, 75, 75]
    assert source.notes == ("void: the value 0, what is none of the 150 objects",)


def test_scene_parsing_tells_what_it_leaves_out(tmp_path: Path) -> None:
    root = write_scene_parsing(tmp_path)
    write_mask(root / "annotations/training/ADE_train_00000009.png", np.zeros((8, 10)))
    write_mask(root / "annotations_instance/training/ADE_train_00000001.png", np.zeros((8, 10)))
    Image.new("RGB", (10, 8)).save(root / "images/validation/ADE_val_00000009.jpg")
    (root / "README.txt").write_text("")
    source = opened(f"ade20k:{root}")
    assert {one.reason: one.examples for one in find_left_out(source)} == {
        "a folder of masks of instances": ("annotations_instance/",),
        "a mask without a picture of its name": ("annotations/training/ADE_train_00000009.png",),
        "without a label": ("images/validation/ADE_val_00000009.jpg",),
        "no picture": ("README.txt",),
    }
    assert len(check_source(source).problems) == 1


FULL = {
    "object house": 40,
    "object car": 10,
    "object wall": 80,
    "part door": 4,
    "part knob": 1,
}


@pytest.mark.parametrize(
    ("write", "scenes", "first"),
    [
        (write_ade20k_2021, {"scene street": 1, "scene attic": 1}, STREET),
        (write_ade20k_2016, {"scene house/outdoor": 1}, HOUSE),
    ],
)
def test_the_full_sets_open_with_parts_by_level(tmp_path, write, scenes, first) -> None:
    root = write(tmp_path / "set")
    whole = opened(f"ade20k:{root}")
    assert whole.keys[0] == f"{first}.jpg"
    assert len(whole) == 2
    assert count(whole) == FULL | scenes
    assert whole.vocabulary.categories == ("object", "part", "scene")
    planes = whole[0].planes
    assert planes.shape == (3, 8, 10)
    assert [int((plane > 0).sum()) for plane in planes] == [50, 4, 1]
    assert whole.vocabulary[int(planes[1, 2, 1])].name == "door"
    assert whole.vocabulary[int(planes[2, 3, 1])].name == "knob"
    assert check_source(whole).problems == ()
    assert count_void(whole) == [0, 0]
    assert count_void(opened(f"ade20k:{root},unlabelled=void")) == [30, 0]
    val = opened(f"ade20k:{root},split=validation")
    assert count(val)["object wall"] == 80
    assert val.vocabulary == whole.vocabulary
    again = opened(source_spec(whole))  # now with the index that was kept
    assert count(again) == count(whole)
    assert source_digest(again) == source_digest(whole)


@pytest.mark.parametrize("write", [write_ade20k_2021, write_ade20k_2016])
def test_parts_are_left_out_where_asked(tmp_path, write) -> None:
    source = opened(f"ade20k:{write(tmp_path / 'set')},parts=no")
    assert source.vocabulary.categories == ("object", "scene")
    assert len(source[0].planes) == 1
    assert {name: pixels for name, pixels in count(source).items() if name.startswith("object")} == {
        "object house": 40,
        "object car": 10,
        "object wall": 80,
    }


def test_masks_of_instances_are_no_pictures_and_no_pickle_is_read(tmp_path: Path) -> None:
    source = opened(f"ade20k:{write_ade20k_2021(tmp_path / 'a')}")
    assert [(one.reason, one.examples) for one in find_left_out(source)] == [
        ("a folder of masks of instances", (f"{STREET}/",))
    ]
    source = opened(f"ade20k:{write_ade20k_2016(tmp_path / 'b')}")
    assert [(one.reason, one.examples) for one in find_left_out(source)] == [
        ("no picture", ("index_ade20k.pkl",))
    ]


def test_hypernyms_are_families_of_concepts(tmp_path: Path) -> None:
    assert opened(f"ade20k:{write_ade20k_2021(tmp_path / 'set')}").families == {
        "house": ("building", "structure"),
        "car": ("motor vehicle",),
        "door": ("movable barrier",),
    }


def test_a_name_may_be_that_of_an_object_and_of_a_part(tmp_path: Path) -> None:
    root = write_ade20k_2021(tmp_path / "set")
    path = root / f"{STREET}.json"
    about = json.loads(path.read_text())
    door = about["annotation"]["object"][2]
    about["annotation"]["object"].append({**door, "parts": {"part_level": 0, "ispartof": []}})
    path.write_text(json.dumps(about))
    colors = np.asarray(Image.open(root / f"{STREET}_seg.png")).copy()
    colors[7, :3] = DOOR // 256 * 10 + 7, DOOR % 256, 4
    write_mask(root / f"{STREET}_seg.png", colors)
    found = count(opened(f"ade20k:{root}"))
    assert (found["object door"], found["part door"]) == (3, 4)


def test_classes_that_share_a_first_name_stay_apart(tmp_path: Path) -> None:
    root = write_ade20k_2021(tmp_path / "set")
    path = root / f"{STREET}.json"
    path.write_text(path.read_text().replace('"knob, boss"', '"wall, boss"').replace("auto,", "Auto,"))
    names = {one.name for one in opened(f"ade20k:{root}").vocabulary}
    assert {"wall, boss", "wall"} <= names


def test_a_text_in_another_encoding_is_read(tmp_path: Path) -> None:
    root = write_ade20k_2021(tmp_path / "set")
    path = root / f"{STREET}.json"
    path.write_bytes(path.read_text().replace('"door"', '"caf\u00e9"').encode("iso-8859-1"))
    assert count(opened(f"ade20k:{root}"))["part caf\u00e9"] == 4


@pytest.mark.parametrize(
    ("line", "said"),
    [("70000\t0.1\t2\t1\tbed", "line 2: '70000"), ("wall", "line 2: 'wall'; wanted Idx")],
)
def test_a_wrong_list_of_objects_is_told(tmp_path: Path, line: str, said: str) -> None:
    root = write_scene_parsing(tmp_path)
    (root / "objectInfo150.txt").write_text(f"Idx\tRatio\tTrain\tVal\tName\n{line}\n")
    with pytest.raises(SourceError, match=said):
        opened(f"ade20k:{root}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"name_ndx": 401', '"name_ndx": 70000'), "has name_ndx 70000; wanted annotation.object"),
        (('"name_ndx": 401', '"name_ndx": "401"'), "has name_ndx '401'"),
        (
            ('"name_ndx": 401', '"name_ndx": 1530'),
            "class 1530 is 'car, auto, automobile' here and 'house' in",
        ),
        (('{"annotation"', '{"annotation'), "cannot be read as JSON"),
        (('{"annotation"', "[" * 100_000), "cannot be read as JSON"),
        (("}}", "}"), "cannot be read as JSON"),
    ],
)
def test_a_wrong_json_is_told(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    root = write_ade20k_2021(tmp_path / "set")
    path = root / f"{STREET}.json"
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(SourceError) as caught:
        opened(f"ade20k:{root}")
    assert message in str(caught.value)
    assert f"{STREET}.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_code_without_a_name_is_told_where_it_is_met(tmp_path: Path) -> None:
    root = write_ade20k_2021(tmp_path / "set")
    path = root / f"{STREET}.json"
    path.write_text(path.read_text().replace(f'"name_ndx": {CAR}', '"name_ndx": 9'))
    with pytest.raises(
        SourceError, match=rf"_seg.png: the mask holds id {CAR}, which a .json of the set does"
    ):
        opened(f"ade20k:{root}")[0]
    Image.new("L", (10, 8)).save(root / f"{STREET}_seg.png")
    with pytest.raises(SourceError, match="wanted a mask in RGB colors, this one is L"):
        opened(f"ade20k:{root}")[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("001 # 0", "zero # 0"), "line 1: 'zero # 0 # 0 # car"),
        (("001 # 0", "002 # 0"), "line 2: instance 002 of level 0 is listed twice"),
        (("# door #", "#"), "is listed twice"),
    ],
)
def test_a_wrong_line_is_told(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    root = write_ade20k_2016(tmp_path / "set")
    path = root / f"{HOUSE}_atr.txt"
    text = path.read_text().replace(*change, 1)
    path.write_text(text if "twice" not in message or "# 0 #" in change[0] else text + text)
    with pytest.raises(SourceError) as caught:
        opened(f"ade20k:{root}")
    assert f"{HOUSE}_atr.txt, line" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("002 # 0", "003 # 0"),
            r"its instances \(2\) do not fit the lines of its _atr.txt \(2, numbered up to 3\)",
        ),
        (("house # house", "car, auto, automobile # house"), "has another code than the others of its class"),
    ],
)
def test_instances_that_do_not_fit_their_lines_are_told(tmp_path, change, message) -> None:
    root = write_ade20k_2016(tmp_path / "set")
    path = root / f"{HOUSE}_atr.txt"
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(SourceError, match=message):
        opened(f"ade20k:{root}")[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("split=train", "no split 'train'; its splits are training, validation"),
        ("unlabelled=no", "unlabelled='no': wanted void"),
        ("parts=maybe", "parts='maybe': wanted yes or no"),
    ],
)
@pytest.mark.parametrize("write", [write_scene_parsing, write_ade20k_2021, write_ade20k_2016])
def test_wrong_options_are_told(tmp_path, write, options, message) -> None:
    with pytest.raises(UsageError) as caught:
        opened(f"ade20k:{write(tmp_path / 'set')},{options}")
    assert message in str(caught.value)


def test_a_set_without_its_names_is_told(tmp_path: Path) -> None:
    root = write_scene_parsing(tmp_path / "a")
    (root / "objectInfo150.txt").unlink()
    with pytest.raises(SourceError, match="the file is missing, which names the 150 objects"):
        opened(f"ade20k:{root}")
    root = write_ade20k_2021(tmp_path / "b")
    for path in root.rglob("*.json"):
        path.unlink()
    with pytest.raises(SourceError, match="which names its objects; restore them"):
        opened(f"ade20k:{root}")


@pytest.mark.parametrize("write", [write_scene_parsing, write_ade20k_2021, write_ade20k_2016])
def test_the_trees_are_refused_as_folders_of_pictures(tmp_path, write) -> None:
    root = write(tmp_path / "set")
    (root / "index_ade20k.pkl").unlink(missing_ok=True)
    with pytest.raises(UsageError, match="open it as ade20k:"):
        open_concepts(f"folder:{root}")
