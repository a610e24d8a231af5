"""Pictures from outside: what is refused, in one line; how they are cut; that none is inverted twice."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from inverted import SIDE, small_generator, some_picture
from unitscope.errors import UsageError
from unitscope.interventions import open_photo
from unitscope.interventions.inversion import Steps
from unitscope.interventions.painting import photos
from unitscope.interventions.painting.photos import MOST_BYTES, fit_photo, read_photo


def encode(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(width, height):
    """A PNG file whose header promises that many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cannot be read as a picture"),
        (b"just some text, renamed .png", "cannot be read as a picture"),
        (encode(some_picture())[:200], "cannot be read as a picture"),
        (bomb(7100, 7100), "has 50 megapixels; wanted 50 at most"),
        (bomb(60_000, 60_000), "megapixels"),
        (encode(np.zeros((8, 40, 3), np.uint8)), "40 x 8 pixels; wanted 16 or more"),
        (b"x" * (MOST_BYTES + 1), "20 MB; wanted 20 at most"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot be read as a picture"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(data, said):
    with pytest.raises(UsageError, match=said) as told:
        fit_photo(data, (SIDE, SIDE), "it.png")
    assert str(told.value).startswith("it.png")
    assert "\n" not in str(told.value)
    assert "take it out of the set" not in str(told.value)


@pytest.mark.parametrize("size", [(64, 96), (97, 50), (32, 32), (20, 33)])
def test_the_middle_is_cut_out_and_resized(size):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    side = min(size)
    top, left = (size[0] - side) / 2, (size[1] - side) / 2
    box = (left, top, left + side, top + side)
    slow = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)
    assert np.array_equal(fit_photo(encode(picture), (SIDE, SIDE)), np.asarray(slow))


def test_a_picture_of_the_right_size_stays_as_it_is():
    assert np.array_equal(fit_photo(encode(some_picture()), (SIDE, SIDE)), some_picture())


def test_pictures_are_turned_upright_and_put_on_white():
    picture = some_picture()
    exif = Image.Exif()
    exif[274] = 6
    turned = fit_photo(encode(picture, exif=exif), (SIDE, SIDE))
    assert np.array_equal(turned, np.rot90(picture, -1))
    clear = np.dstack([picture, np.zeros((SIDE, SIDE), np.uint8)])
    assert (fit_photo(encode(clear), (SIDE, SIDE)) == 255).all()
    gray = fit_photo(encode(picture[..., 0]), (SIDE, SIDE))
    assert np.array_equal(gray, picture[..., :1].repeat(3, 2))


def test_a_picture_is_inverted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "invert_picture", counted := Counted(photos.invert_picture))
    generator, file, kept = small_generator(), tmp_path / "edge.png", tmp_path / "kept"
    file.write_bytes(encode(some_picture()))
    first = open_photo(file, generator, kept=kept)
    again = open_photo(file.read_bytes(), generator, kept=kept)
    assert (counted.calls, first.key, str(first).splitlines()[1:]) == (
        1,
        again.key,
        str(again).splitlines()[1:],
    )
    assert (first.name, again.name) == ("edge.png", "the picture")
    open_photo(file, generator, layer="late", kept=kept)
    assert counted.calls == 2
    for path in kept.iterdir():
        path.write_bytes(b"damaged")
    assert open_photo(file, generator, kept=kept).key == first.key
    assert counted.calls == 3
    open_photo(file, generator, kept=kept)
    assert counted.calls == 3
    open_photo(file, generator)  # in the cache
    open_photo(file, generator)
    assert counted.calls == 4
    nowhere = tmp_path / "a file"
    nowhere.write_text("")
    assert open_photo(file, generator, kept=nowhere).key == first.key


class Counted:
    """Inverts in few steps, and counts how often."""

    def __init__(self, inner):
        self.inner, self.calls = inner, 0

    def __call__(self, *given, **options):
        self.calls += 1
        return self.inner(*given, **options, steps=Steps(1, 1, 1))


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        read_photo(tmp_path / "none.png")
    with pytest.raises(UsageError, match="cannot be read"):
        read_photo(tmp_path)
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(UsageError, match="20 MB; wanted 20 at most"):
        read_photo(large)
