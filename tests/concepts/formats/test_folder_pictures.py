"""Pictures of a folder by the choices of its options, and what is said of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import encoded
from unitscope.cli import main
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UsageError

SKY = np.zeros((64, 48), np.uint8)
SKY[:16] = 1


def write_turned(root: Path, orientation: int, size: tuple[int, int] = (64, 48), masks: bool = True) -> Path:
    """Pictures whose top quarter, as people see them, is bright; masks of what people see."""
    mask = np.zeros(size, np.uint8)
    mask[: size[0] // 4] = 1
    upright = np.where(mask[..., None] == 1, np.uint8(230), np.uint8(30)).repeat(3, 2)
    stored = {6: np.rot90(upright, 1), 3: upright[::-1, ::-1], 2: upright[:, ::-1]}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for part in ("images", "masks")[: 1 + masks]:
        (root / part).mkdir(parents=True)
    for number in range(3):
        picture = Image.fromarray(np.ascontiguousarray(stored))
        picture.save(root / "images" / f"{number}.jpg", exif=exif.tobytes(), quality=95)
        if masks:
            Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    if masks:
        (root / "classes.json").write_text(json.dumps({"classes": {"1": "sky"}}))
    return root


def overlap(spec: str) -> float:
    """IoU of bright pixels and the sky."""
    source = open_concepts(spec)
    bright = np.stack([source[number].image[..., 0] > 128 for number in range(3)])
    sky = np.stack([source[number].planes[0] == 1 for number in range(3)])
    return float((bright & sky).sum() / (bright | sky).sum())


def test_labels_of_the_upright_size_turn_pictures(tmp_path: Path) -> None:
    root = write_turned(tmp_path / "set", 6)
    for option in ("", ",exif=upright", ",exif=stored"):
        assert overlap(f"folder:{root}{option}") > 0.97
    said = "3 pictures turned upright by their EXIF orientation, since their labels have that size"
    assert check_source(f"folder:{root}").notes == (f"{said}: 0.jpg, 1.jpg, 2.jpg",)


def test_labels_of_the_stored_size_keep_pictures(tmp_path: Path) -> None:
    root = write_turned(tmp_path / "set", 6)
    for number in range(3):
        stored = Image.fromarray(np.ascontiguousarray(np.rot90(SKY, 1)))
        stored.save(root / "masks" / f"{number}.png")
    assert overlap(f"folder:{root}") > 0.97
    assert "left as stored against their EXIF orientation, since" in check_source(f"folder:{root}").notes[0]


@pytest.mark.parametrize(("orientation", "size"), [(3, (64, 48)), (6, (48, 48))])
def test_where_both_sizes_agree_the_option_decides(
    tmp_path: Path, orientation: int, size: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_turned(tmp_path / "set", orientation, size)
    assert overlap(f"folder:{root}") > 0.97
    assert overlap(f"folder:{root},exif=stored") < 0.2
    assert main(["concepts", "check", f"folder:{root}"]) == 0
    said = "3 pictures turned upright by their EXIF orientation (exif=stored leaves them)"
    assert said in capsys.readouterr().out
    assert main(["concepts", "check", f"folder:{root},exif=stored", "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    said = "3 pictures left as stored against their EXIF orientation (exif=upright turns them)"
    assert notes == [f"{said}: 0.jpg, 1.jpg, 2.jpg"]


def test_pictures_without_labels_of_pixels_are_turned(tmp_path: Path) -> None:
    write_turned(tmp_path / "set", 6, masks=False)
    (tmp_path / "set" / "images").rename(tmp_path / "set" / "hall")
    source = open_folder(tmp_path / "set")
    assert source[0].image.shape == (64, 48, 3)
    assert open_folder(tmp_path / "set", exif="stored")[0].image.shape == (48, 64, 3)


def test_a_copy_in_brodens_format_shows_the_same(tmp_path: Path) -> None:
    import unitscope as us

    source = open_folder(write_turned(tmp_path / "set", 3))
    summary = us.unite_sources([source], tmp_path / "out", size=None, min_images=1, min_coverage=0.0)
    assert summary is not None
    united = open_concepts(f"broden:{tmp_path / 'out'}")
    found = {united[number].image[:8].mean() > 200 for number in range(len(united))}
    assert found == {True}


def write_clear(root: Path) -> Path:
    (root / "hall").mkdir(parents=True)
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = 90, 90, 90, 255
    Image.fromarray(pixels).save(root / "hall" / "a.png")
    return root


@pytest.mark.parametrize(("option", "color"), [("", 255), ("black", 0), ("070707", 7)])
def test_transparent_pixels_show_the_background(tmp_path: Path, option: str, color: int) -> None:
    spec = f"folder:{write_clear(tmp_path / 'set')}" + (f",background={option}" if option else "")
    source = open_concepts(spec)
    assert source[0].image[:, 0, 1].tolist() == [90] * 4 + [color] * 4
    named = {255: "white", 0: "black", 7: "070707"}[color]
    said = f"1 picture put on {named}, being transparent in parts (background= names another color)"
    assert check_source(source).notes == (f"{said}: hall/a.png",)
    assert getattr(source, "spec") == spec  # noqa: B009 - not all sources have one


def test_pictures_of_unknown_range_are_problems_until_the_range_is_said(tmp_path: Path) -> None:
    (tmp_path / "hall").mkdir()
    numbers = np.arange(64).reshape(8, 8) * 60
    (tmp_path / "hall" / "a.png").write_bytes(encoded.png(numbers, 16))
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "hall" / "b.png")
    report = check_source(f"folder:{tmp_path}")
    assert [problem.place for problem in report.problems] == ["hall/a.png"]
    assert "say range=0-4095 or the like, or range=full where 65535 is white" in report.problems[0].message
    report = check_source(f"folder:{tmp_path},range=0-4095")
    assert report.problems == ()
    assert report.notes == ("1 picture scaled to 8 bits from 0 to 4095: hall/a.png",)
    source = open_folder(tmp_path, range="0-4095")
    assert source[0].image[7, 7].tolist() == [round(3780 / 4095 * 255)] * 3
    assert source[1].image[0, 0].tolist() == [9, 9, 9]
    assert check_source(f"folder:{tmp_path},range=full").problems == ()


def test_pictures_that_may_be_of_14_bits_are_told(tmp_path: Path) -> None:
    (tmp_path / "hall").mkdir()
    gray = np.arange(64).reshape(8, 8) * 260
    (tmp_path / "hall" / "a.png").write_bytes(encoded.png(gray, 16))
    (tmp_path / "hall" / "b.png").write_bytes(encoded.png(np.stack([gray] * 3, 2), 16, 2))
    told = "taken to be of 16 bits, though no number is above 16383 (range=0-16383 if they are of 14)"
    assert check_source(f"folder:{tmp_path}").notes == (f"2 pictures {told}: hall/a.png, hall/b.png",)
    assert check_source(f"folder:{tmp_path},range=full").notes == ()
    (tmp_path / "hall" / "b.png").write_bytes(encoded.png(gray * 4, 16))
    assert check_source(f"folder:{tmp_path}").notes == (f"1 picture {told}: hall/a.png",)


def test_options_are_part_of_the_digest_and_of_the_text_that_opens_it_again(tmp_path: Path) -> None:
    root = write_clear(tmp_path / "set")
    options = ("", ",exif=stored", ",background=black", ",range=0-4095", ",bare=in")
    specs = [f"folder:{root}{option}" for option in options]
    sources = [open_concepts(spec) for spec in specs]
    assert [getattr(source, "spec") for source in sources] == specs  # noqa: B009
    assert len({getattr(source, "digest") for source in sources}) == len(specs)  # noqa: B009
    assert open_folder(root, exif="upright", background="white").digest == open_folder(root).digest


def test_wrong_options_are_wrong_usage(tmp_path: Path) -> None:
    for option in ("exif=turn", "background=blue", "range=9"):
        with pytest.raises(UsageError, match=f"{option.partition('=')[0]}=.*wanted"):
            open_concepts(f"folder:{write_clear(tmp_path / option)},{option}")


@pytest.mark.parametrize("ending", ["gif", "jfif", "jpe", "JPEG", "ppm", "pgm", "pnm", "tif", "TIFF"])
def test_endings_of_pictures(tmp_path: Path, ending: str) -> None:
    (tmp_path / "hall").mkdir()
    kinds = {"gif": "GIF", "ppm": "PPM", "pgm": "PPM", "pnm": "PPM", "tif": "TIFF", "TIFF": "TIFF"}
    picture = Image.new("L" if ending == "pgm" else "RGB", (8, 6), 77)
    picture.save(tmp_path / "hall" / f"a.{ending}", kinds.get(ending, "JPEG"))
    source = open_folder(tmp_path)
    assert source.keys == (f"hall/a.{ending}",)
    assert source[0].image.shape == (6, 8, 3)


def test_the_first_frame_is_taken_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "hall").mkdir()
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (250, 10)]
    frames[0].save(tmp_path / "hall" / "a.gif", save_all=True, append_images=frames[1:])
    report = check_source(f"folder:{tmp_path}")
    assert report.notes == ("1 picture of several frames, of which the first is taken: hall/a.gif",)


def write_pairs(root: Path, images: list[str], masks: list[str]) -> Path:
    for part, names in (("images", images), ("masks", masks)):
        (root / part).mkdir(parents=True)
        for name in names:
            kind = "JPEG" if name.endswith("jpg") else "PNG"
            Image.fromarray(np.full((8, 8), 1, np.uint8)).save(root / part / name, kind)
    (root / "classes.json").write_text('{"classes": {"1": "lamp"}}')
    return root


UNFIT = {
    "ending": (
        "0.jpg 1.jpg",
        "0_mask.png 1_mask.png",
        "in _mask, .*; rename 0_mask.png to 0.png, the mask",
    ),
    "other ending": (
        "a_img.png b_img.png",
        "a_seg.png b_seg.png",
        "in seg, .*; rename a_seg.png to a_img",
    ),
    "beginning": ("0.jpg 1.jpg", "m0.png m1.png", "begin with m, .*; rename m0.png to 0.png"),
    "numbers": (
        "1.jpg 10.jpg 11.jpg",
        "1-gt.png 10-gt.png 11-gt.png",
        "in -gt, .*; rename 1-gt.png to 1.png",
    ),
    "nothing alike": ("0.jpg", "x.png", r"the name of a picture in images/ \(0.jpg and x.png, for example\)"),
    "lossy": ("0.jpg", "0.jpg", "0.jpg is no mask: its format keeps no exact numbers; store masks as PNG"),
    "twins": ("0.jpg 0.png", "0.png", "0.jpg and 0.png share one mask; keep one picture of each name"),
    "two masks": ("0.jpg", "0.png 0.bmp", "0.bmp and 0.png are masks of one picture; keep one"),
    "none": ("0.jpg", "", "holds no masks; put one there for each picture"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_masks_that_fit_no_picture_are_an_error_that_names_files(tmp_path: Path, case: str) -> None:
    images, masks, said = UNFIT[case]
    with pytest.raises(SourceError, match=said):
        open_folder(write_pairs(tmp_path / "set", images.split(), masks.split()))


def test_masks_that_fit_no_picture_beside_others_are_problems(tmp_path: Path) -> None:
    images = ["0.jpg", "1.jpg", "2.jpg", "2.png", "3.jpg", "4.jpg"]
    masks = ["0.png", "1.jpg", "2.png", "3.png", "3.bmp", "5.png", "notes.txt"]
    report = check_source(f"folder:{write_pairs(tmp_path / 'set', images, masks)}")
    assert {one.reason: one.examples for one in report.left_out} == {
        "pictures that share a mask's name": ("images/2.jpg", "images/2.png"),
        "a mask in a format that keeps no exact numbers": ("masks/1.jpg",),
        "a mask of several pictures": ("masks/2.png",),
        "several masks for one picture": ("masks/3.bmp", "masks/3.png"),
        "a mask without a picture of its name": ("masks/5.png",),
        "neither a picture nor a mask": ("masks/notes.txt",),
        "without a label": ("images/1.jpg", "images/3.jpg", "images/4.jpg"),
    }
    wrong = {problem.place for problem in report.problems}
    assert wrong == {f"images/2.{kind}" for kind in ("jpg", "png")} | {f"masks/{name}" for name in masks[1:6]}


def test_no_label_in_the_whole_source_is_a_problem(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "set", ["0.jpg", "1.jpg"], ["0.png", "1.png"])
    (root / "classes.json").write_text('{"classes": {"2": "lamp"}, "unlabelled": [0, 1]}')
    report = check_source(f"folder:{root}")
    assert [problem.message for problem in report.problems] == [
        "not one pixel or image has a label: all are void or unlabelled"
    ]
