"""Labels of cells: the commonest of the pixels that a cell covers, counted one by one."""

from dataclasses import replace

import numpy as np
import pytest

import made
from unitscope.concepts.vocabulary import Example
from unitscope.statistics.annotations import Doubles, annotate, merge_annotations
from unitscope.statistics.cell_labels import CellGrid, label_cells
from unitscope.statistics.labeled_cells import UNKNOWN, UNLABELED

OBJECTS = [1, 2, 11]
"""The concepts of category object among those of `made.WORDS`."""


def number(ids: list[int]) -> np.ndarray:
    places = np.full(made.WORDS.size, -1, np.int32)
    places[ids] = np.arange(len(ids))
    return places


def label(
    examples: list[Example],
    grid: CellGrid,
    rule: str,
    ids: list[int] = OBJECTS,
    doubles: Doubles = "once",
) -> np.ndarray:
    parts = [annotate(one, grid.mask_size, doubles, made.WORDS, place) for place, one in enumerate(examples)]
    return label_cells(merge_annotations(parts), grid, number(ids), rule)  # type: ignore[arg-type]


def label_plainly(example: Example, grid: CellGrid, rule: str, ids: list[int]) -> list[int]:
    (rows, columns), (height, width) = grid.map_size, grid.mask_size
    found = []
    for cell in range(rows * columns):
        counts = dict.fromkeys((0, *ids), 0)
        known = 0
        for y in range(height):
            for x in range(width):
                if (y * rows // height) * columns + x * columns // width != cell:
                    continue
                if example.void is not None and example.void[y, x]:
                    continue
                known += 1
                here = {int(plane[y, x]) for plane in example.planes} | set(example.ids)
                here &= set(ids)
                for one in here or {0}:
                    counts[one] += 1
        if not known:
            found.append(UNKNOWN)
            continue
        some = any(counts[one] for one in ids)
        pool = ids if rule == "foreground" and some else [0, *ids]
        best = max(pool, key=lambda one: (counts[one], -one))
        found.append(ids.index(best) if best else UNLABELED)
    return found


@pytest.mark.parametrize("rule", ["majority", "foreground"])
@pytest.mark.parametrize("map_size", [(3, 3), (5, 4), (12, 12), (1, 1)])
@pytest.mark.parametrize("ids", [OBJECTS, [3], [9], [5, 6]], ids=["object", "part", "scene", "color"])
def test_cells_are_called_by_their_pixels(rule, map_size, ids):
    examples = made.make_source(16, mask_size=(12, 12), seed=4).examples
    grid = CellGrid(map_size, (12, 12))
    found = label(examples, grid, rule, ids)
    assert found.tolist() == [label_plainly(one, grid, rule, ids) for one in examples]


@pytest.mark.parametrize("doubles", ["twice", "truth-twice"])
def test_conventions_change_no_label(doubles):
    examples = made.make_source(16, mask_size=(12, 12), seed=4).examples
    twice = [replace(one, planes=np.concatenate([one.planes] * 2), ids=one.ids * 2) for one in examples]
    grid = CellGrid((3, 3), (12, 12))
    assert (label(twice, grid, "majority", doubles=doubles) == label(examples, grid, "majority")).all()


def test_squares_where_the_numbers_allow_it():
    assert (CellGrid((2, 2), (4, 4)).places == np.kron([[0, 1], [2, 3]], np.ones((2, 2)))).all()
    assert CellGrid((2, 3), (5, 7)).places.max() == 5


def test_of_equally_common_ones_no_label_comes_first_then_the_lowest_id():
    image = np.zeros((2, 6, 3), np.uint8)
    planes = np.uint16([[[0, 2, 2, 1, 0, 1], [0, 2, 2, 1, 2, 0]]])  # halves; two and two; one, two, none
    grid = CellGrid((1, 3), (2, 6))
    assert label([Example("a", image, planes)], grid, "majority").tolist() == [[UNLABELED, 0, UNLABELED]]
    assert label([Example("a", image, planes)], grid, "foreground").tolist() == [[1, 0, 0]]


def test_void_is_counted_nowhere():
    image = np.zeros((2, 4, 3), np.uint8)
    void = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
    planes = np.uint16([[[1, 1, 2, 0], [1, 1, 1, 0]]])
    grid = CellGrid((1, 2), (2, 4))
    assert label([Example("a", image, planes, (), void)], grid, "majority").tolist() == [[UNKNOWN, UNLABELED]]
    assert label([Example("a", image, planes, (), void)], grid, "foreground").tolist() == [[UNKNOWN, 0]]
    everything = Example("a", image, planes, (2,), np.ones((2, 4), bool))
    assert label([everything], grid, "majority").tolist() == [[UNKNOWN, UNKNOWN]]
