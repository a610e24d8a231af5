"""The compiled search for the formula over concepts that fits a unit best, among all of up to three concepts.

A set of labels is a row of a table; a formula holds on whole rows. With N active pixels and A pixels in its
rows and M active pixels in all, its IoU is N / (M + A - N). So it beats an IoU of t if and only if its
weight, the sum over its rows of n - t (a - n), is above t M: a sum, of which parts give bounds. Weights are
floats and only rule out; what is left is decided on integers.

A `table` is of arrays: starts, members, area (by row), concept_starts, concept_rows, bits (which concepts a
row has, a bit each), and the keys of rows, random numbers of which the xor says which rows they are. A `goal`
is an IoU as two integers, 0 and 1 for none: a search that has one ends as soon as a formula reaches it.
"""

import numpy as np

from unitscope.statistics.kernels.compiled import compiled, inlined

OR, AND, NOT = 0, 1, 2
"""How the next concept is joined; a formula is ((a op b) op c), and lies in five numbers: a, op, b, op, c."""


@compiled
def has(bits, row, concept):
    """Whether a row has a concept."""
    return (bits[row, concept >> 6] >> np.uint64(concept & 63)) & np.uint64(1) != 0


@compiled
def reaches(best, goal):
    """Whether there is a goal, and the best formula is as good."""
    return goal[0] > 0 and best[0] * goal[1] >= goal[0] * best[1]


@compiled
def bound_unit(counts, active, starts, area):
    """The best IoU of any choice of rows with labels: those of which most is active go first."""
    rows = np.flatnonzero(counts)
    share = np.ones(len(rows))
    for k in range(len(rows)):
        if starts[rows[k] + 1] > starts[rows[k]]:
            share[k] = -(counts[rows[k]] / area[rows[k]])
    inside, idle, most = 0, 0, 0.0
    for k in np.argsort(share, kind="mergesort"):
        if share[k] > 0:  # no formula holds without labels
            break
        inside += counts[rows[k]]
        idle += area[rows[k]] - counts[rows[k]]
        most = max(most, inside / (active + idle))
    return most


@compiled
def sum_concepts(rows, values, starts, members, one):
    """Adds the values of rows to one[c] for each of their members c."""
    for i in range(len(rows)):
        for k in range(starts[rows[i]], starts[rows[i] + 1]):
            one[members[k]] += values[i]


@compiled
def sum_pairs(rows, values, starts, members, two):
    """Adds the values of rows to two[c, d] where both are among their members."""
    for i in range(len(rows)):
        for k in range(starts[rows[i]], starts[rows[i] + 1]):
            c = members[k]
            for m in range(k + 1, starts[rows[i] + 1]):
                two[c, members[m]] += values[i]
                two[members[m], c] += values[i]


@compiled
def clear_pairs(rows, starts, members, two, other):
    """Makes what `sum_pairs` added to 0 again: of many concepts most pairs meet nowhere."""
    for i in range(len(rows)):
        for k in range(starts[rows[i]], starts[rows[i] + 1]):
            c = members[k]
            for m in range(starts[rows[i]], starts[rows[i] + 1]):
                two[c, members[m]], other[c, members[m]] = 0, 0.0


@compiled
def join(op, left, right, both):
    """A sum over the rows of (left op right), of those over the rows of each and of both."""
    if op == OR:
        return left + right - both
    return both if op == AND else left - both


@compiled
def comes_first(length, formula, other_length, other, areas):
    """Of two formulas that fit as well: the shorter, with fewer NOT, larger concepts, first ids, OR first."""
    if length != other_length:
        return length < other_length
    nots, other_nots = 0, 0
    for k in range(1, 2 * length - 1, 2):
        nots += formula[k] == NOT
        other_nots += other[k] == NOT
    if nots != other_nots:
        return nots < other_nots
    for k in range(0, 2 * length - 1, 2):
        if areas[formula[k]] != areas[other[k]]:
            return areas[formula[k]] > areas[other[k]]
    for step in range(2):  # concepts, then what joins them
        for k in range(step, 2 * length - 1, 2):
            if formula[k] != other[k]:
                return formula[k] < other[k]
    return False


