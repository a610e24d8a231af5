"""Grades dissection itself: how many units whose meaning is known get the right name?"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import LayerDissection
from unitscope.executors.calls import Arrays, Work
from unitscope.executors.jobs import Executor
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
from unitscope.lab.studies.records import pack_records, read_records
from unitscope.lab.studies.study import StudyResult
from unitscope.lab.world import open_drawn
from unitscope.networks.shared_work import share
from unitscope.networks.specifications import specify_source
from unitscope.progress import follow_each
from unitscope.tables import Table
from unitscope.views.figures import Panel, draw_panels

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
    """What dissection makes of units that mean nothing: fractions with a low p- or q-value, and detectors.

    `distance` is Kolmogorov's distance of the p-values from uniform; by chance, 95 % of samples of this
    size stay below 1.36 / sqrt(units). `predicted` is how many the run itself expects by chance.
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
class Grades(StudyResult):
    """Everything that the study found."""

    planted: tuple[Grade, ...]
    nulls: tuple[NullGrade, ...]
    quick: bool = False

    def tables(self) -> dict[str, Table]:
        """planted.csv and nulls.csv, a row a grade."""
        kinds = (("planted.csv", Grade, self.planted), ("nulls.csv", NullGrade, self.nulls))
        return {
            name: Table.of(map(asdict, grades), [column.name for column in fields(kind)])
            for name, kind, grades in kinds
        }

    def text(self) -> str:
        """Two Markdown tables: shares named right, and what was found in units without meaning."""
        means = {
            (one.convention, one.kind, one.strength): f"{one.right:.0%} ± {reach / 2:.0%}"
            for one, reach in average(self.planted)
        }
        planted: list[tuple[str, ...]] = []
        for kind, strength in dict.fromkeys((kind, strength) for _, kind, strength in means):
            planted.append((kind, f"{strength:g}", *(means[name, kind, strength] for name in CONVENTIONS)))
        nulls = []
        for name in CONVENTIONS:
            some = [null for null in self.nulls if null.convention == name]
            cells = [f"{_mean(some, field):.1%}" for field in ("below_05", "below_01", "discoveries")]
            cells += [f"{_mean(some, 'distance'):.3f}"]
            nulls.append(
                (name, *cells, *(f"{_mean(some, field):.1f}" for field in ("detectors", "predicted")))
            )
        head = ("convention", "p < .05", "p < .01", "q < .05", "distance", "detectors", "predicted")
        tables = (Table(("degradation", "strength", *CONVENTIONS), tuple(planted)), Table(head, tuple(nulls)))
        text = "\n\n".join(table.markdown() for table in tables)
        return f"A quick look, not a result.\n{text}" if self.quick else text

    def record(self) -> dict[str, Any]:
        """Every grade."""
        return {
            "planted": [asdict(one) for one in self.planted],
            "nulls": [asdict(one) for one in self.nulls],
        }

    def draw(self, path: Path) -> Path:
        """Draws the share named right over the strength of each degradation; raises as `draw_panels` does."""
        lines: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
        for mean, reach in average(self.planted):
            convention = lines.setdefault(mean.kind, {}).setdefault(mean.convention, [])
            convention.append((mean.strength, mean.right, reach / 2))
        panels = [Panel(kind, "strength", some) for kind, some in lines.items()]
        return draw_panels(panels, path, y="named right")


def study_grade(
    images: int = 300, seeds: int = 3, *, quick: bool = False, executor: Executor | None = None
) -> Grades:
    """Grades every convention over so many drawn scenes, everything repeated with other noise.

    `quick` takes 60 scenes and one seed, a first look; `executor` has workers that share the plants.
    """
    images, seeds = (60, 1) if quick else (images, seeds)
    source = open_drawn(count=images, seed=11, size=64)
    units = 60 if quick else NULL_UNITS
    found = grade_conventions(source, range(seeds), null_units=units, executor=executor)
    return replace(found, quick=quick)


def grade_conventions(
    source: ConceptSource,
    seeds: Sequence[int],
    *,
    null_units: int = NULL_UNITS,
    executor: Executor | None = None,
) -> Grades:
    """Plants units of every concept of the source in every way, and grades every convention.

    The sides of the images must be divisible by 32, as the drawn world's at 64 pixels are. `executor` has
    workers that share the plants. Raises `UsageError` where they cannot open the source.
    """
    given = {"source": source, "seeds": list(seeds), "null_units": null_units}
    count = len(seeds) * (len(list(list_degradations())) + 1)
    planted: list[Grade] = []
    nulls: list[NullGrade] = []
    with closing(
        share(prepare_grades, given, count, executor, lambda: {"source": specify_source(source)})
    ) as parts:
        for part in follow_each(parts, "grade", "plants", count):
            planted += [Grade(**record) for record in read_records(part["planted"])]
            nulls += [NullGrade(**record) for record in read_records(part["nulls"])]
    return Grades(tuple(planted), tuple(nulls))


def prepare_grades(source: ConceptSource, seeds: Sequence[int], null_units: int) -> Work:
    """What plants units in one way after the other, for every seed, and grades every convention."""
    truth, ways = read_truth(source), list(list_degradations())

    def work(number: int) -> Arrays:
        place, which = divmod(number, len(ways) + 1)
        seed, planted, nulls = seeds[place], list[Grade](), list[NullGrade]()
        if which < len(ways):
            maps = plant(truth, ways[which], seed)
            planted = [_grade(source, truth, maps, ways[which], name, seed) for name in CONVENTIONS]
        else:
            maps = plant_nothing(len(source), null_units, seed + 1000)
            nulls = [_grade_nothing(source, maps, name, seed) for name in CONVENTIONS]
        return {"planted": pack_records(planted), "nulls": pack_records(nulls)}

    return work


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
    return Grade(
        *(convention, way.kind, way.strength, seed, len(wanted)),
        right=float((best == wanted).mean()),
        category=float(((best > 0) & (place[best] == place[wanted])).mean()),
        second=float((best == second).mean()) if way.kind == "mixture" else 0.0,
        detectors=float(layer.labels.detector.mean()),
        iou=float(layer.iou[np.arange(len(wanted)), wanted].mean()),
    )


def _grade_nothing(source: ConceptSource, maps: Maps, convention: str, seed: int) -> NullGrade:
    layer = _dissect(source, maps, convention, SHIFTS)
    sure = layer.confidence
    assert sure is not None
    ordered = np.sort(sure.p_value)
    steps = np.arange(1, len(ordered) + 1) / len(ordered)
    distance = max(np.abs(ordered - steps).max(), np.abs(ordered - steps + 1 / len(ordered)).max())
    return NullGrade(
        *(convention, seed, len(layer)),
        below_05=float((sure.p_value < 0.05).mean()),
        below_01=float((sure.p_value < 0.01).mean()),
        discoveries=float((sure.q_value < 0.05).mean()),
        distance=float(distance),
        detectors=layer.detectors,
        predicted=sure.chance_detectors,
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
