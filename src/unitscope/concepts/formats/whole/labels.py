"""Labels of whole pictures as containers hold them: for each a number, a text, or a list of these."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from unitscope.concepts.formats.class_lists import ClassList, Words
from unitscope.concepts.formats.indexes import Index, join_texts, split_texts
from unitscope.errors import SourceError

NO_PICTURE, UNLABELLED = "without a picture", "without a label"

NO_LABEL = -1
"""The number that stands for none, beside null."""
_LONG = 200
_CATEGORIES = ("scene", "texture", "material", "color", "part")
_MANY = 65_535


@dataclass(frozen=True, eq=False)
class LabelCells:
    """The labels of pictures, one after the other: those of number i end at `ends[i]`.

    `values` are numbers as they are stored; where there are `texts`, places in these.
    """

    values: Int64[np.ndarray, "value"]
    ends: Int64[np.ndarray, "picture"]
    texts: tuple[str, ...] = ()

    def pack(self, name: str) -> Index:
        """The arrays of it for an index."""
        return {f"{name}_values": self.values, f"{name}_lies": self.ends, **join_texts(name, self.texts)}


def unpack_labels(index: Index, name: str) -> LabelCells:
    """What `LabelCells.pack` made arrays of."""
    return LabelCells(index[f"{name}_values"], index[f"{name}_lies"], tuple(split_texts(index, name)))


def gather_labels(cells: Iterable[Any], place: str) -> LabelCells:
    """The labels in cells: None, whole numbers, texts, or lists of these.

    Raises `SourceError`, which begins with `place`, for anything else, or numbers among texts.
    """
    values: list[int] = []
    ends: list[int] = []
    texts: dict[str, int] = {}
    kinds: set[type] = set()
    for number, cell in enumerate(cells):
        for one in cell if isinstance(cell, list | tuple) else [cell]:
            if one is None:
                continue
            kinds.add(type(one))
            if type(one) not in (int, str) or len(kinds) > 1 or (kinds == {int} and abs(one) >= 1 << 62):
                wanted = "whole numbers or texts, not both"
                raise SourceError(f"{place}, number {number}: the label {str(one)[:40]!r}; wanted {wanted}")
            if isinstance(one, str):
                values += _place_text(one, texts, place)
            elif one != NO_LABEL:
                values.append(one)
        ends.append(len(values))
    return LabelCells(np.array(values, np.int64), np.array(ends, np.int64), tuple(texts))


def _place_text(text: str, texts: dict[str, int], place: str) -> list[int]:
    name = text.strip()
    if len(name) > _LONG or "\n" in name:
        raise SourceError(f"{place}: {name[:40]!r}... is no name of a class, it is too long; name another")
    if name and len(texts) >= _MANY and name not in texts:
        raise SourceError(f"{place}: more than {_MANY} different texts are no classes; name another")
    return [texts.setdefault(name, len(texts))] if name else []


def name_labels(cells: LabelCells, find: Callable[[int | str], int]) -> list[tuple[int, ...]]:
    """The concepts of every picture; `find` gives that of a number or text, 0 for none.

    Raises what `find` raises.
    """
    met = np.unique(cells.values).tolist()
    spelled = {value: cells.texts[value] if cells.texts else value for value in met}
    ids = {value: find(text) for value, text in sorted(spelled.items(), key=lambda pair: pair[1])}
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}
    found, start, values = [], 0, cells.values.tolist()
    for end in cells.ends.tolist():
        named = tuple(dict.fromkeys(ids[value] for value in values[start:end] if ids[value]))
        found.append(shared.setdefault(named, named))
        start = end
    return found


def guess_category(name: str) -> str:
    """The category of labels by the name of their column: one of Broden's that is part of it, else object.

    >>> guess_category("scene_category"), guess_category("label")
    ('scene', 'object')
    """
    return next((one for one in _CATEGORIES if one in name.lower()), "object")


def find_listed(
    known: ClassList, words: Words, category: str | None, place: str
) -> Callable[[int | str], int]:
    """The concept of a number by a list of classes, all of which become words, of `category` if given."""
    values = words.adopt(*known, category)
    numbers = np.flatnonzero(values.known).tolist()
    return find_in({number: int(values.concept_ids[number]) for number in numbers}, place)


def find_in(names: Mapping[int, int], place: str) -> Callable[[int | str], int]:
    """The concept of a number by a map of them; raises `SourceError` for one that is not there."""

    def find(value: int | str) -> int:
        if not isinstance(value, int) or value not in names:
            listed = f"names are known of {min(names, default=0)} to {max(names, default=0)}"
            raise SourceError(f"{place}: the label {value!r} has no name, {listed}; name it in classes=FILE")
        return names[value]

    return find
