"""What a dissection costs beside the bare forward pass, measured in one run by interleaved repeats.

    python benchmarks/run.py [--pairs 5] [--quick]

Every round runs, over the same packed images and in the same process, the bare network (normalize, full
forward pass) in batches of 8 and of 32, and the dissection with the raw and with the upsampled quantile, in
turn. Ratios are taken round by round, to the bare pass whose batches are faster by the median. A dissection
holds memory between batches; "held" is the bare pass with that too (`hold_memory`), in batches of 8 like the
dissection. Weights are random: trained networks will differ a little.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from source_rates import measure as measure_sources

from unitscope.concepts.frames import Frame
from unitscope.concepts.packed import PackedSource, pack_source
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.dissection.conventions import CONVENTIONS, Convention
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.planning import plan_scan
from unitscope.networks.load import load_network
from unitscope.networks.memory import hold_memory
from unitscope.networks.network import Network
from unitscope.statistics.scan import load_batches

SHAPES = [
    ("AlexNet conv5", "torchvision:alexnet", "features.11", 768),
    ("ResNet-18 layer4", "torchvision:resnet18", "layer4", 1024),
    ("VGG-16 conv5_3", "torchvision:vgg16", "features.29", 96),
]
RAW = replace(CONVENTIONS["gandissect"], name="raw", iou_cutoff=0.04, iqr_cutoff=0.0)
UPSAMPLED = replace(CONVENTIONS["pnas"], name="upsampled", reduction=2)
CONCEPTS = 1000
QUIET = Confidences(shifts=0)


class Photographs:
    """JPEGs of 224 pixels with PNG labels of 112 pixels, 1,000 concepts with a long tail."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count
        names = [
            Concept(i + 1, f"concept {i + 1}", ("object", "part", "material")[i % 3]) for i in range(CONCEPTS)
        ]
        self.vocabulary = Vocabulary(tuple(names))
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(len(list(folder.glob("*.jpg"))), count):
            self.paint(number)

    def paint(self, number: int) -> None:
        rng = np.random.default_rng(number)
        coarse = rng.integers(0, 255, (9, 9, 3)).astype(np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize((224, 224), Image.Resampling.BICUBIC), np.int16)
        picture = picture + rng.normal(0, 12, picture.shape)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(
            self.folder / f"{number:05d}.jpg", quality=90
        )
        labels = np.zeros((112, 112, 3), np.uint16)
        for plane in range(3):
            for _ in range(12 if plane < 2 else 4 * (number % 3)):
                y, x = rng.integers(0, 112, 2)
                h, w = rng.integers(4, 60, 2)
                labels[y : y + h, x : x + w, plane] = min(int(rng.pareto(0.7) * 3) + 1, CONCEPTS)
        for plane in range(3):
            Image.fromarray(labels[:, :, plane]).save(self.folder / f"{number:05d}_{plane}.png")

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> Example:
        with Image.open(self.folder / f"{index:05d}.jpg") as file:
            image = np.asarray(file.convert("RGB"))
        planes = []
        for plane in range(3):
            with Image.open(self.folder / f"{index:05d}_{plane}.png") as file:
                planes.append(np.asarray(file, np.uint16))
        return Example(f"{index:05d}", image, np.stack(planes))

    @property
    def digest(self) -> str:
        return f"benchmark-{self.count}"


def measure(work: Callable[[], object], held: bool = False) -> float:
    """Seconds of the work, with memory held around it or as it comes."""
    with hold_memory() if held else nullcontext():
        start = time.perf_counter()
        work()
        return time.perf_counter() - start


def run_bare(network: Network, source: PackedSource, batch: int) -> None:
    """Read the packed images, normalize, run the whole network, nothing else."""
    with torch.no_grad():
        for start in range(0, len(source), batch):
            images = np.ascontiguousarray(source.images[start : start + batch])
            network.module(network.preprocessing.tensor(images))


def run_dissection(network: Network, source: PackedSource, layer: str, rules: Convention) -> None:
    """The whole dissection at its defaults, every unit named; without p-values."""
    dissect(network, source, [layer], convention=rules, confidences=QUIET)


