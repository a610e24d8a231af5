"""What a dissection costs on a GPU beside the bare forward pass, and how long the GPU waits meanwhile.

    scripts/bench --device cuda [--images 10000] [--networks ResNet-50 ...] [--minutes 10] [--json FILE]

Every network, with random weights, is passed over made pictures of 224 pixels that lie in memory, labeled
with 1,197 concepts in three planes of 112x112; a last row has pictures that are decoded from JPEG. "bare" is
normalizing and the whole network on one batch of pictures again and again, sent to the device each time;
"total" a whole dissection up to named units, without p-values, beside it. "idle" is the share of the scan in
which no pass ran on the device, told by events around each. Rows that would begin too late are left out.
`--device cpu` does the same on a CPU, through the code that serves a GPU: to see that it runs.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.dissection.batches import settle_passes
from unitscope.dissection.conventions import CONVENTIONS, Convention
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.planning import plan_scan
from unitscope.networks.borrowing import placed
from unitscope.networks.load import load_network
from unitscope.networks.network import Network
from unitscope.statistics.scan import Machine

NETWORKS = {
    "ResNet-50": ("torchvision:resnet50", "layer4"),
    "ViT-B/16": ("torchvision:vit_b_16", "encoder.layers.encoder_layer_11"),
    "VGG-16": ("torchvision:vgg16", "features.29"),
    "AlexNet": ("torchvision:alexnet", "features.11"),
}
USUAL = ("ResNet-50", "ViT-B/16", "VGG-16")
RULES = {
    "raw": replace(CONVENTIONS["gandissect"], name="raw", iou_cutoff=0.04, iqr_cutoff=0.0),
    "upsampled": replace(CONVENTIONS["pnas"], name="upsampled", reduction=2),
}
CONCEPTS, SIDE, MASK, DRAWN = 1197, 224, 112, 64


class MadePictures:
    """Smooth pictures that lie in memory, each in colors of its own; with `jpeg` they are decoded first."""

    def __init__(self, images: int, jpeg: bool = False) -> None:
        kinds = ("object", "part", "color")
        names = [Concept(i + 1, f"concept {i + 1}", kinds[i % 3]) for i in range(CONCEPTS)]
        self.images, self.jpeg, self.vocabulary = images, jpeg, Vocabulary(tuple(names))
        drawn = [self.draw(np.random.default_rng(number)) for number in range(DRAWN)]
        self.pictures, self.planes = [picture for picture, _ in drawn], [planes for _, planes in drawn]
        self.files = [encode(picture) for picture in self.pictures] if jpeg else []

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        coarse = Image.fromarray(rng.integers(0, 255, (9, 9, 3)).astype(np.uint8))
        smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
        picture = (smooth + rng.normal(0, 12, smooth.shape)).clip(0, 255).astype(np.uint8)
        planes = np.zeros((3, MASK, MASK), np.uint16)
        for plane in planes:
            for _ in range(14):
                y, x = rng.integers(0, MASK, 2)
                h, w = rng.integers(4, 60, 2)
                plane[y : y + h, x : x + w] = rng.integers(1, CONCEPTS + 1)
        return picture, planes

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, number: int, /) -> Example:
        turn, place = divmod(number, DRAWN)
        picture = self.pictures[place]
        if self.jpeg:
            with Image.open(io.BytesIO(self.files[place])) as file:
                picture = np.asarray(file.convert("RGB"))
        planes = self.planes[place]
        # Other colors and concepts in every image, so that no two are alike.
        shifted = (planes + np.uint16(turn * 7) - 1) % np.uint16(CONCEPTS) + 1
        labels = np.where(planes > 0, shifted, 0).astype(np.uint16)
        return Example(f"{number:06d}", picture + np.uint8(turn % 256), labels)

    @property
    def digest(self) -> str:
        return f"made-{self.images}-{self.jpeg}"


def encode(picture: np.ndarray) -> bytes:
    """The picture as a JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=90)
    return file.getvalue()


class DeviceMachine(Machine):
    """A machine that takes the way of a GPU, also on a CPU."""

    compiled = False


@dataclass(frozen=True)
class Row:
    """What was measured of a network and a source; times in seconds, memory in bytes where it is known."""

    network: str
    source: str
    images: int
    batch: int
    bare: float
    quantile: str
    total: float
    scan: float
    idle: float
    memory: int | None

    def __str__(self) -> str:
        peak = "" if self.memory is None else f"{self.memory / 2**30:.1f} GB"
        bare, scan = (f"{self.images / seconds:,.0f}" for seconds in (self.bare, self.scan))
        ratio = f"{self.total / self.bare:.2f}"
        first = f"| {self.network}, {self.source} | {self.batch} | {bare} | {self.quantile} "
        return f"{first}| {ratio} | {scan} | {self.idle:.0%} | {peak} |"


TITLES = (
    "network, pictures", "batch", "bare, images a second", "quantile", "total over bare",
    "scan, images a second", "device idle", "peak memory",
)  # fmt: skip


