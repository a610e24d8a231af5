"""The compiled loops that bring labels and masks to cells, and meet them slot by slot; see
`unitscope.statistics.rings`.

Coarse labels are passed as one tuple (`CoarseLabels.arrays`), in the random order of the images:
cell_starts[place * cells + 1], what is in a cell (the column, and from bit 16 on its share of the cell in
`WHOLE`s), scalar_starts[place + 1], scalar columns, category bits of every image and of every column, and the
cells of an image. The last column is void. All is small, so that a block of images stays in the cache.
"""

import numpy as np

from unitscope.statistics.kernels.compiled import between, compiled
from unitscope.statistics.kernels.tallies import ALL, CATEGORY, TOUCHED

WHOLE = 1 << 14
"""The share of a cell that is all of it."""


@compiled
def coarsen_labels(labels, order, bands, bounds, column_of, columns):
    """By place in the order and cell: starts, and by entry the column and the share of the cell that is
    labeled so.

    `bands` and `bounds` are where rows and columns of cells begin and end; column_of[id] is -1 for what is
    left out.
    """
    row_starts, ends, ids, height = labels[1], labels[2], labels[3], labels[9]
    down, across = len(bands) - 1, len(bounds) - 1
    starts = np.zeros(len(order) * down * across + 1, np.int64)
    found = np.empty(4096, np.uint32)
    pixels = np.zeros((across, columns), np.int64)
    seen, many = np.empty((across, columns), np.int64), np.zeros(across, np.int64)
    n, cell = 0, 0
    for image in order:
        for y in range(down):
            for plane in range(labels[0][image], labels[0][image + 1]):
                for row in range(plane * height + bands[y], plane * height + bands[y + 1]):
                    s, x, at = row_starts[row], np.int64(0), 0
                    while x < bounds[across]:
                        end, column = np.int64(ends[s]), column_of[ids[s]]
                        while x < end:
                            stop = min(end, bounds[at + 1])
                            if column >= 0:
                                if pixels[at, column] == 0:
                                    seen[at, many[at]] = column
                                    many[at] += 1
                                pixels[at, column] += stop - x
                            x = stop
                            at += x == bounds[at + 1]
                        s += 1
            for at in range(across):
                area = (bands[y + 1] - bands[y]) * (bounds[at + 1] - bounds[at])
                while n + many[at] > len(found):
                    found = np.concatenate((found, np.empty_like(found)))
                for k in range(many[at]):
                    column = seen[at, k]
                    share = min(max((WHOLE * pixels[at, column] + area // 2) // area, 1), 65_535)
                    found[n] = column | share << 16
                    pixels[at, column] = 0
                    n += 1
                many[at] = 0
                cell += 1
                starts[cell] = n
    return starts, found[:n].copy()


@compiled
def coarsen_masks(run_starts, runs, chosen, band_of, bound_of, bounds):
    """Of the chosen masks of a unit by cell: starts[mask + 1], cells, and their pixels in them."""
    across = len(bounds) - 1
    starts = np.zeros(len(chosen) + 1, np.int64)
    cells, mass = np.empty(8 * len(chosen) + 512, np.int64), np.empty(8 * len(chosen) + 512, np.float32)
    pixels = np.zeros((band_of[-1] + 1) * across, np.int64)
    seen = np.empty(len(pixels), np.int64)
    n = 0
    for j in range(len(chosen)):
        many = 0
        for k in range(run_starts[chosen[j]], run_starts[chosen[j] + 1]):
            x, last = np.int64(runs[k, 1]), np.int64(runs[k, 2])
            at = bound_of[x]
            base = band_of[runs[k, 0]] * across
            while x < last:
                stop = min(last, bounds[at + 1])
                if pixels[base + at] == 0:
                    seen[many] = base + at
                    many += 1
                pixels[base + at] += stop - x
                x = stop
                at += 1
        while n + many > len(cells):
            cells, mass = (
                np.concatenate((cells, np.empty_like(cells))),
                np.concatenate((mass, np.empty_like(mass))),
            )
        for k in range(many):
            cells[n], mass[n] = seen[k], pixels[seen[k]]
            pixels[seen[k]] = 0
            n += 1
        starts[j + 1] = n
    return starts, cells[:n], mass[:n]


@compiled
def meet_slots(b, places, starts, cells, mass, pixels, coarse, rule, plan, shared, active):
    """Fill shared[row, column], active[row, category] with what a unit's masks share with the labels of every
    slot of block b.

    A row is a slot of a block; `plan` has by block first, width, ways and rows. Masks are sorted by place; a
    mask at q in its block, a ring of width * ways places, meets in slot s the labels at q + s * width.
    """
    cell_starts, entries, scalar_starts, scalars, image_bits, bits_of, count = coarse
    void = len(bits_of) - 1
    first, width, ways, base = plan[0][b], plan[1][b], plan[2][b], plan[3][b]
    end = first + width * ways
    begin, stop = np.searchsorted(places, first), np.searchsorted(places, end)
    for s in range(ways):
        row, enters = shared[base + s], active[base + s]
        row[:] = 0
        enters[:] = 0
        for j in range(begin, stop):
            place = places[j] + s * width
            if place >= end:
                place -= end - first
            met = np.uint64(0)
            for h in range(starts[j], starts[j + 1]):
                f, cell = mass[h] / np.float32(WHOLE), place * count + cells[h]
                for k in between(cell_starts[cell], cell_starts[cell + 1]):
                    entry = entries[k]
                    row[np.uint64(entry & np.uint32(0xFFFF))] += f * np.float32(entry >> np.uint32(16))
                if rule == TOUCHED:
                    for k in between(cell_starts[cell], cell_starts[cell + 1]):
                        met |= bits_of[entries[k] & 0xFFFF]
            valid = max(pixels[j] - row[void], np.float32(0))
            row[void] = 0
            if valid > 0:
                for k in range(scalar_starts[place], scalar_starts[place + 1]):
                    row[scalars[k]] += valid
                    met |= bits_of[scalars[k]]
            bits = image_bits[place] if rule == CATEGORY else met
            for c in range(len(enters)):
                if rule == ALL or (bits >> np.uint64(c)) & np.uint64(1):
                    enters[c] += valid
