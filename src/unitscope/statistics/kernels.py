"""The compiled inner loops. Each has a slow twin in the tests that says the same in plain numpy.

All release the interpreter lock, so callers spread units over threads. A value interpolated
between four corners may exceed the largest of them by a rounding error; `lower` and `upper` widen a
threshold by more than that error before whole cells are skipped or filled.
"""

import numpy as np

from unitscope.statistics.compiled import compiled

_ROUNDING = np.float32(2.0**-18)
_ONE = np.float32(1)


@compiled
def lower(threshold):
    """Just below a threshold, by more than interpolation can round up."""
    return threshold - abs(threshold) * _ROUNDING


@compiled
def upper(threshold):
    """Just above a threshold, by more than interpolation can round down."""
    return threshold + abs(threshold) * _ROUNDING


@compiled
def keep_largest(values, fill, keep):
    """Move the `keep` largest of values[:fill] to the front; returns the smallest of them."""
    ordered = np.partition(values[:fill], fill - keep)
    values[:keep] = ordered[fill - keep :]
    return ordered[fill - keep]


@compiled
def push_tail(rows, units, bound, values, fill, keep):
    """Add the entries of rows[image, unit, :] above the unit's bound to its largest values.

    For units[0] <= unit < units[1], so that threads can share the units.
    `bound[u]` rises to the keep-th largest value seen so far.
    """
    capacity = values.shape[1]
    size = rows.shape[2]
    for u in range(units[0], units[1]):
        t, n = bound[u], fill[u]
        for b in range(rows.shape[0]):
            row = rows[b, u]
            hot = 0
            for i in range(size):
                hot += row[i] > t
            if hot == 0:
                continue
            for i in range(size):
                if row[i] > t:
                    values[u, n] = row[i]
                    n += 1
                    if n == capacity:
                        t = max(t, keep_largest(values[u], n, keep))
                        n = keep
        if n >= keep + keep // 4 or (n >= keep and t == -np.inf):
            t = max(t, keep_largest(values[u], n, keep))
            n = keep
        bound[u], fill[u] = t, n


@compiled
def push_plateaus(maps, units, bound, values, fill, keep, inner, parts):
    """The same for the parts of inner cells: no pixel of a part lies below its smallest corner.

    Every cell is cut into parts[0] x parts[1] rectangles; a bilinear surface over a rectangle is
    smallest at one of its corners.
    """
    capacity = values.shape[1]
    height, width = maps.shape[2], maps.shape[3]
    (y0, y1), (x0, x1) = inner
    above, below = np.empty(parts[1] + 1, np.float32), np.empty(parts[1] + 1, np.float32)
    for u in range(units[0], units[1]):
        t, n = bound[u], fill[u]
        for b in range(maps.shape[0]):
            flat = maps[b, u]
            hot = 0
            for y in range(height):
                for x in range(width):
                    hot += flat[y, x] > t
            if hot == 0:
                continue
            for y in range(y0, y1):
                yb = min(y + 1, height - 1)
                for x in range(x0, x1):
                    xb = min(x + 1, width - 1)
                    a00, a01, a10, a11 = flat[y, x], flat[y, xb], flat[yb, x], flat[yb, xb]
                    if max(max(a00, a01), max(a10, a11)) <= t:
                        continue
                    spare = (abs(a00) + abs(a01) + abs(a10) + abs(a11)) * _ROUNDING
                    for j in range(parts[1] + 1):
                        above[j] = a00 + (a01 - a00) * np.float32(j / parts[1])
                    for i in range(parts[0]):
                        h1 = np.float32((i + 1) / parts[0])
                        left, right = a00 + (a10 - a00) * h1, a01 + (a11 - a01) * h1
                        for j in range(parts[1] + 1):
                            below[j] = left + (right - left) * np.float32(j / parts[1])
                        for j in range(parts[1]):
                            least = min(min(above[j], above[j + 1]), min(below[j], below[j + 1])) - spare
                            if least > t:
                                values[u, n] = least
                                n += 1
                                if n == capacity:
                                    t = max(t, keep_largest(values[u], n, keep))
                                    n = keep
                        above, below = below, above
        if n >= keep + keep // 4 or (n >= keep and t == -np.inf):
            t = max(t, keep_largest(values[u], n, keep))
            n = keep
        bound[u], fill[u] = t, n


