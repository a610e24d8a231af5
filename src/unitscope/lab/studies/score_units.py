"""Units whose name is known, named by every score: planted ones, and the classes of a classifier."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.activations import read_activations
from unitscope.lab.studies.direction_removal import open_scene
from unitscope.lab.studies.planting import Degradation, Maps, Truth, plant, plant_nothing
from unitscope.networks.network import Network
from unitscope.statistics.formulas import JOINS, Formula
from unitscope.statistics.grids import make_grid
from unitscope.statistics.label_scores import NEURON_EVAL, find_active, label_scores
from unitscope.statistics.mask_scores import score_active

TOP = 0.05
"""The share of inputs where a unit is taken for active."""
TOPS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""The shares that are tried, for scores that depend on it."""
COLUMNS = (
    *((score, TOP) for score in NEURON_EVAL),
    *((score, top) for top in TOPS if top != TOP for score in score_active(1, 1, 1, 2)),
)
"""Every score with the share of inputs that is active for it, in the order of `score_all`."""

NOTHING, SHUFFLED = "random", "shuffled labels"
KINDS = (
    Degradation("noise", 0.0),
    Degradation("noise", 0.25),
    Degradation("noise", 0.5),
    Degradation("noise", 1.0),
    Degradation("resolution", 4.0),
    Degradation("coverage", 0.25),
    Degradation("mixture", 0.2),
    Degradation("mixture", 0.4),
    Degradation("formula", 0.0),
    Degradation("formula", 0.5),
    Degradation(SHUFFLED, 0.0),
    Degradation(NOTHING, 0.0),
)
"""How units are planted: as `planting` has it; for a formula with so much noise; and the two controls."""

FORMULAS = 16
"""So many formulas of each operator are planted."""


@dataclass(frozen=True, eq=False)
class Case:
    """Units with their names known: `right[unit]` is a row of `presence`; `keys` tells units apart."""

    response: Float64[np.ndarray, "unit input"]
    presence: Bool[np.ndarray, "concept input"]
    right: Int64[np.ndarray, "unit"]
    keys: Int64[np.ndarray, "unit"]


@dataclass(frozen=True, eq=False)
class Naming:
    """How every score named the units of a case; columns are those of `COLUMNS`.

    `right` says whether a unit got its own name, `favorite` which share got the one that is given most,
    `average_precision` is that of all pairs of units and concepts, each unit's own being the positive ones.
    `sizes` are the shares of inputs with the right concepts.
    """

    right: Bool[np.ndarray, "column unit"]
    favorite: Float64[np.ndarray, "column"]
    average_precision: Float64[np.ndarray, "column"]
    sizes: Float64[np.ndarray, "unit"]
    keys: Int64[np.ndarray, "unit"]


def plant_units(
    truth: Truth, how: Degradation, seed: int, formulas: int = FORMULAS
) -> tuple[Maps, Truth, Int64[np.ndarray, "unit"]]:
    """Maps of units planted in one way, the concepts that they may be called by, and which is right."""
    right = np.arange(len(truth.ids))
    if how.kind == NOTHING:
        return plant_nothing(truth.cover.shape[1], len(right), seed + 1000), truth, right
    if how.kind == SHUFFLED:
        order = np.random.default_rng(seed).permutation(truth.cover.shape[1])
        maps = plant(truth, Degradation("noise", 0.0), seed)
        return maps, Truth(truth.ids, truth.cover[:, order]), right
    if how.kind != "formula":
        return plant(truth, how, seed), truth, right
    made = cover_formulas(truth, draw_formulas(truth, seed, formulas))
    maps = plant(made, Degradation("noise", how.strength), seed)
    both = Truth(np.concatenate([truth.ids, made.ids]), np.concatenate([truth.cover, made.cover]))
    return maps, both, np.arange(len(made.ids)) + len(truth.ids)


def lay_case(truth: Truth, how: Degradation, seed: int, at: str, formulas: int = FORMULAS) -> Case:
    """Units planted in one way, at cells, pixels or images."""
    maps, concepts, right = plant_units(truth, how, seed, formulas)
    return Case(*lay_out(maps, concepts, at), right, concepts.ids[right])


def draw_formulas(truth: Truth, seed: int, count: int = FORMULAS) -> list[Formula]:
    """Formulas of two concepts by lot, so many of each operator, whose parts all matter.

    Each part changes at least a fifth of the formula: of a OR b neither covers less than a fifth of both;
    b takes between a fifth and four fifths of a away, by AND as by AND NOT.
    """
    rng = np.random.default_rng(seed + 7)
    solid = (truth.cover >= 0.5).reshape(len(truth.ids), -1)
    area = solid.sum(1).astype(np.float64)
    shared = solid.astype(np.float32) @ solid.astype(np.float32).T
    pairs = np.array(list(permutations(range(len(truth.ids)), 2)))
    pairs = pairs[(area[pairs] > 0).all(1)]
    a, b = pairs.T
    union = area[a] + area[b] - shared[a, b]
    fitting = {
        "OR": (shared[a, b] < 0.1 * np.minimum(area[a], area[b]))
        & (np.minimum(area[a], area[b]) > 0.2 * union)
        & (a < b),
        "AND": (shared[a, b] > 0.2 * area[a]) & (shared[a, b] < 0.8 * np.minimum(area[a], area[b])),
        "AND NOT": (shared[a, b] > 0.2 * area[a]) & (shared[a, b] < 0.8 * area[a]),
    }
    found = []
    for join in JOINS:
        some = pairs[fitting[join]]
        some = some[(some[:, 0] < some[:, 1])] if join == "AND" else some
        drawn = rng.permutation(some)[:count].tolist()
        found += [Formula(tuple(one), (join,), 0, 0) for one in drawn]
    return found


