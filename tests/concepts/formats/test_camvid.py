"""CamVid in its three forms, as a source of concepts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sets.camvid import write_codes, write_colors, write_segnet
from sets.counting import count_pixels
from sets.drawing import SIZE, draw_halves, write_mask, write_picture
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError

SEGNET = {
    "train": {"train/0001TP_006690.png": {"Sky": 48, "Bicyclist": 48}},
    "val": {"val/0016E5_07959.png": {"Building": 47, "Car": 48, "void": 1}},
    "test": {"test/0001TP_008550.png": {"Tree": 96}},
}
COLORS = {
    "701_StillsRaw_full/0001TP_006690.png": {"Animal": 48, "Sky": 48},
    "701_StillsRaw_full/Seq05VD_f00000.png": {"Sky": 94, "void": 2},
}
CODES = {
    "train": {"images/0001TP_006690.png": {"Animal": 48, "Sky": 48}},
    "valid": {"images/0016E5_07959.png": {"Wall": 95, "void": 1}},
}


def test_segnet_has_three_splits_and_eleven_classes(tmp_path: Path) -> None:
    write_segnet(tmp_path)
    found = {split: count_pixels(open_concepts(f"camvid:{tmp_path},split={split}")) for split in SEGNET}
    assert found == SEGNET
    whole = open_concepts(f"camvid:{tmp_path}")
    assert count_pixels(whole) == SEGNET["train"] | SEGNET["val"] | SEGNET["test"]
    assert [one.name for one in whole.vocabulary][::5] == ["Sky", "Tree", "Bicyclist"]
    assert {one.category for one in whole.vocabulary} == {"object"}
    assert (whole.left_out, whole.wrong, whole.notes) == ((), (), ("void: 11 (Unlabelled)",))


def test_a_split_counts_what_it_leaves_out(tmp_path: Path) -> None:
    source = open_concepts(f"camvid:{write_segnet(tmp_path)},split=val")
    assert {one.reason: one.files for one in source.left_out} == {
        "of another split": 4,
        "neither a picture nor a mask": 2,
    }


def test_pictures_that_a_list_names_and_that_are_missing_are_told(tmp_path: Path) -> None:
    place = write_segnet(tmp_path)
    (place / "val" / "0016E5_07959.png").unlink()
    report = check_source(f"camvid:{place}")
    assert [(one.place, one.message) for one in report.problems] == [
        ("val/0016E5_07959", "named by a list, but missing"),
    ]
    assert [str(one) for one in report.left_out] == [
        "1 file left out, a mask without a picture of its name: valannot/0016E5_07959.png",
        "1 file left out, named by a list, but missing: val/0016E5_07959",
    ]


def test_masks_of_colors_are_looked_up_in_the_table(tmp_path: Path) -> None:
    source = open_concepts(f"camvid:{write_colors(tmp_path)}")
    assert count_pixels(source) == COLORS
    assert [one.name for one in source.vocabulary] == ["Animal", "Sky"]


def test_the_check_says_how_many_pixels_have_a_color_without_a_name(tmp_path: Path) -> None:
    report = check_source(f"camvid:{write_colors(tmp_path)}")
    assert report.notes == (
        "void: (0, 0, 0) (Void), colors that label_colors.txt does not have",
        "void: 1 pixel in 1 mask, of colors that label_colors.txt does not have: (1, 2, 3) in "
        "LabeledApproved_full/Seq05VD_f00000_L.png",
    )
    assert report.problems == ()


def test_masks_of_colors_may_be_stored_with_a_palette(tmp_path: Path) -> None:
    place = write_colors(tmp_path) / "LabeledApproved_full" / "0001TP_006690_L.png"
    with Image.open(place) as mask:
        mask.quantize(8).save(place)
    with Image.open(place) as mask:
        assert mask.mode == "P"
    assert count_pixels(open_concepts(f"camvid:{tmp_path}")) == COLORS


def test_numbers_are_named_by_codes(tmp_path: Path) -> None:
    write_codes(tmp_path)
    found = {split: count_pixels(open_concepts(f"camvid:{tmp_path},split={split}")) for split in CODES}
    assert found == CODES
    whole = open_concepts(f"camvid:{tmp_path}")
    assert count_pixels(whole) == CODES["train"] | CODES["valid"]
    assert [one.name for one in whole.vocabulary] == ["Animal", "Sky", "Wall"]
    assert whole.notes == ("void: 2 (Void)",)


def test_wrong_use_is_told(tmp_path: Path) -> None:
    segnet, colors, codes = (
        write_segnet(tmp_path / "a"),
        write_colors(tmp_path / "b"),
        write_codes(tmp_path / "c"),
    )
    with pytest.raises(UsageError, match="no split 'valid'; its splits are train, val, test"):
        open_concepts(f"camvid:{segnet},split=valid")
    with pytest.raises(UsageError, match="no split 'train'; it has none; leave the split out"):
        open_concepts(f"camvid:{colors},split=train")
    with pytest.raises(UsageError, match="no split 'val'; its splits are train, valid"):
        open_concepts(f"camvid:{codes},split=val")
    for place in (segnet, colors, codes):
        with pytest.raises(UsageError, match="open it as camvid:"):
            open_concepts(f"folder:{place}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="has no train/ and trainannot/, or"):
        open_concepts(f"camvid:{tmp_path / 'empty'}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("64 128 64", "label_colors.txt, line 1: '64 128 64'; wanted three numbers up to 255 and a name"),
        ("64 128 256 Animal", "wanted three numbers up to 255"),
        ("64,128,64,Animal", "wanted three numbers up to 255"),
        ("1 1 1 Animal\n1 1 1 Sky", r"line 2: the color \(1, 1, 1\) has two names"),
        ("", "holds no colors"),
    ],
)
def test_a_wrong_table_of_colors_is_one_line(tmp_path: Path, line: str, message: str) -> None:
    (write_colors(tmp_path) / "label_colors.txt").write_text(line)
    with pytest.raises(SourceError, match=message):
        open_concepts(f"camvid:{tmp_path}")


def test_a_missing_table_of_colors_is_told(tmp_path: Path) -> None:
    (write_colors(tmp_path) / "label_colors.txt").unlink()
    with pytest.raises(SourceError, match=r"has no label_colors\.txt, which names the colors of its masks"):
        open_concepts(f"camvid:{tmp_path}")


def test_wrong_masks_are_told_one_by_one(tmp_path: Path) -> None:
    place = write_segnet(tmp_path)
    write_mask(place / "trainannot" / "0001TP_006690.png", draw_halves(12, 0))
    write_mask(place / "valannot" / "0016E5_07959.png", np.zeros((*SIZE, 3), np.uint8))
    (place / "testannot" / "0001TP_008550.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    messages = [problem.message for problem in check_source(f"camvid:{place}").problems]
    assert "holds id 12, which SegNet's list does not name; replace the mask" in messages[0]
    assert "a mask has one channel" in messages[1]
    assert "cannot be read as a picture" in messages[2]
    write_picture(place / "train" / "0001TP_006690.jpg")
    doubled = open_concepts(f"camvid:{place}")
    assert [name for name, _ in doubled.wrong] == ["train/0001TP_006690.jpg", "train/0001TP_006690.png"]
