"""The commands that ask people and tell what they said: what they refuse, and a server that is killed."""

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from commands import assert_refused
from unitscope.cli import main
from unitscope.experiments import read_ratings


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rate") / "run"
    words = "dissect zoo:scene-classifier --layers layer5 --concepts drawn:count=24,seed=9,size=64 --shifts 0"
    assert main([*words.split(), "--no-report", "--out", str(folder)]) == 0
    return folder


def test_what_cannot_be_asked_is_refused_in_one_line(run, capsys, monkeypatch):
    for words, said, status in (
        ("--units -1", "--units is -1", 2),
        ("--repeats 99", "repeats is 99", 2),
        ("--layers layer9", "no layer 'layer9'", 2),
        ("--port 70000", "port is 70000", 2),
    ):
        capsys.readouterr()
        port = [] if "--port" in words else ["--port", "0"]
        assert_refused(main(["rate", str(run), *words.split(), *port]), capsys, said, wanted=status)
    assert_refused(main(["ratings", str(run)]), capsys, "holds no ratings", wanted=1)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert_refused(main(["rate", str(run)]), capsys, "unitscope[app]", wanted=2)


def test_a_killed_server_keeps_every_answer(run, tmp_path, capsys):
    words = [sys.executable, "-m", "unitscope", "rate", str(run), "--out", str(tmp_path), "--port", "0"]
    for place in range(2):
        server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert server.stdout is not None
        assert server.stdout.readline().startswith("48 questions")
        address = server.stdout.readline().split()[2]
        body = json.dumps({"name": "Ann", "place": place, "answer": "yes"}).encode()
        kind = {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{address}api/answer", body, kind)) as told:
            assert json.load(told)["place"] == place + 1
        server.send_signal(signal.SIGKILL)
        server.wait(20)
        server.stdout.close()
    assert main(["ratings", str(tmp_path), "--draws", "10", "--json"]) == 0
    [ann] = json.loads(capsys.readouterr().out)["raters"]
    assert (ann["rater"], ann["answered"]) == ("Ann", 2)
    assert main(["ratings", str(tmp_path), "--draws", "10"]) == 0
    result = read_ratings(tmp_path, draws=10)
    assert capsys.readouterr().out.startswith(f"{result}\ntables: {tmp_path / 'layers.csv'}, ")
    result.save(tmp_path / "again")
    for name in result.files:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()
    assert_refused(main(["ratings", str(tmp_path), "--without", "Bob"]), capsys, "Bob", wanted=2)
