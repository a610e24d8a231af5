"""Broden as published, read from disk."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unitscope.concepts.formats.broden.published import open_broden, primary_categories
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import SourceError, UsageError

CATEGORIES = (
    "name,first,last,count,frequency\ncolor,1,2,2,20\nobject,3,700,3,9\npart,4,4,1,3\nscene,9,9,1,2\n"
)
LABELS = """number,name,category,frequency,coverage,syns
1,red-c,color(20),20,9.5,
2,"grey-c",color(20),20,5e-05,gray-c;grey-c
3,cat,object(4),4,1.25,
4,wheel,object(2);part(3),5,2,
9,street-s,scene(2),2,2,
700,"<b>dog</b>",object(1),1,0.5,
"""
TABLES = {
    "c_color.csv": "code,number,name,frequency,coverage\n1,1,red-c,20,9.5\n2,2,grey-c,20,5e-05\n",
    "c_object.csv": (
        "code,number,name,frequency,coverage\n1,3,cat,4,1.25\n2,4,wheel,2,1.5\n3,700,<b>dog</b>,1,0.5\n"
    ),
    "c_part.csv": "code,number,name,frequency,coverage\n1,4,wheel,3,1.5\n",
    "c_scene.csv": "code,number,name,frequency,coverage\n1,9,street-s,2,2\n",
}
HEADER = "image,split,ih,iw,sh,sw,color,object,part,scene\n"
INDEX = (
    "ade/a.jpg,train,227,227,113,113,ade/a_color.png,ade/a_object.png,ade/a_part_1.png;ade/a_part_2.png,9\n"
    "dtd/b.jpg,val,30,40,30,40,1;2,,,\n"
    "ade/c.jpg,val,20,20,10,10,ade/c_color.png,700;ade/c_object.png,,\n"
    "ade/empty.jpg,train,20,20,10,10,,0,,\n"
)


def write_label(path: Path, numbers: np.ndarray) -> None:
    channels = np.stack([numbers % 256, numbers // 256, numbers * 0], axis=-1).astype(np.uint8)
    Image.fromarray(channels).save(path)


def write_broden(root: Path) -> Path:
    (root / "images" / "ade").mkdir(parents=True)
    (root / "images" / "dtd").mkdir()
    for name, table in {**TABLES, "category.csv": CATEGORIES, "label.csv": LABELS}.items():
        (root / name).write_text(table)
    (root / "index.csv").write_text(HEADER + INDEX)
    for name, (height, width) in {"ade/a": (227, 227), "dtd/b": (30, 40), "ade/c": (20, 20)}.items():
        Image.fromarray(np.full((height, width, 3), 80, np.uint8)).save(root / "images" / f"{name}.jpg")
    images = root / "images" / "ade"
    write_label(images / "a_color.png", np.full((113, 113), 1))
    write_label(images / "a_object.png", np.where(np.eye(113), 700, 0))
    write_label(images / "a_part_1.png", np.full((113, 113), 4))
    write_label(images / "a_part_2.png", np.zeros((113, 113), int))
    write_label(images / "c_color.png", np.full((20, 20), 2))
    write_label(images / "c_object.png", np.arange(100).reshape(10, 10) // 50 * 3)
    return root


@pytest.fixture
def broden(tmp_path: Path) -> Path:
    return write_broden(tmp_path / "broden1_227")


def test_planes_ids_and_names_are_those_on_disk(broden: Path) -> None:
    source = open_broden(broden)
    assert isinstance(source, ConceptSource)
    assert [concept.id for concept in source.vocabulary] == [1, 2, 3, 4, 9, 700]
    assert source.vocabulary[700].name == "<b>dog</b>"
    assert source.vocabulary[9].name == "street-s"
    example = source[0]
    assert (example.key, example.image.shape, example.planes.shape) == (
        "ade/a.jpg",
        (227, 227, 3),
        (4, 113, 113),
    )
    assert [sorted(set(plane.ravel().tolist())) for plane in example.planes] == [[1], [0, 700], [4], [0]]
    assert example.ids == (9,)
    assert example.void is None


def test_image_level_numbers_alone_make_an_example_without_planes(broden: Path) -> None:
    example = open_broden(broden)[1]
    assert example.ids == (1, 2)
    assert example.planes.shape == (0, 1, 1)


def test_a_mixed_cell_and_masks_of_several_sizes_are_read(broden: Path) -> None:
    example = open_broden(broden)[2]
    assert example.ids == (700,)
    assert example.planes.shape == (2, 10, 10)
    assert (example.planes[0] == 2).all()
    assert example.planes[1, :, 0].tolist() == [0] * 5 + [3] * 5


def test_images_without_any_label_are_left_out(broden: Path) -> None:
    assert [row.image for row in open_broden(broden).rows] == ["ade/a.jpg", "dtd/b.jpg", "ade/c.jpg"]
    assert [row.image for row in open_broden(broden, categories=["scene"]).rows] == ["ade/a.jpg"]


def test_the_primary_category_covers_most_and_ties_go_to_the_last(broden: Path) -> None:
    assert open_broden(broden).vocabulary[4].category == "part"
    assert open_broden(broden, categories=["color", "object"]).vocabulary[4].category == "object"
    assert primary_categories([7], {"object": {}, "part": {}, "scene": {}}) == {7: "scene"}


def test_a_choice_of_categories_leaves_out_the_concepts_of_others(broden: Path) -> None:
    source = open_broden(broden, categories=["part", "object"])
    assert [concept.id for concept in source.vocabulary] == [3, 4, 700]
    assert source.spec == f"broden:{broden},categories=object+part"
    with pytest.raises(UsageError, match="no category 'texture'; it has color, object, part, scene"):
        open_broden(broden, categories=["texture"])


def test_a_split_is_chosen_and_told(broden: Path) -> None:
    assert open_broden(broden).splits == ("train", "val", "val")
    assert len(open_broden(broden, split="val")) == 2
    with pytest.raises(UsageError, match="its splits are train, val"):
        open_broden(broden, split="test")


def test_the_folder_above_will_do_if_it_holds_only_one(broden: Path) -> None:
    assert open_broden(broden.parent).name == "broden1_227"
    write_broden(broden.parent / "broden1_224")
    with pytest.raises(UsageError, match="several Broden folders"):
        open_broden(broden.parent)


def test_a_folder_that_is_not_broden_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not Broden"):
        open_broden(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        open_broden(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x.jpg,train,20,20,10,10,1,,\n", "line 6: 9 cells, but the header has 10"),
        ("x.jpg,train,20,wide,10,10,1,,,\n", "line 6: iw is 'wide'; wanted a number"),
        ("x.jpg,train,20,-4,10,10,1,,,\n", "line 6: iw is '-4'; wanted a whole number"),
        ("x.jpg,train,20,20,0,0,x.png,,,\n", "line 6: sh x sw is 0x0"),
        ("x.jpg,train,20,20,10,10,99999,,,\n", "line 6: label 99999 in 'color' is above"),
        ("../x.jpg,train,20,20,10,10,1,,,\n", "line 6: '../x.jpg' is not the path of a file inside"),
        ("x.jpg,train,20,20,10,10,/etc/passwd,,,\n", "line 6: '/etc/passwd' is not the path"),
        ("ade/a.jpg,train,20,20,10,10,1,,,\n", "line 6: the image 'ade/a.jpg' is listed twice"),
    ],
)
def test_an_unreadable_row_is_told_with_its_line(broden: Path, row: str, message: str) -> None:
    (broden / "index.csv").write_text(HEADER + INDEX + row)
    with pytest.raises(SourceError, match=r"index\.csv") as caught:
        open_broden(broden)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("table", "text", "message"),
    [
        ("label.csv", "number,name\n1,red\n1,blue\n", "line 3: number 1 is listed twice"),
        ("label.csv", "number,name\nx,red\n", "line 2: number is 'x'"),
        ("label.csv", "number,name\n70000,red\n", "line 2: number is '70000'; wanted a whole number"),
        ("label.csv", "name\nred\n", "line 1: there is no column 'number'"),
        ("c_part.csv", "number,coverage\n4,lots\n", "line 2: coverage is 'lots'"),
        ("c_part.csv", "number,coverage\n4,nan\n", "line 2: coverage is 'nan'"),
        ("category.csv", "name\ncolor\ncolor\n", "line 3: the category 'color' is empty or given twice"),
        ("category.csv", "name\n../x\n", "line 2: the category '../x' cannot be part of a file name"),
        ("category.csv", "name\nweather\n", "there is no column 'weather'"),
        ("index.csv", HEADER, "no image has a label"),
    ],
)
def test_an_unreadable_table_is_told(broden: Path, table: str, text: str, message: str) -> None:
    (broden / "c_weather.csv").write_text("number,coverage\n")
    (broden / table).write_text(text)
    with pytest.raises(SourceError) as caught:
        open_broden(broden)
    assert message in str(caught.value)


def test_bytes_that_are_no_text_are_told(broden: Path) -> None:
    (broden / "label.csv").write_bytes(b"number,name\n1,\xff\xfe\n")
    with pytest.raises(SourceError, match=r"label\.csv: cannot be read"):
        open_broden(broden)


def test_a_missing_table_is_told(broden: Path) -> None:
    (broden / "c_part.csv").unlink()
    with pytest.raises(SourceError, match=r"c_part\.csv: the file is missing"):
        open_broden(broden)


def test_a_missing_label_file_is_told_when_it_is_read(broden: Path) -> None:
    (broden / "images/ade/a_part_2.png").unlink()
    with pytest.raises(SourceError, match=r"a_part_2\.png: the file is missing"):
        open_broden(broden)[0]


def test_a_number_that_is_not_listed_is_told(broden: Path) -> None:
    write_label(broden / "images/ade/a_color.png", np.full((113, 113), 701))
    with pytest.raises(SourceError, match=r"a_color\.png: label 701 is not listed"):
        open_broden(broden)[0]


def test_the_digest_follows_tables_and_files(broden: Path) -> None:
    first = open_broden(broden).digest
    assert open_broden(broden).digest == first
    assert open_broden(broden, split="val").digest != first
    (broden / "label.csv").write_text(LABELS.replace("cat,", "cow,"))
    assert open_broden(broden).digest != first


def test_images_of_another_size_than_told_are_remarked(broden: Path) -> None:
    (broden / "index.csv").write_text(HEADER + INDEX.replace("227,227", "224,227"))
    assert list(open_broden(broden).audit()) == [
        ("ade/a.jpg", "the image is 227x227, index.csv says 227x224"),
    ]
