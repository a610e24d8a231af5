"""Names tested by pictures of what they name against control pictures, as CoSy does.

Kopf et al., NeurIPS 2024: a diffusion model paints the name, the unit answers, and its answers are held
against those to other pictures. Here drawn scenes that show the concept large stand in for the diffusion
model, and the zoo's generator or other drawn scenes for the controls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.activations import read_activations
from unitscope.interventions.classes import match_classes
from unitscope.networks.network import Network
from unitscope.statistics.label_scores import rank_middle

GENERATED, OTHERS = "generated", "other scenes"
"""Control pictures: those of the zoo's generator, or drawn scenes without the concept."""


@dataclass(frozen=True)
class PictureTest:
    """How units with their own names, and with others', answer to pictures of them.

    `auroc` is the chance that a picture of the name excites the unit more than a control, `difference` the
    difference of mean responses in standard deviations of the controls'; both means over units, with their
    own names and (`swapped`) with those of other units. `right` is the share of units whose own name has the
    largest of all concepts' `auroc`.
    """

    seed: int
    units: str
    controls: str
    count: int
    auroc: float
    swapped_auroc: float
    difference: float
    swapped_difference: float
    right: float


def measure_shares(source: ConceptSource) -> Float64[np.ndarray, "concept image"]:
    """How much of every image each concept covers; 1 for labels of the whole image."""
    found = np.zeros((source.vocabulary.size, len(source)))
    for image in range(len(source)):
        example = source[image]
        for plane in example.planes:
            ids, counts = np.unique(plane, return_counts=True)
            found[ids, image] += counts / plane.size
        found[list(example.ids), image] = 1
    found[0] = 0
    return found


def compare_pictures(
    shown: Float64[np.ndarray, "unit picture"], controls: Float64[np.ndarray, "unit control"]
) -> tuple[Float64[np.ndarray, "unit"], Float64[np.ndarray, "unit"]]:
    """AUROC of every unit between pictures and controls, and the difference of means in control deviations.

    >>> [one.tolist() for one in compare_pictures(np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]]))]
    [[1.0], [2.5]]
    """
    both = np.concatenate([shown, controls], 1)
    count, others = shown.shape[1], controls.shape[1]
    ranks = rank_middle(both)[:, :count].sum(1)
    auroc = (ranks - count * (count - 1) / 2) / (count * others)
    spread = controls.std(1)
    apart = shown.mean(1) - controls.mean(1)
    return auroc, np.where(spread > 0, apart / np.where(spread > 0, spread, 1), 0.0)


def score_by_pictures(
    response: Float64[np.ndarray, "unit image"],
    shares: Float64[np.ndarray, "concept image"],
    generated: Float64[np.ndarray, "unit control"] | None,
    pictures: int,
) -> tuple[Float64[np.ndarray, "unit concept"], Float64[np.ndarray, "unit concept"]]:
    """AUROC and difference of every unit for every concept: its `pictures` largest against the controls.

    Without `generated` ones the controls are all images without the concept.
    """
    auroc, apart = (np.full((len(response), len(shares)), np.nan) for _ in range(2))
    for concept, share in enumerate(shares):
        largest = np.argsort(-share, kind="stable")[:pictures]
        largest = largest[share[largest] > 0]
        controls = response[:, share == 0] if generated is None else generated
        if len(largest) and controls.shape[1]:
            auroc[:, concept], apart[:, concept] = compare_pictures(response[:, largest], controls)
    return auroc, apart


def run_pictures(
    seed: int,
    network: Network,
    layer: str,
    names: Int64[np.ndarray, "unit"],
    source: ConceptSource,
    controls: ConceptSource,
    pictures: int,
) -> list[PictureTest]:
    """The output units of a classifier with their classes, and a layer's units with the concepts named.

    Concepts are those that so many images have as there are pictures; units with other names are left out.
    """
    shares = measure_shares(source)
    kept = np.flatnonzero((shares > 0).sum(1) >= pictures)
    rows = {int(one): row for row, one in enumerate(kept)}
    classes = match_classes(network, source.vocabulary)
    cases = {
        ("output units", "head"): [(unit, rows[one]) for one, unit in classes.items() if one in rows],
        (f"units of {layer}", layer): [
            (unit, rows[one]) for unit, one in enumerate(names.tolist()) if one in rows
        ],
    }
    shown, others = (
        read_activations(network, images, ["head", layer]).arrays() for images in (source, controls)
    )
    found = []
    for (title, place), pairs in cases.items():
        units, right = np.array(pairs, np.int64).reshape(-1, 2).T
        response, made = (one[place].mean((2, 3), dtype=np.float64).T[units] for one in (shown, others))
        for name, control in ((GENERATED, made), (OTHERS, None)):
            figures = score_by_pictures(response, shares[kept], control, pictures)
            found.append(_judge((seed, title, name), *figures, right))
    return found


def _judge(
    about: tuple[int, str, str],
    auroc: Float64[np.ndarray, "unit concept"],
    apart: Float64[np.ndarray, "unit concept"],
    right: Int64[np.ndarray, "unit"],
) -> PictureTest:
    """The test of units with their own names, and with the next unit's."""
    units = np.arange(len(right))
    swapped = np.roll(right, 1)
    ranked = np.where(np.isnan(auroc), -1, auroc)
    return PictureTest(
        *about,
        count=len(right),
        auroc=float(np.nanmean(auroc[units, right])),
        swapped_auroc=float(np.nanmean(auroc[units, swapped])),
        difference=float(np.nanmean(apart[units, right])),
        swapped_difference=float(np.nanmean(apart[units, swapped])),
        right=float((ranked.argmax(1) == right).mean()),
    )


def average_tests(tests: Sequence[PictureTest]) -> Mapping[tuple[str, str], dict[str, list[float]]]:
    """By units and controls, every figure by seed."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for one in tests:
        row = found.setdefault((one.units, one.controls), {})
        for name in ("auroc", "swapped_auroc", "difference", "swapped_difference", "right"):
            row.setdefault(name, []).append(getattr(one, name))
    return found
