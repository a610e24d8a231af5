"""`unitscope describe` prints and writes the words of units; what cannot be is one line."""

import csv
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import assert_refused, write_folder
from towers import write_clip
from unitscope.cli import main
from unitscope.errors import UsageError
from unitscope.experiments import read_words

MODEL = """
from towers import Colors

def colors():
    return Colors()
"""


ANYTHING = """
import zlib

import numpy as np

class Anything:
    name = "anything"

    def embed_images(self, images):
        return self.spread([int(one.sum()) for one in images])

    def embed_texts(self, texts):
        return self.spread([zlib.crc32(text.encode()) for text in texts])

    def spread(self, seeds):
        drawn = [np.random.default_rng(seed).normal(size=6) for seed in seeds]
        return np.array([one / np.linalg.norm(one) for one in drawn], np.float32)

def anything():
    return Anything()
"""


@pytest.fixture
def words(tmp_path, monkeypatch):
    """The words of the command, in a folder with a list and a text model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "list.txt").write_text("red\n\ngreen\nblue\nred\nwhite\n")
    asked = "describe zoo:scene-classifier --layers layer5 --images drawn:count=120,size=64 --threads 1"
    return [*asked.split(), "--words", "list.txt", "--text", "model.py:colors", "--draws", "40"]


def test_words_are_printed_and_written(words, tmp_path, capsys):
    assert main([*words, "--out", "out", "--cache", "kept"]) == 0
    printed = capsys.readouterr()
    assert "the best of 4 words by soft-wpmi, with colors" in printed.out
    assert "layer5: 160 units, mean of the map" in printed.out
    assert "counted once (1): red" in printed.err
    rows = list(csv.DictReader((tmp_path / "out" / "words.csv").read_text().splitlines()))
    assert len(rows) == 160
    assert {row["word"] for row in rows} <= {"red", "green", "blue", "white"}
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert (about["images"], about["blank"], about["repeated"], about["text"]) == (120, 1, ["red"], "colors")
    assert 'src="pictures/' in (tmp_path / "out" / "index.html").read_text()
    assert len(list((tmp_path / "kept").iterdir())) == 3


def test_json_methods_and_their_parameters(words, capsys):
    assert main([*words, "--json", "--method", "wpmi", "--top-k", "9", "--lam", "0.5", "--pool", "max"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["about"]["parameters"] == {"top_k": 9, "a": 2, "lam": 0.5, "min_prob": 1e-7}
    assert found["layers"] == [
        {
            "layer": "layer5",
            "pooled": "maximum of the map",
            "units": 160,
            "named": found["layers"][0]["named"],
        }
    ]
    assert found["rows"][0]["rank_low"] >= 1


def test_a_plain_folder_a_transformer_and_a_clip(words, tmp_path, capsys):
    (tmp_path / "photographs").mkdir()
    for number in range(30):
        noise = np.random.default_rng(number).integers(0, 256, (40, 50 + number % 2, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "photographs" / f"{number}.png")
    write_clip(tmp_path)
    asked = (
        "describe zoo:scene-transformer --layers blocks.1 blocks.3 --images folder:photographs --threads 1"
    )
    words = [*asked.split(), "--words", "list.txt", "--text", "hf:.", "--top-k", "5", "--draws", "0"]
    assert main([*words, "--prompt", "my {}", "a {}", "--pool", "class"]) == 0
    printed = capsys.readouterr().out
    assert "class token" in printed
    assert "above chance" not in printed
    assert main(words) == 0
    assert "mean of the patches" in capsys.readouterr().out


def test_a_run_stands_beside_it(words, capsys):
    run = (
        "dissect zoo:scene-classifier --layers layer5 --concepts drawn:count=40,size=64 --out run --shifts 0"
    )
    assert main([*run.split(), "--no-report", "--threads", "1"]) == 0
    capsys.readouterr()
    words[words.index("list.txt")] = "vocabulary:drawn:count=1"
    (model,) = (place for place, word in enumerate(words) if word == "model.py:colors")
    words[model] = "any.py:anything"
    Path("any.py").write_text(ANYTHING)
    assert main([*words, "--run", "run", "--out", "out"]) == 0
    assert "words are the name that the run gives" in capsys.readouterr().out
    rows = list(csv.DictReader(Path("out/words.csv").read_text().splitlines()))
    assert {row["agrees"] for row in rows} <= {"0", "1", ""}
    assert sum(row["concept"] != "" for row in rows) > 100
    assert '<th scope="col">concept</th>' in Path("out/index.html").read_text()


@pytest.mark.parametrize(
    ("change", "parts", "status"),
    [
        (["--words", "vocabulary:drawn"], ["colors knows no color in '"], 2),
        (["--words", "no.txt"], ["there is no list of words 'no.txt'", "vocabulary:SOURCE"], 2),
        (["--words", "empty.txt"], ["the list has no words"], 2),
        (["--words", "odd.bin"], ["odd.bin is no text in UTF-8 (byte 0)"], 2),
        (["--words", "dragons.txt"], ["colors knows no color in 'dragon'"], 2),
        (["--words", "wordnet:verbs"], ["there is no list of words 'wordnet:verbs'"], 2),
        (["--words", "vocabulary:drwan"], ["no source of concepts"], 2),
        (["--text", "clip"], ["there is no text model 'clip'"], 2),
        (["--text", "model.py:sys"], ["model.py has no function 'sys'"], 2),
        (["--text", "zoo:segmenter"], ["zoo:"], 2),
        (["--method", "wpmj"], ["wpmj"], 2),
        (["--method", "cosine", "--top-k", "3"], ["cosine has no parameter 'top_k'; it has none"], 2),
        (["--top-k", "500"], ["top_k is 500, but there are 120 images"], 2),
        (["--top-k", "0"], ["top_k is 0; wanted a whole number from 1 on"], 2),
        (["--pool", "class"], ["layer layer5 of zoo:scene-classifier has no class token"], 2),
        (["--layers", "layer9"], ["has no layer 'layer9'"], 2),
        (["--prompt", "a photo"], ["the prompt 'a photo' has 0 places for the word"], 2),
        (["--seed", "-1"], ["the seed is -1"], 2),
        (["--draws", "-1"], ["draws is -1"], 2),
        (["--run", "nowhere"], ["nowhere"], 1),
        (["--out", "list.txt"], ["list.txt is a file"], 2),
    ],
)
def test_bad_input_is_one_line(words, tmp_path, capsys, change, parts, status):
    (tmp_path / "empty.txt").write_text("\n  \n")
    (tmp_path / "odd.bin").write_bytes(b"\xff\xfe\xfa")
    (tmp_path / "dragons.txt").write_text("red\ndragon\n")
    assert_refused(main([*words, *change]), capsys, *parts, wanted=status)


def test_lists_of_words(tmp_path, monkeypatch):
    write_folder(tmp_path / "cats")
    assert read_words(f"vocabulary:folder:{tmp_path / 'cats'}") == ["cat", "sky"]
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(
        UsageError, match=r"nltk, which reads WordNet, is not installed; pip install 'unitscope\["
    ):
        read_words("wordnet:nouns")

    class Nowhere:
        def all_lemma_names(self, pos):
            raise LookupError("a long\nmessage")

    class Damaged:
        def all_lemma_names(self, pos):
            raise AssertionError

    class Wordnet:
        def all_lemma_names(self, pos):
            assert pos == "n"
            return iter(["dog", "cat", "hot_dog", "cat"])

    bad = "nltk cannot read the WordNet on this machine: AssertionError"
    lack = "nltk finds no WordNet on this machine"
    for reader, told in ((Nowhere(), lack), (Damaged(), bad), (Wordnet(), None)):
        nltk = types.SimpleNamespace(corpus=types.SimpleNamespace(wordnet=reader))
        monkeypatch.setitem(sys.modules, "nltk", nltk)
        if told is None:
            assert read_words("wordnet:nouns") == ["cat", "dog", "hot dog"]
            continue
        with pytest.raises(UsageError, match=told) as refusal:
            read_words("wordnet:nouns")
        assert "\n" not in str(refusal.value)
