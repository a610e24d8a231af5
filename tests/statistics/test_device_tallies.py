import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_quantiles import make_maps

import made
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.statistics import overlap
from unitscope.statistics.annotations import LabelIndex, annotate, merge_annotations
from unitscope.statistics.device_tallies import DeviceLabels
from unitscope.statistics.exemplars import empty_tops
from unitscope.statistics.grids import make_grid
from unitscope.statistics.kernels import tallies
from unitscope.statistics.overlap import RULES, measure_overlap
from unitscope.statistics.quantiles import Masks, TailPlan, empty_tail, update_tail
from unitscope.statistics.threads import open_threads


def index_labels(examples, size, words=made.WORDS, doubles="twice"):
    parts = [annotate(example, size, doubles, words, number) for number, example in enumerate(examples)]
    return LabelIndex(merge_annotations(parts).join(), words)


def count(masks, half, index, rule):
    """What the compiled loop gives."""
    pixels = tallies.mask_pixels(masks.size, masks.runs)
    words = index.vocabulary
    return tallies.tally_units(
        masks.counts, masks.size, masks.runs, pixels, masks.image, half, index.arrays, rule, words.size,
        len(words.categories),
    )  # fmt: skip


def check_same(masks, half, index):
    for rule in RULES.values():
        found = DeviceLabels(index.annotations, index.vocabulary, "cpu").tally(masks, half, rule)
        for mine, wanted in zip(found, count(masks, half, index, rule), strict=True):
            np.testing.assert_array_equal(mine, wanted)
            assert (mine.dtype, mine.shape) == (wanted.dtype, wanted.shape)


def make_tail(images, size, upsampling, threads, seed, quantile=0.2):
    maps = make_maps("normal", images, 5, 4, seed)
    maps[:, 0] = 0.5  # a unit that is never above its threshold
    plan = TailPlan(5, images, (4, 4), make_grid((4, 4), size, upsampling), "cells", quantile)
    return update_tail(empty_tail(plan), maps, 0, threads), maps


@given(
    images=st.integers(1, 12),
    size=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    doubles=st.sampled_from(["twice", "truth-twice", "once"]),
    upsampling=st.sampled_from(["half-pixel", "zero-border"]),
    void=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=60)
def test_the_counts_are_the_compiled_ones_to_the_integer(images, size, doubles, upsampling, void, seed):
    rng = np.random.default_rng(seed)
    examples = [made.label_image(rng, size, f"i{k}", void=void) for k in range(images)]
    with open_threads(1) as threads:
        tail, _ = make_tail(images, size, upsampling, threads, seed)
    masks = tail.masks(tail.thresholds())
    check_same(
        masks, rng.integers(0, 2, images).astype(np.int8), index_labels(examples, size, doubles=doubles)
    )


def test_sixty_four_categories_and_images_that_are_all_void_are_counted_alike():
    words = Vocabulary(tuple(Concept(k + 1, f"c{k}", f"kind {k}") for k in range(64)))
    planes = np.arange(1, 65, dtype=np.uint16).reshape(1, 8, 8)
    picture = np.zeros((8, 8, 3), np.uint8)
    void = np.ones((8, 8), bool)
    examples = [
        Example("a", picture, planes),
        Example("b", picture, planes, (3, 3, 64), void),
        Example("c", picture, planes[:0], (3, 3, 64)),
    ]
    with open_threads(1) as threads:
        tail, _ = make_tail(3, (8, 8), "half-pixel", threads, 1)
    check_same(
        tail.masks(tail.thresholds()), np.array([0, 1, 1], np.int8), index_labels(examples, (8, 8), words)
    )


def test_units_without_any_mask_are_counted_as_nothing():
    index = index_labels(made.make_source(3).examples, (12, 12))
    none = Masks(
        np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros((0, 3), np.uint16)
    )
    check_same(none, np.zeros(3, np.int8), index)


@pytest.mark.parametrize("full", [False, True])
def test_a_layer_is_measured_alike_also_where_the_device_has_no_memory_left(monkeypatch, full):
    index = index_labels(made.make_source(12).examples, (12, 12))
    asked = []

    def tally(labels, *rest):
        asked.append(len(rest[0].counts))
        if full:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return counted(labels, *rest)

    counted = DeviceLabels.tally
    monkeypatch.setattr(DeviceLabels, "tally", tally)
    areas = index.annotations.concept_pixels(made.WORDS.size)
    with open_threads(2) as threads:
        tail, maps = make_tail(12, (12, 12), "half-pixel", threads, 3)
        tops = empty_tops(5, 2).add(maps.amax((2, 3)).numpy(), 0)
        both = [
            measure_overlap(tail, tops, labels, "touched", areas, None, threads)[0]
            for labels in (index, DeviceLabels(index.annotations, index.vocabulary, "cpu"))
        ]
    assert sum(asked) == 5
    for name, value in vars(both[0]).items():
        np.testing.assert_array_equal(value, getattr(both[1], name))
    assert isinstance(both[0], overlap.Overlap)
