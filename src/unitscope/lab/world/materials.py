"""What surfaces are made of: palettes of colors, the grain of materials, the patterns of textures."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float32

from unitscope.lab.world.light import Color, Number
from unitscope.lab.world.names import MATERIALS, TEXTURES

WOOD: tuple[Color, ...] = (
    (139, 94, 60),
    (168, 118, 76),
    (104, 70, 48),
    (196, 152, 106),
    (122, 82, 58),
    (86, 62, 50),
)
PAINTED: tuple[Color, ...] = (
    (236, 233, 226),
    (92, 120, 146),
    (170, 78, 66),
    (116, 142, 112),
    (222, 196, 140),
    (66, 72, 84),
)
BRICK: tuple[Color, ...] = ((168, 84, 66), (148, 72, 60), (186, 118, 88), (122, 70, 64), (196, 146, 116))
PLASTER: tuple[Color, ...] = (
    (238, 228, 208),
    (226, 196, 150),
    (214, 164, 138),
    (182, 198, 208),
    (206, 212, 188),
    (236, 214, 176),
    (196, 186, 204),
    (222, 222, 224),
)
WALLS: tuple[Color, ...] = (
    *((150, 176, 180), (176, 150, 132), (120, 140, 150), (140, 120, 130), (92, 110, 96), (176, 92, 84)),
    *((84, 98, 128), (206, 160, 74), (108, 84, 104), (72, 76, 82), (146, 168, 120), (120, 92, 72)),
)
STONE: tuple[Color, ...] = ((150, 148, 144), (124, 122, 124), (172, 162, 148), (106, 110, 118))
ROOF: tuple[Color, ...] = ((158, 74, 56), (112, 64, 56), (82, 86, 98), (136, 92, 66), (74, 96, 106))
FOLIAGE: tuple[Color, ...] = (
    (70, 124, 58),
    (92, 148, 66),
    (50, 100, 62),
    (118, 152, 70),
    (44, 88, 68),
    (82, 118, 48),
)
AUTUMN: tuple[Color, ...] = ((204, 128, 48), (186, 84, 44), (214, 170, 66), (150, 66, 52))
LAWN: tuple[Color, ...] = ((104, 156, 74), (126, 164, 82), (86, 136, 72), (158, 164, 90), (142, 176, 96))
SAND: tuple[Color, ...] = ((232, 210, 164), (220, 194, 146), (240, 224, 188), (206, 184, 148))
WATER: tuple[Color, ...] = ((46, 108, 146), (52, 132, 150), (38, 88, 126), (70, 140, 168), (60, 112, 118))
ASPHALT: tuple[Color, ...] = ((92, 94, 100), (108, 108, 110), (78, 82, 90))
PAVING: tuple[Color, ...] = ((176, 172, 166), (190, 180, 166), (158, 160, 164))
VIVID: tuple[Color, ...] = (
    (206, 56, 52),
    (232, 142, 44),
    (240, 202, 72),
    (62, 140, 88),
    (48, 104, 176),
    (126, 76, 150),
    (226, 124, 152),
    (40, 160, 166),
)
CLOTH: tuple[Color, ...] = (
    *VIVID,
    (238, 236, 230),
    (62, 66, 78),
    (148, 164, 180),
    (172, 134, 110),
    (94, 108, 88),
    (202, 184, 158),
)
CARS: tuple[Color, ...] = (
    (188, 44, 42),
    (44, 92, 156),
    (232, 234, 236),
    (52, 56, 62),
    (158, 164, 170),
    (226, 182, 60),
    (62, 122, 96),
    (214, 118, 56),
)
METAL: tuple[Color, ...] = ((120, 126, 134), (70, 74, 82), (172, 176, 180), (48, 56, 56))
WHITEWARE: tuple[Color, ...] = ((240, 240, 238), (222, 226, 228), (198, 202, 206), (70, 74, 80))
SKIN: tuple[Color, ...] = ((242, 206, 176), (224, 174, 136), (188, 132, 96), (138, 90, 64), (96, 62, 46))
HAIR: tuple[Color, ...] = ((48, 36, 30), (96, 64, 40), (30, 28, 32), (188, 142, 80), (150, 150, 152))
FUR: tuple[Color, ...] = ((238, 234, 228), (92, 62, 46), (48, 44, 46), (162, 108, 72))
LAMPLIGHT: Color = (255, 226, 150)

Bank = Float32[np.ndarray, "kind side side"]


class _Noise:
    """Smooth periodic noise; lengths are in hundredths of the picture's side."""

    def __init__(self, side: int) -> None:
        self.side = side
        self._rng = np.random.default_rng(20)
        frequency = np.fft.fftfreq(side, 1 / side)
        self._square_y = (frequency**2)[:, None]
        self._square_x = (np.fft.rfftfreq(side, 1 / side) ** 2)[None, :]
        self.y, self.x = np.mgrid[:side, :side] * (100 / side)

    def __call__(self, width: Number, height: Number | None = None) -> np.ndarray:
        """Noise of variance 1 whose blobs are about so wide and high."""
        spectrum = np.fft.rfft2(self._rng.standard_normal((self.side, self.side)))
        tall = width if height is None else height
        kernel = np.exp(-2 * (self._square_y * (tall / 100) ** 2 + self._square_x * (width / 100) ** 2))
        smooth = np.fft.irfft2(spectrum * kernel, s=(self.side, self.side))
        result: np.ndarray = smooth / smooth.std()
        return result


