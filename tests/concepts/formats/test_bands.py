"""Pictures of several bands: from `.npy` and TIFF files as they are, and as networks are given them."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import unitscope as us
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.formats.stored.bands import read_bands
from unitscope.concepts.formats.stored.pictures import read_image
from unitscope.concepts.frames import Frame, show_bands
from unitscope.concepts.packed import pack_source
from unitscope.dissection.dissect import Confidences
from unitscope.errors import SourceError, UsageError
from unitscope.experiments.movement import read_pixels
from unitscope.interventions.attacks import ProjectedGradient, attack_images, classify_pixels
from unitscope.interventions.explanation import explain_image
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.weights import random_weights
from unitscope.views.explanation_sheet import draw_region

SIZE = (24, 32)


def draw(bands: int = 5, kind: type = np.uint8, size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    if kind is np.float32:
        return random.normal(1000, 300, (*size, bands)).astype(np.float32)
    return random.integers(0, np.iinfo(kind).max + 1, (*size, bands)).astype(kind)


def write_tiff(
    path: Path,
    image: np.ndarray,
    order: str = "<",
    *,
    deflate: bool = False,
    apart: bool = False,
    tile: int | None = None,
    predict: bool = False,
    more: dict[int, list[int]] | None = None,
) -> None:
    """A TIFF file by the book: one directory, then values, then blocks."""
    height, width, bands = image.shape
    stored = image.astype(image.dtype.newbyteorder(order))
    layers = [stored[..., k : k + 1] for k in range(bands)] if apart else [stored]
    high, wide = (tile, tile) if tile else (7, width)
    blocks = []
    for layer in layers:
        for top in range(0, height, high):
            for left in range(0, width, wide):
                block = layer[top : top + high, left : left + wide]
                if tile:
                    room = tile - block.shape[0], tile - block.shape[1]
                    block = np.pad(block, ((0, room[0]), (0, room[1]), (0, 0)))
                if predict:
                    block = np.diff(block, axis=1, prepend=np.zeros_like(block[:, :1])).astype(stored.dtype)
                raw = block.tobytes()
                blocks.append(zlib.compress(raw) if deflate else raw)
    form = {"u": 1, "i": 2, "f": 3}[image.dtype.kind]
    tags = {
        256: [width], 257: [height], 258: [8 * image.itemsize] * bands, 259: [8 if deflate else 1], 262: [1],
        277: [bands], 284: [2 if apart else 1], 317: [2 if predict else 1], 339: [form] * bands,
    }  # fmt: skip
    tags |= {322: [tile], 323: [tile]} if tile else {278: [high]}
    tags |= more or {}
    where, lengths = (324, 325) if tile else (273, 279)
    tags |= {where: [0] * len(blocks), lengths: [len(block) for block in blocks]}
    start = 8 + 2 + 12 * len(tags) + 4
    end = start + sum(4 * len(values) for values in tags.values() if len(values) > 1)
    tags[where] = [end + sum(map(len, blocks[:number])) for number in range(len(blocks))]
    head, values = struct.pack(f"{order}H", len(tags)), b""
    for tag, numbers in sorted(tags.items()):
        inside = numbers[0] if len(numbers) == 1 else start + len(values)
        head += struct.pack(f"{order}HHII", tag, 4, len(numbers), inside)
        values += struct.pack(f"{order}{len(numbers)}I", *numbers) if len(numbers) > 1 else b""
    mark = b"II" if order == "<" else b"MM"
    first = mark + struct.pack(f"{order}HI", 42, 8)
    path.write_bytes(first + head + struct.pack(f"{order}I", 0) + values + b"".join(blocks))


WAYS: dict[str, dict[str, object]] = {
    "strips": {},
    "big end first": {"order": ">"},
    "deflated": {"deflate": True},
    "predicted": {"deflate": True, "predict": True},
    "one band after the other": {"apart": True},
    "tiles": {"tile": 16, "deflate": True, "predict": True},
    "tiles of bands": {"tile": 16, "apart": True},
}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("way", WAYS)
def test_tiff_files_are_read_to_the_bit(tmp_path: Path, way: str, kind: type) -> None:
    options = WAYS[way]
    if kind is np.float32 and options.get("predict"):
        options = {**options, "predict": False}
    image = draw(kind=kind)
    write_tiff(tmp_path / "a.tif", image, **options)
    found = read_image(tmp_path / "a.tif")
    assert found.dtype == kind
    assert np.array_equal(found, image)


def test_photographs_in_tiff_files_stay_what_they_were(tmp_path: Path) -> None:
    image = draw(4)
    Image.fromarray(image[..., :3]).save(tmp_path / "rgb.tif")
    Image.fromarray(image).save(tmp_path / "rgba.tif")
    assert np.array_equal(read_image(tmp_path / "rgb.tif"), image[..., :3])
    alpha = image[..., 3:] / 255.0
    seen = image[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(read_image(tmp_path / "rgba.tif") - seen).max() <= 0.5
    assert read_bands(tmp_path / "rgb.tif") is read_bands(tmp_path / "rgba.tif") is None


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_arrays_are_read_as_they_are(tmp_path: Path, kind: type) -> None:
    image = draw(kind=kind)
    np.save(tmp_path / "a.npy", image)
    assert np.array_equal(read_image(tmp_path / "a.npy"), image)
    np.save(tmp_path / "b.npy", image.astype(np.float64))
    assert read_image(tmp_path / "b.npy").dtype == np.float32


def spoil_tiff(path: Path) -> None:
    write_tiff(path, draw())
    path.write_bytes(path.read_bytes()[:900])


class Call:
    def __reduce__(self) -> tuple[object, ...]:
        raise AssertionError("this must not run")


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "damaged tiff": ("a.tif", spoil_tiff, "its bands cannot be read"),
    "packed tiff": ("a.tif", lambda path: write_tiff(path, draw(), more={259: [5]}), "compression 5"),
    "flat array": ("a.npy", lambda path: np.save(path, draw()[..., 0]), r"shape \(24, 32\); wanted"),
    "objects": ("a.npy", lambda path: np.save(path, np.array([None]), allow_pickle=True), "cannot be read"),
    "no array": ("a.npy", lambda path: path.write_bytes(b"nothing"), "cannot be read as an array"),
    "truth": ("a.npy", lambda path: np.save(path, draw() > 9), "bands of bool"),
    "nan": ("a.npy", lambda path: np.save(path, draw() * np.float32(np.nan)), "not finite"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, case: str) -> None:
    name, write, said = BAD[case]
    write(tmp_path / name)
    with pytest.raises(SourceError, match=said) as told:
        read_image(tmp_path / name)
    assert name in str(told.value)
    assert "\n" not in str(told.value)


def test_bands_are_picked_ordered_and_scaled() -> None:
    by_name = Preprocessing(channels=("b4", "b3", "b2"), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    by_number = replace(by_name, channels=(3, 2, 1))
    for kind, largest in ((np.uint8, 255), (np.uint16, 65535), (np.float32, 1)):
        images = np.stack([draw(kind=kind)])
        wanted = (images[..., [3, 2, 1]].astype(np.float64) / largest - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
        found = by_name.tensor(images)
        assert np.allclose(found.permute(0, 2, 3, 1), wanted, rtol=1e-5, atol=1e-6)
        assert torch.equal(found, by_number.tensor(images))
        pixels = torch.from_numpy(images.astype(np.float32) / largest).permute(0, 3, 1, 2)
        assert torch.allclose(by_name.normalize(pixels), found, rtol=1e-4, atol=1e-5)
    assert by_name.depth == 3
    assert torch.equal(Preprocessing().tensor(draw(5)[None]), Preprocessing().tensor(draw(5)[None][..., :3]))


@pytest.mark.parametrize("channels", [("nir",), (-1,), ("b0",), (), (True, "b")])
def test_bands_without_a_number_are_wrong_usage(channels: tuple[str | int, ...]) -> None:
    with pytest.raises(UsageError, match="band"):
        Preprocessing(channels=channels)


def test_bands_that_a_picture_lacks_are_told() -> None:
    with pytest.raises(UsageError, match=r"a picture has 3 bands, and channels=.* asks for band 5"):
        Preprocessing(channels=("b5",)).tensor(draw(3)[None])
    with pytest.raises(UsageError, match=r"real numbers from .*, which are no colors"):
        Preprocessing().tensor(draw(kind=np.float32)[None])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_bands_are_fitted_one_by_one(kind: type) -> None:
    image, frame = draw(kind=kind), Frame((12, 16), (12, 16))
    found = frame.fit_image(image)
    assert found.dtype == kind
    assert found.shape == (12, 16, 5)
    if kind is np.uint8:  # as of a photograph, but for the rounding of its two passes
        assert np.abs(found[..., :3].astype(int) - frame.fit_image(image[..., :3].copy())).max() <= 1
    flat = np.full((*SIZE, 5), 7, kind)
    assert np.array_equal(frame.fit_image(flat), flat[:12, :16])


def test_people_see_the_first_three_bands() -> None:
    image = draw()
    assert np.array_equal(show_bands(image), image[..., :3])
    assert np.array_equal(show_bands(image[..., :2]), image[..., :1].repeat(3, 2))
    ramp = np.linspace(1000, 3000, 100).reshape(10, 10, 1).repeat(4, 2).astype(np.float32)
    assert show_bands(ramp).min() == 0
    assert show_bands(ramp).max() == 255
    assert show_bands(np.full((4, 4, 4), 9, np.uint16)).dtype == np.uint8


def write_fields(folder: Path, ending: str, kind: type) -> list[np.ndarray]:
    """Squares that are bright in band 4 alone, with their masks; the pictures."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    (folder / "classes.json").write_text('{"classes": {"1": "field", "2": "ground"}, "category": "object"}')
    random, pictures = np.random.default_rng(0), []
    for number in range(6):
        image = draw(5, np.uint8, (32, 32), number).astype(np.float64) / 255
        image[..., 3] *= 0.4
        top, left = (4 * int(random.integers(0, 5)) for _ in range(2))
        image[top : top + 8, left : left + 12, 3] += 0.55
        mask = np.full((32, 32), 2, np.uint8)
        mask[top : top + 8, left : left + 12] = 1
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
        largest = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[kind]
        stored = (image * largest).astype(kind)
        pictures.append(stored)
        path = folder / "images" / f"{number}{ending}"
        if ending == ".npy":
            np.save(path, stored)
        else:
            write_tiff(path, stored, deflate=True)
    return pictures


