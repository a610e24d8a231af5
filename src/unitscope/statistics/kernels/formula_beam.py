"""The compiled searches for longer formulas: by a beam, and by trying all that bounds leave.

Both go on from a formula by one sweep over its rows: active pixels N and pixels A of `X AND c` for all
concepts c are sums over them, and OR and AND NOT follow by subtraction. Rows that a formula holds in are told
by the xor of their keys (`formula_search` says what a table and a goal are), so that equivalents count once.
A formula lies in numbers: concept, join, concept, join, concept and so on.
"""

import numpy as np

from unitscope.statistics.kernels.compiled import compiled
from unitscope.statistics.kernels.formula_search import AND, NOT, OR, comes_first, has, reaches

SEEN = 1 << 16
"""So many formulas that were gone on from are remembered, so that equivalents are not again."""


@compiled
def mark_rows(formula, length, table, inside):
    """Which rows a formula holds in."""
    concept_starts, concept_rows, bits = table[3], table[4], table[5]
    inside[:] = False
    for k in range(concept_starts[formula[0]], concept_starts[formula[0] + 1]):
        inside[concept_rows[k]] = True
    for place in range(1, 2 * length - 1, 2):
        op, c = formula[place], formula[place + 1]
        if op == AND:
            for row in np.flatnonzero(inside):
                inside[row] = has(bits, row, c)
            continue
        for k in range(concept_starts[c], concept_starts[c + 1]):
            inside[concept_rows[k]] = op == OR


@compiled
def sum_inside(inside, counts, weights, table, sums):
    """By concept what the rows have in which it and a formula are: n, area, key, weight, into `sums`."""
    starts, members, area, keys = table[0], table[1], table[2], table[6]
    n, pixels, xor, weight = sums
    n[:], pixels[:], xor[:], weight[:] = 0, 0, np.uint64(0), 0.0
    for row in np.flatnonzero(inside):
        for k in range(starts[row], starts[row + 1]):
            c = members[k]
            n[c] += counts[row]
            pixels[c] += area[row]
            xor[c] ^= keys[row]
            weight[c] += weights[row]


@compiled
def make_sums(many):
    """Room for the sums over what meets a formula, by concept."""
    return np.zeros(many, np.int64), np.zeros(many, np.int64), np.zeros(many, np.uint64), np.zeros(many)


@compiled
def spell_next(formula, length, op, concept, areas, out):
    """The numbers of a formula with one concept more; of two the larger is first where they may change."""
    out[: 2 * length - 1] = formula[: 2 * length - 1]
    out[2 * length - 1], out[2 * length] = op, concept
    a, b = out[0], concept
    if length == 1 and op != NOT and (areas[b] > areas[a] or (areas[b] == areas[a] and b < a)):
        out[0], out[2] = b, a


@compiled
def push(beam, filled, found, numbers, areas):
    """Puts a formula, (n, union, length, key), into the beam if it is among the best; how many are in it."""
    n, union, length, key = found
    figures, keys, formulas = beam
    width = len(keys)
    place = filled
    while place > 0:
        other = figures[place - 1]
        ahead = n * other[1] - other[0] * union
        if ahead < 0 or (
            ahead == 0 and not comes_first(length, numbers, other[2], formulas[place - 1], areas)
        ):
            break
        place -= 1
    last = filled
    for k in range(filled):
        if keys[k] == key and figures[k, 0] == n and figures[k, 1] == union:
            if k < place:
                return filled  # the same rows, spelled in a way that comes first
            last = k
            break
    if place >= width:
        return filled
    if last == filled:
        filled = min(filled + 1, width)
        last = filled - 1
    for k in range(last, place, -1):
        figures[k], keys[k], formulas[k] = figures[k - 1], keys[k - 1], formulas[k - 1]
    figures[place, 0], figures[place, 1], figures[place, 2] = n, union, length
    keys[place] = key
    formulas[place] = numbers
    return filled


@compiled
def beam_unit(counts, active, table, areas, concept_keys, most, width, goal):
    """The best formula of up to `most` concepts that a beam finds: n, union, length; and its numbers.

    At every length all formulas in the beam are joined to all concepts, and the best are kept, shorter ones
    included. Ties are as in `search_unit`.
    """
    many, longest = len(areas), 2 * most - 1
    beam = (np.zeros((width, 3), np.int64), np.zeros(width, np.uint64), np.zeros((width, longest), np.int64))
    numbers, filled = np.zeros(longest, np.int64), 0
    sums, one = make_sums(many), np.zeros(many, np.int64)
    nothing = np.zeros(len(counts))
    inside = counts > 0
    sum_inside(inside, counts, nothing, table, sums)
    one[:] = sums[0]
    for c in range(many):
        numbers[0] = c
        found = (one[c], active + areas[c] - one[c], 1, concept_keys[c])
        filled = push(beam, filled, found, numbers, areas)
    for length in range(1, most):
        if reaches(beam[0][0], goal):
            break
        figures, keys, formulas = beam[0].copy(), beam[1].copy(), beam[2].copy()
        for k in range(filled):
            if figures[k, 2] < length or figures[k, 0] == 0:
                continue  # what follows from it has been seen
            n_all = figures[k, 0]
            area_all = figures[k, 1] - active + n_all
            mark_rows(formulas[k], length, table, inside)
            sum_inside(inside, counts, nothing, table, sums)
            n, pixels, xor = sums[0], sums[1], sums[2]
            for c in range(many):
                for op in range(3):
                    key = xor[c]
                    if op == OR:
                        more, area = n_all + one[c] - n[c], area_all + areas[c] - pixels[c]
                        key ^= keys[k] ^ concept_keys[c]
                    elif op == AND:
                        more, area = n[c], pixels[c]
                    else:
                        more, area = n_all - n[c], area_all - pixels[c]
                        key ^= keys[k]
                    union, worst = active + area - more, beam[0][width - 1]
                    if more == 0 or (filled == width and more * worst[1] < worst[0] * union):
                        continue
                    spell_next(formulas[k], length, op, c, areas, numbers)
                    filled = push(beam, filled, (more, union, length + 1, key), numbers, areas)
    return beam[0][0], beam[2][0]


