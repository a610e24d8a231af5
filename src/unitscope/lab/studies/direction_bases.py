"""What the study of directions compares: units of a layer, and directions between them, drawn or fitted."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from unitscope.concepts.derived import source_digest
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.dissect import Confidences
from unitscope.errors import UsageError
from unitscope.experiments.fitting.asked import OF_K, Kind, Training
from unitscope.experiments.fitting.components import import_decomposition
from unitscope.experiments.fitting.fit_directions import fit_directions
from unitscope.lab.studies.rotation import count_units
from unitscope.networks.network import Network
from unitscope.version import __version__

NEURONS, ROTATIONS, PCA, ICA, NMF = "neurons", "rotations", "PCA", "ICA", "NMF"
UNTRAINED, TOPK, MATRYOSHKA = "untrained SAE", "top-k SAE", "Matryoshka SAE"
FITTED: dict[str, Kind] = {
    PCA: "pca",
    ICA: "ica",
    NMF: "nmf",
    TOPK: "topk-sae",
    MATRYOSHKA: "matryoshka-sae",
}
"""What is fitted, by the names that people read."""

Size = Literal["layer", "small", "large"]
"""How many directions: as many as the layer has units or fewer, or one of two multiples of that."""

WIDE = 512
"""A layer of more units has smaller multiples, or its latents would not fit."""


@dataclass(frozen=True)
class Effort:
    """How much is spent on a layer.

    `training` is that of autoencoders, whose latents are `factors` times the units, in a layer of more than
    `WIDE` units half of that or less; components are fitted to so many `cells`. Besides the convention's own
    quantile `quantiles` are tried. So many `concepts` beside the network's classes are removed.
    """

    training: Training = Training(1000, 2048)  # noqa: RUF009 - frozen
    factors: tuple[int, int] = (4, 8)
    cells: int = 20_000
    confidences: Confidences = Confidences(200, 20)  # noqa: RUF009 - frozen
    quantiles: tuple[float, ...] = (0.02, 0.05)
    concepts: int = 20


QUICK = Effort(Training(10, 256), (1, 2), 250, Confidences(20, 5), (), 2)


@dataclass(frozen=True, eq=False)
class Subject:
    """A layer that is studied: `source` are labeled images, `images` those that directions are fitted to.

    Without `images` it is the half of the labeled ones that units are named on, without their labels.
    """

    name: str
    network: Network
    layer: str
    source: ConceptSource
    images: ConceptSource | None = None


@dataclass(frozen=True)
class Basis:
    """One way to read a layer: by `specs` of directions, whose latents stand one after the other.

    The spec of the units themselves is empty. `latents` is their number, all specs together.
    """

    kind: str
    size: Size
    latents: int
    specs: tuple[str, ...] = ("",)

    def list_addresses(self, layer: str) -> list[str]:
        """The addresses at which the layer is read so.

        >>> Basis("rotations", "small", 8, ("rotation:0", "rotation:1")).list_addresses("conv")
        ['conv+rotation:0', 'conv+rotation:1']
        """
        return [name_address(layer, spec) for spec in self.specs]


def name_address(layer: str, spec: str) -> str:
    """The address of a layer in directions; of the layer itself without any."""
    return f"{layer}+{spec}" if spec else layer


def choose_sizes(units: int, factors: tuple[int, int]) -> dict[Size, int]:
    """How many latents autoencoders have, small and large.

    >>> choose_sizes(160, (4, 8)), choose_sizes(1280, (4, 8))
    ({'small': 640, 'large': 1280}, {'small': 1280, 'large': 2560})
    """
    small, large = (factor if units <= WIDE else max(1, factor // 4) for factor in factors)
    return {"small": small * units, "large": large * units}


def choose_firing(units: int) -> int:
    """How many latents fire in a cell: 16, or 32 of a wide layer, and never more than half of the units."""
    return max(1, min(16 if units <= WIDE else 32, units // 2))


def make_bases(
    subject: Subject, images: ConceptSource, seed: int, effort: Effort, folder: Path
) -> tuple[list[Basis], list[str]]:
    """All bases of a layer for one seed, and notes on those that cannot be had.

    Rotations and untrained autoencoders are drawn by the seed, the others fitted to the images and kept in
    the folder: what is there is not fitted again. Raises what `fit_directions` raises.
    """
    import_decomposition()  # where it is missing, that is reported before the work, not after it
    units = count_units(subject.network, subject.layer)
    sizes, k = choose_sizes(units, effort.factors), choose_firing(units)
    bases, notes = [Basis(NEURONS, "layer", units)], []
    for size, latents in sizes.items():
        drawn = [f"rotation:{1000 * seed + number}" for number in range(latents // units)]
        bases.append(Basis(ROTATIONS, size, latents, tuple(drawn)))
    # As many parts as units would be the units again: non-negative cells are their own best parts.
    for kind, latents in ((PCA, units), (ICA, units), (NMF, max(1, units // 2))):
        try:
            file = fit_kept(subject, images, FITTED[kind], latents, seed, effort, folder)
        except UsageError as error:
            notes.append(f"{subject.name}: no {kind}, for {error}")
        else:
            bases.append(Basis(kind, "layer", latents, (str(file),)))
    for size, latents in sizes.items():
        bases.append(Basis(UNTRAINED, size, latents, (f"random-sae:{latents}:{k}:{seed}",)))
        for kind in (TOPK, MATRYOSHKA):
            file = fit_kept(subject, images, FITTED[kind], latents, seed, effort, folder)
            bases.append(Basis(kind, size, latents, (str(file),)))
    return bases, notes


def fit_kept(
    subject: Subject,
    images: ConceptSource,
    kind: Kind,
    latents: int,
    seed: int,
    effort: Effort,
    folder: Path,
) -> Path:
    """The file of directions fitted to a layer, from the folder or put there; a fit that was stopped goes on.

    Raises what `fit_directions` raises.
    """
    k = choose_firing(count_units(subject.network, subject.layer)) if kind in OF_K else None
    training = Training(cells=effort.cells) if k is None else effort.training
    asked = (kind, latents, k, seed, asdict(training), __version__)
    key = digest_of(subject.network.digest, subject.layer, source_digest(images), asked)
    path = folder / "fitted" / f"{kind}-{latents}-{seed}-{key[:12]}.safetensors"
    if not path.exists():
        network, layer = subject.network, subject.layer
        fit_directions(
            *(network, layer, images, kind, latents),
            k=k,
            seed=seed,
            training=training,
            out=path,
            resume=True,
        )
    return path


def digest_of(*facts: object) -> str:
    """The SHA-256 of facts that JSON can hold.

    >>> digest_of("a", 1) == digest_of("a", 1), digest_of("a", 1) == digest_of("a", 2)
    (True, False)
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def find_basis(bases: Sequence[Basis], kind: str, size: Size) -> Basis:
    """The basis of that kind and size. Raises `UsageError` where there is none."""
    for basis in bases:
        if (basis.kind, basis.size) == (kind, size):
            return basis
    raise UsageError(f"there is no {size} basis of {kind}; there are {', '.join(one.kind for one in bases)}")
