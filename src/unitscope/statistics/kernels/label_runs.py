"""The compiled loops over the label planes of one image, as planes[plane, row, column] of concept ids."""

import numpy as np

from unitscope.statistics.kernels.compiled import between, compiled


@compiled
def drop_doubles(planes, scalars):
    """The planes with every repeated id of a pixel, or of its whole image, set to 0."""
    kept = planes.copy()
    count, size = len(planes), planes.shape[1] * planes.shape[2]
    flat, out = planes.reshape(-1), kept.reshape(-1)
    for later in range(count):
        place = np.uint64(later * size)
        for scalar in scalars:
            for i in between(0, size):
                out[place + i] = 0 if flat[place + i] == scalar else out[place + i]
        for earlier in range(later):
            other = np.uint64(earlier * size)
            for i in between(0, size):
                out[place + i] = 0 if flat[place + i] == flat[other + i] else out[place + i]
    return kept


@compiled
def encode_planes(planes):
    """Label planes as segments: per row of each plane their number; by segment its end column and its id.

    Planes without any label are left out.
    """
    count, height, width = planes.shape
    flat, area = planes.reshape(-1), height * width
    per_row = np.empty(count * height, np.int32)
    ends, ids = np.empty(len(flat), np.uint16), np.empty(len(flat), np.uint16)
    # Where a segment ends, looked for eight pixels at a time: most are inside of one.
    turns = np.zeros((area + 7) // 8 * 8, np.uint8)
    eights = turns.view(np.uint64)
    r, n = 0, 0
    for plane in range(count):
        first, labelled = np.uint64(plane * area), False
        for i in between(0, area - 1):
            turns[i] = flat[first + i] != flat[first + i + np.uint64(1)]
        turns[width - 1 : area : width] = 1
        row, begin, before, start = r, n, n, 0
        for k in range(len(eights)):
            if eights[k] == 0:
                continue
            for i in range(8 * k, 8 * k + 8):
                if turns[i]:
                    ends[n], ids[n] = i + 1 - start, flat[first + np.uint64(i)]
                    labelled |= ids[n] > 0
                    n += 1
                    if i + 1 - start == width:
                        per_row[row] = n - before
                        row, before, start = row + 1, n, start + width
        r, n = (row, n) if labelled else (r, begin)
    return per_row[:r].copy(), ends[:n].copy(), ids[:n].copy()


@compiled
def count_ids(ends, ids, width, pixels):
    """Add the pixels of every id of some segments to pixels[id], in rows of that width.

    Returns the smallest id that is too large for it, else 0.
    """
    beyond, start = np.int64(0), np.int64(0)
    for s in range(len(ids)):
        identity, end = np.int64(ids[s]), np.int64(ends[s])
        if identity < len(pixels):
            pixels[identity] += end - start
        elif beyond == 0 or identity < beyond:
            beyond = identity
        start = end if end < width else np.int64(0)
    return beyond
