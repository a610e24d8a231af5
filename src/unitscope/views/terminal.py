"""A dissection as aligned text for a terminal, and as JSON with the same content."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from difflib import get_close_matches

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.counts import count_concepts, count_layer
from unitscope.dissection.matching import pick_layer
from unitscope.dissection.result import Dissection, LayerDissection, Unit
from unitscope.errors import UsageError
from unitscope.views.summary import (
    collect_warnings,
    count_images,
    known,
    name_network,
    name_source,
)

SCHEMA = 1
NAME_LETTERS = 32


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
    if limit < 0:
        raise UsageError(f"a table of {limit} rows was asked for; give 1 or more, or 0 for all")
    chosen = choose_layers(dissection, layer, unit)
    images = count_images(dissection)
    parts = [
        f"{clean(name_network(dissection))} over {images:,} {'image' if images == 1 else 'images'}"
        f" of {clean(name_source(dissection))}, convention {dissection.convention.name}"
    ]
    if unit is not None:
        parts += [show_unit(one, one[unit]) for one in chosen]
        return "\n\n".join(parts)
    parts.append(show_layers(chosen))
    if concept is not None:
        for found in find_concepts(dissection, concept):
            rows = [row for one in chosen for row in one if row.concept == found]
            title = f"{clean(found.label)} ({clean(found.category)})"
            parts.append(f"{title}\n{show_units(rows, limit)}")
    else:
        for one in chosen:
            rows = [row for row in one if row.detector]
            parts.append(f"{clean(one.layer)}: detectors\n" + show_units(rows, limit))
    warnings = [f"warning: {clean(text, None)}" for text in collect_warnings(chosen)]
    return "\n\n".join(parts + (["\n".join(warnings)] if warnings else []))


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


def find_concepts(dissection: Dissection, name: str) -> list[Concept]:
    """The concepts of that name or label, in any case and category."""
    wanted = name.casefold()
    words = dissection.vocabulary
    found = [one for one in words if wanted in (one.name.casefold(), one.label.casefold())]
    if not found:
        near = get_close_matches(name, [one.label for one in words], 3)
        hint = f"near names: {', '.join(near)}" if near else f"the vocabulary has {len(words)} concepts"
        raise UsageError(f"the run has no concept {name!r}; {hint}")
    return found


def show_layers(layers: Sequence[LayerDissection]) -> str:
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
    """A table of units, highest IoU first."""
    if not units:
        return "no units"
    ranked = sorted(units, key=lambda row: (-row.iou, row.unit))
    several = len({row.layer for row in units}) > 1
    confident = any(known(row.q_value) is not None for row in units)
    shown = ranked[: limit or None]
    head = [*(["layer"] if several else []), "unit", "concept", "category", "IoU"]
    rows = [[*head, *(["95 % interval", "q"] if confident else [])]]
    for row in shown:
        cells = [row.layer, str(row.unit)] if several else [str(row.unit)]
        cells += [row.concept.label if row.concept else "-", row.concept.category if row.concept else "-"]
        cells.append(f"{row.iou:.3f}")
        rows.append(cells + ([interval(row), figure(row.q_value)] if confident else []))
    text = align(rows, left=(0, 2, 3) if several else (1, 2))
    rest = len(ranked) - len(shown)
    return text + (f"\nand {rest:,} more; --limit 0 shows all" if rest else "")


def show_unit(layer: LayerDissection, unit: Unit) -> str:
    """Everything about one unit."""
    label = f"{unit.concept.label} ({unit.concept.category})" if unit.concept else "no label"
    facts = [
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
    title = f"unit {unit.unit} of {clean(layer.layer)}"
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
    low, high = known(unit.iou_low), known(unit.iou_high)
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def figure(value: float) -> str:
    """A number with three significant digits, a dash for NaN."""
    return "-" if known(value) is None else f"{value:.3g}"


def clean(text: str, letters: int | None = NAME_LETTERS) -> str:
    """The text in one line without control characters, which a terminal might obey, shortened.

    >>> clean("a\\x1b[31m\\nb"), clean("a long name", 6)
    ('a?[31m?b', 'a l...')
    """
    safe = "".join(letter if letter.isprintable() else "?" for letter in text)
    return safe if letters is None or len(safe) <= letters else safe[: letters - 3] + "..."


def align(rows: Sequence[Sequence[str]], left: Collection[int]) -> str:
    """Rows as columns two spaces apart, the columns in `left` flush left, the others right.

    >>> print(align([["unit", "IoU"], ["cat", "0.1"]], left=(0,)))
    unit  IoU
    cat   0.1
    """
    cleaned = [[clean(cell, 60) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cleaned, strict=True)]
    lines = []
    for row in cleaned:
        pairs = enumerate(zip(row, widths, strict=True))
        lines.append("  ".join(f"{c:<{w}}" if place in left else f"{c:>{w}}" for place, (c, w) in pairs))
    return "\n".join(line.rstrip() for line in lines)


def describe_dissection(
    dissection: Dissection, layer: str | None = None, unit: int | None = None, concept: str | None = None
) -> dict[str, object]:
    """What `show_dissection` shows, ready for JSON; the units are not cut short.

    `schema` is the version of this form. Raises `UsageError` like `show_dissection`.
    """
    chosen = choose_layers(dissection, layer, unit)
    wanted = None if concept is None else find_concepts(dissection, concept)
    layers = []
    for one in chosen:
        if unit is not None:
            units = [one[unit]]
        elif wanted is not None:
            units = [row for row in one if row.concept in wanted]
        else:
            units = [row for row in one if row.detector]
        units.sort(key=lambda row: (-row.iou, row.unit))
        told: dict[str, object] = count_layer(one).record()
        told["concepts"] = [
            {"name": found.name, "category": found.category, "detectors": count}
            for found, count in count_concepts(one)
        ]
        told["listed"] = [describe_unit(one, row, full=unit is not None) for row in units]
        layers.append(told)
    return {
        "schema": SCHEMA,
        "network": name_network(dissection),
        "source": name_source(dissection),
        "images": count_images(dissection),
        "convention": asdict(dissection.convention),
        "warnings": collect_warnings(chosen),
        "layers": layers,
    }


def describe_unit(layer: LayerDissection, unit: Unit, full: bool = False) -> dict[str, object]:
    """One unit ready for JSON, with null for what is not known; `full` adds the best by category."""
    told: dict[str, object] = {}
    for name, value in asdict(unit).items():
        told[name] = known(value) if isinstance(value, float) else value
    if full:
        told["best_by_category"] = [
            {"category": category, "concept": best.name if best else None, "iou": iou}
            for category, best, iou in best_by_category(layer, unit.unit)
        ]
    return told
