"""Which kinds of concepts have units at which depth? The layers of a network, dissected in one pass."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import UniqueRule
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import LayerDissection
from unitscope.errors import UsageError
from unitscope.experiments.tables import write_tables
from unitscope.networks.network import Network
from unitscope.tables import guard_cell

RULES: tuple[UniqueRule, ...] = ("label", "category")
SURE = 0.05
"""Units with a smaller q-value are detectors beyond chance."""

Counts = Mapping[str, int]


@dataclass(frozen=True)
class LayerConcepts:
    """The concepts of one layer of one network, over one set of images.

    `repeat` numbers the sets: the seed of a generator's latents. `cells` are the rows and columns of a map.
    `unique` counts concepts by counting rule and category, `sure_unique` those of detectors with a q-value
    below 0.05, by the rule `label`; `chance_detectors` is the mean number of units that pass the cut-off
    where labels are shifted. `few_unique` are the unique concepts, by the rule `label`, to be expected of
    `few` units drawn by lot, so that layers of many units and of few compare; empty where there are fewer.
    """

    network: str
    repeat: int
    layer: str
    images: int
    units: int
    cells: tuple[int, int]
    detectors: int
    sure_detectors: int
    chance_detectors: float
    unique: Mapping[UniqueRule, Counts]
    sure_unique: Counts
    few: int
    few_unique: Mapping[str, float]

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories counted, in their usual order."""
        return tuple(self.sure_unique)


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
) -> list[LayerConcepts]:
    """Dissects some layers in one pass and counts the concepts of each (paper B, figs. 1e, 3c and 3d).

    Raises `UsageError` where `few` or `shifts` is below 1, and what `dissect` raises.
    """
    for option, value in (("few", few), ("shifts", shifts)):
        if value < 1:
            raise UsageError(f"{option} is {value}; it must be 1 or more")
    found = dissect(network, source, layers, convention=convention, confidences=Confidences(shifts, 20))
    return [_count(found[layer], name or network.name, repeat, few) for layer in found]


def _count(layer: LayerDissection, network: str, repeat: int, few: int) -> LayerConcepts:
    labels, sure = layer.labels, layer.confidence
    certain = labels.detector & (sure.q_value < SURE) if sure else np.zeros(len(layer), bool)
    words = layer.vocabulary
    placed = words.category_index[labels.best]
    by_place = dict(enumerate(words.categories))
    unique: dict[UniqueRule, Counts] = {rule: layer.unique[rule] for rule in RULES}
    held = {
        category: labels.best[labels.detector & (placed == place)] for place, category in by_place.items()
    }
    return LayerConcepts(
        network=network,
        repeat=repeat,
        layer=layer.layer,
        images=layer.images,
        units=len(layer),
        cells=layer.map_size,
        detectors=layer.detectors,
        sure_detectors=int(certain.sum()),
        chance_detectors=sure.chance_detectors if sure else float("nan"),
        unique=unique,
        sure_unique={
            category: len(np.unique(labels.best[certain & (placed == place)]))
            for place, category in by_place.items()
        },
        few=few,
        few_unique={
            category: expect_unique(np.unique(ids, return_counts=True)[1].tolist(), len(layer), few)
            for category, ids in held.items()
        }
        if few <= len(layer)
        else {},
    )


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


def find_peak(rows: Sequence[LayerConcepts], category: str, rule: UniqueRule = "label") -> Peak:
    """The layers with the most concepts of a category.

    Raises `UsageError` where there are no rows.
    """
    if not rows:
        raise UsageError("no layer was compared, so none is the first")
    layers = list(dict.fromkeys(row.layer for row in rows))
    repeats: dict[tuple[str, int], dict[str, int]] = {}
    for row in rows:
        repeats.setdefault((row.network, row.repeat), {})[row.layer] = row.unique[rule].get(category, 0)
    means = {layer: float(np.mean([one[layer] for one in repeats.values()])) for layer in layers}
    most = max(means.values())
    first = tuple(layer for layer in layers if means[layer] == most)
    wins = tuple(sum(one[layer] == max(one.values()) for one in repeats.values()) for layer in first)
    return Peak(category, first, most, wins, len(repeats))


def depth_rows(rows: Sequence[LayerConcepts]) -> Iterator[list[str]]:
    """The table as cells: for every layer and repeat a row of each counting rule."""
    categories = rows[0].categories if rows else ()
    yield ["network", "repeat", "layer", "images", "units", "height", "width", "detectors", "sure_detectors",
           "chance_detectors", "rule", "unique", *categories, *(f"sure_{one}" for one in categories),
           "few", *(f"few_{one}" for one in categories)]  # fmt: skip
    for row in rows:
        for rule in RULES:
            counts = row.unique[rule]
            own = rule == "label"  # the others are counted by this rule alone
            sure = [str(row.sure_unique[one]) if own else "" for one in categories]
            few = [f"{row.few_unique[one]:.6g}" if own and row.few_unique else "" for one in categories]
            yield [
                guard_cell(row.network), str(row.repeat), guard_cell(row.layer), str(row.images),
                str(row.units), *map(str, row.cells), str(row.detectors), str(row.sure_detectors),
                f"{row.chance_detectors:.6g}", rule, str(sum(counts.values())),
                *(str(counts[one]) for one in categories), *sure, str(row.few), *few,
            ]  # fmt: skip


def write_depth(rows: Sequence[LayerConcepts], path: Path) -> None:
    """Writes the table as a CSV. Raises `RunError` where it cannot be written."""
    write_tables(path.parent, {path.name: depth_rows(rows)})


def spell_depth(rows: Sequence[LayerConcepts]) -> str:
    """The study as a Markdown table: means over repeats, and their range where they differ.

    Unique concepts stand as "by label / by category", the two counting rules.
    """
    categories = rows[0].categories if rows else ()
    few = rows[0].few if rows else 0
    head = ["layer", "units", "cells", "detectors", "by chance", *categories, "unique"]
    head += ["object, q < .05", f"object of {few} units"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for layer in dict.fromkeys(row.layer for row in rows):
        mine = [row for row in rows if row.layer == layer]
        cells = [layer, str(mine[0].units), " × ".join(map(str, mine[0].cells))]
        cells += [
            _span([row.detectors for row in mine]),
            _span([row.chance_detectors for row in mine], ".1f"),
        ]
        for category in categories:
            cells.append(" / ".join(_span([row.unique[rule][category] for row in mine]) for rule in RULES))
        cells.append(" / ".join(_span([sum(row.unique[rule].values()) for row in mine]) for rule in RULES))
        cells.append(_span([row.sure_unique.get("object", 0) for row in mine]))
        cells.append(_span([row.few_unique.get("object", 0.0) for row in mine], ".1f"))
        lines.append(f"| {' | '.join(cells if mine[0].few_unique else [*cells[:-1], '–'])} |")
    return "\n".join(lines)


def spell_peak(peak: Peak) -> str:
    """One line: where the concepts of a category are the most.

    >>> spell_peak(Peak("object", ("layer2", "layer3"), 12.0, (3, 1), 3))
    'most object concepts, 12.0 on average: layer2 (first in 3 of 3), layer3 (first in 1 of 3)'
    """
    named = [
        f"{layer} (first in {wins} of {peak.repeats})"
        for layer, wins in zip(peak.layers, peak.wins, strict=True)
    ]
    return f"most {peak.category} concepts, {peak.mean:.1f} on average: {', '.join(named)}"


def _span(values: Sequence[float | int], form: str = ".0f") -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low}–{high}"
