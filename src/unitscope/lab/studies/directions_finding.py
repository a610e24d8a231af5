"""Are directions more of one concept than units are? Claims about SAEs, their controls, tables, verdicts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from functools import partial
from typing import Any

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.lab.studies.claims import Claim, spread
from unitscope.lab.studies.direction_bases import QUICK, Effort, Subject
from unitscope.lab.studies.direction_claims import (
    Side,
    average_removals,
    claim_directions,
    measure_aim,
    rules_of,
    spell_rules,
)
from unitscope.lab.studies.direction_removal import BEST, RemovalResult
from unitscope.lab.studies.directions import Measured, measure_all
from unitscope.lab.studies.figures.directions_figure import draw_directions
from unitscope.lab.studies.held_out import OWN, SHUFFLED, BestUnit, HeldOut
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.world import open_drawn
from unitscope.lab.zoo.weights_files import load_zoo
from unitscope.networks.network import Network
from unitscope.tables import Table

QUESTION = "Are the directions of a sparse autoencoder more of one concept than the units of the layer are?"
RULE = (
    "*Best by concept* is the mean over concepts of the IoU that the unit which was best on one half of the "
    "pictures has on the other half, at the thresholds of the first; *unique* are different concepts that "
    "units were named after on the first half and meet with an IoU above the cut-off on the other. Seeds "
    "halve the pictures, draw what is random and train; where a claim is about every threshold, or about "
    "several controls, the weakest verdict stands. *Not tested* is what a layer does not have."
)
UNIQUE = ("unique_04", "unique_10", "unique_sure")
ZOO = (("zoo:scene-classifier", "layer5"), ("zoo:scene-transformer", "blocks.3"))
"""The layers of the zoo that are studied."""
PHOTOGRAPHS = ("efficientnet-lite0", ("_blocks.10",))
"""The network that is studied over photographs, and its layers."""


def table_bases(rows: Sequence[HeldOut]) -> Table:
    """All bases of one subject at one threshold, for people: means over seeds and their range."""
    lines = []
    for kind, size in dict.fromkeys((one.kind, one.size) for one in rows):
        own, other = (Side(kind, size, labels) for labels in (OWN, SHUFFLED))
        units = next(one.units for one in rows if (one.kind, one.size) == (kind, size))
        lines.append(
            (
                *(own.name, units, spread(own.read(rows, "best"), ".3f")),
                _dash(other.read(rows, "best"), ".3f"),
                spread(own.read(rows, "mean"), ".3f"),
                *(spread(own.read(rows, field), ".1f") for field in ("unique_04", "unique_10")),
                _dash([100 * one for one in own.read(rows, "sure")], ".0f"),
                *(spread(own.read(rows, field), ".1f") for field in ("unique_sure", "dead")),
            )
        )
    head = ("", "units", "best by concept", "labels shuffled", "mean over units", "unique > .04", "> .10")
    return Table((*head, "q < .05, %", "unique", "dead"), tuple(lines))


def _dash(values: Sequence[float], form: str) -> str:
    return spread(values, form) if values else "–"


def table_thresholds(rows: Sequence[HeldOut]) -> Table:
    """Best by concept and unique concepts of one subject at every threshold, for people."""
    own = [one for one in rows if one.labels == OWN]
    rules = list(dict.fromkeys(map(rules_of, own)))
    lines = []
    for kind, size in dict.fromkeys((one.kind, one.size) for one in own):
        cells = []
        for some in ([one for one in own if rules_of(one) == rule] for rule in rules):
            best, *unique = (Side(kind, size).read(some, field) for field in ("best", *UNIQUE))
            counts = ", ".join(f"{np.mean(one):.1f}" for one in unique)
            cells.append(f"{spread(best, '.3f')}; {counts}")
        lines.append((Side(kind, size).name, *cells))
    return Table(
        ("best by concept; unique > .04, > .10, q < .05", *(spell_rules(*one) for one in rules)), tuple(lines)
    )


def table_removals(rows: Sequence[RemovalResult]) -> Table:
    """What removals change, for people: means over concepts, then over seeds, and the range of these."""
    lines = []
    for kind, chosen in dict.fromkeys((one.kind, one.chosen) for one in rows):
        measures: tuple[tuple[Callable[[RemovalResult], float], str], ...] = (
            (lambda row: 100 * row.moved, ".1f"),
            (lambda row: 100 * row.there, ".2f"),
            (lambda row: 100 * row.elsewhere, ".2f"),
            (lambda row: 100 * measure_aim(row), ".0f"),
            (lambda row: row.lost, ".3f"),
            (lambda row: 100 * row.recall, ".1f"),
            (lambda row: 100 * row.others, ".1f"),
        )
        cells = [_dash(average_removals(rows, kind, chosen, one), form) for one, form in measures]
        lines.append((f"{kind}, {'best' if chosen == BEST else 'random, as large'}", *cells))
    head = ("", "moved, %", "there, %", "elsewhere, %", "of it there, %", "margin lost", "recall, points")
    return Table((*head, "others, points"), tuple(lines))


def list_misses(claims: Sequence[Claim]) -> str:
    """The claims that do not hold, then those that are unclear, as lists in Markdown."""
    parts = []
    for verdict, said in (("does not replicate at this scale", "does not hold"), ("unclear", "is unclear")):
        missed = [one for one in claims if one.verdict == verdict]
        lines = [f"- {one.source}: {one.paper}. Measured: {one.ours}." for one in missed]
        parts += ["\n".join([f"What {said}:", "", *lines])] if lines else []
    return "\n\n".join(parts) or "Every claim that was tested held."


def spell_directions(found: Measured, claims: Sequence[Claim]) -> str:
    """The numbers as Markdown, a layer after the other, misses first."""
    parts = [list_misses(claims), *([f"Not there: {'; '.join(found.notes)}."] if found.notes else [])]
    for name in dict.fromkeys(one.subject for one in found.bases):
        rows = [one for one in found.bases if one.subject == name]
        central = [one for one in rows if rules_of(one) == rules_of(rows[0])]
        removed = [one for one in found.removals if one.subject == name]
        parts += [f"## {name}", f"At the convention's own threshold:\n\n{table_bases(central).markdown()}"]
        parts += [f"At every threshold:\n\n{table_thresholds(rows).markdown()}"]
        concepts = len({one.concept_id for one in removed})
        if removed:
            table = table_removals(removed).markdown()
            parts += [f"One direction removed, of {concepts} concepts one after the other:\n\n{table}"]
    return "\n\n".join(parts)


def judge_directions(found: Measured, *, quick: bool = False) -> Finding:
    """The finding, from all that was measured."""
    claims, seeds = claim_directions(found), len({one.seed for one in found.bases})
    sheets = {
        "bases.csv": _sheet(found.bases, HeldOut),
        "concepts.csv": _sheet(found.best, BestUnit),
        "removals.csv": _sheet(found.removals, RemovalResult),
    }
    return Finding(
        "directions",
        QUESTION,
        claims,
        spell_directions(found, claims),
        sheets,
        f"{seeds} of each layer",
        quick=quick,
        rule=RULE,
        figure=partial(draw_directions, found.bases, found.removals),
    )


def _sheet(rows: Sequence[Any], kind: type) -> Table:
    return Table.of(map(asdict, rows), [column.name for column in fields(kind)])


def study_directions(
    setting: Setting, subjects: Iterable[Subject] | None = None, effort: Effort | None = None
) -> Finding:
    """Compares units with other directions of their layers: rotated, components, SAEs, untrained ones.

    Without `subjects` in two layers of the zoo. What was fitted and measured is kept in the setting's folder,
    so that a study that was stopped goes on. Raises what `fit_directions`, `dissect` and `replay` raise.
    """
    some = list_zoo(setting) if subjects is None else subjects
    found = measure_all(some, setting, effort or (QUICK if setting.quick else Effort()))
    return judge_directions(found, quick=setting.quick)


def list_zoo(setting: Setting) -> Iterator[Subject]:
    """A layer of the zoo's classifier and one of its transformer, over drawn scenes.

    Directions are fitted to 4,000 other scenes, with `quick` to 50.
    """
    images = open_drawn(count=50 if setting.quick else 4000, seed=11, size=64)
    for name, layer in ZOO:
        network = load_zoo(name.removeprefix("zoo:"))
        yield Subject(f"{name} {layer}", network, layer, setting.source(), images)


def list_layers_of(
    network: Network,
    layers: Sequence[str],
    sources: Sequence[tuple[str, ConceptSource]],
    images: ConceptSource | None = None,
    *,
    name: str,
) -> Iterator[Subject]:
    """Every layer of a network over every source, each with its text. `images` are what is fitted to."""
    for text, source in sources:
        for layer in layers:
            yield Subject(f"{name} {layer}, {text}", network, layer, source, images)
