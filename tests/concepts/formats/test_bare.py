"""Pictures without any label among labelled ones: counted and said, left out or taken in."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sets import ade20k, camvid, cityscapes, coco, cocostuff, hf, mapillary, voc, wds
from sets.drawing import write_picture, write_text
from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.maps.label_maps import pair_masks
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import KINDS, open_concepts
from unitscope.errors import SourceError, UsageError


def write_voc(root: Path) -> str:
    """The list names another picture, whose mask is missing; 2007_000039, with a mask, is in no list."""
    place = voc.write_voc(root)
    lists = place / "ImageSets" / "Segmentation"
    write_text(lists / "trainval.txt", "2007_000032", "2007_000033", "2008_000001")
    write_text(lists / "val.txt", "2007_000033", "2008_000001")
    return f"voc:{place}"


def write_camvid(root: Path) -> str:
    write_picture(camvid.write_segnet(root) / "val" / "lone.png")
    return f"camvid:{root / 'CamVid'}"


def write_colors(root: Path) -> str:
    write_picture(camvid.write_colors(root) / "701_StillsRaw_full" / "lone.png")
    return f"camvid:{root}"


def write_codes(root: Path) -> str:
    write_picture(camvid.write_codes(root) / "images" / "lone.png")
    write_text(root / "valid.txt", "0016E5_07959.png", "lone.png")
    return f"camvid:{root}"


def write_cityscapes(root: Path) -> str:
    """The coarse masks are not unpacked: of train_extra nothing is known."""
    cityscapes.write_cityscapes(root)
    shutil.rmtree(root / "gtCoarse")
    write_picture(root / "leftImg8bit/val/frankfurt/lone_leftImg8bit.png")
    return f"cityscapes:{root}"


def write_mapillary(root: Path) -> str:
    write_picture(mapillary.write_mapillary(root) / "validation/images/lone.jpg")
    return f"mapillary:{root}"


def write_cocostuff(root: Path) -> str:
    write_picture(cocostuff.write_cocostuff(root) / "images/val2017/lone.jpg")
    return f"cocostuff:{root}"


def _resize(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", ade20k.SIZE[::-1]).save(path)


def write_scenes(root: Path) -> str:
    """The lone picture has a scene; of the split testing no picture has a mask."""
    ade20k.write_scene_parsing(root)
    _resize(root / "images/validation/ADE_val_00000002.jpg")
    _resize(root / "images/testing/ADE_test_00000001.jpg")
    with (root / "sceneCategories.txt").open("a") as file:
        file.write("ADE_val_00000002 bedroom\n")
    return f"ade20k:{root}"


def write_2021(root: Path) -> str:
    """A second picture lost its mask, and keeps the .json that says what it shows."""
    ade20k.write_ade20k_2021(root)
    attic = root / "images/ADE/validation/home_or_hotel/attic"
    _resize(attic / "ADE_val_00000008.jpg")
    _resize(attic / "ADE_val_00000009.jpg")
    shutil.copy(attic / "ADE_val_00000007.json", attic / "ADE_val_00000009.json")
    return f"ade20k:{root}"


def write_2016(root: Path) -> str:
    ade20k.write_ade20k_2016(root)
    _resize(root / "images/validation/misc/ADE_val_00000002.jpg")
    return f"ade20k:{root}"


def write_panoptic(root: Path) -> str:
    coco.write_panoptic(root)
    return f"coco-panoptic:{root},annotations=panoptic_val2017.json"


def write_rows(root: Path) -> str:
    """Of three rows of validation the second has no mask."""
    hf.write_repository(root)
    hf.pq.write_table(hf.make_masked(0), root / "data/validation-00000-of-00001.parquet")
    return f"hf:{root},image=image,masks=annotation,void=255"


def write_labels(root: Path) -> str:
    """Of three rows of validation the third has no scene."""
    write_rows(root)
    return f"hf:{root},image=image,label=scene_category"


def write_ade_rows(root: Path) -> str:
    hf.write_ade_rows(root)
    path = root / "data/train-00000-of-00001.parquet"
    table = hf.pq.read_table(path)
    masks = hf.pa.array([table["segmentations"][0].as_py(), None], table.schema.field("segmentations").type)
    place = table.schema.get_field_index("segmentations")
    hf.pq.write_table(table.set_column(place, table.schema.field(place), masks), path)
    return f"hf:{root}"


def write_shards(root: Path) -> str:
    wds.write_shards(root)
    return f"wds:{root}/train-{{000000..000001}}.tar,image=jpg,masks=png,classes={root}/classes.txt,void=255"


SETS: dict[str, tuple[Callable[[Path], str], str, int, tuple[str, ...]]] = {
    "voc": (write_voc, ",split=val", 1, ("JPEGImages/2008_000001.jpg",)),
    "voc, trainval": (write_voc, "", 2, ("JPEGImages/2008_000001.jpg",)),
    "voc, another split": (write_voc, ",split=train", 1, ()),
    "camvid": (write_camvid, "", 3, ("val/lone.png",)),
    "camvid, colors": (write_colors, "", 2, ("701_StillsRaw_full/lone.png",)),
    "camvid, codes": (write_codes, ",split=valid", 1, ("images/lone.png",)),
    "camvid, another split": (write_codes, ",split=train", 1, ()),
    "cityscapes": (write_cityscapes, "", 3, ("leftImg8bit/val/frankfurt/lone_leftImg8bit.png",)),
    "mapillary": (write_mapillary, "", 2, ("validation/images/lone.jpg",)),
    "cocostuff": (write_cocostuff, ",split=val2017", 1, ("images/val2017/lone.jpg",)),
    "ade20k": (write_scenes, "", 3, ("images/validation/ADE_val_00000002.jpg",)),
    "ade20k, another split": (write_scenes, ",split=training", 2, ()),
    "ade20k, 2021": (write_2021, "", 2, ("images/ADE/validation/home_or_hotel/attic/ADE_val_00000008.jpg",)),
    "ade20k, 2016": (write_2016, ",split=validation", 1, ("images/validation/misc/ADE_val_00000002.jpg",)),
    "coco-panoptic": (write_panoptic, "", 1, ("val2017/000000000285.jpg",)),
    "hf": (write_rows, ",split=validation", 2, ("validation/1",)),
    "hf, labels": (write_labels, ",split=validation", 2, ("validation/2",)),
    "hf, ade20k": (write_ade_rows, "", 1, ("train/1",)),
    "wds": (write_shards, "", 3, ("train-000001/town/0003",)),
}
"""By name: what writes it, options, how many pictures have labels, and which have none."""


def open_both(spec: str) -> tuple[AnnotatedSource, AnnotatedSource]:
    out, taken = open_concepts(spec), open_concepts(f"{spec},bare=in")
    assert isinstance(out, AnnotatedSource)
    assert isinstance(taken, AnnotatedSource)
    return out, taken


def count_left_out(source: AnnotatedSource) -> int:
    return sum(one.files for one in source.left_out)


@pytest.mark.parametrize("name", SETS)
def test_pictures_without_labels_are_left_out_or_taken_in(tmp_path: Path, name: str) -> None:
    write, options, labelled, lone = SETS[name]
    out, taken = open_both(write(tmp_path) + options)
    assert len(out) == labelled
    assert {*taken.keys} - {*out.keys} == {*lone}
    assert [*taken.keys] == sorted(taken.keys) or name.startswith("camvid")
    if lone:
        assert count_left_out(out) - count_left_out(taken) == 1
    noted = (f"1 picture without a label taken in: {lone[0]}",) if lone else ()
    assert tuple(note for note in taken.notes if note not in out.notes) == noted
    for index, key in enumerate(taken.keys):
        example = taken[index]
        if key in lone:
            assert not len(example.planes)
            assert example.void is None
        else:
            np.testing.assert_array_equal(example.planes, out[[*out.keys].index(key)].planes)


@pytest.mark.parametrize("name", SETS)
def test_the_choice_is_part_of_a_source(tmp_path: Path, name: str) -> None:
    write, options, *_ = SETS[name]
    spec = write(tmp_path) + options
    out, taken = open_both(spec)
    assert taken.digest != out.digest
    again = open_concepts(taken.spec)
    assert isinstance(again, AnnotatedSource)
    assert again.digest == taken.digest
    said = open_concepts(f"{spec},bare=out")
    assert isinstance(said, AnnotatedSource)
    assert [*said.keys] == [*out.keys]
    report = check_source(taken)
    assert report.images == len(taken)
    assert {*taken.notes} <= {*report.notes}
    assert not [one for one in report.problems if "cannot be read" in one.message]
    with pytest.raises(UsageError, match=r"^bare='x': wanted out or in$"):
        open_concepts(f"{spec},bare=x")


def test_images_that_coco_lists_without_annotations_are_in_unless_left_out(tmp_path: Path) -> None:
    coco.write_coco(tmp_path)
    spec = f"coco:{tmp_path},annotations=instances_val2017.json"
    lone = "val2017/000000000285.jpg"
    taken, out = open_concepts(spec), open_concepts(f"{spec},bare=out")
    assert isinstance(taken, AnnotatedSource)
    assert isinstance(out, AnnotatedSource)
    assert taken.keys == ("val2017/000000000139.jpg", lone)
    assert f"1 picture without a label taken in: {lone}" in taken.notes
    assert out.keys == ("val2017/000000000139.jpg",)
    assert not any("taken in" in note for note in out.notes)
    assert ("without a label", 1, (lone,)) in [(one.reason, one.files, one.examples) for one in out.left_out]
    assert out.digest != taken.digest
    with pytest.raises(UsageError, match=r"^bare='x': wanted out or in$"):
        open_concepts(f"{spec},bare=x")


def test_an_annotation_without_a_segmentation_is_no_label(tmp_path: Path) -> None:
    coco.write_paco(tmp_path)
    spec = f"coco:{tmp_path},annotations=paco_lvis_v1_val.json"
    assert len(open_concepts(spec)) == 2
    out = open_concepts(f"{spec},bare=out")
    assert isinstance(out, AnnotatedSource)
    assert out.keys == ("train2017/000000000030.jpg",)


def test_lost_masks_are_no_absence(tmp_path: Path) -> None:
    source = open_concepts(f"{write_panoptic(tmp_path / 'panoptic')},bare=in")
    assert isinstance(source, AnnotatedSource)
    assert [one.examples for one in source.left_out if "mask is missing" in one.reason] == [
        ("val2017/000000000632.jpg",)
    ]
    full = open_concepts(f"{write_2021(tmp_path / 'full')},bare=in")
    assert isinstance(full, AnnotatedSource)
    left_out = [one for one in full.left_out if one.reason == "without a label"]
    assert [one.files for one in left_out] == [1]
    assert left_out[0].examples[0].endswith("ADE_val_00000009.jpg")


def test_labels_must_be_somewhere(tmp_path: Path) -> None:
    spec = write_panoptic(tmp_path / "panoptic")
    (tmp_path / "panoptic/annotations/panoptic_val2017/000000000139.png").rename(tmp_path / "mask.png")
    with pytest.raises(SourceError, match=r"no picture of .* has its mask in"):
        open_concepts(f"{spec},bare=in")
    spec = write_2016(tmp_path / "full")
    (tmp_path / "full/images/validation/misc/ADE_val_00000001_seg.png").unlink()
    with pytest.raises(SourceError, match="no picture of validation has a mask"):
        open_concepts(f"{spec},split=validation,bare=in")
    place = write_mapillary(tmp_path / "vistas")
    with pytest.raises(SourceError, match="no picture has a mask"):
        open_concepts(f"{place},split=testing,bare=in")


def test_a_part_without_any_mask_stays_out() -> None:
    pictures = [("a/1", "a/1.jpg"), ("a/2", "a/2.jpg"), ("b/1", "b/1.jpg"), ("a/3", "a/3.jpg")]
    pairs = pair_masks(pictures, [("a/1", "a/1.png"), ("a/3", "a/3.png"), ("a/3", "a/3.bmp")], bare=True)
    assert pairs.pictures == ("a/1.jpg", "a/2.jpg")
    assert ("without a label", "b/1.jpg") in pairs.left_out
    assert "a/3.jpg" in [name for _, name in pairs.left_out]


def test_kinds_whose_pictures_may_have_no_label_have_the_option() -> None:
    whole = {"broden", "dtd", "imagenet", "places365", "sun397", ".py"}
    assert {name for name, kind in KINDS.items() if "bare" not in kind.options} == whole
    assert {name for name, kind in KINDS.items() if "bare=" not in kind.grammar} == whole
