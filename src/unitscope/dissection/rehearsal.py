"""A dissection of a few made pictures, and formulas of it, compile all inner loops: `python -m` this module.

What is compiled is kept on disk, for the processor that compiled it; so the first dissection of an
installation need not wait for it.
"""

import time

import numpy as np
import torch
from torch import nn

from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.formula_finding import find_formulas
from unitscope.networks.network import Network, Preprocessing
from unitscope.statistics.scan import Machine

_PICTURES, _SIDE = 24, 32


class _Made:
    """Pictures of noise with two planes of labels, one for the whole picture, and void."""

    vocabulary = Vocabulary(
        (Concept(1, "left", "object"), Concept(2, "right", "part"), Concept(3, "all", "scene"))
    )

    def __len__(self) -> int:
        return _PICTURES

    def __getitem__(self, number: int, /) -> Example:
        random = np.random.default_rng(number)
        planes = np.zeros((2, _SIDE, _SIDE), np.uint16)
        planes[0, :, : random.integers(4, _SIDE)] = 1
        planes[1, :, random.integers(4, _SIDE) :] = 2
        pixels = random.integers(0, 256, (_SIDE, _SIDE, 3)).astype(np.uint8)
        void = np.zeros((_SIDE, _SIDE), bool)
        void[0, number % 3] = True
        return Example(str(number), pixels, planes, (3,), void)


def rehearse() -> None:
    """Compiles what dissections call, or takes it from where it is kept already."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Conv2d(3, 6, 4, 4))
    network = Network(module, Preprocessing((_SIDE, _SIDE)))
    for convention in ("netdissect", "pnas"):
        run = dissect(
            network,
            _Made(),
            ["0"],
            convention=convention,
            quantile=0.01,
            shard_size=8,
            confidences=Confidences(8, 8),
            machine=Machine(threads=1),
        )
    find_formulas(run, draws=2, threads=1)


if __name__ == "__main__":
    begun = time.perf_counter()
    rehearse()
    print(f"inner loops are compiled: {time.perf_counter() - begun:.0f} s")
