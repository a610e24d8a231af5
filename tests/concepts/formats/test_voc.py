"""Pascal VOC, and sets laid out like it, as sources of concepts."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from sets.counting import count_pixels
from sets.drawing import SIZE, draw_halves, write_mask, write_picture, write_text
from sets.voc import write_context, write_voc
from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.formats.voc import mat_files
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError

TRAIN = {"JPEGImages/2007_000032.jpg": {"background": 47, "aeroplane": 48, "void": 1}}
VAL = {"JPEGImages/2007_000033.jpg": {"person": 48, "tvmonitor": 48}}
CAT = {"JPEGImages/2007_000039.jpg": {"cat": 96}}


def open_set(place: Path, options: str = "") -> AnnotatedSource:
    source = open_concepts(f"voc:{place}{options}")
    assert isinstance(source, AnnotatedSource)
    return source


def test_each_split_has_the_pixels_that_were_drawn(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    assert count_pixels(open_set(place, ",split=train")) == TRAIN
    assert count_pixels(open_set(place, ",split=val")) == VAL
    assert count_pixels(open_set(place, ",split=trainval")) == TRAIN | VAL


def test_without_a_split_trainval_is_read_and_the_rest_is_counted(tmp_path: Path) -> None:
    source = open_set(write_voc(tmp_path))
    assert count_pixels(source) == TRAIN | VAL
    assert {one.reason: one.files for one in source.left_out} == {
        "in no list that is read": 3,
        "labels in a form that is not read": 7,
        "neither a picture nor a mask": 3,
    }
    names = [one.name for one in source.vocabulary]
    assert (len(names), names[:2], names[15], names[-1]) == (
        21,
        ["background", "aeroplane"],
        "person",
        "tvmonitor",
    )
    assert {one.category for one in source.vocabulary} == {"object"}


def test_the_check_names_what_is_void(tmp_path: Path) -> None:
    report = check_source(f"voc:{write_voc(tmp_path)}")
    assert report.notes == ("read: pictures named by Segmentation/trainval.txt", "void: 255")
    assert report.problems == ()


def test_background_is_a_concept_unless_it_is_turned_off(tmp_path: Path) -> None:
    source = open_set(write_voc(tmp_path), ",split=train,background=no")
    assert count_pixels(source) == {"JPEGImages/2007_000032.jpg": {"aeroplane": 48, "void": 1}}
    assert source.notes[1:] == ("void: 255", "unlabelled: 0 (background)")
    assert len(source.vocabulary) == 20


def test_folders_above_and_below_open_the_same(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    for given in (tmp_path, place.parent, place, place / "JPEGImages"):
        source = open_set(given, ",split=val")
        assert (count_pixels(source), source.digest) == (VAL, open_set(place, ",split=val").digest)
        assert open_set(Path(source.spec.removeprefix("voc:"))).spec == source.spec
    write_voc(tmp_path / "VOCdevkit" / "again").rename(place.parent / "VOC2007")
    with pytest.raises(UsageError, match=r"holds several sets, .*VOC2007 and .*VOC2012; name one"):
        open_set(tmp_path)


def test_masks_with_the_colors_of_the_palette_are_looked_up(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    colors = {0: (0, 0, 0), 1: (128, 0, 0), 255: (224, 224, 192), 15: (192, 128, 128), 20: (0, 64, 128)}
    for name, numbers in {"000032": draw_halves(0, 1, 255), "000033": draw_halves(15, 20)}.items():
        drawn = np.array([colors[number] for number in numbers.ravel().tolist()], np.uint8)
        write_mask(place / "SegmentationClass" / f"2007_{name}.png", drawn.reshape(*SIZE, 3))
    assert count_pixels(open_set(place)) == TRAIN | VAL
    drawn[3] = (1, 2, 3)
    write_mask(place / "SegmentationClass" / "2007_000033.png", drawn.reshape(*SIZE, 3))
    report = check_source(open_set(place))
    [problem] = report.problems
    assert problem.place == "JPEGImages/2007_000033.jpg"
    assert "SegmentationClass/2007_000033.png: the mask has the color (1, 2, 3)" in problem.message


def test_boxes_without_masks_are_told(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    for folder in ("SegmentationClass", "SegmentationObject"):
        (place / folder).rename(tmp_path / folder)
    with pytest.raises(SourceError, match=r"has boxes in Annotations/, which are no labels of pixels"):
        open_set(place)
    with pytest.raises(UsageError, match="open it as voc:"):
        open_concepts(f"folder:{place}")


def test_masks_may_lie_in_another_folder_of_the_set_or_elsewhere(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    (place / "SegmentationClassAug").symlink_to(place / "SegmentationClass")
    assert count_pixels(open_set(place, ",masks=SegmentationClassAug")) == TRAIN | VAL
    (place / "SegmentationClassAug").unlink()
    (place / "SegmentationClass").rename(place / "SegmentationClassAug")
    write_text(
        place / "ImageSets" / "Aug" / "train_aug.txt",
        *(
            f"/JPEGImages/2007_{name}.jpg /SegmentationClassAug/2007_{name}.png"
            for name in ("000033", "000039")
        ),
    )
    assert count_pixels(open_set(place, ",masks=SegmentationClassAug,lists=Aug,split=train_aug")) == VAL | CAT
    (place / "SegmentationClassAug").rename(tmp_path / "masks")
    for given in (tmp_path / "masks", "../../masks"):
        assert count_pixels(open_set(place, f",masks={given},split=val")) == VAL
    with pytest.raises(UsageError, match="has no folder 'nowhere' of masks; its folders are Annotations"):
        open_set(place, ",masks=nowhere")


def test_without_lists_the_masks_decide(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    (place / "ImageSets" / "Segmentation" / "trainval.txt").unlink()
    assert count_pixels(open_set(place)) == TRAIN | VAL
    (place / "ImageSets").rename(tmp_path / "ImageSets")
    source = open_set(place)
    assert count_pixels(source) == TRAIN | VAL | CAT
    assert [str(one) for one in source.left_out if one.reason == "without a label"] == [
        "1 file left out, without a label: JPEGImages/2008_000001.jpg"
    ]
    with pytest.raises(UsageError, match="has no split 'train'; it has none"):
        open_set(place, ",split=train")


def test_what_a_list_names_and_is_missing_is_told(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    write_text(place / "ImageSets" / "Segmentation" / "val.txt", "2007_000033", "2008_000001", "2008_000002")
    report = check_source(f"voc:{place},split=val")
    assert report.images == 1
    assert [(one.place, one.message) for one in report.problems] == [
        ("JPEGImages/2008_000002", "named by a list, but missing")
    ]
    reasons = {one.reason: one.examples for one in report.left_out}
    assert reasons["without a label"] == ("JPEGImages/2008_000001.jpg",)
    assert reasons["named by a list, but missing"] == ("JPEGImages/2008_000002",)


def test_context_as_images_has_its_own_lists_and_names(tmp_path: Path) -> None:
    place = write_context(tmp_path)
    train = {"JPEGImages/2007_000032.jpg": {"background": 48, "sky": 48}}
    val = {"JPEGImages/2007_000033.jpg": {"window": 48, "tvmonitor": 48}}
    named = ",masks=SegmentationClassContext,lists=SegmentationContext,classes=context59"
    for options in (named, ",classes=context59", ",masks=SegmentationClassContext"):
        source = open_set(place, options)
        assert (count_pixels(source), len(source.vocabulary)) == (train | val, 60)
        assert count_pixels(open_set(place, f"{options},split=val")) == val
    without = open_set(place, ",classes=context59,background=no")
    assert count_pixels(without)["JPEGImages/2007_000032.jpg"] == {"sky": 48}


def write_maps(tmp_path: Path) -> Path:
    place = write_voc(tmp_path)
    (place / "trainval").mkdir()
    for name, numbers in {"000032": draw_halves(0, 3), "000039": draw_halves(1, 3)}.items():
        whole = numbers.astype(np.uint16)
        whole[0, 0] = 459
        savemat(place / "trainval" / f"2007_{name}.mat", {"LabelMap": whole}, do_compression=True)
    write_text(place / "labels.txt", "1: accordion", "2: aeroplane", "3: air conditioner", "459: wood piece")
    return place


def test_context_as_matlab_files_is_read_by_its_list(tmp_path: Path) -> None:
    place = write_maps(tmp_path)
    source = open_set(place, ",masks=trainval")
    assert count_pixels(source) == {
        "JPEGImages/2007_000032.jpg": {"air conditioner": 48, "wood piece": 1},
        "JPEGImages/2007_000039.jpg": {"accordion": 47, "air conditioner": 48, "wood piece": 1},
    }
    assert source.notes == ("read: pictures of all masks", "classes named by labels.txt", "unlabelled: 0")
    assert len(open_set(place, ",masks=trainval,split=train")) == 1
    (place / "labels.txt").rename(tmp_path / "names.txt")
    assert len(open_set(place, f",masks=trainval,classes={tmp_path / 'names.txt'}")) == 2
    with pytest.raises(UsageError, match=r"there is no file 'labels.txt' that names the classes of"):
        open_set(place, ",masks=trainval")


def write_parts(place: Path, *objects: tuple[str, np.ndarray, dict[str, np.ndarray]]) -> None:
    """A picture's objects with their parts, as Pascal-Part stores them."""
    found = np.zeros((1, len(objects)), [(name, object) for name in ("class", "class_ind", "mask", "parts")])
    for index, (name, mask, parts) in enumerate(objects):
        listed = np.zeros((1, len(parts)), [("part_name", object), ("mask", object)])
        for part, one in enumerate(parts.items()):
            listed[0, part] = one
        found[0, index] = (name, 1, mask, listed if parts else np.zeros((0, 0)))
    place.parent.mkdir(exist_ok=True)
    savemat(place, {"anno": {"imname": place.stem, "objects": found}}, do_compression=True)