@compiled
def sum_largest(weights, many):
    """sums[k], the sum of the k largest of some weights."""
    ranked = np.sort(weights)[::-1]
    sums = np.zeros(many + 1)
    for k in range(min(many, len(ranked))):
        sums[k + 1] = sums[k] + ranked[k]
    for k in range(len(ranked), many):
        sums[k + 1] = sums[k]
    return sums


@compiled
def tree_unit(counts, active, table, areas, concept_keys, most, start, nodes, goal):
    """From a first answer, (figures, numbers), on to the best of all formulas of up to `most` concepts.

    Formulas are gone on from depth first, those with the highest bound first, `nodes` of them at most. With w
    the weight at the best IoU so far, p the sum of its positive parts, and r concepts to come: if all are
    joined by OR, no more is added than the r largest p; if not, the formula lies inside of it and r - 1
    others. The figures, the numbers, and whether the search came to its end.
    """
    many, rows_of = len(areas), table[2]
    best, formula, longest = start[0].copy(), start[1].copy(), 2 * most - 1
    if best[0] == 0 or reaches(best, goal):
        return best, formula, best[0] > 0
    bar = best if goal[0] == 0 else goal
    t = bar[0] / bar[1]
    weights = np.maximum(counts - t * (rows_of - counts), 0.0)
    sums, inside = make_sums(many), counts > 0
    sum_inside(inside, counts, weights, table, sums)
    one, weight_one = sums[0].copy(), sums[3].copy()
    largest = sum_largest(weight_one, most)
    seen, seen_at = np.zeros(SEEN, np.uint64), np.zeros(SEEN, np.int64)
    # By length: formulas that are to be gone on from, in the order of their bounds.
    ahead = np.zeros((most, 3 * many), np.int64)
    bounds = np.zeros((most, 3 * many))
    figures = np.zeros((most, 3 * many, 2), np.int64)
    keys = np.zeros((most, 3 * many), np.uint64)
    filled, here = np.zeros(most, np.int64), np.zeros(most, np.int64)
    path, numbers = np.zeros((most, longest), np.int64), np.zeros(longest, np.int64)
    for c in range(many):
        bounds[0, c] = max(
            one[c] - t * (areas[c] - one[c]) + largest[most - 1], weight_one[c] + largest[most - 2]
        )
        figures[0, c, 0], figures[0, c, 1], keys[0, c] = one[c], areas[c], concept_keys[c]
    ahead[0, :many] = np.argsort(-bounds[0, :many], kind="mergesort")
    filled[0], level, opened = many, 0, 0
    while level >= 0:
        least = t * active * (1 - 1e-12) - 1e-6
        if here[level] == filled[level] or bounds[level, ahead[level, here[level]]] <= least:
            level -= 1
            continue
        chosen = ahead[level, here[level]]
        here[level] += 1
        if level == 0:
            path[0, 0] = chosen
        else:
            op, c = chosen % 3, chosen // 3
            spell_next(path[level - 1], level, op, c, areas, path[level])
        key, length = keys[level, chosen], level + 1
        slot = np.int64(key & np.uint64(SEEN - 1))
        if seen[slot] == key and 0 < seen_at[slot] <= length:
            continue
        seen[slot], seen_at[slot] = key, length
        if opened == nodes:
            return best, formula, False
        opened += 1
        n_all, area_all = figures[level, chosen, 0], figures[level, chosen, 1]
        mark_rows(path[level], length, table, inside)
        sum_inside(inside, counts, weights, table, sums)
        n, pixels, xor, weight = sums
        positive_all = 0.0
        for row in np.flatnonzero(inside):
            positive_all += weights[row]
        left = most - length - 1
        for c in range(many):
            for op in range(3):
                child = 3 * c + op
                if op == OR:
                    more, area = n_all + one[c] - n[c], area_all + areas[c] - pixels[c]
                    inner, child_key = (
                        positive_all + weight_one[c] - weight[c],
                        xor[c] ^ key ^ concept_keys[c],
                    )
                elif op == AND:
                    more, area, inner, child_key = n[c], pixels[c], weight[c], xor[c]
                else:
                    more, area = n_all - n[c], area_all - pixels[c]
                    inner, child_key = positive_all - weight[c], xor[c] ^ key
                union = active + area - more
                if more * bar[1] >= bar[0] * union:
                    spell_next(path[level], length, op, c, areas, numbers)
                    left_side, right_side = more * best[1], best[0] * union
                    if left_side > right_side or (
                        left_side == right_side and comes_first(length + 1, numbers, best[2], formula, areas)
                    ):
                        best[0], best[1], best[2] = more, union, length + 1
                        formula[:] = numbers
                        if reaches(best, goal):
                            return best, formula, True
                        t = bar[0] / bar[1]
                if left > 0:
                    bounds[length, child] = -1.0
                    if more > 0:
                        bounds[length, child] = max(
                            more - t * (area - more) + largest[left], inner + largest[left - 1]
                        )
                    figures[length, child, 0], figures[length, child, 1] = more, area
                    keys[length, child] = child_key
        if left > 0:
            ahead[length] = np.argsort(-bounds[length], kind="mergesort")
            filled[length], here[length], level = 3 * many, 0, length
    return best, formula, True
