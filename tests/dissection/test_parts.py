"""One run in parts, by hand: any order, anybody first, and one command that names the units."""

import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

import made
import unitscope as us
from unitscope.dissection import dissect_part, merge_run, storage
from unitscope.dissection.outline import Outline
from unitscope.dissection.parts import Part, read_part
from unitscope.dissection.recipe import Recipe
from unitscope.errors import RunError, UsageError

IMAGES, FILES = 22, ("units.csv", "maps.safetensors")


@pytest.fixture(scope="module")
def source():
    return made.make_source(IMAGES, seed=3)


@pytest.fixture(scope="module")
def network(source):
    return made.wire(source, np.random.default_rng(0).normal(size=(IMAGES, 5, 4, 4)).astype(np.float32))


def options(convention="pnas", **more):
    asked = {"shard_size": 2, "batch_size": 2, "confidences": us.Confidences(20)}
    return {**asked, "convention": convention, **more}


def read(folder):
    return [(Path(folder) / name).read_bytes() for name in FILES]


@pytest.mark.parametrize("convention", ["pnas", "netdissect"])
@pytest.mark.parametrize("thresholds", [None, {"maps": np.array([0, 0.5, 1, np.inf, -1], np.float32)}])
def test_four_parts_in_any_order_give_the_same_bytes(network, source, tmp_path, convention, thresholds):
    asked = options(convention, thresholds=thresholds)
    whole = us.dissect(network, source, ["maps"], out=tmp_path / "whole", **asked)
    for text, wanted in (("3/4", (2, 6, 10)), ("1/4", (0, 4, 8)), ("4/4", (3, 7)), ("2/4", (1, 5, 9))):
        assert dissect_part(network, source, ["maps"], text, out=tmp_path / "parts", **asked) == wanted
    merged = merge_run(tmp_path / "parts")
    assert read(tmp_path / "parts") == read(tmp_path / "whole")
    assert {path.name for path in (tmp_path / "parts").iterdir()} == {"run.json", *FILES}
    for name in ("warnings", "place", "heads", "images", "map_size"):
        assert getattr(merged["maps"], name) == getattr(whole["maps"], name)
    assert merged.recipe == whole.recipe
    assert merged.keys == whole.keys
    with pytest.raises(RunError, match="holds a finished run: nothing is left to merge"):
        merge_run(tmp_path / "parts")


def test_what_is_missing_is_named_with_its_part_and_nothing_is_done_twice(network, source, tmp_path):
    out = tmp_path / "parts"
    for text in ("1/4", "4/4"):
        dissect_part(network, source, ["maps"], text, out=out, **options())
    told = r"6 of 11 shards are missing in .*parts \(1, 2, 5, 6, 9, 10\): they belong to --shards 2/4, 3/4;"
    with pytest.raises(RunError, match=told):
        merge_run(out)
    (out / "shards" / "000004.safetensors").unlink()
    before = {path: path.stat().st_mtime_ns for path in (out / "shards").glob("*.safetensors")}
    dissect_part(network, source, ["maps"], "1/4", out=out, **options())
    assert {path: path.stat().st_mtime_ns for path in before} == before
    (out / "shards" / "parts-5").touch()
    with pytest.raises(RunError, match=r"6 of 11 shards are missing .*; go on with .* --resume"):
        merge_run(out)
    us.dissect(network, source, ["maps"], out=out, resume=True, **options())
    us.dissect(network, source, ["maps"], out=tmp_path / "whole", **options())
    assert read(out) == read(tmp_path / "whole")


