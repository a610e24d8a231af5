"""Run lengths: read as the reference reads them, and as they are defined."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as reference

from sets.coco import count_runs, spell_runs
from unitscope.concepts.formats.coco.run_lengths import fill_runs, read_counts
from unitscope.errors import SourceError

MASKS = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(lambda size: arrays(bool, size))
OF_THE_REFERENCE = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
"""pycocotools 2.0.11 decodes in the way of NumPy 1."""
PATCHES = st.lists(st.integers(0, 3000), min_size=1, max_size=30).filter(sum)


def read_slowly(letters: str) -> list[int]:
    """One letter, one number after the other."""
    counts: list[int] = []
    place = 0
    while place < len(letters):
        number, shift = 0, 0
        while True:
            bits = ord(letters[place]) - 48
            place += 1
            number += (bits % 32) << shift
            shift += 5
            if bits < 32:
                break
        if bits & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
    return counts


def fill_slowly(counts: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Pixel by pixel down the columns."""
    mask = np.zeros(size, bool)
    place = 0
    for run, count in enumerate(counts):
        for _ in range(count):
            mask[place % size[0], place // size[0]] = run % 2 == 1
            place += 1
    return mask


@given(MASKS)
def test_masks_come_back_from_what_the_reference_writes(mask: np.ndarray) -> None:
    size = mask.shape
    coded = reference.encode(np.asfortranarray(mask, np.uint8))
    counts = read_counts(coded["counts"], size)
    assert counts.tolist() == count_runs(mask) == read_slowly(coded["counts"].decode())
    assert spell_runs(count_runs(mask)).encode() == coded["counts"]
    np.testing.assert_array_equal(fill_runs(counts, size), mask)
    np.testing.assert_array_equal(fill_slowly(counts.tolist(), size), mask)
    assert read_counts(coded["counts"].decode(), size).tolist() == counts.tolist()
    assert read_counts(count_runs(mask), size).tolist() == counts.tolist()
    assert read_counts(np.array(count_runs(mask), np.uint32), size).tolist() == counts.tolist()


@OF_THE_REFERENCE
@given(PATCHES)
def test_any_lengths_come_back(counts: list[int]) -> None:
    size = (sum(counts), 1)
    letters = spell_runs(counts)
    assert read_counts(letters, size).tolist() == counts == read_slowly(letters)
    if all(counts[1:]):
        coded = reference.frPyObjects({"counts": counts, "size": list(size)}, *size)
        assert coded["counts"].decode() == letters
        np.testing.assert_array_equal(reference.decode(coded), fill_runs(np.array(counts), size))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([7], "for 7 pixels, the picture has 6"),
        ([2, 3], "for 5 pixels, the picture has 6"),
        ([], "for 0 pixels"),
        ([-1, 7], "hold -1, which is less than nothing"),
        ([2**70], "no list of whole numbers"),
        ([2**62, 2**62, 2**62, 2**62, 6], "the picture has 6"),
        ([1.5, 4.5], "no list of whole numbers"),
        ([[1], [5]], "no list of whole numbers"),
        (["1", "5"], "no list of whole numbers"),
        ([[1], 5], "no list of whole numbers"),
        ("", "for 0 pixels"),
        ("7", "for 7 pixels"),
        ("1o", "end in the middle"),
        ("\n", "with the character 10"),
        ("p", "with the character 112"),
        ("é", "with the character 195"),
        ("\ud800", "with the character 237"),
        ("oooooo0", "too many letters"),
        ("ooooooooooooooooooooo0", "too many letters"),
        ("O7", "hold -1"),
        ("ooooo?" * 2000, "the picture has 6"),
    ],
)
def test_wrong_lengths_are_told_in_one_line(counts: object, message: str) -> None:
    with pytest.raises(SourceError, match=r"^run lengths[^\n]*$") as caught:
        read_counts(counts, (2, 3))
    assert message in str(caught.value)


@given(st.text(st.characters(min_codepoint=40, max_codepoint=130)) | st.binary())
def test_any_letters_are_read_or_refused(letters: str | bytes) -> None:
    try:
        counts = read_counts(letters, (5, 6))
    except SourceError:
        return
    assert counts.sum() == 30
    assert counts.min() >= 0
