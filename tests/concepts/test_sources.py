"""Sources by name."""

from pathlib import Path

import pytest
from PIL import Image

from unitscope.concepts.derived import peek, source_digest, source_spec
from unitscope.concepts.sources import open_concepts
from unitscope.errors import UsageError


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    for name in ("street/a.png", "street/b.png", "beach/c.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "data" / name)
    return tmp_path / "data"


def test_a_folder_opens_by_its_text_with_options(scenes: Path) -> None:
    source = open_concepts(f"folder:{scenes},category=texture,limit=2")
    assert len(source) == 2
    assert source.vocabulary.categories == ("texture",)


def test_a_spec_opens_the_same_source_again(scenes: Path) -> None:
    source = open_concepts(f"folder:{scenes},limit=3,shuffle=4")
    again = open_concepts(source_spec(source))
    assert source_digest(again) == source_digest(source)
    assert [again[i].ids for i in range(3)] == [source[i].ids for i in range(3)]


def test_a_folder_with_a_comma_in_its_name_wins(scenes: Path) -> None:
    odd = scenes.rename(scenes.parent / "data,category=texture")
    assert open_concepts(f"folder:{odd}").vocabulary.categories == ("scene",)
    assert open_concepts(f"folder:{odd},category=part").vocabulary.categories == ("part",)


def test_broden_opens_by_its_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder; wanted Broden's"):
        open_concepts(f"broden:{tmp_path}/none,split=val,categories=object+part")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("photos:DIR", "broden:DIR[,split=NAME,categories=NAME+NAME], "),
        ("photos:DIR", " or drawn[:count=N,seed=N,size=N]"),
        ("floder:DIR", "near names: folder"),
        ("folder", "'folder' does not say what to open; wanted folder:DIR["),
        ("folder:split=val", "does not say what to open; wanted folder:DIR["),
        ("", "'' is no source of concepts; wanted folder:DIR["),
        ("segmenter:zoo:segmenter", "'segmenter:zoo:segmenter' is no source of concepts"),
        (
            "folder:DIR,colour=red",
            "folder has no option 'colour'; it has category, split, masks, bare, list, names, exif",
        ),
        (
            "broden:DIR,category=x",
            "broden has no option 'category'; it has split, categories, limit, shuffle, half",
        ),
        ("drawn:number=3", "drawn has no option 'number'; it has count, seed, size, limit, shuffle, half"),
        ("drawn:200", "'200' is no option; wanted key=value"),
        ("drawn:count=many", "count='many': wanted a whole number"),
        ("folder:DIR,split=a,split=b", "'split' is given twice"),
    ],
)
def test_wrong_texts_are_told_what_exists(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_concepts(spec)
    assert message in str(caught.value)


def test_a_half_opens_by_its_text(scenes: Path) -> None:
    world = open_concepts("drawn:count=20,size=64,half=test:0.7:3")
    assert len(world) == 6
    assert source_spec(world) == "drawn:count=20,seed=0,size=64,half=test:0.7:3"
    assert source_digest(open_concepts(source_spec(world))) == source_digest(world)
    folder = open_concepts(f"folder:{scenes},half=train")
    assert source_spec(folder).endswith(",half=train")
    assert source_digest(folder) != source_digest(open_concepts(f"folder:{scenes},half=test"))
    assert len(open_concepts(f"folder:{scenes},half=train,limit=1")) == 1
    with pytest.raises(IndexError):
        world[6]


@pytest.mark.parametrize(
    ("half", "message"),
    [
        ("left", "half='left': wanted train or test"),
        ("test:many", "wanted train or test, or train:SHARE:SEED"),
        ("test:0.5:1:2", "wanted train or test, or train:SHARE:SEED"),
        ("test:0.5:x", "wanted train or test, or train:SHARE:SEED"),
        ("test:1.5", "a share of 1.5"),
        ("test:nan", "a share of nan"),
        ("test:0.5:-1", "the seed of a split is -1"),
        ("test:0.99", "the test half of 7 images is empty"),
    ],
)
def test_a_wrong_half_is_told(half: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_concepts(f"drawn:count=7,size=64,half={half}")
    assert message in str(caught.value)


def test_peeking_says_what_opening_says(scenes: Path) -> None:
    for text in ("drawn:count=9,seed=2,size=64", f"folder:{scenes}"):
        for options in ("", ",limit=3", ",shuffle=1", ",half=train,shuffle=2,limit=1", ",limit=3,half=train"):
            source = open_concepts(text + options)
            for index in range(len(source)):
                assert peek(source, index) == (source[index].key, source[index].ids)


def test_the_home_folder_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "set" / "street").mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(tmp_path / "set" / "street" / "a.png")
    source = open_concepts("folder:~/set")
    assert (len(source), source.spec) == (1, f"folder:{tmp_path}/set")
