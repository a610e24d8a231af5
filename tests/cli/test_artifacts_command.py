"""`unitscope artifacts`, on a generator, a segmenter and a classifier of the user's own file."""

import csv
import json
import socket
from contextlib import redirect_stdout
from io import StringIO

import pytest
from PIL import Image

from commands import assert_refused
from unitscope.cli import main

FILE = """
from generated import planted_generator, planted_segmenter as segmenter
from spoiled import SPOILER, color_features, spoiled_generator as generator
from unitscope.concepts.vocabulary import Example, Vocabulary

def colors():
    return color_features().network

class Clean:
    vocabulary = Vocabulary(())
    def __len__(self):
        return 150
    def __getitem__(self, index):
        return Example(str(index), planted_generator().generate(1000 + index, 1)[0])

def clean():
    return Clean()
"""
WORDS = [
    *("artifacts", "net.py:generator", "--layer", "maps", "--reference", "net.py:clean"),
    *("--segmenter", "net.py:segmenter", "--features", "net.py:colors@1", "--images", "120"),
    *("--top", "20", "--counts", "1", "2", "--measured", "20", "--draws", "2", "--units", "4"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "net.py").write_text(FILE)
        yield folder


@pytest.fixture(scope="module")
def found(place):
    """What the command prints; its files lie in `found`."""
    with redirect_stdout(StringIO()) as said:
        assert main([*WORDS, "--out", "found"]) == 0
    return said.getvalue()


def test_units_are_ranked_removed_and_shown(place, found):
    assert "tables: found/artifacts.csv, found/removal.csv" in found
    assert "page: found/index.html" in found
    with (place / "found" / "artifacts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert rows[0]["unit"] == "3"
    page = (place / "found" / "index.html").read_text()
    strips = sorted(path.name for path in (place / "found" / "pictures").iterdir())
    assert len(strips) == 4
    assert "unit-0003.jpg" in strips
    for name in ("figures/removal.svg", *(f"pictures/{strip}" for strip in strips)):
        assert name in page
        assert (place / "found" / name).exists()
    with Image.open(place / "found" / "pictures" / "unit-0003.jpg") as strip:
        assert strip.size == (12 * 98 - 2, 2 * 98 - 2)


def test_marked_units_are_removed_and_json_says_the_same(place, found, capsys):
    (place / "marks.csv").write_text("unit,mark\n3,artifact\n5,fine\n7,artifact\n9,unsure\n")
    assert main([*WORDS, "--marks", "marks.csv", "--json", "--out", "again"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["units"][0]["unit"] == 3
    [row] = [row for row in told["removal"]["rows"] if row["by"] == "marked"]
    assert (row["count"], row["units"]) == (2, "3 7")
    first, again = ((place / name / "artifacts.csv").read_bytes() for name in ("found", "again"))
    assert first == again


def test_what_cannot_be_is_refused(place, found, capsys):
    (place / "none.csv").write_text("unit,mark\n5,fine\n")
    (place / "broken.csv").write_text("unit,mark\nfive,fine\n")
    for words, text in (
        (["--marks", "none.csv"], "no unit of none.csv is marked artifact"),
        (["--features", "net.py:colors"], "give NETWORK@LAYER"),
        (["--features", "net.py:colors@9"], "no layer '9'"),
        (["--counts", "11"], "remove 1 to 10, not 11"),
        (["--top", "120"], "top is 120 of 120 images"),
        (["--layer", "nowhere"], "nowhere"),
    ):
        assert_refused(main([*WORDS, *words]), capsys, text, wanted=2)
    assert_refused(main(["artifacts", "net.py:colors", *WORDS[2:]]), capsys, "makes no images", wanted=2)
    assert main([*WORDS, "--marks", "broken.csv"]) == 1
    assert "cannot read marks of broken.csv" in capsys.readouterr().err


def test_the_page_to_mark_needs_a_folder_and_a_port(place, found, capsys):
    assert main(["mark", "nowhere", "--port", "0"]) == 1
    assert "name a folder that `unitscope artifacts` wrote" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["mark", "found", "--port", str(taken.getsockname()[1])]) == 2
    assert "is in use" in capsys.readouterr().err