@compiled
def offer(best, formula, intersection, union, length, a, op, b, op2, c, areas, trial):
    """Takes a formula that fits better than the best, or as well and comes first; whether it fits better."""
    left, right = intersection * best[1], best[0] * union
    if best[2] and left < right:
        return False
    if length > 1 and op != NOT and (areas[b] > areas[a] or (areas[b] == areas[a] and b < a)):
        a, b = b, a
    trial[0], trial[1], trial[2], trial[3], trial[4] = a, op, b, op2, c
    if best[2] and left == right and not comes_first(length, trial, best[2], formula, areas):
        return False
    best[0], best[1], best[2] = intersection, union, length
    formula[:] = trial
    return left > right


@compiled
def search_pairs(best, formula, active, goal, sums, areas, pair_areas, order, trial):
    """The best of the formulas of two concepts, of those that their weights leave."""
    one, two, weight_one = sums
    bar = best if goal[0] == 0 else goal
    for i in range(len(order)):
        a = order[i]
        least = bar[0] / bar[1] * active * (1 - 1e-12) - 1e-6
        if 2 * weight_one[a] <= least:
            return
        for j in range(len(order)):
            b = order[j]
            n, area = one[a] - two[a, b], areas[a] - pair_areas[a, b]
            if weight_one[a] + weight_one[b] <= least:
                break
            if a != b and n * bar[1] >= bar[0] * (active + area - n):
                offer(best, formula, n, active + area - n, 2, a, NOT, b, 0, 0, areas, trial)
            for op in range(2 if j > i else 0):
                n, area = join(op, one[a], one[b], two[a, b]), join(op, areas[a], areas[b], pair_areas[a, b])
                if n * bar[1] >= bar[0] * (active + area - n):
                    offer(best, formula, n, active + area - n, 2, a, op, b, 0, 0, areas, trial)


@compiled
def sum_meeting(a, b, counts, table, triple, triple_areas):
    """For every third concept the active pixels and all pixels of the rows that have a, b and it."""
    starts, members, area, concept_starts, concept_rows, bits = table[:6]
    triple[:] = 0
    triple_areas[:] = 0
    fewer, more = a, b
    if concept_starts[b + 1] - concept_starts[b] < concept_starts[a + 1] - concept_starts[a]:
        fewer, more = b, a
    for k in range(concept_starts[fewer], concept_starts[fewer + 1]):
        row = concept_rows[k]
        if has(bits, row, more):
            for m in range(starts[row], starts[row + 1]):
                triple[members[m]] += counts[row]
                triple_areas[members[m]] += area[row]


@compiled
def make_scratch(many):
    """Room for a search among so many concepts."""
    return (
        np.zeros(many, np.int64), np.zeros((many, many), np.int64), np.zeros(many),
        np.zeros((many, many)), np.zeros(many, np.int64), np.zeros(many, np.int64),
    )  # fmt: skip


@compiled
def search_unit(counts, active, table, areas, pair_areas, most, goal, scratch):
    """The best formula of up to `most` concepts, three at most: intersection, union, length; and its numbers.

    `counts[row]` are the unit's active pixels in each row of the table, `active` all of them. `scratch` is of
    `make_scratch`, and left as it was.
    """
    starts, members, area = table[0], table[1], table[2]
    one, two, weight_one, weight_two = scratch[:4]
    rows = np.flatnonzero(counts)
    n = counts[rows]
    one[:] = 0
    sum_concepts(rows, n, starts, members, one)
    best, formula, trial = np.zeros(3, np.int64), np.zeros(5, np.int64), np.zeros(5, np.int64)
    for a in range(len(one)):
        offer(best, formula, one[a], active + areas[a] - one[a], 1, a, 0, 0, 0, 0, areas, trial)
    if most < 2 or best[0] == 0 or reaches(best, goal):
        return best, formula
    bar = best if goal[0] == 0 else goal
    order = weigh_concepts(rows, n, bar, table, weight_one)
    if weight_one[order[:most]].sum() <= bar[0] / bar[1] * active * (1 - 1e-12) - 1e-6:
        return best, formula
    sum_pairs(rows, n, starts, members, two)
    search_pairs(best, formula, active, goal, (one, two, weight_one), areas, pair_areas, order, trial)
    if most > 2 and not reaches(best, goal):
        order = weigh_concepts(rows, n, bar, table, weight_one)
        t = bar[0] / bar[1]
        sum_pairs(rows, np.maximum(n - t * (area[rows] - n), 0.0), starts, members, weight_two)
        search_triples(best, formula, counts, active, table, areas, pair_areas, goal, scratch, order, trial)
    clear_pairs(rows, starts, members, two, weight_two)
    return best, formula


