"""The compiled loop that asks of many null draws whether any formula reaches what a unit has."""

import numpy as np

from unitscope.statistics.kernels.compiled import compiled
from unitscope.statistics.kernels.formula_beam import beam_unit, tree_unit
from unitscope.statistics.kernels.formula_search import bound_unit, make_scratch, reaches, search_unit

EXACT, BEAM = 0, 1
"""How formulas are searched for; a `rule` is four numbers: how, most concepts, width, nodes."""

SHORT = np.int64(3)
"""All formulas of so many concepts are tried by closed sums over pairs; of more by a tree."""


@compiled
def search_by(rule, counts, active, table, shared, goal, scratch):
    """The best formula that a rule finds: n, union, length; its numbers; and whether no other is better.

    `shared` is what does not depend on the unit: the areas of concepts, of pairs, and the keys of concepts.
    """
    areas, pair_areas, keys = shared
    how, most, width, nodes = rule
    formula = np.zeros(2 * max(most, SHORT) - 1, np.int64)
    if how == EXACT and most <= SHORT:
        best, numbers = search_unit(counts, active, table, areas, pair_areas, most, goal, scratch)
        formula[: len(numbers)] = numbers
        return best, formula, True
    start = beam_unit(counts, active, table, areas, keys, most, width, goal)
    if how == BEAM:
        formula[: len(start[1])] = start[1]
        return start[0], formula, False
    best, numbers = search_unit(counts, active, table, areas, pair_areas, SHORT, goal, scratch)
    if best[0] * start[0][1] >= start[0][0] * best[1]:
        formula[: len(numbers)] = numbers
        start = best, formula.copy()
    best, numbers, whole = tree_unit(counts, active, table, areas, keys, most, start, nodes, goal)
    formula[: len(numbers)] = numbers
    return best, formula, whole


@compiled
def add_parts(entries, first, parts, counts):
    """counts[row] = the active pixels of some parts of a unit, whose parts are from `first` on; the sum."""
    offsets, rows, pixels = entries
    counts[:] = 0
    active = np.int64(0)
    for part in parts:
        for k in range(offsets[first + part], offsets[first + part + 1]):
            counts[rows[k]] += pixels[k]
            active += np.int64(pixels[k])
    return active


@compiled
def count_reaching(entries, first, draws, rule, table, shared, goal, enough):
    """How many draws, each a list of parts, have a formula that reaches the goal, and how many were drawn.

    It ends when `enough` have. What no choice of rows reaches is not searched.
    """
    counts, none, reached = np.zeros(len(table[2]), np.int64), np.zeros(2, np.int64), 0
    scratch = make_scratch(len(shared[0]))
    wanted = goal[0] / goal[1]
    for draw in range(len(draws)):
        active = add_parts(entries, first, draws[draw], counts)
        if active == 0 or bound_unit(counts, active, table[0], table[2]) < wanted * (1 - 1e-12):
            continue
        best, _, whole = search_by(rule, counts, active, table, shared, goal, scratch)
        if rule[0] == EXACT and not whole and not reaches(best, goal):
            # It ran out of nodes, which from below may lead elsewhere: what counts is the unit's own search.
            best = search_by(rule, counts, active, table, shared, none, scratch)[0]
        reached += best[0] > 0 and reaches(best, goal)
        if reached == enough:
            return reached, draw + 1
    return reached, len(draws)
