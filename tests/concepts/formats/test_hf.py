"""Data sets of the Hub on disk: parquet, Arrow, `save_to_disk`."""

import json
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sets.hf import (
    IMAGE,
    encode,
    make_masked,
    make_table,
    mask,
    picture,
    write_ade_rows,
    write_repository,
    write_saved,
    write_stream,
)
from unitscope.concepts.derived import find_left_out, find_notes, source_digest, source_spec
from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.hf import row_blocks
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError


def count(source: AnnotatedSource) -> dict[str, int]:
    """The pixels of every concept over all examples; a label of a whole picture counts as 1000."""
    found = dict.fromkeys((one.name for one in source.vocabulary), 0)
    for index in range(len(source)):
        example = source[index]
        for concept in source.vocabulary:
            pixels = int((example.planes == concept.id).sum()) + 1000 * example.ids.count(concept.id)
            found[concept.name] += pixels
    return found


def grays(source: AnnotatedSource) -> list[int]:
    return [int(source[index].image[0, 0, 0]) // 10 for index in range(len(source))]


TRAIN = {"background": 12, "wall": 36, "sky": 36, "beach": 2000, "street": 2000}


@pytest.mark.parametrize("write", [write_repository, write_saved])
def test_a_split_has_the_pictures_masks_and_labels_that_were_written(tmp_path: Path, write) -> None:
    source = open_concepts(f"hf:{write(tmp_path / 'set')},split=train,void=255")
    assert count(source) == TRAIN
    assert grays(source) == [0, 1, 2, 3, 4, 5]
    assert [*source.keys] == [f"train/{number}" for number in range(6)]
    categories = {one.name: one.category for one in source.vocabulary}
    assert categories == {
        **dict.fromkeys(["background", "wall", "sky"], "object"),
        "beach": "scene",
        "street": "scene",
    }
    assert [bool(source[index].planes.size) for index in range(6)] == [True, False, True] * 2
    assert [len(source[index].ids) for index in range(6)] == [1, 1, 0] * 2
    void = source[0].void
    assert void is not None
    assert void.tolist() == [[False] * 6] * 3 + [[True] * 6]
    assert find_notes(source) == ("void: 255",)


def test_without_a_split_all_of_them_are_read(tmp_path: Path) -> None:
    source = open_concepts(f"hf:{write_repository(tmp_path)},void=255")
    assert source.keys[-2:] == ("train/5", "validation/0")
    assert count(source)["wall"] == TRAIN["wall"] + 12
    saved = open_concepts(f"hf:{write_saved(tmp_path / 'saved')},void=255")
    assert [*saved.keys] == [f"train/{n}" for n in range(6)] + [f"test/{n}" for n in range(3)]


def test_masks_alone_leave_out_the_rows_without(tmp_path: Path) -> None:
    root = write_repository(tmp_path)
    source = open_concepts(f"hf:{root},image=image,masks=annotation,void=0+255,split=train")
    assert count(source) == {"wall": 36, "sky": 36}
    assert [*source.keys] == ["train/0", "train/2", "train/3", "train/5"]
    assert [(one.reason, one.files, one.examples) for one in find_left_out(source)] == [
        ("of another split", 1, ("data/validation-00000-of-00001.parquet",)),
        ("without a label", 2, ("train/1", "train/4")),
    ]


def test_labels_alone(tmp_path: Path) -> None:
    root = write_repository(tmp_path)
    source = open_concepts(f"hf:{root},label=scene_category,category=texture,split=train")
    assert count(source) == {"beach": 2000, "street": 2000}
    assert source.vocabulary.categories == ("texture",)
    assert [*source.keys] == ["train/0", "train/1", "train/3", "train/4"]


def test_two_classes_of_one_name_stay_apart(tmp_path: Path) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["crane", "cat", "crane"]}}
    columns = {"image": (IMAGE, [picture(n) for n in range(3)]), "label": (pa.int64(), [0, 1, 2])}
    pq.write_table(make_table(columns, features), tmp_path / "a.parquet")
    assert count(open_concepts(f"hf:{tmp_path}")) == {"crane (0)": 1000, "cat": 1000, "crane (2)": 1000}


def test_pictures_alone(tmp_path: Path) -> None:
    source = open_concepts(f"hf:{write_repository(tmp_path)},image=image,split=validation")
    assert (len(source), len(source.vocabulary)) == (1, 0)