@compiled
def weigh_concepts(rows, n, bar, table, weight_one):
    """The positive part of the weight of every concept, at the IoU of the bar; the largest first."""
    t = bar[0] / bar[1]
    weight_one[:] = 0
    weights = np.maximum(n - t * (table[2][rows] - n), 0.0)
    sum_concepts(rows, weights, table[0], table[1], weight_one)
    return np.argsort(-weight_one, kind="mergesort")


@compiled
def search_triples(best, formula, counts, active, table, areas, pair_areas, goal, scratch, order, trial):
    """The best of the formulas of three concepts, of those that their weights leave."""
    one, two, weight_one, weight_two = scratch[:4]
    bar, idle, top = best if goal[0] == 0 else goal, areas - one, weight_one[order[0]]
    t = bar[0] / bar[1]
    most_alone, least = np.max(one - t * idle), t * active * (1 - 1e-12) - 1e-6
    tried = order[: np.searchsorted(-weight_one[order], 2 * top - least)]  # others are in no pair
    most = bound_concepts(t, one, areas, tried, (two, pair_areas, weight_two))
    state = (best, formula, trial, goal, bar)
    units = (counts, active, table, areas, pair_areas, scratch, order, np.argsort(-idle, kind="mergesort"))
    for i in range(len(order)):
        a = order[i]
        for j in range(i + 1, len(order)):
            b = order[j]
            t = bar[0] / bar[1]
            least = t * active * (1 - 1e-12) - 1e-6
            # No formula of these two and a third has more than the three together.
            if weight_one[a] + weight_one[b] + top <= least:
                break
            swept = np.bool_(False)
            # a OR b, a AND b, a AND NOT b, b AND NOT a; where they do not meet the others are shorter ones.
            for form in range(4 if pair_areas[a, b] > 0 else 1):
                q, r, op = (b, a, NOT) if form == 3 else (a, b, form)
                n_two = join(op, one[q], one[r], two[a, b])
                if n_two == 0:
                    continue
                area_two = join(op, areas[q], areas[r], pair_areas[a, b])
                inside = join(op, weight_one[q], weight_one[r], weight_two[a, b])
                both, less = bound_pair(op, q, r, inside, t, most, weight_one, pair_areas[a, b] - two[a, b])
                weight = n_two - t * (area_two - n_two)
                can_or = weight + top > least and most_alone + inside > least
                pair, can = (q, r, op, n_two, area_two, inside), (can_or, both > least, less > least)
                if can[0] or can[1] or can[2]:
                    swept = search_thirds(state, pair, can, swept, units)
                    if reaches(best, goal):
                        return


