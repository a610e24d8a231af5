"""The instrument knows nothing of the laboratory, and works without it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unitscope
from commands import write_folder

IMPORTS = """
import importlib, pathlib, sys
import unitscope
folder = pathlib.Path(unitscope.__file__).parent
for file in folder.rglob("*.py"):
    *packages, name = file.relative_to(folder).with_suffix("").parts
    if packages[:1] != ["lab"] and name != "__main__":
        importlib.import_module(".".join(("unitscope", *packages, *((name,) if name != "__init__" else ()))))
print(*sorted(sys.modules))
"""
COMMANDS = """
import json, sys
from unitscope.cli import main
for words in json.load(sys.stdin):
    status = main(words.split())
    assert status == 0, (words, status)
assert not [name for name in sys.modules if name.startswith("unitscope.lab")]
"""
APART = """
import contextlib, io, json, sys
from unitscope.cli import main
for words in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(words)
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""
NETWORK = """
from torch import nn
from unitscope import Network, Preprocessing

def build():
    body = nn.Sequential(nn.Conv2d(3, 6, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    module = nn.Sequential(*body, nn.Linear(6, 2))
    return Network(module, Preprocessing((32, 32)), ("dim", "bright"))
"""


def run(code: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        input=given,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


def test_no_module_of_the_instrument_imports_the_laboratory() -> None:
    done = run(IMPORTS)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert {"unitscope.cli.dissection", "unitscope.views.report", "unitscope.networks.load"} <= set(loaded)
    assert not [name for name in loaded if name.startswith("unitscope.lab")]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package without its laboratory."""
    folder = tmp_path_factory.mktemp("copy")
    leave = shutil.ignore_patterns("lab")
    shutil.copytree(Path(unitscope.__file__).parent, folder / "unitscope", ignore=leave)
    return folder


def test_commands_work_without_the_laboratory(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "masks", images=6, size=(32, 32))
    random = np.random.default_rng(0)
    for label, level in (("dim", 60), ("bright", 200)):
        (tmp_path / "scenes" / label).mkdir(parents=True)
        for number in range(8):
            noise = random.integers(level - 60, level + 55, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(noise).save(tmp_path / "scenes" / label / f"{number}.png")
    (tmp_path / "net.py").write_text(NETWORK)
    few = "--layers 1 --concepts folder:masks --shifts 5 --threads 1"
    commands = [
        f"dissect net.py:build {few} --out first",
        f"dissect net.py:build {few} --out second --random-weights 1 --no-report",
        "show first --layer 1",
        "report first --out again",
        "compare first second --out compared",
        "ablate net.py:build --layer 1 --images folder:scenes --run first --counts 2 --draws 2 --out removed",
        "explain net.py:build masks/images/0.png --layer 1 --run first --out explained",
        "concepts check folder:masks",
    ]
    done = run(COMMANDS, json.dumps(commands), PYTHONPATH=str(copy))
    assert done.returncode == 0, done.stderr
    for page in ("first/report", "again", "compared", "removed"):
        assert (tmp_path / page / "index.html").is_file(), page
    assert (tmp_path / "explained" / "explanation.png").is_file()


def test_what_the_laboratory_brings_is_a_line_where_it_is_missing(copy: Path) -> None:
    commands = [
        ["--help"],
        ["study"],
        ["layers", "zoo:scene-classifier"],
        ["concepts", "check", "drawn:count=2"],
    ]
    done = run(APART, json.dumps(commands), PYTHONPATH=str(copy))
    assert done.returncode == 0, done.stderr
    (status, menu, lost), *refused = map(json.loads, done.stdout.splitlines())
    assert status == 0
    assert "  dissect " in menu
    assert "  study " not in menu
    assert len(lines := lost.splitlines()) == 3
    assert all("of package 'unitscope' cannot be loaded: ModuleNotFoundError" in line for line in lines)
    assert len(refused) == 3
    for status, _, complaint in refused:
        assert status == 2
        assert complaint.count("\n") == 1
        assert "No module named 'unitscope.lab'" in complaint
