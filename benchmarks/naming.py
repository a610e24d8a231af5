"""What naming with confidence costs, over a made set and a network that costs nothing.

    python benchmarks/naming.py [--images 4000 16000] [--units 512 2048] [--null blocks] [--threads 2]

1,197 concepts in three planes of labels at 112 pixels, noise on maps of 7x7 cells, the convention
netdissect-lite. Printed are seconds and milliseconds an image of naming alone, as the clock has it and as CPU
time over the threads.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import torch

from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.dissect import Confidences
from unitscope.dissection.naming import name_layers
from unitscope.statistics.annotations import Annotations, annotate, merge_annotations
from unitscope.statistics.exemplars import empty_tops
from unitscope.statistics.grids import make_grid
from unitscope.statistics.quantiles import TailPlan, empty_tail, update_tail
from unitscope.statistics.resampling import draw_resampling
from unitscope.statistics.scan import Scan, ScanPlan
from unitscope.statistics.threads import open_threads

CONCEPTS, SIDE, CELLS, BATCH = 1197, 112, 7, 64
RULES = CONVENTIONS["netdissect-lite"]
WORDS = Vocabulary(
    tuple(Concept(i + 1, f"concept {i + 1}", ("object", "part", "material")[i % 3]) for i in range(CONCEPTS))
)


def label(number: int) -> Annotations:
    """Three planes of rectangles."""
    rng = np.random.default_rng(number)
    planes = np.zeros((3, SIDE, SIDE), np.uint16)
    for plane in range(3):
        for _ in range(12 if plane < 2 else 4 * (number % 3)):
            y, x = rng.integers(0, SIDE, 2)
            h, w = rng.integers(4, 60, 2)
            planes[plane, y : y + h, x : x + w] = 1 + rng.integers(0, CONCEPTS)
    blank = np.zeros((1, 1, 3), np.uint8)
    return annotate(Example(str(number), blank, planes), (SIDE, SIDE), RULES.doubles, WORDS, number)


def draw_maps(images: int, units: int) -> Iterator[torch.Tensor]:
    """Noise, louder in some images than in others, as units are."""
    rng = np.random.default_rng(0)
    for start in range(0, images, BATCH):
        count = min(BATCH, images - start)
        maps = rng.standard_normal((count, units, CELLS, CELLS), np.float32)
        maps *= rng.standard_gamma(2.0, (count, units, 1, 1), np.float32)
        yield torch.from_numpy(maps)


def make_scan(images: int, units: int, annotations: Annotations, threads: int) -> tuple[Scan, ScanPlan]:
    """The statistics of all images, as a scan leaves them."""
    grid = make_grid((CELLS, CELLS), (SIDE, SIDE), RULES.upsampling)
    plan = TailPlan(units, images, (CELLS, CELLS), grid, RULES.population, RULES.quantile)
    tail, tops, first = empty_tail(plan), empty_tops(units, 10), 0
    with open_threads(threads) as pool:
        for maps in draw_maps(images, units):
            tail = update_tail(tail, maps, first, pool)
            tops = tops.add(maps.numpy().max((2, 3)), first)
            first += len(maps)
            if first // BATCH % 16 == 0:
                tail = tail.prune(pool)
        tail = tail.prune(pool)
    frame = Frame((2 * SIDE, 2 * SIDE), (SIDE, SIDE))
    scan = Scan({}, annotations, {"made": tail}, {"made": tops})
    return scan, ScanPlan(frame, {"made": plan}, RULES.doubles, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[4000, 16000])
    parser.add_argument("--units", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--null", choices=["blocks", "shifts", "none"], default="blocks")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    warm, least = min(args.images), min(args.units)
    for images in args.images:
        annotations = merge_annotations([label(number) for number in range(images)]).join()
        draws = None
        if args.null != "none":
            draws = draw_resampling(images, 0, **asdict(Confidences(null=args.null)))
        for units in ([8] if images == warm else []) + args.units:
            scan, plan = make_scan(images, units, annotations, args.threads)
            wall, cpu = time.perf_counter(), time.process_time()
            named = name_layers(scan, WORDS, plan, RULES, draws, args.threads, {})["made"]
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if units >= least:
                apiece = 1000 * cpu / args.threads / images
                told = f"{wall:6.2f} s, {1000 * wall / images:.2f} ms an image"
                spent = f"CPU over threads {apiece:.2f} ms an image, {1000 * cpu / units:.2f} ms a unit"
                line = f"{images:6} images x {units:4} units: {told}; {spent}; {named.detectors} detectors"
                print(line, flush=True)


if __name__ == "__main__":
    main()
