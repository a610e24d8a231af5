"""The compiled loops over the label planes of one image, as planes[plane, row, column] of concept ids."""

import numpy as np

from unitscope.statistics.compiled import between, compiled


@compiled
def count_ids(planes, pixels):
    """Add the pixels of every id to pixels[id]; returns the smallest id that is too large for it, else 0."""
    flat, beyond, start = planes.reshape(-1), np.int64(0), 0
    for i in range(1, len(flat) + 1):
        # Counted by stretches of equal ids: to count one after the other waits for the memory.
        if i < len(flat) and flat[i] == flat[start]:
            continue
        if start < len(flat):
            identity = np.int64(flat[start])
            if identity < len(pixels):
                pixels[identity] += i - start
            elif beyond == 0 or identity < beyond:
                beyond = identity
        start = i
    return beyond


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
    """Label planes as segments: per row of each plane their number; by segment its end column and its id."""
    count, height, width = planes.shape
    flat = planes.reshape(-1)
    per_row = np.zeros(count * height, np.int32)
    ends, ids = np.empty(len(flat), np.uint16), np.empty(len(flat), np.uint16)
    n = 0
    for row in range(count * height):
        before, first = n, np.uint64(row * width)
        for x in between(0, width):
            if x + 1 == width or flat[first + x + np.uint64(1)] != flat[first + x]:
                ends[n], ids[n] = x + 1, flat[first + x]
                n += 1
        per_row[row] = n - before
    return per_row, ends[:n].copy(), ids[:n].copy()
