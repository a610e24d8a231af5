"""Scores from counts are those of the inputs that were counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitscope.statistics.label_scores import NEURON_EVAL, label_scores
from unitscope.statistics.mask_scores import score_masks


@settings(max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_counts_are_all_that_masks_say(pairs):
    x, y = np.array(pairs).T
    found = score_masks(int((x & y).sum()), int(x.sum()), int(y.sum()), len(pairs))
    wanted = label_scores(x[None], y[None], None)
    assert set(found) == set(wanted) == set(NEURON_EVAL)
    for name, one in wanted.items():
        assert found[name] == pytest.approx(one[0, 0], abs=1e-12, nan_ok=True), name


def test_counts_of_many_pairs_are_scored_at_once():
    both, active, there = np.array([[1, 0], [3, 2]]), np.array([[4], [5]]), np.array([[3, 2]])
    found = score_masks(both, active, there, 20)
    for unit, concept in np.ndindex(2, 2):
        one = score_masks(both[unit, concept], active[unit, 0], there[0, concept], 20)
        assert {name: float(found[name][unit, concept]) for name in one} == {
            n: float(v) for n, v in one.items()
        }
