"""COCO, LVIS and PACO: every pixel counted, every option, everything that can be wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as reference

from sets.coco import (
    SIZE,
    Truth,
    as_letters,
    as_numbers,
    box,
    image,
    note,
    outline,
    write_annotations,
    write_coco,
    write_lvis,
    write_paco,
    write_panoptic,
    write_pictures,
)
from sets.truth import compare
from unitscope.concepts.formats.coco.instances import Instances, fill_polygons
from unitscope.concepts.formats.coco.run_lengths import fill_runs, read_counts
from unitscope.concepts.formats.stored.masks import read_mask
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError

Spoil = Callable[[dict[str, Any]], object]


def omit(truth: dict[str, dict[str, np.ndarray]], *left_out: str) -> dict[str, dict[str, np.ndarray]]:
    return {
        key: {name: mask for name, mask in one.items() if not name.startswith(left_out)}
        for key, one in truth.items()
    }


ATTRIBUTES = ("color/", "texture/", "material/", "transparency/")


@pytest.mark.parametrize("split", ["train", "val"])
def test_instances_of_a_split(tmp_path: Path, split: str) -> None:
    name = f"instances_{split}2017.json"
    truth = write_coco(tmp_path)[name]
    source = open_concepts(f"coco:{tmp_path},annotations={name}")
    compare(source, truth)
    named = [("person", "object"), ("dog", "object"), ("toothbrush", "object")]
    assert [(one.name, one.category) for one in source.vocabulary] == named
    again = open_concepts(source.spec)
    assert again.digest == source.digest
    compare(again, truth)


def test_crowds_may_be_labels(tmp_path: Path) -> None:
    truth = write_coco(tmp_path)["instances_val2017.json"]["val2017/000000000139.jpg"]
    example = open_concepts(f"coco:{tmp_path},annotations=instances_val2017.json,crowd=label")[0]
    assert example.void is None
    np.testing.assert_array_equal(
        (example.planes == 1).any(axis=0), truth["object/person"] | box(0, 0, 12, 3)
    )


def test_crowds_and_annotations_without_pixels_are_told(tmp_path: Path) -> None:
    write_coco(tmp_path)
    path = tmp_path / "annotations" / "instances_val2017.json"
    written = json.loads(path.read_text())
    bare = [{**written["annotations"][0], "id": number, "segmentation": []} for number in (7, 5)]
    path.write_text(json.dumps({**written, "annotations": written["annotations"] + bare}))
    spec = f"coco:{tmp_path},annotations=instances_val2017.json"
    passed = "passed over: 2 annotations without a segmentation: 7, 5"
    crowds = "crowds (1 in the annotations)"
    taken = "1 picture without a label taken in: val2017/000000000285.jpg"
    assert open_concepts(spec).notes == (f"void where no other instance lies: {crowds}", passed, taken)
    assert open_concepts(f"{spec},crowd=label").notes == (
        f"labeled as their category: {crowds}",
        passed,
        taken,
    )


@pytest.mark.parametrize(
    ("below", "given"),
    [
        ("", "{root}/annotations/instances_val2017.json"),
        ("", "annotations/instances_val2017.json"),
        ("", "instances_val2017.json"),
        ("val2017", "instances_val2017.json"),
        ("val2017", "annotations/instances_val2017.json"),
        ("val2017/", "../annotations/instances_val2017.json"),
    ],
)
def test_pictures_and_annotations_are_found(tmp_path: Path, below: str, given: str) -> None:
    truth = write_coco(tmp_path)["instances_val2017.json"]
    source = open_concepts(f"coco:{tmp_path}/{below},annotations={given.format(root=tmp_path)}")
    compare(source, {key.removeprefix(below.strip("/") or "-").strip("/"): one for key, one in truth.items()})


def test_pictures_may_lie_deeper(tmp_path: Path) -> None:
    truth = write_coco(tmp_path)["instances_val2017.json"]
    (tmp_path / "images").mkdir()
    (tmp_path / "val2017").rename(tmp_path / "images" / "val2017")
    source = open_concepts(f"coco:{tmp_path},annotations=instances_val2017.json")
    compare(source, {f"images/{key}": one for key, one in truth.items()})


def test_every_file_is_accounted_for(tmp_path: Path) -> None:
    write_coco(tmp_path)
    (tmp_path / "val2017" / "000000000285.jpg").unlink()
    (tmp_path / "val2017" / ".hidden").write_text("")
    (tmp_path / "val2017" / "lost.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "notes.txt").write_text("mine")
    report = check_source(f"coco:{tmp_path},annotations=instances_val2017.json")
    assert {one.reason: one.examples for one in report.left_out} == {
        "hidden": ("val2017/.hidden",),
        "a link that leads nowhere": ("val2017/lost.jpg",),
        "listed, but missing": ("000000000285.jpg",),
        "a picture that the annotations do not list": ("train2017/000000000009.jpg",),
        "no picture": ("annotations/instances_train2017.json", "notes.txt"),
    }
    assert not report.problems
    assert report.images == report.labelled == 1


def test_lvis_has_no_file_names(tmp_path: Path) -> None:
    truth = write_lvis(tmp_path)["lvis_v1_val.json"]
    compare(open_concepts(f"coco:{tmp_path},annotations=lvis_v1_val.json"), truth)
    one = open_concepts(f"coco:{tmp_path}/val2017,annotations=lvis_v1_val.json")
    compare(one, {"000000397133.jpg": truth["val2017/000000397133.jpg"]})
    assert str(one.left_out[0]) == "1 file left out, listed, but missing: train2017/000000391895.jpg"


@pytest.mark.parametrize(
    ("options", "left_out"),
    [
        ("", ("part/leg", *ATTRIBUTES)),
        (",parts=whole", ("part/leg", *ATTRIBUTES)),
        (",parts=merged", ("part/chair:", "part/stool:", *ATTRIBUTES)),
        (",attributes=yes", ("part/leg",)),
        (",attributes=yes,parts=merged", ("part/chair:", "part/stool:")),
        (",attributes=no", ("part/leg", *ATTRIBUTES)),
    ],
)
def test_parts_and_attributes_of_paco(tmp_path: Path, options: str, left_out: tuple[str, ...]) -> None:
    truth = write_paco(tmp_path)["paco_lvis_v1_val.json"]
    source = open_concepts(f"coco:{tmp_path},annotations=paco_lvis_v1_val.json{options}")
    compare(source, omit(truth, *left_out))
    known = {f"{one.category}/{one.name}" for one in source.vocabulary}
    assert known == omit(truth, *left_out)["train2017/000000000030.jpg"].keys()


def write_bare(root: Path) -> str:
    """Two splits of pictures that have the same names, one of which has masks beside it; opens the second."""
    for split, shade in (("train", 10), ("val", 200)):
        (root / split).mkdir()
        for number in (1, 2):
            Image.new("RGB", (4, 3), (shade, 0, 0)).save(root / split / f"{number}.png")
    polygon = [[0, 0, 2, 0, 2, 2, 0, 2]]
    data = {
        "images": [{"id": one, "file_name": f"{one}.png", "height": 3, "width": 4} for one in (1, 2)],
        "annotations": [
            {"id": one, "image_id": one, "category_id": 1, "iscrowd": 0, "segmentation": polygon}
            for one in (1, 2)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val.json").write_text(json.dumps(data))
    return f"coco:{root},annotations=instances_val.json"


def test_a_picture_that_is_lost_is_not_replaced_by_one_of_another_split(tmp_path: Path) -> None:
    spec = write_bare(tmp_path)
    assert [open_concepts(spec)[place].image[0, 0, 0] for place in (0, 1)] == [200, 200]
    (tmp_path / "masks").mkdir()
    (tmp_path / "val" / "2.png").rename(tmp_path / "masks" / "2.png")
    source = open_concepts(spec)
    assert list(source.keys) == ["val/1.png"]
    assert "1 file left out, listed, but missing: 2.png" in map(str, source.left_out)
    (tmp_path / "train" / "2.png").unlink()
    assert list(open_concepts(spec).keys) == ["val/1.png"]
    (tmp_path / "val" / "1.png").unlink()
    with pytest.raises(SourceError, match=r"no picture of it goes with .*listed, but missing: 1.png, 2.png"):
        open_concepts(spec)


def test_annotations_are_found_above_a_link_and_two_folders_up(tmp_path: Path) -> None:
    truth = write_coco(tmp_path / "set")["instances_val2017.json"]
    (tmp_path / "set" / "val2017").rename(tmp_path / "pictures")
    (tmp_path / "set" / "val2017").symlink_to(tmp_path / "pictures")
    name = "annotations=instances_val2017.json"
    assert len(open_concepts(f"coco:{tmp_path}/set/val2017,{name}")) == len(truth)
    (tmp_path / "set" / "val2017").unlink()
    (tmp_path / "set" / "images").mkdir()
    (tmp_path / "pictures").rename(tmp_path / "set" / "images" / "val2017")
    (tmp_path / "set" / "annotations" / "._instances_val2017.json").write_bytes(b"\0")
    assert len(open_concepts(f"coco:{tmp_path}/set/images/val2017,{name}")) == len(truth)
    with pytest.raises(UsageError, match=r"annotations=FILE.json; there are instances_train2017.json, "):
        open_concepts(f"coco:{tmp_path}/set")


def test_what_is_no_stuff_has_no_label(tmp_path: Path) -> None:
    truth = write_coco(tmp_path)["instances_val2017.json"]["val2017/000000000139.jpg"]
    path = tmp_path / "annotations" / "instances_val2017.json"
    written = json.loads(path.read_text())
    dog = next(one for one in written["categories"] if one["name"] == "dog")
    dog["name"] = dog["supercategory"] = "other"
    path.write_text(json.dumps(written))
    source = open_concepts(f"coco:{tmp_path},annotations=instances_val2017.json")
    assert [one.name for one in source.vocabulary] == ["person", "toothbrush"]
    example = source[0]
    np.testing.assert_array_equal((example.planes > 0).any(axis=0), truth["object/person"])


def test_the_order_of_annotations_does_not_matter(tmp_path: Path) -> None:
    truth = omit(write_paco(tmp_path)["paco_lvis_v1_val.json"], "part/leg")
    path = tmp_path / "annotations" / "paco_lvis_v1_val.json"
    data = json.loads(path.read_text())
    for key in ("images", "annotations", "categories", "attributes"):
        data[key].reverse()
    data["annotations"].append(data["annotations"].pop(0))
    path.write_text(json.dumps(dict(reversed(data.items()))))
    source = open_concepts(f"coco:{tmp_path},annotations={path.name},attributes=yes")
    compare(source, dict(reversed(truth.items())))


@pytest.mark.parametrize(
    ("write", "word"),
    [(write_coco, "coco"), (write_lvis, "coco"), (write_paco, "coco"), (write_panoptic, "coco-panoptic")],
)
def test_as_a_plain_folder_the_word_is_said(
    tmp_path: Path, write: Callable[[Path], Truth], word: str
) -> None:
    write(tmp_path)
    with pytest.raises(UsageError, match=f"is a published data set; open it as {word}:") as caught:
        open_concepts(f"folder:{tmp_path}")
    assert len(open_concepts(str(caught.value).rpartition("open it as ")[2]))


def test_pieces_of_paco_may_lie_in_the_folder_of_pictures(tmp_path: Path) -> None:
    truth = write_paco(tmp_path)["paco_lvis_v1_val.json"]
    options = "annotations=paco_lvis_v1_val.json,attributes=yes,parts=merged"
    source = open_concepts(f"coco:{tmp_path}/train2017,{options}")
    compare(
        source, {"000000000030.jpg": omit(truth, "part/chair:", "part/stool:")["train2017/000000000030.jpg"]}
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("coco:{root}", "Say annotations=FILE.json; there are instances_train2017.json, instances_val2017"),
        ("coco:{root}/none,annotations=x.json", "is not a folder; wanted coco:IMAGES,annotations=FILE.json"),
        ("coco:{root},annotations=x.json", "annotations='x.json' is not there; looked in ."),
        ("coco:{root},annotations=val2017", "annotations='val2017' is no file"),
        ("coco:{root},annotations=instances_val2017.json,crowd=no", "crowd='no': wanted void or label"),
        ("coco:{root},annotations=instances_val2017.json,parts=no", "parts='no': wanted whole or merged"),
        (
            "coco:{root},annotations=instances_val2017.json,parts=merged",
            "2017.json has no parts; leave parts=",
        ),
        (
            "coco:{root},annotations=instances_val2017.json,attributes=yes",
            "has no attributes of a known type; leave",
        ),
        ("coco:{root},annotations=instances_val2017.json,attributes=1", "attributes='1': wanted no or yes"),
        ("coco:{root},annotations=instances_val2017.json,split=val", "coco has no option 'split'"),
    ],
)
def test_wrong_words_are_told(tmp_path: Path, spec: str, message: str) -> None:
    write_coco(tmp_path)
    with pytest.raises(UsageError) as caught:
        open_concepts(spec.format(root=tmp_path))
    assert message in str(caught.value)


def spoil_annotation(number: int = 0, **fields: Any) -> Spoil:
    return lambda data: data["annotations"][number].update(fields)


def spoil_image(**fields: Any) -> Spoil:
    return lambda data: data["images"][0].update(fields)


RUNS = {"counts": [192], "size": list(SIZE)}

HOSTILE: list[tuple[Spoil, str]] = [
    (
        spoil_annotation(segmentation=[[1, 1, 5, float("nan"), 5, 5]]),
        "1 has a polygon with a corner at nan",
    ),
    (
        spoil_annotation(segmentation=[[1, 1, 5, 1, 1e999, 5]]),
        "1 has a polygon with a corner at inf",
    ),
    (
        spoil_annotation(1, segmentation=[[1, 1, 5, 1, -1e300, 5]]),
        "2 has a polygon with a corner at -1e+300",
    ),
    (spoil_annotation(segmentation=[[1, 1, 5, 1, 10**400, 5]]), "wanted numbers"),
    (spoil_annotation(segmentation=[[1, 1, 5, 1, 5]]), "a polygon of 5 numbers"),
    (spoil_annotation(segmentation=[[1, 1, 5, 1, 5, 5, 7]]), "a polygon of 7 numbers"),
    (spoil_annotation(segmentation=[[1, 1, 5, 1]]), "wanted x and y of three or more corners"),
    (spoil_annotation(segmentation=[[]]), "a polygon of 0 numbers"),
    (spoil_annotation(segmentation=[["1", "1", "5", "1", "5", "5"]]), "wanted numbers"),
    (spoil_annotation(segmentation=[[1, 1, 5, None, 5, 5]]), "wanted numbers"),
    (spoil_annotation(segmentation=[[[1, 1], [5, 1], [5, 5], [1, 5], [1, 1], [1, 2]]]), "wanted numbers"),
    (spoil_annotation(segmentation=[1, 1, 5, 1, 5, 5]), "has a polygon of 1; wanted x and y"),
    (spoil_annotation(segmentation="192"), "wanted a list of polygons, or an object with counts and size"),
    (spoil_annotation(segmentation=7), "has the segmentation 7"),
    (spoil_annotation(segmentation={"counts": [192]}), "has the size None"),
    (spoil_annotation(segmentation={**RUNS, "size": [16, 12]}), "differ in size, 12x16 and 16x12"),
    (spoil_annotation(segmentation={**RUNS, "size": [12]}), "has the size [12]"),
    (spoil_annotation(segmentation={**RUNS, "size": [12.0, 16]}), "has the size [12.0, 16]"),
    (spoil_annotation(segmentation={**RUNS, "size": [2**31, 2**31]}), "wanted height and width"),
    (spoil_annotation(segmentation={**RUNS, "counts": [-1, 193]}), "has the counts [-1, 193]"),
    (spoil_annotation(segmentation={**RUNS, "counts": [2**32]}), "has the counts [4294967296]"),
    (spoil_annotation(segmentation={**RUNS, "counts": [1.5]}), "has the counts [1.5]"),
    (spoil_annotation(segmentation={**RUNS, "counts": None}), "has the counts None"),
    (spoil_annotation(segmentation={**RUNS, "counts": "é"}), "has the counts 'é'"),
    (spoil_annotation(id=2), "there are two annotations with the id 2"),
    (spoil_annotation(id="x"), "has the id 'x'; wanted a whole number"),
    (spoil_annotation(id=2**63), "wanted a whole number"),
    (spoil_annotation(image_id=99), "annotation 1 names the image 99, which is not there"),
    (spoil_annotation(image_id=2**31), "names the image 2147483648, which is not there"),
    (spoil_annotation(image_id=None), "annotation 1: the id of its image is None"),
    (spoil_annotation(image_id=[1]), "the id of its image is [1]"),
    (spoil_annotation(category_id=4), "annotation 1 names the category 4, which is not there"),
    (spoil_annotation(category_id=1.0), "the id of its category is 1.0"),
    (spoil_annotation(iscrowd=2), "has iscrowd 2; wanted 0 or 1"),
    (spoil_annotation(segments_info=[]), "open it as coco-panoptic:"),
    (spoil_annotation(attribute_ids=7), "has the attribute_ids 7"),
    (spoil_image(id=5), "there are two image entries with the id 5"),
    (spoil_image(id=True), "wanted a whole number"),
    (spoil_image(height=None), "the image 4 has the height None and width 16"),
    (spoil_image(height=0), "has the height 0"),
    (spoil_image(height=10**5, width=10**5), "is said to have more than 100 megapixels"),
    (spoil_image(height=2**31), "more than 100 megapixels"),
    (spoil_image(file_name=""), "the image 4 has the file_name ''"),
    (spoil_image(file_name=7), "the image 4 has the file_name 7"),
    (lambda data: data["images"][0].pop("file_name"), "has neither a file_name nor a coco_url"),
    (lambda data: data["images"].append("x"), "an item of images is 'x'; wanted an object"),
    (lambda data: data["annotations"].append(None), "an item of annotations is None"),
    (lambda data: data["categories"].append([]), "an item of categories is []"),
    (lambda data: data["categories"].append({"id": 1, "name": "x"}), "two category entries with the id 1"),
    (lambda data: data["categories"].append({"id": 3}), "the category 3 has the name None"),
    (lambda data: data["categories"].append({"name": "x"}), "the id of its category is None"),
    (lambda data: data.pop("images"), "it has no images; wanted a file with images, annotations and categ"),
    (lambda data: data.pop("categories"), "it has no categories"),
    (lambda data: data.pop("annotations"), "it has no annotations"),
    (lambda data: [one.pop("segmentation") for one in data["annotations"]], "it has boxes alone"),
    (lambda data: data.update(attributes=[{"id": 1}]), "the attribute 1 has the name None"),
    (
        lambda data: data.update(attr_type_to_attr_idxs={"color": 1}),
        "has 1 for 'color'; wanted a list of ids",
    ),
]


def write_small(root: Path, spoil: Spoil = lambda data: None) -> Path:
    write_pictures(root, ["a.png", "b.png"])
    data: dict[str, Any] = {
        "images": [image(4, file_name="a.png"), image(5, file_name="b.png")],
        "annotations": [note(1, 4, 1, [outline(0, 0, 4, 4)]), note(2, 5, 1, as_numbers(box(1, 1, 2, 2)))],
        "categories": [{"id": 1, "name": "sky"}],
    }
    spoil(data)
    return write_annotations(root, "instances.json", data)


@pytest.mark.parametrize(("spoil", "message"), HOSTILE)
def test_wrong_annotations_are_told_in_one_line(tmp_path: Path, spoil: Spoil, message: str) -> None:
    write_small(tmp_path, spoil)
    with pytest.raises(SourceError, match=r"^[^\n]{,400}$") as caught:
        open_concepts(f"coco:{tmp_path},annotations=instances.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/annotations/instances.json")


def test_two_entries_for_a_picture_are_told(tmp_path: Path) -> None:
    write_small(tmp_path, spoil_image(file_name="b.png"))
    with pytest.raises(SourceError, match=r"two images are the picture b\.png"):
        open_concepts(f"coco:{tmp_path},annotations=instances.json")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            spoil_annotation(segmentation={**RUNS, "counts": [193]}),
            "for 193 pixels, the picture has 192",
        ),
        (spoil_annotation(segmentation={**RUNS, "counts": [2**32 - 1]}), "for 4294967295 pixels"),
        (spoil_annotation(segmentation={**RUNS, "counts": "oooooooo0"}), "too many letters"),
        (spoil_annotation(segmentation={**RUNS, "counts": "!"}), "with the character 33"),
        (spoil_annotation(segmentation=[[0, 0, 1e6, 0, 1e6, 1e6]]), "goes far beyond the 16x12 pixels"),
        (spoil_annotation(segmentation=[[0, 0, 8, 0, 8, -13]]), "goes far beyond the 16x12 pixels"),
        (spoil_image(height=13), "annotation 1: "),
    ],
)
def test_what_cannot_be_painted_is_told_at_its_picture(tmp_path: Path, spoil: Spoil, message: str) -> None:
    write_small(tmp_path, spoil)
    if message == "annotation 1: ":
        message = "a.png: the picture is 16x12 pixels, its labels 16x13"
    source = open_concepts(f"coco:{tmp_path},annotations=instances.json")
    with pytest.raises(SourceError, match=r"^[^\n]*$") as caught:
        source[0]
    assert message in str(caught.value)
    assert len(source[1].planes) == 1


def test_too_many_annotations_of_a_picture_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_small(tmp_path)
    written = json.loads(path.read_text())
    first = written["annotations"][0]
    written["annotations"] = [{**first, "id": number} for number in range(40)]
    path.write_text(json.dumps(written))
    source = open_concepts(f"coco:{tmp_path},annotations=instances.json")
    index = first["image_id"] == written["images"][1]["id"]
    assert source[index].planes.any()
    monkeypatch.setattr("unitscope.concepts.formats.coco.instances_source._MOST_PIECES", 39)
    with pytest.raises(SourceError, match=r"40 annotations of .* polygons; wanted up to 39 of one picture"):
        source[index]


def test_a_boundary_without_end_is_refused(tmp_path: Path) -> None:
    zigzag = [[0, 0, 16, 12] * 100_000 + [3, 4]]
    write_small(tmp_path, spoil_annotation(segmentation=zigzag * 4))
    with pytest.raises(SourceError, match="whose boundary is"):
        open_concepts(f"coco:{tmp_path},annotations=instances.json")[0]


@pytest.mark.parametrize("cut", [1, 10, 300, 900])
def test_half_a_file_is_told(tmp_path: Path, cut: int) -> None:
    path = write_small(tmp_path)
    path.write_text(path.read_text()[:-cut])
    with pytest.raises(SourceError, match=r"instances\.json, character .*; "):
        open_concepts(f"coco:{tmp_path},annotations=instances.json")


def test_pictures_that_are_not_there_are_told(tmp_path: Path) -> None:
    write_small(tmp_path)
    for name in ("a.png", "b.png"):
        (tmp_path / name).unlink()
    with pytest.raises(SourceError, match=r"\(2 files left out, listed, but missing: a\.png, b\.png\)"):
        open_concepts(f"coco:{tmp_path},annotations=instances.json")


def test_a_name_of_several_pictures_is_told(tmp_path: Path) -> None:
    write_small(tmp_path)
    write_pictures(tmp_path, ["one/b.png", "two/b.png"])
    (tmp_path / "b.png").unlink()
    with pytest.raises(SourceError, match=r"2 files .* called b\.png: one/b\.png, two/b\.png; name the"):
        open_concepts(f"coco:{tmp_path},annotations=instances.json")
    (tmp_path / "annotations" / "instances.json").rename(tmp_path / "annotations" / "instances_two.json")
    assert open_concepts(f"coco:{tmp_path},annotations=instances_two.json").keys == ("a.png", "two/b.png")


def test_the_digest_follows_the_annotations(tmp_path: Path) -> None:
    path = write_small(tmp_path)
    spec = f"coco:{tmp_path},annotations=instances.json"
    first = open_concepts(spec)
    path.write_text(path.read_text().replace('"sky"', '"sea"'))
    assert open_concepts(spec).digest != first.digest
    assert [one.name for one in open_concepts(spec).vocabulary] == ["sea"]
    path.rename(tmp_path / "elsewhere.json")
    assert (
        open_concepts(f"coco:{tmp_path},annotations=elsewhere.json").digest
        == open_concepts(f"coco:{tmp_path},annotations={tmp_path / 'elsewhere.json'}").digest
    )
    assert open_concepts(f"coco:{tmp_path},annotations=elsewhere.json,crowd=label").digest != first.digest


def test_texts_may_be_ids_and_sections_in_any_order(tmp_path: Path) -> None:
    def spoil(data: dict[str, Any]) -> None:
        data["images"][0]["id"] = data["annotations"][0]["image_id"] = "first"
        data["categories"][0]["id"] = 2**31
        for one in data["annotations"]:
            one["category_id"] = 2**31
        for key in ("images", "categories", "annotations"):
            data[key] = data.pop(key)[::-1]
        data["annotations"] = data.pop("annotations")
        data["images"] = data.pop("images")
        data["categories"] = data.pop("categories")

    write_small(tmp_path, spoil)
    source = open_concepts(f"coco:{tmp_path},annotations=instances.json")
    compare(source, {"b.png": {"object/sky": box(1, 1, 2, 2)}, "a.png": {"object/sky": box(0, 0, 4, 4)}})


CORNERS = st.one_of(
    st.integers(-5, 25), st.floats(-5, 25), st.integers(-50, 250).map(lambda tenths: tenths / 10)
)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
@given(st.lists(st.lists(st.tuples(CORNERS, CORNERS), min_size=3, max_size=8), min_size=1, max_size=3))
def test_polygons_fill_what_the_reference_fills(polygons: list[list[tuple[float, float]]]) -> None:
    height, width = 17, 19
    flat = [[float(one) for corner in polygon for one in corner] for polygon in polygons]
    builder = Instances()
    builder.add("images", {"id": 1, "file_name": "a.jpg", "height": height, "width": width})
    builder.add("categories", {"id": 1, "name": "a"})
    builder.add("annotations", {"id": 1, "image_id": 1, "category_id": 1, "segmentation": flat})
    index = builder.finish()
    bounds = index["pieces"].tolist()
    pieces = [index["corners"][first:last] for first, last in pairwise(bounds)]
    found = fill_polygons(pieces, (height, width))
    wanted = reference.frPyObjects(flat, height, width)
    assert found == [one["counts"] for one in wanted]
    union = np.any([fill_runs(read_counts(one, (height, width)), (height, width)) for one in found], axis=0)
    np.testing.assert_array_equal(union, reference.decode(reference.merge(wanted)))


@given(st.integers(0, 10), st.integers(0, 10), st.integers(1, 6), st.integers(1, 6))
def test_corners_at_whole_numbers_are_exact(top: int, left: int, high: int, wide: int) -> None:
    bottom, right = min(top + high, 12), min(left + wide, 16)
    five = 5 * np.array(outline(top, left, bottom, right), np.int16)
    (letters,) = fill_polygons([five], SIZE)
    np.testing.assert_array_equal(fill_runs(read_counts(letters, SIZE), SIZE), box(top, left, bottom, right))


def test_large_coordinates_are_kept(tmp_path: Path) -> None:
    """Fifths of a pixel above 32,767 take four bytes."""
    write_pictures(tmp_path, ["a.png"])
    wide = image(4, file_name="a.png") | {"height": 2, "width": 9000}
    Image.new("RGB", (9000, 2)).save(tmp_path / "a.png")
    data = {
        "images": [wide],
        "annotations": [note(1, 4, 1, [outline(0, 8000, 2, 8997)])],
        "categories": [{"id": 1, "name": "sky"}],
    }
    write_annotations(tmp_path, "instances.json", data)
    planes = open_concepts(f"coco:{tmp_path},annotations=instances.json")[0].planes
    assert planes.sum() == planes[0, :, 8000:8997].sum() == 2 * 997


WITHOUT = """
import sys
sys.modules["pycocotools"] = None
from unitscope.concepts.sources import open_concepts
from unitscope.errors import UnitscopeError
try:
    print(len(open_concepts(sys.argv[1])[0].planes))
