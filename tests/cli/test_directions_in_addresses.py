"""Layers in directions on the command line: every command that takes a layer takes one of these."""

import csv
from pathlib import Path

import pytest

from commands import assert_refused
from unitscope.cli import main
from unitscope.networks.directions.drawn import draw_sae
from unitscope.networks.directions.files import save_directions

FILE = "from generated import planted_generator as generator, planted_segmenter as segmenter\n"
LAYER = "layer5+sae:kept/made.safetensors"
RANDOM = "maps+random-sae:12:4:0"
SCENES = "drawn:count=100,size=64,seed=3"
CLASSIFIER = f"zoo:scene-classifier --layer {LAYER} --images {SCENES}"


def run(words: str) -> None:
    assert main(words.split()) == 0, words


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("directions")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "kept").mkdir()
        save_directions(draw_sae(160, 90, 8, 0), folder / "kept" / "made.safetensors")
        (folder / "net.py").write_text(FILE)
        images = "--concepts drawn:count=24,size=64 --shifts 5 --threads 1"
        run(f"dissect zoo:scene-classifier --layers layer5 {LAYER} {images} --out run")
        images = "--concepts segmenter:net.py:segmenter,count=64 --shifts 0 --threads 1"
        rules = "--convention pnas --quantile 0.2 --no-report"
        run(f"dissect net.py:generator --layers {RANDOM} {images} {rules} --out painted")
        yield folder


def test_a_run_is_written_shown_and_reported(place, capsys):
    names = {path.name for path in (place / "run").iterdir()}
    file = "layer5-sae-kept-made.safetensors.safetensors"
    assert names == {"run.json", "units.csv", "layer5.safetensors", file, "report"}
    assert sum(row["layer"] == LAYER for row in read(place / "run" / "units.csv")) == 90
    capsys.readouterr()
    run(f"show run --layer {LAYER} --limit 2")
    assert f"{LAYER}: detectors" in capsys.readouterr().out
    run("report run")
    assert LAYER in (place / "run" / "report" / "index.html").read_text()


def test_a_classifiers_latents_are_explained_removed_told_apart_and_attacked(place):
    run(f"explain zoo:scene-classifier {SCENES}#3 --layer {LAYER} --run run --out why")
    run(f"ablate {CLASSIFIER} --classes campsite beach --run run --counts 3 20 --out gone")
    rows = read(place / "gone" / "importance.csv")
    assert len(rows) == 2 * 90
    assert any(row["concept"] for row in rows)
    run(f"detect {CLASSIFIER} --concept sky --share 0.05 --top 3 --out told")
    assert len(read(place / "told" / "detectors.csv")) == 90
    run(f"attack {CLASSIFIER} --targets campsite --count 1 --steps 8 --run run --out fooled")
    assert read(place / "fooled" / "movement.csv")


def test_a_generators_latents_are_erased_and_inserted(place):
    asked = f"net.py:generator --run painted --concepts ball@{RANDOM} --images 24"
    run(f"erase {asked} --draws 3 --counts 1 2 --out erased")
    assert {row["layer"] for row in read(place / "erased" / "erasure.csv")} == {RANDOM}
    run(f"insert {asked} --places 3 --units 2 --out inserted")
    assert {row["layer"] for row in read(place / "inserted" / "placement.csv")} == {RANDOM}


def test_what_does_not_fit_is_told_in_a_line(place, capsys):
    save_directions(draw_sae(96, 20, 3, 0), place / "narrow.safetensors")
    layer = "layer5+narrow.safetensors"
    words = f"dissect zoo:scene-classifier --layers {layer} --concepts drawn:count=4 --out none"
    assert_refused(main(words.split()), capsys, "narrow.safetensors reads 96 units", "160", wanted=2)
    assert not (place / "none").exists()
