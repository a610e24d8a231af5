"""Finds the formulas that units of a finished run are named by: `find_formulas`."""

from collections.abc import Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Literal

import numpy as np

from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection.formula_evidence import Ground, Named, Ranked, lay_ground, name_unit, rank_unit
from unitscope.dissection.formula_names import SURE, FormulaNames, LayerFormulas, UnitFormula
from unitscope.dissection.matching import pick_layer
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.dissection.significance import q_values_of
from unitscope.dissection.storage import load
from unitscope.errors import UsageError, check_seed, say_near
from unitscope.progress import follow
from unitscope.statistics.formulas import Search, check_counts
from unitscope.statistics.label_tables import LabelTable
from unitscope.statistics.threads import open_pool


def find_formulas(
    run: Dissection | LayerDissection | str | Path,
    layer: str | None = None,
    *,
    length: int = 3,
    search: Literal["exact", "beam"] = "exact",
    beam: int = 5,
    without: str | Sequence[str] = (),
    units: Sequence[int] | None = None,
    ranges: bool = False,
    draws: int = 400,
    seed: int = 0,
    threads: int | None = None,
    nodes: int = 10_000,
) -> FormulaNames:
    """Names the units of a finished run by formulas over concepts, such as `(sky OR sea) AND NOT boat`.

    `run` is a dissection or its folder, with the table of label sets that `dissect` keeps; neither network
    nor images are opened. A formula is read from the left, ((a op b) op c), with OR, AND and AND NOT, and has
    up to `length` concepts. IoU is that of its pixels with the unit's masks, the union taken over all images,
    exact to the pixel: intersection / union.

    `search` "exact" tries all formulas but for those that bounds rule out. Up to three concepts it always
    ends; beyond it goes on from at most `nodes` formulas a unit, and what it then knows is in `optimal` and
    `possible`. "beam" keeps the `beam` best of every length. `without` names categories whose concepts are in
    no formula. `units` are those wanted, all by default. With `ranges` each of them has a name in every range
    of its activation that the run kept (`dissect(ranges=...)`), 0 the lowest.

    A formula takes the name from the best single concept only where it earns it: what is named on one half of
    the images must fit the other half better, both ways. The p-value is the chance that the same search finds
    as good a formula where masks meet labels of other images, over `draws` draws at most (10 that reach it
    end them); the q-value is the false discovery rate over the layer's units (Benjamini and Hochberg, 1995).
    See docs/theory.md, "Formulas". The same seed gives the same, whatever the number of `threads`.

    Raises `UsageError` for a run without the table, unknown layers, units or categories, and numbers out of
    range; `RunError` for a folder that is no run.
    """
    rules = Search(length, search, beam, nodes)
    check_seed(seed)
    if draws < 0 or (threads is not None and threads < 1):
        raise UsageError(f"{draws} draws and {threads} threads were asked for; give 0 or more, and 1 or more")
    given = load(run) if isinstance(run, str | Path) else run
    chosen = _choose_layers(given, layer)
    words = given.vocabulary
    dropped = _find_dropped(words, [without] if isinstance(without, str) else without)
    tables = {one.layer: _find_table(one, ranges) for one in chosen}
    wanted = {one.layer: _choose_units(one, units, len(chosen)) for one in chosen}
    found = {}
    for one in chosen:
        table = tables[one.layer].drop(dropped) if dropped else tables[one.layer]
        each = table.units // max(len(one), 1)
        wanted[one.layer] = [unit * each + place for unit in wanted[one.layer] for place in range(each)]
        ground = lay_ground(table, draws, seed)
        if not len(ground.whole.sets.present):
            raise UsageError("no image has a labelled pixel of the concepts that are left; leave fewer out")
        layer_found = _name_layer(one, ground, rules, wanted[one.layer], threads)
        found[one.layer] = _part_ranges(layer_found, each) if ranges else layer_found
    names = tuple([without] if isinstance(without, str) else without)
    return FormulaNames(found, words, rules, names, given if isinstance(given, Dissection) else None)


