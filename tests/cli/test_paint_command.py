"""The command that serves the paint page: what it refuses, and a server that comes and goes."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from unitscope.cli import main

TESTS = Path(__file__).parent.parent
FACTORIES = """
import sys
sys.path.insert(0, {tests!r})
from generated import planted_generator, planted_segmenter
def generator():
    return planted_generator("planted.py:generator")
def segmenter():
    return planted_segmenter()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paint")
    (folder / "planted.py").write_text(FACTORIES.format(tests=str(TESTS)))
    words = [
        "dissect",
        f"{folder}/planted.py:generator",
        "--layers",
        "maps",
        "--convention",
        "pnas",
        "--shifts",
        "0",
    ]
    source = f"segmenter:{folder}/planted.py:segmenter,count=64"
    assert main([*words, "--concepts", source, "--no-report", "--out", str(folder / "run")]) == 0
    return folder


def refuse(capsys, *words):
    assert main(["paint", *map(str, words)]) in (1, 2)
    said = capsys.readouterr().err.strip()
    assert said.startswith("unitscope: ")
    assert "\n" not in said
    return said


def test_what_cannot_be_painted_is_refused_in_one_line(run, capsys):
    spec, found = f"{run}/planted.py:generator", run / "run"
    assert "makes no images" in refuse(capsys, "zoo:scene-classifier", "--run", found, "--port", 0)
    assert "other weights" in refuse(capsys, "zoo:generator", "--run", found, "--port", 0)
    assert "none" in refuse(capsys, spec, "--run", run / "none", "--port", 0)
    assert "layer other" in refuse(capsys, spec, "--run", found, "--layers", "other", "--port", 0)
    assert "images is 3" in refuse(capsys, spec, "--run", found, "--images", 3, "--port", 0)
    assert "no file" in refuse(capsys, spec, "--run", found, "--photo", run / "none.png", "--port", 0)
    assert "a picture" in refuse(capsys, spec, "--run", found, "--photo", run / "planted.py", "--port", 0)
    assert "port is 70000" in refuse(capsys, spec, "--run", found, "--port", 70000)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "is in use" in refuse(capsys, spec, "--run", found, "--port", taken.getsockname()[1])


def test_without_starlette_the_extra_is_named(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "unitscope[app]" in refuse(capsys, f"{run}/planted.py:generator", "--run", run / "run")


def test_a_server_comes_and_goes(run):
    words = [
        sys.executable,
        "-m",
        "unitscope",
        "paint",
        f"{run}/planted.py:generator",
        "--run",
        f"{run}/run",
    ]
    server = subprocess.Popen(
        [*words, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert server.stdout is not None
    told = server.stdout.readline()
    assert told.startswith("paint at http://127.0.0.1:"), server.stderr.read() if server.stderr else ""
    address = told.split()[2]
    with urllib.request.urlopen(address) as page:
        assert b"<canvas" in page.read()
    with urllib.request.urlopen(f"{address}api/project") as project:
        assert json.load(project)["generator"]["name"].endswith("planted.py:generator")
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0
    rest = server.communicate()
    assert rest[0].strip() in ("", "closed")
    assert "Traceback" not in rest[1]
