"""JSON read item by item is what JSON read at once is."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitscope.concepts.formats.coco import streamed_json
from unitscope.concepts.formats.coco.streamed_json import stream_json
from unitscope.errors import SourceError

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


def read_at_once(text: str) -> list[tuple[str, Any]]:
    return [
        (key, item)
        for key, value in json.loads(text).items()
        for item in (value if isinstance(value, list) else [value])
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.json"


@settings(max_examples=40)
@given(
    st.dictionaries(st.text(), VALUES, max_size=4),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.sampled_from([1, 2, 7, 40]),
)
def test_items_are_those_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    data: dict[str, Any],
    indent: int | None,
    ascii: bool,
    chunk: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "streamed.json"
    text = json.dumps(data, indent=indent, ensure_ascii=ascii)
    path.write_bytes(text.encode("utf-8", "replace"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed_json, "_CHUNK", chunk)
        seen = []
        assert list(stream_json(path, seen.append)) == read_at_once(path.read_text("utf-8"))
    assert b"".join(seen) == path.read_bytes()


@given(st.dictionaries(st.text(), VALUES, min_size=1, max_size=3), st.data())
def test_a_part_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any], draw: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.json"
    text = json.dumps(data)
    path.write_text(text[: draw.draw(st.integers(0, len(text) - 1))])
    with pytest.raises(SourceError, match=r"^[^\n]*cut\.json, character \d+: [^\n]*$"):
        list(stream_json(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "character 1: it ends in the middle"),
        ("[]", "wanted an object of lists"),
        ("null", "wanted an object of lists"),
        ('{"a": [1, 2', "character 12: it ends in the middle"),
        ('{"a": ["x', "it ends in the middle (Unterminated"),
        ('{"a": [1 2]}', "character 10: not JSON of the form that is known (wanted , or ])"),
        ('{"a": 1, "a": 2}', "the key 'a' comes twice"),
        ('{"a": 1} x', "something follows the end"),
        ("{1: 2}", "wanted a key in quotes"),
        ('{"a": ' + "[" * 200_000, "nested too deeply"),
        ('{"a": [' + '{"b":' * 200_000, "nested too deeply"),
        ('{"a": [1' + "0" * 1_000_000 + "]}", "a number of too many digits"),
        ('{"a": [\x01]}', "Expecting value"),
        (json.dumps(dict.fromkeys(map(str, range(1001)))), "more than 1000 keys at its top"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(SourceError, match=r"^[^\n]{,300}$") as caught:
        list(stream_json(file))
    assert message in str(caught.value)


def test_other_codes_and_missing_files_are_told(file: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot be read \(No such file"):
        list(stream_json(file))
    file.write_bytes('{"a": 1}'.encode("utf-16"))
    with pytest.raises(SourceError, match="no UTF-8 text"):
        list(stream_json(file))
    file.write_bytes(b'\xef\xbb\xbf{"a": ["\xc3\xa4"]}')
    assert list(stream_json(file)) == [("a", "ä")]


def test_an_item_has_a_limit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed_json, "ITEM_LIMIT", 1000)
    monkeypatch.setattr(streamed_json, "_CHUNK", 100)
    file.write_text('{"a": ["' + "x" * 10_000 + '"]}')
    with pytest.raises(SourceError, match="an item of more than 1000 characters"):
        list(stream_json(file))


def test_memory_does_not_grow_with_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed_json, "_CHUNK", 10_000)
    item = json.dumps({"id": 1, "segmentation": [list(range(60))]})
    file.write_text('{"annotations": [' + ",".join([item] * 4_000) + "]}")  # 1 MB
    tracemalloc.start()
    count = sum(1 for _ in stream_json(file))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 4_000
    assert peak < 200_000
