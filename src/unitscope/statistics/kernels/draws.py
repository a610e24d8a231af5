"""The compiled loops that add up slots to draws, and count how many of them reach the truth.

`shared[row, column]` and `active[row, category]` are what a unit's masks share with the labels of every slot of every block
(`unitscope.statistics.kernels.coarse`); a draw is a row of each block. Columns are concepts, sorted by category:
those of category k are columns[k] to columns[k + 1].
"""

import numpy as np

from unitscope.statistics.kernels.compiled import between, compiled

STRIP = 128
"""So many columns are added up at a time."""

FEW = 10
"""Draws go on until so many have reached the truth, or all are drawn."""


@compiled
def best_of_draws(draws, shared, active, areas, columns):
    """The best IoU over all columns of every draw, as the bits of a float32.

    Numbers that are not negative are in the order of their bits, and whole numbers are compared many at a time. Columns are
    taken in strips, so that what is added up stays in the cache.
    """
    best = np.zeros(len(draws), np.int32)
    entering = np.zeros((len(draws), active.shape[1]), np.float32)
    for d in range(len(draws)):
        for b in range(draws.shape[1]):
            for k in range(active.shape[1]):
                entering[d, k] += active[draws[d, b], k]
    strip, total = np.empty((len(shared), STRIP), np.float32), np.empty(STRIP, np.float32)
    ratio = np.empty(STRIP, np.float32)
    bits = ratio.view(np.int32)
    for k in range(len(columns) - 1):
        for begin in range(columns[k], columns[k + 1], STRIP):
            wide = min(STRIP, columns[k + 1] - begin)
            for r in range(len(shared)):
                row, new = shared[r], strip[r]
                for c in between(0, wide):
                    new[c] = row[np.uint64(begin) + c]
            area = areas[begin : begin + wide]
            for d in range(len(draws)):
                picked = draws[d]
                total[:] = 0
                for b in range(len(picked)):
                    row = strip[picked[b]]
                    for c in between(0, STRIP):
                        total[c] += row[c]
                enters, most = entering[d, k], best[d]
                for c in between(0, wide):
                    ratio[c] = total[c] / max(enters + area[c] - total[c], np.float32(1))
                for c in between(0, wide):
                    most = max(most, bits[c])
                best[d] = most
    return best


@compiled
def bound_columns(shared, active, rows, areas, columns):
    """No draw's IoU with the concept of a column is above this."""
    most = np.zeros(len(areas), np.float64)
    top, limit = np.empty(len(areas), np.float32), np.empty(len(areas), np.float64)
    least = np.zeros(active.shape[1], np.float64)
    for b in range(len(rows) - 1):
        top[:] = 0
        for r in range(rows[b], rows[b + 1]):
            row = shared[r]
            for c in between(0, len(areas)):
                top[c] = max(top[c], row[c])
        for c in between(0, len(areas)):
            most[c] += top[c]
        for k in range(active.shape[1]):
            least[k] += active[rows[b] : rows[b + 1], k].min()
    for k in range(len(columns) - 1):
        for c in range(columns[k], columns[k + 1]):
            # A little is left for what is rounded in the sums.
            limit[c] = 1.001 * most[c] / max(0.999 * (least[k] + areas[c] - most[c]), 0.999)
    return limit


@compiled
def keep_columns(limit, least, areas, columns):
    """The columns whose bound is not below `least`, their areas, and where categories begin among them."""
    kept, starts = np.empty(len(limit), np.int64), np.zeros(len(columns), np.int64)
    n = 0
    for k in range(len(columns) - 1):
        for c in range(columns[k], columns[k + 1]):
            if limit[c] >= least:
                kept[n] = c
                n += 1
        starts[k + 1] = n
    kept = kept[:n]
    return kept, areas[kept], starts


@compiled
def take_columns(shared, kept):
    """shared[:, kept]"""
    out = np.empty((len(shared), len(kept)), np.float32)
    for r in range(len(shared)):
        row, new = shared[r], out[r]
        for c in range(len(kept)):
            new[c] = row[kept[c]]
    return out


@compiled
def rank_draws(shared, active, rows, areas, columns, draws, whole, judged, first):
    """p-values of the truth, whole[0], and of the `judged` - 1 whole slots after it; the best IoU of all of `whole`.

    p is counted: of `first` draws where at least `FEW` reach the value, else of as many as it takes until `FEW` have, or all.
    """
    bits = best_of_draws(whole, shared, active, areas, columns)
    best = bits.view(np.float32)
    p, reached = np.ones(judged), np.zeros(judged, np.int64)
    # Nothing is 0 times above it: all draws reach 0.
    going = bits[:judged] > 0
    limit = bound_columns(shared, active, rows, areas, columns)
    begin, end = 0, first
    while going.any() and begin < len(draws):
        least = np.inf
        for j in range(judged):
            if going[j]:
                least = min(least, np.float64(best[j]))
        kept, few_areas, few_columns = keep_columns(limit, least, areas, columns)
        values = best_of_draws(draws[begin:end], take_columns(shared, kept), active, few_areas, few_columns)
        for d in range(begin, end):
            for j in range(judged):
                if going[j] and values[d - begin] >= bits[j]:
                    reached[j] += 1
                    if d >= first and reached[j] == FEW:
                        p[j] = FEW / (d + 1)
                        going[j] = False
        for j in range(judged):
            if going[j] and (end == len(draws) or (end == first and reached[j] >= FEW)):
                p[j] = (1 + reached[j]) / (1 + end)
                going[j] = False
        begin, end = end, min(2 * end, len(draws))
    return p, best
