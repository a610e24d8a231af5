"""Cityscapes as it is published, as a source of concepts."""

from pathlib import Path

import pytest

from sets.cityscapes import EXTRA, FRAMES, write_cityscapes
from sets.counting import count_pixels
from sets.drawing import draw_halves, write_mask
from unitscope.concepts.formats.maps.cityscapes import NAMES, NOT_EVALUATED
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError

COUNTS = {
    "train/aachen/aachen_000000_000019": {"road": 47, "car": 48, "void": 1},
    "train/bochum/bochum_000000_000313": {"vegetation": 48, "parking": 48},
    "val/frankfurt/frankfurt_000000_000294": {"sky": 47, "bicycle": 48, "void": 1},
    "test/berlin/berlin_000000_000019": {"void": 96},
    EXTRA: {"building": 48, "void": 48},
}


def expect(*names: str) -> dict[str, dict[str, int]]:
    return {f"leftImg8bit/{name}_leftImg8bit.png": COUNTS[name] for name in names}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_cityscapes(tmp_path / "cityscapes")


def test_each_split_has_the_pixels_that_were_drawn(root: Path) -> None:
    aachen, bochum, frankfurt, berlin = FRAMES
    found = {
        split: count_pixels(open_concepts(f"cityscapes:{root},split={split}"))
        for split in ("train", "val", "test", "train_extra")
    }
    assert found == {
        "train": expect(aachen, bochum),
        "val": expect(frankfurt),
        "test": expect(berlin),
        "train_extra": expect(EXTRA),
    }


def test_without_a_split_all_but_test_is_read_and_the_rest_is_counted(root: Path) -> None:
    source = open_concepts(f"cityscapes:{root}")
    assert count_pixels(source) == expect(*(name for name in FRAMES if "berlin" not in name), EXTRA)
    assert {one.reason: one.files for one in source.left_out} == {
        "of the split test, whose masks hold void alone": 2,
        "a coarse mask where there is a fine one": 1,
        "labels in a form that is not read": 18,
    }
    assert source.wrong == ()


def test_all_classes_with_names_are_concepts_and_objects(root: Path) -> None:
    source = open_concepts(f"cityscapes:{root}")
    assert [(one.name, one.category) for one in source.vocabulary] == [(name, "object") for name in NAMES[7:]]
    assert len(source.vocabulary) == 27


def test_what_is_not_evaluated_is_void_on_request(root: Path) -> None:
    source = open_concepts(f"cityscapes:{root},split=train,eval=yes")
    assert len(source.vocabulary) == 19
    assert {NAMES[number] for number in NOT_EVALUATED} == (
        {"parking", "rail track", "guard rail", "bridge", "tunnel", "polegroup", "caravan", "trailer"}
    )
    bochum = "leftImg8bit/train/bochum/bochum_000000_000313_leftImg8bit.png"
    assert count_pixels(source)[bochum] == {"vegetation": 48, "void": 48}


def test_the_check_names_what_is_void(root: Path) -> None:
    report = check_source(f"cityscapes:{root}")
    void = "void: unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground"
    assert report.notes == (void, "masks: 3 fine, 1 coarse")
    assert void in report.text()
    assert report.problems == ()


def test_coarse_masks_alone_can_be_asked_for(root: Path) -> None:
    source = open_concepts(f"cityscapes:{root},masks=gtCoarse")
    counts = count_pixels(source)
    assert counts == {
        "leftImg8bit/val/frankfurt/frankfurt_000000_000294_leftImg8bit.png": {"sky": 48, "void": 48},
        **expect(EXTRA),
    }


def test_training_numbers_are_read_as_what_they_are(root: Path) -> None:
    aachen = next(iter(FRAMES))
    for name in FRAMES:
        (root / "gtFine" / f"{name}_gtFine_labelIds.png").unlink()
    write_mask(root / "gtFine" / f"{aachen}_gtFine_labelTrainIds.png", draw_halves(0, 13, 255))
    source = open_concepts(f"cityscapes:{root},masks=gtFine")
    assert count_pixels(source) == expect(aachen)
    assert len(source.vocabulary) == 19
    assert source.notes == ("void: 255 (labelTrainIds, which name the 19 evaluated classes)",)


def test_training_numbers_beside_others_are_left_out(root: Path) -> None:
    aachen = next(iter(FRAMES))
    write_mask(root / "gtFine" / f"{aachen}_gtFine_labelTrainIds.png", draw_halves(0, 13, 255))
    assert (
        count_pixels(open_concepts(f"cityscapes:{root},split=train"))[f"leftImg8bit/{aachen}_leftImg8bit.png"]
        == (COUNTS[aachen])
    )


@pytest.mark.parametrize("place", ["", "leftImg8bit", "gtFine"])
def test_folders_above_and_below_open_the_same(root: Path, place: str) -> None:
    given = root / place if place else root.parent
    source = open_concepts(f"cityscapes:{given}")
    assert (len(source), source.root.resolve()) == (4, root)
    assert open_concepts(source.spec).digest == source.digest
    assert any(str(root) in note for note in source.notes) == bool(place)


def test_wrong_use_is_told(root: Path) -> None:
    with pytest.raises(UsageError, match="no split 'training'; its splits are test, train, train_extra, val"):
        open_concepts(f"cityscapes:{root},split=training")
    with pytest.raises(UsageError, match="eval='no way': wanted yes or no"):
        open_concepts(f"cityscapes:{root},eval=no way")
    with pytest.raises(SourceError, match="has no leftImg8bit/ and gtFine/ or gtCoarse/"):
        open_concepts(f"cityscapes:{root / 'gtFine' / 'val' / 'frankfurt'}")
    with pytest.raises(SourceError, match="no picture of train_extra in leftImg8bit/ has a mask gtFine/"):
        open_concepts(f"cityscapes:{root},split=train_extra,masks=gtFine")
    with pytest.raises(UsageError, match="open it as cityscapes:"):
        open_concepts(f"folder:{root}")


def test_a_number_without_a_name_and_a_mask_without_a_picture_are_told(root: Path) -> None:
    aachen, bochum, *_ = FRAMES
    write_mask(root / "gtFine" / f"{aachen}_gtFine_labelIds.png", draw_halves(7, 34))
    (root / "leftImg8bit" / f"{bochum}_leftImg8bit.png").unlink()
    report = check_source(f"cityscapes:{root},split=train")
    assert [problem.place for problem in report.problems] == [
        f"leftImg8bit/{aachen}_leftImg8bit.png",
        f"gtFine/{bochum}_gtFine_labelIds.png",
    ]
    assert (
        "holds id 34, which the list of labelIds does not name; replace the mask"
        in report.problems[0].message
    )
