"""Published sets of pictures that are labelled as a whole: DTD, SUN397, Places365."""

from pathlib import Path

import pytest

from sets.dtd import write_dtd
from sets.files import write_files
from sets.places365 import write_places365
from sets.sun397 import write_sun397
from unitscope.concepts.derived import find_left_out, source_digest, source_spec
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import SourceError, UsageError


def told(source: ConceptSource) -> dict[str, tuple[str, ...]]:
    """The names of what every picture shows, by key."""
    words = source.vocabulary
    examples = [source[index] for index in range(len(source))]
    return {one.key: tuple(words[number].name for number in one.ids) for one in examples}


def test_dtd_opens_whole_and_by_split(tmp_path: Path) -> None:
    root = write_dtd(tmp_path / "dtd")
    whole = open_concepts(f"dtd:{root}")
    assert [(one.id, one.name, one.category) for one in whole.vocabulary] == [
        (1, "banded", "texture"),
        (2, "lined", "texture"),
        (3, "zigzagged", "texture"),
    ]
    assert told(whole) == {
        "images/banded/banded_0002.jpg": ("banded",),
        "images/banded/banded_0004.jpg": ("banded",),
        "images/lined/lined_0001.jpg": ("lined",),
        "images/zigzagged/zigzagged_0009.jpg": ("zigzagged",),
    }
    assert whole[2].image[0, 0].tolist() == [20, 20, 20]
    lists = ["labels_joint_anno", "test10", "train1", "val1"]
    unused = ("imdb/imdb.mat", *(f"labels/{name}.txt" for name in lists))
    assert [(one.reason, one.files, one.examples) for one in find_left_out(whole)] == [
        ("no picture", 5, unused)
    ]
    assert len(check_source(whole).problems) == 0
    train = open_concepts(f"dtd:{root},split=train1")
    assert list(told(train)) == ["images/banded/banded_0002.jpg", "images/lined/lined_0001.jpg"]
    assert {one.reason: one.files for one in find_left_out(train)} == {
        "of another split": 2,
        "no picture": 4,
    }
    assert train.vocabulary == whole.vocabulary
    assert source_digest(open_concepts(source_spec(train))) == source_digest(train) != source_digest(whole)
    assert len(open_concepts(f"dtd:{root.parent},split=val1")) == 1  # the folder that the archive adds
    assert len(open_concepts(f"dtd:{root / 'images'},split=val1")) == 1


def test_dtd_tells_several_textures_of_a_picture(tmp_path: Path) -> None:
    joint = open_concepts(f"dtd:{write_dtd(tmp_path)},joint=yes")
    assert [one.name for one in joint.vocabulary] == ["banded", "grid", "lined", "zigzagged"]
    assert told(joint)["images/banded/banded_0002.jpg"] == ("banded", "lined")
    counts = {one.concept.name: one.images for one in check_source(joint).concepts}
    assert counts == {"banded": 2, "grid": 1, "lined": 2, "zigzagged": 1}


def test_a_listed_picture_that_is_gone_is_told(tmp_path: Path) -> None:
    source = open_concepts(f"dtd:{write_dtd(tmp_path)},split=test10")
    assert len(source) == 1
    assert "1 file left out, listed, but not there: images/lined/lined_0007.jpg" in map(
        str, find_left_out(source)
    )
    report = check_source(source)
    assert [(one.place, one.message) for one in report.problems] == [
        ("images/lined/lined_0007.jpg", "listed, but not there")
    ]


def test_sun397_opens_whole_and_by_partition(tmp_path: Path) -> None:
    root = write_sun397(tmp_path / "SUN397")
    whole = open_concepts(f"sun397:{root.parent}")
    assert [(one.name, one.category) for one in whole.vocabulary] == [
        ("abbey", "scene"),
        ("apartment_building/outdoor", "scene"),
        ("zoo", "scene"),
    ]
    assert told(whole)["a/apartment_building/outdoor/sun_ac.jpg"] == ("apartment_building/outdoor",)
    assert [str(one) for one in find_left_out(whole)] == [
        "3 files left out, no picture: Partitions/Testing_01.txt, Partitions/Training_01.txt, README.txt",
        "1 file left out, without a label: b/other/sun_ae.jpg",
    ]
    assert list(told(open_concepts(f"sun397:{root},split=Training_01"))) == [
        "a/abbey/sun_aa.jpg",
        "a/apartment_building/outdoor/sun_ac.jpg",
    ]
    test = open_concepts(f"sun397:{root},split=Testing_01")
    assert told(test) == {"a/abbey/sun_ab.jpg": ("abbey",), "z/zoo/sun_ad.jpg": ("zoo",)}
    assert test.vocabulary == whole.vocabulary
    assert {one.reason: one.files for one in find_left_out(test)} == {
        "no picture": 2,
        "of another split": 2,
        "without a label": 1,
    }


