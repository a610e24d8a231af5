"""What the numbers in masks laid out as Pascal VOC mean."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from unitscope.concepts.formats.class_lists import add_void, read_class_list
from unitscope.concepts.formats.color_masks import Color, ColorTable, voc_palette
from unitscope.concepts.formats.folder.mask_classes import UNLABELLED_NAMES, VOID_NAMES
from unitscope.concepts.formats.mask_values import MaskValues, name_values
from unitscope.concepts.formats.text_lists import check_count, read_lines, read_names, split_names
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.errors import SourceError

VOID = 255
"""The borders of objects, and what is difficult, in masks of bytes."""

VOC = split_names(
    """
    background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog,
    horse, motorbike, person, pottedplant, sheep, sofa, train, tvmonitor
    """
)
CONTEXT59 = split_names(
    """
    background, aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book, bottle, building, bus,
    cabinet, car, cat, ceiling, chair, cloth, computer, cow, cup, curtain, dog, door, fence, floor,
    flower, food, grass, ground, horse, keyboard, light, motorbike, mountain, mouse, person, plate,
    platform, pottedplant, road, rock, sheep, shelves, sidewalk, sign, sky, snow, sofa, table, track,
    train, tree, truck, tvmonitor, wall, water, window, wood
    """
)
"""The PNG files of Pascal-Context number them as its MATLAB files do, whose 459 go by the alphabet."""
KNOWN = {"context59": CONTEXT59}
"""Lists of classes that are known by name."""
USUAL = ("labelmap.txt", "class_names.txt")
"""Files in which tools that export this layout (CVAT, labelme) name the classes of a set."""

_COLORED = re.compile(r"([^:#][^:]*):(?:(\d{1,3}),(\d{1,3}),(\d{1,3}))?:[^:]*:[^:]*")
"""A line of a `labelmap.txt`: name, color, parts and actions."""
_BACKGROUND = frozenset({"background", "_background_", "__background__"})


@dataclass(frozen=True, eq=False)
class Classes:
    """What numbers mean, the concepts that they are, lines for people about void and unlabelled ones.

    `table` has the colors of masks that are drawn in color.
    """

    values: MaskValues
    vocabulary: Vocabulary
    notes: tuple[str, ...]
    table: ColorTable = field(default_factory=voc_palette)


def name_voc(names: dict[int, str], background: bool, *, void: int | None = VOID, listed_in: str) -> Classes:
    """The classes of a list of names by number.

    `void` is void where the list does not name it, as is a class called void; the number 0 is unlabelled
    where the list begins at 1, as is a class called unlabelled. Without `background` the class of that name
    is unlabelled.

    >>> classes = name_voc({0: "background", 1: "cat"}, background=False, listed_in="the list")
    >>> [one.name for one in classes.vocabulary], classes.notes
    (['cat'], ('void: 255', 'unlabelled: 0 (background)'))
    """
    voids = {number: name for number, name in names.items() if name.lower() in VOID_NAMES}
    if void is not None and void not in names:
        voids[void] = ""
    silent = UNLABELLED_NAMES if background else UNLABELLED_NAMES | _BACKGROUND
    unlabelled = {number: name for number, name in names.items() if name.lower() in silent}
    if 0 not in names:
        unlabelled[0] = ""
    classes = {number: (name, "object") for number, name in names.items()}
    advice = "add it there, or name another file with classes="
    values, vocabulary = name_values(classes, voids, unlabelled, listed_in, advice)
    told = (("void", voids), ("unlabelled", unlabelled))
    notes = tuple(f"{what}: {_spell(numbers)}" for what, numbers in told if numbers)
    return Classes(values, vocabulary, notes)


def read_voc_classes(path: Path, background: bool, void: int | None = VOID) -> Classes:
    """The classes of a file: one name a line from 0 on, lines `1: name`, a `labelmap.txt`, or a .json
    (`unitscope.concepts.formats.class_lists`).

    Raises `SourceError` naming the file where it is none of these, or names several layers of masks.
    """
    if path.suffix.lower() != ".json":
        labels = _read_labelmap(path)
        names = dict(enumerate(labels)) if labels else read_names(path)
        classes = name_voc(names, background, void=void, listed_in=path.name)
        return replace(classes, table=_color(labels, path.name)) if labels else classes
    values, vocabulary = read_class_list(path)
    notes = [f"what is void or unlabelled is said by {path.name}"]
    if void is not None and not values.known[void]:
        values = add_void(values, [void])
        notes.append(f"void: {void}")
    dropped = [one.id for one in vocabulary if not background and one.name.lower() in _BACKGROUND]
    if dropped:
        silent = np.isin(values.concept_ids, dropped)
        values = replace(values, concept_ids=np.where(silent, 0, values.concept_ids).astype(np.uint16))
        vocabulary = Vocabulary(tuple(one for one in vocabulary if one.id not in dropped))
        notes.append("unlabelled: background")
    return Classes(values, vocabulary, tuple(notes))


def _read_labelmap(path: Path) -> dict[str, Color | None]:
    """Colors by name, in order, of a file in which every line has the form of a `labelmap.txt`; else none."""
    lines = [line for line in read_lines(path) if line and not line.startswith("#")]
    found = [_COLORED.fullmatch(line) for line in lines]
    labels: dict[str, Color | None] = {}
    for match in found:
        if match is None:
            return {}
        red, green, blue = (int(value or 256) for value in match.groups()[1:])
        if match[1] in labels or (match[2] and max(red, green, blue) > 255):
            wanted = "wanted each name once, with a color of three numbers up to 255"
            raise SourceError(f"{path}: {match[0][:60]!r}; {wanted}")
        labels[match[1]] = (red, green, blue) if match[2] else None
    check_count(path, labels)
    return labels


def _color(labels: dict[str, Color | None], listed_in: str) -> ColorTable:
    """The colors of labels by number; those without one have the color of VOC's palette."""
    usual = voc_palette().colors
    colors = [color or usual[number % len(usual)] for number, color in enumerate(labels.values())]
    return ColorTable(tuple(colors), listed_in)


def _spell(numbers: dict[int, str]) -> str:
    return ", ".join(f"{number} ({name})" if name else str(number) for number, name in numbers.items())
