"""The tables of a study of erasure: CSV, JSON, and what the terminal prints."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from unitscope.experiments.erasure import By, Erasure, Target
from unitscope.experiments.tables import Cells, short, write_tables
from unitscope.interventions.areas import Share
from unitscope.tables import guard_cell

WORDS: dict[By, str] = {"iou": "by IoU", "effect": "by effect", "random": "random"}


def write_erasure(study: Erasure, out: Path) -> list[Path]:
    """Writes erasure.csv, others.csv and units.csv into a folder; their paths.

    Raises `RunError` where they cannot be written.
    """
    units = unit_rows(study.targets, study.rankings, max(study.counts))
    tables = {"erasure": erasure_rows(study), "others": other_rows(study), "units": units}
    return write_tables(out, {f"{name}.csv": rows for name, rows in tables.items()})


def erasure_rows(study: Erasure) -> Iterator[Cells]:
    """A row a concept, ranking and count; for random units also one a draw."""
    yield ["concept", "layer", "by", "count", "draw", "removed", "low", "high", "others_changed"]
    for target in study.targets:
        layer = study.layers[target.layer]
        name = guard_cell(target.concept.name)
        for by in study.kinds:
            for count in study.counts:
                share = study.removed(target, by, count)
                aside = short(study.aside(target, by, count))
                head = [name, guard_cell(target.layer), by, str(count)]
                yield [*head, "", *_cells(share), aside]
                if by != "random":
                    continue
                _, place = layer.find("random", 0, count)
                for draw, lot in enumerate(layer.lots):
                    one = lot.removed(place, target.concept.id)
                    changed = short(lot.aside(place, target.concept.id))
                    yield [*head, str(draw), *_cells(one), changed]


def other_rows(study: Erasure) -> Iterator[Cells]:
    """What every concept of the pictures loses: as a share of its pixels, and of all pixels gained."""
    yield [
        "target",
        "layer",
        "by",
        "count",
        "concept",
        "category",
        "pixels",
        "removed",
        "low",
        "high",
        "gained",
    ]
    for target in study.targets:
        layer = study.layers[target.layer]
        for by in study.kinds:
            for count in study.counts:
                areas, place = layer.find(by, target.concept.id, count)
                growth = areas.growth(place)
                for one in study.vocabulary:
                    if not layer.areas.before[one.id]:
                        continue
                    share = study.removed(target, by, count, one)
                    yield [
                        *(guard_cell(target.concept.name), guard_cell(target.layer), by, str(count)),
                        *(guard_cell(one.name), guard_cell(one.category), short(layer.areas.cover(one.id))),
                        *(*_cells(share), short(float(growth[one.id]))),
                    ]


def unit_rows(
    targets: Iterable[Target], rankings: Mapping[By, Mapping[int, Sequence[int]]], count: int
) -> Iterator[Cells]:
    """The first `count` units of every ranking, in the order in which they were removed or set."""
    yield ["concept", "layer", "by", "rank", "unit"]
    for target in targets:
        for by, orders in rankings.items():
            for rank, unit in enumerate(orders[target.concept.id][:count], 1):
                yield [guard_cell(target.concept.name), guard_cell(target.layer), by, str(rank), str(unit)]


def _cells(share: Share) -> Cells:
    return [short(value) for value in (share.value, share.low, share.high)]


def spell_share(share: Share) -> str:
    """A share in percent with its interval.

    >>> spell_share(Share(0.5, 0.4, 0.61)), spell_share(Share(float("nan"), 0.0, 0.0))
    ('50.0 (40.0 to 61.0)', '-')
    """
    if math.isnan(share.value):
        return "-"
    if math.isnan(share.low):
        return f"{100 * share.value:.1f}"
    return f"{100 * share.value:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f})"


def spell_erasure(study: Erasure) -> str:
    """The table that the terminal shows: what goes with the most units."""
    many = study.many
    head = ["concept", "layer", "of pixels"]
    head += [f"{many} {WORDS[by]}" for by in study.kinds]
    head += ["others changed", "by random", "other that loses most"]
    rows = [head]
    for target in study.targets:
        others = study.others(target, "iou", many)
        most = f"{others[0][0].label} {100 * others[0][1].value:.1f}" if others else "-"
        rows.append(
            [
                target.concept.label,
                target.layer,
                f"{100 * study.cover(target):.1f}",
                *(spell_share(study.removed(target, by, many)) for by in study.kinds),
                f"{100 * study.aside(target, 'iou', many):.1f}",
                f"{100 * study.aside(target, 'random', many):.1f}",
                most,
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    left = (0, 1, len(head) - 1)
    lines = (
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def describe_erasure(study: Erasure) -> dict[str, object]:
    """The study in short, ready for JSON."""
    return {
        "generator": study.generator,
        "segmenter": study.segmenter,
        "latents": study.latents,
        "ranked_images": study.ranked,
        "first_image": study.first,
        "images": study.images,
        "draws": study.draws,
        "seed": study.seed,
        "counts": list(study.counts),
        "concepts": [_describe(study, target) for target in study.targets],
    }


def _describe(study: Erasure, target: Target) -> dict[str, object]:
    return {
        "concept": target.concept.name,
        "category": target.concept.category,
        "layer": target.layer,
        "cover": study.cover(target),
        "units": {by: list(orders[target.concept.id]) for by, orders in study.rankings.items()},
        "removed": {
            by: [
                {"count": count, **describe_share(study.removed(target, by, count)),
                 "others_changed": study.aside(target, by, count)}
                for count in study.counts
            ]
            for by in study.kinds
        },
        "others": [
            {"concept": one.name, **describe_share(share)}
            for one, share in study.others(target, "iou", study.many)
        ],
    }  # fmt: skip


def describe_share(share: Share) -> dict[str, float | None]:
    """A share ready for JSON, None where it is not a number."""
    parts = {"value": share.value, "low": share.low, "high": share.high}
    return {name: None if math.isnan(value) else value for name, value in parts.items()}
