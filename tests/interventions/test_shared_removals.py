"""Removals shared by workers: the same scores to the last bit, whoever scored which images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import made
import unitscope as us
from commands import write_folder
from machines import SentAway
from unitscope.errors import NetworkError, RunError, SourceError, UsageError
from unitscope.executors import processes
from unitscope.executors.processes import Processes
from unitscope.interventions import ablation
from unitscope.interventions.ablation import Trial, score_removals
from unitscope.networks import shared_work

NETWORK = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 6, 5, 2), nn.ReLU(), nn.Conv2d(6, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(8, 3))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    write_folder(folder / "pictures", images=23)
    (folder / "net.py").write_text(NETWORK)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(ablation, "_BATCH", 4)
        yield folder
    torch.set_num_threads(threads)


def open_all():
    network = us.load_network("net.py:small")
    network = replace(network, preprocessing=replace(network.preprocessing, size=(32, 32)))
    source = us.limit(us.open_source("folder:pictures"), 22)
    return network, Trial(source, np.arange(1, 22), np.arange(21) % 3)


def draw_masks(network, layer):
    units = {"2": 8, "0": 6}[layer]
    return np.random.default_rng(0).random((9, units)) < 0.4


def read_bytes(scores):
    return [array.tobytes() for one in scores for array in vars(one).values()]


def score(executor, method="fastest", layer="2", opened=None):
    network, trial = opened or open_all()
    masks = draw_masks(network, layer)
    return read_bytes(score_removals(network, layer, trial, masks, method=method, executor=executor))


def test_two_workers_one_of_which_is_killed_give_the_same_bits_as_one_process(place, monkeypatch):
    ask, asked = processes._Worker.ask, []

    def ask_and_kill(worker, *given, **more):
        asked.append(worker)
        ask(worker, *given, **more)
        if len(asked) == 1:  # it has a part to score, and has not even opened the network
            worker.process.kill()

    monkeypatch.setattr(processes._Worker, "ask", ask_and_kill)
    assert score(Processes(2)) == score(None)
    assert len(set(asked)) == 3


@pytest.mark.parametrize(("method", "layer"), [("closed", "2"), ("replay", "0"), ("plain", "0")])
def test_every_way_gives_the_same_bits_in_any_order(method, layer, place):
    away = SentAway()
    assert score(away, method, layer) == score(None, method, layer)
    assert away.numbers == [5, 4, 3, 2, 1, 0]


def test_parts_are_those_of_all_images_together(place, monkeypatch):
    network, trial = open_all()
    masks = draw_masks(network, "2")
    parts = score_removals(network, "2", trial, masks)
    monkeypatch.setattr(ablation, "_BATCH", 21)
    whole = score_removals(network, "2", trial, masks)
    for part, one in zip(parts, whole, strict=True):
        for name, array in vars(one).items():
            np.testing.assert_allclose(getattr(part, name), array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_what_workers_cannot_open_or_find_changed_is_refused(place):
    network, trial = open_all()
    with pytest.raises(UsageError, match=r"is an object of Python; .*FILE\.py:FACTORY"):
        score(SentAway(), opened=(us.Network(network.module), trial))
    with pytest.raises(UsageError, match=r"is an object of Python; .*FILE\.py:FACTORY"):
        score(SentAway(), opened=(network, replace(trial, source=made.make_source(23))))
    with torch.no_grad():
        network.module[0].weight += 1
    with pytest.raises(NetworkError, match=r"net.py:small has other weights on .* were they changed"):
        score(SentAway(), opened=(network, trial))


def test_images_that_change_before_workers_open_them_are_refused(place, monkeypatch):
    class Late(SentAway):
        def run(self, job, numbers, told):
            (place / "pictures").rename(place / "before")
            write_folder(place / "pictures", images=24)
            yield from super().run(job, numbers, told)

    try:
        with pytest.raises(SourceError, match="folder:pictures,limit=22: other images on"):
            score(Late())
    finally:
        (place / "pictures").rename(place / "after")
        (place / "before").rename(place / "pictures")


def test_a_device_that_is_not_there_is_told(place):
    class Many(SentAway):
        def run(self, job, numbers, told):
            yield from super().run(replace(job, device="cuda:63"), numbers, told)

    with pytest.raises(UsageError, match=r"cannot use a device 'cuda:63' on .* no more workers than there"):
        score(Many())


def test_a_worker_of_another_kind_is_refused(place, monkeypatch):
    class Elsewhere(SentAway):
        def run(self, job, numbers, told):
            monkeypatch.setattr(shared_work, "record_processor", lambda device: "a 6502")
            yield from super().run(job, numbers, told)

    with pytest.raises(RunError, match=r"a worker on .* has a 6502, .* take machines of one kind"):
        score(Elsewhere())
