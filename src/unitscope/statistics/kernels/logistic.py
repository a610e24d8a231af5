"""The compiled loops that fit logistic regressions on one number, and find the unit that tells a class best.

Of a unit's cells `zeros` are 0, `values` are the others. Labels enter a fit by two numbers alone: how many
cells are of the class, `count`, and what their values add up to, `total`; of all cells it wants the sum of
log(1 + exp(weight z + bias)). All sums are float64, in the order of the values.

That sum is convex in z, so that with values in bins, each in place of its mean, it is never larger (Jensen).
So the least loss in bins is below the least loss, and units that it rules out are not fitted to every cell.
"""

import numpy as np

from unitscope.statistics.kernels.compiled import compiled

STEPS = 30
"""Newton steps at most, as in saev."""

HALVINGS = 40
"""How often a step is halved at most until the loss falls."""

DONE = 1e-13
"""A step that would lower the loss by less than this is the last."""

BINS = 64
"""Into so many bins the values of a unit are sorted at most, equally many in each."""

SLACK = 1e-9
"""Bounds are taken to be lower by this, for rounding."""


@compiled
def sum_classes(starts, values, labels, classes):
    """By label and unit what its values add up to there; the last label is none."""
    totals = np.zeros((classes + 1, len(starts) - 1), np.float64)
    for u in range(len(starts) - 1):
        for e in range(starts[u], starts[u + 1]):
            totals[labels[e], u] += values[e]
    return totals


@compiled
def bin_values(starts, values):
    """The values of every unit in bins: where its bins start, their means, how many values each has."""
    units = len(starts) - 1
    bins = np.zeros(units + 1, np.int64)
    for u in range(units):
        bins[u + 1] = bins[u] + min(BINS, starts[u + 1] - starts[u])
    means, sizes = np.zeros(bins[-1], np.float64), np.zeros(bins[-1], np.float64)
    for u in range(units):
        part = np.sort(values[starts[u] : starts[u + 1]])
        many = bins[u + 1] - bins[u]
        for b in range(many):
            first, last = b * len(part) // many, (b + 1) * len(part) // many
            total = 0.0
            for e in range(first, last):
                total += part[e]
            sizes[bins[u] + b] = last - first
            means[bins[u] + b] = total / (last - first)
    return bins, means, sizes


@compiled
def measure_fit(values, sizes, zeros, count, total, weight, bias):
    """Cross-entropy of sigma(weight z + bias), its gradient by bias and weight, its second derivatives.

    All are sums over the cells, of which `sizes` have each of the values.
    """
    loss = slope_b = slope_w = bend_bb = bend_bw = bend_ww = 0.0
    for e in range(len(values)):
        value, size = values[e], sizes[e]
        z = bias + weight * value
        small = np.exp(-abs(z))
        part = 1 / (1 + small)
        share = part if z >= 0 else small * part
        bend = size * small * part * part
        loss += size * (max(z, 0.0) + np.log1p(small))
        slope_b += size * share
        slope_w += size * share * value
        bend_bb += bend
        bend_bw += bend * value
        bend_ww += bend * value * value
    small = np.exp(-abs(bias))
    part = 1 / (1 + small)
    share = part if bias >= 0 else small * part
    loss += zeros * (max(bias, 0.0) + np.log1p(small)) - bias * count - weight * total
    slope_b += zeros * share - count
    return loss, slope_b, slope_w - total, bend_bb + zeros * small * part * part, bend_bw, bend_ww


@compiled
def solve(slope_b, slope_w, bend_bb, bend_bw, bend_ww):
    """Newton's step, and what it would lower the loss by, times two; NaN where there is none."""
    det = bend_bb * bend_ww - bend_bw * bend_bw
    if not det > 0:
        return 0.0, 0.0, np.nan
    step_b = (bend_ww * slope_b - bend_bw * slope_w) / det
    step_w = (bend_bb * slope_w - bend_bw * slope_b) / det
    return step_b, step_w, slope_b * step_b + slope_w * step_w


@compiled
def fit_unit(values, sizes, zeros, cells, count, total, ridge, start):
    """The regression that a unit tells a class by: weight, bias, mean cross-entropy; and a bound of it.

    Minimizes mean cross-entropy + ridge / 2 (weight^2 + (bias - start)^2) by Newton's steps from weight 0 and
    bias `start`, each halved until the loss falls. The bound is below the mean cross-entropy of every
    regression: from where the ridge holds it back, it could be lowered by half a Newton step's gain, taken
    eight times; 0 where that is not small.
    """
    weight, bias = 0.0, start
    found = measure_fit(values, sizes, zeros, count, total, weight, bias)
    loss = found[0] / cells
    for _ in range(STEPS):
        slope_b = found[1] / cells + ridge * (bias - start)
        slope_w = found[2] / cells + ridge * weight
        bend_bb, bend_ww = found[3] / cells + ridge, found[5] / cells + ridge
        step_b, step_w, gain = solve(slope_b, slope_w, bend_bb, found[4] / cells, bend_ww)
        if not gain > DONE:
            break
        part, better, new, tried, new_b, new_w = 1.0, False, loss, found, bias, weight
        for _ in range(HALVINGS):
            new_b, new_w = bias - part * step_b, weight - part * step_w
            tried = measure_fit(values, sizes, zeros, count, total, new_w, new_b)
            new = tried[0] / cells + ridge / 2 * (new_w * new_w + (new_b - start) * (new_b - start))
            if new <= loss - 1e-4 * part * gain:
                better = True
                break
            part /= 2
        if not better:
            break
        weight, bias, loss, found = new_w, new_b, new, tried
    least = max(found[0] / cells, 0.0)
    _, _, gap = solve(found[1], found[2], found[3], found[4], found[5])
    bound = least - 4 * gap / cells - SLACK if 0 <= gap < 1e-4 * cells else 0.0
    return weight, bias, least, bound


@compiled
def choose_unit(bins, means, sizes, starts, values, zeros, cells, count, totals, ridge, start):
    """The unit that tells a class with the least mean cross-entropy, of equal ones the first, and its fit.

    Units are bounded by their bins, then fitted to their values from the lowest bound on, until the bounds
    are above the best fit.
    """
    bounds = np.zeros(len(zeros), np.float64)
    for u in range(len(zeros)):
        a, b = bins[u], bins[u + 1]
        binned = fit_unit(means[a:b], sizes[a:b], zeros[u], cells, count, totals[u], ridge, start)
        bounds[u] = binned[3]
    best, best_weight, best_bias, least = -1, 0.0, start, np.inf
    for u in np.argsort(bounds, kind="mergesort"):
        if bounds[u] > least:
            break
        part = values[starts[u] : starts[u + 1]].astype(np.float64)
        ones = np.ones(len(part), np.float64)
        weight, bias, loss, _ = fit_unit(part, ones, zeros[u], cells, count, totals[u], ridge, start)
        if loss < least or (loss == least and u < best):
            best, best_weight, best_bias, least = u, weight, bias, loss
    return best, best_weight, best_bias, least
