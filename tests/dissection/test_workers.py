"""A scan shared by workers: the same bytes whoever computed what, and in which order."""

import os
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

import made
import unitscope as us
from commands import write_folder
from unitscope.concepts.sources import derive, unravel
from unitscope.dissection import workers
from unitscope.dissection.dissect import Confidences, Options
from unitscope.dissection.workers import ScanJob, find_executor
from unitscope.errors import NetworkError, RunError, SourceError, UsageError
from unitscope.executors import processes
from unitscope.executors.cluster import Cluster
from unitscope.executors.processes import Processes
from unitscope.statistics.scan import Machine
from unitscope.statistics.store import Store

NETWORK = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 12, 5, 2), nn.ReLU(), nn.Conv2d(12, 16, 3, 2))
"""
FILES = ("units.csv", "1.safetensors", "2.safetensors")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a network, pictures with one hidden among them, and serial runs in both populations."""
    folder = tmp_path_factory.mktemp("shared")
    write_folder(folder / "pictures", images=23)
    (folder / "pictures" / "images" / ".hidden.png").write_bytes(b"")
    (folder / "net.py").write_text(NETWORK)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for convention in ("pnas", "netdissect"):
            run(folder, convention, f"serial-{convention}", Machine(threads=1))
        yield folder
    torch.set_num_threads(threads)


def run(place, convention, out, machine, network=None, **options):
    network = network or us.load_network("net.py:small")
    source = us.open_source("folder:pictures")
    asked = {"shard_size": 4, "batch_size": 2, "confidences": Confidences(20), **options}
    return us.dissect(
        network, source, ["1", "2"], convention=convention, machine=machine, out=out and place / out, **asked
    )


def assert_same(place, convention, out):
    for name in FILES:
        wanted = (place / f"serial-{convention}" / name).read_bytes()
        assert (place / out / name).read_bytes() == wanted, name
    assert not (place / out / "shards").exists()


def test_two_workers_one_of_which_is_killed_write_the_same_bytes_as_one_process(place, monkeypatch):
    start, killed = processes._start, []

    def start_and_kill(*given):
        worker = start(*given)
        if not killed:
            killed.append(worker)
        return worker

    add = Store.add

    def add_and_kill(self, number, threads):
        if killed[0].process.poll() is None:
            killed[0].process.kill()
        add(self, number, threads)

    monkeypatch.setattr(processes, "_start", start_and_kill)
    monkeypatch.setattr(Store, "add", add_and_kill)
    found = run(place, "pnas", "two", Machine(threads=1, workers=2), cache=place / "cache")
    assert_same(place, "pnas", "two")
    assert (found.recipe.threads, found.recipe.machines) == (1, None)
    assert len([path for path in (place / "cache").iterdir() if path.name[0] != "."]) == 1


def test_a_cluster_writes_the_same_bytes_as_one_process(place, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    run(place, "netdissect", "cluster", Machine(threads=1, workers=1, ray="local"))
    assert_same(place, "netdissect", "cluster")


def test_what_workers_cannot_open_is_refused_before_any_work(place):
    machine = Machine(threads=1, workers=2)
    opened = us.load_network("net.py:small")
    objects = r"workers open network and images themselves, and .* is an object of Python; .*FILE\.py:FACTORY"
    with pytest.raises(UsageError, match=objects):
        run(place, "pnas", "refused", machine, us.Network(opened.module))
    with pytest.raises(UsageError, match=objects):
        us.dissect(opened, made.make_source(4), ["1"], machine=machine)
    changed = "and net.py:small was changed since it was opened"
    with pytest.raises(UsageError, match=changed):
        run(place, "pnas", "refused", machine, replace(opened, forward=lambda module, batch: module(batch)))
    opened.module[1] = nn.GELU()
    with pytest.raises(UsageError, match=changed):
        run(place, "pnas", "refused", machine, opened)
    handle = us.load_network("net.py:small")
    handle.module.register_forward_hook(lambda *given: None)
    with pytest.raises(UsageError, match=changed):
        run(place, "pnas", "refused", machine, handle)
    assert not (place / "refused").exists()
    with pytest.raises(UsageError, match="workers is 0; it must be at least 1"):
        Machine(workers=0)


def open_job(place, network, **changes):
    """What a worker would open, in this process."""
    kept = []

    class KeptError(Exception):
        pass

    def keep(self, job, numbers, told):
        kept.append(job)
        raise KeptError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Processes, "run", keep)
        with pytest.raises(KeptError):
            run(place, "pnas", None, Machine(threads=1, workers=2), network)
        patch.chdir(place)  # and back
        replace(kept[0], **changes).open("cpu")


