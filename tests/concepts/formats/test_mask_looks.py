"""Masks never pass for pictures that show something, and pictures never for masks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import encoded
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.formats.folder.names import is_mask_folder, is_part, name_folder
from unitscope.concepts.formats.stored.mask_looks import find_masks, look_like_masks
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError

SIZE = 48
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128]
VOID = np.array([0, 1, 2, 255], np.uint8)
CITY = np.array([(128, 64, 128), (70, 70, 70), (0, 0, 142), (220, 20, 60)], np.uint8)


def shapes(seed: int) -> np.ndarray:
    """Numbers 0 to 3 in patches."""
    canvas = Image.new("L", (SIZE, SIZE))
    draw, random = ImageDraw.Draw(canvas), np.random.default_rng(seed)
    for number in (1, 2, 3):
        x, y = (int(one) for one in random.integers(0, SIZE - 20, 2))
        (draw.ellipse if number == 2 else draw.rectangle)((x, y, x + 18, y + 18), fill=number)
    return np.asarray(canvas)


def photograph(seed: int) -> np.ndarray:
    """What is there, in colors of its own, with noise."""
    colors = np.array([(90, 140, 60), (200, 90, 40), (60, 60, 200), (220, 220, 210)])
    noise = np.random.default_rng(seed).normal(0, 12, (SIZE, SIZE, 3))
    return (colors[shapes(seed)] + noise).clip(0, 255).astype(np.uint8)


def write(path: Path, pixels: np.ndarray, palette: list[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    if palette is not None:
        picture = Image.fromarray(pixels, "P") if pixels.ndim == 2 else picture.quantize(16)
        picture.putpalette(palette) if pixels.ndim == 2 else None
    picture.save(path)


def put(root: Path, name: str, make: Callable[[int], np.ndarray], palette: list[int] | None = None) -> None:
    for seed in range(8):
        write(root / name.format(seed), make(seed), palette)


MASKS: dict[str, tuple[str, Callable[[int], np.ndarray], list[int] | None]] = {
    "small numbers": ("things/{}.png", shapes, None),
    "16 bits": ("things/{}.png", lambda seed: shapes(seed).astype(np.uint16), None),
    "with void": ("things/{}.png", lambda seed: VOID[shapes(seed)], None),
    "pascal's colors": ("things/{}.png", shapes, PALETTE),
    "colors beside": ("things/{}.png", lambda seed: CITY[shapes(seed)], None),
    "two values beside": ("things/{}.png", lambda seed: np.uint8(255) * (shapes(seed) > 0), None),
    "truth beside": ("things/{}.bmp", lambda seed: shapes(seed) > 0, None),
    "an ending": ("photos/{}_mask.png", lambda seed: CITY[shapes(seed)], None),
    "an ending elsewhere": ("things/{}_labelIds.png", lambda seed: 60 * shapes(seed), None),
    "in one folder": ("photos/{}.png", lambda seed: CITY[shapes(seed)], None),
    "blank ones too": ("things/{}.png", lambda seed: CITY[shapes(seed) * (seed % 2)], None),
}


@pytest.mark.parametrize("case", MASKS)
def test_masks_are_told_from_pictures(tmp_path: Path, case: str) -> None:
    name, make, palette = MASKS[case]
    put(tmp_path, "photos/{}.jpg", photograph)
    put(tmp_path, name, make, palette)
    folder = name.partition("/")[0]
    with pytest.raises(
        SourceError, match=rf"the folder {folder}/ holds what looks like masks \({folder}/[01]"
    ):
        open_folder(tmp_path)


@pytest.mark.parametrize("ending", ["_seg", "_mask", "_parts_1", "_label"])
def test_masks_beside_pictures_are_told_by_their_names(tmp_path: Path, ending: str) -> None:
    put(tmp_path, "photos/{}.jpg", photograph)
    for seed in range(5):  # of eight
        write(tmp_path / f"photos/{seed}{ending}.png", photograph(seed + 50))
    with pytest.raises(
        SourceError, match=rf"holds what looks like masks \(photos/0{ending}.png, of photos/0.jpg"
    ):
        open_folder(tmp_path)


@pytest.mark.parametrize(("ending", "count"), [("_L", 8), ("_mask", 3), ("_crop", 8)])
def test_few_names_and_short_endings_tell_nothing(tmp_path: Path, ending: str, count: int) -> None:
    put(tmp_path, "photos/{}.jpg", photograph)
    for seed in range(count):
        write(tmp_path / f"photos/{seed}{ending}.png", photograph(seed + 50))
    assert len(open_folder(tmp_path)) == 8 + count


@pytest.mark.parametrize("folder", ["masks", "train/labels", "SegmentationClass", "my_annot", "gt"])
@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_folders_called_like_masks_are_refused(tmp_path: Path, folder: str, ending: str) -> None:
    put(tmp_path, "kitchen/{}.jpg", photograph)
    put(tmp_path, f"{folder}/{{}}{ending}", photograph)
    with pytest.raises(SourceError, match=f"the folder {folder}/ is called like masks"):
        open_folder(tmp_path)


def flat(seed: int) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), (30 * seed, 10, 200), np.uint8)


def drawing(seed: int) -> np.ndarray:
    """Black lines on white."""
    canvas = Image.new("L", (SIZE, SIZE), 255)
    ImageDraw.Draw(canvas).line((3, seed, 40, 44 - seed), fill=0, width=2)
    return np.asarray(canvas)


def smooth(seed: int) -> np.ndarray:
    """Drawn with soft edges, as fonts are."""
    canvas = Image.new("L", (4 * SIZE, 4 * SIZE))
    ImageDraw.Draw(canvas).ellipse((20, 20, 100 + seed, 150), fill=255)
    return np.asarray(canvas.resize((SIZE, SIZE), Image.Resampling.BOX))


def gray(seed: int) -> np.ndarray:
    return photograph(seed).mean(2).astype(np.uint8)


def dim(seed: int) -> np.ndarray:
    """A few faint spots in the dark, as through a microscope."""
    picture = np.zeros((SIZE, SIZE), np.uint8)
    picture[10:20, seed : seed + 12] = np.random.default_rng(seed).integers(0, 40, (10, 12))
    return picture


PICTURES: dict[str, tuple[str, Callable[[int], np.ndarray], list[int] | None]] = {
    "photographs": ("hall/{}.png", photograph, None),
    "gray photographs": ("hall/{}.png", gray, None),
    "dim ones": ("hall/{}.png", dim, None),
    "flat colors": ("hall/{}.png", flat, None),
    "flat gray": ("hall/{}.png", lambda seed: np.full((SIZE, SIZE), 5 * seed, np.uint8), None),
    "drawings": ("hall/{}.png", drawing, None),
    "drawings of one bit": ("hall/{}.png", lambda seed: drawing(seed) > 0, None),
    "drawings of two shades": ("hall/{}.png", lambda seed: drawing(seed) // 255 * 90 + 80, None),
    "soft drawings": ("hall/{}.png", smooth, None),
    "icons": ("hall/{}.gif", lambda seed: CITY[shapes(seed + 50)], []),
    "drawn in flat colors": ("hall/{}.png", lambda seed: CITY[shapes(seed + 50)], None),
    "people with masks": ("hall/{}_mask.png", lambda seed: photograph(seed + 50), None),
}


@pytest.mark.parametrize("case", PICTURES)
def test_pictures_are_not_taken_for_masks(tmp_path: Path, case: str) -> None:
    name, make, palette = PICTURES[case]
    for other in ("photos/{}.jpg", "yard/{}.png"):
        put(tmp_path, other, photograph)
    put(tmp_path, name, make, palette)
    assert [concept.name for concept in open_folder(tmp_path).vocabulary] == ["hall", "yard"]


def test_the_drawn_world_is_no_mask(tmp_path: Path) -> None:
    source = open_concepts("drawn:count=12,size=64")
    for number in range(12):
        example = source[number]
        folder = source.vocabulary[example.ids[0]].label
        write(tmp_path / folder / f"{number % 3}.png", example.image)
    names = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")]
    assert find_masks(tmp_path, names) is None


def test_photographs_are_no_masks_and_their_masks_are(photographs: Path, tmp_path: Path) -> None:
    images = sorted((photographs / "msrc" / "images").iterdir())[:24]
    for number, image in enumerate(images):
        for part in ("images", "masks"):
            source = next((photographs / "msrc" / part).glob(f"{image.stem}.*"))
            place = tmp_path / part / f"things{number % 2}"
            place.mkdir(parents=True, exist_ok=True)
            (place / source.name).symlink_to(source)
    assert len(open_folder(tmp_path / "images").vocabulary) == 2
    with pytest.raises(SourceError, match="holds what looks like masks"):
        open_folder(tmp_path / "masks")


def test_numbers_that_nobody_could_see_are_classes(tmp_path: Path) -> None:
    for seed in range(4):
        (tmp_path / f"{seed}.png").write_bytes(encoded.png(shapes(seed).astype(int), 4))
    paths = sorted(tmp_path.iterdir())
    assert look_like_masks(paths)
    (tmp_path / "z.png").write_text("no picture")
    assert not look_like_masks([*paths, tmp_path / "z.png"])
    assert not look_like_masks([])


PARTS = """train Train2017 val test images imgs imagesTr JPEGImages leftImg8bit training_set val_images
img_dir split_1 fold2 test-set dataset all"""
NEITHER = """kitchen,0,17,n01440764,photo,set,raw,train station,data center,split,test tube,Müller,写真
images写真,a,ground,with_mask,no-label,segway,gt-40 car"""
MASK_FOLDERS = """masks mask Masks_png labels label labelsTr annotations ann_dir gtFine gt GT_color labelIds
SegmentationClass SegmentationObject SegmentationClassAug testannot train_masks ground_truth GroundTruth
semantic_labels stuffthingmaps_trainval2017"""


@pytest.mark.parametrize("name", PARTS.split())
def test_parts_of_sets(name: str) -> None:
    assert is_part(name)
    assert name_folder(f"{name}/kitchen") == "kitchen"


@pytest.mark.parametrize("name", NEITHER.replace("\n", ",").split(","))
def test_what_shows_something_is_no_part_and_no_masks(name: str) -> None:
    assert not is_part(name)
    assert not is_mask_folder(name)
    assert name_folder(name) == name


@pytest.mark.parametrize("name", MASK_FOLDERS.split())
def test_folders_of_masks(name: str) -> None:
    assert is_mask_folder(name)
