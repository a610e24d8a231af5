"""The tables of a study of removal: CSV, JSON, and what the terminal prints."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from unitscope.errors import writing
from unitscope.experiments.removal import Removal
from unitscope.experiments.tables import Cells, short, write_tables
from unitscope.interventions.importance import TOP, By, list_edges, shared_units
from unitscope.interventions.sweeps import Kind, Span
from unitscope.tables import guard_cell

MEASURES: tuple[By, ...] = ("accuracy", "margin", "contrast")
MEAN = "(mean)"
NAME_LETTERS = 24


def table_kinds(study: Removal) -> list[tuple[Kind, int, str]]:
    """The columns of the paper's table: what is removed, how many, in words (paper B, fig. 2b)."""
    few, many = study.few, study.many
    most: list[tuple[Kind, int, str]] = [("most", n, f"{n} most") for n in dict.fromkeys((few, many))]
    return [
        ("none", 0, "none"),
        *most,
        ("random", many, f"{many} random"),
        ("least", many, f"{many} least"),
        ("only", many, f"all but {many}"),
    ]


def write_removal(study: Removal, out: Path) -> list[Path]:
    """Writes importance.csv, removal.csv, classes.csv and graph.json into a folder; their paths.

    Raises `RunError` where they cannot be written.
    """
    tables = {"importance": importance_rows, "removal": removal_rows, "classes": class_rows}
    graph = json.dumps(describe_graph(study), indent=1)
    written = write_tables(out, {f"{name}.csv": rows(study) for name, rows in tables.items()})
    with writing(out):
        (out / "graph.json").write_text(f"{graph}\n", encoding="utf-8")
    return [*written, out / "graph.json"]


def importance_rows(study: Removal) -> Iterator[Cells]:
    """A row a class and unit, the most important one first; drops on the ranking and on the test images."""
    yield ["class", "unit", "rank", *(f"{half}{by}_drop" for half in ("", "test_") for by in MEASURES),
           "peak_correlation", "concept", "category", "iou"]  # fmt: skip
    named = [_named(study, unit) for unit in range(study.units)]
    tables = [getattr(half, by) for half in (study.ranked, study.tested) for by in MEASURES]
    for target in study.targets.tolist():
        name = guard_cell(study.classes[target])
        for rank, unit in enumerate(study.ranked.order[target].tolist(), 1):
            figures = [short(float(table[target, unit])) for table in (*tables, study.correlation)]
            concept, category, iou = named[unit]
            said = [guard_cell(concept), guard_cell(category), "" if iou is None else short(iou)]
            yield [name, str(unit), str(rank), *figures, *said]


def _named(study: Removal, unit: int) -> tuple[str, str, float | None]:
    if study.named is None:
        return "", "", None
    told = study.named[unit]
    return (told.concept.name, told.concept.category, told.iou) if told.concept else ("", "", 0.0)


def removal_rows(study: Removal) -> Iterator[Cells]:
    """A row a class, kind, count and draw."""
    yield ["class", "kind", "count", "draw", "balanced_accuracy", "recall", "overall_accuracy"]
    for row in study.sweeps:
        figures = [short(value) for value in (row.balanced, row.recall, row.accuracy)]
        yield [guard_cell(study.classes[row.target]), row.kind, str(row.count), str(row.draw), *figures]


def class_rows(study: Removal) -> Iterator[Cells]:
    """The paper's table, a row a class and column of it; the mean over classes first."""
    yield ["class", "kind", "count", "balanced_accuracy", "balanced_low", "balanced_high",
           "overall_accuracy", "overall_low", "overall_high"]  # fmt: skip
    for target in (None, *study.targets.tolist()):
        name = MEAN if target is None else guard_cell(study.classes[target])
        for kind, count, _ in table_kinds(study):
            level = study.levels[target, kind, count]
            yield [name, kind, str(count), *_cells(level.balanced), *_cells(level.accuracy)]


def _cells(span: Span) -> Cells:
    return ["" if value is None else short(value) for value in (span.value, span.low, span.high)]


