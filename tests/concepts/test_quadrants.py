"""Halves of things: they partition every piece, and find the parts that a slow search finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unitscope.concepts.quadrants import SIDES, split_halves, split_quadrants
from unitscope.concepts.sources import open_concepts
from unitscope.errors import UsageError
from unitscope.lab.world import open_drawn

PLANES = arrays.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2))


def pieces_of(plane):
    """Every piece as a set of places, by walking from pixel to neighbor."""
    left = {tuple(place) for place in np.argwhere(plane)}
    while left:
        edge = [left.pop()]
        piece = set(edge)
        while edge:
            row, column = edge.pop()
            for place in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if place in left and plane[place] == plane[row, column]:
                    left.remove(place)
                    piece.add(place)
                    edge.append(place)
        yield piece


@settings(max_examples=80)
@given(PLANES)
def test_halves_partition_every_piece_at_the_middle_of_its_box(plane):
    halves = split_halves(plane)
    assert ((halves > 0) == (plane > 0)).all()
    for piece in pieces_of(plane):
        for axis in (0, 1):
            places = [place[axis] for place in piece]
            middle = min(places) + (max(places) + 1 - min(places)) // 2
            for place in piece:
                assert halves[axis][place] == (2 if place[axis] >= middle else 1)


def test_parts_are_named_and_placed():
    world = open_drawn(count=3, size=64)
    split = split_quadrants(world)
    objects = [concept for concept in world.vocabulary if concept.category == "object"]
    assert len(split.vocabulary) == len(world.vocabulary) + 4 * len(objects)
    names = {concept.name: concept.id for concept in split.vocabulary if concept.category == "part"}
    before, after = world[1], split[1]
    assert (after.planes[: len(before.planes)] == before.planes).all()
    added = after.planes[len(before.planes) :]
    for concept in objects:
        mine = before.planes[0] == concept.id
        top, bottom, left, right = ((added == names[f"{concept.name}-{side}"]).any(0) for side in SIDES)
        assert (top ^ bottom == mine).all()
        assert (left ^ right == mine).all()
        assert not (top & bottom).any()
        assert not (left & right).any()


def test_a_source_is_split_by_its_text():
    split = open_concepts("drawn:count=2,size=64,quadrants=object")
    assert split.spec == "drawn:count=2,seed=0,size=64,quadrants=object"
    assert split.digest != open_concepts("drawn:count=2,size=64").digest
    assert split.peek(0) == open_drawn(count=2, size=64).peek(0)
    with pytest.raises(UsageError, match="no category 'animal' to split"):
        open_concepts("drawn:count=2,quadrants=animal")
