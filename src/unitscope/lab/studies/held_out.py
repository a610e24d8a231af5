"""The best unit of every concept, chosen on one half of the images and measured on the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import Convention
from unitscope.dissection.counts import SURE
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import LayerDissection
from unitscope.errors import UsageError
from unitscope.lab.studies.direction_bases import Basis, Size, Subject

OWN, SHUFFLED = "own", "shuffled"
"""Whose labels pictures have: their own, or those of others, the control."""
CUTOFFS = (0.04, 0.10)
"""Unique concepts are counted above these IoUs."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What the units of a basis are of the concepts that occur in both halves of the images.

    `named` are IoUs on the half that units are named on, `measured` on the other, at the thresholds of the
    first. `q` are q-values on the first, NaN where they were not taken.
    """

    named: Float64[np.ndarray, "unit concept"]
    measured: Float64[np.ndarray, "unit concept"]
    q: Float64[np.ndarray, "unit"]

    @property
    def best(self) -> Int64[np.ndarray, "concept"]:
        """The unit with the highest IoU of each concept on the first half, the lowest of several."""
        return np.asarray(self.named.argmax(0))

    @property
    def best_measured(self) -> Float64[np.ndarray, "concept"]:
        """What these units have on the other half."""
        return np.asarray(self.measured[self.best, np.arange(self.named.shape[1])])

    @property
    def names(self) -> Int64[np.ndarray, "unit"]:
        """The concept of each unit on the first half, -1 where it meets none."""
        return np.where(self.named.max(1) > 0, self.named.argmax(1), -1)

    @property
    def kept(self) -> Float64[np.ndarray, "unit"]:
        """The IoU on the other half of each unit with the name it got on the first; 0 without a name."""
        rows = np.arange(len(self.named))
        return np.where(self.names >= 0, self.measured[rows, self.names], 0.0)

    def count_unique(self, chosen: Bool[np.ndarray, "unit"]) -> int:
        """How many different names some units have."""
        return len(set(self.names[chosen & (self.names >= 0)].tolist()))


@dataclass(frozen=True)
class HeldOut:
    """A basis in numbers, under one threshold, with its `own` labels or `shuffled` ones.

    - `best`: the mean over concepts of the IoU, on the second half, of the unit that was best on the first;
    - `mean`: the mean over units of the IoU on the second half with the name of the first;
    - `unique_04`, `unique_10`: different names of units whose IoU on the second half is above .04 and .10;
    - `sure`: the share of units with q < .05 on the first half, `unique_sure` their different names; NaN and
      0 where q was not taken;
    - `dead`: units that are active nowhere on the first half.
    """

    subject: str
    seed: int
    kind: str
    size: Size
    units: int
    quantile: float
    sparse: str
    labels: str
    best: float
    mean: float
    unique_04: int
    unique_10: int
    sure: float
    unique_sure: int
    dead: int


@dataclass(frozen=True)
class BestUnit:
    """The unit of a basis that is best of a concept on the first half: its IoU there, and on the second."""

    subject: str
    seed: int
    kind: str
    size: Size
    category: str
    concept: str
    concept_id: int
    spec: str
    unit: int
    named: float
    measured: float


@dataclass(frozen=True, eq=False)
class Halves:
    """Images that units are named on, and others that they are measured on; `labels` says whose they have."""

    naming: ConceptSource
    measuring: ConceptSource
    labels: str = OWN


def measure_bases(
    subject: Subject,
    seed: int,
    bases: Sequence[Basis],
    halves: Halves,
    rules: Convention,
    confidences: Confidences,
) -> tuple[list[HeldOut], list[BestUnit]]:
    """All bases of a layer, named in one pass over one half and measured in another over the other half.

    Raises what `dissect` raises.
    """
    network, layer = subject.network, subject.layer
    addresses = list(dict.fromkeys(one for basis in bases for one in basis.list_addresses(layer)))
    # One top image is enough: none is looked at.
    first = dissect(
        network,
        halves.naming,
        addresses,
        convention=rules,
        confidences=confidences,
        ranks=1,
    )
    given = {address: first[address].thresholds for address in addresses}
    second = dissect(
        network,
        halves.measuring,
        addresses,
        convention=rules,
        confidences=Confidences(0, 1),
        thresholds=given,
        ranks=1,
    )
    found, units = list[HeldOut](), list[BestUnit]()
    for basis in bases:
        pairs = [(first[one], second[one]) for one in basis.list_addresses(layer)]
        concepts = find_concepts_in(pairs)
        scores = join_scores(pairs, concepts)
        about = (subject.name, seed, basis.kind, basis.size)
        dead = sum(int((one.active == 0).sum()) for one, _ in pairs)
        found.append(describe_scores(scores, about, rules, halves.labels, dead))
        units += list_best(scores, about, basis, pairs, concepts)
    return found, units


def find_concepts_in(
    pairs: Sequence[tuple[LayerDissection, LayerDissection]],
) -> Int64[np.ndarray, "concept"]:
    """The ids of the concepts that have pixels in both halves. Raises `UsageError` where none has."""
    first, second = pairs[0]
    found = np.flatnonzero((first.concept_pixels > 0) & (second.concept_pixels > 0))
    if not len(found):
        raise UsageError("no concept is in both halves of the images; give more of them")
    return found


def join_scores(
    pairs: Sequence[tuple[LayerDissection, LayerDissection]], concepts: Int64[np.ndarray, "concept"]
) -> Scores:
    """The scores of all units of some layers, dissected over both halves, one layer after the other."""
    named, measured = (np.concatenate([pair[half].iou[:, concepts] for pair in pairs]) for half in (0, 1))
    sure = [pair[0].confidence for pair in pairs]
    q = [
        np.full(len(pair[0]), np.nan) if one is None else one.q_value
        for pair, one in zip(pairs, sure, strict=True)
    ]
    return Scores(named, measured, np.concatenate(q))


def describe_scores(
    scores: Scores, about: tuple[str, int, str, Size], rules: Convention, labels: str, dead: int
) -> HeldOut:
    """The scores of a basis in numbers."""
    subject, seed, kind, size = about
    few, many = (scores.count_unique(scores.kept > cutoff) for cutoff in CUTOFFS)
    sure = scores.q < SURE
    known = not np.isnan(scores.q).any()
    return HeldOut(
        *(subject, seed, kind, size, len(scores.named)),
        *(rules.quantile, rules.sparse_threshold, labels),
        best=float(scores.best_measured.mean()),
        mean=float(scores.kept.mean()),
        unique_04=few,
        unique_10=many,
        sure=float(sure.mean()) if known else float("nan"),
        unique_sure=scores.count_unique(sure) if known else 0,
        dead=dead,
    )


def list_best(
    scores: Scores,
    about: tuple[str, int, str, Size],
    basis: Basis,
    pairs: Sequence[tuple[LayerDissection, LayerDissection]],
    concepts: Int64[np.ndarray, "concept"],
) -> list[BestUnit]:
    """The best unit of every concept: in which directions, and its number there."""
    ends = np.cumsum([len(one) for one, _ in pairs])
    words = pairs[0][0].vocabulary
    rows = []
    for place, unit in enumerate(scores.best.tolist()):
        holder = int(np.searchsorted(ends, unit, side="right"))
        start = int(ends[holder]) - len(pairs[holder][0])
        concept = words[int(concepts[place])]
        rows.append(
            BestUnit(
                *about,
                category=concept.category,
                concept=concept.label,
                concept_id=concept.id,
                spec=basis.specs[holder],
                unit=unit - start,
                named=float(scores.named[unit, place]),
                measured=float(scores.measured[unit, place]),
            )
        )
    return rows
