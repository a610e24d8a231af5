import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unitscope.statistics.exemplars import TopImages, empty_tops


def rank_images(peaks: np.ndarray, first_image: int, ranks: int) -> TopImages:
    return empty_tops(peaks.shape[1], ranks).add(peaks, first_image)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 6), st.integers(0, 9))
def test_top_images_are_the_first_of_all_sorted_by_peak_then_number(seed, units, ranks, cut):
    rng = np.random.default_rng(seed)
    peaks = rng.integers(-2, 3, (9, units)).astype(np.float32)  # few values, so that many tie
    added = rank_images(peaks[:cut], 0, ranks).add(peaks[cut:], cut)
    merged = rank_images(peaks[cut:], cut, ranks).merge(rank_images(peaks[:cut], 0, ranks))
    late = rank_images(peaks[cut:], cut, ranks).add(peaks[:cut], 0)
    for unit in range(units):
        order = sorted(range(9), key=lambda image: (-peaks[image, unit], image))[:ranks]
        for found in (added, merged, late):
            assert found.images[unit].tolist() == order
            np.testing.assert_array_equal(found.peaks[unit], peaks[order, unit])
