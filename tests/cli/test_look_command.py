"""The command that serves the live microscope: what it refuses, and a server that comes and goes."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from unitscope.cli import main
from unitscope.errors import UsageError
from unitscope.interventions.looking.lens import OtherName

TESTS = Path(__file__).parent.parent
FACTORIES = """
import sys
sys.path.insert(0, {tests!r})
from dataclasses import replace
from looked import tiny_network, tiny_source
def network():
    return replace(tiny_network(), name="tiny.py:network")
def source():
    return tiny_source()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    (folder / "tiny.py").write_text(FACTORIES.format(tests=str(TESTS)))
    words = ["dissect", f"{folder}/tiny.py:network", "--layers", "first", "last", "--convention", "pnas"]
    words += ["--shifts", "0", "--concepts", f"{folder}/tiny.py:source", "--no-report"]
    assert main([*words, "--out", str(folder / "run")]) == 0
    (folder / "words.csv").write_text("layer,unit,word,score,q_value\nlast,3,moss,2.5,0.25\n")
    (folder / "other.csv").write_text("layer,unit,word\nelse,3,moss\n")
    (folder / "loose.csv").write_text("unit,word\n3,moss\n")
    return folder


def refuse(capsys, *words):
    assert main(["look", *map(str, words)]) in (1, 2)
    said = capsys.readouterr().err.strip()
    assert said.startswith("unitscope: ")
    assert "\n" not in said
    return said


def test_what_cannot_be_looked_through_is_refused_in_one_line(place, capsys):
    spec, run = f"{place}/tiny.py:network", place / "run"
    assert "other weights" in refuse(capsys, "zoo:scene-classifier", "--run", run)
    assert "makes pictures" in refuse(capsys, "zoo:generator", "--run", run)
    assert "none" in refuse(capsys, spec, "--run", place / "none")
    assert "no layer 'other'" in refuse(capsys, spec, "--run", run, "--layers", "other")
    assert "names units of else" in refuse(capsys, spec, "--run", run, "--words", place / "other.csv")
    assert "the layer is missing" in refuse(capsys, spec, "--run", run, "--words", place / "loose.csv")
    assert "port is 70000" in refuse(capsys, spec, "--run", run, "--port", 70000)


def test_without_starlette_the_extra_of_look_is_named(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "unitscope[app]" in refuse(capsys, f"{place}/tiny.py:network", "--run", place / "run")


def test_images_that_have_gone_are_told_and_looked_without(place, capsys, monkeypatch):
    from unitscope import dissection
    from unitscope.views import serving

    served = []
    monkeypatch.setattr(serving, "serve_looking", lambda *given, **options: served.append((given, options)))

    def fail(*_given):
        raise UsageError("they have gone")

    spec, run = f"{place}/tiny.py:network", str(place / "run")
    assert main(["look", spec, "--run", run, "--words", str(place / "words.csv")]) == 0
    (lens, source), options = served.pop()
    assert lens.names == {"word": {"last": {3: OtherName("moss", score=2.5, q_value=0.25)}}}
    assert (len(source), options["lack"]) == (14, None)
    monkeypatch.setattr(dissection, "reopen_source", fail)
    assert main(["look", spec, "--run", run, "--images", f"{place}/tiny.py:source"]) == 0
    (_, source), options = served.pop()
    assert source is None
    assert (len(options["images"]), options["lack"]) == (14, "they have gone")
    assert "no top images: they have gone" in capsys.readouterr().out
    assert main(["look", spec, "--run", run, "--concepts", f"{place}/tiny.py:source"]) == 2


def test_a_microscope_comes_and_goes(place):
    words = ["look", f"{place}/tiny.py:network", "--run", f"{place}/run", "--layers", "last", "--port", "0"]
    server = subprocess.Popen(
        [sys.executable, "-m", "unitscope", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert server.stdout is not None
    told = server.stdout.readline()
    assert told.startswith("look at http://127.0.0.1:"), server.stderr.read() if server.stderr else ""
    address = told.split()[2]
    with urllib.request.urlopen(f"{address}api/project") as project:
        assert [one["layer"] for one in json.load(project)["layers"]] == ["last"]
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0
    assert "Traceback" not in server.communicate()[1]
