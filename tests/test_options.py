"""Texts with options: what is split off, and what is said of a wrong one."""

from pathlib import Path

import pytest

from unitscope.errors import UsageError
from unitscope.options import check_options, read_number, split_options


@pytest.mark.parametrize(
    ("text", "head", "options"),
    [
        ("", "", []),
        ("photos", "photos", []),
        ("photos,limit=3", "photos", [("limit", "3")]),
        ("photos, limit =3 ,shuffle= 4", "photos", [("limit", "3"), ("shuffle", "4")]),
        ("a,b,limit=3", "a,b", [("limit", "3")]),
        ("a=b/c,limit=3,x", "", [("a", "b/c"), ("limit", "3,x")]),
        ("count=3,size=64", "", [("count", "3"), ("size", "64")]),
        (
            "hf:net,phrases=tree, old house|sky,names=",
            "hf:net",
            [("phrases", "tree, old house|sky"), ("names", "")],
        ),
        ("net=3.onnx:x", "", [("net", "3.onnx:x")]),
        ("A=1", "A=1", []),
        ("half=train:0.7:1,half=test", "", [("half", "train:0.7:1"), ("half", "test")]),
        ("two\nlines,limit=3", "two\nlines", [("limit", "3")]),
    ],
)
def test_options_are_split_from_the_end(text: str, head: str, options: list[tuple[str, str]]) -> None:
    assert split_options(text) == (head, options)


def test_with_known_keys_the_others_stay_where_they_are() -> None:
    text = "hf:net,names=n.csv,count=3,random=0,seed=1,count=2"
    assert split_options(text, ("count", "seed")) == (
        "hf:net,names=n.csv,count=3,random=0",
        [("seed", "1"), ("count", "2")],
    )


def test_what_exists_is_taken_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data,split=val").mkdir()
    (tmp_path / "net=3.onnx").touch()
    monkeypatch.chdir(tmp_path)
    assert split_options("data,split=val") == ("data,split=val", [])
    assert split_options("data,split=val,limit=2") == ("data,split=val", [("limit", "2")])
    assert split_options("net=3.onnx,names=n.csv") == ("net=3.onnx", [("names", "n.csv")])


def test_options_are_checked() -> None:
    assert check_options("x", [("a", "1"), ("c", "2"), ("c", "3")], ["a", "b"], ["c"]) == {"a": "1"}
    with pytest.raises(UsageError, match="x has no option 'd'; it has a, b, c"):
        check_options("x", [("d", "1")], ["a", "b"], ["c"])
    with pytest.raises(UsageError, match="x has no option 'd'; it has none"):
        check_options("x", [("d", "1")], [])
    with pytest.raises(UsageError, match="x: the option 'a' is given twice; give it once"):
        check_options("x", [("a", "1"), ("a", "1")], ["a"])


@pytest.mark.parametrize("value", ["", "-1", "1.5", "many", "²", "１"])
def test_numbers_are_whole(value: str) -> None:
    assert read_number("count", "012") == 12
    with pytest.raises(UsageError, match=r"count=.*: wanted a whole number of 0 or more"):
        read_number("count", value)
