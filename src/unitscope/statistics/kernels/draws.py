"""The compiled loops that add up slots to draws, and count how many of them reach the truth.

`shared[row, column]` and `active[row, category]` are what a unit's masks share with the labels of every slot
of every block (`unitscope.statistics.kernels.coarse`); a draw is a row of each block. Columns are concepts,
sorted by category: those of category k are columns[k] to columns[k + 1].
"""

import numpy as np

from unitscope.statistics.kernels.compiled import between, compiled

STRIP = 128
"""So many columns are added up at a time."""

FEW = 10
"""Draws go on until so many have reached the truth, or all are drawn."""


@compiled
def add_rows(rows, picked, total):
    """total[c] = the sum of rows[r, c] over the picked r; four at a time, so that it is stored less often."""
    total[:] = 0
    fours = len(picked) // 4 * 4
    for b in range(0, fours, 4):
        one, two, three, four = rows[picked[b]], rows[picked[b + 1]], rows[picked[b + 2]], rows[picked[b + 3]]
        for c in between(0, STRIP):
            total[c] += (one[c] + two[c]) + (three[c] + four[c])
    for b in range(fours, len(picked)):
        row = rows[picked[b]]
        for c in between(0, STRIP):
            total[c] += row[c]


@compiled
def best_of_draws(draws, shared, active, areas, columns):
    """The best IoU over all columns of every draw, as the bits of a float32.

    Numbers that are not negative are in the order of their bits, and whole numbers are compared many at a
    time. Columns are taken in strips, so that what is added up stays in the cache.
    """
    best = np.zeros(len(draws), np.int32)
    strip, total = np.zeros((len(shared), STRIP), np.float32), np.empty(STRIP, np.float32)
    ratio = np.empty(STRIP, np.float32)
    bits = ratio.view(np.int32)
    for k in range(len(columns) - 1):
        entering = np.zeros(len(draws) if columns[k + 1] > columns[k] else 0, np.float32)
        for d in range(len(entering)):
            for r in draws[d]:
                entering[d] += active[r, k]
        for begin in range(columns[k], columns[k + 1], STRIP):
            wide = min(STRIP, columns[k + 1] - begin)
            area = areas[begin : begin + wide]
            for r in range(len(shared)):
                row, new = shared[r], strip[r]
                for c in between(0, wide):
                    new[c] = row[np.uint64(begin) + c]
            for d in range(len(draws)):
                add_rows(strip, draws[d], total)
                enters, most = entering[d], best[d]
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
def keep_columns(limit, least, columns):
    """The columns whose bound is not below `least`, and where categories begin among them."""
    kept, starts = np.empty(len(limit), np.uint32), np.zeros(len(columns), np.int64)
    n = 0
    for k in range(len(columns) - 1):
        for c in range(columns[k], columns[k + 1]):
            if limit[c] >= least:
                kept[n] = c
                n += 1
        starts[k + 1] = n
    return kept[:n], starts


@compiled
def take_columns(shared, kept, room):
    """shared[:, kept], in `room`."""
    some = room[: len(shared) * len(kept)].reshape(len(shared), len(kept))
    for r in range(len(shared)):
        row, new = shared[r], some[r]
        for c in between(0, len(kept)):
            new[c] = row[np.uint64(kept[c])]
    return some


@compiled
def rank_draws(shared, active, rows, areas, columns, draws, whole, judged, first, room):
    """p-values of the truth, whole[0], and of the `judged` - 1 whole slots after it; the best IoU of all of
    `whole`.

    `room` is for work, as much as `shared` takes. p is counted: of `first` draws where at least `FEW` reach
    the value, else of as many as it takes until `FEW` have, or all.
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
        kept, starts = keep_columns(limit, least, columns)
        some = take_columns(shared, kept, room)
        values = best_of_draws(draws[begin:end], some, active, areas[kept], starts)
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
