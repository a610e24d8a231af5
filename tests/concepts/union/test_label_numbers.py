"""Labels are counted and numbered, and planes laid together, without losing a label of a pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unitscope.concepts.union.label_numbers import Census, Share, number_labels, settle_planes
from unitscope.errors import SourceError

PLANES = hnp.arrays(
    np.uint32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=4), elements=st.integers(0, 4)
)


def labels_by_pixel(planes: np.ndarray) -> list[set[int]]:
    return [set(pixel[pixel > 0].tolist()) for pixel in by_pixel(planes)]


def by_pixel(planes: np.ndarray) -> np.ndarray:
    return planes.reshape(len(planes), planes.shape[1] * planes.shape[2]).T


def area_of(*shares: float) -> np.ndarray:
    """One plane of 100 pixels, of which label 1, 2, ... covers that share."""
    pixels = [np.full(round(100 * share), code, np.uint32) for code, share in enumerate(shares, start=1)]
    rest = np.zeros(100 - sum(map(len, pixels)), np.uint32)
    return np.concatenate([*pixels, rest]).reshape(1, 10, 10)


@given(PLANES)
def test_settled_planes_hold_every_label_of_a_pixel_once(planes: np.ndarray) -> None:
    settled = settle_planes(planes.copy())
    assert labels_by_pixel(settled) == labels_by_pixel(planes)
    for pixel in by_pixel(settled):
        own = pixel[pixel > 0]
        assert len(set(own.tolist())) == len(own)


@given(PLANES)
def test_settled_planes_are_as_few_as_can_be_and_the_first_is_the_fullest(planes: np.ndarray) -> None:
    settled = settle_planes(planes.copy())
    assert len(settled) == max((len(own) for own in labels_by_pixel(planes)), default=0)
    areas = np.count_nonzero(settled, axis=(1, 2)).tolist()
    assert areas == sorted(areas, reverse=True)


def test_labels_are_numbered_by_frequency_then_coverage_then_name() -> None:
    census = Census()
    for name in ("small", "large", "often", "also often"):
        census.enter(name, name)
    census.count({"object": (area_of(0.1, 0.5, 0.2, 0.2), ())})
    census.count({"object": (area_of(0, 0, 0.3, 0.3), ())})
    labels = number_labels(census, 1, 0.0)
    assert [label.name for label in labels] == ["also often", "often", "large", "small"]
    assert [label.number for label in labels] == [1, 2, 3, 4]
    assert labels[1].total == Share(2, 0.5)


def test_both_minimums_must_be_met() -> None:
    census = Census()
    for name in ("rare", "thin", "kept"):
        census.enter(name, name)
    census.count({"object": (area_of(0.6, 0.1, 0.3), ())})
    census.count({"object": (area_of(0, 0.1, 0.3), ())})
    assert [label.name for label in number_labels(census, 2, 0.6)] == ["kept"]


def test_the_primary_category_is_where_a_label_covers_most() -> None:
    census = Census()
    census.enter("door", "door")
    census.count({"object": (area_of(0.2), ()), "part": (area_of(0.4), ())})
    (label,) = number_labels(census, 1, 0.0)
    assert label.primary == "part"
    assert label.total == Share(1, 0.6)
    assert label.shares == {"object": Share(1, 0.2), "part": Share(1, 0.4)}


def test_a_label_of_the_whole_image_covers_it() -> None:
    census = Census()
    census.enter("street-s", "street-s")
    census.count({"scene": (np.zeros((0, 10, 10), np.uint32), (1,))})
    assert number_labels(census, 1, 1.0)[0].total == Share(1, 1.0)


def test_more_labels_than_a_picture_can_hold_are_refused() -> None:
    census = Census()
    codes = tuple(census.enter(f"name {place}", "x") for place in range(65_536))
    census.count({"texture": (np.zeros((0, 1, 1), np.uint32), codes)})
    with pytest.raises(SourceError, match="65536 labels"):
        number_labels(census, 1, 0.5)
