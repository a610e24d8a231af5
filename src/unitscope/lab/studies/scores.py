"""Which score of a name is to be believed? What was measured as claims, tables and a recommendation."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.lab.studies.claims import Claim, judge_fact, judge_order, spread
from unitscope.lab.studies.figures.scores_figure import draw_scores
from unitscope.lab.studies.score_measures import QUICK, Extent, MaskNames, Measured, measure_scores
from unitscope.lab.studies.score_pictures import PictureTest
from unitscope.lab.studies.score_sanity import IdealChange, RealFalls
from unitscope.lab.studies.score_tables import (
    PLACES,
    PUBLISHED,
    bound_right,
    list_always,
    list_seeds,
    pick_cases,
    pick_outputs,
    share_right,
    table_classes,
    table_known,
    table_masks,
    table_pictures,
    table_right,
    table_sanity,
    table_sizes,
    table_tops,
    tune_top,
)
from unitscope.lab.studies.score_units import TOP, TOPS
from unitscope.lab.studies.study import Finding
from unitscope.statistics.label_scores import NEURON_EVAL
from unitscope.tables import Table

QUESTION = "Which score tells a right name of a unit from a wrong one, on pixels, cells and whole images?"
PAPER = "Oikarinen et al. 2025"
RULE = (
    "A score *passes* where it falls in more than 90 % of the cases by more than a thousandth of its range, "
    "with labels missing and extra, of ideal units and of real ones. *Named right* is the share of units "
    "whose own name has the largest score of all concepts. Intervals of 95 % redraw concepts."
)
CLASSES = "classes of classifiers"


def study_scores(folder: Path, seeds: int = 3, *, quick: bool = False) -> Finding:
    """Grades scores of names by spoiled labels and by units whose names are known.

    What was measured is kept in the folder, so that a study that was stopped goes on. `quick` is a first
    look. Raises `RunError` where the folder cannot be written or holds something damaged.
    """
    extent = QUICK if quick else Extent()
    measured = measure_scores(range(1 if quick else seeds), extent, folder / "measured")
    return judge_scores(measured, quick=quick)


def claim_scores(measured: Measured) -> tuple[Claim, ...]:
    """What is claimed of scores, and what was measured."""
    seeds, always = list_seeds(measured), list_always(measured)
    held = all(score in always for score in PUBLISHED)
    others = [score for score in always if score not in PUBLISHED]
    first = Claim(
        f"{PAPER}, section 4",
        f"{', '.join(PUBLISHED)} pass both tests",
        f"pass with every seed: {', '.join(always) or 'none'}",
        judge_fact(held, len(seeds)),
    )
    second = Claim(
        f"{PAPER}, section 4",
        "no other score passes",
        f"others that pass: {', '.join(others) or 'none'}",
        judge_fact(not others, len(seeds)),
    )
    return (first, second, *(_claim_right(measured, group) for group in (*PLACES, CLASSES)))


def _claim_right(measured: Measured, group: str) -> Claim:
    """Pearson's correlation against IoU at the share of active inputs that suits IoU best."""
    known, seeds = measured.known, list_seeds(measured)
    pick = partial(pick_outputs, known) if group == CLASSES else partial(pick_cases, known, group)
    best = max(TOPS, key=lambda top: share_right(pick(), ("iou", top)))
    high, low = (
        [100 * share_right(pick(seed), column) for seed in seeds]
        for column in (("pearson", TOP), ("iou", best))
    )
    return Claim(
        group if group == CLASSES else f"planted units, {group}",
        "not in a paper: the Pearson correlation names more units right than IoU, at the share of active "
        "inputs that suits IoU best",
        f"{spread(high)} and {spread(low)} % (at {100 * best:g} %)",
        judge_order(high, low),
    )


