"""How many planted directions autoencoders find again.

    python benchmarks/planted.py [--kinds topk-sae relu-sae] [--steps 500 1000] [--penalties 0.1 0.3]

The cells of a made layer of 160 units are sparse sums of known atoms: 320 random directions of length 1, of
which 8 by lot are on in a cell, each by 0.5 to 1.5. An autoencoder of as many latents is fitted to them.
Printed is the share of the atoms that a row of its decoder is like, with a cosine above 0.9 (Sharkey et al.,
Taking features out of superposition with sparse autoencoders, 2022, count so), beside an autoencoder after
one step; how much of the variance is explained, and how many latents of a cell are on. Means over seeds, and
their range.
"""

import argparse
import time
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unitscope.concepts.vocabulary import Example, Vocabulary
from unitscope.experiments.fitting.asked import OF_K, Training
from unitscope.experiments.fitting.fit_directions import fit_directions
from unitscope.lab.studies.claims import spread
from unitscope.lab.studies.planting import LAYER, PlantedNetwork
from unitscope.networks.directions.directions import Directions

UNITS, ATOMS, ON = 160, 320, 8
IMAGES, SIDE = 400, 16
LIKE = 0.9
KINDS = ("topk-sae", "batchtopk-sae", "matryoshka-sae", "relu-sae")
PENALTIES = (0.03, 0.1, 0.3, 1.0)
HEAD = "| | steps | found, % | explained | latents on | seconds of a core |"


class Blank:
    """Pictures that nobody looks at: the network has its maps."""

    vocabulary = Vocabulary(())

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int, /) -> Example:
        return Example(str(range(IMAGES)[index]), np.zeros((SIDE, SIDE, 3), np.uint8))


@cache
def plant_atoms(seed: int) -> tuple[Tensor, PlantedNetwork]:
    """The atoms [atom, unit], and a network whose layer has sparse sums of them in every cell."""
    # Another seed than that of the fit, which would begin with the very atoms.
    drawn = torch.Generator().manual_seed(1000 + seed)
    atoms = functional.normalize(torch.randn(ATOMS, UNITS, generator=drawn), dim=1)
    sums = []
    for _ in range(IMAGES):
        strength, lot = torch.rand(2, SIDE**2, ATOMS, generator=drawn)
        on = lot >= lot.topk(ON, dim=1).values[:, -1:]
        sums.append((0.5 + strength) * on @ atoms)
    maps = torch.cat(sums).reshape(IMAGES, SIDE, SIDE, UNITS).permute(0, 3, 1, 2).contiguous()
    return atoms, PlantedNetwork(maps.numpy(), (SIDE, SIDE))


def measure_found(made: Directions, atoms: Tensor) -> float:
    """The share of the atoms that some row of the decoder is like, in percent."""
    cosines = atoms @ functional.normalize(made.decoder, dim=1).T
    return 100 * float((cosines.amax(1) > LIKE).double().mean())


def fit_all(kind: str, training: Training, seeds: Sequence[int]) -> str:
    """A row of the table, one kind fitted with every seed."""
    found, told, started = [], {"explained": [], "l0": []}, time.process_time()
    for seed in seeds:
        atoms, network = plant_atoms(seed)
        k = ON if kind in OF_K else None
        made = fit_directions(network, LAYER, Blank(), kind, ATOMS, k=k, seed=seed, training=training)
        found.append(measure_found(made, atoms))
        for name, values in told.items():
            values.append(float(made.about[name]))
    explained, on = (spread(told[name], form) for name, form in (("explained", ".2f"), ("l0", ".1f")))
    spent = (time.process_time() - started) / len(seeds)
    return f"{spread(found, '.0f')} | {explained} | {on} | {spent:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--steps", nargs="+", type=int, default=[500, 1000])
    parser.add_argument("--penalties", nargs="+", type=float, default=PENALTIES, help="of relu-sae")
    parser.add_argument("--batch-cells", type=int, default=1024)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    seeds = range(args.seeds)
    print(f"{HEAD}\n|---|---:|---:|---:|---:|---:|")
    print(
        f"| untrained, top-k | 1 | {fit_all('topk-sae', Training(1, args.batch_cells), seeds)} |", flush=True
    )
    for kind in args.kinds:
        for penalty in args.penalties if kind == "relu-sae" else [None]:
            name = kind if penalty is None else f"{kind}, penalty {penalty:g}"
            for steps in args.steps:
                given = {} if penalty is None else {"penalty": penalty}
                training = Training(steps=steps, batch_cells=args.batch_cells, **given)
                print(f"| {name} | {steps} | {fit_all(kind, training, seeds)} |", flush=True)


if __name__ == "__main__":
    main()
