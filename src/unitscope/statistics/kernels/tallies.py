"""The compiled loops that count pixels where masks and labels meet; both are runs along rows.

A set of labels is passed as one tuple (`LabelIndex.arrays`):
plane_starts[image + 1], row_starts[plane * height + 1], segment ends, segment ids,
scalar_starts[image + 1], scalars, category bits of every image, category bits and category place of
every concept id, and the mask height. The id after the last concept's marks void pixels.
"""

import numpy as np

from unitscope.statistics.kernels.compiled import between, compiled

ALL, CATEGORY, TOUCHED = 0, 1, 2
"""Which images' active pixels enter a union: see `Convention.union`."""

_NEAR = 32
"""Images whose labels all units of a block meet before those of others: a processor's cache holds as much."""


@compiled
def meet_plane(runs, start, stop, labels, plane, counts):
    """Add to counts[id] the pixels that one mask shares with one plane; returns the category bits met."""
    row_starts, ends, ids, bits_of, height = labels[1], labels[2], labels[3], labels[7], labels[9]
    met, one = np.uint64(0), np.uint64(1)  # in unsigned numbers: see `between`
    first = np.uint64(plane * height)
    for k in between(start, stop):
        x, last = np.int64(runs[k, 1]), np.int64(runs[k, 2])
        s = np.uint64(row_starts[first + np.uint64(runs[k, 0])])
        while ends[s] <= x:
            s += one
        while x < last:
            e = min(np.int64(ends[s]), last)
            counts[ids[s]] += e - x
            met |= bits_of[ids[s]]
            x = e
            s += one
    return met


@compiled
def meet_image(runs, start, stop, pixels, labels, image, counts):
    """Add to counts[id] what one mask, which has `pixels` pixels, shares with one image's labels.

    Returns the mask's pixels that are not void, and the category bits met inside them.
    """
    void = len(counts) - 1
    before = counts[void]
    met = np.uint64(0)
    for plane in range(labels[0][image], labels[0][image + 1]):
        met |= meet_plane(runs, start, stop, labels, plane, counts)
    valid = pixels - (counts[void] - before)
    if valid > 0:
        for k in range(labels[4][image], labels[4][image + 1]):
            counts[labels[5][k]] += valid
            met |= labels[7][labels[5][k]]
    return valid, met


@compiled
def mask_pixels(mask_size, runs):
    """The pixels of every mask."""
    pixels = np.zeros(len(mask_size), np.int64)
    k = 0
    for m in range(len(mask_size)):
        for _ in range(mask_size[m]):
            pixels[m] += np.int64(runs[k, 2]) - np.int64(runs[k, 1])
            k += 1
    return pixels


@compiled
def tally_masks(mask_size, runs, pixels, target, labels, rule, counts, active):
    """Count one unit's masks, each against the labels of image `target[mask]` (-1: leave out).

    Fills counts[id] and active[category]; returns all active pixels that are not void.
    """
    total, k = np.int64(0), np.int64(0)
    for m in range(len(mask_size)):
        stop = k + mask_size[m]
        image = target[m]
        if image >= 0:
            valid, met = meet_image(runs, k, stop, pixels[m], labels, image, counts)
            total += valid
            bits = labels[6][image] if rule == CATEGORY else met
            for c in range(len(active)):
                if rule == ALL or (bits >> np.uint64(c)) & np.uint64(1):
                    active[c] += valid
        k = stop
    counts[0] = 0
    counts[-1] = 0
    return total


@compiled
def tally_units(mask_counts, mask_size, runs, pixels, image, half, labels, rule, concepts, categories):
    """Count the masks of every unit of a block, mask_counts[unit] each, by half[image], which is 0 or 1.

    Returns counts[unit, half, id], active[unit, half, category] and of every mask its pixels that are not
    void and the bits of the categories into whose union they enter.

    The labels of some images are near while all units meet them; each unit's masks come in their own order.
    """
    counts = np.zeros((len(mask_counts), 2, concepts + 1), np.int64)
    active = np.zeros((len(mask_counts), 2, categories), np.int64)
    valid, bits = np.zeros(len(mask_size), np.int64), np.zeros(len(mask_size), np.uint64)
    masks, begins = np.zeros(len(mask_counts), np.int64), np.zeros(len(mask_counts), np.int64)
    ends = np.cumsum(mask_counts)
    for u in range(1, len(mask_counts)):
        masks[u] = ends[u - 1]
        begins[u] = begins[u - 1] + mask_size[masks[u - 1] : masks[u]].sum()
    for behind in range(_NEAR, len(half) + _NEAR, _NEAR):
        for u in range(len(mask_counts)):
            m, k = masks[u], begins[u]
            while m < ends[u] and image[m] < behind:
                stop, h = k + mask_size[m], half[image[m]]
                valid[m], bits[m] = meet_image(runs, k, stop, pixels[m], labels, image[m], counts[u, h])
                if rule != TOUCHED:
                    bits[m] = labels[6][image[m]] if rule == CATEGORY else ~np.uint64(0)
                for c in range(categories):
                    if (bits[m] >> np.uint64(c)) & np.uint64(1):
                        active[u, h, c] += valid[m]
                m += 1
                k = stop
            masks[u], begins[u] = m, k
    counts[:, :, 0] = 0
    counts[:, :, -1] = 0
    return counts, active, valid, bits


