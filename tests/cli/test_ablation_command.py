"""The command that removes units: tables, page, JSON, the same bytes again, and what it refuses."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

import unitscope as us
from commands import assert_refused
from machines import SentAway
from unitscope.cli import main
from unitscope.experiments import study_removal
from unitscope.lab.world.scenes import paint
from unitscope.lab.world.shading import render

IMAGES = "folder:scenes,category=scene"
WORDS = ["ablate", "zoo:scene-classifier", "--layer", "layer5", "--images", IMAGES]
FEW = [*WORDS, "--classes", "street", "garden"]
FILES = {"importance.csv", "removal.csv", "classes.csv", "graph.json", "index.html", "look.css"}


def paint_scenes(folder, images, seed):
    """Drawn scenes as files in folders by class."""
    for name, count in images.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(render(paint(seed, index, 64, name)[1])).save(folder / name / f"{index}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        paint_scenes(folder / "scenes", {"street": 8, "garden": 8, "beach": 10, "library": 10}, 0)
        paint_scenes(folder / "others", {"street": 4, "garden": 4, "cafe": 4}, 1)
        paint_scenes(folder / "few", {"street": 2, "garden": 8}, 2)
        layers = ["--layers", "layer5", "--concepts", "drawn:count=40,seed=9,size=64"]
        assert main(["dissect", "zoo:scene-classifier", *layers, "--out", "run", "--shifts", "5"]) == 0
        yield folder


@pytest.fixture(scope="module")
def done(place):
    assert main([*FEW, "--run", "run", "--counts", "3", "40", "--out", "one"]) == 0
    return place / "one"


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_tables_hold_what_was_measured(done):
    assert {path.name for path in done.iterdir()} == {*FILES, "figures", "pictures"}
    importance = read(done / "importance.csv")
    assert len(importance) == 2 * 160
    for name in ("street", "garden"):
        rows = [row for row in importance if row["class"] == name]
        assert [int(row["rank"]) for row in rows] == list(range(1, 161))
        drops = [float(row["contrast_drop"]) for row in rows]
        assert drops == sorted(drops, reverse=True)
    layer = us.load(done.parent / "run")["layer5"]
    for row in importance:
        told = layer[int(row["unit"])]
        assert float(row["iou"]) == pytest.approx(told.iou, rel=1e-5)
        assert row["concept"] == (told.concept.name if told.concept else "")
    removal = read(done / "removal.csv")
    assert {(row["kind"], row["count"]) for row in removal} == {
        ("none", "0"),
        *((kind, n) for kind in ("most", "only", "least", "random") for n in ("3", "4", "20", "40")),
    }
    lots = [row for row in removal if (row["class"], row["kind"], row["count"]) == ("street", "random", "20")]
    assert [int(row["draw"]) for row in lots] == list(range(10))
    classes = read(done / "classes.csv")
    [mean] = [row for row in classes if (row["class"], row["kind"]) == ("street", "random")]
    values = [float(row["balanced_accuracy"]) for row in lots]
    assert float(mean["balanced_accuracy"]) == pytest.approx(np.mean(values), abs=1e-5)
    assert float(mean["balanced_low"]) == pytest.approx(np.quantile(values, 0.025), abs=1e-5)


def test_the_graph_joins_classes_and_units(done):
    graph = json.loads((done / "graph.json").read_text())
    assert graph["classes"] == ["street", "garden"]
    assert len(graph["edges"]) == 8
    for node in graph["units"]:
        joined = [edge["class"] for edge in graph["edges"] if edge["unit"] == node["unit"]]
        assert node["classes"] == joined
    counts = [len(node["classes"]) for node in graph["units"]]
    assert counts == sorted(counts, reverse=True)


def test_the_important_units_are_needed_where_random_ones_are_not(done):
    rows = [row for row in read(done / "removal.csv") if row["count"] == "40"]
    balanced = {
        kind: np.mean([float(row["balanced_accuracy"]) for row in rows if row["kind"] == kind])
        for kind in ("most", "random", "least")
    }
    assert balanced["most"] < balanced["random"] - 0.1
    assert balanced["most"] < balanced["least"] - 0.1


def test_workers_give_the_same_bytes_and_json_the_same_figures(done, capsys, monkeypatch):
    monkeypatch.setattr("unitscope.dissection.workers.Processes", SentAway)
    shared = ["--workers", "2", "--threads", str(torch.get_num_threads())]
    again = [*FEW, "--run", "run", "--counts", "40", "3", "--out", "two", "--json", *shared]
    assert main(again) == 0
    found = json.loads(capsys.readouterr().out)
    files = [path.relative_to(done) for path in done.rglob("*") if path.is_file()]
    for path in files:
        assert (done / path).read_bytes() == (done.parent / "two" / path).read_bytes(), path
    rows = read(done / "classes.csv")
    assert [row["target"] for row in found["table"]] == [None] * 6 + ["street"] * 6 + ["garden"] * 6
    for row, line in zip(found["table"], rows, strict=True):
        assert row["balanced"]["value"] == pytest.approx(float(line["balanced_accuracy"]), abs=1e-5)


def test_two_sources_and_no_run_do_too(place, capsys):
    test = ["--test", "folder:others,category=scene", "--by", "accuracy", "--draws", "3"]
    assert main([*FEW, *test, "--counts", "2", "--out", "three"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("removed")
    assert "mean of 2" in said
    assert "page: three/index.html" in said
    page = (place / "three" / "index.html").read_text()
    assert "tested on <bdi>folder:others,category=scene" in page
    assert "pictures/" not in page
    assert {row["iou"] for row in read(place / "three" / "importance.csv")} == {""}


@pytest.mark.parametrize(
    ("words", "parts", "status"),
    [
        (["--classes", "streat"], ["no class 'streat'", "near names: street"], 2),
        (
            ["--images", "folder:few,category=scene", "--classes", "street"],
            ["'street' has ", "2 or more"],
            1,
        ),
        (["--images", "drawn:count=2,size=64"], ["no image is left", "every class needs two"], 1),
        (["--layer", "layer9"], ["'layer9'", "unitscope layers"], 2),
        (["--layer", "head"], ["layer head of zoo:scene-classifier gives the classes", "take one before"], 2),
        (["--counts", "4", "161"], ["has 160 units", "161"], 2),
        (["--counts", "0"], ["has 160 units", "[0]"], 2),
        (["--draws", "1"], ["1 random draws", "10 or more"], 2),
        (["--seed", "-1"], ["--seed is -1"], 2),
        (["--workers", "0"], ["--workers is 0; it must be at least 1"], 2),
        (["--threads", "0"], ["--threads is 0; it must be at least 1"], 2),
        (["--ray", "nowhere:x"], ["no address of a Ray cluster"], 2),
        (["--run", "gone"], ["gone"], 1),
        (["--run", "run", "--layer", "layer4"], ["no layer 'layer4'", "near names: layer5"], 2),
        (["--images", "folder:gone"], ["gone"], 2),
        (["--out", "run/units.csv"], ["is a file"], 2),
    ],
)
def test_what_cannot_be_is_told_in_one_line(place, words, parts, status, capsys):
    base = {**dict(zip(WORDS[2::2], WORDS[3::2], strict=True)), "--out": "refused"}
    taken = words[::2] if len(words) % 2 == 0 and all(w.startswith("--") for w in words[::2]) else words[:1]
    kept = [word for name, value in base.items() if name not in taken for word in (name, value)]
    assert_refused(main([*WORDS[:2], *kept, *words]), capsys, *parts, wanted=status)
    assert not (place / "refused").exists()


def test_a_run_of_other_weights_is_refused(place, capsys):
    from safetensors.torch import save_file

    network = us.load_network("zoo:scene-classifier", random=1)
    save_file(network.module.state_dict(), "other.safetensors")
    words = [*FEW, "--run", "run", "--weights", "other.safetensors", "--out", "refused"]
    assert_refused(main(words), capsys, "other weights", "the run of this network", wanted=2)


def test_a_network_without_names_of_classes_is_refused(place, capsys):
    (place / "bare.py").write_text(
        "from torch import nn\n"
        "def build(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 62 * 62, 3))\n"
    )
    words = ["ablate", "bare.py:build", "--layer", "0", "--images", IMAGES, "--out", "refused"]
    assert_refused(main(words), capsys, "no class names", wanted=2)


def test_python_gives_what_the_command_prints_and_writes(place, done, capsys):
    assert main([*FEW, "--draws", "3", "--counts", "2", "--out", "four"]) == 0
    printed = capsys.readouterr().out
    study = study_removal(
        us.load_network("zoo:scene-classifier"),
        "layer5",
        us.open_source(IMAGES),
        classes=["street", "garden"],
        counts=[2],
        draws=3,
    )
    assert printed.startswith(f"{study}\n\ntables: four/importance.csv, ")
    study.save("five")
    for name in study.files:
        assert (place / "five" / name).read_bytes() == (place / "four" / name).read_bytes()


TOKENS = """
import timm, torch, unitscope as us

def make():
    torch.manual_seed(0)
    sizes = dict(img_size=64, embed_dim=12, depth=1, num_heads=2, num_classes=2)
    module = timm.create_model("vit_tiny_patch16_224", reg_tokens=2, **sizes)
    return us.Network(module, us.Preprocessing(size=(64, 64)), ("street", "garden"))
"""


def test_units_are_removed_from_the_tokens_that_are_named(place, capsys):
    (place / "tokens.py").write_text(TOKENS)
    words = ["ablate", "tokens.py:make", "--layer", "norm", "--images", "folder:others,category=scene"]
    printed = []
    for tokens in ((), ("--tokens", "all"), ("--tokens", "class")):
        assert main([*words, *tokens, "--draws", "2", "--out", "tokens", "--json"]) == 0
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0] == printed[1]
    assert (printed[1].pop("tokens"), printed[2].pop("tokens")) == ("all", "class")
    assert printed[1] == printed[2]  # the head reads the class token alone
    assert_refused(
        main([*words, "--tokens", "patches"]), capsys, "norm in its patches", "(--tokens)", wanted=2
    )
    words[3] = "patch_embed"
    told = "layer patch_embed has no class tokens"
    assert_refused(main([*words, "--tokens", "class"]), capsys, told, wanted=2)
