"""Units followed through the checkpoints of a training: what each was called at every step."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from unitscope.concepts.vocabulary import Concept, ConceptSource, Vocabulary
from unitscope.dissection.result import LayerDissection
from unitscope.errors import UsageError
from unitscope.lab.studies.claims import spread
from unitscope.lab.studies.trained_groups import (
    Representation,
    Setting,
    Snapshot,
    Wanted,
    describe_layer,
    dissect_kept,
    measure_skill,
    pack_pictures,
)
from unitscope.lab.zoo.trained_models import LAST, StudyModel, seconds_of
from unitscope.tables import Table

NONE = "none"
"""The category of a unit that is no detector."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """The names of one layer's units at several steps, the concept ids 0 where a unit is dead.

    `iou` is that with the concept of each step, `detector` says where it passes the cut-off.
    """

    steps: tuple[int, ...]
    vocabulary: Vocabulary
    concepts: Int64[np.ndarray, "step unit"]
    iou: Float64[np.ndarray, "step unit"]
    detector: Bool[np.ndarray, "step unit"]

    @cached_property
    def categories(self) -> list[list[str]]:
        """The category of every detector at every step, `NONE` for a unit that is none."""
        units = range(self.concepts.shape[1])
        found = ([self.concept(place, unit) for unit in units] for place in range(len(self.steps)))
        return [[concept.category if concept else NONE for concept in step] for step in found]

    def concept(self, place: int, unit: int) -> Concept | None:
        """What a unit detects at a step, None where it detects nothing."""
        return self.vocabulary[int(self.concepts[place, unit])] if self.detector[place, unit] else None


@dataclass(frozen=True, eq=False)
class Training:
    """One training, dissected at its checkpoints: a row a step, and the tracks of the units."""

    rows: tuple[Representation, ...]
    tracks: Tracks

    def count(self, *categories: str) -> list[int]:
        """The unique concepts of some categories, a number a step."""
        return [sum(row.count(category) for category in categories) for row in self.rows]


def track_units(layers: Sequence[LayerDissection], steps: Sequence[int]) -> Tracks:
    """The tracks of the units of one layer, dissected at every one of `steps`.

    Raises `UsageError` where the layers have other numbers of units or other vocabularies, or there is none.
    """
    if not layers or len(layers) != len(steps):
        raise UsageError(
            f"{len(layers)} dissections for {len(steps)} steps; wanted one for each, at least one"
        )
    first = layers[0]
    for layer in layers[1:]:
        if len(layer) != len(first):
            raise UsageError(
                f"{len(layer)} units cannot be followed from {len(first)}; give one network's steps"
            )
        if layer.vocabulary != first.vocabulary:
            raise UsageError("units can be followed over one source of concepts; these differ")
    return Tracks(
        tuple(steps),
        first.vocabulary,
        np.stack([layer.labels.best for layer in layers]).astype(np.int64),
        np.stack([layer.labels.best_iou for layer in layers]),
        np.stack([layer.labels.detector for layer in layers]),
    )


def make_training(
    layers: Mapping[int, LayerDissection],
    group: str,
    seed: int,
    skills: Mapping[int, float] | None = None,
    seconds: float = 0.0,
) -> Training:
    """The training whose layer is dissected at every step; `seconds`, what it took, stand in its last row.

    Raises `UsageError` as `track_units` does.
    """
    tracks, known = track_units(list(layers.values()), list(layers)), skills or {}
    *rows, last = (
        describe_layer(layer, group, seed, step=step, skill=known.get(step, float("nan")))
        for step, layer in layers.items()
    )
    return Training((*rows, replace(last, seconds=seconds)), tracks)


def follow_student(
    model: StudyModel, setting: Setting, source: ConceptSource, group: str, name: str
) -> Training:
    """The last layer of a student at every checkpoint, step 0 being where it started.

    That is the network of its first course, or random weights. `name` is that of its kept dissections.
    """
    layers, skills = {}, {}
    for step, (student, names, kept) in list_steps(model, name).items():
        network = student.open(setting)
        layers[step] = dissect_kept(network, names, source, setting, kept)[LAST]
        skills[step] = measure_skill(network, pack_pictures(source, network, setting))
    return make_training(layers, group, model.seed, skills, seconds_of(model, setting.networks))


def list_steps(model: StudyModel, name: str) -> dict[int, Wanted]:
    """The dissections that `follow_student` takes, by step."""
    start = Snapshot(model.start) if model.start else Snapshot(model, taught=False)
    students = {0: start, **{step: Snapshot(model, step) for step in model.course.keep}}
    return {step: (one, (LAST,), f"{name}-{model.seed}-{step}") for step, one in students.items()}


def count_changes(tracks: Tracks) -> Counter[tuple[str, str]]:
    """How often a unit goes from one category to another between one step and the next, `NONE` included.

    A unit that stays in its category counts too, as (category, category).
    """
    changes: Counter[tuple[str, str]] = Counter()
    for before, after in zip(tracks.categories, tracks.categories[1:], strict=False):
        changes.update(zip(before, after, strict=True))
    return changes


def find_births(tracks: Tracks, category: str) -> list[int]:
    """For every unit that ends as a detector of a category, the step since which it has been one."""
    births = []
    for unit, last in enumerate(tracks.categories[-1]):
        if last == category:
            others = [place for place, step in enumerate(tracks.categories) if step[unit] != category]
            births.append(tracks.steps[others[-1] + 1 if others else 0])
    return births


def find_pasts(tracks: Tracks, category: str) -> Counter[str]:
    """The last other category of every unit that ends as a detector of this one, `NONE` without any."""
    pasts: Counter[str] = Counter()
    for unit, last in enumerate(tracks.categories[-1]):
        if last == category:
            earlier = [step[unit] for step in tracks.categories if step[unit] not in (category, NONE)]
            pasts[earlier[-1] if earlier else NONE] += 1
    return pasts


def keep_share(tracks: Tracks, first: int = 0, last: int = -1) -> float:
    """The share of a step's detectors that detect the same concept at another; NaN where there is none."""
    was = tracks.detector[first]
    if not was.any():
        return float("nan")
    same = (tracks.concepts[first] == tracks.concepts[last]) & tracks.detector[last]
    return float(same[was].mean())


