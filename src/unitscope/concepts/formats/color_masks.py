"""Masks whose colors say what is where, by a table of colors."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt16, UInt32

from unitscope.concepts.formats.annotated import Labels
from unitscope.concepts.formats.mask_values import MaskValues
from unitscope.concepts.formats.stored.masks import read_color_codes, read_mask, read_palette
from unitscope.concepts.formats.text_lists import check_count, read_lines
from unitscope.errors import SourceError

Color = tuple[int, int, int]


@dataclass(frozen=True)
class ColorTable:
    """Colors by the number that each stands for, which is its place; `listed_in` names the table.

    The same color twice is the first of the two.
    """

    colors: tuple[Color, ...]
    listed_in: str

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        codes = np.array([_code(color) for color in self.colors], np.uint32)
        return np.unique(codes, return_index=True)

    def number(
        self, colors: UInt32[np.ndarray, "y x"]
    ) -> tuple[UInt16[np.ndarray, "y x"], Bool[np.ndarray, "y x"]]:
        """The number of every pixel's color (R 65536 + G 256 + B), and whether the table has that color.

        >>> table = ColorTable(((0, 0, 0), (128, 0, 0)), "the list")
        >>> table.number(np.array([[0x800000, 5]], np.uint32))
        (array([[1, 0]], dtype=uint16), array([[ True, False]]))
        """
        codes, numbers = self._sorted
        places = np.searchsorted(codes, colors).clip(max=len(codes) - 1)
        listed = codes[places] == colors
        return np.where(listed, numbers[places], 0).astype(np.uint16), listed


@dataclass(frozen=True, eq=False)
class ColorFiles:
    """Masks of colors: `names` has, by key, the path below `root` of each, `values` what the numbers mean.

    With `lenient`, colors that the table does not have are void, and counted; else they are an error. With
    `indexed`, masks of one channel hold the numbers themselves.
    """

    root: Path
    names: Mapping[str, str]
    values: MaskValues
    table: ColorTable
    lenient: bool = False
    indexed: bool = False
    met: dict[str, tuple[int, Color]] = field(default_factory=dict)
    """By mask, how many pixels have a color that is not in the table, and the first such color."""

    def read(self, key: str) -> Labels | None:
        """One plane. Raises `SourceError` naming the file, and the color that the table does not have."""
        name = self.names.get(key)
        if name is None:
            return None
        path = self.root / name
        colors = read_color_codes(path, indexed=self.indexed)
        if colors is None:
            ids = read_mask(path)
            self._check_palette(path, ids)
            return Labels(*self.values.label(ids, path))
        numbers, listed = self.table.number(colors)
        if listed.all():
            return Labels(*self.values.label(numbers, path))
        code = int(colors[~listed][0])
        color = (code >> 16, code >> 8 & 255, code & 255)
        if not self.lenient:
            lack = f"which {self.table.listed_in} does not have"
            raise SourceError(f"{path}: the mask has the color {color}, {lack}; store numbers of classes")
        self.met[name] = int((~listed).sum()), color
        return self._void_unlisted(numbers, listed, path)

    def _check_palette(self, path: Path, ids: UInt16[np.ndarray, "y x"]) -> None:
        """Raises `SourceError` where a palette has the table's colors under other numbers."""
        palette = read_palette(path)
        used = [number for number in np.flatnonzero(np.bincount(ids.ravel())) if number < len(palette)]
        drawn = {number: self._numbers.get(palette[number]) for number in used}
        # Palettes of grays are there to be seen.
        moved = [one for one in used if drawn[one] != one and len(set(palette[one])) > 1]
        if moved and None not in drawn.values():
            found = f"its palette has at {moved[0]} what {self.table.listed_in} has at {drawn[moved[0]]}"
            raise SourceError(f"{path}: {found}: a program put it in another order; store the mask as RGB")

    def _void_unlisted(
        self, numbers: UInt16[np.ndarray, "y x"], listed: Bool[np.ndarray, "y x"], path: Path
    ) -> Labels:
        planes, void = self.values.label(numbers, path)
        planes[:, ~listed] = 0
        return Labels(planes, ~listed if void is None else void & listed | ~listed)

    @cached_property
    def _numbers(self) -> dict[Color, int]:
        return {color: number for number, color in reversed([*enumerate(self.table.colors)])}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was met so far of colors that the table does not have."""
        met = list(self.met.items())  # other threads may go on reading
        if not met:
            return ()
        name, (_, color) = met[0]
        pixels = sum(count for _, (count, _) in met)
        found = f"{pixels} pixel{'s' * (pixels != 1)} in {len(met)} mask{'s' * (len(met) != 1)}"
        return (f"void: {found}, of colors that {self.table.listed_in} does not have: {color} in {name}",)

    def list_files(self) -> Iterator[Path]:
        """One file a mask."""
        return (self.root / name for name in self.names.values())


def read_color_names(path: Path) -> tuple[tuple[Color, ...], tuple[str, ...]]:
    """Colors and names, from lines such as `64 128 64 Animal`, with spaces or tabs between.

    Raises `SourceError` naming the file and line where a line is no such thing, or one color has two names.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "label_colors.txt"
    >>> _ = path.write_text("64 128 64\\tAnimal\\n0 0 0\\t\\tVoid\\n")
    >>> read_color_names(path)
    (((64, 128, 64), (0, 0, 0)), ('Animal', 'Void'))
    """
    found: dict[Color, str] = {}
    for place, line in enumerate(read_lines(path), start=1):
        match = re.fullmatch(r"(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+(\S.*)", line)
        if match is None and not line:
            continue
        color = () if match is None else tuple(int(part) for part in match.groups()[:3])
        if match is None or len(color) != 3 or max(color) > 255:
            wanted = "wanted three numbers up to 255 and a name, as in '64 128 64 Animal'"
            raise SourceError(f"{path}, line {place}: {line[:60]!r}; {wanted}")
        if found.setdefault(color, match[4]) != match[4]:
            raise SourceError(f"{path}, line {place}: the color {color} has two names; keep one")
    if not found:
        raise SourceError(f"{path}: holds no colors; wanted lines such as '64 128 64 Animal'")
    check_count(path, found)
    return tuple(found), tuple(found.values())


def voc_palette() -> ColorTable:
    """The 256 colors in which Pascal VOC draws the numbers 0 to 255.

    Of a number's bits the lowest three are the highest bits of red, green and blue, the next three the next
    ones, and so on.

    >>> voc_palette().colors[1], voc_palette().colors[15], voc_palette().colors[255]
    ((128, 0, 0), (192, 128, 128), (224, 224, 192))
    """
    numbers = range(256)
    bands = [
        [sum((n >> 3 * bit + band & 1) << 7 - bit for bit in range(3)) for n in numbers] for band in range(3)
    ]
    return ColorTable(tuple(zip(*bands, strict=True)), "the palette of Pascal VOC")


def _code(color: Sequence[int]) -> int:
    red, green, blue = color
    return (red << 16) + (green << 8) + blue
