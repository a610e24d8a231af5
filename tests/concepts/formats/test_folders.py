"""Folders of images and masks, as sources of concepts."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.left_out import LeftOut
from unitscope.concepts.sources import open_concepts
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import SourceError, UsageError

MASK = np.array([[0, 1, 1], [2, 2, 0]], np.uint8)


def write_image(path: Path, height: int = 2, width: int = 3, value: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)
    return path


def write_mask(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def write_set(root: Path, classes: object, mask: np.ndarray = MASK) -> Path:
    write_image(root / "images" / "a.png")
    write_mask(root / "masks" / "a.png", mask)
    (root / "classes.json").write_text(json.dumps(classes))
    return root


def named(source: AnnotatedSource) -> dict[str, int]:
    return {concept.name: concept.id for concept in source.vocabulary}


def test_a_list_of_names_gives_ids_by_place(tmp_path: Path) -> None:
    source = open_folder(write_set(tmp_path, ["void", "cat", "dog"]))
    example = source[0]
    assert named(source) == {"cat": 1, "dog": 2}
    assert example.planes.tolist() == [[[0, 1, 1], [2, 2, 0]]]
    assert example.void is not None
    assert example.void.tolist() == [[True, False, False], [False, False, True]]


@pytest.mark.parametrize("named", [("images", "masks"), ("photos", "classes")])
def test_two_folders_are_opened_again_by_their_spec(tmp_path: Path, named: tuple[str, str]) -> None:
    root = write_set(tmp_path / "set", ["void", "cat", "dog"])
    for old, new in zip(("images", "masks"), named, strict=True):
        (root / old).rename(root / new)
    source = open_folder(root / named[0], masks=root / named[1])
    again = open_concepts(source.spec)
    assert (again.digest, again.spec) == (source.digest, source.spec)
    assert again[0].planes.tolist() == source[0].planes.tolist()


def test_a_background_at_id_0_is_a_concept(tmp_path: Path) -> None:
    source = open_folder(write_set(tmp_path, ["background", "cat", "dog"]))
    assert named(source) == {"background": 1, "cat": 2, "dog": 3}
    assert source[0].planes.tolist() == [[[1, 2, 2], [3, 3, 1]]]
    assert source[0].void is None


@pytest.mark.parametrize("name", ["unlabelled", "unlabeled", "none"])
def test_unlabelled_is_no_concept_and_not_void(tmp_path: Path, name: str) -> None:
    source = open_folder(write_set(tmp_path, [name, "cat", "dog"]))
    assert named(source) == {"cat": 1, "dog": 2}
    assert source[0].void is None


def test_a_source_is_a_concept_source_with_a_spec_that_opens_it_again(tmp_path: Path) -> None:
    source = open_folder(write_set(tmp_path, ["void", "cat", "dog"]), category="part")
    assert isinstance(source, ConceptSource)
    assert source.spec == f"folder:{tmp_path},category=part"
    assert source.name == tmp_path.name
    assert source.vocabulary.categories == ("part",)


def test_several_layers_share_concepts_and_have_categories(tmp_path: Path) -> None:
    layers = {
        "things": {"folder": "masks", "classes": ["unlabelled", "cat", "dog"]},
        "parts": {
            "category": "part",
            "void": [255],
            "classes": {"1": "leg", "2": {"name": "cat", "category": "object"}},
        },
    }
    write_set(tmp_path, {"layers": layers})
    write_mask(tmp_path / "masks-parts" / "a.png", np.array([[0, 1, 2], [255, 2, 0]], np.uint8))
    source = open_folder(tmp_path)
    assert [(c.id, c.name, c.category) for c in source.vocabulary] == [
        (1, "cat", "object"),
        (2, "dog", "object"),
        (3, "leg", "part"),
    ]
    example = source[0]
    assert example.planes[1].tolist() == [[0, 3, 1], [0, 1, 0]]
    assert example.void is not None
    assert example.void.tolist() == [[False] * 3, [True, False, False]]


def test_sixteen_bit_masks_hold_high_ids(tmp_path: Path) -> None:
    source = open_folder(
        write_set(
            tmp_path,
            {"classes": {"40000": "cat"}, "void": [65535]},
            np.array([[0, 40000, 65535]] * 2, np.uint16),
        )
    )
    assert source[0].planes.tolist() == [[[0, 1, 0]] * 2]
    assert source[0].void is not None


def test_masks_of_colors_are_read_by_their_table(tmp_path: Path) -> None:
    classes = {"#804080": "road", "#0000FF": {"name": "red", "category": "color"}, "#ffffff": "road"}
    said = {"classes": classes, "void": "#010203", "unlabelled": ["#000000"]}
    colors = np.uint8([[(128, 64, 128), (0, 0, 255), (255, 255, 255)], [(1, 2, 3), (0, 0, 0), (0, 0, 0)]])
    source = open_folder(write_set(tmp_path, said, colors))
    assert [(one.name, one.category) for one in source.vocabulary] == [("road", "object"), ("red", "color")]
    assert source[0].planes.tolist() == [[[1, 2, 1], [0, 0, 0]]]
    assert source[0].void is not None
    assert source[0].void.tolist() == [[False] * 3, [True, False, False]]
    write_mask(tmp_path / "masks" / "a.png", np.full((2, 3, 3), 7, np.uint8))
    with pytest.raises(SourceError, match=r"a.png: the mask has the color \(7, 7, 7\), which classes.json"):
        source[0]


@pytest.mark.parametrize(
    ("classes", "void", "message"),
    [
        ({"#804080": "road", "7": "sky"}, [], "'7' among colors; wanted each once, as in '#804080'"),
        ({"#804080": "road"}, 255, "255 among colors"),
        ({"#80408f": "road", "#80408F": "sky"}, [], "a color twice"),
    ],
)
def test_wrong_tables_of_colors_are_told(tmp_path: Path, classes: object, void: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_folder(write_set(tmp_path, {"classes": classes, "void": void}))


@pytest.mark.parametrize("key", ["9" * 5000, "-1", "1.5", "\u0661"])
def test_ids_that_are_none_are_told_in_a_line(tmp_path: Path, key: str) -> None:
    with pytest.raises(SourceError, match="is not a mask id; ids go from 0 to 65535") as told:
        open_folder(write_set(tmp_path, {"classes": {key: "cat"}}))
    assert len(str(told.value)) < 300 + len(str(tmp_path))


def test_more_layers_than_a_picture_has_are_refused(tmp_path: Path) -> None:
    layers = {f"l{number}": {"folder": "./masks/", "classes": ["none", "cat"]} for number in range(256)}
    with pytest.raises(SourceError, match="names 256 layers; wanted up to 255"):
        open_folder(write_set(tmp_path, {"layers": layers}, np.ones((2, 3), np.uint8)))
    layers.popitem()
    assert (
        len(open_folder(write_set(tmp_path, {"layers": layers}, np.ones((2, 3), np.uint8)))[0].planes) == 255
    )


def test_masks_without_names_beside_pictures_are_told(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.1")  # boxes
    assert len(open_folder(tmp_path)) == 1
    write_mask(tmp_path / "labels" / "a.png", MASK)
    said = r"labels/ looks like the masks of images/; say folder:.*/images,masks=.*/labels, with a classes"
    with pytest.raises(SourceError, match=said):
        open_folder(tmp_path)


def test_a_palette_mask_is_its_indices(tmp_path: Path) -> None:
    write_set(tmp_path, ["background", "cat", "dog"])
    palette = Image.fromarray(MASK, "L").convert("P")
    palette.putdata(MASK.ravel().tolist())
    palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    palette.save(tmp_path / "masks" / "a.png")
    assert open_folder(tmp_path)[0].planes.tolist() == [[[1, 2, 2], [3, 3, 1]]]


def test_an_image_without_mask_is_left_out_or_unlabelled(tmp_path: Path) -> None:
    write_image(write_set(tmp_path, ["void", "cat", "dog"]) / "images" / "sub" / "b.jpg")
    without = open_folder(tmp_path)
    assert without.keys == ("a.png",)
    assert without.left_out == (LeftOut("without a label", 1, ("images/sub/b.jpg",)),)
    source = open_folder(tmp_path, bare="in")
    assert source.left_out == ()
    assert source.spec == f"folder:{tmp_path},bare=in"
    assert [source[i].key for i in range(2)] == ["a.png", "sub/b.jpg"]
    assert source[1].planes.shape == (0, 1, 1)
    assert source[1].void is None


def test_images_alone_have_no_concepts(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "a.png")
    source = open_folder(tmp_path)
    assert (len(source), len(source.vocabulary)) == (1, 0)
    write_image(tmp_path / "flat" / "b.bmp")
    flat = open_folder(tmp_path / "flat")
    assert (flat[0].key, flat[0].ids, len(flat.vocabulary)) == ("b.bmp", (), 0)


def test_folders_in_images_label_whole_images_too(tmp_path: Path) -> None:
    for name in (
        "images/train/dotted/a.png",
        "images/val/dotted/a.png",
        "images/striped/b.png",
        "images/c.png",
    ):
        write_image(tmp_path / name)
    source = open_folder(tmp_path, category="texture")
    assert named(source) == {"dotted": 1, "striped": 2}
    assert [source[i].ids for i in range(3)] == [(2,), (1,), (1,)]
    assert source.left_out == (LeftOut("without a label", 1, ("images/c.png",)),)


def test_folder_names_label_whole_images(tmp_path: Path) -> None:
    for name in ("street/b.png", "kitchen/a.jpg", "street/c.webp", "loose.png", ".hidden/x.png"):
        write_image(tmp_path / name)
    assert open_folder(tmp_path).keys == ("kitchen/a.jpg", "street/b.png", "street/c.webp")
    source = open_folder(tmp_path, bare="in")
    assert source.left_out == (LeftOut("hidden", 1, (".hidden/x.png",)),)
    assert [source[i].key for i in range(4)] == [
        "kitchen/a.jpg",
        "loose.png",
        "street/b.png",
        "street/c.webp",
    ]
    assert [source[i].ids for i in range(4)] == [(1,), (), (2,), (2,)]
    assert source.vocabulary[2].category == "scene"


def test_the_category_of_folder_names_comes_from_the_argument_before_the_file(tmp_path: Path) -> None:
    write_image(tmp_path / "dotted" / "a.png")
    (tmp_path / "classes.json").write_text('{"category": "texture"}')
    assert open_folder(tmp_path).vocabulary.categories == ("texture",)
    assert open_folder(tmp_path, category="material").vocabulary.categories == ("material",)


def test_a_split_keeps_the_images_it_lists(tmp_path: Path) -> None:
    write_set(tmp_path, ["void", "cat", "dog"])
    write_image(tmp_path / "images" / "b.png")
    (tmp_path / "splits.json").write_text('{"train": ["a"], "test": ["b.png"], "none": ["x"]}')
    assert open_folder(tmp_path, split="train").keys == ("a.png",)
    assert open_folder(tmp_path, split="test", bare="in").keys == ("b.png",)
    with pytest.raises(UsageError, match="its splits are 'train', 'test'"):
        open_folder(tmp_path, split="val")
    with pytest.raises(SourceError, match="lists none"):
        open_folder(tmp_path, split="none")


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "CMYK"])
def test_every_mode_of_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (5, 4)).save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    image = open_folder(tmp_path)[0].image
    assert (image.shape, image.dtype) == ((4, 5, 3), np.uint8)


def test_a_palette_picture_with_transparency_is_read(tmp_path: Path) -> None:
    Image.new("P", (5, 4)).save(tmp_path / "a.png", transparency=b"\x00\xff")
    assert open_folder(tmp_path)[0].image.shape == (4, 5, 3)


def test_a_mask_of_another_size_is_told_with_both_sizes(tmp_path: Path) -> None:
    source = open_folder(write_set(tmp_path, ["void", "cat", "dog"], MASK[:1]))
    with pytest.raises(SourceError, match=r"images/a\.png: the picture is 3x2 pixels, its labels 3x1"):
        source[0]


def test_an_id_out_of_range_is_told(tmp_path: Path) -> None:
    source = open_folder(write_set(tmp_path, ["void", "cat"]))
    with pytest.raises(SourceError, match=r"masks/a\.png: the mask holds id 2"):
        source[0]


def test_a_colored_mask_is_refused(tmp_path: Path) -> None:
    source = open_folder(write_set(tmp_path, ["void"], np.zeros((2, 3, 3), np.uint8)))
    with pytest.raises(SourceError, match="one channel of class ids, this one is RGB"):
        source[0]


@pytest.mark.parametrize("kept", [0, 30, 200])
def test_a_truncated_image_is_told(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SourceError, match=r"a\.jpg: cannot be read as a picture"):
        open_folder(tmp_path)[0]


def test_a_text_named_as_a_picture_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not a picture")
    with pytest.raises(SourceError, match=r"a\.png: cannot be read as a picture"):
        open_folder(tmp_path)[0]


def test_a_file_that_vanished_is_told(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png")
    source = open_folder(tmp_path)
    path.unlink()
    with pytest.raises(SourceError, match=r"a\.png: the file is missing"):
        source[0]


@pytest.mark.parametrize("side", [9_700, 11_000, 20_000])
def test_a_picture_too_large_is_refused_before_it_is_decoded(
    tmp_path: Path, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    monkeypatch.setattr("unitscope.concepts.formats.stored.opening.PIXEL_LIMIT", 90_000_000)
    with pytest.raises(SourceError, match=r"a\.png: larger than 90 megapixels"):
        open_folder(tmp_path)[0]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no images"):
        open_folder(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(SourceError, match="no images"):
        open_folder(tmp_path)


def test_a_folder_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        open_folder(tmp_path / "nowhere")


def test_masks_without_class_names_are_refused(tmp_path: Path) -> None:
    (write_set(tmp_path, []) / "classes.json").unlink()
    with pytest.raises(SourceError, match=r"needs a classes\.json"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("cat", "wanted a list of class names or an object"),
        ({"clases": ["cat"]}, "unknown key 'clases'"),
        ({"classes": 5}, "'classes' must be"),
        ({"classes": ["cat", ""]}, "the name of class 1 is ''"),
        ({"classes": {"one": "cat"}}, "'one' in 'classes' is not a mask id"),
        ({"classes": {"70000": "cat"}}, "'70000' in 'classes' is not a mask id"),
        ({"classes": {"1": "cat", "01": "dog"}}, "id 1 is named twice"),
        ({"classes": ["cat"], "void": 3, "unlabelled": [3]}, "id 3 is both void and unlabelled"),
        ({"classes": ["cat"], "category": 3}, "'category' is 3"),
        ({"layers": {"a": {"folder": "../other", "classes": []}}}, "lies outside the data set"),
        ({"layers": ["a"]}, "'layers' must map names"),
    ],
)
def test_a_wrong_class_file_is_told(tmp_path: Path, classes: object, message: str) -> None:
    write_set(tmp_path, classes)
    with pytest.raises(SourceError, match=r"classes\.json") as caught:
        open_folder(tmp_path)
    assert message in str(caught.value)


def test_a_class_file_that_is_no_json_is_told_with_its_line(tmp_path: Path) -> None:
    (write_set(tmp_path, []) / "classes.json").write_text('["a",\n oops]')
    with pytest.raises(SourceError, match="line 2: not JSON"):
        open_folder(tmp_path)


def test_names_are_only_data(tmp_path: Path) -> None:
    source = open_folder(write_set(tmp_path, ["=cmd|'/c calc'!A1", "<script>alert(1)</script>", "dog"]))
    assert named(source) == {"=cmd|'/c calc'!A1": 1, "<script>alert(1)</script>": 2, "dog": 3}


def test_the_digest_follows_contents_and_options_but_not_times(tmp_path: Path) -> None:
    write_set(tmp_path, ["void", "cat", "dog"])
    first = open_folder(tmp_path).digest
    os.utime(tmp_path / "images" / "a.png", (1, 1))
    assert open_folder(tmp_path).digest == first
    assert open_folder(tmp_path, category="part").digest != first
    (tmp_path / "classes.json").write_text('["void", "cat", "cow"]')
    second = open_folder(tmp_path).digest
    assert second != first
    write_image(tmp_path / "images" / "b.png")
    assert open_folder(tmp_path, bare="in").digest not in (first, second)


def test_a_mask_of_no_image_is_remarked(tmp_path: Path) -> None:
    write_set(tmp_path, ["void", "cat", "dog"])
    write_mask(tmp_path / "masks" / "z.png", MASK)
    assert list(open_folder(tmp_path).audit()) == [("masks/z.png", "a mask without a picture of its name")]
