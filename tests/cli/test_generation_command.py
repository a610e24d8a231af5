"""`unitscope erase` and `unitscope insert`, on a generator and a segmenter of the user's own file."""

import csv
import json
import shutil
from contextlib import redirect_stdout
from io import StringIO

import pytest
import torch
from PIL import Image

import unitscope as us
from commands import assert_refused
from machines import SentAway
from unitscope.cli import main
from unitscope.experiments import study_erasure, study_placement
from unitscope.interventions import open_studio

FILE = """
from generated import Plain, planted_generator as generator, planted_segmenter as segmenter

def plain():
    return Plain()

def other():
    made = generator()
    made.module.scale.data.mul_(2)
    return made
"""
ERASE = (
    "erase net.py:generator --run run --concepts ball tree --images 24 --draws 3 --counts 1 2 3 --out erased"
)
INSERT = (
    "insert net.py:generator --run run --concepts ball@maps --images 40 --places 3 --units 2 --least 5 "
    "--out inserted"
)

SHARED = ["--workers", "2", "--threads", str(torch.get_num_threads())]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "net.py").write_text(FILE)
        words = "dissect net.py:generator --layers first maps --convention pnas --shifts 0 --no-report"
        for out, segmenter in (("run", "segmenter"), ("plain", "plain")):
            concepts = f"--concepts segmenter:net.py:{segmenter},count=64 --threads 1"
            assert main([*words.split(), *concepts.split(), "--out", out]) == 0
        # A run over other images can be made with older versions only, so one is written by hand.
        shutil.copytree(folder / "run", folder / "drawn")
        recipe = json.loads((folder / "drawn" / "run.json").read_text())
        recipe["recipe"]["source"] = {"spec": "drawn:count=4,size=32", "images": 4}
        (folder / "drawn" / "run.json").write_text(json.dumps(recipe))
        yield folder


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def erased(place):
    """What erasing prints; its files lie in `erased`."""
    with redirect_stdout(StringIO()) as said:
        assert main(ERASE.split()) == 0
    return said.getvalue()


def test_units_are_erased_and_the_layer_is_found(place, erased):
    assert erased.splitlines()[1].split()[:2] == ["ball", "maps"]
    assert "page: erased/index.html" in erased
    names = {path.name for path in (place / "erased").iterdir()}
    assert names == {
        "erasure.csv",
        "others.csv",
        "units.csv",
        "index.html",
        "look.css",
        "figures",
        "pictures",
    }
    [row] = [
        row
        for row in read(place / "erased" / "erasure.csv")
        if (row["concept"], row["by"], row["count"]) == ("ball", "iou", "2")
    ]
    assert float(row["removed"]) == 1
    page = (place / "erased" / "index.html").read_text()
    for part in ("figures/erasure.svg", "figures/others.svg", "pictures/0.jpg", "100.0 (100.0 to 100.0)"):
        assert part in page
    with Image.open(place / "erased" / "pictures" / "0.jpg") as sheet:
        assert sheet.width == 8 * 130 - 2


def test_workers_give_the_same_bytes_and_json_the_same_figures(place, erased, capsys, monkeypatch):
    monkeypatch.setattr("unitscope.dissection.workers.Processes", SentAway)
    assert main([*ERASE.replace("erased", "again").split(), "--json", *SHARED]) == 0
    told = json.loads(capsys.readouterr().out)
    files = [path.relative_to(place / "again") for path in (place / "again").rglob("*") if path.is_file()]
    for path in files:
        assert (place / "again" / path).read_bytes() == (place / "erased" / path).read_bytes(), path
    assert told["concepts"][0]["removed"]["iou"][1]["value"] == 1
    assert told["first_image"] == 64


def test_optimized_sets_are_measured_too(place, capsys):
    words = ERASE.replace("erased", "optimized").replace("--counts 1 2 3", "--counts 2 --layer maps")
    assert main([*words.split(), "--optimize", "--steps", "20"]) == 0
    assert "2 by effect" in capsys.readouterr().out
    units = read(place / "optimized" / "units.csv")
    assert {row["unit"] for row in units if (row["by"], row["concept"]) == ("effect", "ball")} == {"1", "4"}


