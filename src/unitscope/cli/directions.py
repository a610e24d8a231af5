"""The command that fits directions to the cells of a layer."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

import unitscope as us
from unitscope.cli.interruption import offer
from unitscope.cli.words import Flag, Json, Network, Opening, Running, Source, print_json

Kind = Literal["topk-sae", "batchtopk-sae", "matryoshka-sae", "relu-sae", "pca", "ica", "nmf", "probe"]


@dataclass(frozen=True)
class Learning:
    """How directions are found.

    Args:
        steps: how long an autoencoder is trained.
        batch_cells: how many cells it learns from in a step.
        rate: its learning rate, at most.
        penalty: of relu-sae: what the sum of latents weighs; more leaves fewer of them.
        cells: how many cells are taken at most, of every image as many, by lot; by default all, for ica and
            nmf 200,000, for probes 50,000.
        seed: seed of all that is drawn.
    """

    steps: int = 2000
    batch_cells: int = 4096
    rate: float = 1e-3
    penalty: float = 0.1
    cells: int | None = None
    seed: int = 0


def fit(
    network: Network,
    layer: Annotated[str, arg(metavar="LAYER")],
    images: Source,
    kind: Kind,
    out: Annotated[Path, arg(metavar="FILE")],
    latents: Annotated[int | None, arg(metavar="N")] = None,
    k: Annotated[int | None, arg(metavar="K")] = None,
    concepts: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = (),
    resume: Flag = False,
    trust_layout: Flag = False,
    learning: Learning = Learning(),
    opening: Opening = Opening(),
    running: Running = Running(),
    json: Json = False,
) -> None:
    """Fit directions to the cells of a layer: a sparse autoencoder, components, or a probe a concept.

    Writes one file, which reads the layer wherever a layer is named: LAYER+FILE. Cells are places of maps and
    patches of tokens. What is done is kept in FILE.unfinished while the work lasts.

    Args:
        network: whose layer.
        layer: the layer, as in `unitscope layers NETWORK`.
        images: the images; for probes with labels, by pixel or of the whole.
        kind: sparse autoencoders; principal, independent, non-negative components; probes.
        out: the file of the directions, FILE.safetensors; it must not be there.
        latents: how many directions.
        k: of topk-sae, batchtopk-sae and matryoshka-sae: how many latents fire in a cell.
        concepts: of probes: these concepts, as NAME or CATEGORY/NAME, instead of all on enough cells.
        resume: go on with a fit that was interrupted.
        trust_layout: of probes: take a layer whose map answers at other places than where the input changes.
    """
    from unitscope.experiments import Training, fit_directions
    from unitscope.networks.generators import pair_generator

    offer(lambda words: words if resume else [*words, "--resume"])
    machine = running.start()
    loaded = opening.load(network)
    loaded, source = pair_generator(loaded, us.open_source(images, loaded))
    training = {name: value for name, value in vars(learning).items() if name != "seed"}
    made = fit_directions(
        loaded,
        layer,
        source,
        kind,
        latents,
        k=k,
        concepts=concepts,
        seed=learning.seed,
        training=Training(**training),
        out=out,
        resume=resume,
        batch_size=running.batch_size,
        machine=machine,
        trust_layout=trust_layout,
    )
    lines = [f"directions: {out}", f"use: --layers {layer}+{out}"]
    if json:
        shape = {"kind": made.kind, "units": made.units, "latents": made.latents}
        print_json({**shape, **made.about})
    else:
        cells = int(made.about.get("cells_seen", made.about["cells"]))
        print(f"{made}, fitted to {cells:,} cells of {layer} of {made.about['network']}")
        for line in _say_fit(made.about):
            print(line)
    print(*lines, sep="\n", file=sys.stderr if json else sys.stdout)


def _say_fit(about: Mapping[str, str]) -> list[str]:
    """How well directions fit, as far as that is known of their kind, in a line.

    >>> _say_fit({"explained": "0.8120", "l0": "16.000", "dead": "3", "measured_on": "500 of the cells"})
    ['explained 81.2 %, 16.0 latents a cell, 3 dead (500 of the cells)']
    """
    parts = []
    if "explained" in about:
        parts.append(f"explained {100 * float(about['explained']):.1f} %")
    if about.get("converged") == "no":
        parts.append("not converged")
    if "l0" in about:
        parts += [f"{float(about['l0']):.1f} latents a cell", f"{about['dead']} dead"]
    return [f"{', '.join(parts)} ({about['measured_on']})"] if parts else []