def test_strangers_are_refused(network, source, tmp_path):
    for out, seed in (("a", 0), ("b", 1)):
        dissect_part(network, source, ["maps"], "1/2", out=tmp_path / out, **options(seed=seed))
    with pytest.raises(RunError, match="begun with another seed"):
        dissect_part(network, source, ["maps"], "2/2", out=tmp_path / "a", **options(seed=1))
    dissect_part(network, source, ["maps"], "2/2", out=tmp_path / "a", **options())
    stranger = tmp_path / "a" / "shards" / "000000.safetensors"
    shutil.copy(tmp_path / "b" / "shards" / stranger.name, stranger)
    with pytest.raises(RunError, match=r"000000\.safetensors belongs to another run"):
        merge_run(tmp_path / "a")
    with pytest.raises(RunError, match="holds no run in the making; give the folder that"):
        merge_run(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file holds no run in the making; give the folder that"):
        merge_run(tmp_path / "file")
    (tmp_path / "b" / "shards" / "recipe.json").write_text("{}")
    with pytest.raises(RunError, match=r"the run in .*b is damaged"):
        merge_run(tmp_path / "b")


def test_a_damaged_outline_is_seen_and_any_part_mends_it(network, source, tmp_path):
    us.dissect(network, source, ["maps"], out=tmp_path / "whole", **options())
    dissect_part(network, source, ["maps"], "1/1", out=tmp_path / "parts", **options())
    outline = tmp_path / "parts" / "shards" / "outline.json"
    text = outline.read_text()
    for damaged in ("", "[]", "{}", text[:200], text.replace('"units": 5', '"units": 4')):
        outline.write_text(damaged)
        with pytest.raises(
            RunError, match=r"outline\.json is damaged: .*; run any part again, which mends it"
        ):
            merge_run(tmp_path / "parts")
    outline.unlink()
    with pytest.raises(RunError, match=r"outline\.json is missing; run any part again, which writes it"):
        merge_run(tmp_path / "parts")
    outline.write_text(damaged)
    dissect_part(network, source, ["maps"], "1/1", out=tmp_path / "parts", **options())
    assert outline.read_text() == text
    merge_run(tmp_path / "parts")
    assert read(tmp_path / "parts") == read(tmp_path / "whole")


def test_what_is_all_there_needs_no_room(network, source, tmp_path, monkeypatch):
    dissect_part(network, source, ["maps"], "1/2", out=tmp_path, **options())

    def fail(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert dissect_part(network, source, ["maps"], "1/2", out=tmp_path, **options())[:2] == (0, 2)
    with pytest.raises(RunError, match=r"0\.json: No space left on device; free some space and go on"):
        storage.create_whole(tmp_path / "0.json", "{}", storage.SPACE)


def test_parts_of_other_machines_are_refused_unless_that_is_allowed(network, source, tmp_path, monkeypatch):
    out = tmp_path / "parts"
    dissect_part(network, source, ["maps"], "1/2", out=out, **options())
    monkeypatch.setattr("unitscope.dissection.dissect.record_processor", lambda device: "a 6502")
    with pytest.raises(RunError, match=r"was begun with processor .*, now a 6502: .* or give --mix-machines"):
        dissect_part(network, source, ["maps"], "2/2", out=out, **options())
    dissect_part(network, source, ["maps"], "2/2", out=out, **options(mix_machines=True))
    with pytest.raises(RunError, match="was computed with a 6502"):
        merge_run(out)
    assert len(merge_run(out, mix_machines=True).recipe.machines) == 2


def test_a_part_whose_run_was_finished_meanwhile_is_done(network, source, tmp_path, monkeypatch):
    out = tmp_path / "parts"
    dissect_part(network, source, ["maps"], "1/2", out=out, **options())
    from unitscope.dissection import parts

    def finish_first(*given):
        us.dissect(network, source, ["maps"], out=out, resume=True, **options())
        return scan_missing(*given)

    scan_missing = parts.scan_missing
    monkeypatch.setattr(parts, "scan_missing", finish_first)
    assert dissect_part(network, source, ["maps"], "2/2", out=out, **options()) == (1, 3, 5, 7, 9)
    assert {path.name for path in out.iterdir()} == {"run.json", *FILES}
    with pytest.raises(RunError, match="holds a finished run"):
        dissect_part(network, source, ["maps"], "2/2", out=out, **options())


def test_a_part_that_another_is_just_beginning_joins(network, source, tmp_path, monkeypatch):
    out, is_free = tmp_path / "parts", storage._is_free

    def begin_meanwhile(folder):
        if not (folder / "shards" / "recipe.json").exists():
            with monkeypatch.context() as patch:
                patch.setattr(storage, "_is_free", is_free)
                dissect_part(network, source, ["maps"], "1/2", out=folder, **options())
        return is_free(folder)

    out.mkdir()
    monkeypatch.setattr(storage, "_is_free", begin_meanwhile)
    dissect_part(network, source, ["maps"], "2/2", out=out, **options())
    assert merge_run(out)["maps"].images == IMAGES


def test_who_waits_merges_once_the_last_part_is_there(network, source, tmp_path):
    out = tmp_path / "parts"
    dissect_part(network, source, ["maps"], "1/2", out=out, **options())
    last = threading.Timer(0.1, lambda: dissect_part(network, source, ["maps"], "2/2", out=out, **options()))
    last.start()
    assert merge_run(out, wait=True)["maps"].images == IMAGES
    last.join()


def test_shards_are_as_small_as_many_parts_need(network, tmp_path):
    source = made.make_source(300, mask_size=(2, 2), size=(2, 2))
    network = made.wire(source, np.random.default_rng(0).normal(size=(300, 1, 1, 1)))
    asked = options(shard_size=128, confidences=us.Confidences(0))
    numbers = [dissect_part(network, source, ["maps"], f"{part}/3", out=tmp_path, **asked) for part in (1, 2)]
    assert numbers == [(0, 3, 6, 9), (1, 4, 7)]
    assert len(dissect_part(network, source, ["maps"], "1/2", out=tmp_path, **asked)) == 5
    us.dissect(network, source, ["maps"], out=tmp_path, resume=True, **asked)


def test_an_outline_comes_back_as_it_was(network, source, tmp_path):
    dissect_part(network, source, ["maps"], "1/1", out=tmp_path, **options("netdissect"))
    record = storage.Workspace(tmp_path).read_outline()
    recipe = Recipe.parse(json.loads((tmp_path / "shards" / "recipe.json").read_text()))
    outline = Outline.parse(record, recipe)
    assert outline.record() == record
    assert outline.vocabulary.concepts == source.vocabulary.concepts
    assert (outline.plan.frame, outline.plan.ranks) == (recipe.frame, 10)


@pytest.mark.parametrize("text", ["0/16", "17/16", "3/0", "3", "3/", "-1/4", "a/b", "3/16/2", "1.5/3", ""])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(UsageError, match=r"there is no part|is no part of a run"):
        read_part(text)


SLURM = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "16"}


@pytest.mark.parametrize(
    ("environment", "part"),
    [
        ({"RANK": "0", "WORLD_SIZE": "8", **SLURM}, Part(1, 8)),
        ({"RANK": "7", "WORLD_SIZE": "8"}, Part(8, 8)),
        (SLURM, Part(7, 16)),
        ({"RANK": "0", "WORLD_SIZE": "1", **SLURM}, Part(7, 16)),
        (
            {**SLURM, "SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_STEP": "2"},
            Part(5, 16),
        ),
    ],
)
def test_the_part_is_told_by_torchrun_or_an_array_of_slurm(environment, part):
    assert read_part("auto", environment) == part
    with pytest.raises(UsageError, match=r"nothing says which part this is: .*; give one such as 3/16"):
        read_part("auto", {"SLURM_JOB_ID": "1", "PATH": os.defpath})
