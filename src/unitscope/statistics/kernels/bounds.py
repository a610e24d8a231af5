"""The compiled loops that raise the bounds of thresholds while the images pass."""

import numpy as np

from unitscope.statistics.kernels.compiled import between, compiled, inlined

ROUNDING = np.float32(2.0**-18)
_HALF = np.float32(0.5)


@inlined
def lower(value):
    """Just below a value, by more than interpolation can round up."""
    return value - abs(value) * ROUNDING


@inlined
def upper(value):
    """Just above a value, by more than interpolation can round down."""
    return value + abs(value) * ROUNDING


@inlined
def any_above(values, start, stop, edge):
    """Whether one of values[start:stop] lies above the edge."""
    hot = 0
    for i in between(start, stop):
        hot += values[i] > edge
    return hot > 0


@compiled
def find_largest(values, count, rank):
    """The rank-th largest of values[:count], 1 for the largest.

    By histograms of ever narrower ranges: three times as fast as the partition that numba has.
    """
    kept = values[:count].copy()
    bins = np.empty(512, np.int64)
    while True:
        low, high = np.float64(kept[0]), np.float64(kept[0])
        for i in range(count):
            low, high = min(low, np.float64(kept[i])), max(high, np.float64(kept[i]))
        if low == high:
            return kept[0]
        scale = (len(bins) - 1) / (high - low)
        bins[:] = 0
        for i in range(count):
            bins[int((kept[i] - low) * scale)] += 1
        b = len(bins) - 1
        while bins[b] < rank:
            rank -= bins[b]
            b -= 1
        n = 0
        for i in range(count):
            kept[n] = kept[i]
            n += int((kept[i] - low) * scale) == b
        count = n


@compiled
def keep_largest(values, fill, keep):
    """Move the `keep` largest of values[:fill] to the front; returns the smallest of them."""
    least = find_largest(values, fill, keep)
    n = 0
    for i in range(fill):
        value = values[i]
        values[n] = value
        n += value > least
    values[n:keep] = least
    return least


@compiled
def push_tail(rows, units, bound, values, fill, keep):
    """Add the entries of rows[image, unit, :] above the unit's bound to its largest values.

    For units[0] <= unit < units[1], so that threads can share the units.
    `bound[u]` rises to the keep-th largest value seen so far.
    """
    images, total, size = rows.shape
    flat = rows.reshape(-1)
    capacity = values.shape[1]
    for u in range(units[0], units[1]):
        t, n = bound[u], fill[u]
        for b in range(images):
            start = (b * total + u) * size
            if not any_above(flat, start, start + size, t):
                continue
            for i in between(start, start + size):
                if flat[i] > t:
                    values[u, n] = flat[i]
                    n += 1
                    if n == capacity:
                        t = max(t, keep_largest(values[u], n, keep))
                        n = keep
        if n >= keep + keep // 4 or (n >= keep and t == -np.inf):
            t = max(t, keep_largest(values[u], n, keep))
            n = keep
        bound[u], fill[u] = t, n


@inlined
def find_plateaus(flat, at, across, along, opposite, closed, halved, least):
    """The least value over every cell, or over its quarter next to one corner; -inf where it is closed.

    Four offsets say where the corners are, the quarter's own first. A bilinear surface over a rectangle is
    smallest at one of its corners; what interpolation may round away is taken off.
    """
    a0, b0, c0, d0 = np.uint64(at), np.uint64(across), np.uint64(along), np.uint64(opposite)
    for i in between(0, len(least)):
        a, b, c, d = flat[a0 + i], flat[b0 + i], flat[c0 + i], flat[d0 + i]
        spare = (abs(a) + abs(b) + abs(c) + abs(d)) * ROUNDING + closed[i]
        if halved:
            b, c, d = _HALF * a + _HALF * b, _HALF * a + _HALF * c, _HALF * c + _HALF * d
            d = _HALF * b + _HALF * d
        least[i] = min(min(a, b), min(c, d)) - spare


@compiled
def push_plateaus(maps, units, bound, values, fill, keep, inner, halved):
    """The same for inner cells, or the quarters of each: no pixel in one lies below its smallest corner."""
    images, total, height, width = maps.shape
    (y0, y1), (x0, x1) = inner
    flat, area, capacity = maps.reshape(-1), height * width, values.shape[1]
    first, right, down = y0 * width + x0, min(width - 1, 1), width if height > 1 else 0
    size = (y1 - 1) * width + x1 - first
    least = np.empty(size, np.float32)
    closed = np.zeros(size, np.float32)
    for i in range(size):
        if not x0 <= (first + i) % width < x1:
            closed[i] = np.inf
    for u in range(units[0], units[1]):
        t, n = bound[u], fill[u]
        for b in range(images):
            start = (b * total + u) * area
            if not any_above(flat, start, start + area, t):
                continue
            for quarter in range(4 if halved else 1):
                # The quarter's outer corner, and from there to the others.
                x, y = quarter % 2, quarter // 2
                at = start + first + y * down + x * right
                across, along = right - 2 * x * right, down - 2 * y * down
                find_plateaus(flat, at, at + across, at + along, at + across + along, closed, halved, least)
                if not any_above(least, 0, size, t):
                    continue
                for i in between(0, size):
                    if least[i] > t:
                        values[u, n] = least[i]
                        n += 1
                        if n == capacity:
                            t = max(t, keep_largest(values[u], n, keep))
                            n = keep
        if n >= keep + keep // 4 or (n >= keep and t == -np.inf):
            t = max(t, keep_largest(values[u], n, keep))
            n = keep
        bound[u], fill[u] = t, n


@compiled
def halve_medians(counts, size, cells, values, chosen):
    """Half of the median of the positive values of every chosen unit, 0 of one that has none, and of others.

    Of an even number of values it is the mean of the two in the middle, in float64.
    """
    halves = np.zeros(len(counts), np.float32)
    positive = np.empty(1024, np.float32)
    r, p = 0, 0
    for u in range(len(counts)):
        stop = p + size[r : r + counts[u]].sum()
        r += counts[u]
        if not chosen[u]:
            p = stop
            continue
        if stop - p > len(positive):
            positive = np.empty(2 * (stop - p), np.float32)
        n = 0
        for i in range(p, stop):
            positive[n] = values[i]
            n += values[i] > 0
        p = stop
        if n > 0:
            above = np.float64(find_largest(positive, n, (n + 1) // 2))
            below = np.float64(find_largest(positive, n, n // 2 + 1))
            halves[u] = np.float32((above + below) / 4)
    return halves


@compiled
def rank_cells(counts, image, size, cells, values, bound, rank, ring, height, width):
    """The rank-th largest value of every unit's records, or its bound if fewer are above that.

    Cells in a ring of that width around the map are left out.
    """
    ranked = np.empty(len(counts), np.float32)
    above = np.empty(1024, np.float32)
    r, p = 0, 0
    for u in range(len(counts)):
        stop = p + size[r : r + counts[u]].sum()
        r += counts[u]
        if stop - p > len(above):
            above = np.empty(2 * (stop - p), np.float32)
        n = 0
        for i in range(p, stop):
            taken = values[i] > bound[u]
            if ring > 0:
                y, x = np.int64(cells[i]) // width, np.int64(cells[i]) % width
                taken &= (y >= ring) & (y < height - ring) & (x >= ring) & (x < width - ring)
            above[n] = values[i]
            n += taken
        p = stop
        ranked[u] = find_largest(above, n, rank) if n >= rank else bound[u]
    return ranked