def cover_formulas(truth: Truth, formulas: Sequence[Formula]) -> Truth:
    """Where formulas hold: in cells that their concepts cover by half or more."""
    has = (truth.cover >= 0.5).reshape(len(truth.ids), -1).T
    cover = np.stack([one.holds(has) for one in formulas]).astype(np.float32)
    return Truth(np.arange(len(formulas)) + 100_000, cover.reshape(-1, *truth.cover.shape[1:]))


def lay_out(maps: Maps, truth: Truth, at: str) -> tuple[np.ndarray, np.ndarray]:
    """Responses and presences at cells, pixels (32 x 32, the map brought to them) or images.

    A cell has a concept that covers half of it or more; an image one that is anywhere in it. The response of
    an image is the mean of the map.
    """
    images, units, side = maps.shape[0], maps.shape[1], maps.shape[2]
    if at == "images":
        return maps.mean((2, 3), dtype=np.float64).T, np.asarray((truth.cover >= 0.5).any((2, 3)))
    if at == "pixels":
        grid = make_grid((side, side), (32, 32), "half-pixel")
        maps = grid.upsample(grid.surround(torch.from_numpy(np.ascontiguousarray(maps)))).numpy()
        side = 32
    step = 32 // side
    cover = truth.cover.reshape(len(truth.ids), images, side, step, side, step).mean((3, 5))
    response = maps.transpose(1, 0, 2, 3).reshape(units, -1).astype(np.float64)
    return response, (cover >= 0.5).reshape(len(truth.ids), -1)


def score_all(case: Case) -> Iterator[tuple[str, float, Float64[np.ndarray, "unit concept"]]]:
    """Every score of every unit with every concept; those that depend on the share of active inputs for all
    shares."""
    for score, values in label_scores(case.response, case.presence, TOP).items():
        yield score, TOP, values
    there = case.presence.astype(np.float32)
    areas, inputs = case.presence.sum(1)[None], case.presence.shape[1]
    for top in TOPS:
        if top != TOP:
            active = find_active(case.response, top)
            both = (active.astype(np.float32) @ there.T).round()
            for score, values in score_active(both, active.sum(1)[:, None], areas, inputs).items():
                yield score, top, np.asarray(values)


def name_case(case: Case) -> Naming:
    """Every unit of a case, named by every score: by the first concept that has the most."""
    from sklearn.metrics import average_precision_score

    units = np.arange(len(case.right))
    truth = np.zeros((len(units), len(case.presence)), bool)
    truth[units, case.right] = True
    right, favorite, precision = [], [], []
    for column, (score, top, values) in zip(COLUMNS, score_all(case), strict=True):
        assert column == (score, top)
        least = np.nanmin(values) - 1 if np.isfinite(values).any() else 0.0
        ranked = np.where(np.isnan(values), least, values)
        chosen = ranked.argmax(1)
        right.append(chosen == case.right)
        favorite.append(np.bincount(chosen).max() / len(units))
        precision.append(average_precision_score(truth.ravel(), ranked.ravel()))
    sizes = case.presence.mean(1)[case.right]
    return Naming(np.array(right), np.array(favorite), np.array(precision), sizes, case.keys)


def read_outputs(network: Network, layer: str, source: ConceptSource, *, least: int = 8) -> Case:
    """The output units of a classifier as a case, over images: its classes and all else that they show.

    Concepts are those that `least` images have. Responses are the logits.
    """
    scene = open_scene(network, source)
    response = read_activations(network, source, [layer]).arrays()[layer][:, :, 0, 0].T.astype(np.float64)
    kept = np.flatnonzero(scene.present.sum(0) >= least)
    rows = {int(concept): row for row, concept in enumerate(kept)}
    known = sorted((place, concept) for concept, place in scene.classes.items() if concept in rows)
    units = [place for place, _ in known]
    right = np.array([rows[concept] for _, concept in known])
    return Case(response[units], scene.present.T[kept], right, np.array([one for _, one in known]))


def cover_images(
    source: ConceptSource, side: int
) -> tuple[Int64[np.ndarray, "concept"], Bool[np.ndarray, "concept cell"]]:
    """Which of side x side cells of every image, one image after the other, a concept covers by half or more.

    The ids of the concepts that do somewhere, and their cells. The sides of the images must be divisible by
    it.
    """
    size = source.vocabulary.size
    found = np.zeros((size, len(source), side * side), bool)
    for image in range(len(source)):
        planes = source[image].planes
        step = planes.shape[1] // side
        for concept in np.unique(planes):
            here = (planes == concept).any(0)
            share = here.reshape(side, step, side, -1).mean((1, 3))
            found[concept, image] = (share >= 0.5).reshape(-1)
    found[0] = False
    flat = found.reshape(size, -1)
    ids = np.flatnonzero(flat.any(1))
    return ids, flat[ids]
