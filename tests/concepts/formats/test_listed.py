"""Folders of pictures with a list that says what they show."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

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
        ("list.txt", "a/one.png street\na/two words.png\ttennis court\n\n./b/three.jpg  street\n"),
        ("list.csv", "a/one.png;street\na/two words.png;tennis court\nb/three.jpg;street\n;\n"),
        ("list.csv", "label,path\nstreet,a/one.png\ntennis court,a/two words.png\nstreet,b\\three.jpg\n"),
        ("list.csv", "id,breed\na/one,street\ntwo words,tennis court\nthree,street\n"),
        ("list.csv", "pic,cls\na/one.png,street\na/two words.png,tennis court\nb/three.jpg,street\n"),
        ("list.csv", "url,x\na/one.png,street\na/two words.png,tennis court\nb/three.jpg,street\n"),
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


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("list.txt", "a/one.png cat\nb/three.jpg dog\na/two words.png cat dog\n", ""),
        ("list.txt", "a/one.png cat\nb/three.jpg dog\na/two words.png cat|dog\n", ""),
        ("list.txt", "a/one.png cat\nb/three.jpg dog\na/two words.png\tcat\tdog\n", ""),
        ("list.txt", "b/three.jpg dog\na/one.png cat\na/two words.png cat dog\n", ",words=apart"),
        ("list.txt", "a/one.png 0\nb/three.jpg 2\na/two words.png 0 2\n", ",names=names.txt"),
        ("list.txt", "a/one.png 0\nb/three.jpg 2\na/two words.png 0,2\n", ",names=names.txt"),
        ("list.txt", "a/one.png n0\nb/three.jpg n2\na/two words.png n0 n2\n", ",names=ids.txt"),
        ("list.csv", "a/one.png,cat,\nb/three.jpg,dog\na/two words.png,cat,dog\nc.png,dog,cat\n", ""),
        ("list.csv", "f,label1,label2\na/one.png,cat,\nb/three.jpg,dog,\na/two words.png,cat,dog\n", ""),
        (
            "list.csv",
            "f,w,a,b\na/one.png,7,cat,\nb/three.jpg,9,,dog\na/two words.png,8,cat,dog\n",
            ",label=a+b",
        ),
        ("list.csv", "f,tags\na/one.png,cat\nb/three.jpg,dog\na/two words.png,cat dog\n", ""),
        ("list.csv", "f,x\na/one.png,cat\nb/three.jpg,dog\na/two words.png,cat dog\n", ",words=apart"),
    ],
)
def test_several_labels_of_a_line_are_several(tmp_path: Path, name: str, text: str, options: str) -> None:
    root = write_list(tmp_path, text, name, names_txt="cat\nsea\ndog\n", ids_txt="n0 cat\nn1 sea\nn2 dog\n")
    source = open_concepts(f"folder:{root},list={name}{options}")
    assert told(source) == {"a/one.png": ("cat",), "a/two words.png": ("cat", "dog"), "b/three.jpg": ("dog",)}
    assert source_digest(open_concepts(source_spec(source))) == source_digest(source)


def test_several_words_are_one_label_where_that_is_said(tmp_path: Path) -> None:
    root = write_list(tmp_path, "a/one.png 0 1\nb/three.jpg tennis court\n", names_txt="tennis court\n0 1\n")
    for options in ("words=together", "names=names.txt,words=together"):
        source = open_concepts(f"folder:{root},list=list.txt,{options}")
        assert told(source) == {"a/one.png": ("0 1",), "b/three.jpg": ("tennis court",)}
    (root / "list.txt").write_text("a/one.png tennis court\n")
    assert told(open_concepts(f"folder:{root},list=list.txt,names=names.txt")) == {
        "a/one.png": ("tennis court",)
    }


@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_an_empty_cell_is_no_label(tmp_path: Path, mark: str) -> None:
    text = ",image,label\n,a/one.png,cat\n1,b/three.jpg,\n".replace(",", mark)
    root = write_list(tmp_path, text, "list.csv")
    source = open_concepts(f"folder:{root},list=list.csv,label=label")
    assert told(source) == {"a/one.png": ("cat",)}
    assert [(one.reason, one.files) for one in find_left_out(source)] == [("without a label", 2)]
    bare = open_concepts(f"folder:{root},list=list.csv,label=label,bare=in")
    assert told(bare)["b/three.jpg"] == ()


def test_paths_from_the_top_are_found(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    for place in ("real", "link"):
        root = write_list(tmp_path / "real", f"{tmp_path}/{place}/a/one.png cat\n").parent / "link"
        assert told(open_concepts(f"folder:{root},list=list.txt")) == {"a/one.png": ("cat",)}


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
    val = open_concepts(f"folder:{root},list=list.txt,split=val")
    assert told(val) == {"a/one.png": ("2",)}
    assert [str(one) for one in find_left_out(val)] == [
        "2 files left out, of another split: a/two words.png, b/three.jpg"
    ]
    with pytest.raises(UsageError, match="its splits are 'val'"):
        open_concepts(f"folder:{root},list=list.txt,split=train")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a/one.png\n", "", "line 1: 'a/one.png'; wanted a picture and its label"),
        ("a/one.png,a,b\n", "", "line 1: 'a/one.png,a,b'; wanted a picture and its label"),
        ("c/one.png 1\n", "", "lists no picture of"),
        ("", "", "list.txt: lists nothing; wanted a line a picture, with its label"),
        ("image\tlabel\n", "", "list.txt: lists nothing; wanted a line a picture"),
        (
            "a/one.png street\nb/three.jpg tennis court",
            "",
            "line 2: 'tennis court' may be one label or several",
        ),
        (
            "a/one.png 0\nb/three.jpg 0 7\n",
            ",names=names.txt",
            "line 2: names.txt does not name the label '7'",
        ),
        ("a/one.png 0\nb/three.jpg x\n", ",names=names.txt", "line 2: names.txt does not name the label 'x'"),
        ("a/one.png n1\nb/three.jpg n3\n", ",names=ids.txt", "line 2: ids.txt does not name the label 'n3'"),
        ("a/one.png sky street\n", ",names=two.txt", "line 1: 'sky street' may be one label or several"),
        ("a/one.png 1\n", ",names=gap.txt", "gap.txt, line 2: empty, so the numbers after it are in doubt"),
        ("a/one.png 1\n", ",names=twice.txt", "twice.txt: the label 1 is named twice"),
        ("a/one.png 1 0 1\nb/three.jpg 0 0 1\n", "", "line 1: '1 0 1' may be labels, or a mark a class"),
        ("a/one.png\tcat|dog\n", "", "line 1: 'cat|dog' may be one label or several; say words=together"),
        ("a/one.png\tsky\na/one.png\tsea\nb/three.jpg\tsky sea", "", "line 3: 'sky sea' may be one label or"),
        ("path\ttags\na/one.png\tsky sea\n", "", "line 2: 'sky sea' may be one label or several"),
        ("a/one.png\tcat\ttrain\n", "", "2 cells stand beside the picture; write titles above them"),
        ("a/one.png\t3\t3\n", "", "2 cells stand beside the picture"),
        (
            "path\tlabel\tsplit\na/one.png\tsea\tval\n",
            "",
            "the columns label, split stand beside the picture; say",
        ),
        ("id\tpath\n7\ta/one.png\n", "", "but the columns id stand beside the picture; say which"),
        ("path\tlabel\na/one.png\tsea\tval\n", "", "line 2: 3 cells under 2 titles (path, label)"),
        ("path\tlabel\na/one.png\n", "", "line 2: 'a/one.png'; wanted a picture and its label"),
        ("path\tlabel\na/one.png\t\n", ",label=label,bare=in", "list.txt: has no label for any picture of"),
        ("path\tlabel\n\tsea\n", "", "line 2: '\\tsea'; wanted a picture and its label"),
        ("one\tsea\nsame\tsky\n", "", "line 2: 'same' may be a/same.png or b/same.png; write which"),
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
    more = {"ids.txt": "n1 sea\nn2 sky\n", "two.txt": "sky\nstreet\nsky street\n", "gap.txt": "sky\n\nsea\n"}
    write_files(root, {**more, "twice.txt": "1 sky\n1 sea\n"}, ("a/same.png", "b/same.png"))
    with pytest.raises(SourceError) as caught:
        open_concepts(f"folder:{root},list=list.txt{options}")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("names=names.txt", "give the list too, with list=FILE"),
        ("words=apart", "give the list too, with list=FILE"),
        ("label=breed", "give the list too, with list=FILE"),
        ("list=list.txt,words=some", "words='some': wanted apart or together"),
        ("list=list.txt,label=breed", "list.txt is no table with titles"),
        ("list=list.csv,label=breed", "has no column 'breed' beside the pictures; there are label, split"),
        ("list=list.csv,label=path", "has no column 'path' beside the pictures"),
        ("list=list.txt,masks=b", "give one of them"),
        ("list=none.txt", "there is no file none.txt"),
        ("list=list.txt,bare=maybe", "bare='maybe': wanted out or in"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, options: str, message: str) -> None:
    root = write_list(tmp_path, NUMBERS, list_csv="path,label,split\na/one.png,sea,val\n")
    with pytest.raises(UsageError) as caught:
        open_concepts(f"folder:{root},{options}")
    assert message in str(caught.value)


cells = st.sampled_from(
    ["a/one.png", "one", "b/three.jpg", "c.png", "path", "label", "tags", "cat", "dog", "0", "1"]
)
lines = st.lists(
    st.lists(st.one_of(cells, st.sampled_from(["", " ", "cat dog", '"'])), max_size=4), max_size=5
)


@settings(max_examples=150)
@example([["a/one.png", "two", "", "one"]], " ", "list.txt", ",words=together")
@given(
    lines=lines,
    mark=st.sampled_from([" ", ",", "\t", ";", "|"]),
    name=st.sampled_from(["list.txt", "list.csv", "list.tsv"]),
    options=st.sampled_from(["", ",words=apart", ",words=together", ",label=label", ",names=names.txt"]),
)
def test_any_list_is_read_or_refused_in_a_line(lines, mark, name, options) -> None:
    with TemporaryDirectory() as folder:
        text = "\n".join(mark.join(line) for line in lines)
        root = write_list(Path(folder), text, name, names_txt="cat\ndog\n")
        try:
            source, said = open_concepts(f"folder:{root},list={name}{options}"), ""
        except (SourceError, UsageError) as error:
            source, said = None, str(error)
        assert "\n" not in said
        if source is not None:
            assert all(told(source).values())
            known = f"{text} cat dog"
            spaced = " ".join(known.split())  # words that stand together are one space apart
            assert all(one.name in known or one.name in spaced for one in source.vocabulary)
