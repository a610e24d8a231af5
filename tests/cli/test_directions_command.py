"""`unitscope directions fit`: a file of directions, which other commands read a layer in."""

import json
from pathlib import Path

import pytest

from commands import DRAWN, assert_refused, dissect, write_networks
from unitscope.cli import main
from unitscope.networks.directions.drawn import draw_sae
from unitscope.networks.directions.files import load_directions, save_directions


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(write_networks(tmp_path))
    return tmp_path


def fit(*more: str, kind="topk-sae", layer="1", images=DRAWN, out="sae.safetensors") -> int:
    words = f"directions fit net.py:small --layer {layer} --images {images} --kind {kind} --out {out}"
    return main([*words.split(), "--threads", "1", *more])


SAE = ("--latents", "12", "--k", "2", "--steps", "40", "--batch-cells", "256")


def test_a_fitted_file_reads_the_layer(capsys) -> None:
    assert fit(*SAE) == 0
    said = capsys.readouterr().out
    assert "topk-sae: 12 latents of 6 units, fitted to 6,144 cells of 1 of net.py:small" in said
    assert "explained " in said
    assert said.endswith("directions: sae.safetensors\nuse: --layers 1+sae.safetensors\n")
    assert load_directions("sae.safetensors").latents == 12
    assert not Path("sae.safetensors.unfinished").exists()
    assert dissect(layers="1+sae.safetensors") == 0
    assert "1+sae.safetensors" in Path("run/units.csv").read_text()


def test_json_has_all_that_the_file_says(capsys) -> None:
    assert fit("--latents", "3", "--json", kind="pca") == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found == found | load_directions("sae.safetensors").about
    assert (found["kind"], found["units"], found["latents"]) == ("pca", 6, "3")
    assert "use: --layers 1+sae.safetensors" in said.err


def test_probes_have_the_names_of_concepts() -> None:
    assert fit("--concepts", "sky", "color/white", kind="probe", images="drawn:count=24,size=64") == 0
    assert load_directions("sae.safetensors").names == ("object/sky", "color/white")


@pytest.mark.parametrize(
    ("words", "status", "parts"),
    [
        ((("--latents", "0", "--k", "1")), 2, ("latents is 0",)),
        ((("--latents", "8", "--k", "9")), 2, ("k is 9", "1 to 8")),
        ((("--latents", "8")), 2, ("topk-sae wants k", "--k 16")),
        (((*SAE, "--rate", "0")), 2, ("rate is 0.0",)),
        (((*SAE, "--seed", "-1")), 2, ("the seed is -1",)),
        (((*SAE, "--cells", "2")), 2, ("2 cells of 6 images", "--cells 6")),
        (((*SAE, "--memory", "0")), 2, ("--memory is 0.0",)),
    ],
)
def test_numbers_out_of_range_are_one_line(words, status, parts, capsys) -> None:
    assert_refused(fit(*words), capsys, *parts, wanted=status)
    assert not Path("sae.safetensors.unfinished").exists()


@pytest.mark.parametrize(
    ("given", "status", "parts"),
    [
        ({"layer": "9"}, 2, ("no layer '9'",)),
        ({"layer": "1+rotation:0"}, 2, ("in directions already",)),
        ({"kind": "topk"}, 2, ("--kind", "topk-sae")),
        ({"images": "folder:nowhere"}, 2, ("nowhere",)),
        ({"images": "folder:empty"}, 1, ("empty",)),
        ({"out": "sae.pt"}, 2, ("FILE.safetensors, not sae.pt",)),
        ({"out": "there.safetensors"}, 1, ("there.safetensors is there already",)),
        ({"out": "net.py/sae.safetensors"}, 1, ("cannot write",)),
    ],
)
def test_what_cannot_be_opened_or_written_is_one_line(given, status, parts, capsys) -> None:
    Path("empty").mkdir()
    save_directions(draw_sae(6, 8, 2, 0), "there.safetensors")
    assert_refused(fit(*SAE, **given), capsys, *parts, wanted=status)


def test_components_of_a_layer_below_0_are_one_line(capsys) -> None:
    assert_refused(fit("--latents", "2", kind="nmf", layer="0"), capsys, "below 0", "pca or ica", wanted=2)