@pytest.mark.parametrize("place", [".", "..", "../Partitions"])
def test_sun397s_lists_may_lie_in_other_places(tmp_path: Path, place: str) -> None:
    root = write_sun397(tmp_path / "SUN397")
    lists = root / place
    lists.mkdir(exist_ok=True)
    for path in (*(root / "Partitions").iterdir(), root / "ClassName.txt"):
        path.rename(lists / path.name)
    (root / "Partitions").rmdir()
    test = open_concepts(f"sun397:{root},split=Testing_01")
    assert told(test) == {"a/abbey/sun_ab.jpg": ("abbey",), "z/zoo/sun_ad.jpg": ("zoo",)}
    whole = open_concepts(f"sun397:{root}")
    assert len(whole) == 4  # b/other is no scene of ClassName.txt
    assert whole.vocabulary == test.vocabulary


def test_places365_opens_whole_and_by_split(tmp_path: Path) -> None:
    root = write_places365(tmp_path)
    whole = open_concepts(f"places365:{root}")
    assert [one.name for one in whole.vocabulary] == ["airfield", "apartment_building/outdoor", "zoo"]
    assert whole.vocabulary.categories == ("scene",)
    assert {one.concept.name: one.images for one in check_source(whole).concepts} == {
        "airfield": 3,
        "apartment_building/outdoor": 1,
        "zoo": 1,
    }
    assert [str(one) for one in find_left_out(whole)] == [
        "1 file left out, without a label: test_256/Places365_test_00000001.jpg"
    ]
    assert told(open_concepts(f"places365:{root},split=val")) == {
        "val_256/Places365_val_00000001.jpg": ("zoo",),
        "val_256/Places365_val_00000002.jpg": ("airfield",),
    }
    assert len(open_concepts(f"places365:{root},split=train")) == 3
    (root / "data_256").rename(root / "data_256_standard")
    train = open_concepts(f"places365:{root},split=train")
    assert len(train) == 3
    assert {one.reason: one.files for one in find_left_out(train)} == {
        "no picture": 1,
        "without a label": 1,
        "of another split": 2,
    }


def test_places365_in_two_sizes_is_taken_once(tmp_path: Path) -> None:
    root = write_places365(tmp_path)
    write_files(root, {"val_large/notes.txt": ""}, ("val_large/Places365_val_00000001.jpg",))
    whole = open_concepts(f"places365:{root}")
    assert len(whole) == 5
    assert {one.reason: one.files for one in find_left_out(whole)} == {
        "no picture": 1,
        "without a label": 1,
        "the same pictures in another size": 1,
    }


def test_a_link_to_the_top_brings_nothing_twice(tmp_path: Path) -> None:
    root = write_places365(tmp_path)
    (root / "data_256" / "loop").symlink_to("..")
    whole = open_concepts(f"places365:{root}")
    assert len(whole) == 5
    assert {one.reason: one.files for one in find_left_out(whole)} == {
        "a link to a folder that is read already": 1,
        "without a label": 1,
    }


@pytest.mark.parametrize(
    ("word", "write", "message"),
    [
        ("dtd:{},split=train2", write_dtd, "no split 'train2'; its splits are test10, train1, val1"),
        ("dtd:{},joint=maybe", write_dtd, "joint='maybe': wanted yes or no"),
        ("sun397:{},split=train", write_sun397, "its splits are Training_01, Testing_01"),
        ("places365:{},split=test", write_places365, "no split 'test'; its splits are train, val"),
        ("dtd:{}/none", write_dtd, "is not a folder; wanted one with DTD's images/ and labels/"),
    ],
)
def test_unknown_splits_are_told_what_exists(tmp_path, word, write, message) -> None:
    with pytest.raises(UsageError) as caught:
        open_concepts(word.format(write(tmp_path)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "places365_val.txt",
            "Places365_val_00000001.jpg\n",
            "line 1: 'Places365_val_00000001.jpg'; wanted a name",
        ),
        ("places365_val.txt", "Places365_val_00000001.jpg 9\n", "line 1: there is no scene 9"),
        ("places365_val.txt", f"a.jpg {'9' * 5000}\n", "line 1"),
        ("categories_places365.txt", "\udcff", "cannot be read"),
    ],
)
def test_wrong_lists_are_told(tmp_path: Path, file: str, text: str, message: str) -> None:
    root = write_places365(tmp_path)
    (root / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SourceError) as caught:
        open_concepts(f"places365:{root}")
    assert message in str(caught.value)
    (root / file).unlink()
    with pytest.raises(SourceError, match="the file is missing"):
        open_concepts(f"places365:{root}")


def test_the_folders_are_refused_with_their_words(tmp_path: Path) -> None:
    for word, write in (("dtd", write_dtd), ("sun397", write_sun397), ("places365", write_places365)):
        with pytest.raises(UsageError, match=f"open it as {word}:"):
            open_concepts(f"folder:{write(tmp_path / word)}")
