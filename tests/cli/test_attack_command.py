"""`unitscope attack`, on little."""

import csv
import json

import pytest
import torch
from PIL import Image

import unitscope as us
from commands import assert_refused
from machines import SentAway
from unitscope.cli import main
from unitscope.experiments import study_attacks
from unitscope.interventions import ProjectedGradient

WORDS = "attack zoo:scene-classifier --layer layer5 --images drawn:count=48,size=64,seed=3"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attack")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def run(*more, images=None):
    words = WORDS if images is None else WORDS.replace("drawn:count=48,size=64,seed=3", images)
    return main([*words.split(), *more])


def test_an_attack_prints_a_table_and_writes_its_files(place, capsys):
    words = "dissect zoo:scene-classifier --layers layer5 --concepts drawn:count=12,size=64 --out run"
    assert main([*words.split(), "--shifts", "5", "--no-report", "--threads", "1"]) == 0
    capsys.readouterr()
    more = "--targets kitchen beach --count 2 --steps 4 --out out --run run"
    assert run(*more.split()) == 0
    said = capsys.readouterr().out
    assert "| to kitchen | −" in said
    assert "4 of 4 attacks succeeded" in said
    names = {"movement.csv", "attacks.csv", "movement.svg", "pictures.png"}
    assert {path.name for path in (place / "out").iterdir()} == names
    rows = list(csv.DictReader((place / "out" / "attacks.csv").read_text().splitlines()))
    assert {row["target"] for row in rows} == {"kitchen", "beach"}
    with Image.open(place / "out" / "pictures.png") as sheet:
        assert sheet.width > 1000
    assert run(*more.split(), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["key"] for row in told["attacks"]] == [row["key"] for row in rows]
    assert {row["group"] for row in told["movements"]} == {"source", "target", "rest", "random"}


@pytest.mark.parametrize("method", ["pgd-l2", "pgd-linf"])
def test_projected_gradients_attack_too(place, capsys, method):
    assert (
        run("--targets", "kitchen", "--count", "1", "--method", method, "--random-start", "--steps", "8") == 0
    )
    assert "1 of 1 attacks succeeded" in capsys.readouterr().out


def test_an_attack_that_never_succeeds_says_so_and_writes_what_it_has(place, capsys):
    (place / "none").mkdir()
    (place / "none" / "movement.svg").write_text("of an earlier run")
    words = "--targets kitchen --count 1 --method pgd-linf --eps 0.0001 --steps 1 --out none"
    status = run(*words.split())
    assert_refused(status, capsys, "none of 1 attacks succeeded", "--steps", "--eps")
    assert {path.name for path in (place / "none").iterdir()} == {
        "movement.csv",
        "attacks.csv",
        "pictures.png",
    }
    assert (place / "none" / "movement.csv").read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("words", "parts", "status"),
    [
        ("--targets kitchn", ("no class 'kitchn'", "near names: kitchen"), 2),
        ("--targets 24", ("classes 0 to 23, not 24",), 2),
        ("--targets kitchen --layer layr5", ("no layer 'layr5'", "near names: layer5"), 2),
        ("--targets kitchen --layer head", ("layer head", "gives the classes themselves"), 2),
        ("--targets kitchen --count 100", ("images can be attacked", "--count"), 1),
        ("--targets kitchen --count 0", ("0 images",), 2),
        ("--targets kitchen --eps 1", ("--eps", "cw"), 2),
        ("--targets kitchen --random-start", ("--random-start", "cw"), 2),
        ("--targets kitchen --steps 0", ("steps", "1 or more"), 2),
        ("--targets kitchen --method pgd-l2 --eps -1", ("eps", "above 0"), 2),
        ("--targets kitchen --method cv", ("cv",), 2),
        ("--targets kitchen --seed -1", ("--seed is -1",), 2),
        ("--targets kitchen --workers 0", ("--workers is 0; it must be at least 1",), 2),
        ("--targets kitchen --out file", ("file is a file",), 2),
        ("--targets kitchen --run run --layer layer4", ("no layer 'layer4'", "layer5"), 2),
        ("--targets kitchen --run nowhere", ("nowhere",), 1),
        ("--targets kitchen --weights nowhere", ("nowhere",), 1),
        ("", ("--targets",), 2),
    ],
)
def test_what_cannot_be_is_told_in_one_line(place, capsys, words, parts, status):
    (place / "file").write_text("")
    assert_refused(run(*words.split()), capsys, *parts, wanted=status)


def test_images_without_classes_of_the_network_are_told(place, capsys):
    for shade in ("mauve", "taupe"):
        (place / "shades" / shade).mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(place / "shades" / shade / "1.png")
    status = run("--targets", "kitchen", images="folder:shades")
    assert_refused(status, capsys, "no image is labelled with a class", wanted=2)


def test_a_run_of_other_weights_is_told(place, capsys):
    words = "dissect zoo:scene-classifier --random-weights 1 --layers layer5 --concepts drawn:count=6,size=64"
    more = "--out other --shifts 0 --no-report --threads 1"
    assert main([*words.split(), *more.split()]) == 0
    capsys.readouterr()
    status = run("--targets", "kitchen", "--run", "other")
    assert_refused(status, capsys, "the run is of zoo:scene-classifier with other weights", wanted=2)


def test_python_gives_what_the_command_with_workers_prints_and_writes(place, capsys, monkeypatch):
    monkeypatch.setattr("unitscope.dissection.workers.Processes", SentAway)
    words = "--targets kitchen --count 5 --method pgd-l2 --steps 6 --draws 2 --out command --workers 2"
    assert run(*words.split(), "--threads", str(torch.get_num_threads())) == 0
    printed = capsys.readouterr().out
    network, scenes = us.load_network("zoo:scene-classifier"), us.open_source("drawn:count=48,size=64,seed=3")
    attack = ProjectedGradient("l2", steps=6)
    study = study_attacks(network, "layer5", scenes, ["kitchen"], attack, count=5, draws=2)
    assert printed.startswith(f"{study}\n\ntables: command\n")
    study.save("python")
    study.page("python")
    for path in (place / "command").iterdir():
        assert (place / "python" / path.name).read_bytes() == path.read_bytes()