def test_units_are_inserted_by_context(place, capsys):
    assert main([*INSERT.split(), "--optimize", "--steps", "10"]) == 0
    said = capsys.readouterr().out
    assert "ball     everywhere     120" in said
    rows = read(place / "inserted" / "placement.csv")
    assert {row["context"] for row in rows} == {"(all)", "ball", "tree", "ground"}
    assert {row["by"] for row in rows} == {"iou", "effect", "random"}
    page = (place / "inserted" / "index.html").read_text()
    assert "figures/0.svg" in page
    assert (place / "inserted" / "pictures" / "0.jpg").is_file()
    words = INSERT.replace("inserted", "quantile").split()
    assert main([*words, "--level", "quantile", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rule"] == "quantile"
    assert told["concepts"][0]["everywhere"]["iou"]["causal"]["value"] == 1


@pytest.mark.parametrize(
    ("old", "new", "parts", "status"),
    [
        (" ball", " bald", ["no concept 'bald'", "near names: ball"], 2),
        (" ball", " ghost@maps", ["'ghost' is in none of the 64 images", "name another"], 2),
        (" ball", " ball@last", ["no layer 'last'", "it has first, maps"], 2),
        (" ball", " ball object/ball", ["named twice"], 2),
        ("--images", "--first 60 --images", ["overlap those that ranked", "start from 64"], 2),
        ("--images", "--seed -1 --images", ["--seed is -1"], 2),
        ("--images", "--workers 0 --images", ["--workers is 0; it must be at least 1"], 2),
        ("net.py:generator", "net.py:other", ["other weights", "the run of this network"], 2),
        ("net.py:generator", "zoo:segmenter", ["makes no images", "zoo:generator"], 2),
        ("--run run", "--run gone", ["gone"], 1),
        ("--run run", "--run drawn", ["not over a generator's images", "segmenter:NAME"], 2),
        ("--out erased", "--out net.py", ["is a file"], 2),
    ],
)
def test_what_cannot_be_is_told_in_one_line(place, capsys, old, new, parts, status):
    for command in (ERASE, INSERT.replace(" ball@maps", " ball").replace("inserted", "erased")):
        words = command.replace(old, new, 1).replace("erased", "refused")
        assert_refused(main(words.split()), capsys, *parts, wanted=status)
    assert not (place / "refused").exists()


def test_numbers_out_of_range_and_missing_gradients_are_told(place, capsys):
    few = ERASE.replace("--images 24", "--images 1")
    assert_refused(main(few.split()), capsys, "1 images have no interval", wanted=2)
    many = ERASE.replace("--counts 1 2 3", "--counts 11")
    assert_refused(main(many.split()), capsys, "has 10 units", wanted=2)
    lots = ERASE.replace("--draws 3", "--draws 1")
    assert_refused(main(lots.split()), capsys, "1 random draws", wanted=2)
    plain = ERASE.replace("--run run", "--run plain --layer maps --optimize")
    assert_refused(main(plain.split()), capsys, "segmenter plain", "without a `score`", wanted=2)
    units = INSERT.replace("--units 2", "--units 11")
    assert_refused(main(units.split()), capsys, "set 1 to 10, not 11", wanted=2)
    across = f"{INSERT} --across 0"
    assert_refused(main(across.split()), capsys, "0 cells across were asked for", wanted=2)


def test_python_gives_what_the_commands_with_workers_print_and_write(place, capsys, monkeypatch):
    monkeypatch.setattr("unitscope.dissection.workers.Processes", SentAway)
    studio = open_studio(us.load_network("net.py:generator"), us.load("run"))
    few = {"images": 12, "draws": 2, "seed": 3}
    studies = {
        "erase": study_erasure(studio, ["ball", "tree@maps"], counts=[2], **few),
        "insert": study_placement(studio, ["ball", "tree@maps"], count=2, places=2, least=2, **few),
    }
    more = "--run run --concepts ball tree@maps --images 12 --draws 2 --seed 3 --out command"
    options = {"erase": "--counts 2", "insert": "--units 2 --places 2 --least 2"}
    for command, study in studies.items():
        words = f"{command} net.py:generator {more}-{command} {options[command]}"
        assert main([*words.split(), *SHARED]) == 0
        assert capsys.readouterr().out.startswith(f"{study}\n\ntables: command-{command}/")
        study.save(command)
        study.page(command)
        for path in (place / f"command-{command}").rglob("*.*"):
            other = place / command / path.relative_to(place / f"command-{command}")
            assert other.read_bytes() == path.read_bytes(), path


def test_levels_are_tabulated(place, capsys):
    words = ["levels", "net.py:generator", "--run", "run", "--concepts", "ball", "--layers", "maps"]
    assert main([*words, "--out", "levels"]) == 0
    said = capsys.readouterr().out
    assert "tables: levels/levels.csv" in said
    rows = read(place / "levels" / "levels.csv")
    assert {row["unit"] for row in rows[:2]} == {"1", "4"}
    assert f"{float(rows[0]['mean']):.3g}" in said
    assert main([*words, "--json", "--out", "levels"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == len(rows)


def test_units_are_set_to_the_level_of_the_fullest_cells(place, capsys):
    assert main([*INSERT.replace("inserted", "fullest").split(), "--level", "fullest", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rule"] == "fullest"