def _joints(n: _Noise, width: Number, height: Number, gap: Number, shift: Number) -> np.ndarray:
    """Where the mortar between bricks, boards or tiles is."""
    row = n.y // height
    offset = (row % 2) * width * shift
    lines: np.ndarray = ((n.y % height) < gap) | (((n.x + offset) % width) < gap)
    return lines


_GRAIN: dict[str, Callable[[_Noise], np.ndarray]] = {
    "": lambda n: 0.012 * n(6, 3),
    "wood": lambda n: 0.05 * n(6, 0.4) + 0.03 * n(2, 0.5) - 0.16 * _joints(n, 25, 5, 0.35, 0.5),
    "brick": lambda n: 0.16 * _joints(n, 5, 2.5, 0.45, 0.5) + 0.06 * n(1.2, 0.8),
    "stone": lambda n: 0.09 * n(1.6) + 0.06 * n(0.5) + 0.04 * n(5),
    "plaster": lambda n: 0.02 * n(5) + 0.012 * n(0.5),
    "metal": lambda n: 0.03 * n(8, 0.5),
    "glass": lambda n: 0.05 * np.sin((n.x + n.y) * 2 * np.pi * 6 / 100),
    "fabric": lambda n: 0.025 * n(1.5) + 0.02 * np.sin(n.x * 2 * np.pi * 0.8) * np.sin(n.y * 2 * np.pi * 0.8),
    "foliage": lambda n: 0.13 * n(0.7) + 0.09 * n(1.6),
    "skin": lambda n: 0.02 * n(1.5),
    "water": lambda n: 0.07 * n(5, 0.7) + 0.05 * n(1.8, 0.35),
    "sand": lambda n: 0.03 * n(0.4) + 0.035 * n(4, 1.6),
    "asphalt": lambda n: 0.04 * n(0.4) + 0.03 * n(6, 2),
    "ceramic": lambda n: 0.015 * n(4) - 0.14 * _joints(n, 10, 10, 0.5, 0.0),
    "fur": lambda n: 0.05 * n(0.5, 1.0),
    "snow": lambda n: 0.03 * n(3) + 0.015 * n(0.6),
    "rubber": lambda n: 0.04 * n(0.6),
    "paper": lambda n: 0.02 * n(1.0),
}


def _wave(along: np.ndarray, period: Number) -> np.ndarray:
    return np.sin(along * 2 * np.pi / period) > 0


def _scales(n: _Noise) -> np.ndarray:
    """Rows of round scales, each row shifted by half a scale: their rims."""
    shifted = (n.x + (n.y // 3 % 2) * 2.5) % 5 - 2.5
    rim: np.ndarray = np.abs(np.hypot(shifted, n.y % 3) - 2.4) < 0.6
    return rim


def _dots(n: _Noise) -> np.ndarray:
    near: np.ndarray = ((n.x % 5) - 2.5) ** 2 + ((n.y % 5) - 2.5) ** 2 < 2.4
    return near


_PATTERN: dict[str, Callable[[_Noise], np.ndarray]] = {
    "": lambda n: np.zeros_like(n.x),
    "striped": lambda n: _wave(n.x, 5),
    "banded": lambda n: _wave(n.y, 4),
    "polka-dotted": _dots,
    "chequered": lambda n: _wave(n.x, 5) ^ _wave(n.y, 5),
    "grid": lambda n: ((n.x % 5) < 0.8) | ((n.y % 5) < 0.8),
    "zigzagged": lambda n: _wave(n.y + np.abs((n.x % 5) - 2.5), 4),
    "marbled": lambda n: np.clip(1.1 - 4 * np.abs(np.sin(n.y / 9 + 0.9 * n(4))), 0, 1),
    "speckled": lambda n: n(0.45) > 1.1,
    "scaly": _scales,
    "cracked": lambda n: np.abs(n(2.6)) < 0.09,
    "woven": lambda n: np.where(_wave(n.x, 4) ^ _wave(n.y, 4), _wave(n.x, 1), _wave(n.y, 1)),
}


@lru_cache(maxsize=8)
def grain_bank(side: int) -> Bank:
    """float32[material + 1, side, side]: how much lighter or darker each material is from place to place.

    Row 0 is for surfaces of no named material; the period is the side of the picture.
    """
    noise = _Noise(side)
    return np.stack([_GRAIN[name](noise) for name in ("", *MATERIALS)]).astype(np.float32)


@lru_cache(maxsize=8)
def pattern_bank(side: int) -> Bank:
    """float32[texture + 1, side, side]: the share of the second color in each texture; row 0 is plain."""
    noise = _Noise(side)
    return np.stack([_PATTERN[name](noise) for name in ("", *TEXTURES)]).astype(np.float32)