def _name_layer(
    layer: LayerDissection, ground: Ground, rules: Search, units: Sequence[int], threads: int | None
) -> LayerFormulas:
    for unit in units:  # one at a time: whole tables of counts would be large
        check_counts(ground.whole.sets, ground.count(unit, ground.whole)[None])

    def measure(unit: int) -> tuple[Named, list[Ranked]]:
        named = name_unit(ground, unit, rules)
        if ground.blocks is None:
            return named, [Ranked(float("nan"), 0, float("nan"))]
        truths = [ground.blocks.parts, *ground.controls]
        return named, [rank_unit(ground, unit, rules, parts) for parts in truths]

    with (
        open_pool(threads or count_threads()) as pool,
        follow(len(units), f"formulas of {layer.layer}", "units") as work,
    ):
        found = []
        for one in pool.map(measure, units):
            found.append(one)
            work.update()
    live = np.array([named.answer.formula.intersection > 0 for named, _ in found], np.bool_)
    p = np.array([[one.p for one in ranks] for _, ranks in found]).reshape(len(found), -1)
    null = ground.blocks is not None
    q = [q_values_of(column, live) if null else np.full(len(column), np.nan) for column in p.T]
    chance = [one.iou for _, ranks in found for one in ranks[1:]]
    return LayerFormulas(
        layer.layer,
        tuple(
            _join(layer.layer, unit, named, ranks[0], float(rate))
            for unit, (named, ranks), rate in zip(units, found, q[0] if q else [], strict=True)
        ),
        float(np.mean([(one < SURE).mean() for one in q[1:]])) if null and len(units) else float("nan"),
        float(np.mean(chance)) if chance else float("nan"),
        null,
    )


def _join(layer: str, unit: int, named: Named, rank: Ranked, q: float) -> UnitFormula:
    live = named.answer.formula.intersection > 0
    return UnitFormula(
        layer,
        unit,
        named.answer.formula if live else None,
        named.single if live else None,
        named.held_out,
        named.held_out_single,
        named.held_out_name,
        named.earned,
        named.answer.optimal,
        named.answer.possible,
        rank.p if live or isnan(rank.p) else 1.0,
        q,
        rank.drawn,
    )


def count_threads() -> int:
    """As many threads as torch uses."""
    import torch

    return torch.get_num_threads()


def _choose_layers(run: Dissection | LayerDissection, layer: str | None) -> list[LayerDissection]:
    if isinstance(run, LayerDissection):
        if layer not in (None, run.layer):
            raise UsageError(
                f"the layer given is {run.layer}, not {layer}; give the run, or leave the name out"
            )
        return [run]
    return list(run.layers.values()) if layer is None else [pick_layer(run, layer)]


def _find_dropped(words: Vocabulary, without: Sequence[str]) -> list[int]:
    """The ids of the concepts of categories."""
    for category in without:
        if category not in words.categories:
            raise UsageError(
                f"the run has no category {category!r}{say_near(category, words.categories)}; it has "
                f"{', '.join(words.categories)}"
            )
    return [one.id for one in words if one.category in without]


def _part_ranges(found: LayerFormulas, each: int) -> LayerFormulas:
    """Units of a table of ranges as units of the layer, each in its ranges."""
    units = (replace(one, unit=one.unit // each, range=one.unit % each) for one in found.units)
    return replace(found, units=tuple(units))


def _find_table(layer: LayerDissection, ranges: bool) -> LabelTable:
    table = layer.range_table if ranges else layer.label_table
    if table is None and ranges:
        raise UsageError(
            f"layer {layer.layer} has no ranges of activation; dissect again with ranges, such as "
            "--ranges 0.2 0.1 0.05 0.02 0.01"
        )
    if table is None:
        raise UsageError(
            f"layer {layer.layer} has no table of label sets, which formulas are read from; dissect again, "
            "without --no-label-sets"
        )
    return table


def _choose_units(layer: LayerDissection, units: Sequence[int] | None, layers: int) -> list[int]:
    """The units wanted, each once, in order."""
    if units is None:
        return list(range(len(layer)))
    outside = [unit for unit in units if not 0 <= unit < len(layer)]
    if outside:
        hint = "; name a layer" if layers > 1 else ""
        last = len(layer) - 1
        raise UsageError(f"unit {outside[0]} is not in {layer.layer}, which has 0 to {last}{hint}")
    return sorted(set(units))