def test_a_worker_of_another_kind_says_so(place, monkeypatch):
    open_here = ScanJob.open

    def open_elsewhere(job, device):
        monkeypatch.setattr("unitscope.dissection.dissect.record_processor", lambda device: "a 6502")
        return open_here(job, device)

    monkeypatch.setattr(ScanJob, "open", open_elsewhere)
    with pytest.raises(RunError, match=r"a worker on .* has a 6502, 1 thread, where .* or --mix-machines"):
        open_job(place, us.load_network("net.py:small"))


def test_a_worker_that_opens_something_else_says_so(place):
    network = us.load_network("net.py:small")
    open_job(place, network)
    with pytest.raises(RunError, match=r"finds another batch_size"):
        open_job(place, network, options=Options(batch_size=4, shard_size=4))
    (place / "other").mkdir()
    write_folder(place / "other" / "pictures", images=22)
    (place / "other" / "net.py").write_text(NETWORK)
    with pytest.raises(SourceError, match=r"folder:pictures: other images on .* than where the run"):
        open_job(place, network, home=str(place / "other"))
    (place / "other" / "net.py").write_text(NETWORK.replace("ReLU", "Sigmoid"))
    with pytest.raises(NetworkError, match=r"net.py:small is another network on .* than"):
        open_job(place, network, home=str(place / "other"))
    with torch.no_grad():
        network.module[0].weight += 1
    with pytest.raises(NetworkError, match=r"net.py:small has other weights on .* were they changed"):
        open_job(place, network, home=str(place))


def test_who_shares_the_images_and_with_how_many_threads(monkeypatch):
    monkeypatch.setattr(workers, "count_cores", lambda: 8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    here = Machine(threads=3)
    assert (find_executor(here), find_executor(replace(here, workers=1))) == (None, None)
    assert workers.find_scan_threads(here) == 3
    assert workers.find_scan_threads(Machine()) == torch.get_num_threads()
    for machine, executor, scanning, naming in (
        (Machine(workers=3), Processes(3, "cpu"), 2, 6),
        (Machine(workers=16), Processes(16, "cpu"), 1, 8),
        (Machine(workers=2, threads=3), Processes(2, "cpu"), 3, 6),
        (Machine("cuda", workers=2), Processes(2, "cuda"), 4, 8),
        (Machine("cuda:1", workers=4), Processes(4, "cuda:1"), 2, 8),
        (Machine(ray="auto"), Cluster("auto"), 1, 8),
        (Machine(ray="local", workers=2, threads=4), Cluster("local", 2), 4, 8),
    ):
        assert find_executor(machine) == executor
        assert workers.find_scan_threads(machine) == scanning
        assert workers.find_naming_threads(machine) == naming
    with pytest.raises(UsageError, match="3 workers are asked for, and there are 2 devices"):
        find_executor(Machine("cuda", workers=3))


def test_what_is_applied_to_a_segmenters_labels_is_applied_by_workers_too(tmp_path):
    labelled = us.open_source("segmenter:zoo:segmenter,images=drawn:count=9,size=64")
    source = us.shuffle_labels(us.limit(labelled, 7), 3)
    spec, applied = unravel(source)
    assert (spec, applied) == (labelled.spec, [("limit", "7"), ("shuffle", "3")])
    again = derive(us.open_source(spec), applied)
    assert again.spec == source.spec
    assert again.digest == source.digest != us.open_source(source.spec).digest
