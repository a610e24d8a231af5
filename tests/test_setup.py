"""`scripts/setup`: one at a time in a checkout, and nothing to do the second time."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "setup"
PYTHON = f"""#!/usr/bin/env bash
# Stands for Python: makes an environment that holds nothing, and installs nothing.
if [[ "$1" == "-c" || "$1" == "--version" ]]; then exec {sys.executable} "$@"; fi
if [[ "$2" == "venv" ]]; then
  mkdir -p "$3/bin"
  cp "$0" "$3/bin/python"
  cp "$0" "$3/bin/unitscope"
fi
echo "$@" >> calls
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts" / "setup")
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text(f"# {name}\n")
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def set_up(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": str(checkout / "python")}
    script = [checkout / "scripts" / "setup", *options]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=False)


def test_a_second_setup_in_one_checkout_is_refused(checkout: Path) -> None:
    with open(checkout / "requirements.lock") as file:  # as the first one holds it
        fcntl.flock(file, fcntl.LOCK_EX)
        refused = set_up(checkout)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert f"another setup is at work in {checkout}; wait" in refused.stderr
    assert not (checkout / ".venv").exists()


def test_it_runs_once_the_other_has_ended_and_then_has_nothing_to_do(checkout: Path) -> None:
    done = set_up(checkout)
    assert done.returncode == 0, done.stderr
    calls = (checkout / "calls").read_text().splitlines()
    assert calls[0] == "-m venv .venv"
    assert [" install " in call for call in calls[1:5]] == [True, True, False, True]
    assert calls[3] == "-m pip check"
    bytecode, loops = sorted(calls[5:])  # at once
    assert bytecode.startswith("-m compileall -qq -x ")
    assert loops == "-m unitscope.dissection.rehearsal"
    assert set_up(checkout).returncode == 0
    assert (checkout / "calls").read_text().splitlines() == calls
    (checkout / "requirements.lock").write_text("# another\n")
    assert set_up(checkout).returncode == 0
    assert len((checkout / "calls").read_text().splitlines()) == 2 * len(calls)


def test_inner_loops_may_wait(checkout: Path) -> None:
    assert set_up(checkout, "--loops-later").returncode == 0
    calls = (checkout / "calls").read_text().splitlines()
    assert [" install " in call for call in calls] == [False, True, True, False, True]


def test_the_lock_is_held_while_it_works(checkout: Path) -> None:
    with open(checkout / "python", "a") as file:  # what it starts tries to set up as well
        file.write('if [[ "$2" == "venv" ]]; then scripts/setup 2> nested || echo $? >> nested; fi\n')
    assert set_up(checkout).returncode == 0
    nested = (checkout / "nested").read_text().splitlines()
    assert "another setup is at work" in nested[0]
    assert nested[1] == "1"


HALVES = """
if [[ "$*" == *" install "* ]]; then
  if grep -q torch "${@: -1}"; then echo $$ > half; exec sleep 600; fi
  until [[ -s half ]]; do sleep 0.01; done
  exit 3
fi
"""


def test_where_one_half_fails_the_other_ends(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("numpy==1\ntorch==1\n")
    with open(checkout / "python", "a") as file:
        file.write(HALVES)
    assert set_up(checkout).returncode == 3
    with pytest.raises(ProcessLookupError):
        os.kill(int((checkout / "half").read_text()), 0)
    assert not (checkout / ".venv" / "recipe").exists()


def test_an_option_that_it_does_not_know_is_told(checkout: Path) -> None:
    told = set_up(checkout, "--loops-never")
    assert told.returncode == 2
    assert "'--loops-never' is no option; there is --loops-later" in told.stderr
    assert not (checkout / ".venv").exists()
