"""Annotations with anything anywhere: they are read, or refused in one line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sets.coco import Truth, write_coco, write_lvis, write_paco, write_panoptic
from unitscope.concepts.sources import open_concepts
from unitscope.errors import UnitscopeError

SETS: dict[str, tuple[Callable[[Path], Truth], str, str]] = {
    "instances_val2017.json": (write_coco, "coco", ",crowd=label"),
    "lvis_v1_val.json": (write_lvis, "coco", ""),
    "paco_lvis_v1_val.json": (write_paco, "coco", ",attributes=yes,parts=merged"),
    "panoptic_val2017.json": (write_panoptic, "coco-panoptic", ",crowd=void"),
}
ODD: list[Any] = [
    *(None, True, -1, 0, 1, 2, 7, 0.5, 1e300, float("nan"), float("inf"), 2**31, 2**63, 10**400, 10**4000),
    *("", "a\nb", "\ud800", "../../etc/passwd", "/", "a" * 10_000, "\0", "000000000139.jpg", "139"),
    *([], {}, [[]], [{}], [None], [0] * 6, [[0] * 6] * 3, {"counts": [], "size": []}, {"id": 1}),
]


def list_places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside another."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*above, key)
        yield from list_places(one, (*above, key))


def list_messages(spec: str) -> Iterator[str]:
    """Opens a source and reads all of it; what cannot be read."""
    try:
        source = open_concepts(spec)
    except UnitscopeError as error:
        yield str(error)
        return
    for index in range(len(source)):
        try:
            source[index]
        except UnitscopeError as error:
            yield str(error)


def look_through(spec: str) -> None:
    for message in list_messages(spec):
        assert "\n" not in message
        assert len(message) < 600


@pytest.fixture(scope="module", params=SETS)
def spoiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    write, word, options = SETS[request.param]
    root = tmp_path_factory.mktemp("spoiled")
    write(root)
    return root / "annotations" / request.param, f"{word}:{root},annotations={request.param}{options}"


@settings(max_examples=50)
@given(st.data())
def test_any_value_anywhere(spoiled: tuple[Path, str], draw: st.DataObject) -> None:
    path, spec = spoiled
    whole = path.read_text()
    data = json.loads(whole)
    *above, last = draw.draw(st.sampled_from(list(list_places(data))))
    place = data
    for key in above:
        place = place[key]
    place[last] = draw.draw(st.sampled_from(ODD))
    try:
        path.write_text(json.dumps(data))
        look_through(spec)
    finally:
        path.write_text(whole)


@settings(max_examples=30)
@given(st.data())
def test_any_bytes_anywhere(spoiled: tuple[Path, str], draw: st.DataObject) -> None:
    path, spec = spoiled
    whole = path.read_bytes()
    place = draw.draw(st.integers(0, len(whole) - 1))
    cut = draw.draw(st.integers(0, 3))
    try:
        path.write_bytes(whole[:place] + draw.draw(st.binary(max_size=3)) + whole[place + cut :])
        look_through(spec)
    finally:
        path.write_bytes(whole)
