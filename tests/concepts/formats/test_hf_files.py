"""Which files of a clone make a set: parts that are missing, sets side by side, names that differ."""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sets.hf import IMAGE, make_table, mask, picture, write_ade_rows, write_repository, write_saved
from unitscope.concepts.derived import find_left_out, find_notes
from unitscope.concepts.formats.shard_names import find_absent, find_copies, find_gaps
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError


def write_labels(path: Path, names: Sequence[str] | None = ("cat", "dog"), label: int = 0) -> Path:
    """A file of one row, whose label is a number that the file itself names, or does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"image": (IMAGE, [picture(label)]), "label": (pa.int64(), [label])}
    told = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": [*(names or ())]}}
    pq.write_table(make_table(columns, told if names else None), path)
    return path


def find_labels(text: str) -> list[str]:
    source = open_concepts(text)
    return [source.vocabulary[one].name for index in range(len(source)) for one in source[index].ids]


def write_card(root: Path, head: str) -> None:
    (root / "README.md").write_text(f"---\n{head}---\n")


NAMES = """dataset_info:
  features:
  - name: label
    dtype:
      class_label:
        names:
          '0': dog
          '1': cat
"""


def test_files_that_name_numbers_otherwise_are_refused(tmp_path: Path) -> None:
    one = write_labels(tmp_path / "data" / "train-00000-of-00002.parquet")
    other = write_labels(tmp_path / "data" / "train-00001-of-00002.parquet", ("dog", "cat"))
    with pytest.raises(SourceError, match=f"{other}: 0 of 'label' is 'dog', in {one} 'cat'; say split="):
        open_concepts(f"hf:{tmp_path}")
    assert len(open_concepts(f"hf:{tmp_path},image=image")) == 2
    write_labels(other, ("cat", "dog", "bird"))
    with pytest.raises(SourceError, match=r"2 of 'label' is 'bird', in .* 'nothing'"):
        open_concepts(f"hf:{tmp_path}")


def test_splits_that_name_numbers_otherwise_open_one_by_one(tmp_path: Path) -> None:
    write_labels(tmp_path / "train-00000-of-00001.parquet")
    write_labels(tmp_path / "test-00000-of-00001.parquet", ("dog", "cat"))
    with pytest.raises(SourceError, match="say split=NAME"):
        open_concepts(f"hf:{tmp_path}")
    assert find_labels(f"hf:{tmp_path},split=train") == ["cat"]
    assert find_labels(f"hf:{tmp_path},split=test") == ["dog"]
    root = write_saved(tmp_path / "saved")
    told = json.loads((root / "test" / "dataset_info.json").read_text())
    told["features"]["scene_category"]["names"].reverse()
    (root / "test" / "dataset_info.json").write_text(json.dumps(told))
    with pytest.raises(SourceError, match=r"test/dataset_info.json: 0 of 'scene_category' is 'street'"):
        open_concepts(f"hf:{root},label=scene_category")
    assert find_labels(f"hf:{root},label=scene_category,split=test") == ["beach", "street"]
    assert find_labels(f"hf:{root},label=scene_category,split=train") == ["street", "beach"] * 2


def test_a_card_that_names_numbers_otherwise_is_refused(tmp_path: Path) -> None:
    write_labels(tmp_path / "train.parquet")
    write_card(tmp_path, NAMES)
    with pytest.raises(SourceError, match=r"README.md: 0 of 'label' is 'dog', in .*train.parquet 'cat'"):
        open_concepts(f"hf:{tmp_path}")
    write_labels(tmp_path / "train.parquet", None)
    assert find_labels(f"hf:{tmp_path}") == ["dog"]


def test_names_of_another_set_of_the_card_are_not_taken(tmp_path: Path) -> None:
    write_labels(tmp_path / "b" / "train.parquet", None)
    head = NAMES.replace("  features:", "  config_name: a\n  features:")
    configs = "".join(f"- config_name: {name}\n  data_files: {name}/*\n" for name in "ab")
    write_card(tmp_path, f"{head}configs:\n{configs}")
    with pytest.raises(UsageError, match="no column tells itself to be labels"):
        open_concepts(f"hf:{tmp_path},config=b")


def test_sets_side_by_side_are_not_made_one(tmp_path: Path) -> None:
    for number, name in enumerate(["full", "noisy/train"]):
        write_labels(tmp_path / name / "train-00000-of-00001.parquet", label=number)
    with pytest.raises(UsageError, match="full, noisy, which may be sets of their own; say config=NAME"):
        open_concepts(f"hf:{tmp_path}")
    assert find_labels(f"hf:{tmp_path},config=noisy") == ["dog"]
    assert find_labels(f"hf:{tmp_path},config=full+noisy") == ["cat", "dog"]
    left_out = [str(one) for one in find_left_out(open_concepts(f"hf:{tmp_path},config=full"))]
    assert left_out == ["1 file left out, rows of no split: noisy/train/train-00000-of-00001.parquet"]
    with pytest.raises(UsageError, match="there is no config=x; its folders of rows are full, noisy"):
        open_concepts(f"hf:{tmp_path},config=x")
    write_card(tmp_path, "configs:\n- config_name: full\n- config_name: noisy\n")
    assert find_labels(f"hf:{tmp_path},config=full") == ["cat"]


def test_folders_of_splits_and_of_parts_are_one_set(tmp_path: Path) -> None:
    for number, name in enumerate(["train2017/000", "train2017/001", "val2017"]):
        write_labels(tmp_path / "data" / name / "0.parquet", label=number % 2)
    assert [*open_concepts(f"hf:{tmp_path}").keys] == ["train/0", "train/1", "validation/0"]


def test_missing_parts_are_problems(tmp_path: Path) -> None:
    data = write_repository(tmp_path) / "data"
    assert not check_source(f"hf:{tmp_path},void=255").problems
    (data / "train-00000-of-00002.parquet").unlink()
    (problem,) = check_source(f"hf:{tmp_path},void=255").problems
    assert problem.message == "train-00000-of-00002-*.parquet is missing; fetch it"
    assert not check_source(f"hf:{tmp_path},void=255,split=validation").problems
    alone = data / "train-00001-of-00002-0a1b2c3d4e5f6789.parquet"
    assert not check_source(f"hf:{alone},image=image").problems


def test_parts_that_no_pattern_of_the_card_takes_are_not_missed(tmp_path: Path) -> None:
    write_labels(tmp_path / "train-00000-of-00009.parquet")
    for pattern, problems in (("train-00000-of-00009.parquet", 0), ("train-*", 1)):
        write_card(tmp_path, f"configs:\n- data_files:\n  - split: train\n    path: {pattern}\n")
        assert len(check_source(f"hf:{tmp_path}").problems) == problems


@pytest.mark.parametrize(
    "names",
    [
        ("train-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002"),
        ("train-00000-of-00001-0a", "train-00000-of-00001-0b"),
        ("train", "train-00000-of-00001"),
    ],
)
def test_a_set_that_is_there_twice_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names):
        write_labels(tmp_path / "data" / f"{name}.parquet", label=number % 2)
    with pytest.raises(SourceError, match="saved twice by its name; remove the one that is older"):
        open_concepts(f"hf:{tmp_path}")


def test_a_copy_of_a_file_is_a_problem(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "rows.parquet")
    (tmp_path / "rows (1).parquet").write_bytes(path.read_bytes())
    (problem,) = check_source(f"hf:{tmp_path}").problems
    assert problem.message == "holds the same as rows (1).parquet, which counts twice; remove one of them"


def test_names_tell_what_is_missing(tmp_path: Path) -> None:
    def absent(*names: str) -> list[tuple[str, str]]:
        return find_absent([Path(name) for name in names], lambda path: True)

    assert not absent("a-1-of-2.tar", "a-2-of-2.tar", "b.tar", "c/a-0-of-1.tar")
    assert absent("a-00-of-06.tar", "b-0-of-1.tar") == [
        (
            "a-00-of-06.tar",
            "a-01-of-06.tar, a-02-of-06.tar, a-03-of-06.tar and 2 more are missing; fetch them",
        )
    ]
    with pytest.raises(SourceError, match="is one of 99999999999 parts"):
        absent("a-0-of-99999999999.tar")
    assert find_gaps([Path("b-3.tar"), Path("a-01.tar"), Path("a-02.tar"), Path("a-1.tar")]) == []
    assert find_copies([tmp_path / "no file", tmp_path / "another"]) == []


@pytest.mark.parametrize(
    ("head", "labels"),
    [
        ("data_dir: a", ["cat", "dog"]),
        ("data_dir: ./b/", ["cat"]),
        ("data_dir: a\n  data_files: train-00000*", ["cat"]),
        ("data_files: a/train-0000[1-9]-of-*", ["dog"]),
        ("data_files: a/train-0000[!1-9]-of-*", ["cat"]),
        ('data_files: "{a,b}/*-00000-*"', ["cat", "cat"]),
        ("data_files: a", ["cat", "dog"]),
        ("data_files: b/", ["cat"]),
        ("data_files: .", ["cat", "dog", "cat"]),
    ],
)
def test_a_card_names_files_by_folders_and_patterns(tmp_path: Path, head: str, labels: list[str]) -> None:
    for name, label in (
        ("a/train-00000-of-00002", 0),
        ("a/train-00001-of-00002", 1),
        ("b/x-00000-of-00001", 0),
    ):
        write_labels(tmp_path / f"{name}.parquet", label=label)
    write_card(tmp_path, f"configs:\n- config_name: one\n  {head}\n")
    assert find_labels(f"hf:{tmp_path}") == labels


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("data_dir: ../x", "data_dir is '../x'; wanted a folder below it"),
        ("data_dir: x", "no rows were found in its data_dir, x/"),
        ("data_files: train-[9-0]*", "are no pattern; mend it"),
        ("data_files:\n  - split: a\n    path: x\n  - split: a\n    path: y", "files of split 'a' twice"),
    ],
)
def test_cards_whose_files_cannot_be_told(tmp_path: Path, head: str, message: str) -> None:
    write_labels(tmp_path / "train.parquet")
    write_card(tmp_path, f"configs:\n- config_name: one\n  {head}\n")
    with pytest.raises(SourceError, match=message):
        open_concepts(f"hf:{tmp_path}")


def test_splits_of_a_card_that_are_missing_or_share_files(tmp_path: Path) -> None:
    write_labels(tmp_path / "train.parquet")
    splits = "  - split: train\n    path: train*\n  - split: test\n    path: {}\n"
    write_card(tmp_path, "configs:\n- data_files:\n" + splits.format("test*"))
    note = "of splits that README.md names, no file is here: test"
    assert find_notes(open_concepts(f"hf:{tmp_path}")) == (note,)
    write_card(tmp_path, "configs:\n- data_files:\n" + splits.format('"*"'))
    with pytest.raises(UsageError, match=r"train\.parquet is of the splits train and test"):
        open_concepts(f"hf:{tmp_path}")
    assert find_labels(f"hf:{tmp_path},split=test") == ["cat"]


@pytest.mark.parametrize("folder", ["", "data/"])
def test_files_in_use_are_not_left_out(tmp_path: Path, folder: str) -> None:
    for name in ("a.png", "mask.png", "unused.png"):
        (tmp_path / folder / "in").mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "in" / name).write_bytes(
            (mask(1, 1, 1, 1) if name == "mask.png" else picture(1))["bytes"]
        )
    (tmp_path / "names.txt").write_text("none\nsky\n")
    columns = {
        "image": (IMAGE, [{"bytes": None, "path": "in/a.png"}, picture(2), None]),
        "mask": (IMAGE, [{"bytes": None, "path": "in/mask.png"}, mask(1, 1, 1, 1), None]),
    }
    (tmp_path / "data").mkdir(exist_ok=True)
    pq.write_table(make_table(columns), tmp_path / "data" / "train.parquet")
    source = open_concepts(f"hf:{tmp_path},masks=mask,classes={tmp_path}/names.txt")
    left_out = {one.reason: one.examples for one in find_left_out(source)}
    assert left_out == {
        "neither rows nor what describes them": (f"{folder}in/unused.png",),
        "without a picture": ("train/2",),
    }


def test_files_that_git_lfs_did_not_fetch_are_told(tmp_path: Path) -> None:
    path = write_repository(tmp_path) / "data" / "train-00000-of-00002.parquet"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(SourceError, match=rf"{path}: a pointer of Git LFS, .*; call git lfs pull"):
        open_concepts(f"hf:{tmp_path},void=255")
    path.write_bytes(b"")
    with pytest.raises(SourceError, match=f"{path}: empty; fetch or save it again"):
        open_concepts(f"hf:{tmp_path},void=255")


def test_what_ade20k_calls_misc_is_no_scene(tmp_path: Path) -> None:
    columns = {"image": (IMAGE, [picture(1), picture(2)]), "scene_category": (pa.int64(), [0, 1])}
    told = {"scene_category": {"_type": "ClassLabel", "names": ["misc", "street"]}}
    pq.write_table(make_table(columns, told), tmp_path / "train.parquet")
    source = open_concepts(f"hf:{tmp_path}")
    assert find_labels(f"hf:{tmp_path}") == ["street"]
    assert [one.name for one in source.vocabulary] == ["street"]
    assert find_notes(source) == ("scene_category: no scene: misc",)
    assert [str(one) for one in find_left_out(source)] == ["1 file left out, without a label: train/0"]
    rows = open_concepts(f"hf:{write_ade_rows(tmp_path / 'ade')}")
    assert [one.name for one in rows.vocabulary if one.category == "scene"] == ["street"]


def test_what_is_taken_for_granted_of_names_is_said(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.parquet", None)
    write_labels(tmp_path / "b.parquet")
    note = "label: a.parquet has no names of its numbers; those of other files are taken"
    assert find_notes(open_concepts(f"hf:{tmp_path}")) == (note,)
    root = tmp_path / "shared"
    root.mkdir()
    columns = {"image": (IMAGE, [picture(0)]), "fine": (pa.int64(), [0]), "coarse": (pa.int64(), [1])}
    told = {name: {"_type": "ClassLabel", "names": ["fish", name]} for name in ("fine", "coarse")}
    pq.write_table(make_table(columns, told), root / "a.parquet")
    note = "fine and coarse: one concept each for the names that they share: fish"
    assert find_notes(open_concepts(f"hf:{root}")) == (note,)


def test_columns_that_are_not_read_are_said_before_pictures_are_taken_alone(tmp_path: Path) -> None:
    columns = {"image": (IMAGE, [picture(0)]), "score": (pa.float64(), [0.5])}
    pq.write_table(make_table(columns), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="score are not read as labels; say image=image to take"):
        open_concepts(f"hf:{tmp_path}")
    assert len(open_concepts(f"hf:{tmp_path},image=image")) == 1


def test_a_number_that_is_named_twice_is_told(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.parquet", None)
    (tmp_path / "id2label.json").write_text('{"0": "crane", "0": "bird"}')
    with pytest.raises(SourceError, match=r"id2label.json: cannot be read \(the key '0' comes twice\)"):
        open_concepts(f"hf:{tmp_path},label=label")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"0": "crane", "1": "crane", "2": "cat"}'),
        ("a.json", '["crane", "crane", "cat"]'),
        ("a.txt", "crane\ncrane\ncat\n"),
    ],
)
def test_two_numbers_of_one_name_stay_apart(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    columns = {"image": (IMAGE, [picture(n) for n in range(3)]), "label": (pa.int64(), [0, 1, 2])}
    pq.write_table(make_table(columns), tmp_path / "rows.parquet")
    labels = find_labels(f"hf:{tmp_path},label=label,classes={tmp_path / name}")
    assert labels == ["crane (0)", "crane (1)", "cat"]
