"""From the strokes of a canvas to its picture and its labels."""

import numpy as np
from jaxtyping import Float32, Int32, UInt16

from unitscope.axes import Pixels
from unitscope.lab.world.canvas import SUPERSAMPLING, Canvas, Veil
from unitscope.lab.world.light import Number
from unitscope.lab.world.materials import grain_bank, pattern_bank
from unitscope.lab.world.names import FIRST_ID

Index = Int32[np.ndarray, "side side"]

_BOX, _COLOR, _BELOW, _ACCENT, _FORM, _GRAIN, _SHINE, _GROUND = 4, 8, 11, 14, 17, 21, 22, 23
COLORS_FROM = _COLOR
"""The first of nine columns of a stroke's row: its color, the one below, and the second of its texture."""
LOOK_COLUMNS = np.array([2, 3, *range(_COLOR, _FORM), _GRAIN, _SHINE])
"""The columns of a stroke's row that say how its surface looks: material, texture, colors, grain, shine."""


def read_index(canvas: Canvas) -> Int32[np.ndarray, "row column"]:
    """The number of the stroke that shows at every pixel of the picture."""
    return np.asarray(canvas.index)[::SUPERSAMPLING, ::SUPERSAMPLING]


def read_labels(canvas: Canvas) -> UInt16[np.ndarray, "4 row column"]:
    """The object, part, material and texture ids of every pixel of the picture."""
    return np.ascontiguousarray(canvas.table()[:, :4].T.astype(np.uint16)[:, read_index(canvas)])


def render(canvas: Canvas) -> Pixels:
    """The picture: colors, textures, grain and form of every stroke, then light, shadows and glows."""
    index, table = np.asarray(canvas.index), canvas.table()
    side = canvas.side
    place = (np.arange(side, dtype=np.float32) + 0.5) * np.float32(1 / canvas.scale)

    def column(number: int) -> Float32[np.ndarray, "side side"]:
        return np.ascontiguousarray(table[:, number]).take(index)

    u = (place[None, :] - column(_BOX)) * column(_BOX + 2)
    v = (place[:, None] - column(_BOX + 1)) * column(_BOX + 3)
    brightness, share = _form(u, v, [column(_FORM + k) for k in range(4)]), np.clip(v, 0, 1)
    rows, columns = _lay(canvas, index, table)
    grains = np.where(table[:, 2] > 0, table[:, 2] - (FIRST_ID["material"] - 1), 0).astype(np.int32)
    flat = (grains.take(index) * side + rows) * side + columns
    brightness *= 1 + grain_bank(side).ravel().take(flat) * column(_GRAIN)
    picture = np.empty((side, side, 3), np.float32)
    shine = column(_SHINE)
    for k, ambient in enumerate(canvas.light.ambient):
        color = column(_COLOR + k)
        color += (column(_BELOW + k) - color) * share
        picture[:, :, k] = color * brightness * (ambient + (1 - ambient) * shine)
    _weave(picture, index, table, rows, columns, brightness, canvas)
    for veil in canvas.veils:
        _apply(picture, index, veil, canvas.scale)
    half = picture.reshape(canvas.size, SUPERSAMPLING, canvas.size, SUPERSAMPLING, 3)
    mean = (half[:, 0, :, 0] + half[:, 0, :, 1] + half[:, 1, :, 0] + half[:, 1, :, 1]) * np.float32(0.25)
    result: np.ndarray = np.clip(mean + 0.5, 0, 255).astype(np.uint8)
    return result


def _form(
    u: Float32[np.ndarray, "side side"], v: Float32[np.ndarray, "side side"], form: list[np.ndarray]
) -> Float32[np.ndarray, "side side"]:
    x, y = u * 2 - 1, v * 2 - 1
    result: np.ndarray = 1 + x * (form[0] + x * form[2]) + y * (form[1] + y * form[3])
    return result


def _lay(canvas: Canvas, index: Index, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in the banks each pixel reads: upright surfaces as seen, the ground in perspective."""
    side, scale = canvas.side, canvas.scale
    number = np.arange(side, dtype=np.int32)
    depth = np.maximum(np.abs(number / scale - canvas.horizon), 0.8)
    away = (1500 / depth * scale).astype(np.int32)
    wide = ((number[None, :] - canvas.center * scale) * (45 / depth[:, None])).astype(np.int32)
    ground = table[:, _GROUND].astype(bool).take(index)
    # strokes of one material would share their grain; each reads from its own place
    shift = (np.arange(len(table)) * 97 % side).astype(np.int32).take(index)
    rows = np.where(ground, away[:, None], number[:, None] + shift)
    columns = np.where(ground, wide, number[None, :] + shift)
    return rows % side, columns % side


def _weave(
    picture: np.ndarray,
    index: Index,
    table: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    brightness: np.ndarray,
    canvas: Canvas,
) -> None:
    """Lays the second color of textured strokes over the first."""
    kinds = np.where(table[:, 3] > 0, table[:, 3] - (FIRST_ID["texture"] - 1), 0).astype(np.int32)
    if not kinds.any():
        return
    at = np.nonzero(kinds.take(index))
    stroke = index[at]
    second = pattern_bank(canvas.side)[kinds[stroke], rows[at], columns[at]][:, None]
    light = brightness[at][:, None] * np.array(canvas.light.ambient, np.float32)
    accent = table[stroke, _ACCENT : _ACCENT + 3] * light
    picture[at] += (accent - picture[at]) * second


def _apply(picture: np.ndarray, index: Index, veil: Veil, scale: Number) -> None:
    """Darkens or lights what was painted before the veil, inside its oval."""
    (x, y), (rx, ry) = veil.center, veil.radii
    side = len(index)
    left, right = max(0, int((x - rx) * scale)), min(side, int((x + rx) * scale) + 1)
    top, bottom = max(0, int((y - ry) * scale)), min(side, int((y + ry) * scale) + 1)
    if left >= right or top >= bottom:
        return
    across = ((np.arange(left, right, dtype=np.float32) + 0.5) / scale - x) / rx
    down = ((np.arange(top, bottom, dtype=np.float32) + 0.5) / scale - y) / ry
    fade = np.maximum(0, 1 - across[None, :] ** 2 - down[:, None] ** 2)
    amount = fade * (fade if veil.additive else 1) * np.float32(veil.strength)
    amount *= index[top:bottom, left:right] < veil.before
    region = picture[top:bottom, left:right]
    if veil.additive:
        region += amount[:, :, None] * np.array(veil.color, np.float32)
    else:
        region *= 1 - amount[:, :, None]
