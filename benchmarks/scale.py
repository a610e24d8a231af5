"""Times and memory of a dissection as its data grow, with a network that costs nothing.

    python benchmarks/scale.py [4000x512 16000x2048:pixels ...] [--memory 2] [--shifts 400]
                               [--smooth] [--resnet] [--label-sets]

Without sizes: 1,000, 4,000, 16,000 and 63,000 images with 512 and 2,048 units. Every size, IMAGESxUNITS with
the population of the quantile behind it (cells by default), runs in a process of its own. Maps of 7x7 cells
are made from an image's number: every cell its own value, which keeps the most, or with --smooth a few bumps,
as of a trained network. With --resnet they are those of layer4 of a ResNet-50 with random weights over
pictures of noise: what naming takes beside a real pass. With --label-sets naming also counts sets of labels,
for formulas. Labels are 1,197 concepts in three planes of 112x112.

Printed are the seconds of each part, of the scan also those in which the maps were made (a network that costs
nothing does not quite); naming, with confidence, also in milliseconds an image; the peak of anonymous memory
(`RssAnon`) beyond that of libraries and network; what was mapped from files besides and can be dropped
(`RssFile`); most bytes on disk.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.networks.network import Network, Preprocessing
from unitscope.statistics.scan import Machine

CONCEPTS, MASK, SIDE, DRAWN = 1197, 112, 7, 64
SIZES = [f"{images}x{units}" for images in (1000, 4000, 16_000, 63_000) for units in (512, 2048)]
KINDS = {"cells": CONVENTIONS["netdissect-lite"], "pixels": replace(CONVENTIONS["pnas"], reduction=2)}


class MadeSet:
    """Images of 224 pixels, whose first pixel tells their number; labels are one of a few made ones.

    The other pixels are black, or with `noise` drawn.
    """

    def __init__(self, images: int, noise: bool = False) -> None:
        names = [
            Concept(i + 1, f"concept {i + 1}", ("object", "part", "color")[i % 3]) for i in range(CONCEPTS)
        ]
        self.images, self.vocabulary, self.noise = images, Vocabulary(tuple(names)), noise
        self.drawn = [self.draw(np.random.default_rng(number)) for number in range(DRAWN)]

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        planes = np.zeros((3, MASK, MASK), np.uint16)
        for plane in planes:
            for _ in range(14):
                y, x = rng.integers(0, MASK, 2)
                h, w = rng.integers(4, 60, 2)
                plane[y : y + h, x : x + w] = rng.integers(1, CONCEPTS + 1)
        return planes

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, number: int) -> Example:
        pixels = np.zeros((2 * MASK, 2 * MASK, 3), np.uint8)
        if self.noise:  # in patches, so that a network sees more than an even gray
            coarse = np.random.default_rng(number).integers(0, 256, (14, 14, 3), np.uint8)
            pixels = coarse.repeat(16, 0).repeat(16, 1)
        pixels[0, 0] = number % 256, number // 256 % 256, number // 65_536
        # Other concepts in every image, so that areas and pairs are as many as in a real set.
        planes = self.drawn[number % DRAWN]
        shifted = (planes + np.uint16(number // DRAWN * 7) - 1) % np.uint16(CONCEPTS) + 1
        return Example(f"{number:06d}", pixels, np.where(planes > 0, shifted, 0).astype(np.uint16))


class Maker(nn.Module):
    """Maps made from the number of each image, in no time beside anything else that is done with them."""

    def __init__(self, units: int, smooth: bool) -> None:
        super().__init__()
        self.units, self.smooth, self.seconds = units, smooth, 0.0
        self.maps = nn.Identity()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        started = time.perf_counter()
        numbers = (pictures[:, :, 0, 0] * 255).round().long() @ torch.tensor([1, 256, 65_536])
        made = []
        for number in numbers.tolist():
            drawn = torch.Generator().manual_seed(number)
            side = 3 if self.smooth else SIDE
            maps = torch.randn((1, self.units, side, side), generator=drawn)
            if self.smooth:
                maps = nn.functional.interpolate(
                    maps, (SIDE, SIDE), mode="bilinear", align_corners=True
                ).relu()
            made.append(maps)
        together = torch.cat(made)
        self.seconds += time.perf_counter() - started
        return self.maps(together).mean((2, 3))


def make_resnet() -> nn.Module:
    """A ResNet-50 with random weights."""
    from torchvision.models import resnet50

    torch.manual_seed(0)
    network = resnet50(weights=None)
    network.seconds = 0.0
    return network


def read_memory() -> dict[str, int]:
    """Bytes of this process that are its own, and that lie in files as well."""
    found = re.findall(r"^(Rss\w+):\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return {name: int(size) << 10 for name, size in found}


def measure_folder(folder: Path) -> int:
    """Bytes of the files in a folder, with those that this process has open there without a name."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if os.readlink(path).startswith(str(folder)) and (seen := path.stat()).st_nlink == 0:
                size += seen.st_size
    return size


