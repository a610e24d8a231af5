"""The commands of the zoo and of the studies, on little."""

import json

import numpy as np
import pytest
from PIL import Image

from commands import assert_refused, write_folder
from unitscope.cli import main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_training_ends_with_weights_that_dissect(place, capsys):
    words = "zoo train scene-classifier --steps 2 --pictures 72 --out zoo --keep 1"
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    assert "scene-classifier.safetensors  sha256 " in said
    home = place / "zoo" / "scene-classifier-0"
    assert {path.name for path in home.iterdir()} == {
        "checkpoint.pt",
        "curve.csv",
        "scene-classifier.safetensors",
        "step-1.safetensors",
    }
    assert main(words.split()) == 0
    assert capsys.readouterr().out == said
    words = "zoo grade scene-classifier --count 24 --pictures zoo/pictures --json --weights"
    assert main([*words.split(), str(home / "scene-classifier.safetensors")]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["accuracy"] < 0.5


def test_another_recipe_is_not_trained_into_the_same_folder(place, capsys):
    status = main(["zoo", "train", "scene-classifier", "--steps", "3", "--pictures", "72", "--out", "zoo"])
    assert_refused(status, capsys, "holds another training", "choose another folder")


def test_fewer_pictures_than_a_batch_are_refused(place, capsys):
    status = main(["zoo", "train", "scene-classifier", "--pictures", "24", "--out", "few"])
    assert_refused(status, capsys, "24 pictures", "64 pictures", wanted=2)
    assert not (place / "few").exists()


def test_an_unknown_network_of_the_zoo_is_told(place, capsys):
    assert_refused(main(["zoo", "train", "lion"]), capsys, "'lion'", "scene-classifier", wanted=2)


def test_the_grade_study_writes_its_tables_and_figure(place, capsys, monkeypatch):
    from unitscope.lab.studies import grade, planting

    few = [planting.Degradation("noise", 0.0)]
    monkeypatch.setattr(grade, "list_degradations", lambda: iter(few))
    assert main(["study", "grade", "--images", "32", "--seeds", "1", "--out", "grade", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["convention"] for row in found["planted"]} == {row["convention"] for row in found["nulls"]}
    assert {path.name for path in (place / "grade").iterdir()} == {"planted.csv", "nulls.csv", "figure.svg"}


def write_shades(folder):
    """Twelve images of noise, dark or bright, in folders of that name."""
    random = np.random.default_rng(0)
    for number in range(12):
        name, level = (("dark", 0), ("bright", 150))[number % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        noise = random.integers(0, 60, (64, 64, 3), dtype=np.uint8) + np.uint8(level)
        Image.fromarray(noise).save(folder / name / f"{number}.png")


def test_a_head_is_fitted_opened_and_used(place, capsys):
    write_shades(place / "shades")
    words = "zoo head zoo:scene-classifier --images folder:shades --split 0.6 --seed 2 --out head.safetensors"
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    assert "2 classes on the 160 features that head of zoo:scene-classifier reads" in said
    assert "use: head:head.safetensors as NETWORK, folder:shades,half=test:0.6:2 as images" in said
    first = (place / "head.safetensors").read_bytes()
    assert main([*words.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (place / "head.safetensors").read_bytes() == first
    assert found["accuracy"] == {"train": 1.0, "test": 1.0}
    assert found["classes"]["dark"]["train"] + found["classes"]["dark"]["test"] == 6
    assert found["test"] == "folder:shades,half=test:0.6:2"
    assert main(["layers", "head:head.safetensors"]) == 0
    assert "head      Linear       whole     2 x 1 x 1" in capsys.readouterr().out
    status = main(["layers", "head:head.safetensors", "--random-weights", "3"])
    assert_refused(status, capsys, "fitted on zoo:scene-classifier with digest")


def test_no_pictures_grade_nothing(capsys):
    assert_refused(
        main(["zoo", "grade", "scene-classifier", "--count", "0"]), capsys, "the count is 0", wanted=2
    )


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


def test_a_segmenter_of_ones_own_is_trained_measured_and_used(place, capsys, monkeypatch):
    from unitscope.lab.zoo import parser

    monkeypatch.setattr(parser, "CHANNELS", (4, 4, 8, 8, 8))
    write_folder(place / "own", images=8)
    words = "zoo train segmenter --images own --split 0.5 --steps 3 --out zoo"
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    assert "2 classes from 4 pictures, measured on 4 others" in said
    assert "segmenter: zoo/own-0/segmenter.safetensors  sha256 " in said
    assert main([*words.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sha256"] in said
    words += " --images own/images --masks own/masks --out zoo2 --json"
    assert main(words.split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test"] == f"folder:{place}/own/images,masks={place}/own/masks,half=test"
    assert [row["concept"] for row in found["classes"]] == ["cat", "sky"]
    words = "dissect zoo:generator --layers layer2 --out painted --no-report --shifts 5"
    words += " --concepts segmenter:zoo/own-0/segmenter.safetensors,count=16"
    assert main(words.split()) == 0


@pytest.mark.parametrize(
    ("words", "parts", "wanted"),
    [
        ("scene-classifier --images own", ("only the segmenter",), 2),
        ("segmenter --images own --pictures 3", ("--pictures are drawn ones",), 2),
        ("segmenter --masks own/masks", ("go with --images",), 2),
        ("segmenter --images none", ("'none' is no source",), 2),
        ("segmenter --images own --split 1", ("share of 1 ",), 2),
        ("segmenter --images own --split 0.25", ("2 of the 2 pictures to train on have masks",), 1),
        ("segmenter --images own --masks own", ("lie in each other",), 2),
    ],
)
def test_segmenters_that_cannot_be_are_told(place, capsys, words, parts, wanted):
    if not (place / "own").is_dir():
        write_folder(place / "own", images=8)
    assert_refused(main(f"zoo train {words} --out never".split()), capsys, *parts, wanted=wanted)
    assert not (place / "never").exists()