def measure_ratios(pairs: int, scale: float, folder: Path) -> list[dict[str, object]]:
    rows = []
    for title, spec, layer, count in SHAPES:
        network = load_network(spec, random=0)
        count = max(16, int(count * scale))
        photographs = Photographs(folder / "photographs", count)
        frame = Frame(
            (224, 224),
            (112, 112),
            "stretch",
            network.preprocessing.crop_fraction,
            network.preprocessing.resample,
        )
        source = pack_source(photographs, frame, folder / "cache")
        works = {
            "bare 8": lambda: run_bare(network, source, 8),  # noqa: B023
            "bare 32": lambda: run_bare(network, source, 32),  # noqa: B023
            "held": lambda: run_bare(network, source, 8),  # noqa: B023
            "raw": lambda: run_dissection(network, source, layer, RAW),  # noqa: B023
            "upsampled": lambda: run_dissection(network, source, layer, UPSAMPLED),  # noqa: B023
        }
        for work in works.values():
            work()
        times = [{name: measure(work, name == "held") for name, work in works.items()} for _ in range(pairs)]
        bare = min(("bare 8", "bare 32"), key=lambda name: statistics.median(t[name] for t in times))
        row: dict[str, object] = {"network": title, "images": count, "bare": bare, "seconds": times}
        for name in ("bare", "held"):
            middle = statistics.median(t[bare if name == "bare" else name] for t in times)
            row[f"{name} ms an image"] = 1000 * middle / count
        for name in ("raw", "upsampled"):
            ratios = sorted(t[name] / t[bare] for t in times)
            row[name] = statistics.median(ratios)
            row[f"{name} range"] = (ratios[0], ratios[-1])
        rows.append(row)
        print(
            f"{title:<18} {count:4d} images  {bare:<7} {row['bare ms an image']:6.1f} ms an image  "
            f"held {row['held ms an image']:6.1f}  "
            f"raw {row['raw']:.3f} ({row['raw range'][0]:.3f}-{row['raw range'][1]:.3f})  "  # type: ignore[index]
            f"upsampled {row['upsampled']:.3f} "
            f"({row['upsampled range'][0]:.3f}-{row['upsampled range'][1]:.3f})",  # type: ignore[index]
            flush=True,
        )
    return rows


def measure_memory(count: int, folder: Path, convention: str) -> float:
    """Peak memory in MB of a process of its own that dissects that many images."""
    command = [
        sys.executable,
        __file__,
        "--memory",
        str(count),
        "--folder",
        str(folder),
        "--convention",
        convention,
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.strip().splitlines()[-1])


def dissect_for_memory(count: int, folder: Path, convention: str) -> None:
    network = load_network("torchvision:alexnet", random=0)
    source = Photographs(folder / "photographs", count)
    rules = RAW if convention == "raw" else UPSAMPLED
    dissect(
        network,
        source,
        ["features.11"],
        convention=rules,
        confidences=QUIET,
        out=folder / f"m{count}{convention}",
    )
    print(f"{peak_memory():.1f}")


def peak_memory() -> float:
    """The most memory this process has held, in MB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measure_decoding(folder: Path, count: int) -> dict[str, float]:
    """Images a second, decoded, framed and annotated, with one thread."""
    network = load_network("torchvision:alexnet", random=0)
    photographs = Photographs(folder / "photographs", count)
    plan, *_ = plan_scan(network, photographs, ("features.11",), RAW, {}, None, "stretch")
    packed = pack_source(photographs, plan.frame, folder / "cache")
    rates: dict[str, list[float]] = {"decoded": [], "packed": []}
    for _ in range(3):
        for name, source in (("decoded", photographs), ("packed", packed)):
            with ThreadPoolExecutor(1) as loaders:
                spent = measure(lambda: list(load_batches(source, plan, range(count), loaders)))  # noqa: B023
            rates[name].append(count / spent)
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the images, one pair: only to see it run"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--convention", default="raw", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.memory:
        dissect_for_memory(chosen.memory, chosen.folder, chosen.convention)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        print(
            f"{torch.get_num_threads()} threads, torch {torch.__version__}, "
            f"{CONCEPTS} concepts, masks 112x112"
        )
        rows = measure_ratios(1 if chosen.quick else chosen.pairs, 0.1 if chosen.quick else 1.0, folder)
        counts = (50, 200) if chosen.quick else (500, 2000)
        Photographs(folder / "photographs", counts[1])
        memory = {}
        for convention in ("raw", "upsampled"):
            for count in counts:
                peak = memory[f"{convention} {count}"] = measure_memory(count, folder, convention)
                print(f"peak memory, AlexNet conv5, {convention}, {count} images: {peak:.0f} MB")
        rates = measure_decoding(folder, counts[0])
        print(
            f"images a second, one thread: {rates['decoded']:.0f} decoded, "
            f"{rates['packed']:.0f} from the packed cache"
        )
        kinds = measure_sources(100 if chosen.quick else 1000, folder / "sets")
        for kind, one in kinds.items():
            print(
                f"{kind:<14} opened in {one.opened:.2f} s; images a second: "
                f"{one.decoded:.0f} decoded by one thread, {one.packed:.0f} packed by all cores, "
                f"{one.read:.0f} read packed"
            )
        if chosen.json:
            found = {"ratios": rows, "memory": memory, "decoding": rates}
            sources = {kind: asdict(one) for kind, one in kinds.items()}
            chosen.json.write_text(json.dumps({**found, "sources": sources}, indent=1))


if __name__ == "__main__":
    main()
