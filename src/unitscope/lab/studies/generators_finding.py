"""Generators compared: what minibatch statistics, normalization and training change. Claims, tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

import numpy as np

from unitscope.errors import UsageError, missing_extra
from unitscope.lab.studies.claims import Claim, Values, judge_interval, judge_order, spread
from unitscope.lab.studies.compared_generators import (
    ALIKE,
    LONG,
    PIXEL,
    PLAIN,
    VARIANTS,
    open_steps,
    open_variants,
)
from unitscope.lab.studies.figures.generators_figure import draw_generators
from unitscope.lab.studies.generator_comparison import (
    LAYERS,
    PAINTED,
    QUICK,
    ROTATED,
    SEEDS,
    STEPS,
    UNITS,
    VARIED,
    Extent,
    Matched,
    Measured,
    Quality,
    measure_all,
)
from unitscope.lab.studies.generator_counts import (
    CATEGORIES,
    Measure,
    by_seed,
    count_chance,
    count_concepts,
    count_matching,
    find_end,
    list_steps,
    rate,
)
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting
from unitscope.tables import Table

QUESTION = "Which concepts do a generator's units match with and without minibatch statistics, and by step?"
RULE = (
    "A unit *matches* the concept that names it, with an IoU above .04 (convention `pnas`); verdicts count "
    "objects, parts and materials. A value a seed of training; all networks read the same latents."
)
MIDDLE = "layer2"
"""The layer that has a verdict of its own beside all: the zoo's generator has most objects there."""
ALL = "all layers"
HERE = "asked here"


def study_generators(
    setting: Setting, files: Mapping[int, Path] | None = None, *, train_missing: bool = True
) -> Finding:
    """Trains the zoo's recipe in three variants, dissects them, and compares units and pictures.

    `files` are checkpoints of a longer training of the recipe, by step, that stand beside them. Without
    `train_missing` only what was trained before is compared. What was measured is kept in the setting's
    folder.

    Raises `UsageError` where there is nothing to compare, and what `train`, `read_module` and `dissect`
    raise.
    """
    networks = open_variants(setting, setting.repetitions(), train_missing=train_missing)
    networks += open_steps(files or {})
    if not networks:
        raise UsageError(
            f"no generator has been trained in {setting.folder / 'generators'} yet; leave out --trained"
        )
    extent = QUICK if setting.quick else Extent()
    return judge_generators(measure_all(networks, setting.folder, extent), quick=setting.quick)


def claim_generators(found: Measured) -> tuple[Claim, ...]:
    """What the paper found of variants, and what is asked here of training and of controls."""
    return (*_claim_variants(found), _claim_quality(found), *_claim_training(found))


def _claim_variants(found: Measured) -> Iterator[Claim]:
    for where, layer in ((MIDDLE, MIDDLE), (ALL, None)):
        high, low = (by_seed(found, one, count_concepts, layer=layer) for one in (PLAIN, ALIKE))
        said = "with minibatch statistics units match over 70 % more types of objects, parts and materials"
        ours = f"{where}: {spread(high)} with, {spread(low)} without"
        yield Claim("section 4.2, fig. 7", said, ours, judge_order(high, low))
        high, low = (by_seed(found, one, count_matching, layer=layer) for one in (PIXEL, PLAIN))
        said = "with pixelwise normalization 19 % more units match"
        ours = f"{where}: {spread(high)} with it, {spread(low)} with batch normalization"
        yield Claim("section 4.2, fig. 7", said, ours, judge_order(high, low))
    more, less = (rate(found, one, "variety") for one in (PLAIN, ALIKE))
    ours = f"variety {spread(more, '.3f')} with, {spread(less, '.3f')} without"
    said = "with minibatch statistics pictures are more diverse"
    yield Claim("section 4.2", said, ours, judge_order(more, less))


def _claim_quality(found: Measured) -> Claim:
    far, units = list[float](), list[int | float]()
    for variant in VARIANTS:
        far += [-one for one in rate(found, variant, "frechet")]
        units += by_seed(found, variant, count_matching)
    middle, low, high = correlate_ranks(far, units)
    said = "the better a variant's pictures, the more units match (there by SWD, of three networks)"
    ours = f"{len(far)} networks at their end"
    ours += f": rank correlation {middle:.2f} ({low:.2f} to {high:.2f})" if middle == middle else ", too few"
    return Claim("fig. 7", said, ours, judge_interval(middle, low, high))


