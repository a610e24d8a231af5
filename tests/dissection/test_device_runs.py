"""Whole dissections by the code that serves a GPU, on the CPU: the same files as by the compiled loops."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import made
from unitscope.dissection.batches import settle_passes
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.device_batches import choose_shard
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.planning import plan_scan
from unitscope.dissection.storage import load
from unitscope.errors import ActivationError, NetworkError
from unitscope.networks.network import Network, Preprocessing
from unitscope.statistics.scan import Machine


class TorchMachine(Machine):
    """The CPU, by the code that serves a GPU."""

    compiled = False


QUIET = Confidences(shifts=0)


def build(parts=()):
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 5, 5, 3), nn.ReLU(), *parts, nn.Conv2d(5, 6, 3, padding=1), nn.Flatten()]
    return Network(nn.Sequential(*layers).eval(), Preprocessing())


class Full(nn.Module):
    """A part that has no memory for many images, or in its later passes."""

    def __init__(self, limit, passes=10**9):
        super().__init__()
        self.limit, self.passes, self.seen = limit, passes, 0

    def forward(self, x):
        self.seen += len(x) > 3
        if len(x) > self.limit or self.seen > self.passes:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        return x


def read_run(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.json"}


@pytest.mark.parametrize("name", list(CONVENTIONS))
@pytest.mark.parametrize("reduction", [1, 6])
def test_a_run_has_the_same_files(tmp_path, name, reduction):
    source = made.make_source(30, mask_size=(24, 24), size=(24, 24), seed=4)
    asked = {
        "convention": replace(CONVENTIONS[name], quantile=0.05, reduction=reduction),
        "batch_size": 4, "shard_size": 12, "confidences": Confidences(20, 10),
    }  # fmt: skip
    for kind in (Machine, TorchMachine):
        machine = kind(threads=2)
        dissect(build(), source, ["0", "2"], machine=machine, out=tmp_path / kind.__name__, **asked)
    mine, wanted = (read_run(tmp_path / name) for name in ("TorchMachine", "Machine"))
    assert wanted.keys() >= {"units.csv", "0.safetensors", "2.safetensors"}
    assert mine == wanted


def test_given_thresholds_and_a_network_that_draws_give_the_same(tmp_path):
    class Noise(nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x)

    source = made.make_source(14, mask_size=(12, 12), size=(24, 24), seed=4)
    given = {"3": np.array([0.1, np.inf, -np.inf, 0.0, 0.5, 0.2], np.float32)}
    for kind in (Machine, TorchMachine):
        dissect(
            build([Noise()]), source, ["3"], thresholds=given, machine=kind(threads=1),
            out=tmp_path / kind.__name__, batch_size=3, shard_size=6, confidences=QUIET,
        )  # fmt: skip
    assert read_run(tmp_path / "TorchMachine") == read_run(tmp_path / "Machine")


def test_values_that_are_not_finite_are_told_and_nothing_is_written_of_them(tmp_path):
    source = made.make_source(20, mask_size=(12, 12), size=(24, 24), seed=4)
    maps = np.random.default_rng(1).normal(size=(20, 3, 4, 4)).astype(np.float32)
    maps[13, 1, 2, 2] = np.nan
    said = []
    for kind in (Machine, TorchMachine):
        out = tmp_path / kind.__name__
        with pytest.raises(ActivationError) as error:
            dissect(
                made.wire(source, maps), source, ["maps"], machine=kind(threads=1), out=out, batch_size=2,
                shard_size=6, confidences=QUIET,
            )  # fmt: skip
        said.append(str(error.value))
        assert sorted(path.name for path in (out / "shards").glob("*.safetensors")) == [
            f"{number:06d}.safetensors" for number in range(2)
        ]
    assert said[0] == said[1]
    assert "unit 1 of layer maps gave nan on image i13;" in said[0]


@pytest.mark.parametrize(("limit", "found"), [(1000, 32), (9, 8), (31, 16)])
def test_the_batch_is_what_fits_and_stands_in_the_recipe(limit, found):
    source = made.make_source(20, mask_size=(12, 12), size=(24, 24), seed=4)
    run = dissect(build([Full(limit)]), source, ["3"], machine=TorchMachine(), confidences=QUIET)
    assert run.recipe.batch_size == found
    assert dissect(build(), source, ["0"], confidences=QUIET).recipe.batch_size == 32


def test_memory_and_what_was_asked_for_decide_the_sizes():
    source = made.make_source(20, mask_size=(12, 12), size=(24, 24), seed=4)
    plan, *_ = plan_scan(build(), source, ["2"], CONVENTIONS["netdissect"], {}, None, "stretch")
    cells = plan.tails["2"].units * int(np.prod(plan.tails["2"].stored_grid.map_size))
    little = TorchMachine(memory=48 * cells * 10)
    assert settle_passes(build(), plan, little, None).batch_size == 8
    assert settle_passes(build(), plan, TorchMachine(memory=1), None).batch_size == 1
    assert choose_shard(replace(plan, batch_size=4), little, None) == 8
    assert choose_shard(replace(plan, batch_size=256), TorchMachine(), None) == 1024
    for machine in (Machine(), TorchMachine()):
        assert choose_shard(plan, machine, None) == 128
    assert choose_shard(plan, TorchMachine(), 16) == 16


def test_a_device_that_fills_up_in_the_middle_says_what_to_give_and_a_resumed_run_keeps_its_batch(tmp_path):
    source = made.make_source(40, mask_size=(12, 12), size=(24, 24), seed=4)
    asked = {
        "machine": TorchMachine(threads=1),
        "out": tmp_path / "run",
        "confidences": QUIET,
        "shard_size": 8,
    }
    wanted = "^the device has no memory left for network with batches of 4; begin again with --batch-size 2$"
    with pytest.raises(NetworkError, match=wanted):
        dissect(build([Full(100, passes=5)]), source, ["3"], batch_size=4, **asked)
    assert len(list((tmp_path / "run" / "shards").glob("*.safetensors"))) >= 1
    dissect(build([Full(100)]), source, ["3"], resume=True, **asked)
    assert load(tmp_path / "run").recipe.batch_size == 4
    again = {**asked, "out": tmp_path / "whole", "machine": Machine(threads=1)}
    dissect(build([Full(100)]), source, ["3"], batch_size=4, **again)
    assert read_run(tmp_path / "run") == read_run(tmp_path / "whole")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["shard_size"] == 8


def test_a_try_whose_made_pictures_give_no_finite_values_is_no_error():
    source = made.make_source(20, mask_size=(12, 12), size=(24, 24), seed=4)

    class Odd(nn.Module):
        def forward(self, x):
            return x if len(x) < 16 else x / 0

    plan, *_ = plan_scan(build([Odd()]), source, ["2"], CONVENTIONS["netdissect"], {}, None, "stretch")
    assert settle_passes(build([Odd()]), plan, TorchMachine(), None).batch_size == 32
