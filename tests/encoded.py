"""Pictures written by the book, bit by bit: PNG, TIFF, BMP, GIF, Netpbm files whose every number is known."""

import struct
import zlib

import numpy as np

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def pack(numbers: np.ndarray, bits: int, multiple: int = 8) -> bytes:
    """A row of numbers of so many bits, the highest first, filled up to a multiple of bits."""
    text = "".join(format(int(number), f"0{bits}b") for number in numbers)
    text += "0" * (-len(text) % multiple)
    return bytes(int(text[k : k + 8], 2) for k in range(0, len(text), 8))


def png(
    numbers: np.ndarray,
    bits: int,
    color: int = 0,
    *,
    palette: bytes = b"",
    clear: bytes = b"",
    interlaced: bool = False,
    late: bytes = b"",
) -> bytes:
    """[y, x] or [y, x, channel] as PNG of a color type, with the chunks PLTE and tRNS, or eXIf at the end."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    passes = [numbers[y::high, x::wide] for y, x, high, wide in ADAM7] if interlaced else [numbers]
    rows = [b"\0" + pack(row.reshape(-1), bits) for part in passes if part.size for row in part]
    head = struct.pack(">IIBBBBB", numbers.shape[1], numbers.shape[0], bits, color, 0, 0, interlaced)
    chunks = [(b"IHDR", head), (b"PLTE", palette), (b"tRNS", clear), (b"IDAT", zlib.compress(b"".join(rows)))]
    chunks += [(b"eXIf", late)]
    body = b"".join(chunk(kind, data) for kind, data in chunks if data)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff(
    numbers: np.ndarray,
    bits: int,
    *,
    order: str = "<",
    colors: int = 1,
    packed: str = "plain",
    form: int = 1,
    reverse: bool = False,
    more: tuple[tuple[int, int], ...] = (),
    pages: tuple[tuple[tuple[int, int], ...], ...] = (),
) -> bytes:
    """[y, x] as a TIFF file of one strip; `more` and `pages` are tags of its page and of others after it."""
    if bits in (8, 16, 32, 64):
        kind = {1: "u", 2: "i", 3: "f"}[form]
        data = numbers.astype(f"{order}{kind}{bits // 8}").tobytes()
    else:
        data = b"".join(pack(row, bits) for row in numbers)
    data = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data) if reverse else data
    way, data = {"plain": (1, data), "deflate": (8, zlib.compress(data)), "lzw": (5, lzw(data))}[packed]
    tags = {256: numbers.shape[1], 257: numbers.shape[0], 258: bits, 259: way, 262: colors, 266: 1 + reverse}
    tags |= {273: 8, 277: 1, 278: numbers.shape[0], 279: len(data), 339: form, **dict(more)}
    if colors == 3:
        tags[320] = -1
    found = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data) + len(data) % 2)
    found += data + b"\0" * (len(data) % 2)
    for number, page in enumerate([tags, *(tags | dict(page) for page in pages)]):
        start, after = len(found), b""
        end = start + 2 + 12 * len(page) + 4
        found += struct.pack(f"{order}H", len(page))
        for tag, value in sorted(page.items()):
            if value == -1:  # the color map
                found += struct.pack(f"{order}HHII", tag, 3, 3 << bits, end)
                after = struct.pack(f"{order}{3 << bits}H", *((7 * k) % 65536 for k in range(3 << bits)))
            else:
                inside = struct.pack(f"{order}I", value)
                found += struct.pack(f"{order}HHI", tag, 4, 1) + inside
        last = number == len(pages)
        found += struct.pack(f"{order}I", 0 if last else end + len(after)) + after
    return found


def lzw(data: bytes) -> bytes:
    """LZW as TIFF has it, without ever using its table: every byte by its own code."""
    codes, text = [256], ""
    for place, byte in enumerate(data):
        codes += [byte, 256] if place % 200 == 199 else [byte]
    text = "".join(format(code, "09b") for code in [*codes, 257])
    text += "0" * (-len(text) % 8)
    return bytes(int(text[k : k + 8], 2) for k in range(0, len(text), 8))


def bmp(numbers: np.ndarray, bits: int, palette: list[tuple[int, int, int]], *, down: bool = False) -> bytes:
    """[y, x] as a bitmap with a palette of RGB, its rows from below or `down`."""
    rows = b"".join(pack(row, bits, 32) for row in (numbers if down else numbers[::-1]))
    colors = b"".join(bytes((blue, green, red, 0)) for red, green, blue in palette)
    start, (height, width) = 54 + len(colors), numbers.shape
    head = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start)
    sizes = 40, width, -height if down else height, 1, bits, 0, len(rows), 0, 0, len(palette), 0
    return head + struct.pack("<IiiHHIIiiII", *sizes) + colors + rows


def netpbm(numbers: np.ndarray, kind: int, largest: int = 1) -> bytes:
    """[y, x] or [y, x, 3] as P1 to P6, with a comment in its head."""
    head = f"P{kind}\n# made\n{numbers.shape[1]} {numbers.shape[0]}\n".encode()
    head += b"" if kind in (1, 4) else f"{largest}\n".encode()
    rows = numbers.reshape(len(numbers), -1)
    if kind == 4:
        return head + b"".join(pack(row, 1) for row in rows)
    if kind in (1, 2, 3):
        return head + "\n".join(" ".join(map(str, row.tolist())) for row in rows).encode() + b"\n"
    return head + rows.astype("u1" if largest < 256 else ">u2").tobytes()


def gif(numbers: np.ndarray, palette: bytes, *, frames: int = 1) -> bytes:
    """[y, x] of numbers below 128 as GIF, each by its own code; frames after the first are of one color."""
    height, width = numbers.shape
    found = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80 | 6, 0, 0) + palette.ljust(384, b"\0")
    for number in range(frames):
        shown = numbers.reshape(-1).tolist() if number == 0 else [0] * numbers.size
        parts = [bytes([128, *shown[k : k + 100]]) for k in range(0, len(shown), 100)]  # codes of 8 bits
        data = b"".join(parts) + bytes([129])
        blocks = [data[k : k + 255] for k in range(0, len(data), 255)]
        found += b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x07"
        found += b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    return found + b";"