def correlate_ranks(one: Values, other: Values) -> tuple[float, float, float]:
    """The rank correlation (Spearman) and its 95 % interval by Fisher's z; NaN for fewer than four pairs.

    Raises `UsageError` where scipy is missing.

    >>> correlate_ranks([1, 2, 3, 4, 5], [1, 3, 2, 5, 4])[0].__round__(3)
    0.8
    """
    if len(one) < 4 or len(set(one)) < 2 or len(set(other)) < 2:
        return float("nan"), float("nan"), float("nan")
    try:
        from scipy.stats import pearsonr, rankdata
    except ImportError as error:
        raise missing_extra("scipy", "correlates ranks", "studies") from error
    result = pearsonr(rankdata(one), rankdata(other))
    low, high = result.confidence_interval()
    return float(result.statistic), float(low), float(high)


def _claim_training(found: Measured) -> Iterator[Claim]:
    first, last = next(filter(None, list_steps(found, PLAIN)), 0), find_end(found, PLAIN)
    far, near = (rate(found, PLAIN, "frechet", step) for step in (first, last))
    ours = f"Fréchet distance {spread(far)} at step {first}, {spread(near)} at {last}"
    yield Claim(HERE, "with training pictures come nearer to painted ones", ours, judge_order(far, near))
    for said, measure in (
        ("more units match", count_matching),
        ("more concepts are matched", count_concepts),
    ):
        less, more = (by_seed(found, PLAIN, measure, step=step) for step in (first, last))
        ours = f"{spread(less)} at step {first}, {spread(more)} at {last}"
        yield Claim(HERE, f"with training {said}", ours, judge_order(more, less))
    end = by_seed(found, PLAIN, count_concepts)
    start = by_seed(found, PLAIN, count_concepts, step=0)
    turned = by_seed(found, PLAIN, count_concepts, basis=ROTATED)
    for said, low in (
        ("more concepts are matched than before training", start),
        ("and than by rotated units of the same layers", turned),
    ):
        yield Claim(HERE, said, f"{spread(end)} and {spread(low)}", judge_order(end, low))


def judge_generators(found: Measured, *, quick: bool = False) -> Finding:
    """The finding, from all that was measured."""
    seeds = {variant: len(rate(found, variant, "frechet")) for variant in VARIANTS}
    return Finding(
        "generators",
        QUESTION,
        claim_generators(found),
        spell_generators(found),
        tabulate(found),
        ", ".join(f"{variant} {count}" for variant, count in seeds.items()),
        quick=quick,
        rule=RULE,
        figure=partial(draw_generators, found),
    )


def spell_generators(found: Measured) -> str:
    """The numbers as Markdown: variants, layers, steps, and units in pairs."""
    parts = ["## Variants", _table_variants(found).markdown(), "## Layers", _table_layers(found).markdown()]
    parts += ["## Steps", _table_steps(found).markdown()]
    if found.matches:
        parts += ["## Units in pairs", table_pairs(found.matches).markdown()]
    return "\n\n".join(parts)


_COUNTED = ("units that match", "by chance", *CATEGORIES)
_RATED = ("Fréchet distance", "named right, %", "variety")


def _count(
    found: Measured, variant: str, *, step: int | None = None, layer: str | None = None, basis: str = UNITS
) -> list[str]:
    """The cells of `_COUNTED`: units of any category, those by chance, concepts by category."""
    measures: list[Measure] = [partial(count_matching, categories=CATEGORIES), count_chance]
    measures += [partial(count_concepts, categories=(one,)) for one in CATEGORIES]
    return [spread(by_seed(found, variant, one, step=step, layer=layer, basis=basis)) for one in measures]


def _rate(found: Measured, variant: str, step: int | None = None) -> list[str]:
    """The cells of `_RATED`."""
    shares = [100 * one for one in rate(found, variant, "accuracy", step)]
    frechet, variety = (rate(found, variant, field, step) for field in ("frechet", "variety"))
    return [spread(frechet), spread(shares, ".0f"), spread(variety, ".3f")]