def test_a_source_opens_again_by_its_text_and_after_pickling(tmp_path: Path) -> None:
    root = write_repository(tmp_path / "set")
    (tmp_path / "names.json").write_text(json.dumps(["background", "wall", "sky"]))
    source = open_concepts(f"hf:{root},classes={tmp_path / 'names.json'},void=255,split=train")
    again = open_concepts(source_spec(source))
    sent = pickle.loads(pickle.dumps(source))
    for other in (again, sent):
        assert source_digest(other) == source_digest(source)
        assert count(other) == count(source) == TRAIN
    assert source_digest(open_concepts(f"hf:{root},label=scene_category")) != source_digest(source)


@pytest.mark.parametrize("write", [write_repository, write_saved])
def test_several_threads_read_what_one_reads(tmp_path: Path, write) -> None:
    source = open_concepts(f"hf:{write(tmp_path / 'set')},split=train,void=255")
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda index: int(source[index % 6].image[0, 0, 0]), range(120)))
    assert read == [0, 10, 20, 30, 40, 50] * 20


def test_without_pyarrow_it_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UsageError, match=r"pip install 'unitscope\[hf\]'"):
        open_concepts(f"hf:{tmp_path}")


def test_the_check_reports_nothing_wrong_and_what_is_void(tmp_path: Path) -> None:
    root = write_repository(tmp_path)
    (root / "notes.txt").write_text("not used")
    report = check_source(f"hf:{root},void=255")
    assert (report.images, report.labelled, report.problems) == (7, 7, ())
    assert report.notes == ("void: 255",)
    assert [str(one) for one in report.left_out] == [
        "1 file left out, neither rows nor what describes them: notes.txt"
    ]


def test_a_number_without_a_name_is_told_with_its_row(tmp_path: Path) -> None:
    source = open_concepts(f"hf:{write_repository(tmp_path)}")
    with pytest.raises(
        SourceError, match=r"train-00000-of-00002.parquet, train/0, annotation: .* id 255, which"
    ):
        source[0]


@pytest.mark.parametrize("listed", [True, False])
def test_the_columns_of_ade20k_are_read_as_that_set(tmp_path: Path, listed: bool) -> None:
    source = open_concepts(f"hf:{write_ade_rows(tmp_path, listed)}")
    assert {(one.name, one.category) for one in source.vocabulary} == {
        ("house", "object"),
        ("car", "object"),
        ("door", "part"),
        ("knob", "part"),
        ("street", "scene"),
    }
    assert count(source) == {"house": 12, "car": 6, "door": 6, "knob": 6, "street": 1000}
    assert source[0].planes.shape == (3, 4, 6)
    assert source[1].planes.shape == (1, 4, 6)
    assert (source[0].void, source[1].ids) == (None, ())
    assert find_notes(source) == ("unlabelled: 0",)
    assert source.families == {"house": ("building",)}
    void = open_concepts(f"hf:{tmp_path},void=0")[0].void
    assert void is not None
    assert int(void.sum()) == 12


