"""Which concepts have units at which depth? (paper A, fig. 5; paper B, figs. 1e, 3c and 3d)

`study layers` compares the layers of classifiers and judges the claims of paper A, `study depth` counts the
concepts of the layers of any network, such as a generator, and finds where each category has the most.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import UniqueRule
from unitscope.dissection.counts import RULES
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import UsageError
from unitscope.lab.studies.claims import Claim, judge_all, judge_order, spread
from unitscope.lab.studies.figures.concept_bars import draw_bars
from unitscope.lab.studies.study import Finding, StudyResult
from unitscope.lab.studies.trained_groups import (
    Representation,
    Setting,
    Snapshot,
    check_layers,
    cohort_table,
    describe_layer,
    dissect_kept,
    group_rows,
    keep_dissections,
    spell_cohort,
)
from unitscope.lab.studies.training import HIGH, LOW
from unitscope.lab.zoo.trained_models import (
    COURSE,
    LAYERS,
    StudyModel,
    seconds_of,
    train_models,
)
from unitscope.networks.network import Network
from unitscope.tables import Table

QUESTION = "Which concepts have units at which depth?"
SEEDS = 5
TRAINED, RANDOM = "Taught scenes", "Random weights"


def dissect_layers(
    network: Network,
    layers: Sequence[str],
    source: ConceptSource,
    *,
    convention: str = "netdissect",
    shifts: int = 100,
    seed: int = 0,
    group: str = "",
    cache: str | Path | None = None,
) -> list[Representation]:
    """The layers of any network, dissected in one pass; a row a layer, its group the layer or `group`.

    Raises what `dissect` raises.
    """
    found = dissect(
        network, source, layers, convention=convention, confidences=Confidences(shifts, 20), cache=cache
    )
    return [describe_layer(found[layer], group or layer, seed) for layer in found]


def share(row: Representation, categories: Sequence[str]) -> float:
    """The share of a layer's unique concepts that some categories have; 0 for a layer without any."""
    return _count(row, categories) / max(1, row.count())


def _count(row: Representation, categories: Sequence[str]) -> int:
    return sum(row.count(one) for one in categories)


