import threading
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_quantiles import KINDS, make_maps, tail_results
from torch import nn

import made
from unitscope.concepts.frames import Frame
from unitscope.errors import ActivationError, SourceError
from unitscope.networks.network import Network, Preprocessing, numbers_of
from unitscope.statistics import devices, scan
from unitscope.statistics.devices import DeviceTails, pack_on_device
from unitscope.statistics.gathering import CompiledTails
from unitscope.statistics.grids import make_grid
from unitscope.statistics.kernels import bounds
from unitscope.statistics.kernels.packing import pack_cells
from unitscope.statistics.lanes import Lane
from unitscope.statistics.pipelines import run_ahead
from unitscope.statistics.quantiles import TailPlan, empty_tail
from unitscope.statistics.scan import Machine, ScanPlan, scan_shards
from unitscope.statistics.shards import Origin, write_shard
from unitscope.statistics.threads import open_threads


class TorchMachine(Machine):
    """The CPU, by the code that serves a GPU."""

    compiled = False


def gather(gatherer, maps, batch):
    """Gives a gatherer maps whose memory is written over after each batch, as some networks do."""
    images, room = len(maps), torch.empty((batch, *maps.shape[1:]))
    for start in range(0, images, batch):
        part = maps[start : start + batch]
        room[: len(part)] = part
        keys = [f"i{start + k}" for k in range(len(part))]
        gatherer.add("maps", room[: len(part)], start, keys, start + batch >= images)
        room[:] = 7e7
    return tuple(found["maps"] for found in gatherer.finish())


@given(
    kind=st.sampled_from(KINDS),
    side=st.integers(1, 9),
    pixels=st.integers(1, 30),
    upsampling=st.sampled_from(["half-pixel", "zero-border", "receptive-field"]),
    population=st.sampled_from(["cells", "pixels", "given"]),
    quantile=st.sampled_from([0.01, 0.05, 0.3]),
    images=st.integers(1, 12),
    batch=st.integers(1, 4),
    room=st.integers(1, 5000),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_the_torch_path_gives_what_the_compiled_path_gives(
    kind, side, pixels, upsampling, population, quantile, images, batch, room, seed
):
    maps = make_maps(kind, images, 4, side, seed)
    grid = make_grid(
        (side, side), (pixels, pixels), upsampling, centers=(1.0, 1.0), steps=(2.0, 2.0), input_size=(16, 16)
    )
    plan = TailPlan(4, images, (side, side), grid, population, quantile)
    given = np.array([0.5, np.inf, -np.inf, 1.0], np.float32) if population == "given" else None
    with open_threads(2) as threads, pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "_ROOM", room)
        tail, tops = gather(CompiledTails({"maps": empty_tail(plan, given)}, 3, threads), maps, batch)
        other, best = gather(DeviceTails({"maps": empty_tail(plan, given)}, 3, "cpu"), maps, batch)
        assert tail_results(other) == tail_results(tail)
        np.testing.assert_array_equal(best.images, tops.images)
        np.testing.assert_array_equal(best.peaks, tops.peaks)
        # From the same bound the same cells are kept.
        bound = tail.certify(threads) if given is None else given
        tail, _ = gather(CompiledTails({"maps": empty_tail(plan, bound)}, 3, threads), maps, batch)
        other, _ = gather(DeviceTails({"maps": empty_tail(plan, bound)}, 3, "cpu"), maps, batch)
        for name in ("chunks", "raw"):
            for mine, wanted in zip(
                getattr(other.prune(threads), name), getattr(tail.prune(threads), name), strict=True
            ):
                for left, right in zip(mine.arrays, wanted.arrays, strict=True):
                    np.testing.assert_array_equal(left, right)
                    assert left.dtype == right.dtype


@pytest.mark.parametrize("reach", [0, 1])
def test_packing_is_the_same_cell_for_cell(reach):
    maps = make_maps("normal", 6, 5, 7, 1)
    bound = np.array([-np.inf, -1.0, 0.0, 1.5, 99.0], np.float32)
    packed = pack_on_device(maps, torch.from_numpy(bound), reach).collect(40)
    for mine, wanted in zip(packed.arrays, pack_cells(maps.numpy(), (0, 5), bound, reach, 40), strict=True):
        np.testing.assert_array_equal(mine, wanted)
        assert mine.dtype == wanted.dtype


