"""What a dissection will take is told before it, from a few images, and it comes about so."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from commands import DRAWN, write_networks
from unitscope import Concept, Confidences, Example, Machine, Network, Preprocessing, Vocabulary, dissect
from unitscope.cli import main
from unitscope.dissection import costs, estimate_run
from unitscope.dissection import dissect as dissecting
from unitscope.errors import RunError, UsageError
from unitscope.statistics.store import foresee_bounds

SIDE = 32
HEADS = ["images", "units", "time", "memory", "disk"]


class Noise:
    """Pictures of noise, each half of which is labeled."""

    vocabulary = Vocabulary((Concept(1, "left", "object"), Concept(2, "right", "object")))
    name, digest = "noise", "0"

    def __init__(self, images=200):
        self.images = images

    def __len__(self):
        return self.images

    def __getitem__(self, index):
        pixels = np.random.default_rng(index).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        planes = np.ones((1, SIDE, SIDE), np.uint16)
        planes[0, :, SIDE // 2 + index % 5 :] = 2
        return Example(f"{index}", pixels, planes)


def make_network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 12, 5, 4), nn.BatchNorm2d(12)).eval()
    return Network(module, Preprocessing(size=(SIDE, SIDE)))


SPENT = Confidences(shifts=20, replicates=20)


def interrupt(*given, **named):
    raise KeyboardInterrupt


def measure(folder):
    """Bytes of the files in a folder, and of those that are open there without a name."""
    named = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    opened = [path for path in Path("/proc/self/fd").iterdir() if str(folder) in os.path.realpath(path)]
    return named + [path.stat().st_size for path in opened if not path.stat().st_nlink]


@pytest.mark.parametrize(
    ("convention", "quantile", "shard_size"),
    [("netdissect", 0.02, 8), ("netdissect", 0.2, 32), ("pnas", 0.05, 8), ("dissect", 0.02, 32)],
)
def test_shards_take_what_was_told(tmp_path, monkeypatch, convention, quantile, shard_size):
    network, source = make_network(), Noise()
    asked = {"convention": convention, "quantile": quantile, "shard_size": shard_size, "confidences": SPENT}
    asked["out"] = tmp_path / "run"
    told = estimate_run(network, source, ["0", "1"], **asked)
    assert not (tmp_path / "run").exists()
    files = []
    monkeypatch.setattr(
        dissecting, "name_run", lambda *given, **named: files.extend(measure(tmp_path)) or interrupt()
    )
    with pytest.raises(KeyboardInterrupt):
        dissect(network, source, ["0", "1"], **asked)
    heads = 4000 * -(-len(source) // shard_size)  # of files, with the index of units; nothing beside cells
    assert told.shards / 1.5 < sum(files) - heads < 1.5 * told.shards
    assert (told.images, told.done, told.units, told.cache) == (200, 0, {"0": 12, "1": 12}, 0)
    # All is computed but the names: nothing is left to scan.
    rest = estimate_run(network, source, ["0", "1"], **asked, resume=True)
    assert (rest.images, rest.done, rest.scanning) == (0, 200, 0)


def test_the_bounds_of_shards_are_those_that_come_about(tmp_path, monkeypatch):
    """The slow way: how many values each shard has above its bound, by its file."""
    network, source, quantile = make_network(), Noise(), 0.02
    monkeypatch.setattr(dissecting.Store, "collect", lambda store: seen.append(store) or interrupt())
    seen = []
    asked = {"quantile": quantile, "shard_size": 8, "confidences": SPENT, "convention": "netdissect-lite"}
    asked["out"] = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        dissect(network, source, ["0"], **asked)
    (store,) = seen
    foreseen = list(foresee_bounds(store.plan.tails["0"], 8))
    assert [images for images, _ in foreseen] == [file.images for _, file in sorted(store.files.items())]
    for (images, fraction), (_, file) in zip(foreseen, sorted(store.files.items()), strict=True):
        values = read_all(network, source, file)
        above = float((values > file.read("0/bound")[None, :, None]).mean())
        assert above == pytest.approx(fraction, rel=0.5, abs=0.02), images


def read_all(network, source, file):
    pictures = np.stack([source[number].image for number in range(file.first, file.first + file.images)])
    with torch.no_grad():
        return network.module[0](network.feed(pictures, 0, "cpu")).flatten(2).numpy()


def test_a_cache_is_counted_until_it_is_there(tmp_path):
    network, source, cache = make_network(), Noise(100), tmp_path / "cache"
    asked = {"confidences": SPENT, "cache": cache}
    told = estimate_run(network, source, ["0"], **asked)
    assert not cache.exists()
    assert told.packing > 0
    dissect(network, source, ["0"], **asked)
    packed = sum(path.stat().st_size for path in cache.rglob("*.bin"))
    assert told.cache == pytest.approx(packed, rel=0.2)
    again = estimate_run(network, source, ["0"], **asked)
    assert (again.packing, again.cache) == (0, 0)


def test_a_trial_changes_nothing(tmp_path):
    network = make_network()
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    random = torch.get_rng_state()
    estimate_run(network, Noise(20), ["0"], confidences=SPENT)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())
    assert not any(module._forward_hooks for module in network.module.modules())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "more", [{"confidences": Confidences(shifts=0)}, {"confidences": Confidences(shifts=9, null="shifts")}]
)
def test_fewer_images_than_a_batch_or_no_confidence(more):
    told = estimate_run(make_network(), Noise(3), ["0"], **more)
    assert told.images == 3
    assert told.seconds == told.scanning + told.naming > 0


def test_given_thresholds(tmp_path):
    given = {"0": np.full(12, np.inf, np.float32)}
    told = estimate_run(make_network(), Noise(30), ["0"], thresholds=given, confidences=SPENT)
    usual = estimate_run(make_network(), Noise(30), ["0"], confidences=SPENT)
    assert told.shards < usual.shards


def test_what_cannot_be_is_refused_before():
    with pytest.raises(UsageError, match="convention"):
        estimate_run(make_network(), Noise(3), ["0"], convention="none")
    with pytest.raises(TypeError, match="speed"):
        estimate_run(make_network(), Noise(3), ["0"], speed=3)


def test_a_long_run_tells_it_before_where_somebody_listens(caplog, monkeypatch):
    def run():
        dissect(make_network(), Noise(40), ["0"], confidences=SPENT)
        return [record.message for record in caplog.records]

    monkeypatch.setattr(costs, "LINES", 0.0)
    caplog.set_level(logging.INFO, "unitscope")
    assert run() == []  # it is short
    monkeypatch.setattr(costs, "_LONG", 40)
    (line,) = run()
    assert line.startswith("40 images, 12 units of 1 layer: about ")
    caplog.clear()
    caplog.set_level(logging.WARNING, "unitscope")
    assert run() == []


def test_dry_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(write_networks(tmp_path))
    words = f"dissect net.py:small --layers 1 --concepts {DRAWN} --out run --cache cache --shifts 5 --dry-run"
    assert main([*words.split(), "--threads", "1"]) == 0
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()] == HEADS
    assert said.err == ""
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["net.py"]
    assert main([*words.split(), "--threads", "1", "--workers", "2"]) == 0
    assert capsys.readouterr().err.startswith("unitscope: memory is that of one worker")
    assert main([*words.split(), "--thresholds", "iqr"]) == 2
    assert "iqr" in capsys.readouterr().err


def test_an_interrupted_run_is_kept_and_the_network_is_as_before(tmp_path):
    class Stopping(Noise):
        stop = True

        def __getitem__(self, index):
            if self.stop and index == 77:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    network, source = make_network(), Stopping()
    network.module.train()
    asked = {"confidences": SPENT, "shard_size": 16}
    with pytest.raises(KeyboardInterrupt):
        dissect(network, source, ["0"], **asked, out=tmp_path / "run")
    assert network.module.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.module.modules())
    assert len(list((tmp_path / "run" / "shards").glob("0*.safetensors"))) == 4
    source.stop = False
    told = estimate_run(network, source, ["0"], **asked, out=tmp_path / "run", resume=True)
    assert (told.images, told.done) == (len(source) - 64, 64)
    with pytest.raises(RunError, match="was begun with another seed"):  # as the run itself would be
        estimate_run(network, source, ["0"], **asked, out=tmp_path / "run", resume=True, seed=1)
    dissect(network, source, ["0"], **asked, out=tmp_path / "run", resume=True)
    dissect(network, source, ["0"], **asked, out=tmp_path / "whole")
    found = (tmp_path / "run" / "units.csv").read_bytes()
    assert found == (tmp_path / "whole" / "units.csv").read_bytes()


@pytest.mark.parametrize(
    ("machine", "count"),
    [
        (Machine(), 1),
        (Machine(workers=4), 1),  # the trial had all cores, which they share
        (Machine(workers=4, threads=1), 4),
        (Machine("cuda", workers=4), 4),
        (Machine(ray="auto"), 1),
    ],
)
def test_workers_share_the_scan(machine, count):
    assert costs._count_sharers(machine) == count
