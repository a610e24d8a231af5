"""Restyled scenes: the same masks to the pixel, other looks, and what each thing looks like."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitscope.errors import UsageError
from unitscope.lab.world import open_drawn
from unitscope.lab.world.light import Chance
from unitscope.lab.world.names import FIRST_ID
from unitscope.lab.world.restyling import LOOK_IDS, looks_vocabulary, restyle, restyle_scenes
from unitscope.lab.world.scenes import paint
from unitscope.lab.world.shading import LOOK_COLUMNS, read_index, read_labels, render

PLACES = st.integers(0, 10_000)


@settings(max_examples=25)
@given(PLACES, PLACES)
def test_shapes_stay_to_the_pixel_and_looks_are_the_styles(index, other):
    canvas, style = paint(6, index, 64)[1], paint(7, other, 64)[1]
    strokes, picture, shown = list(canvas.strokes), render(canvas), np.asarray(canvas.index).copy()
    dressed, worn = restyle(canvas, style, Chance(7, other))
    assert np.array_equal(np.asarray(dressed.index), shown)
    assert np.array_equal(read_labels(dressed)[:2], read_labels(canvas)[:2])
    looks = {tuple(row) for row in np.unique(style.table()[read_index(style).ravel()][:, [2, 3]], axis=0)}
    assert {tuple(row) for row in dressed.table()[:, [2, 3]]} <= looks
    form = np.setdiff1d(np.arange(24), LOOK_COLUMNS)
    assert np.array_equal(dressed.table()[:, form], canvas.table()[:, form])
    assert not np.array_equal(render(dressed), picture)
    # The canvas is as it was.
    assert canvas.strokes == strokes
    assert np.array_equal(render(canvas), picture)
    for own, (thing, _) in zip(canvas.table()[:, 0].astype(int), worn.astype(int), strict=True):
        assert thing != LOOK_IDS + own


@settings(max_examples=25)
@given(PLACES)
def test_strokes_of_one_thing_wear_one_look(index):
    canvas = paint(6, index, 64)[1]
    dressed, worn = restyle(canvas, paint(8, index, 64)[1], Chance(8, index))
    things = canvas.table()[:, :2].astype(int)
    for thing in np.unique(things, axis=0):
        same = (things == thing).all(1)
        assert len(np.unique(worn[same], axis=0)) == 1
        assert len(np.unique(dressed.table()[same][:, [2, 3]], axis=0)) == 1


def test_the_source_labels_what_is_seen():
    scenes = open_drawn(count=6, seed=11, size=64)
    twins = restyle_scenes(scenes, 12)
    assert len(twins) == 6
    assert twins.digest not in (scenes.digest, restyle_scenes(scenes, 13).digest)
    same = 0
    for index in range(6):
        one, other = scenes[index], twins[index]
        assert (one.key, one.ids) == (other.key, other.ids)
        assert other.planes.shape == (7, 64, 64)
        assert np.array_equal(one.planes[:2], other.planes[:2])
        known = {concept.id for concept in twins.vocabulary} | {0}
        assert set(np.unique(other.planes).tolist()) <= known
        # What looks like a thing is another thing.
        assert not (other.planes[5] == LOOK_IDS + other.planes[0]).any()
        assert (other.planes[4] >= FIRST_ID["color"]).all()
        same += (one.planes[4] == other.planes[4]).mean() / 6
        assert np.array_equal(twins[index].image, other.image)
    assert same < 0.6  # colors are named anew
    assert {one.category for one in looks_vocabulary()} >= {"look", "part look"}


def test_scenes_are_not_their_own_styles():
    with pytest.raises(UsageError, match="cannot be their own styles"):
        restyle_scenes(open_drawn(count=2, seed=3, size=64), 3)
