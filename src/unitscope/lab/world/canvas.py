"""A canvas that paints a picture and its labels with the same stroke.

Shapes are drawn, far to near, into one index map at twice the size: every pixel holds the number of
the last stroke that covered it. Picture and labels are then both looked up from the table of strokes
(`shading`), so they cannot disagree.

Coordinates are hundredths of the picture's side: (0, 0) is the upper left corner, (100, 100) the lower
right. The camera looks at a level ground: a row below the horizon is a distance, and `meter` says how
many hundredths one meter spans there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from unitscope.lab.world.light import Chance, Color, Light, Number, mix, shade
from unitscope.lab.world.names import MATERIAL_IDS, OBJECT_IDS, OBJECT_PARTS, PART_IDS, TEXTURE_IDS

SUPERSAMPLING = 2
FOCAL = 100.0
Point = tuple[Number, Number]

FORMS = {
    "flat": (0.0, -0.04, 0.0, 0.0),
    "even": (0.0, 0.0, 0.0, 0.0),
    "ball": (0.16, -0.18, -0.1, -0.12),
    "pillar": (0.16, 0.0, -0.14, 0.0),
    "roll": (0.0, -0.16, 0.0, -0.08),
    "lifted": (0.04, -0.14, 0.0, 0.0),
}
"""How light falls on a shape: slope along x and y, curvature along x and y."""


def points_from(x: Number, y: Number, wide: Number, high: Number) -> Callable[..., list[Point]]:
    """Finds points in a frame of their own: `wide` to the right of (x, y) and `high` above it are 1.

    A negative `wide` mirrors them.

    >>> points_from(50, 80, 10, 20)((0, 0), (1, 0.5))
    [(50, 80), (60, 70.0)]
    """
    return lambda *points: [(x + right * wide, y - up * high) for right, up in points]


@dataclass(frozen=True, slots=True)
class Ink:
    """What a stroke leaves behind: four concept ids (0 is none) and how it looks."""

    labels: tuple[int, int, int, int]
    color: Color
    below: Color
    accent: Color
    form: tuple[Number, Number, Number, Number]
    grain: Number
    shine: Number
    ground: Number


@dataclass(frozen=True, slots=True)
class Veil:
    """A soft oval that changes what was painted before it: a shadow (toward black) or a glow."""

    center: Point
    radii: Point
    color: Color
    strength: Number
    before: int
    additive: bool


class Canvas:
    """Paints one picture."""

    def __init__(self, size: int, chance: Chance, light: Light) -> None:
        self.size, self.chance, self.light = size, chance, light
        self.horizon, self.eye, self.center = 40.0, 1.6, 50.0
        self.haze = 0.0
        self.side = size * SUPERSAMPLING
        self.scale = self.side / 100
        self.index = Image.new("I", (self.side, self.side))
        self._draw = ImageDraw.Draw(self.index)
        self.strokes: list[tuple[Number, ...]] = []
        self.veils: list[Veil] = []

    # camera

    def meter(self, y: Number) -> Number:
        """How long one meter is for things that stand on the ground at row y."""
        return max(y - self.horizon, 0.4) / self.eye

    def row(self, distance: Number) -> Number:
        """The row of the ground at that distance, in meters."""
        return self.horizon + self.eye * FOCAL / distance

    def project(self, right: Number, up: Number, distance: Number) -> Point:
        """Where a point in space is seen: meters right of the center, above the ground, and away."""
        meter = FOCAL / distance
        return (self.center + right * meter, self.horizon + (self.eye - up) * meter)

    def behind(self, x: Number, y: Number, meter: Number, depth: Number) -> Point:
        """The point `depth` meters behind (x, y), a point seen where a meter is `meter` long."""
        ratio = 1 / (1 + depth * meter / FOCAL)
        return (self.center + (x - self.center) * ratio, self.horizon + (y - self.horizon) * ratio)

    # inks and strokes

    def ink(
        self,
        name: str,
        part: str = "",
        material: str = "",
        color: Color = (128.0, 128.0, 128.0),
        *,
        below: Color | Number | None = None,
        texture: str = "",
        accent: Color | Number | None = None,
        form: str = "flat",
        grain: Number = 1.0,
        shine: Number = 0.0,
        ground: bool = False,
    ) -> Ink:
        """The ink of an object's part.

        `below` is the color at the lower end of each stroke, `accent` the second color of a texture; a
        number stands for a `shade` of `color`. `form` is one of `FORMS`, `grain` the strength of the
        material's grain, `shine` how much the color ignores the light (1 shines by itself), `ground` lays
        the grain flat on the ground.
        """
        if part and part not in OBJECT_PARTS[name]:
            raise ValueError(f"{name!r} has no part {part!r}; add it in names.py")
        labels = (
            OBJECT_IDS[name],
            PART_IDS[part] if part else 0,
            MATERIAL_IDS[material] if material else 0,
            TEXTURE_IDS[texture] if texture else 0,
        )
        low, second = _resolve(below, color), _resolve(accent, color)
        if self.haze:
            color = mix(color, self.light.horizon, self.haze)
            low = None if low is None else mix(low, self.light.horizon, self.haze)
        slope_x, slope_y, curve_x, curve_y = FORMS[form]
        shape = (slope_x * self.light.side, slope_y, curve_x, curve_y)
        return Ink(labels, color, low or color, second or color, shape, grain, shine, float(ground))

    def _stroke(self, ink: Ink, x0: Number, y0: Number, x1: Number, y1: Number) -> int:
        box = (x0, y0, 1 / max(x1 - x0, 0.01), 1 / max(y1 - y0, 0.01))
        looks = (*ink.color, *ink.below, *ink.accent, *ink.form, ink.grain, ink.shine, ink.ground)
        self.strokes.append((*ink.labels, *box, *looks))
        return len(self.strokes) - 1

    def box(self, ink: Ink, x0: Number, y0: Number, x1: Number, y1: Number) -> None:
        """An upright rectangle, at least one pixel wide and high."""
        x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        number, s = self._stroke(ink, x0, y0, x1, y1), self.scale
        left, top = round(x0 * s), round(y0 * s)
        self._draw.rectangle(
            (left, top, max(left, round(x1 * s) - 1), max(top, round(y1 * s) - 1)), fill=number
        )

    def bar(self, ink: Ink, x: Number, half: Number, top: Number, foot: Number) -> None:
        """An upright rectangle, `half` to either side of column x."""
        self.box(ink, x - half, top, x + half, foot)

    def oval(self, ink: Ink, x: Number, y: Number, rx: Number, ry: Number | None = None) -> None:
        """An ellipse around (x, y), or a circle."""
        ry = rx if ry is None else ry
        number, s = self._stroke(ink, x - rx, y - ry, x + rx, y + ry), self.scale
        self._draw.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=number)

    def dome(self, ink: Ink, x: Number, y: Number, rx: Number, ry: Number) -> None:
        """The upper half of an ellipse around (x, y)."""
        number, s = self._stroke(ink, x - rx, y - ry, x + rx, y), self.scale
        box = ((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s)
        self._draw.pieslice(box, 180, 360, fill=number)

    def polygon(self, ink: Ink, *points: Point) -> None:
        """A filled polygon."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        number, s = self._stroke(ink, min(xs), min(ys), max(xs), max(ys)), self.scale
        self._draw.polygon([(x * s, y * s) for x, y in points], fill=number)

    def taper(self, ink: Ink, x: Number, top: Point, foot: Point) -> None:
        """A trapezoid around column x: the row and half the width of its upper edge and of its lower edge."""
        (y0, a), (y1, b) = top, foot
        self.polygon(ink, (x - a, y0), (x + a, y0), (x + b, y1), (x - b, y1))

    def line(self, ink: Ink, points: Sequence[Point], width: Number) -> None:
        """A line through the points, at least one pixel wide."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        half, s = width / 2, self.scale
        number = self._stroke(ink, min(xs) - half, min(ys) - half, max(xs) + half, max(ys) + half)
        self._draw.line(
            [(x * s, y * s) for x, y in points], fill=number, width=max(1, round(width * s)), joint="curve"
        )

    def block(
        self, front: Ink, top: Ink, box: tuple[Number, Number, Number, Number], meter: Number, depth: Number
    ) -> None:
        """A box in space: its front (x0, y0, x1, y1), its upper face, and the side that is seen."""
        x0, y0, x1, y1 = box
        corners = [self.behind(x, y, meter, depth) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
        if x0 > self.center:
            self.polygon(front, (x0, y0), corners[0], corners[3], (x0, y1))
        if x1 < self.center:
            self.polygon(front, (x1, y0), corners[1], corners[2], (x1, y1))
        if corners[0][1] < y0:
            self.polygon(top, (x0, y0), (x1, y0), corners[1], corners[0])
        self.box(front, x0, y0, x1, y1)

    # light

    def shadow(self, x: Number, y: Number, rx: Number, ry: Number, strength: Number = 1.0) -> None:
        """A soft shadow on what has been painted so far, drawn out away from the light."""
        shift = -self.light.side * rx * 0.25
        dark = min(0.8, self.light.shadow * strength)
        self.veils.append(
            Veil((x + shift, y), (rx * 1.2, ry), (0.0, 0.0, 0.0), dark, len(self.strokes), False)
        )

    def glow(self, x: Number, y: Number, radius: Number, color: Color, strength: Number = 0.5) -> None:
        """Light added to what has been painted so far, fading with the distance."""
        self.veils.append(Veil((x, y), (radius, radius), color, strength, len(self.strokes), True))

    def table(self) -> np.ndarray:
        """float32[stroke, column]: labels, box, colors, form, grain, shine, ground of every stroke."""
        return np.array(self.strokes, np.float32)


def _resolve(other: Color | Number | None, color: Color) -> Color | None:
    """A second color of an ink: as given, or as a shade of its first."""
    return shade(color, other) if isinstance(other, float | int) else other