def _table_variants(found: Measured) -> Table:
    """A variant a row, at its end, beside painted pictures, the start, and rotated units."""
    empty = ["–"] * len(_COUNTED)
    lines = []
    for variant in [one for one in VARIANTS if rate(found, one, "frechet")]:
        lines.append((variant, *_count(found, variant), *_rate(found, variant)))
        turned = _count(found, variant, basis=ROTATED)
        lines.append((f"{variant}, rotated", *turned, *["–"] * len(_RATED)))
    lines.append((PAINTED, *empty, *_rate(found, PAINTED, 0)))
    return Table(("at the end", *_COUNTED, *_RATED), tuple(lines))


def _table_layers(found: Measured) -> Table:
    """A layer of a variant a row, at the end."""
    lines = [
        (layer, variant, *_count(found, variant, layer=layer))
        for layer in LAYERS
        for variant in (*VARIANTS, LONG)
        if rate(found, variant, "frechet")
    ]
    return Table(("layer", "variant", *_COUNTED), tuple(lines), (0, 1))


def _table_steps(found: Measured) -> Table:
    """A step of a training a row: all layers, the pictures, units that are what they will be at the end."""
    lines = []
    for variant in (PLAIN, LONG):
        for step in list_steps(found, variant):
            pairs = [
                one for one in found.matches
                if (one.differ, one.variant, one.step) == (STEPS, variant, step)
            ]  # fmt: skip
            shares = [_average(pairs, field) for field in ("itself", "same")]
            cells = [spread(one, ".0f") if one else "–" for one in shares]
            lines.append(
                (variant, step, *_count(found, variant, step=step), *_rate(found, variant, step), *cells)
            )
    return Table(("training", "step", *_COUNTED, *_RATED, "itself, %", "same name, %"), tuple(lines))


def _average(pairs: Sequence[Matched], field: str) -> list[float]:
    """The mean of a share over layers that have one, in percent; a number a seed."""
    found = []
    for seed in sorted({one.seed for one in pairs}):
        values = [getattr(one, field) for one in pairs if one.seed == seed]
        known = [100 * one for one in values if one == one]
        found += [float(np.mean(known))] if known else []
    return found


def table_pairs(matches: Sequence[Matched]) -> Table:
    """Kinds of pairs of networks by layer; means over pairs and their range."""
    groups: dict[tuple[str, str], list[Matched]] = {}
    for one in matches:
        groups.setdefault((_name_pair(one), one.layer), []).append(one)
    lines = []
    for (name, layer), some in groups.items():
        cells = [spread([getattr(one, field) for one in some], ".2f") for field in _CORRELATED]
        for field in _SHARED:
            shares = [100 * getattr(one, field) for one in some]
            known = [one for one in shares if one == one]  # a layer without named units has none
            cells.append(spread(known, ".0f") if known else "–")
        lines.append((name, layer, *cells))
    head = ("correlation", "with other latents", "by lot", "itself, %", "same name, %", "by lot, %")
    return Table(("pairs of networks", "layer", *head), tuple(lines), (0, 1))


_CORRELATED, _SHARED = ("correlation", "other", "by_lot"), ("itself", "same", "same_by_lot")


def _name_pair(one: Matched) -> str:
    if one.differ == STEPS:
        return f"{one.variant}, step {one.step} and {one.with_step}"
    if one.differ == SEEDS:
        return f"{one.variant}, two seeds"
    assert one.differ == VARIED
    return f"{one.variant} and {one.with_variant}, one seed"


def tabulate(found: Measured) -> dict[str, Table]:
    """The tables by the names of their files: layers, pictures, pairs, and every unit's name."""
    head = ("variant", "seed", "step", "basis", "layer")
    layers, units = [], []
    for row in found.layers:
        first = tuple(getattr(row, name) for name in head)
        concepts = (count_concepts([row], (one,)) for one in CATEGORIES)
        matching = (count_matching([row], (one,)) for one in CATEGORIES)
        layers.append((*first, len(row.names), row.chance, *matching, *concepts))
        if row.basis == UNITS:
            units += [(*first, unit, name) for unit, name in enumerate(row.names)]
    counted = (f"{kind}_{one}" for kind in ("units", "concepts") for one in CATEGORIES)
    return {
        "generators.csv": Table((*head, "units", "by_chance", *counted), tuple(layers), (0, 3, 4)),
        "pictures.csv": Table.of(map(asdict, found.quality), [one.name for one in fields(Quality)]),
        "pairs.csv": Table.of(map(asdict, found.matches), [one.name for one in fields(Matched)]),
        "units.csv": Table((*head, "unit", "concept"), tuple(units), (0, 3, 4, 6)),
    }