@pytest.mark.parametrize("kind", ["normal", "relu", "constant", "huge"])
@pytest.mark.parametrize(
    ("side", "pixels", "upsampling"), [(5, 40, "half-pixel"), (6, 20, "zero-border"), (1, 8, "half-pixel")]
)
def test_plateaus_are_those_of_the_compiled_loop(kind, side, pixels, upsampling):
    maps = make_maps(kind, 3, 2, side, 4)
    grid = make_grid((side, side), (pixels, pixels), upsampling)
    plan = TailPlan(2, 3, (side, side), grid, "pixels", 0.1)
    assert plan.parted
    stored = grid.surround(maps)
    found = devices.find_plateaus(stored, plan).transpose(0, 1).flatten(1)
    keep = found.shape[1] + 1
    values, fill = np.zeros((2, 2 * keep), np.float32), np.zeros(2, np.int64)
    edge = np.full(2, -np.inf, np.float32)
    bounds.push_plateaus(
        stored.numpy(), (0, 2), edge, values, fill, keep, plan.grid.inner, plan.grid.quartered
    )
    assert fill.tolist() == [keep - 1] * 2
    wanted = np.sort(values[:, : keep - 1], 1)
    np.testing.assert_allclose(np.sort(found.numpy(), 1), wanted, rtol=2e-7)


def test_the_bound_rises_on_the_device_and_less_is_kept():
    maps = make_maps("normal", 24, 4, 5, 3)
    plan = TailPlan(4, 24, (5, 5), make_grid((5, 5), (20, 20), "half-pixel"), "cells", 0.02)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "_ROOM", 2 * maps[0].nbytes)
        tail, _ = gather(DeviceTails({"maps": empty_tail(plan)}, 3, "cpu"), maps, 2)
    assert np.isfinite(tail.bound).all()
    assert (tail.bound <= tail.thresholds()).all()
    assert sum(len(chunk.values) for chunk in tail.chunks) < maps.numel() / 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("image", [0, 5, 8])
def test_values_that_are_not_finite_are_told_alike(bad, image):
    maps = make_maps("normal", 9, 4, 3, 3)
    maps[image, 2, 1, 1] = bad
    maps[image:, 3, 2, 2] = np.inf
    plan = TailPlan(4, 9, (3, 3), make_grid((3, 3), (6, 6), "half-pixel"), "cells", 0.1)
    said = []
    with open_threads(1) as threads:
        tails = {"maps": empty_tail(plan)}
        for gatherer in (CompiledTails(tails, 3, threads), DeviceTails(tails, 3, "cpu")):
            with pytest.raises(ActivationError) as error:
                gather(gatherer, maps, 2)
            said.append(str(error.value))
    assert said[0] == said[1]
    assert said[0].startswith(f"unit 2 of layer maps gave {bad} on image i{image};")


