"""The command that takes units for detectors, on drawn scenes."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import unitscope as us
from commands import assert_refused
from unitscope.cli import main
from unitscope.interventions import detect
from unitscope.views.detector_sheet import CAPTION, GAP, SIDE

DETECT = "detect zoo:scene-classifier --layer layer5 --concept"
SCENES = "--images drawn:count=48,seed=9,size=64"


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
    assert float(rows[0]["fitted"]) > 0.6
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
    words = "dissect zoo:scene-classifier --layers layer5 --concepts drawn:count=24,seed=1,size=64 --out run"
    assert main([*words.split(), "--shifts", "5", "--no-report"]) == 0
    with (place / "run" / "units.csv").open() as file:
        named = {int(row["unit"]): row["concept"] for row in csv.DictReader(file) if row["detector"] == "1"}
    capsys.readouterr()
    assert main(f"{DETECT} sky {SCENES} --unit 4 --run run --out one".split()) == 0
    said = capsys.readouterr().out
    assert "unit 4 with labels shuffled" in said
    with (place / "one" / "detectors.csv").open() as file:
        labels = {int(row["unit"]): row["label"] for row in csv.DictReader(file) if row["label"]}
    assert labels.keys() == named.keys()
    assert {one[:4] for one in labels.values()} == {one[:4] for one in named.values()}
    assert (place / "one" / "jitter.svg").read_text().count("unit 4") >= 2
    status = main(f"{DETECT} sky {SCENES} --run run".replace("layer5", "layer4").split())
    assert_refused(status, capsys, "no layer 'layer4'", "layer5", wanted=2)
    status = main(f"{DETECT} sky {SCENES} --run run --random-weights 0".split())  # of as many units
    assert_refused(status, capsys, "of zoo:scene-classifier with other weights", wanted=2)
    status = main(f"detect net.py:build --layer layer5 --concept sky {SCENES} --run none".split())
    assert_refused(status, capsys, "net.py", wanted=2)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("bok", ("no concept 'bok'", "book")),
        ("sky --top 0", ("top is 0",)),
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
    assert_refused(main(f"{DETECT} toilet {SCENES}".split()), capsys, "'toilet' is in", "of 48 images")


def test_a_generators_units_are_shown_with_what_they_miss(place, capsys):
    words = (
        "detect zoo:generator --layer layer2 --concept boat --images segmenter:zoo:segmenter,count=64,seed=3"
    )
    assert main(f"{words} --top 2 --out made --json".split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 <= len(found["silent"]["images"]) <= found["images"]
    assert found["silent"]["unit"] == found["units"][0]["unit"]
    picture = Image.open(place / "made" / "answers.png")
    assert picture.size == (8 * (SIDE + GAP) + GAP, 3 * (SIDE + CAPTION + 2 * GAP) + GAP)
    counts = [len(found[name]["images"]) for name in ("silent", "alarms")]
    counts = [found["images"] // 2 - counts[0], *counts]
    pixels = np.asarray(picture.convert("RGB"))
    for row, count in enumerate(counts):
        middle = pixels[row * (SIDE + CAPTION + 2 * GAP) + GAP + CAPTION + SIDE // 2]
        shown = [(middle[GAP + k * (SIDE + GAP) :][:SIDE] != 255).any() for k in range(8)]
        assert shown == [k < count for k in range(8)]
    assert main(f"{words} --share 0.001 --top 2 --json".split()) == 0
    assert json.loads(capsys.readouterr().out)["images"] >= found["images"]


def test_python_gives_what_the_command_prints_and_writes(place, capsys):
    assert main(f"{DETECT} sky {SCENES} --top 2 --share 0.05 --out command".split()) == 0
    printed = capsys.readouterr().out
    network, scenes = us.load_network("zoo:scene-classifier"), us.open_source("drawn:count=48,seed=9,size=64")
    found = detect(network, "layer5", scenes, "sky", top=2, share=0.05)
    assert printed.startswith(f"{found}\ncommand/detectors.csv\n")
    found.save("python")
    found.page("python")
    for path in (place / "command").iterdir():
        assert (place / "python" / path.name).read_bytes() == path.read_bytes()
