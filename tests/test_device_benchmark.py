import json
import sys
from pathlib import Path

import pytest
import torch

from unitscope.networks.network import Network, Preprocessing

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import device


@pytest.fixture
def small(monkeypatch):
    """A network that takes no time, under a name of the benchmark's."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 16, 16), torch.nn.ReLU(), torch.nn.Flatten())
    monkeypatch.setattr(device, "load_network", lambda *_, **__: Network(module, Preprocessing()))
    monkeypatch.setitem(device.NETWORKS, "AlexNet", ("small", "1"))
    monkeypatch.setattr(device, "DRAWN", 4)


def test_the_table_is_measured_on_a_cpu_by_the_code_of_a_gpu(small, tmp_path, capsys):
    words = ["--device", "cpu", "--images", "32", "--networks", "AlexNet", "--json", str(tmp_path / "rows")]
    assert device.main(words) == 0
    rows = json.loads((tmp_path / "rows").read_text())["rows"]
    assert [(row["source"], row["quantile"]) for row in rows] == [
        ("in memory", "raw"), ("in memory", "upsampled"), ("JPEG", "raw")
    ]  # fmt: skip
    for row in rows:
        assert (row["images"], row["batch"], row["memory"]) == (32, 32, None)
        assert 0 <= row["idle"] < 1
        assert min(row["bare"], row["total"] - row["scan"]) > 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1


def test_without_time_no_row_is_begun(small, capsys):
    assert device.main(["--device", "cpu", "--images", "4", "--networks", "AlexNet", "--minutes", "0"]) == 0
    assert "left out for want of time" in capsys.readouterr().out


def test_without_a_gpu_that_is_said_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.main([]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "torch finds no CUDA device here; measure on a machine with one, or --device cpu to try it"
    ]


def test_pictures_differ_and_are_nearly_the_same_from_jpeg(small):
    stored, decoded = device.MadePictures(9), device.MadePictures(9, jpeg=True)
    assert not (stored[1].image == stored[5].image).all()
    assert not (stored[1].planes == stored[5].planes).all()
    apart = [abs(stored[3].image.astype(int) - decoded[place].image).mean() for place in (3, 2)]
    assert apart[0] < apart[1] / 4