@contextmanager
def watch_memory(folder: Path) -> Iterator[dict[str, int]]:
    """The peaks of memory and of the bytes in a folder while the block lasts, looked at every 20 ms."""
    peaks: dict[str, int] = {}
    done = threading.Event()

    def watch() -> None:
        turn = 0
        while not done.wait(0.02):
            seen = read_memory()
            if turn % 50 == 0:
                seen["disk"] = measure_folder(folder)
            turn += 1
            for name, size in seen.items():
                peaks[name] = max(peaks.get(name, 0), size)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()


def measure(
    images: int, units: int, kind: str, memory: float, shifts: int, smooth: bool, resnet: bool, sets: bool
) -> dict[str, object]:
    """One dissection: what it took."""
    source, maker = MadeSet(images, resnet), make_resnet() if resnet else Maker(units, smooth)
    network, layer = Network(maker, Preprocessing(), name="maker"), "layer4" if resnet else "maps"
    asked = {"convention": KINDS[kind], "machine": Machine(memory=int(memory * 2**30))}
    few = Confidences(min(shifts, 2))
    dissect(network, MadeSet(16, resnet), [layer], confidences=few, **asked)  # loads the compiled loops
    before, started, drawn = read_memory(), (time.perf_counter(), time.process_time()), maker.seconds
    with tempfile.TemporaryDirectory() as place, watch_memory(Path(place)) as peaks:
        out = Path(place) / "run"
        run = dissect(
            network, source, [layer], confidences=Confidences(shifts), out=out, label_sets=sets, **asked
        )
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    grown = {name: peaks[name] - before[name] for name in ("RssAnon", "RssFile")}
    return {
        "images": images, "units": units, "population": kind,
        "maps": round(maker.seconds - drawn, 2), "scan": round(run.times["scan"], 2),
        "naming": round(run.times["relate"], 2), "ms an image": round(1e3 * run.times["relate"] / images, 3),
        "wall": round(wall, 2), "cpu": round(cpu, 2), "libraries": before["RssAnon"],
        "anonymous": grown["RssAnon"], "mapped": grown["RssFile"], "disk": peaks.get("disk", 0),
    }  # fmt: skip


def main() -> None:
    """Measures every size that is asked for, each in a process of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sizes", nargs="*", metavar="IMAGESxUNITS[:cells|:pixels]", default=SIZES)
    parser.add_argument("--memory", type=float, default=2.0)
    parser.add_argument("--shifts", type=int, default=400)
    parser.add_argument("--smooth", action="store_true")
    parser.add_argument("--resnet", action="store_true")
    parser.add_argument(
        "--label-sets", action="store_true", help="with the table that formulas are read from"
    )
    parser.add_argument("--json", action="store_true", help="one size, in this process, as JSON")
    asked = parser.parse_args()
    for text in asked.sizes:
        if not (found := re.fullmatch(r"(\d+)x(\d+)(?::(cells|pixels))?", text)):
            parser.error(f"{text}: wanted IMAGESxUNITS, such as 4000x512 or 4000x512:pixels")
        if asked.resnet and found[2] != "2048":
            parser.error(f"{text}: ResNet-50's layer4 has 2048 units; wanted IMAGESx2048")
        if asked.json:
            size = (int(found[1]), int(found[2]), found[3] or "cells")
            print(
                json.dumps(
                    measure(*size, asked.memory, asked.shifts, asked.smooth, asked.resnet, asked.label_sets)
                )
            )
            continue
        words = [
            sys.executable,
            __file__,
            text,
            "--json",
            f"--memory={asked.memory}",
            f"--shifts={asked.shifts}",
        ]
        words += ["--smooth"] * asked.smooth + ["--resnet"] * asked.resnet
        words += ["--label-sets"] * asked.label_sets
        done = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True).stdout)
        sizes = {
            name: f"{done.pop(name) / 1e6:.0f} MB" for name in ("libraries", "anonymous", "mapped", "disk")
        }
        print("  ".join(f"{name} {value}" for name, value in {**done, **sizes}.items()), flush=True)


if __name__ == "__main__":
    main()
