"""A dissection as aligned text for a terminal, and as JSON with the same content."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from math import isfinite
from typing import Any

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.counts import count_concepts, count_layer
from unitscope.dissection.matching import pick_layer
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.dissection.units import Unit
from unitscope.errors import UsageError, say_near
from unitscope.tables import align, clean, plain
from unitscope.views.summary import collect_warnings

SCHEMA = 1

_TEXTS = ("layer", "probe", "concept", "category")


def show_dissection(
    dissection: Dissection,
    layer: str | None = None,
    unit: int | None = None,
    concept: str | None = None,
    limit: int = 20,
) -> str:
    """The text of `unitscope show`: the layers, then their detectors, best first.

    With `unit` that unit in full with its best concept in every category; with `concept` the units
    it labels. A table has at most `limit` rows, all for 0. Raises `UsageError` for a layer, unit or
    concept that the run does not have.
    """
    _check_limit(limit)
    chosen = choose_layers(dissection, layer, unit)
    images = dissection.images
    head = (
        f"{clean(dissection.recipe.network.name)} over {images:,} {'image' if images == 1 else 'images'}"
        f" of {clean(dissection.source)}, convention {dissection.convention.name}"
    )
    if unit is not None:
        return "\n\n".join([head, *(show_unit(one, one[unit]) for one in chosen)])
    if concept is None:
        return f"{head}\n\n{show_layers(chosen, limit)}"
    parts = [head, list_layers(chosen)]
    for found in find_concepts(dissection, concept):
        rows = [row for one in chosen for row in one if row.concept == found]
        parts.append(f"{clean(found.label)} ({clean(found.category)})\n{show_units(rows, limit)}")
    return "\n\n".join([*parts, *_list_warnings(chosen)])


def show_layers(layers: Sequence[LayerDissection], limit: int = 20) -> str:
    """Some layers, a line each, then the detectors of each, best first, at most `limit` or all for 0."""
    found = [(one.layer, [row for row in one if row.detector]) for one in layers]
    parts = [f"{clean(name)}: detectors\n{show_units(rows, limit)}" for name, rows in found]
    return "\n\n".join([list_layers(layers), *parts, *_list_warnings(layers)])


def show_layer(layer: LayerDissection, unit: int | None = None, limit: int = 20) -> str:
    """One layer as `show_dissection` shows it, or one of its units in full."""
    return show_layers([layer], limit) if unit is None else show_unit(layer, layer[unit])


def _list_warnings(layers: Sequence[LayerDissection]) -> list[str]:
    warnings = [f"warning: {clean(text, None)}" for text in collect_warnings(layers)]
    return ["\n".join(warnings)] if warnings else []


def _check_limit(limit: int) -> None:
    if limit < 0:
        raise UsageError(f"a table of {limit} rows was asked for; give 1 or more, or 0 for all")


def choose_layers(dissection: Dissection, layer: str | None, unit: int | None) -> list[LayerDissection]:
    """The layers asked for, all for None; checks that the unit is in range."""
    chosen = list(dissection.layers.values()) if layer is None else [pick_layer(dissection, layer)]
    if unit is None:
        return chosen
    fitting = [one for one in chosen if 0 <= unit < len(one)]
    if not fitting:
        most = max((len(one) for one in chosen), default=0)
        raise UsageError(f"unit {unit} is out of range; units are numbered from 0 to {most - 1}")
    return fitting


def find_unit(dissection: Dissection, layer: str | None, unit: str) -> tuple[str | None, int]:
    """The layer and the number of a unit that is called so: by its number, or HEAD.UNIT of heads.

    Raises `UsageError` for what is neither, or where several layers have such a unit.
    """
    if unit.removeprefix("-").isdecimal():
        return layer, int(unit)
    found = [
        (one.layer, row.unit)
        for one in choose_layers(dissection, layer, None)
        if one.heads
        for row in one
        if row.name == unit
    ]
    if len(found) != 1:
        seen = "several layers have" if found else "no layer has"
        raise UsageError(
            f"{seen} a unit {unit!r}; give its number, counted from 0, or HEAD.UNIT and --layer NAME@heads"
        )
    return found[0]


def find_concepts(dissection: Dissection, name: str) -> list[Concept]:
    """The concepts of that name or label, in any case and category."""
    wanted = name.casefold()
    words = dissection.vocabulary
    found = [one for one in words if wanted in (one.name.casefold(), one.label.casefold())]
    if not found:
        near = say_near(name, [one.label for one in words], 3)
        hint = near or f"; the vocabulary has {len(words)} concepts"
        raise UsageError(f"the run has no concept {name!r}{hint}")
    return found


def list_layers(layers: Sequence[LayerDissection]) -> str:
    """A line a layer: units, detectors, chance, unique concepts by both rules and by category."""
    categories = layers[0].vocabulary.categories if layers else ()
    confident = any(layer.confidence is not None for layer in layers)
    head = ["layer", "units", "detectors", *(["by chance", "q<0.05"] if confident else [])]
    head += ["unique", "by category rule", *categories]
    rows = []
    for counts in map(count_layer, layers):
        row = [counts.layer, str(counts.units), str(counts.detectors)]
        if confident:
            chance = f"{counts.chance_detectors:.1f}", str(counts.discoveries)
            row += chance if counts.confident else ["-", "-"]
        row += [str(counts.count()), str(counts.count(rule="category"))]
        rows.append([*row, *(str(counts.count(category)) for category in categories)])
    return align([head, *rows], left=(0,))


def show_units(units: Sequence[Unit], limit: int = 20) -> str:
    """A table of units, highest IoU first. Raises `UsageError` for a negative limit."""
    _check_limit(limit)
    if not units:
        return "no units"
    ranked = sorted(units, key=rank_unit)
    several = len({row.layer for row in units}) > 1
    confident = any(isfinite(row.q_value) for row in units)
    shown = ranked[: limit or None]
    probed = any(row.probe for row in units)
    head = [*(["layer"] if several else []), "unit", *(["probe"] if probed else [])]
    head += ["concept", "category", "IoU"]
    rows = [[*head, *(["95 % interval", "q"] if confident else [])]]
    for row in shown:
        named = [row.concept.label, row.concept.category] if row.concept else ["-", "-"]
        called = [*([row.layer] if several else []), row.name, *([row.probe or "-"] if probed else [])]
        cells = [*called, *named, f"{row.iou:.3f}"]
        rows.append(cells + ([interval(row), figure(row.q_value)] if confident else []))
    text = align(rows, left=[place for place, name in enumerate(rows[0]) if name in _TEXTS])
    rest = len(ranked) - len(shown)
    return text + (f"\nand {rest:,} more; --limit 0 shows all" if rest else "")


def rank_unit(unit: Unit) -> tuple[float, int]:
    """Sorts units by IoU, highest first, then by number."""
    return (-unit.iou, unit.unit)


def show_unit(layer: LayerDissection, unit: Unit) -> str:
    """Everything about one unit."""
    label = f"{unit.concept.label} ({unit.concept.category})" if unit.concept else "no label"
    facts = [
        *([["probe", clean(unit.probe)]] if unit.probe else []),
        ["label", clean(label, None) if unit.active_pixels else "never active"],
        ["detector", "yes" if unit.detector else f"no, cut-off {layer.convention.iou_cutoff:g}"],
        ["IoU", f"{unit.iou:.4f}"],
    ]
    if layer.confidence is not None:
        facts += [["95 % interval", interval(unit)], ["held-out IoU", figure(unit.heldout_iou)]]
        facts += [["p-value", figure(unit.p_value)], ["q-value", figure(unit.q_value)]]
    runner_up = f"{clean(unit.runner_up.label)}, {unit.runner_up_iou:.4f}" if unit.runner_up else "-"
    facts += [
        ["threshold", f"{unit.threshold:.6g}"],
        ["active pixels", f"{unit.active_pixels:,}"],
        ["concept pixels", f"{unit.concept_pixels:,}"],
        ["intersection", f"{unit.intersection:,}"],
        ["runner-up", runner_up],
    ]
    table = [["category", "best concept", "IoU"]]
    for category, best, iou in best_by_category(layer, unit.unit):
        table.append([category, best.label if best else "-", f"{iou:.4f}" if best else "-"])
    title = f"unit {unit.name} of {clean(layer.layer)}"
    if unit.head_unit:
        title += f", number {unit.unit}"
    return f"{title}\n{align(facts, left=(0, 1))}\n\n{align(table, left=(0, 1))}"


def best_by_category(layer: LayerDissection, unit: int) -> list[tuple[str, Concept | None, float]]:
    """The best concept of a unit in every category with its IoU, None where nothing overlaps."""
    ids, ratios = layer.labels.best_in[unit].tolist(), layer.labels.best_iou_in[unit].tolist()
    return [
        (category, layer.vocabulary[best] if best else None, ratio)
        for category, best, ratio in zip(layer.vocabulary.categories, ids, ratios, strict=True)
    ]


def interval(unit: Unit) -> str:
    """The interval of a unit's IoU, a dash where there is none."""
    known = isfinite(unit.iou_low) and isfinite(unit.iou_high)
    return f"{unit.iou_low:.3f} to {unit.iou_high:.3f}" if known else "-"


