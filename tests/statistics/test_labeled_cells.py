"""Cells of units with their labels: what is kept, and that parts may be merged in any order."""

import itertools

import numpy as np
import pytest
import torch

from unitscope.statistics.labeled_cells import (
    UNKNOWN,
    UNLABELED,
    LabeledCells,
    gather_cells,
    merge_cells,
)

CLASSES = 3


def draw(
    images: int, seed: int, units: int = 5, size: tuple[int, int] = (3, 4)
) -> tuple[np.ndarray, np.ndarray]:
    """Maps that are mostly 0, one unit never and one always, and labels of all kinds."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(images, units, *size)).astype(np.float32)
    maps *= rng.random(maps.shape) < 0.3
    maps[:, 1], maps[:, 2] = 0, rng.normal(size=(images, *size)) + 9
    maps[:, 3, 0, 0] = -0.0
    return maps, rng.integers(UNKNOWN, CLASSES, (images, size[0] * size[1])).astype(np.int32)


def gather(maps: np.ndarray, labels: np.ndarray, first: int = 0) -> LabeledCells:
    return gather_cells(torch.from_numpy(maps), labels, CLASSES, first)


def list_plainly(maps: np.ndarray, labels: np.ndarray) -> tuple[list[list[tuple[float, int]]], list[int]]:
    """By unit its values with their labels, and how many cells have each label: cell by cell."""
    found: list[list[tuple[float, int]]] = [[] for _ in range(maps.shape[1])]
    cells = [0] * (CLASSES + 1)
    for image in range(len(maps)):
        for cell in range(labels.shape[1]):
            label = int(labels[image, cell])
            if label == UNKNOWN:
                continue
            label = CLASSES if label == UNLABELED else label
            cells[label] += 1
            y, x = divmod(cell, maps.shape[3])
            for unit in range(maps.shape[1]):
                if maps[image, unit, y, x] != 0:
                    found[unit].append((float(maps[image, unit, y, x]), label))
    return found, cells


def read(cells: LabeledCells) -> tuple[list[list[tuple[float, int]]], list[int]]:
    [piece], starts = cells.join().pieces, cells.starts
    pairs = [*zip(piece.values.tolist(), piece.labels.tolist(), strict=True)]
    return [pairs[a:b] for a, b in itertools.pairwise(starts)], cells.cells.tolist()


def test_what_is_not_zero_is_kept_with_its_label():
    maps, labels = draw(7, 0)
    found = gather(maps, labels)
    assert read(found) == list_plainly(maps, labels)
    assert (found.units, found.classes, found.total) == (5, CLASSES, int((labels != UNKNOWN).sum()))


def test_parts_are_the_whole_in_whatever_order_they_are_merged():
    maps, labels = draw(9, 1)
    edges = [0, 2, 3, 3, 9]
    parts = [gather(maps[a:b], labels[a:b], a) for a, b in itertools.pairwise(edges) if a < b]
    wanted = list_plainly(maps, labels)
    for order in itertools.permutations(parts):
        assert read(merge_cells(order)) == wanted
        one, two, three = order
        assert read(one.merge(two).merge(three)) == wanted
        assert read(one.merge(two.merge(three))) == wanted
    assert read(parts[0].merge(parts[1]).join().merge(parts[2])) == wanted
    joined = merge_cells(parts).join()
    assert joined.join() is joined
    assert (
        joined.bytes
        == 6 * len(joined.pieces[0].values) + joined.pieces[0].counts.nbytes + joined.cells.nbytes
    )


def test_cells_that_are_all_left_out_leave_nothing():
    maps, _ = draw(2, 2)
    found = gather(maps, np.full((2, 12), UNKNOWN, np.int32))
    assert found.total == 0
    assert len(found.join().pieces[0].values) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_values_are_single_precision(dtype):
    maps, labels = draw(2, 3)
    found = gather_cells(torch.from_numpy(maps).to(dtype), labels, CLASSES, 0)
    wanted = torch.from_numpy(maps).to(dtype).float().numpy()
    assert read(found) == list_plainly(wanted, labels)
