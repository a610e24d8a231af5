"""Light and chance: the hour, the weather, and the seeded random numbers that every picture is drawn with."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Number = float | int
"""A length, a share or a level; whole numbers are welcome."""

Span = tuple[Number, Number]
"""From a column or a row to another."""

Color = tuple[Number, Number, Number]
T = TypeVar("T")


def mix(first: Color, second: Color, share: Number) -> Color:
    """The color between two, `share` of the way to the second."""
    keep = 1 - share
    return (
        first[0] * keep + second[0] * share,
        first[1] * keep + second[1] * share,
        first[2] * keep + second[2] * share,
    )


def shade(color: Color, factor: Number) -> Color:
    """The color made darker (factor below 1) or lighter (above 1)."""
    return (color[0] * factor, color[1] * factor, color[2] * factor)


class Chance:
    """Seeded random numbers: the same seed and index give the same picture at any size."""

    def __init__(self, seed: int, index: int) -> None:
        self._roll = random.Random(f"drawn world {seed} {index}").random

    def between(self, low: Number, high: Number) -> Number:
        return low + (high - low) * self._roll()

    def count(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int((high - low + 1) * self._roll())

    def maybe(self, probability: Number) -> bool:
        return self._roll() < probability

    def pick(self, options: Sequence[T]) -> T:
        return options[int(len(options) * self._roll())]

    def tone(self, palette: Sequence[Color], spread: Number = 0.1) -> Color:
        """A color of the palette, a little lighter or darker."""
        return shade(self.pick(palette), self.between(1 - spread, 1 + spread))


@dataclass(frozen=True)
class Light:
    """What the hour and the weather do to a picture.

    `ambient` multiplies every color that does not shine by itself, `side` is where the light comes
    from (-1 left, 1 right), `shadow` how dark shadows are, `dark` whether lamps are on.
    """

    hour: str
    zenith: Color
    horizon: Color
    ambient: Color
    side: int
    shadow: Number
    dark: bool = False


_SKIES: dict[str, tuple[tuple[tuple[Color, Color], ...], Color, Number]] = {
    "day": (
        (
            ((62, 128, 214), (186, 219, 245)),
            ((88, 160, 226), (214, 232, 244)),
            ((110, 178, 222), (226, 238, 236)),
        ),
        (1.0, 1.0, 0.98),
        0.42,
    ),
    "golden": (
        (((94, 146, 196), (250, 218, 164)), ((128, 152, 186), (248, 196, 140))),
        (1.04, 0.93, 0.76),
        0.4,
    ),
    "dusk": (
        (
            ((62, 66, 128), (244, 150, 112)),
            ((96, 76, 138), (236, 132, 142)),
            ((44, 62, 112), (226, 168, 132)),
        ),
        (0.84, 0.68, 0.72),
        0.25,
    ),
    "overcast": (
        (((142, 154, 168), (208, 212, 216)), ((168, 172, 178), (222, 222, 220))),
        (0.86, 0.88, 0.91),
        0.16,
    ),
    "night": ((((8, 14, 42), (38, 52, 98)), ((16, 14, 38), (58, 48, 92))), (0.5, 0.56, 0.8), 0.2),
}

_HOURS = ("day", "day", "day", "golden", "dusk", "overcast", "overcast", "night")


def choose_light(chance: Chance, *, indoors: bool = False) -> Light:
    """An hour and a weather; indoors what falls on things is lamp light or light from the windows."""
    hour = chance.pick(_HOURS)
    skies, ambient, shadow = _SKIES[hour]
    zenith, horizon = chance.pick(skies)
    if indoors:
        lamps: tuple[Color, ...] = (
            *((1.0, 0.99, 0.96), (1.02, 0.94, 0.82), (0.9, 0.94, 1.0)),
            *((0.78, 0.8, 0.76), (1.05, 0.86, 0.72), (0.8, 0.92, 0.82), (0.74, 0.78, 0.92)),
        )
        evening: tuple[Color, ...] = (
            *((0.9, 0.78, 0.6), (0.62, 0.58, 0.62), (0.82, 0.8, 0.78)),
            *((0.56, 0.5, 0.44), (0.86, 0.6, 0.62), (0.5, 0.56, 0.7)),
        )
        ambient, shadow = chance.pick(evening if hour in ("night", "dusk") else lamps), 0.3
    bright = chance.between(0.9, 1.06)
    side = 1 if chance.maybe(0.5) else -1
    return Light(hour, zenith, horizon, shade(ambient, bright), side, shadow, hour in ("night", "dusk"))
