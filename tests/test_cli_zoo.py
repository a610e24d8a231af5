"""The commands of the zoo and of the studies, on little."""

import json

import pytest

from commands import assert_refused
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


def test_the_axis_study_writes_its_table_and_figure(place, capsys):
    words = "study axis --concepts drawn:count=24,seed=1,size=64 --rotations 1 --layer layer5 --out axis"
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    assert "| trained 0 | units |" in said
    assert {path.name for path in (place / "axis").iterdir()} == {"bases.csv", "figure.svg"}


def test_the_grade_study_writes_its_tables_and_figure(place, capsys, monkeypatch):
    from unitscope.studies import grade, planting

    few = [planting.Degradation("noise", 0.0)]
    monkeypatch.setattr(grade, "list_degradations", lambda: iter(few))
    assert main(["study", "grade", "--images", "32", "--seeds", "1", "--out", "grade", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["convention"] for row in found["planted"]} == {row["convention"] for row in found["nulls"]}
    assert {path.name for path in (place / "grade").iterdir()} == {"planted.csv", "nulls.csv", "figure.svg"}
