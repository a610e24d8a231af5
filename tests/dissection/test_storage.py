import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from safetensors.numpy import save_file

import made
from commands import write_folder
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.storage import load, read_thresholds
from unitscope.dissection.units import COLUMNS
from unitscope.errors import RunError
from unitscope.statistics.scan import Machine
from unitscope.statistics.store import Store

NETWORK = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    convolutions = nn.Conv2d(3, 24, 5, 2), nn.Conv2d(24, 64, 3, 2), nn.Conv2d(64, 96, 3, 2)
    return nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU(), convolutions[2])
"""


@pytest.fixture(scope="module")
def run():
    words = Vocabulary(
        (
            Concept(1, "=1+2", "object"),
            Concept(2, "<b>x</b>", "object"),
            Concept(3, '@a,"b"\n', "part"),
            *(concept for concept in made.WORDS if concept.id > 3),
        )
    )
    source = made.make_source(12, seed=1)
    source.vocabulary = words
    maps = np.random.default_rng(0).normal(size=(12, 7, 4, 4)).astype(np.float32)
    return dissect(made.wire(source, maps), source, ["maps"], quantile=0.05)


def test_a_run_survives_a_file(run, tmp_path):
    run.save(tmp_path)
    again = load(tmp_path)
    assert list(again) == list(run)
    layer, back = run["maps"], again["maps"]
    for name in ("thresholds", "active", "active_in", "pixels_in", "concept_pixels", "intersections"):
        np.testing.assert_array_equal(getattr(layer, name), getattr(back, name))
    for name in ("p_value", "q_value", "low", "high", "heldout"):
        np.testing.assert_array_equal(getattr(layer.confidence, name), getattr(back.confidence, name))
    np.testing.assert_array_equal(layer.exemplars.runs, back.exemplars.runs)
    assert [tuple(map(str, vars_of(u))) for u in layer] == [tuple(map(str, vars_of(u))) for u in back]
    assert (again.recipe, again.keys, again.frame) == (run.recipe, run.keys, run.frame)
    assert again.recipe.record() == json.loads((tmp_path / "run.json").read_text())["recipe"]


def vars_of(unit):
    return [getattr(unit, name) for name in unit.__dataclass_fields__]


def test_units_csv_has_the_columns_it_promises_and_no_formula(run, tmp_path):
    run.save(tmp_path)
    with open(tmp_path / "units.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["unit"]) for row in rows] == list(range(7))
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row.values())
    for row, unit in zip(rows, run["maps"], strict=True):
        assert float(row["iou"]) == pytest.approx(unit.iou, rel=1e-8)
        assert float(row["threshold"]) == np.float32(row["threshold"])


def test_a_run_says_which_null_was_drawn_and_older_ones_drew_shifts(run, tmp_path):
    run.save(tmp_path)
    sure = load(tmp_path)["maps"].confidence
    assert (sure.null, sure.null_images, sure.shifts) == ("shifts", 12, 11)  # too few images for blocks
    about = json.loads((tmp_path / "run.json").read_text())
    for layer in about["layers"]:
        del layer["null"], layer["null_images"]
    (tmp_path / "run.json").write_text(json.dumps(about))
    older = load(tmp_path)["maps"].confidence
    assert (older.null, older.null_images) == ("shifts", 12)
    np.testing.assert_array_equal(older.p_value, sure.p_value)


def test_the_thresholds_of_a_run_give_the_same_run_again(run, tmp_path):
    run.save(tmp_path)
    thresholds = read_thresholds(tmp_path / "units.csv")
    np.testing.assert_array_equal(thresholds["maps"], run["maps"].thresholds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer,unit\na,0\n", "no column threshold"),
        ("layer,unit,threshold\na,0,x\n", "line 2"),
        ("layer,unit,threshold\na,1,0.5\n", "not 0 to 0"),
        ("layer,unit,threshold\na,0,0.5\na,0,0.6\n", "line 3: unit 0 of layer a stands here a second time"),
        ("unit,threshold,layer\n0,1\n", "line 2"),
    ],
)
def test_thresholds_that_cannot_be_read_name_the_line(text, message, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(RunError, match=message):
        read_thresholds(tmp_path / "t.csv")


def test_folders_that_hold_something_else_are_left_alone(run, tmp_path):
    source = made.make_source(6)
    maps = np.random.default_rng(0).normal(size=(6, 2, 4, 4))
    network = made.wire(source, maps)
    quick = {"confidences": Confidences(0)}
    dissect(network, source, ["maps"], out=tmp_path / "a", **quick)
    with pytest.raises(RunError, match="holds a finished run"):
        dissect(network, source, ["maps"], out=tmp_path / "a", resume=True, **quick)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("precious")
    with pytest.raises(RunError, match="not empty"):
        dissect(network, source, ["maps"], out=tmp_path / "b", **quick)
    assert (tmp_path / "b" / "thesis.txt").read_text() == "precious"
    with pytest.raises(RunError, match="no run"):
        load(tmp_path / "nowhere")
    (tmp_path / "a" / "maps.safetensors").write_bytes(b"torn")
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path / "a")


def test_a_run_stopped_by_an_error_goes_on_and_refuses_another_recipe(tmp_path):
    source = made.make_source(10, seed=3)
    maps = np.random.default_rng(0).normal(size=(10, 2, 4, 4)).astype(np.float32)
    network = made.wire(source, maps)
    good = source.examples[7]
    source.examples[7] = None
    with pytest.raises(AttributeError):
        dissect(network, source, ["maps"], out=tmp_path / "a", shard_size=2, batch_size=2)
    assert len(list((tmp_path / "a" / "shards").glob("*.safetensors"))) == 3
    source.examples[7] = good
    with pytest.raises(RunError, match="unfinished run; go on with --resume"):
        dissect(network, source, ["maps"], out=tmp_path / "a", shard_size=2, batch_size=2)
    with pytest.raises(RunError, match="begun with another seed"):
        dissect(
            network, source, ["maps"], out=tmp_path / "a", shard_size=2, batch_size=2, resume=True, seed=5
        )
    resumed = dissect(network, source, ["maps"], out=tmp_path / "a", shard_size=2, batch_size=2, resume=True)
    whole = dissect(network, source, ["maps"], shard_size=2, batch_size=2)
    np.testing.assert_array_equal(resumed["maps"].intersections, whole["maps"].intersections)
    assert not (tmp_path / "a" / "shards").exists()


def test_a_full_disk_is_said_and_what_is_done_is_kept(tmp_path, monkeypatch):
    from safetensors import numpy as files

    source = made.make_source(10, seed=3)
    network = made.wire(source, np.random.default_rng(0).normal(size=(10, 2, 4, 4)))
    write, written = files.save_file, []

    def fill_up(*arguments):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(write(*arguments))

    monkeypatch.setattr(files, "save_file", fill_up)
    with pytest.raises(RunError, match="No space left on device; 2 shards are kept"):
        dissect(network, source, ["maps"], out=tmp_path / "a", shard_size=2, batch_size=2)
    monkeypatch.setattr(files, "save_file", write)
    run = dissect(network, source, ["maps"], out=tmp_path / "a", shard_size=2, batch_size=2, resume=True)
    assert run["maps"].images == 10


def begin(folder, monkeypatch, **options):
    """An unfinished run with two of its five shards; what makes it again, and goes on."""
    source = made.make_source(10, seed=3)
    network = made.wire(source, np.random.default_rng(0).normal(size=(10, 2, 4, 4)).astype(np.float32))
    asked = {"out": folder, "shard_size": 2, "batch_size": 2, "confidences": Confidences(0), **options}
    again = partial(dissect, network, source, ["maps"], **asked)
    write, written = Store.write, []

    def write_two(*shard):
        if len(written) == 2:
            raise RuntimeError("stopped")
        written.append(write(*shard))

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", write_two)
        with pytest.raises(RuntimeError, match="stopped"):
            again()
    return again


def test_a_second_process_in_the_folder_of_a_run_is_refused_and_harms_nothing(tmp_path, monkeypatch):
    again = begin(tmp_path / "a", monkeypatch)
    program = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
    lock = str(tmp_path / "a" / "shards" / "lock")
    with subprocess.Popen([sys.executable, "-c", program, lock], stdin=-1, stdout=-1) as other:
        assert other.stdout.readline() == b"held\n"
        before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*.*")}
        with pytest.raises(RunError, match=r"another process is at work in .*a; wait until it has ended"):
            again(resume=True)
        assert {path: path.read_bytes() for path in (tmp_path / "a").rglob("*.*")} == before
        other.kill()
    assert again(resume=True)["maps"].images == 10
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"run.json", "units.csv", "maps.safetensors"}


def test_a_run_that_another_finished_meanwhile_is_refused(tmp_path, monkeypatch):
    again = begin(tmp_path / "a", monkeypatch)
    enter = FileLock.__enter__

    def finish_first(lock):
        with monkeypatch.context() as patch:
            patch.setattr(FileLock, "__enter__", enter)
            again(resume=True)
        Path(lock.lock_file).parent.mkdir(exist_ok=True)
        return enter(lock)

    monkeypatch.setattr(FileLock, "__enter__", finish_first)
    with pytest.raises(RunError, match="holds a finished run"):
        again(resume=True)


@pytest.mark.parametrize("kept", ["shards/train-0001.tar", "shards/recipe.txt"])
def test_a_folder_named_shards_that_is_somebodys_is_left_alone(kept, tmp_path):
    (path := tmp_path / "a" / kept).parent.mkdir(parents=True)
    path.write_text("precious")
    source = made.make_source(2)
    with pytest.raises(RunError, match="is not empty and holds no run"):
        dissect(made.wire(source, np.zeros((2, 1, 2, 2))), source, ["maps"], out=tmp_path / "a")
    assert path.read_text() == "precious"


@pytest.mark.parametrize(("name", "other"), [("threads", 9), ("processor", "a 6502"), ("device", "cuda:1")])
def test_another_machine_goes_on_only_where_that_is_allowed(name, other, tmp_path, monkeypatch):
    again = begin(tmp_path / "a", monkeypatch)
    recipe = tmp_path / "a" / "shards" / "recipe.json"
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {name: other}))
    told = rf"was begun with {name} {str(other).partition(':')[0]}, now .*; .* or give --mix-machines"
    with pytest.raises(RunError, match=told):
        again(resume=True)
    run = again(resume=True, mix_machines=True)
    assert run.recipe.machines is None  # its shards are all of one


def test_a_run_says_which_machines_took_part(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("unitscope.dissection.dissect.record_processor", lambda device: "a 6502")
        again = begin(tmp_path / "a", monkeypatch)
    with pytest.raises(RunError, match="was begun with processor a 6502, now "):
        again(resume=True)
    run = again(resume=True, mix_machines=True)
    assert len(run.recipe.machines) == 2
    assert any(machine.startswith("a 6502, ") for machine in run.recipe.machines)
    assert load(tmp_path / "a").recipe == run.recipe


def test_a_run_goes_on_with_its_shards_whatever_the_memory(tmp_path, monkeypatch):
    again = begin(tmp_path / "a", monkeypatch, shard_size=4)
    again(resume=True, machine=Machine(memory=1), shard_size=128)
    begin(tmp_path / "b", monkeypatch, machine=Machine(memory=1), shard_size=4)(
        resume=True, machine=Machine(), shard_size=4
    )
    shards = [load(tmp_path / name).recipe.shard_size for name in "ab"]
    assert shards == [4, 2]
    units = [(tmp_path / name / "units.csv").read_bytes() for name in "ab"]
    assert units[0] == units[1]


def test_an_unfinished_run_of_an_earlier_version_is_refused_in_a_line(tmp_path, monkeypatch):
    again = begin(tmp_path / "a", monkeypatch)
    shards = tmp_path / "a" / "shards"
    about = json.loads((shards / "recipe.json").read_text())
    del about["threads"], about["processor"], about["confidence"]["null"]
    (shards / "recipe.json").write_text(json.dumps(about))
    save_file({"keys": np.zeros(3, np.uint8)}, shards / "000000.safetensors", {"first": "0", "keys": "[]"})
    with pytest.raises(RunError, match=r"by another version of unitscope.*; delete .*shards and begin again"):
        again(resume=True)


def refuse_constant(text):
    raise AssertionError(f"{text} is not JSON")


def test_infinite_thresholds_are_json_and_read_back(tmp_path):
    source = made.make_source(6)
    network = made.wire(source, np.random.default_rng(0).normal(size=(6, 3, 4, 4)))
    given = {"maps": np.array([0.5, np.inf, -np.inf])}
    run = dissect(network, source, ["maps"], thresholds=given, out=tmp_path / "a", confidences=Confidences(0))
    text = (tmp_path / "a" / "run.json").read_text()
    assert json.loads(text, parse_constant=refuse_constant)["recipe"]["thresholds"] == {
        "maps": [0.5, "Infinity", "-Infinity"]
    }
    again = load(tmp_path / "a")
    assert again.recipe == run.recipe
    np.testing.assert_array_equal(again["maps"].thresholds, given["maps"])


def test_infinite_thresholds_as_once_written_still_load_and_resume(tmp_path):
    source = made.make_source(6)
    network = made.wire(source, np.random.default_rng(0).normal(size=(6, 3, 4, 4)))
    options = {"thresholds": {"maps": np.array([0.5, np.inf, 1])}, "confidences": Confidences(0)}
    run = dissect(network, source, ["maps"], out=tmp_path / "a", **options)
    file = tmp_path / "a" / "run.json"
    new = file.read_text()
    file.write_text(new.replace('"Infinity"', "Infinity"))
    load(tmp_path / "a").save(tmp_path / "b")
    assert (tmp_path / "b" / "run.json").read_text() == new
    (tmp_path / "c" / "shards").mkdir(parents=True)
    recipe = json.dumps(run.recipe.record()).replace('"Infinity"', "Infinity")
    (tmp_path / "c" / "shards" / "recipe.json").write_text(recipe)
    assert dissect(network, source, ["maps"], out=tmp_path / "c", resume=True, **options).recipe == run.recipe


def test_a_run_saved_over_another_leaves_nothing_of_it(run, tmp_path, monkeypatch):
    other = replace(run, layers={"first": run["maps"], "maps": run["maps"]})
    other.save(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"mine")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fill_up(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("unitscope.dissection.run_files.save_file", fill_up)
        with pytest.raises(RunError, match="No space left"):
            run.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    run.save(tmp_path)
    names = {"maps.safetensors", "run.json", "units.csv", "weights.safetensors"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert list(load(tmp_path)) == ["maps"]


def test_layers_are_not_seen_before_they_are_whole(run, tmp_path, monkeypatch):
    from unitscope.dissection import run_files

    written = []
    write = run_files.save_file

    def note(arrays, path):
        written.append(path.name in {one.name for one in tmp_path.iterdir()})
        write(arrays, path)
        written.append(path.name in {one.name for one in tmp_path.iterdir()})

    monkeypatch.setattr(run_files, "save_file", note)
    run.save(tmp_path)
    assert written == [False, False]
    assert (tmp_path / "maps.safetensors").exists()


STARTER = """
import os, shlex, sys
from unitscope.cli import main

