"""Folders of pictures with a list that says what they show."""

import json
from pathlib import Path

import pytest

from sets.files import write_files
from unitscope.concepts.derived import find_left_out, source_digest, source_spec
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import SourceError, UsageError

PICTURES = ("a/one.png", "a/two words.png", "b/three.jpg")


def told(source: ConceptSource) -> dict[str, tuple[str, ...]]:
    """The names of what every picture shows, by key."""
    words = source.vocabulary
    examples = [source[index] for index in range(len(source))]
    return {one.key: tuple(words[number].name for number in one.ids) for one in examples}


def write_list(root: Path, text: str, name: str = "list.txt", **more: str) -> Path:
    return write_files(root, {name: text, **{key.replace("_", "."): more[key] for key in more}}, PICTURES)


WORDS = {"a/one.png": ("street",), "a/two words.png": ("tennis court",), "b/three.jpg": ("street",)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "a/one.png street\na/two words.png tennis court\n\n./b/three.jpg  street\n"),
        ("list.txt", "/a/one.png\tstreet\n/a/two words.png\ttennis court\n/b/three.jpg\tstreet\n"),
        ("list.csv", 'path,label\na/one.png,street\n"a/two words.png", tennis court\nb/three.jpg,street'),
        ("list.tsv", "Image\tClass\na/one.png\tstreet\na/two words.png\ttennis court\nb/three.jpg\tstreet"),
        ("list", "a/one.png,street\na/two words.png,tennis court\nb/three.jpg,street"),
    ],
)
def test_lists_of_words_are_read_in_every_form(tmp_path: Path, name: str, text: str) -> None:
    source = open_concepts(f"folder:{write_list(tmp_path, text, name)},list={name}")
    assert told(source) == WORDS
    assert [(one.id, one.name, one.category) for one in source.vocabulary] == [
        (1, "street", "scene"),
        (2, "tennis court", "scene"),
    ]
    assert find_left_out(source) == ()
    assert source_digest(open_concepts(source_spec(source))) == source_digest(source)


NUMBERS = "a/one.png 2\na/two words.png 0\nb/three.jpg 2\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "tennis court\nsea\nstreet\n"),
        ("names.txt", "2 street\n0 tennis court\n"),
        ("names.txt", "2: street\n0: tennis court\n"),
        ("names.txt", "tennis court 0\nsea 1\nstreet 2\n"),
        ("names.csv", "2,street\n0,tennis court\n"),
        ("names.json", json.dumps(["tennis court", "sea", "street"])),
        ("names.json", json.dumps({"0": "tennis court", "2": "street"})),
    ],
)
def test_numbers_are_named_by_a_file(tmp_path: Path, name: str, text: str) -> None:
    write_list(tmp_path, NUMBERS)
    (tmp_path / name).write_text(text)
    source = open_concepts(f"folder:{tmp_path},list=list.txt,names={name},category=object")
    assert told(source) == WORDS
    assert source.vocabulary.categories == ("object",)


def test_numbers_without_names_are_their_own(tmp_path: Path) -> None:
    source = open_concepts(f"folder:{write_list(tmp_path, NUMBERS.replace('2', '10'))},list=list.txt")
    assert [one.name for one in source.vocabulary] == ["0", "10"]


def test_words_are_named_by_a_file(tmp_path: Path) -> None:
    text = "a/one.png n01440764\na/two words.png n02119789\nb/three.jpg n01440764"
    root = write_list(tmp_path, text, names_txt="n01440764 tench, Tinca tinca\nn02119789 kit fox\nn1 no\n")
    source = open_concepts(f"folder:{root},list=list.txt,names=names.txt")
    assert [one.name for one in source.vocabulary] == ["kit fox", "tench, Tinca tinca"]


def test_a_picture_may_be_listed_with_several_labels(tmp_path: Path) -> None:
    root = write_list(tmp_path, "a/one.png red\na/one.png blue\na/one.png red\n")
    source = open_concepts(f"folder:{root},list=list.txt")
    assert told(source) == {"a/one.png": ("red", "blue")}
    assert [str(one) for one in find_left_out(source)] == [
        "2 files left out, without a label: a/two words.png, b/three.jpg"
    ]
    assert told(open_concepts(f"folder:{root},list=list.txt,bare=in"))["b/three.jpg"] == ()


def test_what_a_list_names_in_vain_is_told(tmp_path: Path) -> None:
    root = write_list(tmp_path, "a/one.png red\na/gone.png blue\n../one.png red\n")
    report = check_source(f"folder:{root},list=list.txt")
    assert [(one.place, one.message) for one in report.problems] == [
        ("a/gone.png", "listed, but not there"),
        ("../one.png", "listed, but not there"),
    ]


def test_splits_are_those_of_the_folder(tmp_path: Path) -> None:
    root = write_list(tmp_path, NUMBERS)
    (root / "splits.json").write_text(json.dumps({"val": ["a/one.png"]}))
    assert told(open_concepts(f"folder:{root},list=list.txt,split=val")) == {"a/one.png": ("2",)}
    with pytest.raises(UsageError, match="its splits are 'val'"):
        open_concepts(f"folder:{root},list=list.txt,split=train")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a/one.png\n", "", "line 1: 'a/one.png'; wanted a picture and its label"),
        ("a/one.png,a,b\n", "", "line 1: 'a/one.png,a,b'; wanted a picture and its label"),
        ("c/one.png 1\n", "", "lists no picture of"),
        ("", "", "lists no picture of"),
        (
            "a/one.png 3\n",
            ",names=names.txt",
            "line 1: names.txt does not name the label '3'; its lines count",
        ),
        ("a/one.png sea\n", ",names=names.txt", "line 1: names.txt does not name the label 'sea'"),
        ("a/one.png 1\n", ",names=names.json", "wanted a list of names, or an object"),
    ],
)
def test_wrong_lists_are_told(tmp_path: Path, text: str, options: str, message: str) -> None:
    root = write_list(tmp_path, text, names_txt="street\nbeach\nsky\n", names_json="[1]")
    with pytest.raises(SourceError) as caught:
        open_concepts(f"folder:{root},list=list.txt{options}")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("names=names.txt", "give the list too, with list=FILE"),
        ("list=list.txt,masks=b", "give one of them"),
        ("list=none.txt", "there is no file none.txt"),
        ("list=list.txt,bare=maybe", "bare='maybe': wanted out or in"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, options: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_concepts(f"folder:{write_list(tmp_path, NUMBERS)},{options}")
    assert message in str(caught.value)
