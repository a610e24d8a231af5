"""The compiled loops that keep the cells that can still matter. Each has a slow twin in the tests.

A value interpolated between four corners may exceed the largest of them by a rounding error; `lower`
widens the bound by more than that.
"""

import numpy as np

from unitscope.statistics.kernels.bounds import any_above, lower
from unitscope.statistics.kernels.compiled import between, compiled, inlined


@inlined
def mark_near(flat, start, edge, reach, height, width, above, near, kept):
    """Mark in `kept` the cells up to `reach` from one above the edge; marks have a frame of that width."""
    pitch = width + 2 * reach
    size = (height + 2 * reach) * pitch
    for y in range(height):
        source, place = np.uint64(start + y * width), np.uint64((y + reach) * pitch + reach)
        for x in between(0, width):
            above[place + x] = flat[source + x] > edge
    step, line = np.uint64(reach), np.uint64(reach * pitch)
    for i in between(reach, size - reach):
        near[i] = above[i - step] | above[i] | above[i + step]
    for i in between(reach * pitch, size - reach * pitch):
        kept[i] = near[i - line] | near[i] | near[i + line]


@compiled
def pack_cells(maps, units, bound, reach, first_image):
    """The cells of maps[image, unit, y, x] above the unit's bound, with neighbors up to `reach` away.

    Returns records per unit (counts), and by record: image, number of cells; and all cells and values.
    """
    images, total, height, width = maps.shape
    flat = maps.reshape(-1)
    many, area = units[1] - units[0], height * width
    counts = np.zeros(many, np.int64)
    record_image = np.empty(images * many, np.int32)
    record_size = np.empty(images * many, np.int32)
    capacity = max(1024, images * many * area // 16)
    cells = np.empty(capacity, np.uint32)
    values = np.empty(capacity, np.float32)
    pitch = width + 2 * reach
    above = np.zeros((height + 2 * reach) * pitch, np.uint8)
    near, kept = np.zeros_like(above), np.zeros_like(above)
    r, p = 0, 0
    for u in range(units[0], units[1]):
        t = lower(bound[u])
        for b in range(images):
            start = (b * total + u) * area
            if not any_above(flat, start, start + area, t):
                continue
            if p + area > capacity:
                cells = np.concatenate((cells[:p], np.empty(capacity + area, np.uint32)))
                values = np.concatenate((values[:p], np.empty(capacity + area, np.float32)))
                capacity = len(cells)
            mark_near(flat, start, t, reach, height, width, above, near, kept)
            before = p
            for y in range(height):
                first, place = np.uint64(start), np.uint64((y + reach) * pitch + reach)
                for c in between(y * width, (y + 1) * width):
                    # Written whether it is kept or not: a branch that cannot be predicted takes longer.
                    cells[p] = c
                    values[p] = flat[first + c]
                    p += kept[place]
                    place += np.uint64(1)
            record_image[r] = first_image + b
            record_size[r] = p - before
            counts[u - units[0]] += 1
            r += 1
    return counts, record_image[:r], record_size[:r], cells[:p], values[:p]


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
def place_shares(part, starts, whole, places):
    """Copy every unit's share of a part, part[starts[unit] : starts[unit + 1]], to its place in the whole.

    Moves the places behind it, where the unit's share of the next part belongs.
    """
    for u in range(len(starts) - 1):
        place = np.uint64(places[u])
        for i in between(starts[u], starts[u + 1]):
            whole[place] = part[i]
            place += np.uint64(1)
        places[u] = place