told = os.fdopen(os.dup(1), "w", buffering=1)
for stream in (1, 2):
    os.dup2(os.open(os.devnull, os.O_RDWR), stream)
main(shlex.split(sys.argv[1]))  # what the first run imports all others have
for line in sys.stdin:
    if not (child := os.fork()):
        os._exit(main(shlex.split(line)))
    print(child, file=told)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=told)
"""
"""Runs every line it reads as a command in a process of its own; prints its id, and at its end its status."""


def test_a_run_killed_at_any_moment_and_resumed_gives_the_same_bytes(tmp_path):
    (tmp_path / "net.py").write_text(NETWORK)
    write_folder(tmp_path / "set", 260, size=(24, 20))
    words = "dissect net.py:small --layers 0 4 --size 64 --concepts folder:set"
    words += " --shifts 20 --no-report --threads 1 --out"
    moments = random.Random(0)
    python = [sys.executable, "-c", STARTER, f"{words} first"]
    with subprocess.Popen(python, cwd=tmp_path, text=True, stdin=-1, stdout=-1, bufsize=1) as starter:

        def start(out: str) -> int:
            starter.stdin.write(f"{words} {out}\n")
            return int(starter.stdout.readline())

        def wait() -> int:
            return int(starter.stdout.readline())

        start("whole")
        began = time.monotonic()
        assert wait() == 0
        length = time.monotonic() - began
        wanted = (tmp_path / "whole" / "units.csv").read_bytes()
        for attempt in range(3):
            out = f"killed{attempt}"
            running = start(out)
            time.sleep(length * moments.uniform(0.3, 0.97))
            with suppress(ProcessLookupError):  # it was quicker this time
                os.kill(running, signal.SIGKILL)
            killed = wait() != 0
            if killed and not (tmp_path / out / "run.json").exists():
                start(f"{out} --resume")
                assert wait() == 0
            assert (tmp_path / out / "units.csv").read_bytes() == wanted
        starter.stdin.close()
