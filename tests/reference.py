"""The slow twins: every definition once more, in the most obvious way, with dense arrays and loops."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from unitscope.concepts.vocabulary import Example, Vocabulary
from unitscope.dissection.conventions import Convention


def source_place(pixel, pixels, cells, upsampling, center=0.0, step=1.0, extent=1):
    """Where on the axis of a map (cells counted from 0) one mask pixel reads; unclamped, in float64."""
    if upsampling == "receptive-field":
        return (pixel * (extent / pixels) - center) / step
    return (pixel + 0.5) * cells / pixels - 0.5


def upsample(flat, mask_size, upsampling, kind=np.float32, field=None, extent=(1, 1)):
    """One map at mask size, pixel by pixel."""
    flat = np.asarray(flat, kind)
    offset = 0
    if upsampling == "zero-border":
        flat, offset = np.pad(flat, 1), 1
    height, width = flat.shape
    out = np.empty(mask_size, kind)
    (cy, cx), (sy, sx) = field or ((0.0, 0.0), (1.0, 1.0))
    for i in range(mask_size[0]):
        for j in range(mask_size[1]):
            y = source_place(i, mask_size[0], height - 2 * offset, upsampling, cy, sy, extent[0]) + offset
            x = source_place(j, mask_size[1], width - 2 * offset, upsampling, cx, sx, extent[1]) + offset
            y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
            y0, x0 = math.floor(y), math.floor(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            h1, w1 = kind(y - y0), kind(x - x0)
            h0, w0 = kind(1) - h1, kind(1) - w1
            top = flat[y0, x0] * w0 + flat[y0, x1] * w1
            bottom = flat[y1, x0] * w0 + flat[y1, x1] * w1
            out[i, j] = top * h0 + bottom * h1
    return out


def threshold(values, quantile):
    """The (floor(q N) + 1)-th largest."""
    ordered = sorted(np.asarray(values).reshape(-1).tolist(), reverse=True)
    return ordered[math.floor(Fraction(str(quantile)) * len(ordered))]


def latent_threshold(cells, population, quantile):
    """Of a latent: by the quantile; if that is not above 0, half of the median of the cells that are."""
    ranked = threshold(population, quantile)
    firing = sorted(value for value in np.asarray(cells).reshape(-1).tolist() if value > 0)
    if ranked > 0 or not firing:
        return max(ranked, 0.0)
    middle = firing[(len(firing) - 1) // 2], firing[len(firing) // 2]
    return np.float32(sum(middle) / 2 / 2)


@dataclass
class Counted:
    """What the definition gives for one layer."""

    thresholds: np.ndarray
    masks: np.ndarray
    active: np.ndarray
    active_in: np.ndarray
    concept_pixels: np.ndarray
    intersections: np.ndarray
    iou: np.ndarray


def dissect(
    maps: np.ndarray,
    examples: list[Example],
    vocabulary: Vocabulary,
    rules: Convention,
    mask_size: tuple[int, int],
    field=None,
    extent=(1, 1),
    thresholds=None,
) -> Counted:
    """Dissect float32 maps[image, unit, y, x] against framed examples, by the definition."""
    dense = np.stack(
        [
            [upsample(flat, mask_size, rules.upsampling, np.float32, field, extent) for flat in image]
            for image in maps
        ]
    )
    population = maps if rules.population == "cells" else dense
    units = maps.shape[1]
    if thresholds is None:
        thresholds = np.array(
            [threshold(population[:, unit], rules.quantile) for unit in range(units)], np.float32
        )
    masks = dense > thresholds[None, :, None, None]
    # What only rounding lifts above every cell does not count.
    highest = np.maximum(maps.max((0, 2, 3)), 0 if rules.upsampling == "zero-border" else -np.inf)
    masks[:, highest <= thresholds] = False
    return count(masks, examples, vocabulary, rules, thresholds)


def count(masks, examples, vocabulary, rules, thresholds) -> Counted:
    """Count masks[image, unit, row, column] against labels, image by image and plane by plane."""
    images, units = masks.shape[:2]
    categories = vocabulary.categories
    active = np.zeros(units, np.int64)
    active_in = np.zeros((units, len(categories)), np.int64)
    concept_pixels = np.zeros(vocabulary.size, np.int64)
    intersections = np.zeros((units, vocabulary.size), np.int64)
    for image in range(images):
        example = examples[image]
        valid = np.ones(masks.shape[2:], bool) if example.void is None else ~example.void
        layers = [np.where(valid, plane, 0) for plane in example.planes]
        layers += [np.where(valid, identity, 0) for identity in example.ids]
        for unit in range(units):
            mask = masks[image, unit] & valid
            active[unit] += mask.sum()
            for place, category in enumerate(categories):
                labelled = [
                    np.isin(layer, [c.id for c in vocabulary if c.category == category]) for layer in layers
                ]
                enters = {
                    "all": True,
                    "category": any(part.any() for part in labelled),
                    "touched": any((part & mask).any() for part in labelled),
                }[rules.union]
                active_in[unit, place] += mask.sum() if enters else 0
            for concept in vocabulary:
                where = [layer == concept.id for layer in layers]
                once = np.any(where, axis=0) if where else np.zeros_like(mask)
                if rules.doubles == "twice":
                    intersections[unit, concept.id] += sum((part & mask).sum() for part in where)
                else:
                    intersections[unit, concept.id] += (once & mask).sum()
        for concept in vocabulary:
            where = [layer == concept.id for layer in layers]
            once = np.any(where, axis=0).sum() if where else 0
            concept_pixels[concept.id] += (
                once if rules.doubles == "once" else sum(part.sum() for part in where)
            )
    iou = np.zeros((units, vocabulary.size))
    for unit in range(units):
        for concept in vocabulary:
            place = categories.index(concept.category)
            shared = intersections[unit, concept.id]
            union = active_in[unit, place] + concept_pixels[concept.id] - shared
            iou[unit, concept.id] = shared / union if union > 0 else 0.0
    return Counted(thresholds, masks, active, active_in, concept_pixels, intersections, iou)


def runs_to_mask(runs, mask_size):
    """A mask from its runs."""
    mask = np.zeros(mask_size, bool)
    for row, first, last in runs:
        mask[row, first:last] = True
    return mask
