"""What packages bring: found by name, loaded when used, and one line for what cannot be had."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from commands import assert_refused
from unitscope import plugins
from unitscope.cli import COMMANDS, list_commands, main
from unitscope.errors import UnitscopeError, UsageError
from unitscope.networks.load import load_network
from unitscope.networks.network import Network
from unitscope.plugins import NETWORKS, Command, Kind, find_plugin, find_plugins, list_names

NET = """
from torch import nn
from unitscope.networks.network import Network, Preprocessing
from unitscope.plugins import Command, Kind

def open_net(name, **options):
    if name == "broken":
        raise RuntimeError("no\\nluck")
    if name == "number":
        return 3
    open_net.options = options
    module = nn.Conv2d(3, 4, 3)
    return Network(module, Preprocessing((9, 9))) if name == "sized" else module

def greet(name: str = "you", loud: bool = False) -> int:
    "Say hello."
    print(name.upper() if loud else name)
    return 3

PLAIN = Kind(open_net, "plain:NAME")
FULL = Kind("brought:open_net", "full:NAME", options=("weights", "random", "download"))
GREET = Command("brought:greet", "say hello", "Manners")
LOST = Command("nowhere:greet", "fail")
PAIR = Command({"one": Command("brought:greet", "say it once"), "lost": LOST}, "two")
"""


class Packages:
    """Packages that are installed for one test, in a folder in front of all others."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.changes = folder, 0

    def add(self, package: str, group: str, **entries: str) -> None:
        info = self.folder / f"{package}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
        with open(info / "entry_points.txt", "a") as file:
            file.write("\n".join(lines) + "\n")
        self.changes += 1  # as installing does: the folder changes
        os.utime(self.folder, (self.changes, self.changes))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "brought", raising=False)
    (tmp_path / "brought.py").write_text(NET)
    return Packages(tmp_path)


def test_a_network_of_a_package_is_opened_like_any_other(packages: Packages) -> None:
    packages.add("nets", NETWORKS, plain="brought:PLAIN", full="brought:FULL")
    network = load_network("plain:sized")
    assert (network.name, network.preprocessing.size) == ("plain:sized", (9, 9))
    assert load_network("plain:bare", size=7).preprocessing.size == (7, 7)
    assert not load_network("full:x").module.training


