"""The tables of a study of placement: CSV, JSON, and what the terminal prints."""

from collections.abc import Iterator
from pathlib import Path

from unitscope.concepts.vocabulary import Concept
from unitscope.experiments.erasure import By, Target
from unitscope.experiments.erasure_tables import WORDS, describe_share, spell_share, unit_rows
from unitscope.experiments.placement import LEAST, Placement
from unitscope.experiments.tables import Cells, short, write_tables
from unitscope.interventions.insertion import Trials
from unitscope.tables import guard_cell

UNNAMED = "(unnamed)"
ALL = "(all)"


def write_placement(study: Placement, out: Path) -> list[Path]:
    """Writes placement.csv, trials.csv and units.csv into a folder; their paths.

    Raises `RunError` where they cannot be written.
    """
    units = unit_rows(study.targets, study.rankings, study.count)
    tables = {"placement": context_rows(study), "trials": trial_rows(study), "units": units}
    return write_tables(out, {f"{name}.csv": rows for name, rows in tables.items()})


def name_context(context: Concept | None) -> str:
    """What stood at a place, for people."""
    return context.label if context else UNNAMED


def context_rows(study: Placement) -> Iterator[Cells]:
    """A row a concept, set of units and context, with all contexts that occurred and all of them together."""
    yield ["concept", "layer", "by", "context", "trials", "effect", "low", "high", "deviation",
           "added", "added_low", "added_high", "causal", "causal_low", "causal_high"]  # fmt: skip
    for target in study.targets:
        together = {by: study.trials[target.concept.id, by] for by in study.kinds}
        contexts = [(guard_cell(name_context(one)), kept) for one, kept in study.contexts(target, 1)]
        for context, kinds in [(ALL, together), *contexts]:
            for by, trials in kinds.items():
                shares = (trials.effect, trials.added, trials.causal)
                cells = [[short(s.value), short(s.low), short(s.high)] for s in shares]
                head = [guard_cell(target.concept.name), guard_cell(target.layer), by, context]
                yield [*head, str(len(trials)), *cells[0], short(trials.deviation), *cells[1], *cells[2]]


def trial_rows(study: Placement) -> Iterator[Cells]:
    """A row a trial."""
    yield ["concept", "by", "image", "context", "change", "before", "inserted", "removed"]
    for target in study.targets:
        for by in study.kinds:
            trials = study.trials[target.concept.id, by]
            for row in range(len(trials)):
                context = int(trials.context[row])
                named = study.vocabulary[context].name if context in study.vocabulary else UNNAMED
                figures = (trials.before[row], trials.inserted[row], trials.removed[row])
                yield [
                    *(guard_cell(target.concept.name), by, str(int(trials.image[row])), guard_cell(named)),
                    *(str(int(trials.change[row])), *(short(float(one)) for one in figures)),
                ]


def spell_placement(study: Placement, least: int = LEAST) -> str:
    """The table that the terminal shows: what units do by context, and all contexts together."""
    head = ["concept", "where", "trials", *(f"{study.count} {WORDS[by]}" for by in study.kinds)]
    rows = [[*head, *(f"causal {WORDS[by]}" for by in study.kinds)]]
    for target in study.targets:
        rows.append(_spell(study, target, "everywhere", dict(_together(study, target))))
        rows += [
            _spell(study, target, name_context(one), kinds) for one, kinds in study.contexts(target, least)
        ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _together(study: Placement, target: Target) -> Iterator[tuple[By, Trials]]:
    return ((by, study.trials[target.concept.id, by]) for by in study.kinds)


def _spell(study: Placement, target: Target, where: str, kinds: dict[By, Trials]) -> Cells:
    return [
        target.concept.label,
        where,
        f"{len(kinds['iou']):,}",
        *(spell_share(kinds[by].effect) for by in study.kinds),
        *(spell_share(kinds[by].causal) for by in study.kinds),
    ]


def describe_placement(study: Placement, least: int = LEAST) -> dict[str, object]:
    """The study in short, ready for JSON."""
    return {
        "generator": study.generator,
        "segmenter": study.segmenter,
        "latents": study.latents,
        "ranked_images": study.ranked,
        "first_image": study.first,
        "images": study.images,
        "places": study.places,
        "across": study.across,
        "units": study.count,
        "rule": study.rule,
        "draws": study.draws,
        "seed": study.seed,
        "concepts": [
            {
                "concept": target.concept.name,
                "layer": target.layer,
                "units": {by: list(orders[target.concept.id]) for by, orders in study.rankings.items()},
                "everywhere": {by: _describe(trials) for by, trials in _together(study, target)},
                "contexts": [
                    {"context": one.name if one else UNNAMED,
                     "by": {by: _describe(trials) for by, trials in kinds.items()}}
                    for one, kinds in study.contexts(target, least)
                ],
            }
            for target in study.targets
        ],
    }  # fmt: skip


def _describe(trials: Trials) -> dict[str, object]:
    return {
        "trials": len(trials),
        "effect": describe_share(trials.effect),
        "added": describe_share(trials.added),
        "causal": describe_share(trials.causal),
    }