def describe_graph(study: Removal) -> dict[str, object]:
    """The graph of classes and the units that matter to them, ready for JSON; shared units first."""
    edges = list(list_edges(study.ranked))
    shared = shared_units(study.ranked)
    nodes = []
    for unit in dict.fromkeys([*shared, *sorted(edge.unit for edge in edges)]):
        concept, category, iou = _named(study, unit)
        classes = [study.classes[edge.target] for edge in edges if edge.unit == unit]
        nodes.append({"unit": unit, "concept": concept, "category": category, "iou": iou, "classes": classes})
    return {
        "network": study.network,
        "layer": study.layer,
        "by": study.ranked.by,
        "classes": [study.classes[target] for target in study.targets.tolist()],
        "units": nodes,
        "edges": [
            {
                "class": study.classes[edge.target],
                "unit": edge.unit,
                "rank": edge.rank,
                "drop": edge.drop,
                "peak_correlation": float(study.correlation[edge.target, edge.unit]),
            }
            for edge in edges
        ],
    }


def describe_removal(study: Removal) -> dict[str, object]:
    """The study in short, ready for JSON: the table, signs of correlation, importance against IoU."""
    told = study.labelling
    targets = (None, *study.targets.tolist())
    return {
        "network": study.network,
        "layer": study.layer,
        "units": study.units,
        "by": study.ranked.by,
        "draws": study.draws,
        "ranking": {"source": study.ranking_source, "images": study.ranking_images},
        "testing": {"source": study.testing_source, "images": study.testing_images},
        "table": [
            asdict(study.levels[target, kind, count])
            | {"target": None if target is None else study.classes[target]}
            for target in targets
            for kind, count, _ in table_kinds(study)
        ],
        "shared_units": len(shared_units(study.ranked)),
        "positive_correlations": asdict(study.signs),
        "iou_with_classes": None if told is None else asdict(told.with_classes),
        "iou_with_importance": None if told is None else asdict(told.with_importance),
    }


def spell_removal(study: Removal) -> str:
    """The paper's table as aligned text: balanced accuracy, then that of all classes with it, in percent."""
    kinds = table_kinds(study)
    rows = [["removed", *(words for _, _, words in kinds)]]
    for target in (None, *study.targets.tolist()):
        name = f"mean of {len(study.targets)}" if target is None else study.classes[target][:NAME_LETTERS]
        levels = [study.levels[target, kind, count] for kind, count, _ in kinds]
        cells = [f"{100 * one.balanced.value:.1f} / {100 * one.accuracy.value:.1f}" for one in levels]
        rows.append([name, *cells])
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]).rstrip() for row in rows
    )


def spell_findings(study: Removal) -> list[str]:
    """The figures beside the table, a line each."""
    levels, many = study.levels, study.many
    whole, gone = levels[None, "none", 0].balanced, levels[None, "most", many].balanced
    lots, kept = levels[None, "random", many].balanced, levels[None, "only", many].balanced
    lines = [
        f"balanced accuracy {spell_span(whole)}; without the {many} most important units {spell_span(gone)}, "
        f"without {many} random ones {spell_span(lots)}, with nothing but the {many} {spell_span(kept)}",
        f"{len(shared_units(study.ranked))} units are among the {TOP} most important ones of several classes",
        f"peak and class rise together in {study.signs.important:.0%} of important pairs, "
        f"in {study.signs.every:.0%} of all",
    ]
    if study.labelling is not None:
        for name, one in (
            ("the number of classes a unit matters to", study.labelling.with_classes),
            ("mean importance", study.labelling.with_importance),
        ):
            lines.append(
                f"rank correlation of IoU with {name}: {one.value:.2f} ({one.low:.2f} to {one.high:.2f}), "
                f"shuffled {one.chance_low:.2f} to {one.chance_high:.2f}"
            )
    return lines


def spell_span(span: Span, form: str = ".3f") -> str:
    """A mean with its interval.

    >>> spell_span(Span(0.5, 0.4, 0.6), ".1f")
    '0.5 (0.4 to 0.6)'
    """
    if span.low is None or span.high is None:
        return format(span.value, form)
    return f"{span.value:{form}} ({span.low:{form}} to {span.high:{form}})"
