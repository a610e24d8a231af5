"""Tiny sets laid out as Pascal VOC publishes its own."""

from pathlib import Path

from sets.drawing import draw_halves, write_mask, write_picture, write_text


def write_voc(root: Path) -> Path:
    """The folder VOCdevkit/VOC2012 below `root`, with two listed pictures, one more with a mask, one without.

    By picture: 000032 (train) has 47 pixels of background, 48 of aeroplane, 1 void; 000033 (val) 48 of
    person, 48 of tvmonitor; 000039, in no list, 96 of cat.
    """
    place = root / "VOCdevkit" / "VOC2012"
    for name in ("2007_000032", "2007_000033", "2007_000039", "2008_000001"):
        write_picture(place / "JPEGImages" / f"{name}.jpg")
        write_text(place / "Annotations" / f"{name}.xml", "<annotation/>")
    masks = {"000032": draw_halves(0, 1, 255), "000033": draw_halves(15, 20), "000039": draw_halves(8, 8)}
    for name, numbers in masks.items():
        write_mask(place / "SegmentationClass" / f"2007_{name}.png", numbers, palette=True)
        write_mask(place / "SegmentationObject" / f"2007_{name}.png", numbers, palette=True)
    lists = place / "ImageSets" / "Segmentation"
    write_text(lists / "train.txt", "2007_000032")
    write_text(lists / "val.txt", "2007_000033")
    write_text(lists / "trainval.txt", "2007_000032", "2007_000033")
    write_text(place / "ImageSets" / "Main" / "cat_train.txt", "2007_000032 -1", "2007_000039  1")
    return place


def write_context(root: Path) -> Path:
    """The same pictures with the 59 classes of Pascal-Context, as images of numbers.

    000032 (train) has 48 pixels of background, 48 of sky (47); 000033 (val) 48 of window (58), 48 of
    tvmonitor (55). What the numbers stand for is as in published masks: 2008_000002 shows 55 and 58.
    """
    place = write_voc(root)
    for name, numbers in {"000032": draw_halves(0, 47), "000033": draw_halves(58, 55)}.items():
        write_mask(place / "SegmentationClassContext" / f"2007_{name}.png", numbers)
    lists = place / "ImageSets" / "SegmentationContext"
    write_text(lists / "train.txt", "2007_000032")
    write_text(lists / "val.txt", "2007_000033")
    return place
