"""`unitscope explain`: what it prints and writes, and what it refuses."""

import json

import numpy as np
import pytest
from PIL import Image

import unitscope as us
from commands import assert_refused, write_networks
from unitscope.cli import main
from unitscope.interventions import explain as us_explain

ZOO = "zoo:scene-classifier"
SCENE = "drawn:count=40,seed=9,size=64#3"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run of the zoo's classifier, pictures, and networks."""
    folder = write_networks(tmp_path_factory.mktemp("explain"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = f"dissect {ZOO} --layers layer4 layer5 --concepts drawn:count=24,seed=3,size=64 --out run"
        assert main([*words.split(), "--no-report", "--shifts", "5"]) == 0
        noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "noise.png")
        (folder / "broken.png").write_bytes((folder / "noise.png").read_bytes()[:200])
        yield folder


def explain(*words: str) -> int:
    return main(["explain", *words])


def test_it_prints_the_prediction_and_a_sum(place, capsys):
    assert explain(ZOO, SCENE, "--run", "run", "--layer", "layer5", "--units", "4") == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == f"in the browser: unitscope look {ZOO} --run run"
    assert lines[0].startswith(f"{SCENE}: ")
    assert "(right)" in lines[0] or "(wrong: the label is " in lines[0]
    assert lines[1] == "exact sum over 160 units of layer5"
    assert lines[2].split() == ["unit", "label", "activation", "contribution", "share"]
    assert len(lines) == 3 + 4 + 3
    assert any("(" in line for line in lines[3:7])
    figures = [float(line.split()[-2]) for line in lines[3:7]]
    figures += [float(line.split()[-1]) for line in lines[7:]]
    assert figures[:4] == sorted(figures[:4], reverse=True)
    assert sum(figures[:-1]) == pytest.approx(figures[-1], abs=0.05)


def test_json_says_the_same_and_files_are_written(place, capsys):
    assert explain(ZOO, SCENE, "noise.png", "--out", "two", "--json") == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told == json.loads((place / "two" / "explanation.json").read_text())
    assert {file.name for file in (place / "two").iterdir()} == {
        "explanation-1.png",
        "explanation-2.png",
        "explanation.json",
    }
    assert "picture: two/explanation-1.png" in said.err
    scene, noise = told["explanations"]
    assert scene["right"] is not None
    assert noise["truth"] is None
    for one in (scene, noise):
        assert sum(one["contributions"]) + one["rest"] == pytest.approx(one["logit"], abs=1e-4)
        assert [row["label"] for row in one["units"]] == [None] * 6
    assert explain(ZOO, SCENE, "--out", "one") == 0
    first = (place / "one" / "explanation.png").read_bytes()
    assert first == (place / "two" / "explanation-1.png").read_bytes()


def test_another_class_can_be_explained(place, capsys):
    assert explain(ZOO, SCENE, "--class", "living room", "--json") == 0
    told = json.loads(capsys.readouterr().out)["explanations"][0]
    assert told["class"] == "living room"
    assert told["predicted"] != "living room"


def test_a_layer_further_down_is_said_to_be_approximate(place, capsys):
    assert explain(ZOO, SCENE, "--layer", "layer3", "--out", "low") == 0
    said = capsys.readouterr().out
    assert "an approximation, gradient times activation over 128 units of layer3; the sum is off by" in said
    assert "what the sum misses" in said
    status = explain(ZOO, SCENE, "--layer", "layer3", "--exact")
    assert_refused(status, capsys, "layer3 do not reach a last linear layer", "approximation")


def test_the_deletion_test_writes_table_and_figure(place, capsys):
    words = "--deletion drawn:count=12,seed=5,size=64 --out deleted"
    assert explain(ZOO, *words.split()) == 0
    said = capsys.readouterr().out
    assert "predicted class without some units: 12 images, exact contributions, 10 random draws each" in said
    assert "top contributors" in said
    assert "figure: deleted/deletion.svg" in said
    assert {file.name for file in (place / "deleted").iterdir()} == {
        "deletion.csv",
        "deletion.svg",
        "explanation.json",
    }
    assert len((place / "deleted" / "deletion.csv").read_text().splitlines()) == 1 + 3 * 5


@pytest.mark.parametrize(
    ("words", "parts", "wanted"),
    [
        ("", ("no image was named",), 2),
        ("nowhere.png", ("there is no file nowhere.png", "SOURCE#INDEX"), 2),
        ("broken.png", ("broken.png: cannot be read as a picture",), 1),
        ("drawn:count=4,size=64#4", ("images 0 to 3, not 4",), 2),
        ("drawn:count=4,size=64#", ("images 0 to 3, not nothing",), 2),
        ("dawn#4", ("'dawn' is no source of concepts",), 2),
        (f"{SCENE} --layer layer9", ("no layer 'layer9'", "near names: layer5"), 2),
        (f"{SCENE} --layer head", ("head of zoo:scene-classifier gives the classes themselves",), 2),
        (f"{SCENE} --class kichen", ("no class 'kichen'", "near names: kitchen"), 2),
        (f"{SCENE} --class 24", ("classes 0 to 23, not 24",), 2),
        (f"{SCENE} --units 0", ("units is 0",), 2),
        (f"{SCENE} --run run", ("run holds the layers layer4, layer5", "--layer"), 2),
        (f"{SCENE} --run run --layer layer3", ("the run has no layer 'layer3'",), 2),
        (f"{SCENE} --run nothing", ("nothing holds no run.json",), 1),
        (f"{SCENE} --deletion drawn:count=3,size=64 --draws 0", ("0 random draws",), 2),
        (f"{SCENE} --deletion drawn:count=3,size=64 --seed -1", ("the seed is -1",), 2),
        (f"{SCENE} --out noise.png", ("noise.png is a file",), 2),
    ],
)
def test_bad_input_is_told_in_one_line(place, capsys, words, parts, wanted):
    assert_refused(explain(ZOO, *words.split()), capsys, *parts, wanted=wanted)


def test_a_run_of_another_network_is_refused(place, capsys):
    status = explain("net.py:small", "noise.png", "--run", "run")
    assert_refused(status, capsys, "of zoo:scene-classifier with other weights than net.py:small", wanted=2)


def test_a_network_without_logits_is_refused(place, capsys):
    assert_refused(explain("net.py:small", "noise.png"), capsys, "no logits")


def test_python_gives_what_the_command_prints_and_writes(place, capsys):
    more = ["--run", "run", "--layer", "layer5", "--deletion", "drawn:count=8,seed=5,size=64", "--seed", "2"]
    assert explain(ZOO, SCENE, "noise.png", *more, "--out", "command") == 0
    printed = capsys.readouterr().out
    deletion = us.open_source("drawn:count=8,seed=5,size=64")
    found = us_explain(
        us.load_network(ZOO), [SCENE, "noise.png"], "layer5", run=us.load("run"), deletion=deletion, seed=2
    )
    assert printed.startswith(f"{found}\npicture: command/explanation-1.png\n")
    found.save("python")
    found.page("python")
    for path in (place / "command").iterdir():
        assert (place / "python" / path.name).read_bytes() == path.read_bytes()