@pytest.mark.parametrize(("ending", "kind"), [(".npy", np.float32), (".tif", np.uint16), (".tif", np.uint8)])
def test_a_unit_of_one_band_is_named_with_the_iou_counted_by_hand(tmp_path, ending, kind) -> None:
    (tmp_path / "fields").mkdir()
    pictures = write_fields(tmp_path / "fields", ending, kind)
    source = open_folder(tmp_path / "fields")
    layer = nn.Conv2d(2, 2, 1, bias=False)
    layer.weight.data = torch.tensor([[0.0, 1.0], [1.0, 0.0]])[:, :, None, None]
    prepared = Preprocessing((32, 32), channels=("b2", "b4"))
    network = Network(nn.Sequential(layer), prepared, name="two bands")
    rules = replace(us.CONVENTIONS["pnas"], reduction=1)
    options = {"thresholds": {"0": np.full(2, 0.601, np.float32)}, "confidences": Confidences(shifts=0)}
    run = us.dissect(network, source, ["0"], convention=rules, out=tmp_path / "run", **options)
    largest = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[kind]
    for unit, band in enumerate((3, 1)):
        masks = np.stack([image[..., band].astype(np.float64) / largest > 0.601 for image in pictures])
        truth = np.stack([source[number].planes[0] for number in range(6)])
        best = max((masks & (truth == k)).sum() / (masks | (truth == k)).sum() for k in (1, 2))
        assert run["0"][unit].iou == pytest.approx(best, abs=1e-6)
    assert run["0"][0].concept.name == "field"
    assert run["0"].place.where == "in place"
    cached = us.dissect(network, source, ["0"], convention=rules, cache=tmp_path / "cache", **options)
    assert [unit.iou for unit in cached["0"]] == [unit.iou for unit in run["0"]]
    us.write_report(us.load(tmp_path / "run"), source, tmp_path / "report")
    shown = next((tmp_path / "report").rglob("*.jpg"))
    assert np.asarray(Image.open(shown)).shape == (32, 32, 3)


