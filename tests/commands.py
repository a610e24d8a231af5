"""The command line in this process, over small inputs made for the tests."""

import json
import shlex
from pathlib import Path

import numpy as np
from PIL import Image

from unitscope.cli import main

NETWORKS = """
import torch
from torch import nn

class Odd(nn.Module):
    def __init__(self, *given):
        super().__init__()
        self.given, self.inner = given, nn.Conv2d(3, 4, 3)
    def forward(self, x):
        return {"tuple": (y := self.inner(x), y), "dict": {"a": y}, "nothing": None}[self.given[0]]

class Scale(nn.Module):
    def __init__(self, factors):
        super().__init__()
        self.factors, self.out = factors, nn.Identity()
    def forward(self, x):
        bright = x.amax() > 0.5
        return self.out(torch.cat([x * f if bright else x for f in self.factors], 1))

class Patches(nn.Sequential):
    def forward(self, x):
        return self[1](self[0](x).flatten(2).transpose(1, 2)).mean(1)

def patches(): return Patches(nn.Conv2d(3, 4, 8, 8), nn.Identity())
def small():
    return nn.Sequential(nn.Conv2d(3, 6, 5, 2, 2), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU())
def odd_tuple(): return nn.Sequential(Odd("tuple"))
def odd_dict(): return nn.Sequential(Odd("dict"))
def odd_nothing(): return nn.Sequential(Odd("nothing"))
def nan(): return Scale([float("nan")])
def infinite(): return Scale([float("inf")])
def dead(): return Scale([1.0, 0.0])
def fixed(): return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
def fails(): raise RuntimeError("first\\nsecond")
def leaves(): raise SystemExit(0)
def number(): return 3
"""

DRAWN = "drawn:count=6,size=64"


def write_networks(folder: Path) -> Path:
    (folder / "net.py").write_text(NETWORKS)
    return folder


def write_folder(root: Path, images=4, names=("cat", "sky"), size=(48, 40)) -> Path:
    """Images of noise whose masks hold ids 1 and 2."""
    random = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    mask = np.zeros(size, np.uint8)
    mask[:20], mask[20:30] = 1, 2
    for number in range(images):
        noise = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    (root / "classes.json").write_text(json.dumps(["unlabelled", *names]))
    return root


def dissect(network="small", layers="1", concepts=DRAWN, out="run", *more: str) -> int:
    """`unitscope dissect` of a network of net.py in the current folder, without a report."""
    words = f"dissect net.py:{network} --layers {layers} --concepts {concepts} --out {out} --shifts 5"
    return main([*shlex.split(words), "--no-report", "--threads", "1", *more])


def assert_refused(status: int, capsys, *parts: str, wanted: int = 1) -> None:
    """Exit status and exactly one line of complaint, which holds all the parts."""
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert len(lines) == 1, said.err
    assert lines[0].startswith("unitscope: ")
    for part in parts:
        assert part in lines[0]
    assert status == wanted
    assert "Traceback" not in said.out
