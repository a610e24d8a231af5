"""A command that is told to end does so at once, wherever it is, and says how to go on."""

import os
import shlex
import signal
import subprocess
import sys

import pytest

from unitscope.cli.dissection import _go_on
from unitscope.cli.interruption import end_at_once, offer, spell_command

WORLD = """
import hashlib, os, signal, time
from contextlib import suppress
from threading import Timer
import numpy as np
import torch
from torch import nn
from unitscope import Concept, Example, Vocabulary

def stall(where, computing=False):
    # Reached: whoever waits is told, and nothing more happens for a minute, computing or not.
    if os.environ.get("STALL") != where:
        return
    os.environ["STALL"] = ""
    Timer(0.1, lambda: os.write(int(os.environ["TOLD"]), b"reached\\n")).start()
    if computing:  # as in a large network, Python does not come between
        hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000_000)
    if where == "losing":
        lose_signal()
    time.sleep(60)

def lose_signal():
    # As Ray does: the signal is handed on later, and the error that comes of it is lost.
    told, inner = [], signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda number, frame: told.append(number))
    while not told:
        time.sleep(0.02)
    time.sleep(0.1)
    signal.signal(signal.SIGINT, inner)
    with suppress(KeyboardInterrupt):
        inner(told[0], None)

class Net(nn.Sequential):
    passes = 0
    def forward(self, x):
        Net.passes += len(x)
        if Net.passes > 40:
            stall("network", computing=True)
        return super().forward(x)

def net():
    torch.manual_seed(0)
    return Net(nn.Conv2d(3, 4, 5, 4))

class Source:
    vocabulary = Vocabulary((Concept(1, "left", "object"), Concept(2, "right", "object")))
    name, digest = "world", "0"
    def __len__(self):
        return 64
    def __getitem__(self, index):
        if index == 48:
            stall("reading")
        planes = np.ones((1, 32, 32), np.uint16)
        planes[0, :, 16 + index % 8 :] = 2
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32, 3), np.uint8)
        return Example(str(index), pixels, planes)

def source():
    stall("opening")
    stall("losing")
    return Source()
"""

STARTER = """
import os, signal, sys
sys.path.insert(0, ".")
import world
from unitscope.cli import main
from unitscope.statistics import overlap
from unitscope.views.report import pictures

# What was begun in the background of a shell ignores Ctrl-C, and so do all that it begins.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
told = os.environ["TOLD"] = str(os.dup(1))
os.dup2(os.open(os.devnull, os.O_RDWR), 1)
main(sys.argv[1:])  # what the first run imports all others have

def before(place, name, where, computing):
    inner = getattr(place, name)
    def call(*given, **named):
        world.stall(where, computing)
        return inner(*given, **named)
    setattr(place, name, call)

before(overlap, "measure_block", "naming", True)
before(pictures, "shrink", "report", False)
for line in sys.stdin:
    where, *words = line.split()
    if not (child := os.fork()):
        os.environ["STALL"] = where
        sys.argv[1:] = words
        os.dup2(os.open("said", os.O_CREAT | os.O_TRUNC | os.O_WRONLY), 2)
        sys.exit(main())
    os.write(int(told), f"{child}\\n".encode())
    os.write(int(told), f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\\n".encode())
"""
"""Runs every line it reads, a place to stall at and a command, in a process of its own.

Prints its id, when it is there, and its status.
"""

DISSECT = "dissect world.py:net --layers 0 --size 32 --concepts world.py:source --shifts 5 --threads 1"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "world.py").write_text(WORLD)
    return folder


@pytest.fixture(scope="module")
def starter(place):
    words = [sys.executable, "-c", STARTER, *f"{DISSECT} --out whole".split()]
    with subprocess.Popen(words, cwd=place, text=True, stdin=-1, stdout=-1, bufsize=1) as running:
        yield running
        running.kill()


def interrupt(starter, place, where, words, *signals) -> tuple[int, str]:
    """The status of a command that gets signals when it is there, and what it says at its end."""
    starter.stdin.write(f"{where} {words}\n")
    running = int(starter.stdout.readline())
    told = starter.stdout.readline()
    if where != "nowhere":
        assert told == "reached\n", (place / "said").read_text()
        for one in signals:
            os.kill(running, one)
        told = starter.stdout.readline()
    return int(told), (place / "said").read_text()