class Watch:
    """Times on the device, by events on a GPU, which is not waited for, and by the clock elsewhere."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.spans: list[list[object]] = []

    def mark(self) -> object:
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event

    def busy(self) -> float:
        """Seconds between the two marks of all passes that have both."""
        self.wait()
        ended = [(span[0], span[1]) for span in self.spans if len(span) > 1]
        if self.device.type != "cuda":
            return sum(stop - start for start, stop in ended)  # type: ignore[misc, operator]
        return sum(start.elapsed_time(stop) for start, stop in ended) / 1000  # type: ignore[misc, attr-defined]

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak(self) -> int | None:
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

    @contextmanager
    def passes(self, module: nn.Module, layer: str, batch: int) -> Iterator[None]:
        """Marks the beginning of every pass of a whole batch, and the end of the layer that is read."""

        def begin(_module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            if len(given[0]) == batch:
                self.spans.append([self.mark()])

        def end(*_: object) -> None:
            if self.spans and len(self.spans[-1]) == 1:
                self.spans[-1].append(self.mark())

        self.spans = []
        hooks = [
            module.register_forward_pre_hook(begin),
            module.get_submodule(layer).register_forward_hook(end),
        ]
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def time_bare(network: Network, source: MadePictures, batch: int, machine: Machine, watch: Watch) -> float:
    """Seconds of bare passes over as many pictures as the source has."""
    pictures = np.stack([source[number % len(source)].image for number in range(batch)])

    def run(images: int) -> None:
        precision = torch.autocast(watch.device.type, enabled=machine.mixed_precision)
        with torch.no_grad(), precision:
            for start in range(0, images, batch):
                network.run(network.feed(pictures, start, machine.device))
        watch.wait()

    run(2 * batch)
    started = time.perf_counter()
    run(len(source))
    return time.perf_counter() - started


def measure(
    title: str,
    source: MadePictures,
    machine: Machine,
    rules: Sequence[Convention],
    on_time: Callable[[], bool],
) -> Iterator[Row]:
    """A row a convention, as long as there is time."""
    spec, layer = NETWORKS[title]
    network, watch = load_network(spec, random=0), Watch(machine.device)
    network.module.eval()
    frame = Frame((SIDE, SIDE), (MASK, MASK), "stretch")
    with placed(network, machine.device):
        plan, *_ = plan_scan(network, source, [layer], rules[0], {}, frame.size, "stretch")
        batch = settle_passes(network, plan, machine, None).batch_size
        bare = time_bare(network, source, batch, machine, watch)
        asked = {"size": SIDE, "confidences": Confidences(0), "machine": machine, "batch_size": batch}
        few = MadePictures(min(len(source), 2 * batch))
        for one in rules:
            if not on_time():
                return
            dissect(network, few, [layer], convention=one, **asked)  # loops are compiled, kernels chosen
            with watch.passes(network.module, layer, batch):
                started = time.perf_counter()
                run = dissect(network, source, [layer], convention=one, **asked)
                total = time.perf_counter() - started
            scan = run.times["scan"]
            idle, kind = max(0.0, 1 - watch.busy() / scan), "JPEG" if source.jpeg else "in memory"
            yield Row(title, kind, len(source), batch, bare, one.name, total, scan, idle, watch.peak())


def main(words: Sequence[str] | None = None) -> int:
    """Prints the table, row by row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(USUAL))
    parser.add_argument("--mixed-precision", action="store_true")
    parser.add_argument("--minutes", type=float, default=9.0, help="no row is begun later than that")
    parser.add_argument("--json", type=Path, help="also write what was measured into this file")
    asked = parser.parse_args(words)
    if torch.device(asked.device).type == "cuda" and not torch.cuda.is_available():
        print("torch finds no CUDA device here; measure on a machine with one, or --device cpu to try it")
        return 1
    started, machine = time.perf_counter(), DeviceMachine(asked.device, asked.mixed_precision)
    name = torch.cuda.get_device_name(asked.device) if asked.device.startswith("cuda") else asked.device
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads, {asked.images:,} images\n")
    print(f"| {' | '.join(TITLES)} |\n{'|---' * len(TITLES)}|", flush=True)
    rows = []
    works = [(title, False, list(RULES.values())) for title in asked.networks]
    works.append((asked.networks[0], True, [RULES["raw"]]))
    for title, jpeg, rules in works:
        source = MadePictures(asked.images, jpeg)
        for row in measure(
            title, source, machine, rules, lambda: time.perf_counter() - started < 60 * asked.minutes
        ):
            print(row, flush=True)
            rows.append(asdict(row))
    if len(rows) < sum(len(rules) for *_, rules in works):
        print("\nrows that are missing were left out for want of time")
    if asked.json:
        asked.json.write_text(
            json.dumps({"device": name, "torch": torch.__version__, "rows": rows}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
