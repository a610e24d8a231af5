"""Panoptic segments: masks and annotations that belong together, and those that do not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sets.coco import SEGMENTS, SIZE, box, write_panoptic, write_pictures, write_segments
from sets.truth import compare
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError

NAME = "panoptic_val2017.json"
FIRST = "val2017/000000000139.jpg"


def test_segments_are_labels(tmp_path: Path) -> None:
    truth = write_panoptic(tmp_path)[NAME]
    source = open_concepts(f"coco-panoptic:{tmp_path},annotations={NAME}")
    compare(source, truth)
    assert [(one.name, one.category) for one in source.vocabulary] == [
        ("person", "object"),
        ("tree-merged", "object"),
    ]
    again = open_concepts(source.spec)
    assert again.digest == source.digest
    compare(again, truth)


def test_crowds_may_be_void(tmp_path: Path) -> None:
    truth = write_panoptic(tmp_path)[NAME][FIRST]
    crowd = SEGMENTS[7][2]
    truth["object/person"] = truth["object/person"] & ~crowd
    truth["void"] = truth["void"] | crowd
    source = open_concepts(f"coco-panoptic:{tmp_path},annotations={NAME},crowd=void")
    compare(source, {FIRST: truth})
    assert source.notes[1:] == ("void, too: crowds (2 in the annotations)",)


def test_every_file_is_accounted_for(tmp_path: Path) -> None:
    write_panoptic(tmp_path)
    write_segments(tmp_path / "annotations/panoptic_val2017/spare.png", SEGMENTS)
    report = check_source(f"coco-panoptic:{tmp_path},annotations={NAME}")
    assert {one.reason: one.examples for one in report.left_out} == {
        "a picture without segments": ("val2017/000000000285.jpg",),
        "a picture whose mask is missing": ("val2017/000000000632.jpg",),
        "a picture that the annotations do not list": ("annotations/panoptic_val2017/spare.png",),
    }
    assert not report.problems


@pytest.mark.parametrize("place", ["val2017/x", "panoptic_val2017", "annotations/panoptic_val2017/again"])
def test_masks_are_found(tmp_path: Path, place: str) -> None:
    truth = write_panoptic(tmp_path)[NAME]
    shutil.copytree(tmp_path / "annotations/panoptic_val2017", tmp_path / "kept")
    shutil.rmtree(tmp_path / "annotations/panoptic_val2017")
    shutil.move(tmp_path / "kept", tmp_path / place)
    option = f",masks={place}" if place.endswith("x") else ""
    compare(open_concepts(f"coco-panoptic:{tmp_path},annotations={NAME}{option}"), truth)


def test_masks_may_lie_beside_their_list_or_apart(tmp_path: Path) -> None:
    truth = write_panoptic(tmp_path / "set")[NAME]
    masks = tmp_path / "set/annotations/panoptic_val2017"
    shutil.copytree(masks, tmp_path / "apart")
    write_segments(tmp_path / "apart/spare.png", SEGMENTS)
    source = open_concepts(f"coco-panoptic:{tmp_path}/set,annotations={NAME},masks={tmp_path}/apart")
    compare(source, truth)
    assert str(source.left_out[-1]) == "1 file left out, a mask that the annotations do not list: spare.png"
    for path in masks.iterdir():
        path.rename(masks.parent / path.name)
    masks.rmdir()
    compare(open_concepts(f"coco-panoptic:{tmp_path}/set,annotations={NAME}"), truth)


def test_pictures_may_be_called_as_the_script_of_cityscapes_does(tmp_path: Path) -> None:
    truth = write_panoptic(tmp_path)[NAME]
    path = tmp_path / "annotations" / NAME
    written = json.loads(path.read_text())
    for one in written["images"]:
        one["file_name"] = f"aachen/{one['id']}_gtFine_leftImg8bit.png"
    path.write_text(json.dumps(written))
    (tmp_path / "aachen").mkdir()
    (tmp_path / FIRST).rename(tmp_path / "aachen" / "139_leftImg8bit.png")
    source = open_concepts(f"coco-panoptic:{tmp_path},annotations={NAME}")
    compare(source, {"aachen/139_leftImg8bit.png": truth[FIRST]})


def test_masks_that_are_still_packed_are_told(tmp_path: Path) -> None:
    write_panoptic(tmp_path)
    folder = tmp_path / "annotations" / "panoptic_val2017"
    folder.rename(tmp_path / "away")
    folder.with_name("panoptic_val2017.zip").write_bytes(b"")
    with pytest.raises(UsageError, match=r"are packed in .*panoptic_val2017.zip; unpack them there"):
        open_concepts(f"coco-panoptic:{tmp_path},annotations={NAME}")


def test_pictures_may_be_called_as_their_masks(tmp_path: Path) -> None:
    truth = write_panoptic(tmp_path)[NAME][FIRST]
    (tmp_path / FIRST).unlink()
    write_pictures(tmp_path, ["val2017/000000000139.png"])
    path = tmp_path / "annotations" / NAME
    path.write_text(path.read_text().replace('"000000000139.jpg"', '"000000000139.png"'))
    source = open_concepts(f"coco-panoptic:{tmp_path},annotations={NAME}")
    compare(source, {"val2017/000000000139.png": truth})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("coco-panoptic:{root}", "which annotations? Say annotations=FILE.json; there are panoptic_val2017"),
        ("coco-panoptic:{root},annotations={name},crowd=maybe", "crowd='maybe': wanted void or label"),
        ("coco-panoptic:{root},annotations={name},masks=none", "masks='none' is not there; looked in"),
        ("coco:{root},annotations={name},parts=whole", "open it as coco-panoptic:IMAGES,annotations=FILE"),
    ],
)
def test_wrong_words_are_told(tmp_path: Path, spec: str, message: str) -> None:
    write_panoptic(tmp_path)
    with pytest.raises((UsageError, SourceError)) as caught:
        open_concepts(spec.format(root=tmp_path, name=NAME))
    assert message in str(caught.value)


def test_masks_that_are_nowhere_are_told(tmp_path: Path) -> None:
    write_panoptic(tmp_path)
    shutil.rmtree(tmp_path / "annotations/panoptic_val2017")
    with pytest.raises(UsageError, match=r"the masks of .* were not found .*; say masks=DIR"):
        open_concepts(f"coco-panoptic:{tmp_path},annotations={NAME}")


def spoil_segment(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda data: data["annotations"][1]["segments_info"][0].update(fields)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_segment(id=0), "000000000139.png has a segment with the id 0; wanted 1 to 16777215"),
        (spoil_segment(id=2**31), "with the id 2147483648"),
        (spoil_segment(id="7"), "with the id '7'"),
        (spoil_segment(id=7), "with the id 7; wanted 1 to 16777215, each once"),
        (
            spoil_segment(category_id=2),
            "of the mask 000000000139.png names the category 2, which",
        ),
        (spoil_segment(iscrowd="no"), "has iscrowd 'no'"),
        (
            lambda data: data["annotations"][1].update(image_id=632),
            "one image has two masks, 000000000632.png",
        ),
        (
            lambda data: data["annotations"][1].update(image_id=1),
            "the mask 000000000139.png names the image 1",
        ),
        (lambda data: data["annotations"][1].pop("file_name"), "an annotation has the file_name None"),
        (
            lambda data: data["annotations"][1].update(segments_info=None),
            "has the segments_info None; wanted a",
        ),
        (lambda data: data["annotations"][1].update(segments_info=[3]), "an item of segments_info is 3"),
        (lambda data: data.pop("annotations"), "it has no segments"),
        (lambda data: data.pop("images"), "it has no images"),
    ],
)
def test_wrong_annotations_are_told(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], object], message: str
) -> None:
    write_panoptic(tmp_path)
    path = tmp_path / "annotations" / NAME
    data = json.loads(path.read_text())
    spoil(data)
    path.write_text(json.dumps(data))
    with pytest.raises(SourceError, match=r"^[^\n]{,400}$") as caught:
        open_concepts(f"coco-panoptic:{tmp_path},annotations={NAME}")
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_masks_of_other_annotations_are_told(tmp_path: Path) -> None:
    write_panoptic(tmp_path)
    source = open_concepts(f"coco-panoptic:{tmp_path},annotations={NAME}")
    path = tmp_path / "annotations/panoptic_val2017/000000000139.png"
    write_segments(path, {**SEGMENTS, 9: (1, 0, box(0, 0, 1, 1))})
    with pytest.raises(
        SourceError, match=r"139\.png: a pixel has the segment 9, which the annotations do not"
    ):
        source[0]
    write_segments(path, {number: one for number, one in SEGMENTS.items() if number != 7})
    with pytest.raises(SourceError, match=r"139\.png: the annotations name the segment 7, which no pixel"):
        source[0]
    Image.new("RGB", SIZE).save(path)
    with pytest.raises(SourceError, match="the annotations name the segment"):
        source[0]


def test_masks_without_colors_are_told(tmp_path: Path) -> None:
    write_panoptic(tmp_path)
    source = open_concepts(f"coco-panoptic:{tmp_path},annotations={NAME}")
    path = tmp_path / "annotations/panoptic_val2017/000000000139.png"
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(path)
    with pytest.raises(SourceError, match="wanted a mask in RGB colors, this one is L"):
        source[0]
    Image.new("RGB", SIZE[::-1]).save(path, format="JPEG")
    with pytest.raises(SourceError, match="this one is RGB in JPEG"):
        source[0]
    path.write_bytes(b"no picture")
    with pytest.raises(SourceError, match="cannot be read as a picture"):
        source[0]
