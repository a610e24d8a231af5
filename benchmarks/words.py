"""What words for units cost, beside one pass of both networks over the images: CPU time, one thread.

    python benchmarks/words.py [--images 2000] [--draws 0 100 200] [--repeats 3]

`zoo:captioned` embeds drawn scenes and `zoo:scene-classifier` is run over them, in batches of 8; then
`describe` names the units of `layer5`, which does both and judges the words by draws.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

import unitscope as us
from unitscope.networks.text_models import list_known, open_text_model

BATCH = 8


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 100, 200])
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    network, model = us.load_network("zoo:scene-classifier"), open_text_model("zoo:captioned")
    source = us.open_source(f"drawn:count={asked.images},size=64")
    images = np.stack([source[place].image for place in range(asked.images)])

    def embed() -> None:
        for start in range(0, len(images), BATCH):
            model.embed_images(images[start : start + BATCH])

    def run() -> None:
        for start in range(0, len(images), BATCH):
            network.run(network.feed(images[start : start + BATCH], start))

    def name(draws: int) -> None:
        us.describe(
            network, list(images), ["layer5"], None, model, draws=draws, machine=us.Machine(threads=1)
        )

    name(1)  # the loops are loaded
    found: dict[str, list[float]] = {}
    for _ in range(asked.repeats):
        embedded, ran = spend(embed), spend(run)
        found.setdefault("both passes alone", []).append(embedded + ran)
        for draws in asked.draws:
            found.setdefault(f"{draws} draws", []).append(spend(partial(name, draws)))
    bare = found["both passes alone"]
    print(f"{asked.images} images, {len(list_known(model))} words, medians of {asked.repeats}")
    print("| | CPU, s | of both passes |\n|---|---|---|")
    for told, seconds in found.items():
        share = statistics.median(one / alone for one, alone in zip(seconds, bare, strict=True))
        print(f"| {told} | {statistics.median(seconds):.1f} | {share:.2f} |")


def spend(work: Callable[[], None]) -> float:
    """The seconds of CPU that something takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
