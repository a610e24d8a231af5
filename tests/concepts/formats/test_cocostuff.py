"""COCO-Stuff as it goes around, as a source of concepts."""

from pathlib import Path

import pytest

from sets.cocostuff import write_cocostuff
from sets.counting import count_pixels
from sets.drawing import draw_halves, write_mask, write_text
from unitscope.concepts.formats.maps.cocostuff import NAMES
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError

COUNTS = {
    "train2017": {"images/train2017/000000000009.jpg": {"person": 47, "wood": 48}},
    "val2017": {"images/val2017/000000000139.jpg": {"hair brush": 48, "banner": 48}},
}


def test_each_split_has_the_pixels_that_were_drawn(tmp_path: Path) -> None:
    write_cocostuff(tmp_path)
    found = {split: count_pixels(open_concepts(f"cocostuff:{tmp_path},split={split}")) for split in COUNTS}
    assert found == COUNTS
    assert count_pixels(open_concepts(f"cocostuff:{tmp_path}")) == COUNTS["train2017"] | COUNTS["val2017"]


def test_a_value_is_one_less_than_the_published_number(tmp_path: Path) -> None:
    source = open_concepts(f"cocostuff:{write_cocostuff(tmp_path)}")
    names = {one.id: one.name for one in source.vocabulary}
    published = {
        1: "person",
        12: "street sign",
        91: "hair brush",
        92: "banner",
        157: "sky-other",
        182: "wood",
    }
    assert {number: names[number] for number in published} == published
    assert len(names) == len(NAMES) == 182


def test_pixels_without_a_label_are_void_on_request(tmp_path: Path) -> None:
    write_cocostuff(tmp_path)
    source = open_concepts(f"cocostuff:{tmp_path},split=train2017,unlabelled=void")
    assert count_pixels(source) == {
        "images/train2017/000000000009.jpg": {"person": 47, "wood": 48, "void": 1}
    }
    assert check_source(source).notes == ("void: 255",)
    assert check_source(f"cocostuff:{tmp_path}").notes == ("unlabelled, not void: 255",)


@pytest.mark.parametrize("masks", ["annotations", "stuffthingmaps_trainval2017", "stuffthingmaps"])
@pytest.mark.parametrize("images", ["images", "."])
def test_the_layouts_of_the_archives_are_found(tmp_path: Path, images: str, masks: str) -> None:
    source = open_concepts(f"cocostuff:{write_cocostuff(tmp_path / 'dataset', images, masks).parent}")
    assert [example["person"] for example in count_pixels(source).values() if "person" in example] == [47]
    assert (len(source), source.left_out) == (2, ())


def test_other_masks_of_coco_are_no_splits(tmp_path: Path) -> None:
    write_cocostuff(tmp_path)
    for folder in ("panoptic_val2017", "stuff_val2017_pixelmaps"):
        write_mask(tmp_path / "annotations" / folder / "000000000139.png", draw_halves(1, 2))
    source = open_concepts(f"cocostuff:{tmp_path}")
    assert count_pixels(source) == COUNTS["train2017"] | COUNTS["val2017"]
    assert {one.reason: one.files for one in source.left_out} == {"labels in a form that is not read": 2}


def test_a_list_of_classes_beside_wins(tmp_path: Path) -> None:
    write_text(write_cocostuff(tmp_path) / "labels.txt", "0: unlabeled", "1: human", "182: timber")
    source = open_concepts(f"cocostuff:{tmp_path},split=train2017")
    assert count_pixels(source) == {"images/train2017/000000000009.jpg": {"human": 47, "timber": 48}}
    (tmp_path / "labels.txt").write_text("person\n256: x\n")
    with pytest.raises(SourceError, match=r"labels\.txt, line 1: 'person'; wanted a number and a name"):
        open_concepts(f"cocostuff:{tmp_path}")


def test_masks_numbered_for_training_are_refused(tmp_path: Path) -> None:
    write_cocostuff(tmp_path)
    train = tmp_path / "annotations" / "train2017"
    write_mask(train / "000000000009_labelTrainIds.png", draw_halves(0, 170))
    source = open_concepts(f"cocostuff:{tmp_path},split=train2017")
    assert count_pixels(source) == COUNTS["train2017"]
    assert [str(one) for one in source.left_out][:1] == [
        "1 file left out, numbered for training, by another list: "
        "annotations/train2017/000000000009_labelTrainIds.png"
    ]
    (train / "000000000009.png").unlink()
    with pytest.raises(SourceError, match=r"000000000009_labelTrainIds\.png is numbered for training"):
        open_concepts(f"cocostuff:{tmp_path},split=train2017")


def test_wrong_use_is_told(tmp_path: Path) -> None:
    write_cocostuff(tmp_path)
    with pytest.raises(UsageError, match="no split 'val'; its splits are train2017, val2017"):
        open_concepts(f"cocostuff:{tmp_path},split=val")
    with pytest.raises(UsageError, match="unlabelled='no': wanted void"):
        open_concepts(f"cocostuff:{tmp_path},unlabelled=no")
    with pytest.raises(UsageError, match="open it as cocostuff:"):
        open_concepts(f"folder:{tmp_path}")
    for path in (tmp_path / "images").rglob("*.jpg"):
        path.unlink()
    with pytest.raises(
        SourceError, match="no mask in annotations/ has the name of a picture in images/train2017/"
    ):
        open_concepts(f"cocostuff:{tmp_path}")


def test_a_value_without_a_class_is_told(tmp_path: Path) -> None:
    write_mask(
        write_cocostuff(tmp_path) / "annotations" / "val2017" / "000000000139.png", draw_halves(0, 182)
    )
    with pytest.raises(
        SourceError, match=r"139.png: the mask holds id 182, which the list of COCO-Stuff's 182"
    ):
        open_concepts(f"cocostuff:{tmp_path},split=val2017")[0]
