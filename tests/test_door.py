"""The one door of the package: few names, all documented, and light to open."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import unitscope

HEAVY = (
    "matplotlib",
    "torchvision",
    "transformers",
    "timm",
    "ray",
    "starlette",
    "efficientnet_lite_pytorch",
)


def test_names_are_sorted_and_few() -> None:
    assert list(unitscope.__all__) == sorted(unitscope.__all__)
    assert len(set(unitscope.__all__)) == len(unitscope.__all__) <= 30


def test_every_name_is_there() -> None:
    missing = [name for name in unitscope.__all__ if not hasattr(unitscope, name)]
    assert not missing


def test_it_lists_these_names_and_no_others() -> None:
    assert dir(unitscope) == list(unitscope.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'unitscope' has no attribute 'disect'"):
        _ = unitscope.disect


def test_every_name_says_what_it_is() -> None:
    silent = [name for name in unitscope.__all__ if not getattr(getattr(unitscope, name), "__doc__", None)]
    assert not silent


def test_every_name_is_in_the_reference() -> None:
    page = (Path(__file__).parent.parent / "docs" / "reference.md").read_text("utf-8")
    named = re.findall(r"^\.\. (?:auto\w+|py:data):: unitscope\.(\w+)$", page, re.MULTILINE)
    public = [name for name in unitscope.__all__ if not name.startswith("_")]
    assert sorted(set(named) - {"errors"}) == public
    assert len(named) == len(set(named))


@pytest.mark.parametrize("use", ["", "[getattr(unitscope, name) for name in unitscope.__all__]"])
def test_opening_the_door_is_light(use: str) -> None:
    code = f"import sys, unitscope\n{use}\nprint(*[module for module in {HEAVY!r} if module in sys.modules])"
    opened = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert opened.stdout.split() == []