@compiled
def search_thirds(state, pair, can, swept, units):
    """The best of (q op r) joined to a third concept, as it can be; whether the pair's triples are summed."""
    best, formula, trial, goal, bar = state
    q, r, op, n_two, area_two, inside = pair
    counts, active, table, areas, pair_areas, scratch, order, by_idle = units
    one, two, weight_one, weight_two = scratch[:4]
    for removes in range(0 if can[0] or can[1] else 1, 2 if can[2] else 1):  # OR and AND, then AND NOT
        for c in by_idle if removes else order:
            t = bar[0] / bar[1]
            least = t * active * (1 - 1e-12) - 1e-6
            weight, alone = n_two - t * (area_two - n_two), one[c] - t * (areas[c] - one[c])
            gain = t * (areas[c] - one[c]) if removes else weight_one[c]
            may_or, may_and = can[0] and weight + gain > least, can[1] and gain > least
            if not (weight + gain > least if removes else may_or or may_and):
                break
            if c in (q, r) or (not removes and not may_and and alone + inside <= least):
                continue
            bound, meeting = (weight, inside, alone, t), (two, pair_areas, weight_one, weight_two)
            first, second = bound_third(op, q, r, c, removes, bound, meeting)
            if first <= least and second <= least:
                continue
            meets_all = pair_areas[q, r] > 0 and pair_areas[q, c] > 0 and pair_areas[r, c] > 0
            if meets_all and not swept:
                sum_meeting(q, r, counts, table, scratch[4], scratch[5])
                swept = True
            n_three, area_three = (scratch[4][c], scratch[5][c]) if meets_all else (0, 0)
            meets = join(op, two[q, c], two[r, c], n_three)
            meets_area = join(op, pair_areas[q, c], pair_areas[r, c], area_three)
            for last in range(NOT, NOT + 1) if removes else range(NOT):
                found = join(last, n_two, one[c], meets)
                union = active + join(last, area_two, areas[c], meets_area) - found
                if found * bar[1] >= bar[0] * union:
                    offer(best, formula, found, union, 3, q, op, r, last, c, areas, trial)
                    if reaches(best, goal):
                        return swept
    return swept


@inlined
def bound_pair(op, q, r, inside, t, most, weight_one, idle):
    """What (q op r) joined to any third concept by AND, and by AND NOT, cannot outweigh."""
    with_most, without_most, meet_most = most
    if op == OR:
        both = min(with_most[q] + meet_most[r], with_most[r] + meet_most[q])
        less = min(without_most[q] + weight_one[r], without_most[r] + weight_one[q])
        return min(inside, both), min(inside, less)
    if op == NOT:
        return min(inside, with_most[q] + t * idle), min(inside, without_most[q] + t * idle)
    return inside, inside


@compiled
def bound_concepts(t, one, areas, tried, meeting):
    """By concept a, over all c: the most weight of a AND c, of a AND NOT c, and what a AND c can add."""
    two, pair_areas, weight_two = meeting
    many = len(one)
    with_most, without_most, meet_most = np.zeros(many), np.zeros(many), np.zeros(many)
    for a in tried:
        alone = one[a] - t * (areas[a] - one[a])
        least, most, meets = 0.0, -np.inf, 0.0
        for c in range(many):
            if c != a:
                both = two[a, c] - t * (pair_areas[a, c] - two[a, c])
                least, most, meets = min(least, both), max(most, both), max(meets, weight_two[a, c])
        with_most[a], without_most[a], meet_most[a] = most, alone - least, meets
    return with_most, without_most, meet_most


@inlined
def bound_third(op, q, r, c, removes, bound, meeting):
    """What the weight of (q op r) joined to c by OR, and by AND, cannot exceed; or by AND NOT, twice.

    What OR adds to either lies in the other, what AND leaves lies in both; AND NOT takes idle pixels away at
    most, and of those no more than there are in both.
    """
    weight, inside, alone, t = bound
    two, pair_areas, weight_one, weight_two = meeting
    meets_q, meets_r = weight_two[q, c], weight_two[r, c]
    idle_q, idle_r = pair_areas[q, c] - two[q, c], pair_areas[r, c] - two[r, c]
    if removes:
        less = idle_q if op == NOT else idle_q + idle_r if op == OR else min(idle_q, idle_r)
        most = min(inside, weight + t * less)
        return most, most
    whole_q, whole_r = two[q, c] - t * idle_q, two[r, c] - t * idle_r
    if op == OR:
        shared = max(meets_q, meets_r)
        both = min(meets_q + meets_r, min(whole_q + meets_r, whole_r + meets_q))
        either = min(weight + weight_one[c] - shared, alone + inside - shared)
        return either, min(inside, min(weight_one[c], both))
    between = pair_areas[q, r] - two[q, r]
    both = min(meets_q, meets_r) if op == AND else min(meets_q, whole_q + t * min(between, idle_r))
    return min(weight + weight_one[c], alone + inside), min(inside, both)
