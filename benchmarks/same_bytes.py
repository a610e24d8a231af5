"""Whether a run has the same bytes however it is computed: by workers, a cluster, in parts, after accidents.

    python benchmarks/same_bytes.py [--repeats 5] [--cases workers parts ...]

A small network over 60 small pictures in shards of 4, thresholds from raw cells and from pixels. Every case
is compared, file by file, with a run of one process and one thread. What is killed, and when, is drawn.
Needs the extra `ray`, and for `disk` the right to mount a small disk in memory.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import unitscope as us
from unitscope.dissection import dissect_part, merge_run
from unitscope.errors import RunError

NETWORK = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 24, 5, 2), nn.ReLU(), nn.Conv2d(24, 32, 3, 2))
"""
LAYERS, FILES = ["1", "2"], ("units.csv", "1.safetensors", "2.safetensors")
SHARDS = 15


def ask(convention: str, **more: Any) -> dict[str, Any]:
    """What every case is asked for."""
    sure = us.Confidences(shifts=20)
    return {"convention": convention, "shard_size": 4, "batch_size": 2, "confidences": sure, **more}


def open_both() -> tuple[us.Network, us.ConceptSource]:
    """The network and its pictures, anew."""
    return us.load_network("net.py:small"), us.open_source("drawn:count=60,size=64")


def run(out: Path, convention: str, machine: us.Machine | None = None, **more: Any) -> None:
    """A whole run."""
    machine = machine or us.Machine(threads=1)
    us.dissect(*open_both(), LAYERS, machine=machine, out=out, **ask(convention, **more))


def wait_for(folder: Path, count: int) -> bool:
    """Whether so many shards lie in a folder, as soon as they do; not once the run is finished."""
    while len(list(folder.glob("shards/*.safetensors"))) < count:
        if (folder / "run.json").exists():
            return False
        time.sleep(0.002)
    return True


def find_workers() -> list[int]:
    """The worker processes that this one has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"unitscope.executors.worker" in words and parent == os.getpid():
            found.append(int(folder.name))
    return found


def with_workers(count: int) -> Callable[[Path, str], None]:
    """So many processes."""
    return lambda out, convention: run(out, convention, us.Machine(threads=1, workers=count))


def kill_a_worker(out: Path, convention: str) -> None:
    """Three processes, one of which is killed somewhere on the way."""

    def kill() -> None:
        if wait_for(out, random.randrange(1, SHARDS - 2)):
            os.kill(random.choice(find_workers()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with_workers(3)(out, convention)
    killer.join()


def kill_the_driver(out: Path, convention: str) -> None:
    """The process that has two workers is killed, and another one goes on at once."""
    with subprocess.Popen([sys.executable, __file__, "--drive", str(out), convention]) as driver:
        wait_for(out, random.randrange(1, SHARDS - 2))
        driver.kill()
    run(out, convention, us.Machine(threads=1, workers=2), resume=True)


def in_parts(out: Path, convention: str) -> None:
    """Four parts in any order."""
    for part in random.sample(range(1, 5), 4):
        machine = us.Machine(threads=1)
        asked = ask(convention, machine=machine)
        dissect_part(*open_both(), LAYERS, f"{part}/4", out=out, **asked)
    merge_run(out)


def on_a_full_disk(out: Path, convention: str) -> None:
    """Two workers whose disk is full for a while."""
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(out)], check=True)
    try:
        (out / "run").mkdir()
        filled = out / "filling"
        filled.write_bytes(bytes((8 << 20) - random.randrange(300_000, 500_000)))
        try:
            run(out / "run", convention, us.Machine(threads=1, workers=2))
            print("the disk was large enough", file=sys.stderr)
        except RunError as error:
            if "No space left on device" not in str(error):
                raise
            filled.unlink()
            run(out / "run", convention, us.Machine(threads=1, workers=2), resume=True)
        kept = {name: (out / "run" / name).read_bytes() for name in FILES}
    finally:
        subprocess.run(["umount", str(out)], check=True)
    for name, content in kept.items():
        (out / name).write_bytes(content)


def on_a_cluster(removed: bool) -> Callable[[Path, str], None]:
    """Two machines of a cluster, one of which may go somewhere on the way."""

    def work(out: Path, convention: str) -> None:
        from ray.cluster_utils import Cluster

        machines = Cluster()
        try:
            for _ in range(2):
                machines.add_node(num_cpus=1, object_store_memory=80 << 20, include_dashboard=False)

            def remove() -> None:
                if wait_for(out, random.randrange(1, SHARDS - 2)):
                    machines.remove_node(machines.list_all_nodes()[1], allow_graceful=False)

            remover = threading.Thread(target=remove if removed else lambda: None)
            remover.start()
            run(out, convention, us.Machine(threads=1, ray=machines.address))
            remover.join()
        finally:
            machines.shutdown()

    return work


CASES: dict[str, Callable[[Path, str], None]] = {
    "threads": run,
    "workers-2": with_workers(2),
    "workers-3": with_workers(3),
    "worker-killed": kill_a_worker,
    "driver-killed": kill_the_driver,
    "parts": in_parts,
    "disk": on_a_full_disk,
    "cluster": on_a_cluster(False),
    "machine-gone": on_a_cluster(True),
}


def main() -> None:
    """Runs all cases and prints how often each had the same bytes; the exit status says whether all had."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--drive", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.drive:
        with_workers(2)(Path(asked.drive[0]), asked.drive[1])
        return
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    failed = 0
    with tempfile.TemporaryDirectory() as room:
        os.chdir(room)
        Path("net.py").write_text(NETWORK)
        for convention in ("pnas", "netdissect"):
            run(Path(f"{convention}-wanted").resolve(), convention)
        for case in asked.cases:
            for convention in ("pnas", "netdissect"):
                same = 0
                for number in range(asked.repeats):
                    out = Path(f"{convention}-{case}-{number}").resolve()
                    random.seed(f"{case} {convention} {number}")
                    CASES[case](out, convention)
                    wanted = Path(f"{convention}-wanted")
                    same += all((out / name).read_bytes() == (wanted / name).read_bytes() for name in FILES)
                failed += asked.repeats - same
                print(f"{case}, {convention}: {same} of {asked.repeats} the same", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
