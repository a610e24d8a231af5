"""Masks of several units meet labels in turns: each counts what it counts alone."""

import numpy as np
import pytest

import made
from unitscope.concepts.frames import Frame
from unitscope.statistics.annotations import LabelIndex, annotate, merge_annotations
from unitscope.statistics.kernels import tallies

SIZE, IMAGES, UNITS = (9, 11), 75, 5


def make_labels():
    source, frame = made.make_source(IMAGES, mask_size=SIZE, size=(18, 22), seed=1), Frame((18, 22), SIZE)
    parts = [
        annotate(frame.fit(source[number]), SIZE, "twice", source.vocabulary, number)
        for number in range(IMAGES)
    ]
    return LabelIndex(merge_annotations(parts).join(), source.vocabulary)


def draw_masks(rng, shuffled):
    """By unit some of the images, one of them none, and of each some runs along rows."""
    counts, images, sizes, runs = [], [], [], []
    for unit in range(UNITS):
        chosen = np.sort(rng.choice(IMAGES, 0 if unit == 2 else rng.integers(1, IMAGES), replace=False))
        counts.append(len(chosen))
        images += [*(rng.permutation(chosen) if shuffled else chosen)]
        for _ in chosen:
            rows = np.sort(rng.choice(SIZE[0], rng.integers(1, SIZE[0]), replace=False))
            starts = rng.integers(0, SIZE[1] - 1, len(rows))
            sizes.append(len(rows))
            runs += [
                (row, start, rng.integers(start + 1, SIZE[1] + 1))
                for row, start in zip(rows, starts, strict=True)
            ]
    return np.array(counts), np.array(images, np.int32), np.array(sizes, np.int32), np.array(runs, np.uint16)


@pytest.mark.parametrize("rule", [tallies.ALL, tallies.CATEGORY, tallies.TOUCHED])
@pytest.mark.parametrize("shuffled", [False, True])
def test_units_that_are_counted_in_turns_count_what_each_counts_alone(rule, shuffled):
    rng, index = np.random.default_rng(rule), make_labels()
    words, half = index.vocabulary, rng.integers(0, 2, IMAGES).astype(np.int8)
    counts, images, sizes, runs = draw_masks(rng, shuffled)
    pixels = tallies.mask_pixels(sizes, runs)
    kinds = len(words.categories)
    found, active, valid, _ = tallies.tally_units(
        counts, sizes, runs, pixels, images, half, index.arrays, rule, words.size, kinds
    )
    masks, steps = np.concatenate([[0], np.cumsum(counts)]), np.concatenate([[0], np.cumsum(sizes)])
    total = 0
    for unit in range(UNITS):
        own = slice(masks[unit], masks[unit + 1])
        taken = runs[steps[masks[unit]] : steps[masks[unit + 1]]]
        for part in (0, 1):
            target = np.where(half[images[own]] == part, images[own], -1)
            wanted, entering = np.zeros(words.size + 1, np.int64), np.zeros(kinds, np.int64)
            total += tallies.tally_masks(
                sizes[own], taken, pixels[own], target, index.arrays, rule, wanted, entering
            )
            np.testing.assert_array_equal(found[unit, part], wanted)
            np.testing.assert_array_equal(active[unit, part], entering)
    assert valid.sum() == total > 0
    assert found.any()