def test_objects_and_parts_lie_on_planes(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    cat, ear, eye = (np.zeros(SIZE, np.uint8) for _ in range(3))
    cat[:, :6], ear[:4, :6], eye[0, 0] = 1, 1, 1
    folder = place / "Annotations_Part"
    write_parts(folder / "2007_000039.mat", ("cat", cat, {"lear": ear, "reye": eye}), ("table", 1 - cat, {}))
    write_parts(
        folder / "2007_000032.mat", ("bus", cat, {"wheel_1": ear, "wheel_12": cat - ear}), ("bus", eye, {})
    )
    source = open_set(place, ",masks=Annotations_Part")
    assert count_pixels(source) == {
        "JPEGImages/2007_000032.jpg": {"bus": 48, "wheel": 48},
        "JPEGImages/2007_000039.jpg": {"cat": 48, "table": 48, "left ear": 24, "right eye": 1},
    }
    assert [len(source[index].planes) for index in range(2)] == [2, 3]
    categories = {one.name: one.category for one in source.vocabulary}
    assert (categories["bus"], categories["wheel"], categories["left front hoof"]) == (
        "object",
        "part",
        "part",
    )
    assert source.notes[1:] == ("unlabelled: what is no object and no part",)


def test_wrong_parts_are_told(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    path, whole = place / "Annotations_Part" / "2007_000039.mat", np.ones(SIZE, np.uint8)
    for objects, message in (
        ([("cat", whole, {"fin": whole})], "names 'fin', which is no class or part of Pascal-Part"),
        ([("dolphin", whole, {})], "names 'dolphin', which is no class or part"),
        ([("cat", whole, {"lear": whole[:3]})], r"is no annotation of Pascal-Part (a mask of shape (3, 12))"),
        ([], "names no object"),
    ):
        write_parts(path, *objects)
        [problem] = check_source(f"voc:{place},masks=Annotations_Part").problems
        assert f"{path}: {message}" in problem.message
    savemat(path, {"anno": np.ones((2, 2))})
    [problem] = check_source(f"voc:{place},masks=Annotations_Part").problems
    assert "is no annotation of Pascal-Part" in problem.message


def test_a_matlab_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mat_files, "LIMIT", 2_000_000)
    place = write_maps(tmp_path)
    assert check_source(f"voc:{place},masks=trainval").problems == ()
    path, packed = place / "trainval" / "2007_000032.mat", zlib.compress(bytes(3_000_000))
    lengths = (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little")
    path.write_bytes(path.read_bytes()[:128] + lengths + packed)
    [problem] = check_source(f"voc:{place},masks=trainval").problems
    assert "larger than 2 MB; wanted the labels of one picture" in problem.message


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"Other": np.ones(SIZE)}, "has no variable LabelMap, only 'Other'"),
        ({"LabelMap": np.full(SIZE, np.nan)}, "LabelMap holds nan; wanted whole numbers"),
        ({"LabelMap": np.full(SIZE, -1)}, "LabelMap holds -1; wanted whole numbers"),
        ({"LabelMap": np.full(SIZE, 2.5)}, "LabelMap holds 2.5; wanted whole numbers"),
        ({"LabelMap": np.ones((*SIZE, 3))}, "LabelMap is no map of numbers"),
        ({"LabelMap": "text"}, "LabelMap is no map of numbers"),
        ({"LabelMap": {"a": 1}}, "LabelMap is no map of numbers"),
        ({"LabelMap": np.full(SIZE, 460)}, r"holds id 460, which labels.txt does not name"),
        ({"LabelMap": np.ones((3, 3))}, "trainval/2007_000032.mat; make them the same size"),
    ],
)
def test_a_wrong_matlab_file_is_one_line(tmp_path: Path, variables: dict[str, object], message: str) -> None:
    place = write_maps(tmp_path)
    savemat(place / "trainval" / "2007_000032.mat", variables)
    [problem] = check_source(f"voc:{place},masks=trainval").problems
    assert message in problem.message
    assert "\n" not in problem.message