class Reused(nn.Module):
    """Two layers that write every pass into the same memory, as captured graphs do."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = nn.Conv2d(3, 4, 5, 3), nn.Conv2d(4, 6, 3, padding=1)
        self.a, self.b = nn.Identity(), nn.Identity()
        self.rooms = {}

    def keep(self, name, maps):
        room = self.rooms.setdefault((name, *maps.shape[1:]), torch.empty_like(maps))[: len(maps)]
        return room.copy_(maps)

    def forward(self, x):
        a = self.a(self.keep("a", self.first(x).relu()))
        return self.b(self.keep("b", self.second(a))).sum((2, 3))


def make_plan(source, population, pixels, apart, **options):
    images = len(source)
    frame = Frame((24, 24), (pixels, pixels))
    tails = {
        layer: TailPlan(
            units, images, (7, 7), make_grid((7, 7), frame.mask_size, "half-pixel"), population, 0.05
        )
        for layer, units in (("a", 4), ("b", 6))
    }
    assert all(tail.apart == apart for tail in tails.values())
    return ScanPlan(frame, tails, "once", {}, **options)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(
    ("population", "pixels", "apart"), [("cells", 12, False), ("pixels", 12, False), ("cells", 5, True)]
)
def test_shards_of_a_scan_have_the_same_bytes(tmp_path, population, pixels, apart, mixed):
    source = made.make_source(23, mask_size=(pixels, pixels), size=(24, 24), seed=3)
    plan = make_plan(source, population, pixels, apart, ranks=4, batch_size=4, shard_size=10)
    bound = {"a": np.full(4, 0.2, np.float32), "b": np.full(6, 0.1, np.float32)}
    files = []
    for kind in (Machine, TorchMachine):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        network = Network(Reused(), Preprocessing())
        for number, shard in scan_shards(
            network, source, plan, kind(threads=2, mixed_precision=mixed), plan.shards, lambda: bound
        ):
            write_shard(folder, number, shard, Origin("digest", "machine"), "")
        files.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert len(files[0]) == 3
    assert files[0] == files[1]


def test_the_next_shard_is_scanned_while_one_is_looked_at_and_none_after_the_last_wanted():
    source = made.make_source(20, mask_size=(12, 12), size=(24, 24), seed=3)
    plan = make_plan(source, "cells", 12, False, ranks=2, batch_size=2, shard_size=4)
    network = Network(Reused(), Preprocessing())
    passes, threads = [], threading.active_count()
    hook = network.module.a.register_forward_hook(lambda *_: passes.append(threading.current_thread()))
    found = scan_shards(network, source, plan, TorchMachine(threads=1), plan.shards, dict)
    assert next(found)[0] == 0
    found.close()
    hook.remove()
    scanning = [thread for thread in passes if thread is not threading.main_thread()]
    assert 2 <= len(scanning) <= 4
    assert len(set(scanning)) == 1
    assert threading.active_count() == threads


@dataclass(frozen=True, eq=False)
class Late(Lane):
    """A lane on which nothing has been done before somebody waits for it, as it may be on a GPU."""

    log: list = field(default_factory=list)
    coming: list = field(default_factory=list)

    def cross(self, tensor):
        empty = torch.full_like(tensor, 77)
        self.coming.append((empty, tensor.clone()))
        return empty

    def finish(self):
        self.log.append("crossed")
        for empty, tensor in self.coming:
            empty.copy_(tensor)
        self.coming.clear()


def test_what_crosses_is_looked_at_only_once_it_is_there_and_a_pass_is_queued_before(monkeypatch):
    maps = make_maps("normal", 12, 4, 5, 3)
    plan = TailPlan(4, 12, (5, 5), make_grid((5, 5), (20, 20), "half-pixel"), "cells", 0.1)
    lane = Late(None)
    log = lane.log
    monkeypatch.setattr(devices, "open_lane", lambda _: lane)
    monkeypatch.setattr(devices, "cross", lane.cross)
    monkeypatch.setattr(devices, "_TOGETHER", 4)
    monkeypatch.setattr(devices, "mark_place", lambda _: log.append("queued"))
    mine, best = gather(DeviceTails({"maps": empty_tail(plan)}, 3, "cpu"), maps, 2)
    with open_threads(1) as threads:
        wanted, tops = gather(CompiledTails({"maps": empty_tail(plan)}, 3, threads), maps, 2)
    assert tail_results(mine) == tail_results(wanted)
    np.testing.assert_array_equal(best.peaks, tops.peaks)
    # Three blocks of two batches, each of which is waited for once, and in the end the bound.
    assert log == ["queued", "queued", "crossed", "queued", "crossed", "crossed", "crossed"]


def test_a_batch_is_on_its_way_before_the_pass_before_it_and_waited_for_by_its_own(monkeypatch):
    source = made.make_source(23, mask_size=(12, 12), size=(24, 24), seed=3)
    plan = make_plan(source, "cells", 12, False, ranks=2, batch_size=4, shard_size=10)
    log, coming = [], {}

    class Later(Network):
        def feed(self, images, first, device="cpu"):
            fed = super().feed(images, first, device)
            log.append(("fed", first))
            coming[id(fed)] = fed.clone()
            return fed.fill_(7)

    def take_over(fed, mark):
        log.append(("taken", numbers_of(fed)[0]))
        fed.copy_(coming.pop(id(fed)))

    monkeypatch.setattr(scan, "take_over", take_over)
    found = []
    for kind, network in ((Machine, Network), (TorchMachine, Later)):
        opened = network(Reused(), Preprocessing())
        shards = scan_shards(opened, source, plan, kind(threads=1), plan.shards, dict)
        found.append([{layer: tail_rows(tail) for layer, tail in part.tails.items()} for _, part in shards])
    assert found[0] == found[1]
    assert log[:5] == [("fed", 0), ("fed", 4), ("taken", 0), ("fed", 8), ("taken", 4)]
    assert not coming


def tail_rows(tail):
    return [part.tolist() for chunk in tail.chunks for part in chunk.arrays]


@pytest.mark.parametrize("kind", [Machine, TorchMachine])
@pytest.mark.parametrize("bad", [8, 10])
def test_shards_before_an_image_that_cannot_be_read_are_given_first(kind, bad):
    source = made.make_source(20, mask_size=(12, 12), size=(24, 24), seed=3)
    source.examples[bad] = replace(source.examples[bad], planes=np.full((1, 12, 12), 99, np.uint16))
    plan = make_plan(source, "cells", 12, False, ranks=2, batch_size=2, shard_size=4)
    network = Network(Reused(), Preprocessing())
    shards = scan_shards(network, source, plan, kind(threads=1), plan.shards, dict)
    assert [next(shards)[0] for _ in range(2)] == [0, 1]
    with pytest.raises(SourceError, match=f"i{bad}: label 99"):
        next(shards)


def test_an_error_of_a_job_comes_in_its_turn_and_ends_the_thread():
    stopped, done = threading.Event(), []

    def fail():
        raise ValueError("third")

    jobs = [lambda: done.append(1), lambda: done.append(2), fail, lambda: stopped.wait()]
    with pytest.raises(ValueError, match="third"):
        list(run_ahead(jobs, stopped))
    assert stopped.is_set()
    assert done == [1, 2]
