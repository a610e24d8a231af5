"""Is a label above chance? p-values from shifted labels, false discovery rate, controls."""

import numpy as np
from jaxtyping import Bool, Float64

from unitscope.axes import PerUnit
from unitscope.dissection.confidence import Confidence
from unitscope.statistics.evidence import Evidence
from unitscope.statistics.resampling import Resampling

FEW = 10
"""Fewer null draws than this above the observed value: the tail is fitted instead of counted."""


def p_values(observed: PerUnit, null: Float64[np.ndarray, "unit shift"]) -> PerUnit:
    """The chance, unit by unit, of a null value at least as large as the observed one.

    (1 + number of null draws >= observed) / (1 + draws) where at least 10 draws reach it. Beyond,
    a generalized Pareto distribution fitted to the upper quarter of the draws by L-moments, its shape
    held at 0 or above so that the tail is never cut off: p = share above * (1 + shape * excess /
    scale) ** (-1 / shape). Knijnenburg et al., Bioinformatics 2009, describe the idea.

    >>> draws = np.random.default_rng(0).exponential(size=(1, 400))
    >>> bool(p_values(np.array([9.0]), draws)[0] < 0.001)
    True
    """
    units, draws = null.shape
    if draws == 0:
        return np.ones(units)
    reached = (null >= observed[:, None]).sum(1)
    counted: np.ndarray = (1.0 + reached) / (1.0 + draws)
    upper = draws // 4
    if upper < FEW:
        return counted
    ranked = np.sort(null, 1)
    start = ranked[:, draws - upper - 1]
    excess = ranked[:, draws - upper :] - start[:, None]
    shape, scale = _fit_pareto(excess)
    beyond = np.maximum(observed - start, 0.0)
    steep = np.where(scale > 0, scale, 1.0)
    with np.errstate(over="ignore"):
        curved = (1.0 + shape * beyond / steep) ** (-1.0 / np.where(shape > 0, shape, 1.0))
    straight = np.exp(-beyond / steep)
    tail = (upper / draws) * np.where(shape > 1e-9, curved, straight)
    fitted = (reached < FEW) & (scale > 0)
    p: np.ndarray = np.where(fitted, np.clip(tail, 1e-12, 1.0), counted)
    return p


def _fit_pareto(excess: Float64[np.ndarray, "unit draw"]) -> tuple[PerUnit, PerUnit]:
    """Shape (at least 0, below 1) and scale of a generalized Pareto by L-moments (Hosking 1990)."""
    count = excess.shape[1]
    first = excess.mean(1)
    places = np.arange(count) / (count - 1)
    second = 2 * (excess * places).mean(1) - first
    ratio = np.divide(first, second, out=np.full_like(first, 2.0), where=second > 0)
    shape = np.clip(2.0 - ratio, 0.0, 0.95)
    return shape, first * (1.0 - shape)


def q_values(p: PerUnit) -> PerUnit:
    """The false discovery rate at which each unit is found (Benjamini and Hochberg, 1995).

    >>> q_values(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    count = len(p)
    order = np.argsort(p)[::-1]
    scaled = p[order] * count / np.arange(count, 0, -1)
    result = np.empty(count)
    result[order] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return result


def q_values_of(p: PerUnit, live: Bool[np.ndarray, "unit"]) -> PerUnit:
    """The false discovery rates of the units that are live as if there were no others, whose rate is 1.

    >>> q_values_of(np.array([0.01, 1.0, 0.04]), np.array([True, False, True])).round(3).tolist()
    [0.02, 1.0, 0.04]
    """
    result = np.ones(len(p))
    result[live] = q_values(p[live])
    return result


def judge_units(
    best_iou: PerUnit,
    evidence: Evidence,
    cutoff: float,
    draws: Resampling,
    controls: int = 10,
    live: Bool[np.ndarray, "unit"] | None = None,
) -> Confidence:
    """The confidence of a layer's labels, with the shuffled-label controls.

    `cutoff` is the IoU above which a unit is a detector; `draws` gave the evidence. As controls some shifts,
    of whole orders or of all blocks by the same slot, are taken for the truth in turn and judged by the
    draws. Where `live` is given, other units have no part in the rate of false discoveries: their p and q
    are 1.
    """
    null = evidence.null
    fine = np.isfinite(evidence.fine)
    if fine.any() and null[fine, 0].any():
        # On cells a little is lost of every overlap.
        null = null * (evidence.fine[fine].sum() / null[fine, 0].sum())
    if evidence.p.shape[1]:
        judged = list(evidence.p.T)
    else:
        taken = np.linspace(0, null.shape[1] - 1, min(controls, null.shape[1])).astype(int)
        judged = [p_values(best_iou, null)]
        judged += [p_values(null[:, draw], np.delete(null, draw, 1)) for draw in taken]
    p, *others = judged
    live = np.ones(len(p), bool) if live is None else live
    found = [(q_values_of(other, live) < 0.05).mean() for other in others]
    above = (null > cutoff).sum(1) / np.maximum(np.isfinite(null).sum(1), 1)
    return Confidence(
        p_value=np.where(live, p, 1.0),
        q_value=q_values_of(p, live),
        low=evidence.low,
        high=evidence.high,
        heldout=evidence.heldout,
        shifts=draws.count,
        chance_detectors=float(above.sum()),
        chance_discoveries=float(np.mean(found)) if found else 0.0,
        null="shifts" if draws.rings is None else "blocks",
        null_images=len(draws.order) if draws.rings is None else draws.rings.images,
    )
