"""ImageNet in its layouts, with both kinds of truth."""

from pathlib import Path

import pytest

from sets.files import write_files
from sets.imagenet import (
    CRANE,
    DEVKIT,
    KIT_FOX,
    MACHINE,
    NAMES,
    TENCH,
    write_devkit,
    write_imagenet,
    write_imagenet_folders,
)
from unitscope.concepts.derived import find_left_out, source_digest, source_spec
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.concepts.vocabulary import ConceptSource, find_named
from unitscope.errors import SourceError, UsageError

CALLED = ["tench", f"crane ({CRANE})", "kit fox", f"crane ({MACHINE})"]
SHOWN = [CALLED[3], "tench", CALLED[3], "kit fox"]
"""What the pictures of the validation set show, by number."""


def list_shown(source: ConceptSource) -> list[str]:
    """What every picture shows, which has one label, in the order of the numbers at the end of the keys."""
    examples = sorted((source[index] for index in range(len(source))), key=lambda one: one.key[-9:])
    return [source.vocabulary[number].name for one in examples for number in one.ids]


@pytest.mark.parametrize("place", ["", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"])
def test_kaggles_tree_opens_at_any_of_its_folders(tmp_path: Path, place: str) -> None:
    root = write_imagenet(tmp_path / "imagenet")
    whole = open_concepts(f"imagenet:{root / place}")
    assert [one.name for one in whole.vocabulary] == CALLED
    assert whole.vocabulary.categories == ("object",)
    assert {one.concept.name: one.images for one in check_source(whole).concepts} == {
        "tench": 3,
        CALLED[1]: 2,
        "kit fox": 3,
        CALLED[3]: 4,
    }
    others = {one.reason: one for one in find_left_out(whole)}
    assert str(others.pop("without a label")).endswith(": test/ILSVRC2012_test_00000001.JPEG")
    beside = ("../../Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml", "../../ImageSets/CLS-LOC/val.txt")
    assert [one.examples for one in others.values()] == ([] if "Data" in place else [beside])
    val = open_concepts(f"imagenet:{root / place},split=val")
    assert list_shown(val) == SHOWN
    assert val.vocabulary == whole.vocabulary
    assert source_digest(open_concepts(source_spec(val))) == source_digest(val)
    train = open_concepts(f"imagenet:{root / place},split=train")
    assert len(train) == 8
    others = {one.reason: one.files for one in find_left_out(train)}
    assert others.pop("no picture", 0) == {"": 3, "ILSVRC": 2}.get(place, 0)  # at the top the truth, too
    assert others == {"of another split": 4, "without a label": 1}


def test_two_synsets_of_one_name_stay_apart(tmp_path: Path) -> None:
    source = open_concepts(f"imagenet:{write_imagenet(tmp_path)}")
    assert [one.id for one in find_named(source.vocabulary, [CALLED[1], CALLED[3]])] == [2, 4]


def test_torchvisions_tree_has_ids_for_names_unless_a_file_tells_them(tmp_path: Path) -> None:
    root = write_imagenet_folders(tmp_path / "data")
    assert [one.name for one in open_concepts(f"imagenet:{root}").vocabulary] == sorted(NAMES)
    (tmp_path / "words.txt").write_text("".join(f"{one}\t{words}\n" for one, words in NAMES.items()))
    named = open_concepts(f"imagenet:{root},split=val,synsets={tmp_path / 'words.txt'}")
    assert [one.name for one in named.vocabulary] == CALLED
    assert list_shown(named) == SHOWN
    assert len(open_concepts(f"imagenet:{root / 'train'}")) == 8


def test_the_devkits_truth_is_in_the_order_of_its_own_list(tmp_path: Path) -> None:
    source = open_concepts(f"imagenet:{write_devkit(tmp_path)},split=val")
    assert list_shown(source) == SHOWN
    assert [one.name for one in source.vocabulary] == CALLED  # in which meta.mat has no entity


def test_a_list_in_the_devkits_order_serves_as_well(tmp_path: Path) -> None:
    root = write_devkit(tmp_path, meta=False)
    (tmp_path / "order.txt").write_text("".join(f"{one} {NAMES[one]}\n" for one in DEVKIT))
    assert list_shown(open_concepts(f"imagenet:{root},split=val,synsets=order.txt")) == SHOWN
    numbered = sorted(f"{one} {NAMES[one]}" for one in DEVKIT)
    lines = [f"{DEVKIT.index(line.split()[0]) + 1} {line}\n" for line in numbered]
    (tmp_path / "order.txt").write_text("".join(lines))
    assert list_shown(open_concepts(f"imagenet:{root},split=val,synsets=order.txt")) == SHOWN


def test_another_order_is_refused(tmp_path: Path) -> None:
    root = write_devkit(tmp_path, meta=False)
    (root / "LOC_synset_mapping.txt").write_text("".join(f"{one} {NAMES[one]}\n" for one in sorted(NAMES)))
    for options in ("", ",synsets=LOC_synset_mapping.txt"):
        with pytest.raises(SourceError, match="in the devkit's own order of the classes, which no list"):
            open_concepts(f"imagenet:{root},split=val{options}")
    assert len(open_concepts(f"imagenet:{root},split=train")) == 8  # which needs no truth


def test_the_truth_may_lie_elsewhere(tmp_path: Path) -> None:
    root = write_imagenet(tmp_path / "set")
    truth = (root / "LOC_val_solution.csv").rename(tmp_path / "truth.csv")
    with pytest.raises(
        SourceError, match=r"what 4 pictures show is told by LOC_val_solution.csv or ILSVRC2012_val"
    ):
        open_concepts(f"imagenet:{root},split=val")
    assert list_shown(open_concepts(f"imagenet:{root},split=val,truth={truth}")) == SHOWN
    left_out = find_left_out(open_concepts(f"imagenet:{root}"))
    assert {one.reason: one.files for one in left_out} == {"without a label": 5, "no picture": 2}


def test_pictures_without_truth_are_left_out(tmp_path: Path) -> None:
    root = write_imagenet(tmp_path)
    val = "ILSVRC/Data/CLS-LOC/val"
    write_files(root, {f"{val}/notes.txt": ""}, (f"{val}/ILSVRC2012_val_00000009.JPEG", f"{val}/a.JPEG"))
    left_out = find_left_out(open_concepts(f"imagenet:{root},split=val"))
    assert {one.reason: one.files for one in left_out} == {
        "no picture": 3,  # also Annotations/ and ImageSets/
        "without a label": 3,  # also of test/
        "of another split": 8,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("split=test", "no split 'test'; its splits are train, val"),
        ("truth=none.csv", "there is no file none.csv, neither here nor in "),
        ("synsets=none.txt", "there is no file none.txt"),
        ("size=3", "imagenet has no option 'size'; it has split, synsets, truth"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, options: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_concepts(f"imagenet:{write_imagenet(tmp_path)},{options}")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("option", "name", "text", "message"),
    [
        ("synsets", "a.txt", "tench\n", "line 1: 'tench'; wanted a synset and its names"),
        ("synsets", "a.txt", f"{TENCH} a\n{TENCH} b\n", f"line 2: {TENCH} is listed twice"),
        ("synsets", "a.txt", f"1 {TENCH} a\n{CRANE} b\n", "some lines are numbered"),
        ("synsets", "a.txt", f"1 {TENCH} a\n1 {CRANE} b\n", "a number stands before two synsets"),
        ("synsets", "meta.mat", "MATLAB 5.0", "is not the meta.mat of ImageNet's devkit"),
        (
            "truth",
            "a.csv",
            f"a,{TENCH}\nb,tench\n",
            "line 2: 'b,tench'; wanted a picture's name and its synset",
        ),
        ("truth", "a.txt", "1\n5\n", "line 2: there is no class '5'; wanted 1 to 4"),
        ("truth", "a.txt", f"1\n{'9' * 5000}\n", "line 2: there is no class '999"),
        ("truth", "a.txt", f"1\n{KIT_FOX}\n", "line 2: there is no class"),
    ],
)
def test_wrong_lists_are_told(tmp_path: Path, option: str, name: str, text: str, message: str) -> None:
    root = write_devkit(tmp_path / "set")
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError) as caught:
        open_concepts(f"imagenet:{root},{option}={tmp_path / name}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_trees_are_refused_as_folders_of_pictures(tmp_path: Path) -> None:
    for number, write in enumerate((write_imagenet, write_imagenet_folders, write_devkit)):
        with pytest.raises(UsageError, match="open it as imagenet:"):
            open_concepts(f"folder:{write(tmp_path / str(number))}")


def test_what_torchvision_leaves_beside_the_folders_is_counted(tmp_path: Path) -> None:
    root = write_imagenet_folders(tmp_path / "data")
    archives = ["ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_val.tar", "meta.bin"]
    write_files(root, dict.fromkeys(archives, "x"))
    for options, others in (("", {}), (",split=val", {"of another split": 8})):
        left_out = {one.reason: one for one in find_left_out(open_concepts(f"imagenet:{root}{options}"))}
        assert left_out.pop("no picture").examples == tuple(archives)
        assert {reason: one.files for reason, one in left_out.items()} == others


def test_a_set_in_a_folder_that_is_named_twice_is_found(tmp_path: Path) -> None:
    root = write_imagenet_folders(tmp_path / "there" / "data")
    place = tmp_path / "here"
    place.mkdir()
    for name in ("another", "imagenet"):
        (place / name).symlink_to(root)
    assert len(open_concepts(f"imagenet:{place}")) == 12
