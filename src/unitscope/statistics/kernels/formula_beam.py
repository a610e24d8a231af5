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
    numbers, filled = np.zeros(longest, np.int64), np.int64(0)
    sums, one = make_sums(many), np.zeros(many, np.int64)
    nothing = np.zeros(len(counts))
    inside = counts > 0
    sum_inside(inside, counts, nothing, table, sums)
    one[:] = sums[0]
    for c in range(many):
        numbers[0] = c
        found = (one[c], active + areas[c] - one[c], np.int64(1), concept_keys[c])
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

    Formulas are gone on from depth first, those with the highest bound first, `nodes` of them at most. The
    figures, the numbers, and whether the search came to its end.
    """
    many, longest = len(areas), 2 * most - 1
    best, formula = start[0].copy(), start[1].copy()
    if best[0] == 0 or reaches(best, goal):
        return best, formula, best[0] > 0
    bar = best if goal[0] == 0 else goal
    t = bar[0] / bar[1]
    weights = np.maximum(counts - t * (table[2] - counts), 0.0)
    sums, inside = make_sums(many), counts > 0
    sum_inside(inside, counts, weights, table, sums)
    whole = (sums[0].copy(), areas, concept_keys, sums[3].copy(), sum_largest(sums[3], most))
    seen, seen_at = np.zeros(SEEN, np.uint64), np.zeros(SEEN, np.int64)
    # By length: what goes on from a formula, concept * 3 + join, in the order of its bounds; N, A and key.
    ahead, filled, here = (
        np.zeros((most, 3 * many), np.int64),
        np.zeros(most, np.int64),
        np.zeros(most, np.int64),
    )
    tree = (
        np.zeros((most, 3 * many)),
        np.zeros((most, 3 * many, 2), np.int64),
        np.zeros((most, 3 * many), np.uint64),
    )
    bounds, figures, keys = tree
    path, numbers = np.zeros((most, longest), np.int64), np.zeros(longest, np.int64)
    for c in range(many):
        bounds[0, c] = bound_longer(whole[0][c], areas[c], whole[3][c], t, most - 1, whole[4])
        figures[0, c, 0], figures[0, c, 1], keys[0, c] = whole[0][c], areas[c], concept_keys[c]
    ahead[0, :many] = np.argsort(-bounds[0, :many], kind="mergesort")
    filled[0], level, opened = many, 0, 0
    while level >= 0:
        least = bar[0] / bar[1] * active * (1 - 1e-12) - 1e-6
        if here[level] == filled[level] or bounds[level, ahead[level, here[level]]] <= least:
            level -= 1
            continue
        chosen, length = ahead[level, here[level]], level + 1
        here[level] += 1
        if level == 0:
            path[0, 0] = chosen
        else:
            spell_next(path[level - 1], level, chosen % 3, chosen // 3, areas, path[level])
        key = keys[level, chosen]
        slot = np.int64(key & np.uint64(SEEN - 1))
        if seen[slot] == key and 0 < seen_at[slot] <= length:
            continue  # another formula with the same rows was gone on from
        if opened == nodes:
            return best, formula, False
        seen[slot], seen_at[slot], opened = key, length, opened + 1
        mark_rows(path[level], length, table, inside)
        sum_inside(inside, counts, weights, table, sums)
        parent = (figures[level, chosen, 0], figures[level, chosen, 1], key, weights[inside].sum())
        go_on(best, formula, bar, active, (path[level], length, most), parent, sums, whole, tree, numbers)
        if reaches(best, goal):
            return best, formula, True
        if length < most - 1:
            ahead[length] = np.argsort(-bounds[length], kind="mergesort")
            filled[length], here[length], level = 3 * many, 0, length
    return best, formula, True


@compiled
def bound_longer(n, area, positive, t, left, largest):
    """What no formula weighs that joins up to `left` concepts to one with n of `area` active.

    If all are joined by OR, no more is added than the largest positive parts of so many concepts; if not, it
    lies within the positive part of the formula and of one concept less.
    """
    return max(n - t * (area - n) + largest[left], positive + largest[left - 1])


@compiled
def go_on(best, formula, bar, active, way, parent, sums, whole, tree, numbers):
    """Joins a formula to every concept: takes what fits better, and grows the tree where more may follow."""
    path, length, most = way
    n_all, area_all, key_all, positive_all = parent
    n, pixels, xor, weight = sums
    one, areas, concept_keys, weight_one, largest = whole
    bounds, figures, keys = tree
    t = bar[0] / bar[1]
    for c in range(len(areas)):
        for op in range(3):
            child = 3 * c + op
            if op == OR:
                more, area = n_all + one[c] - n[c], area_all + areas[c] - pixels[c]
                positive, key = positive_all + weight_one[c] - weight[c], xor[c] ^ key_all ^ concept_keys[c]
            elif op == AND:
                more, area, positive, key = n[c], pixels[c], weight[c], xor[c]
            else:
                more, area = n_all - n[c], area_all - pixels[c]
                positive, key = positive_all - weight[c], xor[c] ^ key_all
            union = active + area - more
            if more * bar[1] >= bar[0] * union:
                spell_next(path, length, op, c, areas, numbers)
                ahead = more * best[1] - best[0] * union
                if ahead > 0 or (ahead == 0 and comes_first(length + 1, numbers, best[2], formula, areas)):
                    best[0], best[1], best[2] = more, union, length + 1
                    formula[:] = numbers
                    t = bar[0] / bar[1]
            if length < most - 1:
                left = most - length - 1
                bounds[length, child] = (
                    bound_longer(more, area, positive, t, left, largest) if more > 0 else -1.0
                )
                figures[length, child, 0], figures[length, child, 1] = more, area
                keys[length, child] = key
