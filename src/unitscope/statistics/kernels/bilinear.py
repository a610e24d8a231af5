"""The compiled loops over bilinear surfaces: exact ranks of their pixels, and their masks as runs.

A row of cells is first spread along its columns, where a corner is high enough to matter; every row of
pixels in it is then a multiplication and an addition a pixel, many pixels at a time. That is the order of
operations that `grids.Grid` defines, so values are equal to the last bit. Rounding keeps order: the
extremes of the two spread rows bound every pixel between them without any slack.
"""

import numpy as np

from unitscope.statistics.kernels.bounds import ROUNDING, any_above, find_largest, lower, upper
from unitscope.statistics.kernels.compiled import between, compiled, inlined

_ONE = np.float32(1)
_SAMPLES = 1000
_STEP = 2


@compiled
def make_scratch(rows, columns):
    """An empty map, room for two spread rows, and for their stretches with their extremes."""
    height, width, pixels = len(rows[3]) - 1, len(columns[3]) - 1, len(columns[0])
    flat = np.full(height * width, -np.inf, np.float32)
    top, bottom = np.empty(pixels, np.float32), np.empty(pixels, np.float32)
    return flat, top, bottom, np.empty((width, 2), np.int64), np.empty((width, 4), np.float32)


@inlined
def spread_row(y, edge, flat, rows, columns, top, bottom, spans, extremes):
    """Interpolate along x in the cells between row y and the next that have a corner above the edge.

    Fills top and bottom there. A stretch of such cells has spans[stretch] = first and last + 1 column of
    the mask and extremes[stretch] = most and least of top, most and least of bottom.
    Returns the number of stretches.
    """
    _, high, weight, starts = columns
    width = len(starts) - 1
    n, going = 0, False
    first, second = y * width, rows[1][rows[3][y]] * width
    hot = any_above(flat, first, first + width, edge) or any_above(flat, second, second + width, edge)
    for x in range(width if hot else 0):
        j0, j1 = starts[x], starts[x + 1]
        if j0 == j1:
            continue
        xb = high[j0]
        a00, a01, a10, a11 = flat[first + x], flat[first + xb], flat[second + x], flat[second + xb]
        most, most_below = max(a00, a01), max(a10, a11)
        if max(most, most_below) <= edge:
            going = False
            continue
        least, least_below = lower(min(a00, a01)), lower(min(a10, a11))
        most, most_below = upper(most), upper(most_below)
        if going:
            most, least = max(most, extremes[n - 1, 0]), min(least, extremes[n - 1, 1])
            most_below = max(most_below, extremes[n - 1, 2])
            least_below = min(least_below, extremes[n - 1, 3])
        else:
            spans[n, 0] = j0
            n += 1
            going = True
        spans[n - 1, 1] = j1
        extremes[n - 1, 0], extremes[n - 1, 1] = most, least
        extremes[n - 1, 2], extremes[n - 1, 3] = most_below, least_below
        for j in between(j0, j1):
            w1 = weight[j]
            w0 = _ONE - w1
            top[j] = a00 * w0 + a01 * w1
            bottom[j] = a10 * w0 + a11 * w1
    return n


@compiled
def rank_pixels(size, cells, values, bound, rank, rows, columns):
    """The rank-th largest interpolated value of one unit's records, or the bound if fewer are above it.

    Pixels above a guessed range are counted, those inside it are ranked. Were the range wrong, all values
    above the bound are ranked.
    """
    floor, ceiling = guess_range(size, cells, values, bound, rank, rows, columns)
    for _ in range(2):
        above, inside = collect_pixels(size, cells, values, floor, ceiling, rows, columns)
        if above < rank <= above + len(inside):
            return find_largest(inside, len(inside), rank - above)
        floor, ceiling = bound, np.float32(np.inf)
    return bound


@compiled
def guess_range(size, cells, values, bound, rank, rows, columns):
    """A range that the rank-th largest value is likely to lie in.

    From a histogram of every second pixel of a few rows, other rows in every image, as many as leave about
    a thousand pixels above that value.
    """
    everything = bound, np.float32(np.inf)
    stride = rank // (_SAMPLES * _STEP) | 1
    if rank < _SAMPLES or len(values) == 0:
        return everything
    levels = np.zeros(2048, np.int64)
    low = np.float64(bound if bound > -np.inf else values.min())
    step = (np.float64(values.max()) - low) / (len(levels) - 1) + 1e-45
    sample_rows(size, cells, values, bound, stride, low, 1.0 / step, levels, rows, columns)
    wanted = rank / (stride * _STEP)
    spare = 0.06 * wanted + 3 * np.sqrt(wanted) + 8
    floor, ceiling = everything
    reached = 0
    for b in range(len(levels) - 1, -1, -1):
        if reached + levels[b] > wanted - spare and ceiling == np.inf and wanted > spare:
            ceiling = np.float32(low + (b + 1) * step)
        reached += levels[b]
        if reached > wanted + spare:
            floor = max(bound, np.float32(low + b * step))
            break
    return floor, ceiling


