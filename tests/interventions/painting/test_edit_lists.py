"""Edit lists survive JSON, and nothing else passes for one."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_strokes import BALL, draw_painting, easel

from generated import PAINTS
from unitscope.errors import UsageError
from unitscope.interventions.painting.edit_lists import describe_painting, parse_painting
from unitscope.interventions.painting.strokes import Bitmap, Painting, Stroke

__all__ = ["easel"]


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_edit_list_survives_a_file(easel, seed):
    painting = draw_painting(seed)
    text = json.dumps(describe_painting(painting, easel))
    again = parse_painting(text, easel)
    assert again == painting
    assert json.dumps(describe_painting(again, easel)) == text


def plain(easel):
    stroke = Stroke("maps", PAINTS[2], Bitmap(2, 2, (1, 3)), concept=BALL)
    return describe_painting(Painting(1, (stroke,), frozenset({("maps", 4)})), easel)


def put(path, value):
    def change(found):
        for key in path[:-1]:
            found = found[key]
        found[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put(["version"], 2), "version 1"),
        (put(["version"], True), "version 1"),
        (put(["more"], 1), "nothing else"),
        (put(["image"], -1), "image must be a whole number"),
        (put(["image"], 1.0), "image must be a whole number"),
        (put(["image"], 10**30), "image must be a whole number"),
        (put(["generator", "digest"], "other"), "another generator"),
        (put(["generator", "seed"], 7), "another seed"),
        (put(["strokes"], [None] * 201), "200 at most"),
        (put(["strokes", 0, "layer"], "first"), "one of maps"),
        (put(["strokes", 0, "units"], [1, 1]), "stands there twice"),
        (put(["strokes", 0, "units"], [10]), "from 0 to 9"),
        (put(["strokes", 0, "strength"], 1.5), "from 0 to 1"),
        (put(["strokes", 0, "mode"], "smear"), "draw, erase"),
        (put(["strokes", 0, "rule"], ["mean"]), "mean, quantile"),
        (put(["strokes", 0, "concept"], {"name": "cow", "category": "object"}), "no such concept"),
        (put(["strokes", 0, "concept"], {"name": "ghost", "category": "object"}), "none of the 64 images"),
        (put(["strokes", 0, "mask", "rows"], 257), "from 0 to 256"),
        (put(["strokes", 0, "mask", "rows"], 0), "1 or more each way"),
        (put(["strokes", 0, "mask", "runs"], [1, 2]), "wanted 4"),
        (put(["off", 0, "unit"], 99), "from 0 to 9"),
    ],
)
def test_what_is_no_edit_list_is_refused_in_one_line(easel, change, said):
    found = copy.deepcopy(plain(easel))
    change(found)
    with pytest.raises(UsageError, match=said) as refused:
        parse_painting(json.dumps(found), easel)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["", "nul", "[]", "NaN", "[" * 100_000, b"\xff\xfe", '{"a": 1, "a": 2}', " " * 1_000_001],
    ids=["empty", "cut", "list", "nan", "deep", "bytes", "twins", "long"],
)
def test_what_is_no_json_is_refused_in_one_line(easel, text):
    with pytest.raises(UsageError) as refused:
        parse_painting(text, easel)
    assert "\n" not in str(refused.value)