@compiled
def pick_masks(mask_counts, mask_image, mask_size, runs, images):
    """The masks of images[unit, rank] out of all of a block's: their numbers of runs, and the runs."""
    units, ranks = images.shape
    sizes = np.zeros((units, ranks), np.int64)
    picked = np.empty((256, 3), runs.dtype)
    m, after, n = 0, 0, 0
    for u in range(units):
        first, start = m, after
        m += mask_counts[u]
        after += mask_size[first:m].sum()
        for rank in range(ranks):
            begin = start
            for i in range(first, m):
                if mask_image[i] == images[u, rank]:
                    sizes[u, rank] = mask_size[i]
                    while n + mask_size[i] > len(picked):
                        picked = np.concatenate((picked, np.empty_like(picked)))
                    for k in range(begin, begin + mask_size[i]):
                        picked[n, 0], picked[n, 1], picked[n, 2] = runs[k, 0], runs[k, 1], runs[k, 2]
                        n += 1
                    break
                begin += mask_size[i]
    return sizes, picked[:n].copy()


@compiled
def best_overlap(counts, active, concept_pixels, category_of):
    """The largest IoU over concepts, and its id."""
    best, best_id = 0.0, 0
    for c in range(1, len(concept_pixels)):
        if counts[c] > 0:
            iou = counts[c] / (active[category_of[c]] + concept_pixels[c] - counts[c])
            if iou > best:
                best, best_id = iou, c
    return best, best_id


@compiled
def null_overlaps(
    mask_image, mask_size, runs, pixels, order, place, shifts, labels, rule, concept_pixels, categories
):
    """The best IoU of one unit when image order[k] is given the labels of image order[k + shift]."""
    counts = np.zeros(len(concept_pixels) + 1, np.int64)
    active = np.zeros(categories, np.int64)
    target = np.empty(len(mask_image), np.int32)
    out = np.empty(len(shifts), np.float64)
    for s in range(len(shifts)):
        counts[:] = 0
        active[:] = 0
        for m in range(len(mask_image)):
            position = place[mask_image[m]] + shifts[s]
            target[m] = order[position if position < len(order) else position - len(order)]
        tally_masks(mask_size, runs, pixels, target, labels, rule, counts, active)
        out[s], _ = best_overlap(counts, active, concept_pixels, labels[8])
    return out


@compiled
def bin_concept(image, size, runs, valid, bits, labels, concept, has, bin_of, sums):
    """Add by bin of images what one unit shares with a concept, to sums[0], and what enters the union with
    it, to sums[1].

    Labels are looked at only where has[image]; `valid` and `bits` are those of `tally_units`.
    """
    counts = np.zeros(len(labels[7]), np.int64)
    place = np.uint64(labels[8][concept])
    k = np.int64(0)
    for m in range(len(image)):
        stop = k + size[m]
        i = image[m]
        if has[i] and valid[m] > 0:
            counts[concept] = 0
            for plane in range(labels[0][i], labels[0][i + 1]):
                meet_plane(runs, k, stop, labels, plane, counts)
            for s in range(labels[4][i], labels[4][i + 1]):
                counts[concept] += valid[m] if labels[5][s] == concept else 0
            sums[0, bin_of[i]] += counts[concept]
        if (bits[m] >> place) & np.uint64(1):
            sums[1, bin_of[i]] += valid[m]
        k = stop


@compiled
def weigh_bins(weights, values):
    """sums[replicate] of weights[bin, replicate] * values[bin]."""
    sums = np.zeros(weights.shape[1], np.int64)
    for i in range(len(values)):
        value, row = values[i], weights[i]
        if value != 0:
            for b in between(0, len(sums)):
                sums[b] += np.int64(row[b]) * value
    return sums