def test_a_network_of_a_package_is_given_the_options_that_it_takes(packages: Packages) -> None:
    packages.add("nets", NETWORKS, plain="brought:PLAIN", full="brought:FULL")
    before = torch.random.get_rng_state()
    made = {seed: load_network("full:x", random=seed).digest for seed in (0, 1)}
    assert made[0] == load_network("full:x", random=0).digest != made[1]
    assert load_network("plain:x").digest == load_network("plain:x").digest
    assert torch.equal(before, torch.random.get_rng_state())
    opened = sys.modules["brought"].open_net
    load_network("full:x", weights="here.pth", download=True)
    assert opened.options == {"weights": Path("here.pth"), "download": True}
    load_network("plain:x", download=True)
    assert opened.options == {}
    with pytest.raises(UsageError, match="plain:x takes no weights file"):
        load_network("plain:x", weights="here.pth")
    with pytest.raises(UsageError, match="plain:x takes no random weights"):
        load_network("plain:x", random=0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "plain:broken",
            "the plug-in 'plain' of package 'nets' failed: RuntimeError: no luck",
        ),
        ("plain:number", "plain:number returned int; wanted a Network or an nn.Module"),
    ],
)
def test_a_network_of_a_package_that_fails_is_one_line(packages: Packages, spec: str, message: str) -> None:
    packages.add("nets", NETWORKS, plain="brought:PLAIN")
    with pytest.raises(UnitscopeError, match=message) as caught:
        load_network(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "nowhere:NET",
            "cannot be loaded: ModuleNotFoundError: No module named 'nowhere'; reinstall or unins",
        ),
        ("brought:GONE", "cannot be loaded: AttributeError: "),
        ("brought:greet", "is a function; wanted a Kind of unitscope.plugins at brought:greet"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_names_its_package(
    packages: Packages, value: str, message: str
) -> None:
    packages.add("nets", NETWORKS, lost=value, plain="brought:PLAIN")
    with pytest.raises(UsageError, match=f"the plug-in 'lost' of package 'nets' {message}"):
        load_network("lost:net")
    found, failures = find_plugins(NETWORKS, Kind)
    assert {"plain", "zoo"} <= set(found)
    assert len(failures) == 1


def test_what_a_statement_names_is_loaded_when_it_is_used(packages: Packages) -> None:
    (packages.folder / "later.py").write_text(
        "from unitscope.plugins import Kind\nNET = Kind('nowhere:open_net', 'later:NAME')"
    )
    packages.add("nets", NETWORKS, later="later:NET")
    kind = find_plugin(NETWORKS, "later", Kind)
    assert kind is not None
    with pytest.raises(
        UsageError, match="plug-in 'later' of package 'nets' cannot be loaded: ModuleNotFound"
    ):
        kind("net")


def test_two_packages_of_one_name_are_refused_and_unitscope_stands_before_all(packages: Packages) -> None:
    packages.add("one", NETWORKS, twice="brought:PLAIN", zoo="brought:PLAIN", timm="brought:PLAIN")
    packages.add("two", NETWORKS, twice="brought:FULL")
    with pytest.raises(UsageError, match="'twice' is brought by package 'one' and package 'two' alike"):
        load_network("twice:net")
    assert isinstance(load_network("zoo:scene-classifier"), Network)
    with pytest.raises(UsageError, match="timm has no network"):
        load_network("timm:resnet10x")
    found, failures = find_plugins(NETWORKS, Kind, ("timm",))
    assert "zoo" in found
    assert not {"twice", "timm"} & set(found)
    assert [line.partition(";")[0] for line in failures] == [
        "the plug-in 'timm' of package 'one' is not used: unitscope has its own 'timm'",
        "'twice' is brought by package 'one' and package 'two' alike (unitscope.networks)",
        "the plug-in 'zoo' of package 'one' is not used: unitscope has its own 'zoo'",
    ]


def test_the_commands_of_a_package_run_and_are_listed(packages: Packages, capsys) -> None:
    packages.add("manners", plugins.COMMANDS, greet="brought:GREET", pair="brought:PAIR")
    assert main(["greet", "--name", "all", "--loud"]) == 3
    assert capsys.readouterr().out == "ALL\n"
    assert main(["pair", "one"]) == 3
    assert main(["greet", "--help"]) == 0
    assert "usage: unitscope greet" in capsys.readouterr().out
    assert main(["--help"]) == 0
    printed = capsys.readouterr()
    assert "\n\nManners:\n  greet       say hello\n\nMore:\n  pair        two\n" in printed.out
    assert not printed.err
    assert {"greet", "pair", "pair one"} <= set(list_commands())
    assert_refused(main(["gret"]), capsys, "no command 'gret'; near names: greet", wanted=2)
    assert_refused(main(["pair"]), capsys, "unitscope pair needs a command; commands: one, lost", wanted=2)
    assert_refused(main(["greet", "--naem", "x"]), capsys, "--naem", "unitscope greet --help", wanted=2)


def test_a_command_that_cannot_be_loaded_is_one_line_and_breaks_nothing_else(
    packages: Packages, capsys
) -> None:
    packages.add("bad", plugins.COMMANDS, lost="nowhere:LOST", pair="brought:PAIR", show="brought:GREET")
    lost = "the plug-in 'lost' of package 'bad' cannot be loaded: ModuleNotFoundError"
    assert main(["--help"]) == 0
    printed = capsys.readouterr()
    assert all(f"  {name} " in printed.out for name in ("dissect", "study", "pair"))
    lines = printed.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"unitscope: {lost}")
    assert (
        lines[1] == "unitscope: the plug-in 'show' of package 'bad' is not used: unitscope has its own 'show'"
    )
    assert_refused(main(["lost"]), capsys, lost, wanted=2)
    assert_refused(main(["pair", "lost"]), capsys, "plug-in 'pair' of package 'bad' cannot be l", wanted=2)
    assert main(["show", "gone"]) == 1
    assert "gone holds no run.json" in capsys.readouterr().err


def test_help_tells_what_packages_bring_and_passes_over_what_fails(packages: Packages) -> None:
    packages.add("nets", NETWORKS, plain="brought:PLAIN", lost="nowhere:NET")
    asked = [sys.executable, "-m", "unitscope", "layers", "--help"]
    environment = {"PYTHONPATH": ":".join(sys.path), "COLUMNS": "200"}
    printed = subprocess.run(asked, capture_output=True, text=True, check=True, env=environment)
    assert "head:FILE, plain:NAME or zoo:NAME" in printed.stdout
    assert not printed.stderr


def test_the_laboratory_comes_in_as_any_package_does() -> None:
    assert {"demo", "study", "zoo"} <= set(list_names(plugins.COMMANDS))
    assert not {"demo", "study", "zoo"} & set(COMMANDS)
    for name in ("demo", "study", "zoo"):
        command = find_plugin(plugins.COMMANDS, name, Command)
        assert command is not None
        assert command.origin == f"{name!r} of package 'unitscope'"


LOADED = """
import contextlib, io, json, os, sys
from unitscope.cli import list_commands, main
with contextlib.redirect_stdout(io.StringIO()):
    status = main(["--help"])
print(json.dumps(["", status, sorted(sys.modules)]), flush=True)
for words in list_commands():
    if os.fork() == 0:
        with contextlib.redirect_stdout(io.StringIO()):
            status = main([*words.split(), "--help"])
        print(json.dumps([words, status, sorted(sys.modules)]), flush=True)
        os._exit(0)
    os.wait()
"""
HEAVY = {"torch", "numpy", "numba", "scipy", "matplotlib", "jaxtyping", "PIL", "jinja2"}


def test_help_imports_no_more_than_the_module_of_its_command() -> None:
    commands = list_commands()
    homes = {
        words: str(command.run).partition(":")[0]
        for words, command in commands.items()
        if isinstance(command.run, str)
    }
    asked = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    seen = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [words for words, _, _ in seen] == ["", *commands]
    for words, status, modules in seen:
        assert status == 0, words
        assert not HEAVY & set(modules), words
        wanted = {homes[words]} if words in homes else set()
        assert set(homes.values()) & set(modules) == wanted, words
