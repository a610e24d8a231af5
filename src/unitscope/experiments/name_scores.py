"""Scores of names that any tool gave to units, on labeled images: one pass of the network, exact counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from unitscope.concepts.derived import source_digest, source_spec
from unitscope.concepts.vocabulary import ConceptSource, Vocabulary
from unitscope.dissection.arguments import Fit, check_asked, check_concepts, check_least
from unitscope.dissection.cell_measures import check_grids
from unitscope.dissection.conventions import Convention
from unitscope.dissection.dissect import settle_convention
from unitscope.dissection.formula_text import ConceptFormula
from unitscope.dissection.planning import plan_scan
from unitscope.dissection.significance import p_values, q_values_of
from unitscope.errors import UsageError, check_seed
from unitscope.experiments.name_inputs import Asked, At, NameInputs, Pool, check_memory, pair_up, read_inputs
from unitscope.experiments.name_lists import NameList, UnitName, parse_names, read_names
from unitscope.experiments.name_scores_result import NameScore, NameScores, Score
from unitscope.networks.borrowing import placed
from unitscope.networks.generators import check_source, pair_generator
from unitscope.networks.network import Network
from unitscope.networks.verdicts import check_places
from unitscope.progress import follow_each
from unitscope.statistics.intervals import take_middle
from unitscope.statistics.label_scores import find_least
from unitscope.statistics.pair_scores import SCORES, PairScores, draw_pairs, score_others, score_pair
from unitscope.statistics.scan import Machine, ScanPlan

Null = Literal["images", "units"]
"""What a p-value is taken against."""

NULLS: dict[Null, str] = {
    "images": "the presence of other images",
    "units": "other named units of the layer with the name",
}

Scored = tuple[UnitName, ConceptFormula, PairScores | None]

_FEW = 40


def score_names(
    names: object,
    network: Network,
    layers: str | Sequence[str] | None,
    source: ConceptSource,
    *,
    at: At = "pixels",
    top_fraction: int | float = 0.05,
    pool: Pool = "mean",
    convention: str | Convention = "netdissect",
    null: Null = "images",
    draws: int = 200,
    replicates: int = 200,
    seed: int = 0,
    skip_unknown: bool = False,
    size: int | tuple[int, int] | None = None,
    fit: Fit = "stretch",
    machine: Machine = Machine(),  # noqa: B008 - frozen
    trust_layout: bool = False,
) -> NameScores:
    """How good the names are that a tool gave to units, by every score in use, on labeled images.

    The images should not be those that the names were made from. The network runs once over all of them; what
    it gives for the named units is kept, and every score is exact. `label_scores` defines them, and
    `score_pair` the `simulation` score.

    - `names`: the folder of a run, or a `Dissection`; a CSV file with columns `layer`, `unit`, and `concept`,
      `formula` or `word`; CLIP-Dissect's `descriptions.csv`; NetDissect's `tally.csv`; or a list of rows. A
      name is one of the source's concepts, or a formula over them (`parse_formula`).
    - `layers`: those to be scored, by default all that the names have. Where they have none, the one that
      they belong to.
    - `at`: inputs are pixels of the mask, to which maps are brought as `convention` does; cells of the map,
      which have a name that holds on half of their pixels or more; or images, which have one that holds on a
      pixel. The response of an image is the `pool`, mean or max, of the map.
    - `top_fraction`: the share of inputs where a unit is taken for active.
    - `convention`: upsampling, size of the mask, and which images count for a name: those with any label of
      the name's category (of all of its categories), or all.
    - `null`: a p-value is the chance of so high a score with the presence of other images, which asks whether
      there is anything to the name; or, with "units", the share of other named units of the layer that the
      name fits as well, which asks whether it is this unit's.
    - `draws`, `replicates`: how many null draws or other units a p-value takes, and how often images are
      redrawn for an interval of 95 %, by `seed`. A score that is not defined has neither.
    - `skip_unknown`: leaves out names that are none of the source's concepts, which are refused otherwise.
    - `size`, `fit`, `machine` and `trust_layout` are those of `dissect`.

    Raises `UsageError` before work for names, layers and units that there are not, other words and numbers,
    and where responses take more than `machine.memory`; `RunError` for a file that cannot be read; and what
    `dissect` raises.

    >>> from unitscope import Concept, Example, Vocabulary
    >>> class Pictures(list):  # white on the right, which is labeled
    ...     vocabulary = Vocabulary((Concept(1, "white", "color"),))
    >>> pixels = np.zeros((16, 16, 3), np.uint8)
    >>> pixels[:, 8:] = 255
    >>> planes = np.uint16(pixels[None, :, :, 0] > 0)
    >>> source = Pictures(Example(f"picture {number}", pixels, planes) for number in range(4))
    >>> from torch import nn
    >>> network = Network(nn.Sequential(nn.AvgPool2d(4)))  # unit 0 is the red channel
    >>> names = [{"unit": 0, "concept": "white"}]
    >>> found = score_names(names, network, "0", source, at="cells", top_fraction=0.5)
    >>> found.names[0].scores["iou"].value, round(found.names[0].scores["pearson"].value, 6)
    (1.0, 1.0)
    """
    check_words(at, pool, null)
    check_seed(seed)
    check_least(0, draws=draws)
    check_least(1, replicates=replicates)
    find_least(1, top_fraction)
    listed = read_names(names)
    asked_layers = (layers,) if isinstance(layers, str) else layers
    chosen, apart = _choose_layers(listed, asked_layers)
    check_source(network, source)
    check_concepts(source)
    kept = check_asked(network, source, tuple(dict.fromkeys(str(one.layer) for one in chosen)), fit)
    rules = replace(settle_convention(convention), doubles="once")
    if rules.union == "touched":
        raise UsageError(f"the union of {rules.name} depends on each mask; choose another convention: pnas")
    asked, unknown = parse_names(chosen, source.vocabulary, skip_unknown)
    with placed(network, machine.device):
        plan, _, places = plan_scan(network, source, kept, rules, {}, size, fit)
        check_places(network.name, places, trust_layout)
        if at == "cells":
            check_grids(plan)
        _check_units(asked, plan)
        check_memory(asked, plan, at, len(source), machine.memory)
        reader, _ = pair_generator(network, source)
        read = read_inputs(reader, source, plan, rules, machine, asked, at, pool)
    spent = _Spent(float(top_fraction), null, draws, replicates, seed)
    found = _score_each(read, asked, plan, at, spent)
    about = {
        "images": f"{len(source)} of {source_spec(source)}",
        "inputs": at if at != "images" else f"images, the {pool} of the map",
        "active": f"the largest {100 * top_fraction:g} % of a unit's responses",
        "interval": f"95 %, of {replicates} bootstrap replicates of the images",
        "null": f"{NULLS[null]}, up to {draws} of them; seed {seed}",
    }
    notes = [*_note(listed, source, apart, unknown, found)]
    if listed.network is not None and listed.network != network.digest:
        notes.insert(0, "the names are those of another network, or of other weights than these")
    return NameScores(_judge(found, source.vocabulary, null), about, tuple(notes))


@dataclass(frozen=True)
class _Spent:
    """What a score is taken at, and what is drawn for it."""

    top_fraction: float
    null: Null
    draws: int
    replicates: int
    seed: int


def _score_each(
    read: NameInputs, asked: Sequence[Asked], plan: ScanPlan, at: At, spent: _Spent
) -> list[Scored]:
    """Every name with its scores; None for one that no image has labels for."""
    found = list[Scored]()
    for one, formula in follow_each(asked, "scoring names", "names", len(asked)):
        pair = pair_up(read, one, formula, plan, at, spent.top_fraction)
        scores = None
        if pair is not None:
            count = spent.draws if spent.null == "images" else 0
            drawn = draw_pairs(len(pair.response), spent.seed, count, spent.replicates)
            scores = score_pair(pair, drawn)
        if scores is not None and spent.null == "units":
            others = _draw_others(asked, one, spent.draws, spent.seed)
            pairs = (pair_up(read, other, formula, plan, at, spent.top_fraction) for other in others)
            scores = replace(scores, null=score_others(pair for pair in pairs if pair is not None))
        found.append((one, formula, scores))
    return found


def check_words(at: str, pool: str, null: str) -> None:
    """Raises `UsageError` for words that are none."""
    for name, value, kinds in (("at", at, At), ("pool", pool, Pool), ("null", null, Null)):
        if value not in get_args(kinds):
            raise UsageError(f"{name} is {value!r}; it is one of {', '.join(get_args(kinds))}")


def _choose_layers(listed: NameList, layers: Sequence[str] | None) -> tuple[list[UnitName], int]:
    """The names of the layers that are asked for, each with its layer; and how many other layers have."""
    told = list(dict.fromkeys(one.layer for one in listed.names if one.layer is not None))
    silent = next((one for one in listed.names if one.layer is None), None)
    wanted = list(dict.fromkeys(told if layers is None else layers))
    if silent is not None and len(wanted) != 1:
        raise UsageError(f"{silent.where}: the names do not say which layer they belong to; name one layer")
    alone = wanted[0] if wanted else None
    settled = [replace(one, layer=alone) if one.layer is None else one for one in listed.names]
    chosen = [one for one in settled if one.layer in wanted]
    empty = [layer for layer in wanted if layer not in {one.layer for one in chosen}]
    if empty or not chosen:
        there = ", ".join(told[:5]) + (", ..." if told[5:] else "")
        raise UsageError(f"no name is of layer {', '.join(empty[:1]) or '?'}; the names are of {there}")
    return chosen, len(settled) - len(chosen)


def _check_units(asked: Sequence[Asked], plan: ScanPlan) -> None:
    for one, _ in asked:
        units = plan.tails[str(one.layer)].units
        if one.unit >= units:
            raise UsageError(
                f"{one.where}: layer {one.layer} has no unit {one.unit}; it has 0 to {units - 1}"
            )


def _draw_others(asked: Sequence[Asked], one: UnitName, draws: int, seed: int) -> list[UnitName]:
    """Other named units of the layer, at most so many, by lot."""
    units = sorted({other.unit for other, _ in asked if other.layer == one.layer} - {one.unit})
    taken = np.random.default_rng(seed).permutation(len(units))[:draws]
    return [replace(one, unit=units[place]) for place in sorted(taken.tolist())]


def _judge(found: Sequence[Scored], words: Vocabulary, null: Null) -> tuple[NameScore, ...]:
    """The names with their scores, each with its interval and its p-value; q-values over all names."""
    nothing = float("nan")
    p = {name: np.array([_find_p(scores, name, null) for _, _, scores in found]) for name in SCORES}
    q = {name: q_values_of(np.nan_to_num(row, nan=1.0), ~np.isnan(row)) for name, row in p.items()}
    names = []
    for place, (one, formula, scores) in enumerate(found):
        judged = {}
        for name in SCORES:
            value = nothing if scores is None else scores.values[name]
            drawn = np.zeros(0) if scores is None or np.isnan(value) else scores.replicates[name]
            middle, chance = take_middle(drawn, value), float(p[name][place])
            rate = nothing if np.isnan(chance) else float(q[name][place])
            judged[name] = Score(*middle.ends, chance, rate)
        counts = (0, 0) if scores is None else (scores.inputs, scores.there)
        names.append(NameScore(str(one.layer), one.unit, one.name, formula.spell(words), *counts, judged))
    return tuple(names)


def _find_p(scores: PairScores | None, name: str, kind: Null) -> float:
    """The chance of so high a score in the null; NaN where that is not known."""
    if scores is None or np.isnan(scores.values[name]) or not scores.there:
        return float("nan")
    null = scores.null[name]
    if not len(null):
        return float("nan")
    observed = scores.values[name]
    if kind == "units" or np.isnan(null).any():  # what is not defined is not as high
        return float((1 + (null >= observed).sum()) / (1 + len(null)))
    return float(p_values(np.array([observed]), null[None])[0])


def _note(
    listed: NameList,
    source: ConceptSource,
    apart: int,
    unknown: Sequence[str],
    found: Sequence[Scored],
) -> Iterator[str]:
    """What was left out, and what to mind."""
    if listed.source is not None and listed.source == source_digest(source):
        yield "the names were made from these images, so that scores flatter them; score them on others"
    if listed.unnamed:
        yield f"units without a name, left out: {listed.unnamed}"
    if apart:
        yield f"names of other layers, left out: {apart}"
    if unknown:
        yield f"names that are no concepts of the source, left out: {len(unknown)} ({_list(unknown)})"
    blank = [one.name for one, _, scores in found if scores is None]
    if blank:
        yield f"names of whose category no image has labels: {len(blank)} ({_list(blank)})"
    absent = [one.name for one, _, scores in found if scores is not None and not scores.there]
    if absent:
        yield f"names that hold in none of the images: {len(absent)} ({_list(absent)})"
    if len(source) < _FEW:
        yield f"{len(source)} images allow few null draws that differ; p-values are coarse"


def _list(names: Sequence[str]) -> str:
    once = list(dict.fromkeys(names))
    return ", ".join(once[:5]) + (", ..." if once[5:] else "")
