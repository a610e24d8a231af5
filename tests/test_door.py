"""The one door of the package: few names, all documented, and light to open."""

import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from unitscope.cli import list_commands
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


DOCS = Path(__file__).parent.parent / "docs"
LABORATORY = ("demo", "study", "zoo")
PARTS = ("concepts", "dissection", "interventions", "experiments", "views", "lab")
DOORS = ["unitscope", *(f"unitscope.{part}" for part in PARTS)]
doors = pytest.mark.parametrize("door", [import_module(name) for name in DOORS], ids=DOORS)


@doors
def test_names_are_sorted_and_few(door: ModuleType) -> None:
    assert list(door.__all__) == sorted(door.__all__)
    assert 0 < len(set(door.__all__)) == len(door.__all__)
    # A study is a command, and has one name: where they are many, there are many experiments, not many words.
    assert len([name for name in door.__all__ if not name.startswith("study_")]) <= 33


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


@doors
def test_every_name_is_in_the_reference(door: ModuleType) -> None:
    page = (DOCS / "reference.md").read_text("utf-8")
    listed = rf"^\.\. (?:auto\w+|py:data):: {re.escape(door.__name__)}\.(\w+)$"
    named = re.findall(listed, page, re.MULTILINE)
    public = [name for name in door.__all__ if not name.startswith("_")]
    assert sorted(set(named) - {"errors"}) == public
    assert len(named) == len(set(named))


def read_table() -> dict[str, list[str]]:
    """The functions beside each command on the page that puts the two together."""
    page = (DOCS / "commands-and-functions.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w ]+)` \| (.*) \| .* \|$", page, re.MULTILINE)
    assert len(rows) == len({command for command, _ in rows})
    return {command: re.findall(r"`(unitscope[\w.]*)`", functions) for command, functions in rows}


def test_every_command_stands_beside_its_function() -> None:
    wanted = set()
    for words, command in list_commands().items():
        ours = not command.origin or "'unitscope'" in command.origin or words.split()[0] in LABORATORY
        if ours and not isinstance(command.run, Mapping):
            wanted.add(words)
    assert set(read_table()) == wanted


@pytest.mark.parametrize(("command", "functions"), read_table().items())
def test_a_function_beside_a_command_is_at_a_door(command: str, functions: list[str]) -> None:
    assert functions, command
    for function in functions:
        home = max((name for name in DOORS if function.startswith(f"{name}.")), key=len)
        name, *more = function.removeprefix(f"{home}.").split(".")
        door = import_module(home)
        assert name in door.__all__, function
        found = getattr(door, name)
        for part in more:
            found = getattr(found, part)
        assert callable(found)
        assert found.__doc__


@pytest.mark.parametrize("use", ["", "[getattr(unitscope, name) for name in unitscope.__all__]"])
def test_opening_the_door_is_light(use: str) -> None:
    code = f"import sys, unitscope\n{use}\nprint(*[module for module in {HEAVY!r} if module in sys.modules])"
    opened = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert opened.stdout.split() == []
