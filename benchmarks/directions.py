"""What latents cost: the pass of a network with its encoder alone, and a dissection of the latents.

    python benchmarks/directions.py [LATENTSxIMAGES ...] [--k 32] [--shifts 0] [--threads 2]

By default 65,536, 16,384 and 8,192 latents over 2,000 images, and 16,384 over 1,000 and 500 for the growth
with images, of an autoencoder that was never trained, on a made layer of 112 x 14 x 14: about six minutes
with two threads that nobody else uses, of which 65,536 take half. A line is printed as soon as its size is
done; what is missing is asked for by its size. Each size runs in a process of its own, whose largest memory
is printed beside what it had before the run; the budget is that of `--memory`. The network itself costs next
to nothing, so that the ratio is that of the work on latents: of the scan by the clock, and of all of the
dissection, naming and making of pictures included, in seconds of the processor. With `--shifts 400` naming
measures confidence.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from torch import nn

from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.trace import open_lenses, tap
from unitscope.statistics.scan import Machine

SIDE, UNITS, CELL, CONCEPTS = 224, 112, 16, 24
SIZES = ("65536x2000", "16384x2000", "8192x2000", "16384x1000", "16384x500")
BATCH = 8


class Made:
    """Noise under rectangles of labels, the same at any time."""

    vocabulary = Vocabulary(tuple(Concept(i + 1, f"concept {i + 1}", "object") for i in range(CONCEPTS)))

    def __init__(self, images: int) -> None:
        self.images = images

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int, /) -> Example:
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        plane = np.zeros((1, SIDE, SIDE), np.uint16)
        for _ in range(8):
            y, x = rng.integers(0, SIDE, 2)
            h, w = rng.integers(16, 120, 2)
            plane[0, y : y + h, x : x + w] = 1 + rng.integers(0, CONCEPTS)
        return Example(str(index), image, plane)


def make_network() -> Network:
    """A layer of 112 units at 14 x 14 cells, of which each sees one square of the picture."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, UNITS, CELL, CELL), nn.InstanceNorm2d(UNITS))
    return Network(module, Preprocessing((SIDE, SIDE)), name="made")


def time_pass(network: Network, source: Made, layer: str, images: int, threads: int) -> np.ndarray:
    """Seconds an image, by the clock and of the processor, of the network and its encoder alone."""
    torch.set_num_threads(threads)
    lens, plain = open_lenses(network, [layer])[layer], layer.partition("+")[0]
    spent = np.zeros(2)
    with tap(network, [plain], checked=True) as read:
        for start in range(-BATCH, images, BATCH):  # the first time is not counted
            numbers = range(max(start, 0), min(max(start, 0) + BATCH, images))
            batch = np.stack([source[number].image for number in numbers])
            started = read_clocks()
            for one in read(network.feed(batch, 0))[plain]:
                lens.encode(one.flatten(1).T)
            if start >= 0:
                spent += read_clocks() - started
    return spent / images


def read_clocks() -> np.ndarray:
    """Seconds by the clock and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def measure(latents: int, images: int, args: argparse.Namespace) -> dict[str, float]:
    """The figures of one size; memory is in bytes."""
    network, source, layer = make_network(), Made(images), f"1+random-sae:{latents}:{args.k}:0"
    alone = images * time_pass(network, source, layer, min(images, args.alone), args.threads)
    before = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    machine = Machine(threads=args.threads, memory=int(args.memory * 2**30))
    sure = Confidences(args.shifts)
    dissect(network, Made(BATCH), [layer], machine=machine, confidences=sure)  # compiles
    started = read_clocks()
    run = dissect(network, source, [layer], machine=machine, confidences=sure)
    spent = read_clocks() - started
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "alone": alone[0], "scan": run.times["scan"], "naming": run.times["relate"],
        "ratio": spent[1] / alone[1],
        "before": before, "peak": peak, "dead": run[layer].never_fired, "detectors": run[layer].detectors,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=list(SIZES), metavar="LATENTSxIMAGES")
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--shifts", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", type=float, default=4.0, help="the budget in GB")
    parser.add_argument("--alone", type=int, default=200, help="images at most of the pass alone")
    parser.add_argument("--here", action="store_true", help="in this process, printed as JSON")
    args = parser.parse_args()
    if not args.here:
        print(
            "latents x images    pass alone     scan  over pass   naming  all over pass, CPU  "
            "memory (before), dead latents, all of it"
        )
    for size in args.sizes:
        latents, images = map(int, size.split("x"))
        if args.here:
            print(json.dumps(measure(latents, images, args)))
            continue
        words = [sys.executable, __file__, size, "--here"]
        for name in ("k", "shifts", "threads", "memory", "alone"):
            words += [f"--{name}", str(getattr(args, name))]
        started = time.perf_counter()
        found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(
            f"{latents:7,} x {images:6,}  {found['alone']:10.1f} s {found['scan']:6.1f} s "
            f"{found['scan'] / found['alone']:10.2f} {found['naming']:6.1f} s {found['ratio']:19.2f} "
            f"{found['peak'] / 1e9:6.2f} GB ({found['before'] / 1e9:.2f} GB), {found['dead']} dead, "
            f"{time.perf_counter() - started:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
