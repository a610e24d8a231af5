"""Grades dissection itself: units of known meaning go in, and what names come out?"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import LayerDissection
from unitscope.lab.studies.planting import (
    LAYER,
    Degradation,
    Maps,
    PlantedNetwork,
    Truth,
    list_degradations,
    partners,
    plant,
    plant_nothing,
    read_truth,
)
from unitscope.tables import Table, write_tables

NULL_UNITS = 200
SHIFTS = 400


@dataclass(frozen=True)
class Grade:
    """How units planted in one way were named, in one convention, from one seed.

    Fractions of `units`: `right` got exactly the planted concept, `category` one of its category, `second`
    (of mixtures) the weaker of the two, `detectors` passed the cut-offs. `iou` is the mean IoU with the
    planted concept. Of a mixture, the concept with the larger weight is the planted one.
    """

    convention: str
    kind: str
    strength: float
    seed: int
    units: int
    right: float
    category: float
    second: float
    detectors: float
    iou: float


@dataclass(frozen=True)
class NullGrade:
    """What was said of units that mean nothing: fractions with a low p- or q-value, and detectors.

    `distance` is Kolmogorov's distance of the p-values from uniform; by chance, 95 % of samples of this
    size stay below 1.36 / sqrt(units). `predicted` is what the run itself says it expects by chance.
    """

    convention: str
    seed: int
    units: int
    below_05: float
    below_01: float
    discoveries: float
    distance: float
    detectors: int
    predicted: float


@dataclass(frozen=True)
class Grades:
    """All that the study found."""

    planted: tuple[Grade, ...]
    nulls: tuple[NullGrade, ...]


def grade_conventions(source: ConceptSource, seeds: Sequence[int], *, null_units: int = NULL_UNITS) -> Grades:
    """Plants units of every concept of the source in every way, and grades every convention.

    The sides of the images must be divisible by 32, as the drawn world's at 64 pixels are.
    """
    truth = read_truth(source)
    ways = list(list_degradations())
    planted: list[Grade] = []
    nulls: list[NullGrade] = []
    with tqdm(total=len(seeds) * (len(ways) + 1), desc="grade", unit="plants", disable=None) as bar:
        for seed in seeds:
            for way in ways:
                maps = plant(truth, way, seed)
                planted += [_grade(source, truth, maps, way, name, seed) for name in CONVENTIONS]
                bar.update()
            maps = plant_nothing(len(source), null_units, seed + 1000)
            nulls += [_grade_nothing(source, maps, name, seed) for name in CONVENTIONS]
            bar.update()
    return Grades(tuple(planted), tuple(nulls))


def _dissect(source: ConceptSource, maps: Maps, convention: str, shifts: int) -> LayerDissection:
    network = PlantedNetwork(maps, source[0].image.shape[:2])
    spent = Confidences(shifts, 20)
    found = dissect(network, source, [LAYER], convention=convention, confidences=spent, batch_size=32)
    return found[LAYER]


def _grade(
    source: ConceptSource, truth: Truth, maps: Maps, way: Degradation, convention: str, seed: int
) -> Grade:
    layer = _dissect(source, maps, convention, 0)
    other = truth.ids[partners(truth, seed)]
    wanted, second = truth.ids, other
    if way.kind == "mixture" and way.strength > 0.5:
        wanted, second = other, truth.ids
    best = layer.labels.best
    place = source.vocabulary.category_index
    named = (best > 0) & (place[best] == place[wanted])
    return Grade(
        convention,
        way.kind,
        way.strength,
        seed,
        len(wanted),
        float((best == wanted).mean()),
        float(named.mean()),
        float((best == second).mean()) if way.kind == "mixture" else 0.0,
        float(layer.labels.detector.mean()),
        float(layer.iou[np.arange(len(wanted)), wanted].mean()),
    )


def _grade_nothing(source: ConceptSource, maps: Maps, convention: str, seed: int) -> NullGrade:
    layer = _dissect(source, maps, convention, SHIFTS)
    sure = layer.confidence
    assert sure is not None
    ordered = np.sort(sure.p_value)
    steps = np.arange(1, len(ordered) + 1) / len(ordered)
    distance = max(np.abs(ordered - steps).max(), np.abs(ordered - steps + 1 / len(ordered)).max())
    return NullGrade(
        convention,
        seed,
        len(layer),
        float((sure.p_value < 0.05).mean()),
        float((sure.p_value < 0.01).mean()),
        float((sure.q_value < 0.05).mean()),
        float(distance),
        layer.detectors,
        sure.chance_detectors,
    )


def average(grades: Iterable[Grade]) -> list[tuple[Grade, float]]:
    """One grade a convention, kind and strength: the mean over seeds, and the range of `right` over them."""
    groups: dict[tuple[str, str, float], list[Grade]] = {}
    for grade in grades:
        groups.setdefault((grade.convention, grade.kind, grade.strength), []).append(grade)
    measured = ("right", "category", "second", "detectors", "iou")
    result = []
    for group in groups.values():
        means: dict[str, Any] = {name: _mean(group, name) for name in measured}
        rights = [one.right for one in group]
        result.append((replace(group[0], seed=-1, **means), max(rights) - min(rights)))
    return result


def _mean(rows: Sequence[Grade] | Sequence[NullGrade], name: str) -> float:
    return float(np.mean([getattr(row, name) for row in rows]))


def write_grades(grades: Grades, out: Path) -> None:
    """Writes `planted.csv` and `nulls.csv` into a folder. Raises `RunError` where it cannot be written."""
    write_tables(
        out,
        {
            "planted.csv": Table.of(map(asdict, grades.planted), [one.name for one in fields(Grade)]),
            "nulls.csv": Table.of(map(asdict, grades.nulls), [one.name for one in fields(NullGrade)]),
        },
    )


def spell_grades(grades: Grades) -> str:
    """The study as two Markdown tables: shares named right, and what was said of units without meaning."""
    names = list(CONVENTIONS)
    means = {
        (one.convention, one.kind, one.strength): (one.right, far) for one, far in average(grades.planted)
    }
    lines = [f"| degradation | strength | {' | '.join(names)} |", f"|---|---:|{'---:|' * len(names)}"]
    for kind, strength in dict.fromkeys((kind, strength) for _, kind, strength in means):
        cells = (means[name, kind, strength] for name in names)
        told = " | ".join(f"{right:.0%} ± {far / 2:.0%}" for right, far in cells)
        lines.append(f"| {kind} | {strength:g} | {told} |")
    lines += ["", "| convention | p < .05 | p < .01 | q < .05 | distance | detectors | predicted |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    for name in names:
        some = [null for null in grades.nulls if null.convention == name]
        shares = [f"{_mean(some, field):.1%}" for field in ("below_05", "below_01", "discoveries")]
        counts = [f"{_mean(some, 'distance'):.3f}"]
        counts += [f"{_mean(some, field):.1f}" for field in ("detectors", "predicted")]
        lines.append(f"| {' | '.join([name, *shares, *counts])} |")
    return "\n".join(lines)


def make_source(images: int) -> ConceptSource:
    """The drawn scenes that units are planted over."""
    from unitscope.lab.world import open_drawn

    return open_drawn(count=images, seed=11, size=64)
