"""What units keep when pictures are restyled: their region, and their concept by shape or by look."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import LayerDissection
from unitscope.experiments.twins import LayerTwins, measure_twins
from unitscope.lab.world.restyling import LOOK_IDS, LOOKS
from unitscope.networks.network import Network

TRAINED, ROTATED, UNTRAINED = "trained", "rotated", "untrained"
"""A network's units; random units, the same layer in a random rotation; units of random weights."""
QUANTILE = 0.01
"""Masks are the upper hundredth of each population, as in paper B."""
NAN = float("nan")


@dataclass(frozen=True)
class TwinUnit:
    """One unit over pictures and their twins.

    `score` is paper B's agreement of its masks, `crossed` that with the twins of other pictures. `category`
    and `concept` name it by IoU (`iou`) over the pictures, empty where that is not above the cut-off. `kept`
    is the IoU with its concept over the twins, and `look` that with what looks like it there: the pixels of
    other things that wear its look; `kept_by_lot` and `look_by_lot` are their means over all units of the
    layer. They are NaN where they are not known.
    """

    subject: str
    kind: str
    seed: int
    layer: str
    unit: int
    score: float
    crossed: float
    active: float
    category: str = ""
    concept: str = ""
    iou: float = NAN
    kept: float = NAN
    look: float = NAN
    kept_by_lot: float = NAN
    look_by_lot: float = NAN


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pictures and their restyled twins: image i of `twins` shows what image i of `pictures` shows."""

    pictures: ConceptSource
    twins: ConceptSource


def measure_units(
    subject: str, network: Network, layers: Sequence[str], pairs: Pairs, seed: int, *, trained: bool
) -> list[TwinUnit]:
    """All units of some layers over pairs of pictures; of a `trained` network named, and random units too.

    Random units are those of the layer in a rotation drawn by `seed`; all are read in one pass. Raises what
    `measure_twins` and `dissect` raise.
    """
    asked = {(TRAINED if trained else UNTRAINED, layer): layer for layer in layers}
    if trained:
        asked |= {(ROTATED, layer): f"{layer}+rotation:{seed}" for layer in layers}
    addresses = list(asked.values())
    found = measure_twins(network, pairs.pictures, pairs.twins, addresses, quantile=QUANTILE, seed=seed)
    names = name_units(network, layers, pairs) if trained else {}
    rows = list[TwinUnit]()
    for (kind, layer), address in asked.items():
        nameless: list[Name] = [()] * len(found[address])
        given = names[layer] if kind == TRAINED else nameless
        rows += _list_units((subject, kind, seed, layer), found[address], given)
    return rows


Name = tuple[str, str, float, float, float, float, float] | tuple[()]
"""The last fields of a `TwinUnit`, from `category` on; nothing for a unit without a name."""


def _list_units(about: tuple[str, str, int, str], twins: LayerTwins, names: Sequence[Name]) -> list[TwinUnit]:
    active = twins.paired.first / twins.paired.cells
    figures = zip(twins.score.tolist(), twins.crossed_score.tolist(), active.tolist(), names, strict=True)
    return [TwinUnit(*about, unit, *three, *name) for unit, (*three, name) in enumerate(figures)]


def name_units(network: Network, layers: Sequence[str], pairs: Pairs) -> dict[str, list[Name]]:
    """The names of the units of every layer over the pictures, and what is left of them over the twins.

    Thresholds are those of each population, the upper hundredth of its cells.
    """
    runs = [
        dissect(
            network,
            source,
            layers,
            quantile=QUANTILE,
            confidences=Confidences(0, 1),
            ranks=1,
            label_sets=False,
        )
        for source in (pairs.pictures, pairs.twins)
    ]
    return {layer: _name_layer(*(run[layer] for run in runs)) for layer in layers}


def _name_layer(pictures: LayerDissection, twins: LayerDissection) -> list[Name]:
    words, looks = pictures.vocabulary, twins.vocabulary
    best: np.ndarray = pictures.iou.argmax(1)
    names = list[Name]()
    for unit, place in enumerate(best.tolist()):
        iou = float(pictures.iou[unit, place])
        if iou <= pictures.convention.iou_cutoff:
            names.append(())
            continue
        concept = words[place]
        known = LOOK_IDS + place in looks and looks[LOOK_IDS + place].category == LOOKS.get(concept.category)
        over = [twins.iou[:, place], twins.iou[:, LOOK_IDS + place] if known else np.full(len(best), NAN)]
        (kept, look), (kept_by_lot, look_by_lot) = (
            [float(one[unit]) for one in over],
            [float(one.mean()) for one in over],
        )
        names.append((concept.category, concept.label, iou, kept, look, kept_by_lot, look_by_lot))
    return names


def share_above(scores: Sequence[float] | Float64[np.ndarray, "unit"], cutoff: float) -> float:
    """The percentage of some units whose score is above a cut-off.

    >>> share_above([0.05, 0.2, 0.3, 0.0], 0.1)
    50.0
    """
    return 100 * float(np.mean(np.asarray(scores) > cutoff))
