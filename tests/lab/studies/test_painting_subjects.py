"""The study of painting with another generator, pictures, segmenter and concepts."""

import csv
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generated import planted_generator, planted_segmenter
from inverted import KINDS, SIDE, small_generator, some_picture
from made import Stored
from unitscope.cli import main
from unitscope.concepts.vocabulary import Example
from unitscope.errors import UsageError
from unitscope.interventions.inversion import Steps, invert_picture
from unitscope.interventions.painting.photos import fit_photo
from unitscope.lab.studies import painting_finding, painting_photos
from unitscope.lab.studies.painting_finding import SEEDS, study_painting
from unitscope.lab.studies.painting_photos import DRAW, ERASE, GIVEN, OWN
from unitscope.lab.studies.painting_subjects import (
    QUICK_EXTENT,
    Extent,
    fit_picture,
    open_subject,
    open_zoo_subject,
)
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.zoo.recipes import GENERATED

TESTS = Path(__file__).parent.parent.parent
FACTORIES = """
import sys
sys.path.insert(0, {tests!r})
from generated import Plain, planted_segmenter
from inverted import small_generator
def generator():
    return small_generator("small.py:generator")
def segmenter():
    return planted_segmenter()
def other():
    return Plain()
"""
CONCEPTS = ("ball", "ground", "tree")


def open_small(count=2, **options):
    images = Stored([Example(f"{k}", some_picture(k)) for k in range(count)], planted_segmenter().vocabulary)
    return open_subject(small_generator(), planted_segmenter(), CONCEPTS, images, **options)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small.py").write_text(FACTORIES.format(tests=str(TESTS)))
    for name in ("photos", "few"):
        (tmp_path / name).mkdir()
    for k in range(3):
        Image.fromarray(some_picture(k)).resize((50, 40)).save(tmp_path / "photos" / f"{k}.png")
    Image.fromarray(some_picture(9)).save(tmp_path / "few" / "9.png")
    (tmp_path / "photos" / "again.png").write_bytes((tmp_path / "photos" / "0.png").read_bytes())
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    return tmp_path


def write_words(folder, *more, network="small.py:generator", concepts=CONCEPTS):
    own = ["--network", f"{folder}/{network}", "--concepts", *concepts, "--kept", f"{folder}/kept"]
    return ["study", "painting", *own, *more]


def test_given_pictures_are_cut_as_photos_are(tmp_path):
    wide = np.repeat(some_picture(), 2, 1)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    fitted = fit_photo((tmp_path / "wide.png").read_bytes(), (SIDE, SIDE))
    assert np.array_equal(fit_picture(wide, (SIDE, SIDE)), fitted)
    assert np.array_equal(fit_picture(some_picture(), (SIDE, SIDE)), some_picture())


def test_a_subject_says_which_pictures_are_given():
    subject = open_small(3)
    assert [len(subject.give(SEEDS[0], one)) for one in (Extent(), Extent(photographs=2))] == [3, 2]
    assert np.array_equal(subject.give(1, Extent())[1], some_picture(1))
    others = subject.give_others(SEEDS[0], Extent(others=2))
    assert [one.shape for one in others] == [(SIDE, SIDE, 3)] * 2
    assert subject.features is not None  # the segmenter's, where none are named
    zoo = open_zoo_subject()
    assert zoo.shown == "drawn scenes"
    assert zoo.generator.kinds == GENERATED
    assert len(zoo.give(SEEDS[0], QUICK_EXTENT)) == QUICK_EXTENT.scenes


def test_a_picture_that_is_there_twice_is_taken_once():
    words = planted_segmenter().vocabulary
    images = Stored(
        [Example(name, some_picture(seed)) for name, seed in (("a", 1), ("b", 2), ("c", 1))], words
    )
    subject = open_subject(small_generator(), planted_segmenter(), CONCEPTS, images)
    assert [np.array_equal(one, some_picture(k)) for k, one in enumerate(subject.given, 1)] == [True, True]
    assert [str(one) for one in subject.left_out] == ["1 file left out, the same picture as one before: c"]


