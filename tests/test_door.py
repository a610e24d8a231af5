"""The one door of the package: few names, all documented, and light to open."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import unitscope
from unitscope.doors import NOTEBOOKS, PAGES
from unitscope.plugins import find_function

HEAVY = (
    "matplotlib",
    "torchvision",
    "transformers",
    "timm",
    "ray",
    "starlette",
    "efficientnet_lite_pytorch",
)


DOORS = ["unitscope", "unitscope.interventions", "unitscope.experiments", "unitscope.lab"]
doors = pytest.mark.parametrize("door", [import_module(name) for name in DOORS], ids=DOORS)


@doors
def test_names_are_sorted_and_few(door: ModuleType) -> None:
    assert list(door.__all__) == sorted(door.__all__)
    assert 0 < len(set(door.__all__)) == len(door.__all__) <= 30


@doors
def test_every_name_is_there(door: ModuleType) -> None:
    missing = [name for name in door.__all__ if not hasattr(door, name)]
    assert not missing


@doors
def test_it_lists_these_names_and_no_others(door: ModuleType) -> None:
    assert dir(door) == list(door.__all__)


@doors
def test_names_stand_once_as_type_checkers_read_them(door: ModuleType) -> None:
    lines = Path(str(door.__file__)).with_suffix(".pyi").read_text("utf-8").splitlines()
    named = [re.fullmatch(r"from [\w.]+ import (\w+) as \1", line) for line in lines]
    assert all(named)
    assert sorted(found[1] for found in named if found) == list(door.__all__)


@doors
def test_an_unknown_name_is_an_attribute_error(door: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{door.__name__}' has no attribute 'disect'"):
        _ = door.disect


@doors
def test_every_name_says_what_it_is(door: ModuleType) -> None:
    silent = [name for name in door.__all__ if not getattr(getattr(door, name), "__doc__", None)]
    assert not silent


def test_what_draws_results_is_there() -> None:
    for kind, drawn in (NOTEBOOKS | PAGES).items():
        assert isinstance(find_function(kind), type)
        assert callable(find_function(drawn))


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
