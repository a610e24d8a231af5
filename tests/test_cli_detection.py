"""The commands that fit a head and take units for detectors, on drawn scenes."""

import csv
import json

import pytest

from commands import assert_refused
from unitscope.cli import main

DETECT = "detect zoo:scene-classifier --layer layer5 --concept"
SCENES = "--images drawn:count=120,seed=9,size=64"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detection")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_the_best_units_are_printed_and_written(place, capsys):
    assert main(f"{DETECT} sky {SCENES} --top 3 --share 0.05 --out found".split()) == 0
    said = capsys.readouterr().out
    assert "unit  threshold  balanced accuracy   95 % interval  AUROC" in said
    assert "a unit by lot: 0." in said
    assert "the best unit with labels shuffled: 0." in said
    with (place / "found" / "detectors.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 160
    fitted = [float(row["fitted"]) for row in rows]
    assert fitted == sorted(fitted, reverse=True)
    assert float(rows[0]["balanced_accuracy"]) > 0.8
    assert f"{int(rows[0]['unit']):>4}  " in said
    figure = (place / "found" / "jitter.svg").read_text()
    assert f"unit {rows[0]['unit']} detects sky" in figure
    before = {path.name: path.read_bytes() for path in (place / "found").iterdir()}
    assert main(f"{DETECT} sky {SCENES} --top 3 --share 0.05 --out found --json".split()) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert "found/jitter.svg" in printed.err
    assert found["concepts"] == ["object/sky"]
    assert [one["unit"] for one in found["units"]] == [int(row["unit"]) for row in rows[:3]]
    assert {path.name: path.read_bytes() for path in (place / "found").iterdir()} == before


def test_one_unit_with_its_label_of_a_run(place, capsys):
    words = "dissect zoo:scene-classifier --layers layer5 --concepts drawn:count=60,seed=1,size=64 --out run"
    assert main([*words.split(), "--shifts", "5", "--no-report"]) == 0
    assert main(["show", "run", "--json"]) == 0
    units = json.loads(capsys.readouterr().out.partition("report")[0].split("run: run\n")[-1])["layers"]
    assert units
    assert main(f"{DETECT} sky {SCENES} --unit 4 --run run --out one".split()) == 0
    said = capsys.readouterr().out
    assert "unit 4 with labels shuffled" in said
    with (place / "one" / "detectors.csv").open() as file:
        labels = {row["label"] for row in csv.DictReader(file)}
    assert "sky" in labels
    assert (place / "one" / "jitter.svg").read_text().count("unit 4") >= 2
    status = main(f"{DETECT} sky {SCENES} --run run --random-weights 0".replace("layer5", "layer4").split())
    assert_refused(status, capsys, "no layer 'layer4'", "layer5", wanted=2)
    status = main(f"detect net.py:build --layer layer5 --concept sky {SCENES} --run none".split())
    assert_refused(status, capsys, "net.py", wanted=2)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("skie", ("no concept 'skie'", "sky")),
        ("sky --top 0", ("--top is 0",)),
        ("sky --unit 160", ("units 0 to 159, not 160",)),
        ("sky --share 2", ("share of pixels is 2",)),
        ("sky --layer layer6", ("no layer 'layer6'", "layer5")),
    ],
)
def test_wrong_words_are_told(place, capsys, words, parts):
    layer = "" if "--layer" in words else "--layer layer5"
    status = main(f"detect zoo:scene-classifier {layer} --concept {words} {SCENES}".split())
    assert_refused(status, capsys, *parts, wanted=2)


def test_too_few_images_are_told(place, capsys):
    assert_refused(main(f"{DETECT} toilet {SCENES}".split()), capsys, "'toilet' is in", "of 120 images")


def test_a_head_is_fitted_opened_and_used(place, capsys):
    words = "zoo head zoo:scene-classifier --images drawn:count=480,seed=5,size=64 --out head.safetensors"
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    assert "24 classes on the 160 features that head of zoo:scene-classifier reads" in said
    assert "use: head:head.safetensors as NETWORK, drawn:count=480,seed=5,size=64,half=test as images" in said
    first = (place / "head.safetensors").read_bytes()
    assert main([*words.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (place / "head.safetensors").read_bytes() == first
    assert found["accuracy"]["test"] > 0.8
    assert len(found["classes"]) == 24
    assert main(["layers", "head:head.safetensors"]) == 0
    assert "head    Linear       24 x 1 x 1" in capsys.readouterr().out.replace("layer1.0", "layer1.0")
    status = main(["layers", "head:head.safetensors", "--random-weights", "3"])
    assert_refused(status, capsys, "fitted on zoo:scene-classifier with digest")


@pytest.mark.parametrize(
    ("words", "parts", "wanted"),
    [
        ("zoo:segmenter --images drawn:count=48,size=64", ("no linear layer",), 1),
        ("zoo:scene-classifier --images drawn:count=30,size=64", ("too few images in the train half",), 1),
        ("zoo:scene-classifier --images drawn:count=30,size=64 --category object", ("no image of",), 1),
        ("zoo:scene-classifier --images drawn:count=30,size=64 --split 1", ("share of 1",), 2),
        ("zoo:scene-classifier --images drawn:count=30,size=64 --c 0", ("c is 0",), 2),
        ("head:none --images drawn:count=30,size=64", ("there is no head none",), 2),
    ],
)
def test_heads_that_cannot_be_are_told(place, capsys, words, parts, wanted):
    status = main(f"zoo head {words} --out none/head.safetensors".split())
    assert_refused(status, capsys, *parts, wanted=wanted)
    assert not (place / "none").exists()