@pytest.mark.parametrize(
    ("where", "more"),
    [("reading", ""), ("reading", "--cache cache"), ("network", ""), ("naming", "")],
    ids=["scan", "packing", "network", "naming"],
)
def test_what_was_begun_goes_on(starter, place, where, more):
    words = f"{DISSECT} --no-report {more} --out".split()
    out = f"{where}{more.partition(' ')[2]} in part"
    status, said = interrupt(starter, place, where, f"{shlex.join(words)} {out.split()[0]}", signal.SIGINT)
    going_on = shlex.join(["unitscope", *words, out.split()[0], "--resume"])
    assert said == f"unitscope: interrupted; what is done is kept, go on with: {going_on}\n"
    assert status == 130
    packed = list(place.glob("cache/[!.]*"))  # what is half packed is not taken for whole
    assert not packed or not more
    if where == "reading":
        status, said = interrupt(starter, place, "nowhere", going_on.removeprefix("unitscope "))
        assert (status, said) == (0, "")
        wanted = (place / "whole" / "units.csv").read_bytes()
        assert (place / out.split()[0] / "units.csv").read_bytes() == wanted


def test_before_anything_is_done_nothing_goes_on(starter, place):
    words = f"{DISSECT} --out not-begun"
    assert interrupt(starter, place, "opening", words, signal.SIGINT) == (130, "unitscope: interrupted\n")
    assert not (place / "not-begun").exists()


def test_a_signal_that_a_library_loses_ends_the_command_nevertheless(starter, place):
    words = f"{DISSECT} --out not-begun"
    assert interrupt(starter, place, "losing", words, signal.SIGINT) == (130, "unitscope: interrupted\n")


def test_a_report_is_written_by_its_own_command(starter, place):
    status, said = interrupt(starter, place, "report", f"{DISSECT} --out reported", signal.SIGINT)
    going_on = "unitscope report reported"
    assert said == f"unitscope: interrupted; what is done is kept, go on with: {going_on}\n"
    assert status == 130


def test_a_merge_goes_on_by_itself(starter, place):
    assert interrupt(starter, place, "nowhere", f"{DISSECT} --out parts --shards 1/1")[0] == 0
    status, said = interrupt(starter, place, "naming", "merge parts --threads 1", signal.SIGINT)
    going_on = "unitscope merge parts --threads 1"
    assert said == f"unitscope: interrupted; what is done is kept, go on with: {going_on}\n"
    assert status == 130
    assert interrupt(starter, place, "nowhere", "merge parts --threads 1 --no-report") == (0, "")
    assert (place / "parts" / "units.csv").read_bytes() == (place / "whole" / "units.csv").read_bytes()


def test_more_signals_change_nothing_and_kill_is_told_as_such(starter, place):
    words = f"{DISSECT} --no-report --out killed"
    status, said = interrupt(starter, place, "reading", words, *[signal.SIGTERM] * 3)
    assert said.startswith("unitscope: terminated; what is done is kept, go on with: unitscope dissect ")
    assert said.count("\n") == 1
    assert status == 143
    # Of two that come at the same time Python may hear either first.
    words = f"{DISSECT} --no-report --out both"
    status, said = interrupt(starter, place, "reading", words, signal.SIGTERM, signal.SIGINT, signal.SIGINT)
    assert said.count("\n") == 1
    assert (status, said.split(";")[0]) in {
        (130, "unitscope: interrupted"),
        (143, "unitscope: terminated"),
    }


def test_words_are_told_as_they_must_be_typed(capsys):
    def run():
        offer(lambda words: [*words, "--resume"])
        raise KeyboardInterrupt

    assert end_at_once(["dissect", "folder:my set"], run, own=False) == 130
    assert capsys.readouterr().err.endswith("go on with: unitscope dissect 'folder:my set' --resume\n")


def test_where_options_end_nothing_is_told_behind(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "recipe.json").touch()
    words = ["dissect", "--layers", "0", "--", "world.py:net"]
    assert _go_on(tmp_path, True, words) == ["dissect", "--layers", "0", "--resume", "--", "world.py:net"]


def test_any_bytes_are_told_as_a_shell_reads_them():
    words = ["a b", "two\nlines", "é", "", "$x `'", os.fsdecode(b"\xff9 '\\' end")]
    read = subprocess.run(["bash", "-c", f"printf '%s\\0' {spell_command(words)}"], stdout=-1, check=True)
    assert os.fsdecode(read.stdout).split("\0")[:-1] == words


def test_an_error_is_no_interruption(capsys):
    def fail():
        raise LookupError("no")

    with pytest.raises(LookupError):
        end_at_once([], fail, own=False)
    assert end_at_once([], lambda: 2, own=False) == 2
    assert capsys.readouterr().err == ""