@compiled
def sample_rows(size, cells, values, bound, stride, low, scale, levels, rows, columns):
    """Count every second pixel above the bound of every stride-th row of the mask by its level."""
    ylow, yhigh, yweight, _ = rows
    _, xhigh, xweight, xstart = columns
    width = len(xstart) - 1
    flat = make_scratch(rows, columns)[0]
    edge = lower(bound)
    p = 0
    for r in range(len(size)):
        start, p = p, p + size[r]
        phase = r % stride
        if phase >= len(ylow) or not any_above(values, start, p, edge):
            continue
        for i in between(start, p):
            flat[cells[i]] = values[i]
        for i in range(phase, len(ylow), stride):
            first, second = ylow[i] * width, yhigh[i] * width
            if not (
                any_above(flat, first, first + width, edge) or any_above(flat, second, second + width, edge)
            ):
                continue
            h1 = yweight[i]
            h0 = _ONE - h1
            for x in range(width):
                j0, j1 = xstart[x], xstart[x + 1]
                if j0 == j1:
                    continue
                xb = xhigh[j0]
                left = flat[first + x] * h0 + flat[second + x] * h1
                right = flat[first + xb] * h0 + flat[second + xb] * h1
                if max(left, right) <= bound:
                    continue
                for j in range(j0 + (_STEP // 2 - j0) % _STEP, j1, _STEP):
                    v = left + (right - left) * xweight[j]
                    if v > bound:
                        levels[min(max(int((v - low) * scale), 0), len(levels) - 1)] += 1
        for i in between(start, p):
            flat[cells[i]] = -np.inf


@compiled
def collect_pixels(size, cells, values, floor, ceiling, rows, columns):
    """How many pixels of one unit's records lie above the ceiling, and the values from there to the floor."""
    _, _, yweight, ystart = rows
    width = len(columns[3]) - 1
    flat, top, bottom, spans, extremes = make_scratch(rows, columns)
    inside = np.empty(4096, np.float32)
    line, chosen = np.empty_like(top), np.empty(len(top), np.uint8)
    edge = lower(floor)
    n, above, p = np.int64(0), np.int64(0), 0
    for r in range(len(size)):
        start, p = p, p + size[r]
        if not any_above(values, start, p, edge):
            continue
        for i in between(start, p):
            flat[cells[i]] = values[i]
        for y in range(cells[start] // width, cells[p - 1] // width + 1):
            i0, i1 = ystart[y], ystart[y + 1]
            if i0 == i1:
                continue
            for s in range(spread_row(y, edge, flat, rows, columns, top, bottom, spans, extremes)):
                j0, j1 = spans[s, 0], spans[s, 1]
                if n + (i1 - i0) * (j1 - j0) > len(inside):
                    more = np.empty(len(inside) + (i1 - i0) * (j1 - j0), np.float32)
                    inside = np.concatenate((inside[:n], more))
                for i in range(i0, i1):
                    h1 = yweight[i]
                    h0 = _ONE - h1
                    if extremes[s, 0] * h0 + extremes[s, 2] * h1 <= floor:
                        continue
                    if extremes[s, 1] * h0 + extremes[s, 3] * h1 > ceiling:
                        above += j1 - j0
                        continue
                    # In two loops: one that many pixels take together, and one that only moves them.
                    over = np.int32(0)
                    for j in between(j0, j1):
                        v = top[j] * h0 + bottom[j] * h1
                        line[j] = v
                        chosen[j] = (v > floor) & (v <= ceiling)
                        over += np.int32(v > ceiling)
                    above += over
                    m = np.uint64(n)
                    for j in between(j0, j1):
                        inside[m] = line[j]
                        m += np.uint64(chosen[j])
                    n = np.int64(m)
        for i in between(start, p):
            flat[cells[i]] = -np.inf
    return above, inside[:n]


@compiled
def rank_units(counts, size, cells, values, bounds, rank, rows, columns):
    """`rank_pixels` for every unit of a block: counts[unit] records each."""
    ranked = np.empty(len(counts), np.float32)
    r, p = 0, 0
    for u in range(len(counts)):
        start, first = r, p
        r += counts[u]
        p += size[start:r].sum()
        ranked[u] = rank_pixels(
            size[start:r], cells[first:p], values[first:p], bounds[u], rank, rows, columns
        )
    return ranked


@compiled
def certify_units(counts, size, cells, values, bounds, rank, rows, columns):
    """A bound of the rank-th largest interpolated value of every unit of a block, a little below it.

    A guess that so many pixels are then counted above: a sixth of the work of ranking them.
    """
    raised = np.empty(len(counts), np.float32)
    r, p = 0, 0
    for u in range(len(counts)):
        start, first, bound = r, p, bounds[u]
        r += counts[u]
        p += size[start:r].sum()
        own = (size[start:r], cells[first:p], values[first:p])
        # A little more than is needed: a guess that is too high costs more than one that is too low.
        floor, _ = guess_range(own[0], own[1], own[2], bound, rank + rank // 16, rows, columns)
        if floor > bound and count_pixels(own[0], own[1], own[2], floor, rows, columns) >= rank:
            raised[u] = floor
        else:
            raised[u] = rank_pixels(own[0], own[1], own[2], bound, rank, rows, columns)
    return raised


@compiled
def count_pixels(size, cells, values, level, rows, columns):
    """How many interpolated values of one unit's records lie above a level; a few less at most.

    In a column of pixels between two rows of cells values rise or fall evenly, so that those above the level
    are the last or the first of them: their number is looked up by where it is crossed.
    """
    ystart, width = rows[3], len(columns[3]) - 1
    flat, top, bottom, spans, extremes = make_scratch(rows, columns)
    beyond, before = tabulate_rows(rows)
    edge, last = lower(level), beyond.shape[1] - 1
    above, p = np.int64(0), 0
    for r in range(len(size)):
        start, p = p, p + size[r]
        if not any_above(values, start, p, edge):
            continue
        for i in between(start, p):
            flat[cells[i]] = values[i]
        for y in range(cells[start] // width, cells[p - 1] // width + 1):
            many = ystart[y + 1] - ystart[y]
            if many == 0:
                continue
            for s in range(spread_row(y, edge, flat, rows, columns, top, bottom, spans, extremes)):
                for j in range(spans[s, 0], spans[s, 1]):
                    # What interpolation may round down is taken off both ends.
                    high = level + (abs(top[j]) + abs(bottom[j])) * ROUNDING
                    a, b = top[j] - high, bottom[j] - high
                    if a > 0 and b > 0:
                        above += many
                    elif a > 0 or b > 0:
                        place = min(int(a / (a - b) * (last + 1)), last)
                        above += before[y, place] if a > 0 else beyond[y, place]
        for i in between(start, p):
            flat[cells[i]] = -np.inf
    return above


@compiled
def tabulate_rows(rows):
    """How many rows of pixels lie surely beyond a place between two rows of cells, and how many before it.

    By row of cells and place, in 64ths of the way.
    """
    _, _, weight, starts = rows
    beyond, before = np.zeros((len(starts) - 1, 64), np.int64), np.zeros((len(starts) - 1, 64), np.int64)
    for y in range(len(starts) - 1):
        for place in range(64):
            for i in range(starts[y], starts[y + 1]):
                beyond[y, place] += weight[i] > (place + 1) / 64
                before[y, place] += weight[i] < place / 64
    return beyond, before


@compiled
def decode_masks(counts, image, size, cells, values, thresholds, rows, columns):
    """The masks of a block of units, counts[unit] records each, as runs of pixels above their thresholds.

    Returns the number of masks by unit; by mask that is not empty: image, number of runs; and all runs
    (row, first column, last + 1), in the order of rows and columns.
    """
    _, _, yweight, ystart = rows
    width = len(columns[3]) - 1
    flat, top, bottom, spans, extremes = make_scratch(rows, columns)
    marks, turns = np.zeros(len(top) + 1, np.uint8), np.empty(len(top) + 1, np.int64)
    mask_counts = np.zeros(len(counts), np.int64)
    mask_image, mask_size = np.empty_like(image), np.empty_like(size)
    runs = np.empty((4096, 3), np.uint16)
    m, n, r, p = 0, 0, 0, 0
    for u in range(len(counts)):
        threshold = thresholds[u]
        edge = lower(threshold)
        for _ in range(counts[u]):
            start, p = p, p + size[r]
            r += 1
            if not any_above(values, start, p, edge):
                continue
            for i in between(start, p):
                flat[cells[i]] = values[i]
            before = n
            for y in range(cells[start] // width, cells[p - 1] // width + 1):
                i0, i1 = ystart[y], ystart[y + 1]
                if i0 == i1:
                    continue
                stretches = spread_row(y, edge, flat, rows, columns, top, bottom, spans, extremes)
                if n + (i1 - i0) * len(marks) // 2 > len(runs):
                    more = np.empty((len(runs) + (i1 - i0) * len(marks), 3), np.uint16)
                    runs = np.concatenate((runs[:n], more))
                for i in range(i0, i1):
                    h1 = yweight[i]
                    h0 = _ONE - h1
                    for s in range(stretches):
                        j0, j1 = spans[s, 0], spans[s, 1]
                        if extremes[s, 0] * h0 + extremes[s, 2] * h1 <= threshold:
                            continue
                        if extremes[s, 1] * h0 + extremes[s, 3] * h1 > threshold:
                            runs[n, 0], runs[n, 1], runs[n, 2] = i, j0, j1
                            n += 1
                            continue
                        for j in between(j0, j1):
                            marks[j] = top[j] * h0 + bottom[j] * h1 > threshold
                        marks[j1] = 0
                        k, inside = 0, marks[j1]
                        for j in between(j0, j1 + 1):
                            turns[k] = j
                            k += inside ^ marks[j]
                            inside = marks[j]
                        for t in range(0, k, 2):
                            runs[n, 0], runs[n, 1], runs[n, 2] = i, turns[t], turns[t + 1]
                            n += 1
            for i in between(start, p):
                flat[cells[i]] = -np.inf
            if n > before:
                mask_image[m], mask_size[m] = image[r - 1], n - before
                mask_counts[u] += 1
                m += 1
    return mask_counts, mask_image[:m].copy(), mask_size[:m].copy(), runs[:n].copy()
