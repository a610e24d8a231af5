"""Overlapping instances keep all their concepts."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sets.coco import count_runs
from unitscope.concepts.formats.coco import overlaps
from unitscope.concepts.formats.coco.overlaps import Overlaps
from unitscope.errors import SourceError

SIZE = 5, 7
INSTANCES = st.lists(
    st.tuples(arrays(bool, SIZE), st.lists(st.integers(1, 4), max_size=3, unique=True), st.booleans()),
    max_size=6,
)


@given(INSTANCES, st.integers(1, 40))
def test_every_pixel_has_the_set_of_its_concepts(
    instances: list[tuple[np.ndarray, list[int], bool]], block: int
) -> None:
    found = Overlaps(SIZE)
    wanted: list[set[int]] = [set() for _ in range(35)]
    veiled = np.zeros(SIZE, bool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlaps, "_BLOCK", block)
        for mask, concepts, crowd in instances:
            lengths = np.array(count_runs(mask))
            if crowd:
                found.veil(lengths)
                veiled |= mask
            else:
                found.paint(lengths, concepts)
                for pixel in np.flatnonzero(mask):
                    wanted[pixel].update(concepts)
    labels = found.finish()
    columns = labels.planes.reshape(len(labels.planes), -1).T.tolist()
    assert [sorted(filter(None, column)) for column in columns] == [sorted(one) for one in wanted]
    assert len(labels.planes) == max(1, *map(len, wanted))
    bare = np.array([not one for one in wanted]).reshape(SIZE)
    void = np.zeros(SIZE, bool) if labels.void is None else labels.void
    np.testing.assert_array_equal(void, veiled & bare)
    assert labels.void is None or labels.void.any()


def paint_whole(concepts: Iterable[int]) -> None:
    found = Overlaps(SIZE)
    for concept in concepts:
        found.paint(np.array([0, 35]), [concept])


def test_what_no_picture_needs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    paint_whole(range(1, 256))
    with pytest.raises(SourceError, match="a pixel has more than 255 concepts"):
        paint_whole(range(1, 257))
    monkeypatch.setattr(overlaps, "_MOST_LABELS", 100)
    with pytest.raises(SourceError, match="a pixel has more than 2 concepts"):
        paint_whole([1, 2, 3])
    monkeypatch.setattr(overlaps, "_MOST_WORK", 10_000)
    with pytest.raises(SourceError, match="cover the picture too many times"):
        paint_whole([1] * 100)