def find_movers(tracks: Tracks, count: int = 8) -> list[int]:
    """Units that detect one thing at the first step and another at the last, the surest ones first."""
    moved = tracks.detector[0] & tracks.detector[-1] & (tracks.concepts[0] != tracks.concepts[-1])
    sure = np.minimum(tracks.iou[0], tracks.iou[-1])
    order = np.argsort(-sure, kind="stable")
    return [int(unit) for unit in order if moved[unit]][:count]


def table_steps(
    groups: Mapping[str, Sequence[Training]], columns: Sequence[str], what: str | None = None
) -> Table:
    """Means over seeds at every step, for people: a row a step of every group of trainings.

    `columns` are of "step", "detectors", categories, "unique", "kept" (the share of the first detectors
    that have the same name) and "scene right", which is left out where no skill is known. `what` is the head
    of a first column with the groups' names.
    """
    rows = []
    for group, trainings in groups.items():
        for place, seeds in enumerate(zip(*(training.rows for training in trainings), strict=True)):
            kept = [keep_share(training.tracks, 0, place) for training in trainings]
            skills = [row.skill for row in seeds if row.skill == row.skill]
            cells = {
                what: group,
                "step": str(seeds[0].step),
                "detectors": f"{np.mean([row.detectors for row in seeds]):.1f}",
                "unique": spread([row.count() for row in seeds]),
                "kept": f"{100 * np.mean(kept):.0f} %",
                "scene right": f"{100 * np.mean(skills):.0f} %" if skills else "",
            }
            for category in seeds[0].categories:
                cells[category] = f"{np.mean([row.count(category) for row in seeds]):.1f}"
            rows.append(cells)
    shown = [name for name in columns if name != "scene right" or any(row[name] for row in rows)]
    shown = [what, *shown] if what else shown
    return Table(
        tuple(shown), tuple(tuple(row[name] for name in shown) for row in rows), (0,) if what else ()
    )


def table_tracks(trainings: Sequence[Training]) -> Table:
    """tracks.csv: the name of every unit at every step, a row each, of trainings by their group and seed."""
    columns = ("training", "seed", "unit", "step", "concept", "category", "iou", "detector")
    rows = []
    for training in trainings:
        tracks, first = training.tracks, training.rows[0]
        for unit in range(tracks.concepts.shape[1]):
            for place, step in enumerate(tracks.steps):
                best = int(tracks.concepts[place, unit])
                named = tracks.vocabulary[best] if best else None
                words = (named.name, named.category) if named else (None, None)
                iou, detector = float(tracks.iou[place, unit]), int(tracks.detector[place, unit])
                rows.append((first.group, first.seed, unit, step, *words, iou, detector))
    return Table(columns, tuple(rows))