def figure(value: float) -> str:
    """A number with three significant digits, a dash for NaN."""
    return f"{value:.3g}" if isfinite(value) else "-"


def describe_dissection(
    dissection: Dissection, layer: str | None = None, unit: int | None = None, concept: str | None = None
) -> dict[str, Any]:
    """What `show_dissection` shows, ready for JSON; the units are not cut short.

    `schema` is the version of this form. Raises `UsageError` like `show_dissection`.
    """
    chosen = choose_layers(dissection, layer, unit)
    wanted = None if concept is None else find_concepts(dissection, concept)
    layers = []
    for one in chosen:
        units = [row for row in one if (row.detector if wanted is None else row.concept in wanted)]
        units = units if unit is None else [one[unit]]
        concepts = [
            {"name": found.name, "category": found.category, "detectors": count}
            for found, count in count_concepts(one)
        ]
        listed = [describe_unit(one, row, full=unit is not None) for row in sorted(units, key=rank_unit)]
        counted = count_layer(one).record() | ({"never_fired": one.never_fired} if one.sparse else {})
        layers.append({**counted, "concepts": concepts, "listed": listed})
    return {
        "schema": SCHEMA,
        "network": dissection.recipe.network.name,
        "source": dissection.source,
        "images": dissection.images,
        "convention": dissection.recipe.record()["convention"],
        "warnings": collect_warnings(chosen),
        "layers": layers,
    }


def describe_unit(layer: LayerDissection, unit: Unit, full: bool = False) -> dict[str, Any]:
    """One unit ready for JSON, with null for what is not known; `full` adds the best by category."""
    best = best_by_category(layer, unit.unit) if full else []
    listed = [
        {"category": where, "concept": one.name if one else None, "iou": iou} for where, one, iou in best
    ]
    figures = asdict(replace(unit, recipe=None))
    del figures["recipe"]
    for name in ("head_unit", "probe"):
        if not figures[name]:
            del figures[name]
    return {**plain(figures), **({"best_by_category": listed} if full else {})}
