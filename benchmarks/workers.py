"""How well workers share a scan: two with one thread each against one process with one thread.

    python benchmarks/workers.py [--images 2000] [--repeats 5] [--modes workers ray] [--convention netdissect]

Every measurement runs in a process of its own, in turn: one, workers, one, ray, ... Images are drawn scenes
of 224 pixels, packed beforehand, through efficientnet-lite0. Efficiency is T1 / (2 T2): T1 the seconds from
the first image to the last shard in one process, T2 the same by two workers, from when, on average, they had
opened network and images. What they need until then is start-up. Needs a core for each of the workers.

`apart` is what no executor can pass: as many processes that know nothing of each other scan all images at the
same time, and T1 is divided by what one of them takes. Cores that share memory are slower when all are busy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LAYER, NETWORK = "_conv_head", "efficientnet-lite0"


def main() -> None:
    """Measures and prints a table, or with --mode one measurement as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--count", type=int, default=2, help="how many workers")
    parser.add_argument("--modes", nargs="+", default=["workers", "ray"], choices=["workers", "ray"])
    parser.add_argument("--convention", default="netdissect")
    parser.add_argument("--cache", help="where images are packed; by default a folder that goes")
    parser.add_argument("--mode", choices=["one", "workers", "ray"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.mode:
        print(json.dumps(measure(asked)))
        return
    with tempfile.TemporaryDirectory() as room:
        cache = asked.cache or room
        call(asked, "one", cache)  # packs, and compiles the loops
        found: dict[str, list[dict[str, float]]] = {mode: [] for mode in ("one", "apart", *asked.modes)}
        for _ in range(asked.repeats):
            for mode in found:
                found[mode].append(call(asked, mode, cache))
                print(mode, found[mode][-1], file=sys.stderr)
    print(f"{asked.images} images, {NETWORK} {LAYER}, {asked.convention}, medians of {asked.repeats}")
    names = ("scan", "start", "busy", "driver")
    print(
        "| | scan, s | start-up, s | CPU of workers, s | CPU of the caller, s | efficiency |\n|" + "---|" * 6
    )
    for mode, rows in found.items():
        scan, start, busy, driver = (statistics.median(row[name] for row in rows) for name in names)
        pairs = zip(found["one"], rows, strict=True)
        cores = 1 if mode == "apart" else asked.count
        share = statistics.median(one["scan"] / (cores * row["scan"]) for one, row in pairs)
        told = "" if mode == "one" else f"{share:.2f}"
        print(f"| {mode} | {scan:.1f} | {start:.1f} | {busy:.1f} | {driver:.1f} | {told} |")


def call(asked: argparse.Namespace, mode: str, cache: str) -> dict[str, float]:
    """One measurement, in a process of its own, or the means of several at the same time."""
    if mode == "apart":
        with ThreadPoolExecutor(asked.count) as pool:
            rows = list(pool.map(lambda _: call(asked, "one", cache), range(asked.count)))
        return {name: statistics.mean(row[name] for row in rows) for name in rows[0]}
    words = ["--mode", mode, "--images", str(asked.images), "--count", str(asked.count), "--cache", cache]
    command = [sys.executable, __file__, *words, "--convention", asked.convention]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(printed.splitlines()[-1])
    return found


def measure(asked: argparse.Namespace) -> dict[str, float]:
    """Seconds of the scan and of what workers need before; CPU seconds of workers and of this process."""
    # Workers of Ray find packages as this process does.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *sys.path])
    import torch
    from timed_job import Timed

    import unitscope as us
    from unitscope.dissection import workers

    torch.set_num_threads(1)
    network = us.load_network(NETWORK)
    source = us.open_source(f"drawn:count={asked.images},size=224")
    times: dict[str, float] = {}

    def clocked(run: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def follow(*given: Any) -> Iterator[Any]:
            times["begin"], spent = time.time(), time.process_time()
            for found in run(*given):
                yield found
                times["end"] = time.time()  # once it is taken up too
            times["spent"] = time.process_time() - spent

        return follow

    spread = {} if asked.mode == "one" else {"workers": asked.count}
    if asked.mode == "ray":
        spread |= {"ray": "local"}
    with tempfile.TemporaryDirectory() as notes:
        make, find = workers._make_job, workers.find_executor
        workers._make_job = lambda *given: Timed(make(*given), notes)
        workers.scan_shards = clocked(workers.scan_shards)

        def find_clocked(machine: Any) -> Any:
            executor = find(machine)
            if executor is not None:
                object.__setattr__(executor, "run", clocked(executor.run))
            return executor

        workers.find_executor = find_clocked
        us.dissect(
            network,
            source,
            [LAYER],
            convention=asked.convention,
            confidences=us.Confidences(shifts=0),
            machine=us.Machine(threads=1, **spread),
            cache=asked.cache,
        )
        rows = [list(map(float, path.read_text().split())) for path in Path(notes).iterdir()]
    began = statistics.mean(row[0] for row in rows) if rows else times["begin"]
    busy, driver = (sum(row[1] for row in rows), times["spent"]) if rows else (times["spent"], 0.0)
    start = began - times["begin"]
    return {"scan": times["end"] - began, "start": start, "busy": busy, "driver": driver}


if __name__ == "__main__":
    main()
