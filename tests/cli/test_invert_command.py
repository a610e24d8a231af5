"""The command that brings a picture into a generator: what it writes, prints and refuses."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inverted import SIDE, some_picture
from unitscope.cli import main
from unitscope.interventions import inversion, load_inversion
from unitscope.networks.load import load_network

TESTS = Path(__file__).parent.parent
FACTORIES = """
import sys
sys.path.insert(0, {tests!r})
from generated import planted_segmenter
from inverted import small_generator
def generator():
    return small_generator("small.py:generator")
def segmenter():
    return planted_segmenter()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("invert")
    (folder / "small.py").write_text(FACTORIES.format(tests=str(TESTS)))
    Image.fromarray(some_picture()).save(folder / "edge.png")
    (folder / "text.png").write_text("not a picture")
    return folder


def descend_briefly(descend, variables, rate, loss, steps, *more):
    descend(variables, rate, loss, min(steps, 3), *more)


def test_a_picture_is_brought_in_once_and_written(folder, capsys, monkeypatch):
    words = ["invert", f"{folder}/small.py:generator", "--photo", f"{folder}/edge.png"]
    words += ["--segmenter", f"{folder}/small.py:segmenter", "--out", f"{folder}/out"]
    monkeypatch.setattr(inversion, "_descend", partial(descend_briefly, inversion._descend))
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("edge.png in ")
    assert "PSNR, dB" in printed
    assert "make" in printed
    out = folder / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "inversion.safetensors",
        "stages.csv",
        "stages.png",
    ]
    generator = load_network(f"{folder}/small.py:generator")
    found = load_inversion(out / "inversion.safetensors", generator)
    assert np.array_equal(found.picture, some_picture())
    with Image.open(out / "stages.png") as sheet:
        assert sheet.size == (4 * SIDE + 3 * 2, SIDE)
    monkeypatch.setattr(inversion, "_descend", None)  # a second time nothing is fitted
    before = (out / "inversion.safetensors").read_bytes()
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["layer"] == "middle"
    assert [row["stage"] for row in said["stages"]] == ["latent", "middle", "maps"]
    assert all(0 <= row["named_alike"] <= 1 for row in said["stages"])
    assert (out / "inversion.safetensors").read_bytes() == before


def test_what_cannot_be_brought_in_is_refused_in_one_line(folder, capsys):
    spec = f"{folder}/small.py:generator"
    for words, said in (
        (["zoo:scene-classifier", "--photo", f"{folder}/edge.png"], "makes no images"),
        ([spec, "--photo", f"{folder}/none.png"], "there is no file"),
        ([spec, "--photo", f"{folder}/text.png"], "cannot be read as a picture"),
        ([spec, "--photo", str(folder)], "cannot be read"),
        ([spec, "--photo", f"{folder}/edge.png", "--layer", "conv"], "it is one of early"),
    ):
        assert main(["invert", *words, "--out", f"{folder}/refused"]) == 2
        told = capsys.readouterr().err.strip()
        assert said in told
        assert told.startswith("unitscope: ")
        assert "\n" not in told
    assert not (folder / "refused").exists()
