"""Rows that mean harm, or are damaged: one line each."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sets.hf import (
    IMAGE,
    SIZE,
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
from unitscope.concepts.formats.hf import row_blocks
from unitscope.concepts.formats.hf.front_matter import read_front_matter
from unitscope.concepts.formats.hf.parquet_footers import read_footer
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UnitscopeError

RED = {"bytes": encode(np.full((*SIZE, 3), 200, np.uint8)), "path": None}
LOSSY = {"bytes": encode(np.full(SIZE, 2, np.uint8), "JPEG"), "path": None}


def write_rows(root: Path, **columns: tuple[Any, list[Any]]) -> str:
    pq.write_table(make_table(columns), root / "rows.parquet")
    return f"hf:{root}"


def first_problem(text: str) -> str:
    """What opening says, or else the check of the pictures: one line."""
    try:
        said = [one.message for one in check_source(text).problems]
    except UnitscopeError as error:
        said = [str(error)]
    assert said, "nothing is wrong"
    assert "\n" not in said[0]
    return said[0]


CELLS: dict[str, tuple[Any, list[Any], str]] = {
    "numbers": (pa.int64(), [1, 2], "wanted a picture for image="),
    "texts": (pa.string(), ["a", "b"], "wanted a picture for image="),
    "lists": (pa.list_(IMAGE), [[picture(1)], []], "wanted a picture for image="),
    "other fields": (
        pa.struct([("bytes", pa.binary()), ("url", pa.string())]),
        [None, None],
        "wanted a picture",
    ),
    "texts for bytes": (pa.struct([("bytes", pa.string())]), [None, None], "wanted a picture"),
    "nulls": (IMAGE, [None, None], "none of 2 rows can be used: 2 files left out, without a picture"),
    "empty cells": (IMAGE, [{"bytes": None, "path": None}] * 2, "without a picture"),
    "no bytes": (IMAGE, [{"bytes": b"", "path": None}] * 2, "cannot be read as a picture"),
    "other bytes": (pa.binary(), [b"\x89PNG\r\n", b"GIF89a"], "cannot be read as a picture"),
    "half a picture": (pa.binary(), [picture(0)["bytes"][:45]] * 2, "cannot be read as a picture"),
    "a pipe": (IMAGE, [{"bytes": None, "path": "/dev/zero"}] * 2, "lies outside the data set"),
    "a null in a path": (IMAGE, [{"bytes": None, "path": "a\0b"}] * 2, "lies outside the data set"),
    "a folder": (IMAGE, [{"bytes": None, "path": "."}] * 2, "is no file of a picture"),
}


@pytest.mark.parametrize("name", CELLS)
def test_columns_of_pictures_that_are_none(tmp_path: Path, name: str) -> None:
    kind, cells, message = CELLS[name]
    text = write_rows(tmp_path, odd=(kind, cells), label=(pa.string(), ["a", "b"]))
    assert message in first_problem(f"{text},image=odd")


MASKS: dict[str, tuple[dict[str, Any] | None, str]] = {
    "colors": (RED, "a mask has one channel of class ids, this one is RGB"),
    "unknown": (mask(0, 1, 2, 9), "holds id 9"),
    "of another size": ({"bytes": encode(np.zeros((3, 3), np.uint8))}, "its labels 3x3"),
    "damaged": ({"bytes": mask(0, 1, 2, 2)["bytes"][:50]}, "cannot be read as a picture"),
    "none": (None, "none of 1 rows can be used"),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_that_are_none(tmp_path: Path, name: str) -> None:
    cell, message = MASKS[name]
    (tmp_path / "id2label.json").write_text(json.dumps({"0": "a", "1": "b", "2": "c"}))
    text = write_rows(tmp_path, image=(IMAGE, [picture(0)]), mask=(IMAGE, [cell]))
    assert message in first_problem(text)


def test_pictures_of_any_mode_become_rgb(tmp_path: Path) -> None:
    modes = ("CMYK", "L", "P", "1", "LA", "RGBA", "I;16")
    stored = []
    for mode in modes:
        place = tmp_path / "one"
        made = Image.new("I;16", (6, 4), 40_000) if mode == "I;16" else Image.new("RGB", (6, 4)).convert(mode)
        made.save(place, "JPEG" if mode == "CMYK" else "PNG")
        stored.append(place.read_bytes())
    (tmp_path / "set").mkdir()
    source = open_concepts(f"{write_rows(tmp_path / 'set', image=(pa.binary(), stored))},image=image")
    assert [source[index].image.shape for index in range(len(modes))] == [(4, 6, 3)] * len(modes)


LABELS: dict[str, tuple[Any, list[Any], Any, str]] = {
    "out of range": (pa.int64(), [0, 7], ["a", "b"], "the label 7 has no name"),
    "below": (pa.int64(), [0, -5], ["a", "b"], "the label -5 has no name"),
    "none at all": (
        pa.int64(),
        [-1, None],
        ["a", "b"],
        "none of 2 rows can be used: 2 files left out, without a label",
    ),
    "names that are no texts": (pa.int64(), [0, 1], ["a", None], "are no list of texts"),
    "names that are no list": (pa.int64(), [0, 1], {"0": "a"}, "are no list of texts"),
    "numbers without names": (pa.int64(), [0, 1], None, "have no names; say classes=FILE"),
    "real numbers": (pa.float64(), [0.5, 1], None, "wanted labels for label="),
    "yes or no": (pa.bool_(), [True, False], None, "wanted labels for label="),
    "a tale": (pa.string(), ["word " * 100, "b"], None, "is no name of a class"),
    "lists of lists": (pa.list_(pa.list_(pa.int64())), [[[1]], [[2]]], None, "wanted labels for label="),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_that_are_none(tmp_path: Path, name: str) -> None:
    kind, cells, names, message = LABELS[name]
    features = {"label": {"_type": "ClassLabel", "names": names}}
    table = make_table({"image": (IMAGE, [picture(0), picture(1)]), "label": (kind, cells)}, features)
    pq.write_table(table, tmp_path / "rows.parquet")
    assert message in first_problem(f"hf:{tmp_path},label=label")


@pytest.mark.parametrize(
    ("features", "label"),
    [
        (b"no json", "text"),
        (b"[" * 100_000, "text"),
        (b"[1]", "text"),
        (b'{"info": {"features": 3}}', "text"),
    ],
)
def test_what_the_files_say_of_columns_may_be_nonsense(tmp_path: Path, features: bytes, label: str) -> None:
    table = make_table({"image": (IMAGE, [picture(0)]), "label": (pa.string(), [label])})
    pq.write_table(table.replace_schema_metadata({"huggingface": features}), tmp_path / "rows.parquet")
    assert [one.name for one in open_concepts(f"hf:{tmp_path},label=label").vocabulary] == ["text"]


def test_files_with_other_columns_are_named(tmp_path: Path) -> None:
    root = write_repository(tmp_path)
    pq.write_table(make_masked(0).drop_columns(["scene_category"]), root / "data/test-00000-of-00001.parquet")
    said = first_problem(f"hf:{root},void=255")
    assert "test-00000-of-00001.parquet: its columns are not those of train" in said
    assert "'scene_category' is none, there int64" in said
    assert len(open_concepts(f"hf:{root},void=255,split=train")) == 6


FILES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut short": lambda data: data[:-30],
    "without an end": lambda data: data[: len(data) // 2],
    "of zeros": lambda data: b"\0" * len(data),
    "of something else": lambda data: b"PAR1" + b"x" * 100 + b"PAR1",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_damaged_files_are_named(tmp_path: Path, name: str, kind: str) -> None:
    write_stream(tmp_path / "train.arrow", make_masked(0))
    pq.write_table(make_masked(0), tmp_path / "train.parquet")
    for other in {"parquet", "arrow"} - {kind}:
        (tmp_path / f"train.{other}").unlink()
    path = tmp_path / f"train.{kind}"
    path.write_bytes(FILES[name](path.read_bytes()))
    said = first_problem(f"hf:{tmp_path},image=image")
    assert said.startswith(f"{path}: ")


def test_compressed_arrow_files_and_dictionaries_are_refused(tmp_path: Path) -> None:
    table = make_masked(0)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with (
        pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema, options=options) as writer,
    ):
        writer.write_table(table)
    assert "compressed Arrow files" in first_problem(f"hf:{tmp_path}/a.arrow,image=image")
    texts = pa.array(["a", "b", "a"]).dictionary_encode()
    write_stream(tmp_path / "b.arrow", table.append_column("text", texts))
    assert "columns of dictionaries" in first_problem(f"hf:{tmp_path}/b.arrow,image=image")


def test_rows_that_unpack_to_too_much_are_refused_before_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_blocks, "ROW_BYTES", 100_000)
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 100_000)
    table = make_table({"image": (pa.binary(), [b"\0" * 1_000_000] * 3)})
    pq.write_table(table, tmp_path / "bomb.parquet", compression="zstd", use_dictionary=False)
    assert "unpacks from" in first_problem(f"hf:{tmp_path}/bomb.parquet,image=image")
    # One value of a dictionary, a thousand times over: few rows are unpacked before it is told.
    (tmp_path / "set").mkdir()
    table = make_table({"image": (pa.binary(), [picture(0)["bytes"] + b"\0" * 50_000] * 1000)})
    pq.write_table(table, tmp_path / "set" / "rows.parquet", use_dictionary=True)
    assert "rows 0 to 4 of row group 0 unpack to" in first_problem(f"hf:{tmp_path}/set,image=image")


def test_a_footer_that_says_less_than_its_pages_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_blocks, "ROW_BYTES", 100_000)
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 100_000)
    path = tmp_path / "bomb.parquet"
    table = make_table({"image": (pa.binary(), [b"\0" * 1_000_000])})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)
    data = path.read_bytes()
    said, less = (encode_number(number) for number in (read_footer(path)[0].chunks[0].unpacked, 50_000))
    end = data.rindex(b"PAR1") - 4 - int.from_bytes(data[-8:-4], "little")
    assert len(said) == len(less)
    footer = data[end:].replace(said, less)
    path.write_bytes(data[:end] + footer)
    assert "a page of it unpacks to 1 MB" in first_problem(f"hf:{path},image=image")


def encode_number(number: int) -> bytes:
    """As footers of parquet have it: twice the number, seven bits a byte, the eighth in all but the last."""
    coded, number = [], 2 * number
    while number > 127:
        coded.append(number & 127 | 128)
        number >>= 7
    return bytes([*coded, number])


STATES: dict[str, tuple[str, Any, str]] = {
    "a list": ("train/state.json", [], "wanted an object"),
    "no files": ("train/state.json", {}, "wanted '_data_files'"),
    "numbers": ("train/state.json", {"_data_files": [{"filename": 3}]}, "3: cannot be read"),
    "outside": ("train/state.json", {"_data_files": [{"filename": "../../x.arrow"}]}, "wanted '_data_files'"),
    "absolute": ("train/state.json", {"_data_files": [{"filename": "/x.arrow"}]}, "wanted '_data_files'"),
    "missing": ("train/state.json", {"_data_files": [{"filename": "x.arrow"}]}, "x.arrow: cannot be read"),
    "an index": (
        "train/state.json",
        {"_data_files": [{"filename": "data-00000-of-00002.arrow"}], "_indices_files": [{"filename": "i"}]},
        "flatten_indices",
    ),
    "splits that are a text": ("dataset_dict.json", {"splits": "train"}, "wanted an object with 'splits'"),
    "splits that are not there": ("dataset_dict.json", {"splits": ["a"]}, "names the split 'a'"),
    "splits outside": ("dataset_dict.json", {"splits": ["../train"]}, "names the split '../train'"),
    "classes that are a number": ("id2label.json", 3, "wanted a list of class names"),
    "a class without a name": ("id2label.json", {"0": None}, "the name of class 0 is None"),
    "a class above all": ("id2label.json", {"70000": "a"}, "the number 70000 of a class"),
    "a class of many digits": ("id2label.json", {"1" * 5000: "a"}, "unknown key"),
    "no classes": ("id2label.json", {}, "names 0 layers of classes"),
}


@pytest.mark.parametrize("name", STATES)
def test_descriptions_that_are_none(tmp_path: Path, name: str) -> None:
    place, content, message = STATES[name]
    root = write_saved(tmp_path / "set")
    (root / place).write_text(json.dumps(content))
    assert message in first_problem(f"hf:{root},void=255")


@pytest.mark.parametrize("text", ["[" * 200_000, '{"0": ' + "9" * 10_000 + "}", "{", "\udcff"])
def test_descriptions_that_are_no_json(tmp_path: Path, text: str) -> None:
    root = write_saved(tmp_path / "set")
    for place in ("id2label.json", "train/state.json", "dataset_dict.json"):
        (root / place).write_bytes(text.encode("utf-8", "surrogateescape"))
        assert (root / place).name in first_problem(f"hf:{root},void=255")


@pytest.mark.parametrize("name", ["README.md", "id2label.json", "data/train-00000-of-00002.parquet"])
def test_files_of_ten_gigabytes_of_nothing_are_not_read(tmp_path: Path, name: str) -> None:
    root = write_repository(tmp_path)
    os.truncate(root / name, 10_000_000_000)
    assert Path(name).name in first_problem(f"hf:{root},void=255")


CARDS = {
    "configs:\n- config_name: a\n  data_files: https://x/y.parquet\n": "do not lie in the folder",
    "configs:\n- config_name: a\n  data_files: ../y.parquet\n": "do not lie in the folder",
    "configs:\n- data_files:\n  - split: a\n    path: data/none-*\n": "no .parquet file here is one of",
    "configs:\n- data_files:\n  - split: a\n    path: 'x\n": "has a quote that does not end",
    "configs: &all\n- a\n": "which is not read here",
    "configs: {a: b}\n": "which is not read here",
    "configs:\n- a: 1\n  a: 2\n": "gives 'a' twice",
    "configs:\n  a: 1\n    b: 2\n": "",
    "configs:\n" + "".join(" " * n + "a:\n" for n in range(1, 200)): "nested too deep",
    "configs:\n" + "- " * 300 + "a\n": "nested too deep",
    "configs:\n- data_files: '" + "*a" * 60 + "'\n": "do not lie in the folder",
}


@pytest.mark.parametrize("card", CARDS)
def test_cards_that_cannot_be_read(tmp_path: Path, card: str) -> None:
    root = write_repository(tmp_path)
    (root / "README.md").write_text(f"---\n{card}---\n")
    if not CARDS[card]:
        assert len(open_concepts(f"hf:{root},void=255")) == 7
        return
    assert CARDS[card] in first_problem(f"hf:{root},void=255")


@settings(max_examples=100)
@given(st.text("abc:-'\"[]{}#&*!|> \n0,", max_size=80))
def test_any_text_in_a_card_is_read_or_told(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("card") / "README.md"
    path.write_text(f"---\nconfigs:\n{text}\n---\n")
    with contextlib.suppress(SourceError):
        read_front_matter(path, ("configs",))


def test_a_card_is_read_as_yaml_means_it(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(
        "---\nother: &x\nconfigs:\n- name: 'it''s'  # why\n  paths: [a, \"b, c\"]\n  long: one\n    two\n"
        '  "quoted key": "\\u00e9"\n- - x\n  - y\n-\n  empty:\n---\n'
    )
    assert read_front_matter(path, ("configs",))["configs"] == [
        {"name": "it's", "paths": ["a", "b, c"], "long": "one two", "quoted key": "é"},
        ["x", "y"],
        {"empty": None},
    ]


def test_ade20k_with_other_numbers_is_told(tmp_path: Path) -> None:
    root = write_ade_rows(tmp_path / "set")
    path = root / "data/train-00000-of-00001.parquet"
    table = pq.read_table(path)
    gray = pa.array([[mask(1, 1, 1, 1)]] * 2, pa.list_(IMAGE))
    pq.write_table(table.set_column(1, "segmentations", gray), path)
    assert "wanted a mask in RGB colors, this one is L" in first_problem(f"hf:{root}")
    colors = pa.array([[RED]] * 2, pa.list_(IMAGE))
    pq.write_table(table.set_column(1, "segmentations", colors), path)
    assert "holds id 5320, which the column of objects does not name" in first_problem(f"hf:{root}")
    bare = pa.array([["a"], ["b"]], pa.list_(pa.string()))
    pq.write_table(table.set_column(5, "objects", bare), path)
    assert "no column tells itself to be labels; say masks= or label=" in first_problem(f"hf:{root}")
    bare = pa.array([[{"name": "a"}], []], pa.list_(pa.struct([("name", pa.string())])))
    pq.write_table(table.set_column(5, "objects", bare), path)
    assert "have no name, name_ndx" in first_problem(f"hf:{root}")


@settings(max_examples=60)
@given(st.sampled_from(["parquet", "arrow"]), st.binary(min_size=1, max_size=8), st.floats(0, 1))
def test_any_bytes_in_a_file_are_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, kind: str, noise: bytes, share: float
) -> None:
    path = tmp_path_factory.mktemp("rows") / f"train.{kind}"
    if kind == "arrow":
        write_stream(path, make_masked(0))
    else:
        pq.write_table(make_masked(0), path)
    data = bytearray(path.read_bytes())
    place = int(share * (len(data) - 1))
    data[place : place + len(noise)] = noise
    path.write_bytes(data)
    with contextlib.suppress(UnitscopeError):
        check_source(f"hf:{path},image=image")