@compiled
def pack_cells(maps, units, bound, reach, first_image):
    """The cells of maps[image, unit, y, x] above the unit's bound, with neighbors up to `reach` away.

    Returns records per unit (counts), and by record: image, number of cells; and all cells and values.
    """
    images, _, height, width = maps.shape
    many = units[1] - units[0]
    counts = np.zeros(many, np.int64)
    record_image = np.empty(images * many, np.int32)
    record_size = np.empty(images * many, np.int32)
    capacity = max(1024, images * many * height * width // 16)
    cells = np.empty(capacity, np.uint32)
    values = np.empty(capacity, np.float32)
    marks = np.zeros((height, width), np.bool_)
    r, p = 0, 0
    for u in range(units[0], units[1]):
        t = lower(bound[u])
        for b in range(images):
            flat = maps[b, u]
            hot = 0
            for y in range(height):
                for x in range(width):
                    hot += flat[y, x] > t
            if hot == 0:
                continue
            if p + height * width > capacity:
                capacity = 2 * capacity + height * width
                more_cells = np.empty(capacity, np.uint32)
                more_values = np.empty(capacity, np.float32)
                more_cells[:p] = cells[:p]
                more_values[:p] = values[:p]
                cells, values = more_cells, more_values
            for y in range(height):
                for x in range(width):
                    if flat[y, x] > t:
                        for v in range(max(y - reach, 0), min(y + reach + 1, height)):
                            for w in range(max(x - reach, 0), min(x + reach + 1, width)):
                                marks[v, w] = True
            start = p
            for y in range(height):
                for x in range(width):
                    if marks[y, x]:
                        marks[y, x] = False
                        cells[p] = y * width + x
                        values[p] = flat[y, x]
                        p += 1
            record_image[r] = first_image + b
            record_size[r] = p - start
            counts[u - units[0]] += 1
            r += 1
    return counts, record_image[:r].copy(), record_size[:r].copy(), cells[:p].copy(), values[:p].copy()


@compiled
def prune_cells(counts, image, size, cells, values, bound, reach, height, width):
    """The same packing under a higher bound: cells that can no longer matter are dropped."""
    new_counts = np.zeros(len(counts), np.int64)
    new_image, new_size = np.empty_like(image), np.empty_like(size)
    new_cells, new_values = np.empty_like(cells), np.empty_like(values)
    marks = np.zeros(height * width, np.bool_)
    r, p, s, q = 0, 0, 0, 0
    for u in range(len(counts)):
        t = lower(bound[u])
        for _ in range(counts[u]):
            begin, p = p, p + size[r]
            hot = 0
            for i in range(begin, p):
                hot += values[i] > t
            start = q
            if hot > 0:
                y = 0
                for i in range(begin, p):
                    if values[i] > t:
                        c = np.int64(cells[i])
                        while c >= (y + 1) * width:
                            y += 1
                        x = c - y * width
                        for v in range(max(y - reach, 0), min(y + reach + 1, height)):
                            for w in range(max(x - reach, 0), min(x + reach + 1, width)):
                                marks[v * width + w] = True
                for i in range(begin, p):
                    if marks[cells[i]]:
                        new_cells[q], new_values[q] = cells[i], values[i]
                        q += 1
                for i in range(begin, p):
                    marks[cells[i]] = False
            if q > start:
                new_image[s], new_size[s] = image[r], q - start
                new_counts[u] += 1
                s += 1
            r += 1
    return new_counts, new_image[:s].copy(), new_size[:s].copy(), new_cells[:q].copy(), new_values[:q].copy()


@compiled
def guess_range(levels, rank, low, step, bound):
    """A range that the rank-th largest value is likely to lie in, from a histogram of a share of all."""
    spare = 0.06 * rank + 3 * np.sqrt(rank) + 8
    floor, ceiling = bound, np.float32(np.inf)
    reached = 0
    for b in range(len(levels) - 1, -1, -1):
        if reached + levels[b] > rank - spare and ceiling == np.inf and rank > spare:
            ceiling = np.float32(low + (b + 1) * step)
        reached += levels[b]
        if reached > rank + spare:
            floor = max(bound, np.float32(low + b * step))
            break
    return floor, ceiling


@compiled
def rank_pixels(size, cells, values, bound, rank, rows, columns):
    """The rank-th largest interpolated value of one unit's records, or the bound if fewer are above it.

    Every fourth pixel of every fourth row suggests a narrow range. Then pixels above the range are
    counted, whole rows of a cell at once where both ends say so, and those inside it are ranked. Were
    the range wrong, all values above the bound are ranked.
    """
    _, _, yweight, ystart = rows
    _, _, xweight, xstart = columns
    height, width = len(ystart) - 1, len(xstart) - 1
    flat = np.full(height * width, -np.inf, np.float32)
    inside = np.empty(1024, np.float32)
    floor, ceiling = bound, np.float32(np.inf)
    levels = np.zeros(2048, np.int64)
    low = np.float64(bound if bound > -np.inf else values.min()) if len(values) else 0.0
    step = (np.float64(values.max()) - low) / (len(levels) - 1) + 1e-45 if len(values) else 1.0
    scale = 1.0 / step
    n, above = 0, 0
    for search in range(3):
        stride = 4 if search == 0 else 1
        ts, hi = lower(floor), upper(ceiling)
        n, above, p = 0, 0, 0
        for r in range(len(size)):
            start, p = p, p + size[r]
            hot = 0
            for i in range(start, p):
                hot += values[i] > ts
            if hot == 0:
                continue
            for i in range(start, p):
                flat[cells[i]] = values[i]
            y = 0
            # A cell with a corner above the bound is kept itself, as a neighbor of that corner.
            for k in range(start, p):
                c = np.int64(cells[k])
                while c >= (y + 1) * width:
                    y += 1
                x = c - y * width
                right_of = c + 1 if x + 1 < width else c
                down = width if y + 1 < height else 0
                a00, a01, a10, a11 = flat[c], flat[right_of], flat[c + down], flat[right_of + down]
                if max(max(a00, a01), max(a10, a11)) <= ts:
                    continue
                j0, j1 = xstart[x], xstart[x + 1]
                if min(min(a00, a01), min(a10, a11)) > hi:
                    above += (j1 - j0) * (ystart[y + 1] - ystart[y])
                    continue
                slack = (abs(a00) + abs(a01) + abs(a10) + abs(a11)) * _ROUNDING
                if n + (j1 - j0) * (ystart[y + 1] - ystart[y]) > len(inside):
                    more = np.empty(2 * len(inside) + (j1 - j0) * len(yweight), np.float32)
                    more[:n] = inside[:n]
                    inside = more
                for i in range(ystart[y] + (2 - ystart[y]) % stride, ystart[y + 1], stride):
                    h1 = yweight[i]
                    h0 = _ONE - h1
                    left, right = a00 * h0 + a10 * h1, a01 * h0 + a11 * h1
                    if max(left, right) + slack <= ts:
                        continue
                    if min(left, right) - slack > hi:
                        above += j1 - j0
                        continue
                    for j in range(j0 + (2 - j0) % stride, j1, stride):
                        w1 = xweight[j]
                        w0 = _ONE - w1
                        v = (a00 * w0 + a01 * w1) * h0 + (a10 * w0 + a11 * w1) * h1
                        if search == 0:
                            if v > bound:
                                levels[min(max(int((v - low) * scale), 0), len(levels) - 1)] += 1
                            continue
                        above += v > ceiling
                        inside[n] = v
                        n += (v > floor) & (v <= ceiling)
            for i in range(start, p):
                flat[cells[i]] = -np.inf
        if search == 0:
            floor, ceiling = guess_range(levels, rank / (stride * stride), low, step, bound)
        elif above < rank <= above + n:
            wanted = rank - above
            return np.partition(inside[:n], n - wanted)[n - wanted]
        else:
            floor, ceiling = bound, np.float32(np.inf)
    return bound


@compiled
def decode_masks(image, size, cells, values, threshold, rows, columns, sampled):
    """The masks of one unit's records as runs of pixels strictly above the threshold.

    Returns, by non-empty mask: image, number of runs; and all runs (row, first column, last + 1).
    """
    _, _, yweight, ystart = rows
    _, _, xweight, xstart = columns
    height, width = len(ystart) - 1, len(xstart) - 1
    ts, hi = lower(threshold), upper(threshold)
    flat = np.full((height, width), -np.inf, np.float32)
    spare = np.empty(width, np.float32)
    mask_image, mask_size = np.empty_like(image), np.empty_like(size)
    runs = np.empty((1024, 3), np.uint16)
    m, n, p = 0, 0, 0
    for r in range(len(size)):
        end = p + size[r]
        hot = False
        for i in range(p, end):
            hot |= values[i] > ts
        if not hot:
            p = end
            continue
        for i in range(p, end):
            flat[cells[i] // width, cells[i] % width] = values[i]
        start = n
        for y in range(height):
            yb = min(y + 1, height - 1)
            x0, x1 = width, -1
            for x in range(width):
                xb = min(x + 1, width - 1)
                a00, a01, a10, a11 = flat[y, x], flat[y, xb], flat[yb, x], flat[yb, xb]
                spare[x] = -1
                if sampled:
                    spare[x] = 0 if a00 > threshold else -1
                elif max(max(a00, a01), max(a10, a11)) > ts:
                    # Where corners of both signs cancel, the ends are off by more than their size tells.
                    spare[x] = (abs(a00) + abs(a01) + abs(a10) + abs(a11)) * _ROUNDING
                if spare[x] >= 0:
                    x0, x1 = min(x0, x), x
            if x1 < 0:
                continue
            for i in range(ystart[y], ystart[y + 1]):
                if n + len(xweight) + 1 > len(runs):
                    more = np.empty((2 * len(runs) + len(xweight), 3), np.uint16)
                    more[:n] = runs[:n]
                    runs = more
                h1 = yweight[i]
                h0 = _ONE - h1
                first = -1
                for x in range(x0, x1 + 1):
                    inside = -1
                    if spare[x] >= 0:
                        xb = min(x + 1, width - 1)
                        a00, a01, a10, a11 = flat[y, x], flat[y, xb], flat[yb, x], flat[yb, xb]
                        left, right = a00 * h0 + a10 * h1, a01 * h0 + a11 * h1
                        if sampled or min(left, right) - spare[x] > hi:
                            inside = 1
                        elif max(left, right) + spare[x] > ts:
                            inside = 0
                    if inside == 1:
                        if first < 0 and xstart[x] < xstart[x + 1]:
                            first = xstart[x]
                    elif inside == -1:
                        if first >= 0 and xstart[x] < xstart[x + 1]:
                            runs[n, 0], runs[n, 1], runs[n, 2] = i, first, xstart[x]
                            n += 1
                            first = -1
                    else:
                        for j in range(xstart[x], xstart[x + 1]):
                            w1 = xweight[j]
                            w0 = _ONE - w1
                            v = (a00 * w0 + a01 * w1) * h0 + (a10 * w0 + a11 * w1) * h1
                            if v > threshold:
                                if first < 0:
                                    first = j
                            elif first >= 0:
                                runs[n, 0], runs[n, 1], runs[n, 2] = i, first, j
                                n += 1
                                first = -1
                if first >= 0:
                    runs[n, 0], runs[n, 1], runs[n, 2] = i, first, xstart[x1 + 1]
                    n += 1
        for i in range(p, end):
            flat[cells[i] // width, cells[i] % width] = -np.inf
        if n > start:
            mask_image[m], mask_size[m] = image[r], n - start
            m += 1
        p = end
    return mask_image[:m].copy(), mask_size[:m].copy(), runs[:n].copy()


@compiled
def encode_plane(plane):
    """One label plane as segments: per row their number; by segment its end column and its id."""
    height, width = plane.shape
    per_row = np.zeros(height, np.int32)
    ends, ids = np.empty(height * width, np.uint16), np.empty(height * width, np.uint16)
    n = 0
    for y in range(height):
        start = n
        for x in range(width):
            if x + 1 == width or plane[y, x + 1] != plane[y, x]:
                ends[n], ids[n] = x + 1, plane[y, x]
                n += 1
        per_row[y] = n - start
    return per_row, ends[:n].copy(), ids[:n].copy()