except UnitscopeError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (
            [outline(0, 0, 4, 4)],
            "pycocotools, which fills the polygons of COCO, is not installed; pip",
        ),
        (as_letters(box(0, 0, 4, 4)), "1"),
    ],
)
def test_polygons_alone_need_pycocotools(tmp_path: Path, mask: Any, said: str) -> None:
    write_small(tmp_path, spoil_annotation(segmentation=mask))
    spec = f"coco:{tmp_path},annotations=instances.json"
    done = subprocess.run([sys.executable, "-c", WITHOUT, spec], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(said)


def test_photographs_are_labelled_as_by_masks(photographs: Path, tmp_path: Path) -> None:
    """Real pictures, their masks written as run lengths and as polygons around runs: the same labels."""
    folder = photographs / "coco128"
    names = sorted(path.name for path in (folder / "images").iterdir())[:8]
    images, annotations, ids = [], [], set[int]()
    for number, name in enumerate(names):
        mask = read_mask(folder / "masks" / f"{Path(name).stem}.png")
        height, width = mask.shape
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for value in np.unique(mask[mask > 0]).tolist():
            ids.add(value)
            annotations.append(note(len(annotations), number, value, as_letters(mask == value)))
    data = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": value, "name": f"class {value}"} for value in sorted(ids)],
    }
    (path := tmp_path / "instances.json").write_text(json.dumps(data))
    source = open_concepts(f"coco:{folder / 'images'},annotations={path}")
    assert source.keys == tuple(names)
    values = np.array([0, *sorted(ids)])
    for index, name in enumerate(names):
        mask = read_mask(folder / "masks" / f"{Path(name).stem}.png")
        np.testing.assert_array_equal(values[source[index].planes[0]], mask)
        assert len(source[index].planes) == 1


def test_many_names_open_quickly_again(tmp_path: Path) -> None:
    """The index is not built twice, and nothing of the file is read the second time."""
    path = write_small(tmp_path)
    spec = f"coco:{tmp_path},annotations=instances.json"
    open_concepts(spec)
    seen = path.stat()
    path.write_text("x" * seen.st_size)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert len(open_concepts(spec)) == 2


@pytest.mark.parametrize("write", [write_coco, write_lvis, write_paco])
def test_check_finds_nothing_wrong(tmp_path: Path, write: Callable[[Path], Truth]) -> None:
    for name in write(tmp_path):
        report = check_source(f"coco:{tmp_path},annotations={name}")
        assert not report.problems
