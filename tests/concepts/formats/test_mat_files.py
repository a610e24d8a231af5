"""MATLAB files, read here and by SciPy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from unitscope.concepts.formats.voc.mat_files import read_variable
from unitscope.errors import SourceError

KINDS = (
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float32",
    "float64",
    "bool",
)


def make_variables(rng: np.random.Generator) -> dict[str, Any]:
    """Arrays of every kind and some shapes, with names of several lengths."""
    shapes = [(1, 1), (3, 5), (8, 12), (2, 3, 4), (0, 0), (1, 7)]
    return {
        f"{'v' * (1 + index)}_{kind}": rng.integers(0, 100, shapes[index % len(shapes)]).astype(kind)
        for index, kind in enumerate(KINDS)
    }


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_of_every_kind_are_what_scipy_reads(tmp_path: Path, packed: bool) -> None:
    variables = make_variables(np.random.default_rng(0))
    savemat(tmp_path / "a.mat", variables, do_compression=packed)
    for name, value in loadmat(tmp_path / "a.mat").items():
        if not name.startswith("__"):
            np.testing.assert_array_equal(read_variable(tmp_path / "a.mat", name), value)
            np.testing.assert_array_equal(variables[name], value)


@pytest.mark.parametrize("packed", [False, True])
def test_structures_are_lists_of_dictionaries(tmp_path: Path, packed: bool) -> None:
    inner = np.zeros((1, 2), [("name", object), ("mask", object)])
    inner[0, 0] = "left", np.eye(3, dtype=np.uint8)
    inner[0, 1] = "höher", np.zeros((0, 0))
    savemat(tmp_path / "a.mat", {"top": {"parts": inner, "cells": [1, "x"]}}, do_compression=packed)
    [top] = read_variable(tmp_path / "a.mat", "top")
    first, second = top["parts"]
    assert (first["name"], second["name"], list(top)) == ("left", "höher", ["parts", "cells"])
    np.testing.assert_array_equal(first["mask"], np.eye(3))
    assert second["mask"].size == 0


def test_numbers_in_the_other_order_of_bytes_are_read(tmp_path: Path) -> None:
    def element(kind: int, content: bytes) -> bytes:
        padding = bytes(-len(content) % 8)
        return kind.to_bytes(4, "big") + len(content).to_bytes(4, "big") + content + padding

    numbers = np.array([[1, 2, 300], [4, 5, 6]], np.uint16)
    parts = element(6, (11).to_bytes(4, "big") + bytes(4)) + element(5, np.array([2, 3], ">i4").tobytes())
    short = (1).to_bytes(2, "big") + (1).to_bytes(2, "big") + b"x\0\0\0"
    parts += short + element(4, numbers.T.astype(">u2").tobytes())
    head = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI"
    (tmp_path / "a.mat").write_bytes(head + element(14, parts))
    np.testing.assert_array_equal(read_variable(tmp_path / "a.mat", "x"), numbers)
    np.testing.assert_array_equal(loadmat(tmp_path / "a.mat")["x"], numbers)


def test_every_changed_byte_is_read_or_told_in_one_line(tmp_path: Path) -> None:
    inner = np.zeros((1, 1), [("name", object), ("mask", object)])
    inner[0, 0] = "left", np.eye(3, dtype=np.uint8)
    savemat(tmp_path / "a.mat", {"top": {"parts": inner}})
    whole = (tmp_path / "a.mat").read_bytes()
    path, told = tmp_path / "b.mat", []
    for place in range(124, len(whole)):
        path.write_bytes(whole[:place] + bytes([255 - whole[place]]) + whole[place + 1 :])
        try:
            read_variable(path, "top")
        except SourceError as error:
            told.append(str(error))
    assert len(told) > 100
    assert all(message.startswith(f"{path}: ") and "\n" not in message for message in told)


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    savemat(tmp_path / "old.mat", {"x": np.ones((2, 2))}, format="4")
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform".ljust(200))
    (tmp_path / "folder.mat").mkdir()
    for name, message in {
        "old.mat": "it has no header of MATLAB 5 to 7",
        "new.mat": "of MATLAB 7.3, which is another format; save it with -v7",
        "none.mat": "the file is missing",
        "folder.mat": "folder.mat: a folder; put the file there",
    }.items():
        with pytest.raises(SourceError, match=message):
            read_variable(tmp_path / name, "x")