def claim_layers(rows: Sequence[Representation]) -> tuple[Claim, ...]:
    """Colors and textures dominate early layers, objects and parts emerge in the last.

    Emerge: there are more in the last than in the early ones, and than in the one before it.
    """
    names = list(dict.fromkeys(row.layer for row in rows))
    early, last = names[: max(1, len(names) // 3)], names[-1:]
    before = names[-2:-1] or early
    low_early, low_last = (_by_seed(rows, some, lambda row: share(row, LOW)) for some in (early, last))
    high_early, high_before, high_last = (
        _by_seed(rows, some, lambda row: _count(row, HIGH)) for some in (early, before, last)
    )
    return (
        Claim(
            "fig. 5",
            "colors, textures and materials have a larger share of the concepts in early layers",
            f"{spread([100 * one for one in low_early], '.0f')} % in {', '.join(early)}, "
            f"{spread([100 * one for one in low_last], '.0f')} % in {last[0]}",
            judge_order(low_early, low_last) if any(low_early + low_last) else "not tested",
        ),
        Claim(
            "fig. 5",
            "objects and parts emerge in the last layer",
            f"{spread(high_early)} concepts in {', '.join(early)}, {spread(high_before)} in {before[0]}, "
            f"{spread(high_last)} in {last[0]}",
            judge_all(judge_order(high_last, some) for some in (high_early, high_before)),
        ),
    )


def _by_seed(
    rows: Sequence[Representation], layers: Sequence[str], measure: Callable[[Representation], float]
) -> list[float]:
    """The mean of a measure over some layers, a number a seed."""
    values: dict[int, list[float]] = {}
    for row in rows:
        if row.layer in layers:
            values.setdefault(row.seed, []).append(measure(row))
    return [float(np.mean(some)) for some in values.values()]


def judge_layers(cohorts: Mapping[str, Sequence[Representation]], quick: bool = False) -> Finding:
    """The finding of the first of some networks; its random weights and others stand beside it as tables."""
    first, *_ = cohorts.values()
    return Finding(
        "layers",
        QUESTION,
        claim_layers(first),
        "\n\n".join(f"{name}:\n\n{spell_cohort(rows, 'layer')}" for name, rows in cohorts.items()),
        {
            f"layers{'' if place == 0 else f'-{place}'}.csv": cohort_table(rows)
            for place, rows in enumerate(cohorts.values())
        },
        str(len(dict.fromkeys(row.seed for row in first))),
        sum(row.seconds for row in first),
        quick,
        figure=partial(draw_bars, group_rows(first)),
    )


def study_layers(setting: Setting) -> Finding:
    """All five layers of the baseline, and of the same network with random weights."""
    models = [StudyModel(setting.course(COURSE), seed) for seed in setting.repetitions(SEEDS)]
    train_models(models, setting.networks, jobs=setting.jobs)
    cohorts: dict[str, list[Representation]] = {TRAINED: [], RANDOM: []}
    wanted = [
        (name, (Snapshot(model, taught=name == TRAINED), LAYERS, f"layers-{kind}-{model.seed}"))
        for model in models
        for name in cohorts
        for kind in [name.replace(" ", "-").lower()]
    ]
    keep_dissections([one for _, one in wanted], setting)
    source = setting.source()
    for name, (student, layers, kept) in wanted:
        model, found = student.model, dissect_kept(student.open(setting), layers, source, setting, kept)
        for layer in layers:
            last = student.taught and layer == LAYERS[-1]
            seconds = seconds_of(model, setting.networks) if last else 0.0
            cohorts[name].append(describe_layer(found[layer], layer, model.seed, seconds=seconds))
    return judge_layers(cohorts, setting.quick)


def compare_trained_layers(
    networks: Iterable[tuple[Network, Network]],
    layers: Sequence[str],
    source: ConceptSource,
    setting: Setting,
    *,
    name: str,
) -> Finding:
    """The layers of a network of one's own, called `name`, beside the same with random weights.

    `networks` are pairs of the trained and the untrained one, a pair a repetition. Raises `UsageError` where
    no layer is named, and what `dissect` raises.
    """
    check_layers(name, layers)
    cohorts: dict[str, list[Representation]] = {name: [], RANDOM: []}
    for seed, pair in enumerate(networks):
        for rows, network in zip(cohorts.values(), pair, strict=True):
            cache = setting.folder / "packed"
            rows += dissect_layers(
                network, layers, source, convention=setting.convention, seed=seed, cache=cache
            )
    return judge_layers(cohorts, setting.quick)


def compare_layers(
    network: Network,
    layers: Sequence[str],
    source: ConceptSource,
    *,
    convention: str = "pnas",
    shifts: int = 100,
    few: int = 32,
    repeat: int = 0,
    name: str = "",
) -> "Depth":
    """Dissects some layers in one pass and counts the concepts of each (paper B, figs. 1e, 3c and 3d).

    `few` is the number of units for `expect_few`, `repeat` numbers the set of images, such as the seed of a
    generator's latents. Raises `UsageError` where `few` or `shifts` is below 1, and what `dissect` raises.
    """
    for option, value in (("few", few), ("shifts", shifts)):
        if value < 1:
            raise UsageError(f"{option} is {value}; it must be 1 or more")
    rows = dissect_layers(
        *(network, layers, source),
        convention=convention,
        shifts=shifts,
        seed=repeat,
        group=name or network.name,
    )
    return Depth(tuple(rows), few)


def expect_few(row: Representation, few: int) -> dict[str, float]:
    """The unique concepts to be expected of `few` units drawn by lot, by category, counted by label.

    So layers of many units and of few compare. Empty for a layer that has fewer units.
    """
    if few > row.units:
        return {}
    return {category: expect_unique(sizes, row.units, few) for category, sizes in row.sizes.items()}


def expect_unique(sizes: Sequence[int], units: int, drawn: int) -> float:
    """How many of several groups of units some drawn by lot are expected to meet.

    The sum over groups of 1 - C(units - size, drawn) / C(units, drawn): Hurlbert's rarefaction (Ecology 52,
    1971), as species are counted in samples of one size.

    >>> expect_unique([1, 2], units=4, drawn=4), expect_unique([1], units=4, drawn=1)
    (2.0, 0.25)
    """
    ways = comb(units, drawn)
    return sum((1 - comb(units - size, drawn) / ways for size in sizes), 0.0)


@dataclass(frozen=True)
class Peak:
    """The layers with the most unique concepts of a category, by their mean over repeats: one, unless level.

    `wins` says for each in how many of the `repeats` none had more.
    """

    category: str
    layers: tuple[str, ...]
    mean: float
    wins: tuple[int, ...]
    repeats: int

    def spell(self) -> str:
        """One line: where the concepts of the category are the most.

        >>> Peak("object", ("layer2", "layer3"), 12.0, (3, 1), 3).spell()
        'most object concepts, 12.0 on average: layer2 (first in 3 of 3), layer3 (first in 1 of 3)'
        """
        named = (
            f"{layer} (first in {wins} of {self.repeats})"
            for layer, wins in zip(self.layers, self.wins, strict=True)
        )
        return f"most {self.category} concepts, {self.mean:.1f} on average: {', '.join(named)}"


def find_peak(rows: Sequence[Representation], category: str, rule: UniqueRule = "label") -> Peak:
    """The layers with the most concepts of a category; a repeat is a network (`group`) and a `seed`.

    Raises `UsageError` where there are no rows.
    """
    if not rows:
        raise UsageError("no layer was compared, so none is the first")
    layers = list(dict.fromkeys(row.layer for row in rows))
    repeats: dict[tuple[str, int], dict[str, int]] = {}
    for row in rows:
        repeats.setdefault((row.group, row.seed), {})[row.layer] = row.count(category, rule)
    means = {layer: float(np.mean([one[layer] for one in repeats.values()])) for layer in layers}
    most = max(means.values())
    first = tuple(layer for layer in layers if means[layer] == most)
    wins = tuple(sum(one[layer] == max(one.values()) for one in repeats.values()) for layer in first)
    return Peak(category, first, most, wins, len(repeats))


@dataclass(frozen=True)
class Depth(StudyResult):
    """The concepts of some layers: a row a layer and repeat, its `group` the network, its `seed` the repeat.

    Layers are also compared by the concepts expected of `few` of their units (`expect_few`). Results are put
    together with `+`.
    """

    layers: tuple[Representation, ...]
    few: int = 32
    quick: bool = False

    def __add__(self, other: "Depth") -> "Depth":
        return Depth(self.layers + other.layers, self.few, self.quick)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories counted, in the order of the vocabulary."""
        return self.layers[0].categories

    @property
    def peaks(self) -> list[Peak]:
        """Where each category has the most concepts."""
        return [find_peak(self.layers, category) for category in self.categories]

    def tables(self) -> dict[str, Table]:
        """layers.csv: for every layer and repeat a row of each counting rule."""
        rows = []
        for row in self.layers:
            few = expect_few(row, self.few)
            for rule in RULES:
                label = rule == "label"  # these are counted by this rule alone
                rows.append(
                    (
                        *(row.group, row.seed, row.layer, row.images, row.units, *row.cells, row.detectors),
                        *(row.sure_detectors, row.chance_detectors, rule, row.count(rule=rule)),
                        *(row.unique[rule][one] for one in self.categories),
                        *(row.sure_unique[rule][one] if label else None for one in self.categories),
                        *(self.few, *(few.get(one) if label else None for one in self.categories)),
                    )
                )
        columns = (
            *("network", "repeat", "layer", "images", "units", "height", "width", "detectors"),
            *("sure_detectors", "chance_detectors", "rule", "unique", *self.categories),
            *(f"sure_{one}" for one in self.categories),
            *("few", *(f"few_{one}" for one in self.categories)),
        )
        return {"layers.csv": Table(columns, tuple(rows), (0, 2, 10))}

    def text(self) -> str:
        """Means over repeats and their range as a Markdown table, then where each category has the most.

        Unique concepts stand as "by label / by category", the two counting rules.
        """
        columns = [*("layer", "units", "cells", "detectors", "by chance"), *self.categories]
        columns += ["unique", "object, q < .05", f"object of {self.few} units"]
        lines = []
        for layer, rows in group_rows(self.layers, "layer").items():
            expected = [expect_few(row, self.few) for row in rows]
            known = [counts.get("object", 0.0) for counts in expected if counts]
            unique = (
                " / ".join(_span([row.count(category, rule) for row in rows]) for rule in RULES)
                for category in (*self.categories, None)
            )
            lines.append(
                (
                    *(layer, rows[0].units, " × ".join(map(str, rows[0].cells))),
                    _span([row.detectors for row in rows]),
                    _span([row.chance_detectors for row in rows], ".1f"),
                    *unique,
                    _span([row.count("object", sure=True) for row in rows]),
                    _span(known, ".1f") if known else "–",
                )
            )
        start = "A quick look, not a result.\n" if self.quick else ""
        peaks = "\n".join(peak.spell() for peak in self.peaks)
        return f"{start}{Table(tuple(columns), tuple(lines)).markdown()}\n{peaks}"

    def record(self) -> dict[str, Any]:
        """Every layer and repeat, and the peaks."""
        names = (
            "layer",
            "images",
            "units",
            "cells",
            "detectors",
            "sure_detectors",
            "chance_detectors",
            "unique",
        )
        layers = [
            {
                "network": row.group,
                "repeat": row.seed,
                **{name: getattr(row, name) for name in names},
                "sure_unique": row.sure_unique["label"],
                "few": self.few,
                "few_unique": expect_few(row, self.few),
            }
            for row in self.layers
        ]
        return {"layers": layers, "peaks": [asdict(peak) for peak in self.peaks]}

    def draw(self, path: Path) -> Path:
        """Draws the layers as bars, as in paper B, figs. 3c and 3d; raises as `draw_bars` does."""
        return draw_bars(group_rows(self.layers, "layer"), path)


def _span(values: Sequence[float | int], form: str = ".0f") -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low}–{high}"
