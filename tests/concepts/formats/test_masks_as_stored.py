"""Masks are decoded as they are stored, against files that are written bit by bit."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import encoded
from unitscope.concepts.formats.stored.masks import decode_mask, read_mask
from unitscope.errors import SourceError


def draw(bits: int, seed: int = 0, size: tuple[int, int] = (5, 11)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2 ** min(bits, 16), size)


def grays(count: int) -> list[tuple[int, int, int]]:
    return [(shade, shade, shade) for shade in range(count)]


@pytest.mark.parametrize("packed", ["plain", "deflate"])
def test_lengths_that_lie_are_not_believed(tmp_path: Path, packed: str) -> None:
    path = tmp_path / "mask.tif"
    path.write_bytes(encoded.tiff(draw(8), 8, packed=packed, more=((279, (1 << 31) - 1),)))
    os.truncate(path, 1 << 30)  # with nothing in it
    with pytest.raises(SourceError, match=r"mask.tif: its bands cannot be read \(a strip of 2147483647"):
        read_mask(path)
    os.truncate(path, (1 << 30) + 1)
    path.write_bytes(encoded.png(draw(8), 8))
    os.truncate(path, (1 << 30) + 1)
    path = path.rename(tmp_path / "mask.png")
    with pytest.raises(SourceError, match=r"mask.png: 1.07 GB, which no picture is"):
        read_mask(path)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_gray_png(bits: int, interlaced: bool) -> None:
    numbers = draw(bits)
    data = encoded.png(numbers, bits, interlaced=interlaced)
    assert np.array_equal(decode_mask(data, "a"), numbers)
    clear = encoded.png(numbers, bits, clear=b"\0\1", interlaced=interlaced)
    assert np.array_equal(decode_mask(clear, "a"), numbers)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_png(bits: int) -> None:
    numbers, random = draw(bits), np.random.default_rng(1)
    for palette in (random.bytes(3 << bits), bytes(value for color in grays(2**bits) for value in color)):
        data = encoded.png(numbers, bits, 3, palette=palette, clear=b"\0\x80")
        assert np.array_equal(decode_mask(data, "a"), numbers)


KINDS = [(bits, 1) for bits in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 32)]
KINDS += [(8, 2), (16, 2), (32, 2), (16, 3), (32, 3), (64, 3)]


@pytest.mark.parametrize("packed", ["plain", "deflate"])
@pytest.mark.parametrize("colors", [0, 1])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("bits", "form"), KINDS)
def test_gray_tiff(bits: int, form: int, order: str, colors: int, packed: str) -> None:
    numbers = draw(bits if form == 1 else 7)
    data = encoded.tiff(numbers, bits, form=form, order=order, colors=colors, packed=packed)
    assert np.array_equal(decode_mask(data, "a"), numbers)


@pytest.mark.parametrize("colors", [0, 1])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("bits", "form"), [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (32, 1), (16, 2), (32, 2), (32, 3)]
)
def test_gray_tiff_that_pillow_unpacks(bits: int, form: int, order: str, colors: int) -> None:
    numbers = draw(bits if form == 1 else 7)
    data = encoded.tiff(numbers, bits, form=form, order=order, colors=colors, packed="lzw")
    unknown = {(16, 1): order == ">", (32, 3): False}.get((bits, form), bits > 8)  # to Pillow
    if (colors == 0 and unknown) or (order, bits, form) == (">", 32, 1):
        with pytest.raises(SourceError, match="cannot be read as a picture"):
            decode_mask(data, "a")
    else:
        assert np.array_equal(decode_mask(data, "a"), numbers)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_tiff(bits: int) -> None:
    numbers = draw(bits)
    for packed in ("plain", "deflate", "lzw"):
        data = encoded.tiff(numbers, bits, colors=3, packed=packed)
        assert np.array_equal(decode_mask(data, "a"), numbers)


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_tiff_with_reversed_bits(bits: int) -> None:
    numbers = draw(bits)
    assert np.array_equal(decode_mask(encoded.tiff(numbers, bits, reverse=True), "a"), numbers)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("packed", ["plain", "lzw"])
def test_a_mask_is_never_turned(turn: int, packed: str) -> None:
    numbers = draw(8)
    data = encoded.tiff(numbers, 8, packed=packed, more=((274, turn),))
    assert np.array_equal(decode_mask(data, "a"), numbers)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(
    ("bits", "palette"),
    [
        (1, [(0, 0, 0), (255, 255, 255)]),
        (1, [(255, 255, 255), (0, 0, 0)]),
        (1, [(9, 0, 0), (0, 0, 9)]),
        (4, grays(16)),
        (4, [(17 * k, 17 * k, 17 * k) for k in range(16)]),
        (4, [(0, 0, 0), (255, 255, 255)]),
        (8, [(0, 0, 0), (255, 255, 255)]),
        (8, grays(256)),
        (8, [(k, 255 - k, 7) for k in range(40)]),
    ],
)
def test_bitmaps(bits: int, palette: list[tuple[int, int, int]], down: bool) -> None:
    numbers = draw(bits) % len(palette)
    assert np.array_equal(decode_mask(encoded.bmp(numbers, bits, palette, down=down), "a"), numbers)


@pytest.mark.parametrize("kind", [2, 5])
@pytest.mark.parametrize("largest", [1, 3, 20, 255, 256, 4095, 65535])
def test_graymaps(kind: int, largest: int) -> None:
    numbers = draw(16) % (largest + 1)
    assert np.array_equal(decode_mask(encoded.netpbm(numbers, kind, largest), "a"), numbers)


@pytest.mark.parametrize("kind", [1, 4])
def test_bilevel_netpbm(kind: int) -> None:
    numbers = draw(1)
    assert np.array_equal(decode_mask(encoded.netpbm(numbers, kind), "a"), numbers)


def test_gif() -> None:
    numbers = draw(7)
    for palette in (np.random.default_rng(1).bytes(384), bytes(value for c in grays(128) for value in c)):
        assert np.array_equal(decode_mask(encoded.gif(numbers, palette), "a"), numbers)


@settings(max_examples=60)
@given(st.data())
def test_any_size_and_kind(data: st.DataObject) -> None:
    size = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 19)))
    kind = data.draw(st.sampled_from(["png", "tiff", "pgm", "bmp", "gif"]))
    bits = data.draw(
        st.sampled_from({"png": [1, 2, 4, 8, 16], "bmp": [1, 4, 8], "gif": [7]}.get(kind, [1, 4, 12, 16]))
    )
    numbers = draw(bits, data.draw(st.integers(0, 99)), size)
    written = {
        "png": lambda: encoded.png(numbers, bits, interlaced=bool(size[0] % 2)),
        "tiff": lambda: encoded.tiff(numbers, bits, order="<>"[size[1] % 2], colors=size[0] % 2),
        "pgm": lambda: encoded.netpbm(numbers, 2 + 3 * (size[0] % 2), 2**bits - 1),
        "bmp": lambda: encoded.bmp(numbers, bits, grays(2**bits)),
        "gif": lambda: encoded.gif(numbers, bytes(384)),
    }[kind]()
    assert np.array_equal(decode_mask(written, "a"), numbers)


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    numbers = draw(4)
    for name, data in (
        ("a.png", encoded.tiff(numbers, 4, colors=0)),
        ("a.tif", encoded.png(numbers, 4)),
        ("b.png", encoded.netpbm(numbers, 5, 20)),
        ("a.bmp", encoded.gif(numbers, bytes(384))),
        ("c.png", encoded.bmp(numbers, 4, grays(16))),
    ):
        (tmp_path / name).write_bytes(data)
        assert np.array_equal(read_mask(tmp_path / name), numbers)


def spoil(numbers: np.ndarray, value: float) -> np.ndarray:
    spoiled = numbers.astype(np.float64)
    spoiled[2, 3] = value
    return spoiled


TILES = ((322, 60_000), (323, 60_000), (324, 8), (325, 50))
REFUSED = {
    "half": (encoded.tiff(spoil(draw(4), 0.5), 32, form=3), "a mask holds whole numbers, this one 0.5"),
    "nan": (encoded.tiff(spoil(draw(4), np.nan), 32, form=3), "a mask holds whole numbers, this one nan"),
    "infinite": (encoded.tiff(spoil(draw(4), np.inf), 64, form=3), "from 0 to 65535, this one inf"),
    "large": (encoded.tiff(spoil(draw(4), 70_000), 32), "from 0 to 65535, this one 70000"),
    "largest": (encoded.tiff(spoil(draw(4), 2**31), 32), "this one 2147483648"),
    "below": (encoded.tiff(spoil(draw(4), -1), 32, form=2), "from 0 to 65535, this one -1"),
    "byte below": (encoded.tiff(spoil(draw(4), -3), 8, form=2), "from 0 to 65535, this one -3"),
    "packed below": (encoded.tiff(spoil(draw(4), -3), 8, form=2, packed="lzw"), "this one -3"),
    "jpeg in tiff": (encoded.tiff(draw(8), 8, more=((259, 7),)), "a mask that is packed as JPEG"),
    "pages": (encoded.tiff(draw(8), 8, pages=((),)), "this file holds several"),
    "frames": (encoded.gif(draw(7), bytes(384), frames=2), "this file holds several"),
    "colors": (encoded.png(np.zeros((2, 3, 3), int), 8, 2), "one channel of class ids, this one is RGB"),
    "alpha": (encoded.png(np.zeros((2, 3, 2), int), 8, 4), "one channel of class ids, this one is LA"),
    "pixmap": (encoded.netpbm(np.zeros((2, 3, 3), int), 6, 255), "one channel of class ids, this one is RGB"),
    "beyond": (encoded.netpbm(np.full((2, 3), 9), 2, 8), "6 numbers of at most 8"),
    "short": (encoded.netpbm(draw(8), 5, 255)[:-1], "55 numbers of at most 255"),
    "short bitmap": (encoded.bmp(draw(4), 4, grays(16))[:-1], "the bitmap is not whole"),
    "short tiff": (encoded.tiff(draw(8), 8)[:70], "cannot be read"),
    "short png": (encoded.png(draw(8), 8)[:60], "cannot be read as a picture"),
    "no pixels": (encoded.tiff(draw(8), 8, more=((257, 0),)), "it has no pixels"),
    "large tiles": (encoded.tiff(draw(8), 8, more=TILES), "tiles of 60000x60000"),
    "words": (b"P2\n2 2\n9\n1 2 three 4\n", "4 numbers of at most 9"),
    "huge": (b"P5\n99999 99999\n255\n", "larger than 100 megapixels"),
    "nothing": (b"", "cannot be read as a picture"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_mask_is_one_line(case: str) -> None:
    data, said = REFUSED[case]
    with pytest.raises(SourceError, match=said.replace("+", r"\+")) as told:
        decode_mask(data, "train/7")
    assert str(told.value).startswith("train/7: ")
    assert "\n" not in str(told.value)
    assert "BytesIO" not in str(told.value)


def test_smaller_copies_in_a_tiff_file_are_no_pages() -> None:
    numbers = draw(8)
    for packed in ("plain", "lzw"):
        data = encoded.tiff(numbers, 8, packed=packed, pages=(((254, 1),),))
        assert np.array_equal(decode_mask(data, "a"), numbers)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.png"])
def test_lossy_masks_are_refused(tmp_path: Path, name: str) -> None:
    kind = "WEBP" if name == "a.webp" else "JPEG"
    Image.fromarray(draw(4, size=(16, 16)).astype(np.uint8)).save(tmp_path / name, kind)
    with pytest.raises(SourceError, match=f"a mask that is {kind}; masks must keep exact numbers"):
        read_mask(tmp_path / name)
