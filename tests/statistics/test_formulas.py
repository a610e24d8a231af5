"""Formulas: the search tries all, so it is what brute force on the pixels finds, counts to the integer."""

import itertools

import numpy as np
import pytest

from unitscope.errors import UsageError
from unitscope.statistics.formulas import JOINS, Formula, LabelSets, bound_formulas, search_formulas


def draw_problem(seed):
    """Pixels with several labels, some with none, and units that follow some formula, with noise."""
    rng = np.random.default_rng(seed)
    concepts, pixels = int(rng.integers(1, 8)), int(rng.integers(5, 120))
    labels = rng.random((pixels, concepts)) < rng.uniform(0.05, 0.6, concepts)
    truth = labels[:, rng.integers(concepts)] ^ labels[:, rng.integers(concepts)]
    masks = truth ^ (rng.random((3, pixels)) < rng.uniform(0, 0.5))
    return labels, masks


def make_table(labels, masks):
    sets, row = np.unique(labels, axis=0, return_inverse=True)
    area = np.bincount(row.ravel(), minlength=len(sets)).tolist()
    active = np.stack([np.bincount(row.ravel(), mask, len(sets)) for mask in masks]).astype(np.int64)
    return LabelSets.of([np.flatnonzero(one).tolist() for one in sets], area, labels.shape[1]), active


def list_formulas(concepts, length):
    """All formulas of that length, in every spelling."""
    for chosen in itertools.permutations(range(concepts), length):
        for joins in itertools.product(JOINS, repeat=length - 1):
            yield Formula(chosen, joins, 0, 0)


def search_slowly(labels, mask, length):
    """The best formula, from the pixels."""
    areas, best = labels.sum(0), None
    for many in range(1, length + 1):
        for formula in list_formulas(labels.shape[1], many):
            holds = formula.holds(labels)
            intersection, union = int((holds & mask).sum()), int((holds | mask).sum())
            order = (
                many,
                formula.joins.count("AND NOT"),
                [-areas[one] for one in formula.concepts],
                formula.concepts,
                [JOINS.index(one) for one in formula.joins],
            )
            found = (intersection, union, order, formula)
            if (
                best is None
                or found[0] * best[1] > best[0] * found[1]
                or (found[0] * best[1] == best[0] * found[1] and order < best[2])
            ):
                best = found
    return best


@pytest.mark.parametrize("seed", range(60))
def test_nothing_fits_better_and_ties_are_as_stated(seed):
    labels, masks = draw_problem(seed)
    sets, active = make_table(labels, masks)
    length = 1 + seed % 3 if seed < 30 else 3
    for mask, found in zip(masks, search_formulas(sets, active, length), strict=True):
        intersection, union, _, formula = search_slowly(labels, mask, length)
        assert (found.intersection, found.union) == (intersection, union)
        assert (found.concepts, found.joins) == (formula.concepts, formula.joins)


@pytest.mark.parametrize("seed", range(10))
def test_counts_of_what_is_found_are_those_of_its_pixels_and_the_bound_is_above(seed):
    rng = np.random.default_rng(seed)
    labels = rng.random((4000, 30)) < rng.uniform(0.02, 0.3, 30)
    masks = (labels[:, 3] | labels[:, 7] & ~labels[:, 9]) ^ (rng.random((2, 4000)) < 0.2)
    sets, active = make_table(labels, masks)
    found = search_formulas(sets, active)
    for mask, formula in zip(masks, found, strict=True):
        holds = formula.holds(labels)
        assert (formula.intersection, formula.union) == ((holds & mask).sum(), (holds | mask).sum())
    shorter = [[one.iou for one in search_formulas(sets, active, length)] for length in (1, 2)]
    ious = [one.iou for one in found]
    assert (np.diff([*shorter, ious, bound_formulas(sets, active)], axis=0) >= 0).all()
    assert search_formulas(sets, active, threads=2) == found


def test_a_unit_that_is_a_formula_is_named_so():
    labels = np.array(list(itertools.product([False, True], repeat=4)))
    mask = (labels[:, 0] | labels[:, 1]) & ~labels[:, 3]
    sets, active = make_table(labels, mask[None])
    (found,) = search_formulas(sets, active)
    assert found.spell("abcd") == "(a OR b) AND NOT d"
    assert found.iou == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"length": 11}, "length is 11; formulas have 1 to 10 concepts"),
        ({"active": np.zeros((1, 3), np.int64)}, "active has 3 rows; the table has 2 sets of labels"),
        ({"active": np.array([[0, 11]])}, "more than there are, in a set of labels"),
        ({"sets": LabelSets.of([[], []], [5, 10], 0)}, "the table has no concepts"),
    ],
)
def test_what_cannot_be_searched_is_a_line(change, told):
    given = {"sets": LabelSets.of([[], [0]], [5, 10], 1), "active": np.array([[0, 4]])} | change
    with pytest.raises(UsageError, match=told):
        search_formulas(**given)


@pytest.mark.parametrize("members", [[[3]], [[-1]], [[1, 1]]])
def test_sets_of_labels_are_checked(members):
    with pytest.raises(UsageError, match="0 to 2, each once, ascending"):
        LabelSets.of(members, [5], 3)


def test_a_unit_without_active_pixels_fits_nothing():
    (found,) = search_formulas(LabelSets.of([[], [0]], [5, 10], 1), np.zeros((1, 2), np.int64))
    assert (found.intersection, found.iou) == (0, 0.0)