def test_what_a_subject_needs_is_looked_at_before_the_work():
    empty = Stored([])
    for wanted, given in (
        ("makes no images", (planted_segmenter().network, planted_segmenter(), CONCEPTS, empty)),
        ("no concept", (planted_generator(), planted_segmenter(), ("hat",), empty)),
        ("no pictures", (planted_generator(), planted_segmenter(), CONCEPTS, empty)),
    ):
        with pytest.raises(UsageError, match=wanted):
            open_subject(*given)
    with pytest.raises(UsageError, match="wanted 5 at most"):
        study_painting(Setting(Path("none")), None, [open_small()] * 6)


def test_the_study_takes_another_generator(folder, capsys, monkeypatch):
    monkeypatch.setattr(painting_finding, "Extent", partial(Extent, others=1, named=16, levels=16))
    brief = partial(invert_picture, steps=Steps(2, 2, 2))
    monkeypatch.setattr(painting_photos, "invert_picture", brief)
    judges = [f"{folder}/small.py:{name}" for name in ("segmenter", "other")]
    sources = [f"{folder}/photos", f"folder:{folder}/few"]
    words = write_words(folder, "--photographs", *sources, "--segmenter", *judges, "--quantile", "0.2")
    assert main(words) == 0
    printed = capsys.readouterr().out
    home = folder / "kept" / "painting"
    painted = list(csv.DictReader((home / "painting.csv").read_text().splitlines()))
    stages = list(csv.DictReader((home / "stages.csv").read_text().splitlines()))
    assert {row["seed"] for row in painted} == {str(seed) for seed in SEEDS[:2]}
    assert {(row["subject"], row["action"]) for row in painted} == {
        (subject, action) for subject in (OWN, GIVEN) for action in (DRAW, ERASE)
    }
    assert {row["kind"] for row in stages} <= {*KINDS, painting_finding.OTHER}
    assert len(stages) == (3 + 1) * 3 + 2
    given = [row for row in stages if row["kind"] != painting_finding.OTHER]
    assert {row["altered"] for row in given} == {"0"}
    assert all(float(row["seconds"]) > 0 for row in given)
    assert all(float(row["changed"]) >= float(row["beyond"]) for row in painted if row["subject"] == GIVEN)
    assert "4 given pictures in all; 1 file left out" in printed
    assert "notes.txt" in printed
    assert "1 file left out, the same picture as one before: again.png" in printed
    assert "The given pictures are said to be possible, drawn scenes not" in printed
    monkeypatch.setattr(painting_photos, "invert_picture", None)  # a second time nothing is fitted
    monkeypatch.setattr("unitscope.lab.studies.study.Finding.draw", lambda _, path: path)  # it is there
    assert main(words) == 0
    assert capsys.readouterr().out == printed


def test_what_cannot_be_painted_on_is_refused_in_one_line(folder, capsys, monkeypatch):
    monkeypatch.setattr(painting_finding, "dissect_subject", None)  # it is seen before the work
    rest = ("--photographs", f"{folder}/photos", "--segmenter", f"{folder}/small.py:segmenter")
    twice = ("--segmenter", *[f"{folder}/small.py:segmenter"] * 3)
    bare = ["study", "painting", "--kept", f"{folder}/kept"]
    for words, said in (
        ([*bare, *rest, "--concepts", "ball", "--network", "zoo:scene-classifier"], "makes no images"),
        (write_words(folder, "--photographs", f"{folder}/none", *rest[2:]), "none"),
        (write_words(folder, *rest, concepts=("ball", "hat")), "'hat'"),
        (write_words(folder, *rest[:2], "--segmenter", "zoo:generator"), "zoo:generator"),
        (write_words(folder, *rest, "--seeds", "2"), "--seeds are of drawn scenes"),
        (write_words(folder, *rest, "--quantile", "2"), "--quantile is 2"),
        (write_words(folder, *rest[2:]), "say on which --photographs"),
        (write_words(folder, "--photographs", *[f"{folder}/few"] * 2, *twice), "or one a segmenter"),
        ([*bare, *rest], "go with --network"),
        ([*bare, "--quantile", "0.2"], "go with --network"),
    ):
        assert main(words) == 2, words
        told = capsys.readouterr().err.strip()
        assert said in told
        assert told.startswith("unitscope: ")
        assert "\n" not in told
    # Folders are looked into by those who open sources, here as elsewhere.
    assert main(write_words(folder, "--photographs", f"{folder}/empty", *rest[2:])) == 1
    told = capsys.readouterr().err.strip()
    assert "empty: no images" in told
    assert "\n" not in told
    assert not (folder / "kept").exists()
