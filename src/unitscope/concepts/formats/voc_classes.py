"""What the numbers in masks laid out as Pascal VOC mean."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unitscope.concepts.formats.mask_classes import UNLABELLED_NAMES, VOID_NAMES, read_classes
from unitscope.concepts.formats.mask_values import COUNT, MaskValues, name_values
from unitscope.concepts.formats.text_lists import read_names, split_names
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
    background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, table, dog, horse,
    motorbike, person, pottedplant, sheep, sofa, train, tvmonitor, bag, bed, bench, book, building,
    cabinet, ceiling, cloth, computer, cup, door, fence, floor, flower, food, grass, ground, keyboard,
    light, mountain, mouse, curtain, platform, sign, plate, road, rock, shelves, sidewalk, sky, snow,
    bedclothes, track, tree, truck, wall, water, window, wood
    """
)
KNOWN = {"context59": CONTEXT59}
"""Lists of classes that are known by name."""

_BACKGROUND = frozenset({"background", "_background_", "__background__"})


@dataclass(frozen=True, eq=False)
class Classes:
    """What numbers mean, the concepts that they are, and lines for people about void and unlabelled ones."""

    values: MaskValues
    vocabulary: Vocabulary
    notes: tuple[str, ...]


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
    """The classes of a file: one name a line from 0 on, lines `1: name`, or a `classes.json`.

    Raises `SourceError` naming the file where it is none of these, or names several layers of masks.
    """
    if path.suffix.lower() != ".json":
        names = read_names(path)
        if max(names) >= COUNT:
            raise SourceError(f"{path}: names the number {max(names)}; masks hold numbers up to {COUNT - 1}")
        return name_voc(names, background, void=void, listed_in=path.name)
    file = read_classes(path)
    if len(file.layers) != 1:
        raise SourceError(f"{path} names {len(file.layers)} layers of masks; wanted one")
    values, notes = file.layers[0].values, [f"what is void or unlabelled is said by {path.name}"]
    if void is not None and not values.known[void]:
        values = _add_void(values, void)
        notes.append(f"void: {void}")
    vocabulary = file.vocabulary
    dropped = [one.id for one in vocabulary if not background and one.name.lower() in _BACKGROUND]
    if dropped:
        silent = np.isin(values.concept_ids, dropped)
        values = replace(values, concept_ids=np.where(silent, 0, values.concept_ids).astype(np.uint16))
        vocabulary = Vocabulary(tuple(one for one in vocabulary if one.id not in dropped))
        notes.append("unlabelled: background")
    return Classes(values, vocabulary, tuple(notes))


def _add_void(values: MaskValues, number: int) -> MaskValues:
    void, known = values.void.copy(), values.known.copy()
    void[number] = known[number] = True
    return replace(values, void=void, known=known)


def _spell(numbers: dict[int, str]) -> str:
    return ", ".join(f"{number} ({name})" if name else str(number) for number, name in numbers.items())