def recommend(measured: Measured) -> str:
    """The score that passes both tests and names most units right, with its figures."""
    always = list_always(measured) or list(NEURON_EVAL)
    groups = {at: pick_cases(measured.known, at) for at in ("cells", "pixels")}
    groups[CLASSES] = pick_outputs(measured.known)

    def average(score: str) -> float:
        return float(np.mean([share_right(some, (score, TOP)) for some in groups.values()]))

    best = max(always, key=average)
    said = [
        f"{bound_right(some, (best, TOP)).spell('.0f', 100.0)} % of "
        f"{f'the {at}' if at == CLASSES else f'planted units at {at}'}"
        for at, some in groups.items()
    ]
    tuned = {at: tune_top(some, "iou") for at, some in groups.items() if at != CLASSES}
    beside = " and ".join(
        f"{100 * right:.0f} % at {at} (at {100 * top:g} %)" for at, (top, right) in tuned.items()
    )
    return (
        f"**Recommended: `{best}`.** Of the scores that pass both tests it names most units right: "
        f"{', '.join(said)}. IoU names {beside} of the planted units right, with the share of active inputs "
        "chosen on a fifth of the concepts and measured on the others."
    )


def spell_scores(measured: Measured) -> str:
    """The numbers as Markdown, and the recommendation at the end."""
    parts = [
        "## Two tests with spoiled labels",
        table_sanity(measured).markdown(),
        _say_ideal(measured.ideal),
    ]
    for at in PLACES:
        parts += [f"## Planted units, at {at}", table_right(measured, at).markdown()]
    parts += ["## By the size of the concept", table_sizes(measured).markdown()]
    parts += ["## By the share of inputs that is active"]
    parts += [table_tops(measured, at).markdown() for at in PLACES]
    parts += ["## Names of a dissection, by what it names by", table_masks(measured.masks).markdown()]
    parts += ["## Classes, and controls", table_classes(measured).markdown()]
    parts += ["## Pictures of the name", table_pictures(measured.pictures).markdown()]
    return "\n\n".join([*parts, "## What to take", recommend(measured)])


def list_rights(measured: Measured) -> dict[str, dict[str, list[float]]]:
    """By kind of units and score the share named right, in percent, by seed."""
    kinds = {f"planted units, {at}": partial(pick_cases, measured.known, at) for at in PLACES}
    kinds[CLASSES] = partial(pick_outputs, measured.known)
    return {
        kind: {
            score: [100 * share_right(pick(seed), (score, TOP)) for seed in list_seeds(measured)]
            for score in NEURON_EVAL
        }
        for kind, pick in kinds.items()
    }


def _say_ideal(rows: Sequence[IdealChange]) -> str:
    """How far the changes of ideal units are from what they must be."""
    some = [one for one in rows if one.expected == one.expected]
    apart = max(some, key=lambda one: abs(one.change - one.expected))
    many = [abs(one.change - one.expected) for one in some if one.frequency >= 0.01]
    return (
        f"Ideal units change as they must: the mean of a score's change is off by at most {max(many):.4f} at "
        f"frequencies from .01, and by {abs(apart.change - apart.expected):.4f} at {apart.frequency:g} "
        f"({apart.score}, labels {apart.spoiling}; one draw deviates by {apart.deviation:.3f})."
    )


def judge_scores(measured: Measured, *, quick: bool = False) -> Finding:
    """The finding, from all that was measured."""

    def lay_out(rows: Sequence[Any], kind: type) -> Table:
        return Table.of(map(asdict, rows), [column.name for column in fields(kind)])

    sheets = {
        "scores.csv": table_known(measured.known),
        "ideal.csv": lay_out(measured.ideal, IdealChange),
        "spoiled.csv": lay_out(measured.real, RealFalls),
        "pictures.csv": lay_out(measured.pictures, PictureTest),
        "masks.csv": lay_out(measured.masks, MaskNames),
    }
    return Finding(
        "scores",
        QUESTION,
        claim_scores(measured),
        spell_scores(measured),
        sheets,
        f"{len(list_seeds(measured))}, with other scenes, noise and labels",
        quick=quick,
        rule=RULE,
        figure=partial(draw_scores, list_rights(measured), list_always(measured)),
    )
