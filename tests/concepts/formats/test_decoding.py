"""Pictures as RGB, where a file leaves a choice: range of numbers, transparency, direction, frames."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import encoded
from unitscope.concepts.formats.stored.decoding import (
    FIRST,
    KEPT,
    KEPT_BY_LABELS,
    TURNED,
    TURNED_BY_LABELS,
    Decoding,
    read_decoding,
    turn_back,
    turn_upright,
)
from unitscope.concepts.formats.stored.pictures import decode_image, read_image, read_turned
from unitscope.errors import SourceError, UsageError

FULL, TWELVE = Decoding(values="full"), Decoding(values=(0.0, 4095.0))


def draw(largest: int, seed: int = 0, size: tuple[int, ...] = (6, 9)) -> np.ndarray:
    numbers = np.random.default_rng(seed).integers(0, largest + 1, size)
    numbers.reshape(-1)[:2] = 0, largest
    return numbers


def gray(numbers: np.ndarray) -> np.ndarray:
    return np.repeat(numbers.astype(np.uint8)[..., None], 3, 2)


def scale(numbers: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.array([[round((float(x) - low) / (high - low) * 255) for x in row] for row in numbers])


SIXTEEN = {
    "png": lambda numbers: encoded.png(numbers, 16),
    "tiff": lambda numbers: encoded.tiff(numbers, 16),
    "tiff, big end first": lambda numbers: encoded.tiff(numbers, 16, order=">"),
    "tiff, packed": lambda numbers: encoded.tiff(numbers, 16, packed="lzw"),
    "tiff, packed, big end first": lambda numbers: encoded.tiff(numbers, 16, order=">", packed="lzw"),
    "pgm": lambda numbers: encoded.netpbm(numbers, 5, 65535),
    "plain pgm": lambda numbers: encoded.netpbm(numbers, 2, 65535),
}


@pytest.mark.parametrize("kind", SIXTEEN)
def test_gray_of_16_bits(kind: str) -> None:
    write = SIXTEEN[kind]
    for largest in (4096, 65535):
        numbers = draw(largest)
        assert np.array_equal(decode_image(write(numbers), "a"), gray(numbers >> 8))
        assert np.array_equal(decode_image(write(numbers), "a", FULL), gray(numbers >> 8))
    numbers = draw(4095)
    with pytest.raises(SourceError, match=r"a: it has 16 bits, whose values go from 0 to 4095.*range=0-4095"):
        decode_image(write(numbers), "a")
    assert np.array_equal(decode_image(write(numbers), "a", FULL), gray(numbers >> 8))
    assert np.array_equal(decode_image(write(numbers), "a", TWELVE), gray(scale(numbers, 0, 4095)))
    with pytest.raises(SourceError, match=r"a: it holds 4096, outside of 0 to 4095; widen range="):
        decode_image(write(draw(4096)), "a", TWELVE)
    black = np.zeros((6, 9), int)
    assert not decode_image(write(black), "a").any()


COLORED = {
    "tiff": lambda numbers: save_tiff(numbers, "plain"),
    "tiff, packed": lambda numbers: save_tiff(numbers, "lzw"),
    "tiff, big end first": lambda numbers: save_tiff(numbers, "plain", ">"),
    "tiff, packed, big end first": lambda numbers: save_tiff(numbers, "lzw", ">"),
    "png": lambda numbers: encoded.png(numbers, 16, 2),
    "ppm": lambda numbers: encoded.netpbm(numbers, 6, 65535),
}


def save_tiff(numbers: np.ndarray, packed: str, order: str = "<") -> bytes:
    """16 bits of red, green and blue: told so by the tags of a file of one band three times as wide."""
    wide = numbers.reshape(len(numbers), -1)
    colored = ((256, numbers.shape[1]), (262, 2), (277, 3))
    return encoded.tiff(wide, 16, order=order, packed=packed, more=colored)


@pytest.mark.parametrize("kind", COLORED)
def test_colors_of_16_bits(kind: str) -> None:
    write, size = COLORED[kind], (6, 9, 3)
    numbers = draw(65535, size=size)
    assert np.array_equal(decode_image(write(numbers), "a"), numbers >> 8)
    for largest in (4095, 255, 1):
        numbers = draw(largest, size=size)
        with pytest.raises(SourceError, match=f"a: it has 16 bits, whose values go from 0 to {largest}"):
            decode_image(write(numbers), "a")
        assert np.array_equal(decode_image(write(numbers), "a", FULL), numbers >> 8)
        wanted = np.stack([scale(numbers[..., k], 0, 4095) for k in range(3)], 2)
        assert np.array_equal(decode_image(write(numbers), "a", TWELVE), wanted)


def test_alpha_of_16_bits_is_not_scaled() -> None:
    numbers = draw(4095, size=(6, 9, 4))
    numbers[..., 3] = 65535
    found = decode_image(encoded.png(numbers, 16, 6), "a", TWELVE)
    assert np.array_equal(found[..., 1], scale(numbers[..., 1], 0, 4095))
    with pytest.raises(SourceError, match="beside alpha cannot be scaled"):
        decode_image(encoded.png(numbers[..., 2:], 16, 4), "a", TWELVE)


@pytest.mark.parametrize("packed", ["plain", "deflate", "lzw"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_real_and_32_bit_numbers(order: str, packed: str) -> None:
    real = np.random.default_rng(0).uniform(-2, 3, (6, 9)).astype(np.float32)
    data = encoded.tiff(real, 32, form=3, order=order, packed=packed)
    with pytest.raises(
        SourceError, match=r"a: it has real numbers, whose values go from -1\..* to 2\..*range=LOW"
    ):
        decode_image(data, "a")
    with pytest.raises(SourceError, match=r"outside of 0 to 1; widen range="):
        decode_image(data, "a", FULL)
    found = decode_image(data, "a", Decoding(values=(-2.0, 3.0)))
    assert np.array_equal(found, gray(scale(real, -2, 3)))
    for bits in (16, 32):
        whole = draw(9000) - 4000
        data = encoded.tiff(whole, bits, form=2, order=order, packed=packed)
        for decoding in (Decoding(), FULL):
            with pytest.raises(SourceError, match=r"a: it has ..-bit numbers.* from -4000 to 5000.*LOW-HIGH"):
                decode_image(data, "a", decoding)
        found = decode_image(data, "a", Decoding(values=(-4000.0, 5000.0)))
        assert np.array_equal(found, gray(scale(whole, -4000, 5000)))


def test_what_is_not_finite_is_told() -> None:
    real = np.full((4, 4), np.nan)
    with pytest.raises(SourceError, match="not finite"):
        decode_image(encoded.tiff(real, 32, form=3), "a", Decoding(values=(0.0, 1.0)))


def test_ranges_that_a_file_states_are_taken() -> None:
    numbers = draw(4095)
    for order in "<>":
        data = encoded.tiff(numbers, 12, order=order)
        assert np.array_equal(decode_image(data, "a"), gray(scale(numbers, 0, 4095)))
    assert np.array_equal(decode_image(encoded.netpbm(numbers, 5, 4095), "a"), gray(scale(numbers, 0, 4095)))
    for bits in (1, 2, 4):
        few = draw(2**bits - 1)
        assert np.array_equal(decode_image(encoded.png(few, bits), "a"), gray(few * (255 // (2**bits - 1))))
    for largest in (1, 20, 255):
        few = draw(largest)
        assert np.array_equal(
            decode_image(encoded.netpbm(few, 2, largest), "a"), gray(scale(few, 0, largest))
        )


@pytest.mark.parametrize("bits", [1, 4, 8, 12, 16])
def test_white_is_zero_where_the_file_says_so(bits: int) -> None:
    numbers = draw(2**bits - 1)
    wanted = numbers >> 8 if bits == 16 else scale(numbers, 0, 2**bits - 1)
    for packed in ("plain", "lzw") if bits != 12 else ("plain",):
        found = decode_image(encoded.tiff(numbers, bits, colors=0, packed=packed), "a")
        assert np.array_equal(found, gray(255 - wanted))
    if bits == 1:
        assert np.array_equal(decode_image(encoded.netpbm(numbers, 4), "a"), gray(255 - 255 * numbers))


def put(color: np.ndarray, alpha: float, behind: tuple[int, int, int]) -> list[int]:
    """One pixel on a background, by the definition."""
    return [
        int(np.floor((int(c) * alpha + b * (255 - alpha)) / 255 + 0.5))
        for c, b in zip(color, behind, strict=True)
    ]


@pytest.mark.parametrize("behind", [(255, 255, 255), (0, 0, 0), (51, 102, 153)])
def test_alpha_is_put_on_the_background(behind: tuple[int, int, int]) -> None:
    pixels, decoding = draw(255, size=(5, 7, 4)), Decoding(background=behind)
    found = decode_image(encoded.png(pixels, 8, 6), "a", decoding)
    assert found.tolist() == [[put(pixel[:3], pixel[3], behind) for pixel in row] for row in pixels]
    shades = pixels[..., :2]
    found = decode_image(encoded.png(shades, 8, 4), "a", decoding)
    assert found.tolist() == [[put([pixel[0]] * 3, pixel[1], behind) for pixel in row] for row in shades]


def test_transparent_colors_of_palettes_and_keys() -> None:
    numbers = np.array([[0, 1], [2, 1]])
    palette, clear = bytes(range(10, 19)), bytes([0, 128])
    alpha = [0, 128, 255]
    wanted = [
        [put(np.frombuffer(palette, np.uint8)[3 * k : 3 * k + 3], alpha[k], (255,) * 3) for k in row]
        for row in numbers
    ]
    assert decode_image(encoded.png(numbers, 8, 3, palette=palette, clear=clear), "a").tolist() == wanted
    shades = decode_image(encoded.png(numbers, 8, 0, clear=b"\0\2"), "a")
    assert shades[..., 0].tolist() == [[0, 1], [255, 1]]
    colors = np.stack([numbers] * 3, 2)
    found = decode_image(
        encoded.png(colors, 8, 2, clear=b"\0\1\0\1\0\1"), "a", Decoding(background=(9, 8, 7))
    )
    assert found[0].tolist() == [[0, 0, 0], [9, 8, 7]]


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr", "LA", "PA", "RGBA"])
def test_opaque_pictures_stay_what_they_were(tmp_path: Path, mode: str) -> None:
    pixels = draw(255, size=(6, 9, 3)).astype(np.uint8)
    picture = Image.fromarray(pixels).convert(mode)
    kind = "a.tif" if mode in ("CMYK", "YCbCr", "PA") else "a.png"
    picture.save(tmp_path / kind)
    with Image.open(tmp_path / kind) as again:
        wanted = np.asarray(again.convert("RGB"))
    assert np.array_equal(read_image(tmp_path / kind), wanted)


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPEG", "png", "gif", "ppm", "bmp", "webp", "tif"])
def test_content_decides_and_not_the_name(tmp_path: Path, ending: str) -> None:
    pixels = np.full((8, 8, 3), 90, np.uint8)
    for kind in ("JPEG", "PNG", "TIFF", "PPM", "BMP", "GIF", "WEBP"):
        Image.fromarray(pixels).save(tmp_path / f"a.{ending}", kind)
        found = read_image(tmp_path / f"a.{ending}")
        assert np.abs(found.astype(int) - pixels).max() <= (3 if kind == "WEBP" else 0)


@pytest.mark.parametrize("transform", [0, 2])
def test_cmyk_and_ycck_photographs(tmp_path: Path, transform: int) -> None:
    ink = (40, 100, 160, 30)
    Image.new("CMYK", (16, 16), ink).save(tmp_path / "a.jpg", quality=100)
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    data[data.index(b"Adobe") + 11] = transform
    found = decode_image(bytes(data), "a").astype(int)
    stored = [255 - one for one in ink]  # as Adobe's programs store them
    if transform == 0:
        wanted = [stored[k] * stored[3] / 255 for k in range(3)]
    else:
        luma, blue, red = stored[0], stored[1] - 128, stored[2] - 128
        rgb = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
        wanted = [(255 - min(max(one, 0), 255)) * stored[3] / 255 for one in rgb]
    assert np.abs(found - np.array(wanted)).max() <= 3


def test_bitmaps_of_two_colors_in_eight_bits() -> None:
    numbers = draw(1)
    data = encoded.bmp(numbers, 8, [(0, 0, 0), (255, 255, 255)])
    assert np.array_equal(decode_image(data, "a"), gray(255 * numbers))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "late PNG"])
def test_orientations(tmp_path: Path, kind: str, orientation: int) -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16], pixels[8:, :16], pixels[:8, 16:] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.pic"
    if kind == "late PNG":
        path.write_bytes(encoded.png(pixels, 8, 2, late=exif.tobytes().removeprefix(b"Exif\0\0")))
    else:
        quality = (
            {"quality": 95, "subsampling": 0}
            if kind == "JPEG"
            else {"lossless": True}
            if kind == "WEBP"
            else {}
        )
        Image.fromarray(pixels).save(path, kind, exif=exif, **quality)
    with Image.open(path) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened)).astype(int)

    def near(found: np.ndarray, wanted: np.ndarray) -> bool:
        return found.shape == wanted.shape and bool((np.abs(found.astype(int) - wanted) < 30).mean() > 0.97)

    assert near(read_image(path), pixels)
    turning, said = Decoding(exif="upright"), orientation > 1
    assert near(read_turned(path, turning)[0], upright)
    assert read_turned(path, turning)[1] == (TURNED,) * said
    assert near(read_turned(path, Decoding(exif="stored"))[0], pixels)
    assert read_turned(path, Decoding(exif="stored"))[1] == (KEPT,) * said
    if orientation >= 5:  # the size of labels decides, whatever the option
        for decoding in (turning, Decoding(exif="stored")):
            image, done = read_turned(path, decoding, (32, 16))
            assert near(image, upright)
            assert done == (TURNED_BY_LABELS,)
            image, done = read_turned(path, decoding, (16, 32))
            assert near(image, pixels)
            assert done == (KEPT_BY_LABELS,)
    assert near(read_turned(path, Decoding(), (32, 16))[0], pixels)  # of published sets, by no means
    assert read_turned(path, Decoding(), (32, 16))[1] == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_is_undone(orientation: int) -> None:
    numbers = np.arange(12).reshape(3, 4)
    assert np.array_equal(turn_back(turn_upright(numbers, orientation), orientation), numbers)


def test_a_damaged_exif_is_no_reason_to_lose_a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\xff\xff", dpi=(72, 72))
    assert read_turned(tmp_path / "a.jpg", Decoding(exif="upright"))[0].shape == (4, 8, 3)


def test_of_several_frames_the_first_is_taken_and_that_is_said(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (250, 100, 10)]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        path = tmp_path / f"a.{kind}"
        lossless = {"lossless": True} if kind == "WEBP" else {}
        frames[0].save(path, kind, save_all=True, append_images=frames[1:], **lossless)
        image, done = read_turned(path, Decoding())
        assert image[0, 0].tolist() == [250, 0, 0]
        assert done == (FIRST,)
        frames[0].save(path, kind)
        assert read_turned(path, Decoding())[1] == ()


def test_options_are_read() -> None:
    assert read_decoding({}) == Decoding("upright", (255, 255, 255), None)
    assert read_decoding({"exif": "stored", "background": "black", "range": "full"}) == Decoding(
        "stored", (0, 0, 0), "full"
    )
    assert read_decoding({"range": "-1.5-2e3"}).values == (-1.5, 2000.0)


UNFIT = {"exif": ["never", ""], "background": ["red", "#fff"]}
UNFIT |= {"range": ["4095", "9-1", "0-", "1-1", "0-1e999", ""]}


@pytest.mark.parametrize(("option", "value"), [(key, one) for key, values in UNFIT.items() for one in values])
def test_options_that_do_not_fit_are_wrong_usage(option: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{option}='{value}': wanted"):
        read_decoding({option: value})