def test_pictures_of_other_bands_are_not_mixed(tmp_path: Path) -> None:
    pictures = [draw(5, size=(16, 16)), draw(4, size=(16, 16))]
    network = Network(nn.Sequential(nn.Conv2d(3, 2, 1)), Preprocessing((16, 16)))
    with pytest.raises(SourceError, match="picture 1 has 4 bands of uint8, picture 0 5 of uint8"):
        us.read_activations(network, pictures, ["0"]).arrays()
    for number, picture in enumerate(pictures):
        np.save(tmp_path / f"{number}.npy", picture)
    source = open_folder(tmp_path)
    assert len(source) == 2
    with pytest.raises(SourceError, match=r"1\.npy has 4 bands of uint8, images before it 5"):
        pack_source(source, Frame((8, 8), (8, 8)), tmp_path / "cache")
    Image.fromarray(pictures[0][..., :3]).save(tmp_path / "photograph.png")
    assert open_folder(tmp_path).keys == ("photograph.png",)


def test_bands_are_attacked_and_explained() -> None:
    with random_weights(0):
        parts = nn.Conv2d(2, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)
    prepared = Preprocessing((16, 16), (0.5,), (0.25,), channels=("b5", "b2"))
    network = Network(nn.Sequential(*parts).eval(), prepared, ("one", "other"))
    image = draw(kind=np.uint16, size=(16, 16))
    found = explain_image(network, "1", image)
    assert found.method == "exact"
    pixels = read_pixels(network, image)
    assert pixels.shape == (5, 16, 16)
    with torch.no_grad():
        assert torch.allclose(
            classify_pixels(network, pixels), torch.from_numpy(found.logits).float(), atol=1e-4
        )
    other = 1 - found.predicted
    one = attack_images(network, [pixels], [other], ProjectedGradient("linf", eps=0.9, steps=20))[0]
    assert one.success
    assert torch.equal(one.image[[0, 2, 3]], pixels[[0, 2, 3]])  # what is not read is not changed
    assert draw_region(image, np.ones((20, 30), bool)).size == (30, 20)
