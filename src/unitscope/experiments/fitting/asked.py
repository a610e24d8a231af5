"""What is asked of a fit: the kind of directions, how many latents, how they are found."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from unitscope.concepts.vocabulary import ConceptSource, Vocabulary
from unitscope.errors import UsageError, check_seed, say_near

Kind = Literal["topk-sae", "batchtopk-sae", "matryoshka-sae", "relu-sae", "pca", "ica", "nmf", "probe"]

OF_K: tuple[Kind, ...] = ("topk-sae", "batchtopk-sae", "matryoshka-sae")
"""Those of which k latents fire in a cell."""
COMPONENTS: tuple[Kind, ...] = ("pca", "ica", "nmf")
MOST: dict[Kind, int] = {"ica": 200_000, "nmf": 200_000, "probe": 50_000}
"""How many cells are taken at most if that is not said; of the others all."""


@dataclass(frozen=True)
class Training:
    """How directions are fitted: `steps` of `batch_cells` cells each, at a learning rate of at most `rate`.

    `penalty` weighs the L1 norm of latents against the error, of relu-sae alone. These four are of
    autoencoders. `cells` is how many cells are taken at most, of every image as many, by lot.

    Raises `UsageError` for values out of range.
    """

    steps: int = 2000
    batch_cells: int = 4096
    rate: float = 1e-3
    penalty: float = 0.1
    cells: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch_cells", "cells"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; it must be 1 or more")
        if not 0 < self.rate < float("inf"):
            raise UsageError(f"rate is {self.rate}; give a number above 0, such as 0.001")
        if not 0 <= self.penalty < float("inf"):
            raise UsageError(f"penalty is {self.penalty}; give a number of 0 or more, such as 0.1")


@dataclass(frozen=True)
class Asked:
    """A kind of directions, with all that decides it but the cells; `k` is 0 where the kind has none."""

    kind: Kind
    latents: int
    k: int
    seed: int
    training: Training
    device: str

    @property
    def facts(self) -> dict[str, Any]:
        """What of it decides numbers, by name, without what is of other kinds."""
        found: dict[str, Any] = {"kind": self.kind, "latents": self.latents, "seed": self.seed}
        found |= {"k": self.k} if self.k else {}
        if self.kind.endswith("-sae"):
            used = [one.name for one in fields(Training) if one.name not in ("cells", "penalty")]
            used += ["penalty"] if self.kind == "relu-sae" else []
            found |= {name: getattr(self.training, name) for name in used}
        return found


def check_kind(kind: str, latents: int | None, k: int | None, seed: int) -> None:
    """Raises `UsageError` where a kind is unknown, or is not fitted to such numbers."""
    kinds = get_args(Kind)
    if kind not in kinds:
        near = say_near(kind, kinds)
        raise UsageError(f"there is no kind {kind!r} of directions{near}; kinds: {', '.join(kinds)}")
    check_seed(seed)
    if kind == "probe":
        if latents is not None:
            raise UsageError("a probe has a latent a concept; name them with --concepts instead of --latents")
    elif latents is None:
        raise UsageError(f"{kind} wants a number of latents, such as --latents 64")
    elif latents < 1:
        raise UsageError(f"latents is {latents}; it must be 1 or more")
    if kind not in OF_K:
        if k is not None:
            raise UsageError(f"{kind} has no k, which is of {', '.join(OF_K)}; leave it out")
    elif k is None:
        raise UsageError(f"{kind} wants k, how many latents fire in a cell, such as --k 16")
    elif latents is not None and not 1 <= k <= latents:
        raise UsageError(f"k is {k}; of {latents} latents 1 to {latents} can fire in a cell")


def check_size(asked: Asked, layer: str, units: int, cells: int) -> None:
    """Raises `UsageError` where a layer, or so many of its cells, cannot have so many components."""
    if asked.kind not in COMPONENTS:
        return
    most = min(units, cells)
    if asked.latents > most:
        why = f"{units} units" if units <= cells else f"{cells} cells"
        raise UsageError(f"latents is {asked.latents}; {layer} has {why}, so {asked.kind} has at most {most}")


def choose_cells(kind: Kind, wanted: int | None, images: int, places: int) -> int:
    """How many cells of every image are taken, of so many places.

    Raises `UsageError` for fewer than one.

    >>> choose_cells("ica", None, 4000, 196), choose_cells("topk-sae", None, 4000, 196)
    (50, 196)
    """
    most = wanted or MOST.get(kind) or images * places
    if most < images:
        raise UsageError(
            f"{most} cells of {images} images are not one an image; give --cells {images} or more, or fewer "
            "images: SOURCE,limit=N"
        )
    return min(places, most // images)


def check_concepts(kind: str, concepts: Sequence[str], source: ConceptSource) -> None:
    """Raises `UsageError` where concepts are named without a probe, or a source has none for one."""
    vocabulary: Vocabulary = source.vocabulary
    if kind != "probe" and concepts:
        raise UsageError(f"concepts are what a probe is fitted to; {kind} has none, leave --concepts out")
    if kind == "probe" and not len(vocabulary):
        raise UsageError("the images have no concepts to probe for; give labelled ones, such as broden:DIR")
