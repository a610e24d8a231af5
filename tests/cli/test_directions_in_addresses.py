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


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("directions")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "kept").mkdir()
        save_directions(draw_sae(160, 90, 8, 0), folder / "kept" / "made.safetensors")
        (folder / "net.py").write_text(FILE)
        words = f"dissect zoo:scene-classifier --layers layer5 {LAYER} --concepts drawn:count=24,size=64 --out run"
        assert main([*words.split(), "--shifts", "5", "--threads", "1"]) == 0
        words = f"dissect net.py:generator --layers {RANDOM} --concepts segmenter:net.py:segmenter,count=64"
        more = "--convention pnas --quantile 0.2 --shifts 0 --no-report --threads 1 --out painted"
        assert main([*words.split(), *more.split()]) == 0
        yield folder


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_run_is_written_shown_and_reported(place, capsys):
    names = {path.name for path in (place / "run").iterdir()}
    file = "layer5-sae-kept-made.safetensors.safetensors"
    assert names == {"run.json", "units.csv", "layer5.safetensors", file, "report"}
    assert sum(row["layer"] == LAYER for row in read(place / "run" / "units.csv")) == 90
    capsys.readouterr()
    assert main(["show", "run", "--layer", LAYER, "--limit", "2"]) == 0
    assert f"{LAYER}: detectors" in capsys.readouterr().out
    assert main(["report", "run"]) == 0
    assert LAYER in (place / "run" / "report" / "index.html").read_text()


def test_a_classifiers_latents_are_explained_removed_told_apart_and_attacked(place, capsys):
    assert main(f"explain zoo:scene-classifier {SCENES}#3 --layer {LAYER} --run run --out why".split()) == 0
    assert main(f"ablate {CLASSIFIER} --classes campsite beach --run run --counts 3 20 --out gone".split()) == 0
    rows = read(place / "gone" / "importance.csv")
    assert len(rows) == 2 * 90
    assert any(row["concept"] for row in rows)
    assert main(f"detect {CLASSIFIER} --concept sky --share 0.05 --top 3 --out told".split()) == 0
    assert len(read(place / "told" / "detectors.csv")) == 90
    assert main(f"attack {CLASSIFIER} --targets campsite --count 1 --steps 8 --run run --out fooled".split()) == 0
    assert read(place / "fooled" / "movement.csv")
    capsys.readouterr()


def test_a_generators_latents_are_erased_and_inserted(place):
    words = f"erase net.py:generator --run painted --concepts ball@{RANDOM} --images 24 --draws 3 --counts 1 2"
    assert main([*words.split(), "--out", "erased"]) == 0
    assert {row["layer"] for row in read(place / "erased" / "erasure.csv")} == {RANDOM}
    words = f"insert net.py:generator --run painted --concepts ball@{RANDOM} --images 24 --places 3 --units 2"
    assert main([*words.split(), "--out", "inserted"]) == 0
    assert {row["layer"] for row in read(place / "inserted" / "placement.csv")} == {RANDOM}


def test_what_does_not_fit_is_told_in_a_line(place, capsys):
    save_directions(draw_sae(96, 20, 3, 0), place / "narrow.safetensors")
    words = "dissect zoo:scene-classifier --layers layer5+narrow.safetensors --concepts drawn:count=4 --out none"
    assert_refused(main(words.split()), capsys, "narrow.safetensors reads 96 units", "160", wanted=2)
    assert not (place / "none").exists()