def test_damaged_matlab_files_are_one_line(tmp_path: Path) -> None:
    place = write_maps(tmp_path)
    path = place / "trainval" / "2007_000032.mat"
    whole = path.read_bytes()
    for content in (b"", b"MATLAB", whole[:130], whole[:-9], whole[:140] + b"\xff" * 60 + whole[200:]):
        path.write_bytes(content)
        [problem] = check_source(f"voc:{place},masks=trainval").problems
        assert f"{path}: cannot be read as a MATLAB file" in problem.message
        assert "\n" not in problem.message


@pytest.mark.parametrize(
    ("name", "text", "counts", "notes"),
    [
        ("names.txt", "sky\nroad", {"sky": 47, "road": 48, "void": 1}, ("void: 255",)),
        ("names.txt", "1: road\n2: sky", {"road": 48, "void": 1}, ("void: 255", "unlabelled: 0")),
        ("names.txt", "0 sky\n1 road\n", {"sky": 47, "road": 48, "void": 1}, ("void: 255",)),
        ("names.txt", "1\troad\n0\tsky\n", {"sky": 47, "road": 48, "void": 1}, ("void: 255",)),
        ("names.csv", "id,name\n1,road\n2,sky\n", {"road": 48, "void": 1}, ("void: 255", "unlabelled: 0")),
        (
            "names.txt",
            "Idx\tRatio\tStuff\tName\n1\t0.2\t0\troad\n0\t.1\t1\tsky, air\n",
            {"sky, air": 47, "road": 48, "void": 1},
            ("void: 255",),
        ),
        (
            "names.txt",
            "__ignore__\n_background_\nroad\n",
            {"_background_": 47, "road": 48, "void": 1},
            ("void: 255",),
        ),
        (
            "id2label.json",
            '{"0": "sky", "1": "road"}',
            {"sky": 47, "road": 48, "void": 1},
            ("what is void or unlabelled is said by id2label.json", "void: 255"),
        ),
        ("names.txt", "void\nroad", {"road": 48, "void": 48}, ("void: 0 (void), 255",)),
        ("names.txt", "_background_\nroad\n", {"_background_": 47, "road": 48, "void": 1}, ("void: 255",)),
        (
            "names.txt",
            "# label:color:parts:actions\nsky:0,0,0::\nroad:9,9,9::",
            {"sky": 47, "road": 48, "void": 1},
            ("void: 255",),
        ),
        (
            "classes.json",
            json.dumps(["background", "road"]),
            {"background": 47, "road": 48, "void": 1},
            ("what is void or unlabelled is said by classes.json", "void: 255"),
        ),
    ],
)
def test_a_file_of_classes_may_have_several_forms(
    tmp_path: Path, name: str, text: str, counts: dict[str, int], notes: tuple[str, ...]
) -> None:
    place = write_voc(tmp_path)
    (place / name).write_text(text)
    source = open_set(place, f",split=train,classes={name}")
    assert count_pixels(source) == {"JPEGImages/2007_000032.jpg": counts}
    assert source.notes[1:] == (f"classes named by {name}", *notes)
    without = open_set(place, f",split=train,classes={name},background=no")
    assert count_pixels(without)["JPEGImages/2007_000032.jpg"] == {
        key: count for key, count in counts.items() if "background" not in key
    }
    first = source.digest
    (place / name).write_text(text.replace("road", "path"))
    assert open_set(place, f",split=train,classes={name}").digest != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# mine\nsky\nroad", r"names.txt, line 1: '# mine' counts as a name; remove it"),
        ("sky 0\nroad 1", r"names.txt: all lines end in a number, as in 'sky 0'; write '1: name'"),
        ("id,name\n0,sky\n1,road,street", r"names.txt, line 3: wanted 2 columns, the first a number"),
    ],
)
def test_a_file_of_classes_that_may_mean_two_things_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    place = write_voc(tmp_path)
    (place / "names.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        open_set(place, ",classes=names.txt")


def test_a_palette_in_another_order_is_told(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    path = place / "SegmentationClass" / "2007_000032.png"
    drawn = Image.fromarray(draw_halves(1, 0))
    drawn.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    drawn.save(path)
    assert count_pixels(open_set(place, ",split=train")) == {
        "JPEGImages/2007_000032.jpg": {"aeroplane": 48, "background": 48}
    }
    drawn.putpalette([128, 0, 0, 0, 0, 0, 0, 128, 0])
    drawn.save(path)
    [problem] = check_source(open_set(place, ",split=train")).problems
    assert "2007_000032.png: its palette has at 0 what the palette of Pascal VOC has at 1" in problem.message
    drawn.putpalette([9, 9, 9, 128, 128, 128])  # grays, of which one is the color of another number
    drawn.save(path)
    assert check_source(open_set(place, ",split=train")).problems == ()


def test_what_operating_systems_put_beside_lists_is_no_list(tmp_path: Path) -> None:
    place = write_context(tmp_path)
    lists = place / "ImageSets" / "SegmentationContext"
    for name in ("train", "val"):
        (lists / f"._{name}.txt").write_bytes(b"\0\5\x16\7\xff")
    assert len(open_set(place, ",classes=context59")) == 2
    with pytest.raises(UsageError, match=r"its splits are train, val$"):
        open_set(place, ",classes=context59,split=test")


def test_a_list_that_a_tool_wrote_is_found_and_its_colors_are_looked_up(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    write_text(place / "class_names.txt", "_background_", "road")
    assert count_pixels(open_set(place, ",split=train")) == {
        "JPEGImages/2007_000032.jpg": {"_background_": 47, "road": 48, "void": 1}
    }
    write_text(
        place / "labelmap.txt",
        "# label:color_rgb:parts:actions",
        "background:0,0,0::",
        "road:9,8,7::",
        "sky:::",
    )
    drawn = np.zeros((*SIZE, 3), np.uint8)
    drawn[0], drawn[1] = (9, 8, 7), (0, 128, 0)  # the palette's color of 2
    write_mask(place / "SegmentationClass" / "2007_000032.png", drawn)
    source = open_set(place, ",split=train")
    assert count_pixels(source) == {"JPEGImages/2007_000032.jpg": {"background": 72, "road": 12, "sky": 12}}
    assert "classes named by labelmap.txt" in source.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sky:0,0,300::", "wanted each name once, with a color of three numbers up to 255"),
        ("sky:0,0,3::\nsky:0,0,4::", "wanted each name once"),
        ("", "holds no names"),
        ("sky\n\nroad", "line 2: empty"),
        ("1: sky\nroad", "line 2: 'road'; wanted a number and a name"),
        ("1: sky\n1: road", "line 2: the number 1 is named twice"),
        ("70000: sky", "line 1: '70000: sky'; masks hold numbers up to 65535"),
        (f"{'9' * 5000}: sky", "masks hold numbers up to 65535"),
        ("x\n" * 65_535, "names 65535 classes; wanted up to 65534"),
        ("x" * 16_000_001, "larger than 16 MB, which no list of names is"),
    ],
)
def test_a_wrong_file_of_classes_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    place = write_voc(tmp_path)
    (place / "names.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        open_set(place, ",classes=names.txt")


def test_wrong_use_is_told(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    with pytest.raises(UsageError, match="has no split 'test'; its splits are train, trainval, val"):
        open_set(place, ",split=test")
    with pytest.raises(
        UsageError, match="has no lists 'Other' in ImageSets/; those there are Main, Segmentation"
    ):
        open_set(place, ",lists=Other")
    with pytest.raises(UsageError, match="background='off': wanted yes or no"):
        open_set(place, ",background=off")
    with pytest.raises(UsageError, match="there is no file 'context60' that names the classes of"):
        open_set(place, ",classes=context60")
    write_text(place / "ImageSets" / "Segmentation" / "val.txt", "2008_000001")
    with pytest.raises(
        SourceError, match=r"no picture named by Segmentation/val\.txt has a mask of its name"
    ):
        open_set(place, ",split=val")
    (place / "ImageSets" / "Segmentation" / "val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match=r"val\.txt: cannot be read as a list"):
        open_set(place, ",split=val")


def test_a_number_without_a_name_is_told(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    write_mask(place / "SegmentationClass" / "2007_000032.png", draw_halves(0, 21))
    with pytest.raises(
        SourceError, match=r"000032.png: the mask holds id 21, which VOC's list of 20 classes"
    ):
        open_set(place)[0]


def test_two_pictures_of_one_name_take_no_mask(tmp_path: Path) -> None:
    place = write_voc(tmp_path)
    write_picture(place / "JPEGImages" / "2007_000032.png")
    report = check_source(f"voc:{place}")
    assert [one.place for one in report.problems] == [
        f"JPEGImages/2007_000032.{end}" for end in ("jpg", "png")
    ]
    assert report.images == 1


def test_photographs_laid_out_as_voc_are_what_they_are_as_a_folder(photographs: Path, tmp_path: Path) -> None:
    folder = open_folder(photographs / "msrc")
    keys = [folder.keys[index] for index in range(0, len(folder), 60)]
    for key in keys:
        for name, target in {
            "JPEGImages": f"images/{key}",
            "SegmentationClass": f"masks/{Path(key).stem}.png",
        }.items():
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / Path(target).name).symlink_to(photographs / "msrc" / target)
    write_text(tmp_path / "ImageSets" / "Segmentation" / "train.txt", *(Path(key).stem for key in keys))
    source = open_set(tmp_path, f",classes={photographs / 'msrc' / 'classes.json'},split=train")
    assert source.vocabulary == folder.vocabulary
    assert len(source) == len(keys)
    for index, key in enumerate(keys):
        found, wanted = source[index], folder[folder.keys.index(key)]
        assert found.key == f"JPEGImages/{key}"
        np.testing.assert_array_equal(found.image, wanted.image)
        np.testing.assert_array_equal(found.planes, wanted.planes)
        assert found.void is not None
        assert wanted.void is not None
        np.testing.assert_array_equal(found.void, wanted.void)