def test_several_masks_are_planes_and_several_labels_are_all_kept(tmp_path: Path) -> None:
    table = make_table(
        {
            "image": (IMAGE, [picture(0), picture(1)]),
            "things": (IMAGE, [mask(1, 1, 0, 0), mask(0, 0, 0, 0)]),
            "parts": (IMAGE, [mask(0, 2, 2, 0), None]),
            "color": (pa.list_(pa.string()), [["red", "blue"], []]),
            "kind": (pa.int32(), [0, None]),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    (tmp_path / "things.txt").write_text("none\ncat\n")
    (tmp_path / "parts.json").write_text(json.dumps({"category": "part", "classes": {"2": "leg"}}))
    (tmp_path / "kinds.json").write_text(json.dumps({"indoor": 0, "outdoor": 1}))
    source = open_concepts(
        f"hf:{tmp_path}/rows.parquet,masks=things+parts,label=color+kind,classes=things.txt+parts.json+kinds.json"
    )
    names = {one.id: (one.name, one.category) for one in source.vocabulary}
    example = source[0]
    assert [names[number] for number in example.ids] == [
        ("red", "color"),
        ("blue", "color"),
        ("indoor", "object"),
    ]
    assert [
        sorted(names.get(n, ("", "")) for n in np.unique(plane).tolist()) for plane in example.planes
    ] == [
        [("", ""), ("cat", "object")],
        [("", ""), ("leg", "part")],
    ]
    assert source[1].planes.shape == (1, 4, 6)
    assert find_notes(source) == ("things: unlabelled: 0", "parts: unlabelled: 0")
    one, other = (
        f"hf:{tmp_path}/rows.parquet,masks={name},classes=things.txt" for name in ("things", "parts")
    )
    assert source_digest(open_concepts(one)) != source_digest(open_concepts(other))


def test_pictures_may_be_files_beside_the_rows(tmp_path: Path) -> None:
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / "images" / "a.png").write_bytes(picture(3)["bytes"])
    (tmp_path / "secret.png").write_bytes(picture(4)["bytes"])
    paths = ["images/a.png", "images/b.png", "../secret.png", str(tmp_path / "secret.png"), "~/x.png"]
    table = make_table(
        {
            "image": (IMAGE, [{"bytes": None, "path": path} for path in paths]),
            "label": (pa.string(), ["cat"] * len(paths)),
        }
    )
    pq.write_table(table, tmp_path / "set" / "rows.parquet")
    source = open_concepts(f"hf:{tmp_path / 'set'},label=label")
    assert grays(open_concepts(f"hf:{tmp_path / 'set'},label=label,limit=1")) == [3]
    for index, message in enumerate(["is missing", *["lies outside the data set"] * 3], start=1):
        with pytest.raises(SourceError, match=message):
            source[index]


CARD = """---
license: other
dataset_info:
- config_name: big
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': 'cat, or
            feline'
          '1': "dog"
  splits:
  - name: train
    num_bytes: 7.5
- config_name: small
  features: []
configs:
- config_name: big
  data_files:
  - split: train
    path: big/tr*
  - split: check
    path: [big/check-*]
- config_name: small
  data_files: "small/**"
---
# Text: [not](yaml)
"""


def test_a_card_tells_splits_and_names(tmp_path: Path) -> None:
    def write(name: str, first: int, rows: int) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        columns = {
            "image": (IMAGE, [picture(first + row) for row in range(rows)]),
            "label": (pa.int64(), [row % 2 for row in range(rows)]),
        }
        pq.write_table(make_table(columns), tmp_path / name)

    write("big/tr-b.parquet", 2, 1)
    write("big/tr-a.parquet", 0, 2)
    write("big/check-1.parquet", 5, 1)
    write("small/deep.parquet", 7, 1)
    (tmp_path / "README.md").write_text(CARD)
    source = open_concepts(f"hf:{tmp_path},config=big")
    assert [*source.keys] == ["train/0", "train/1", "train/2", "check/0"]
    assert grays(source) == [0, 1, 2, 5]
    assert count(source) == {"cat, or feline": 3000, "dog": 1000}
    assert [str(one) for one in find_left_out(source)] == [
        "1 file left out, rows of no split: small/deep.parquet"
    ]
    with pytest.raises(UsageError, match="holds several sets; say config=NAME, one of big, small"):
        open_concepts(f"hf:{tmp_path}")
    with pytest.raises(UsageError, match="no split 'val'; its splits are train, check"):
        open_concepts(f"hf:{tmp_path},config=big,split=val")


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train.parquet", "test.parquet", "val.parquet"), ["train", "validation", "test"]),
        (("train/0.parquet", "other/1.parquet"), ["train"]),
        (("a.parquet", "b.parquet"), ["train"]),
        (("net-train-00000-of-00001.arrow", "extra-00000-of-00001.arrow"), ["extra", "train"]),
    ],
)
def test_names_of_files_tell_their_split(tmp_path: Path, names: tuple[str, ...], splits: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith(".arrow"):
            write_stream(tmp_path / name, make_masked(0))
        else:
            pq.write_table(make_masked(0), tmp_path / name)
    source = open_concepts(f"hf:{tmp_path},image=image")
    assert list(dict.fromkeys(key.split("/")[0] for key in source.keys)) == splits


def test_blocks_of_any_size_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pictures = [{"bytes": encode(rng.integers(0, 255, (9, 9, 3), np.uint8)), "path": None} for _ in range(40)]
    table = make_table({"image": (IMAGE, pictures), "label": (pa.string(), [str(n % 3) for n in range(40)])})
    for size in (100, 900, 5000, 64_000_000):
        for dictionary in (True, False):
            path = tmp_path / f"{size}-{dictionary}.parquet"
            pq.write_table(table, path, row_group_size=25, use_dictionary=dictionary)
            monkeypatch.setattr(row_blocks, "BLOCK_BYTES", size)
            rows = row_blocks.Rows((path,), ("image",), row_blocks.find_blocks([path], ["image"]))
            order = [*range(40), *rng.permutation(40).tolist()]
            assert [rows.read(row)["image"] for row in order] == [pictures[row] for row in order]
            assert [cell for one in rows.scan(["label"]) for cell in one.column("label").to_pylist()] == [
                str(n % 3) for n in range(40)
            ]


@pytest.mark.parametrize("write", [write_repository, write_saved, write_ade_rows])
def test_as_a_folder_of_pictures_it_is_refused_with_its_word(tmp_path: Path, write) -> None:
    root = write(tmp_path / "set")
    with pytest.raises(UsageError, match=f"open it as hf:{root}$"):
        open_concepts(f"folder:{root}")
