"""A cohort: students that differ in one thing, dissected alike, their concepts counted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from unitscope.concepts.packed import PackedSource, pack_source
from unitscope.concepts.sources import source_digest
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import CONVENTIONS, UniqueRule
from unitscope.dissection.dissect import Confidences, dissect, plan_scan
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.dissection.storage import load, save
from unitscope.errors import RunError
from unitscope.experiments.tables import short
from unitscope.lab.studies.claims import Claim, spread
from unitscope.lab.studies.study import Finding
from unitscope.lab.world import open_drawn
from unitscope.lab.world.names import SCENE_IDS, SCENES
from unitscope.lab.zoo.recipes import Course
from unitscope.lab.zoo.trained_models import (
    COURSE,
    LAST,
    StudyModel,
    open_student,
    seconds_of,
    train_models,
)
from unitscope.networks.network import Network
from unitscope.tables import guard_cell

SURE = 0.05
RULES: tuple[UniqueRule, ...] = ("label", "category")


@dataclass(frozen=True)
class Setting:
    """How a study is run: over which pictures, in which folder, how many seeds, how many cores.

    Without `seeds` a study takes as many as it is used to: 3, or 5 where its networks are few.
    `quick` shrinks pictures, training and seeds to a first look, which is no result.
    """

    folder: Path
    images: int = 1000
    seeds: int | None = None
    jobs: int = 2
    quick: bool = False
    convention: str = "netdissect"

    def repetitions(self, usual: int = 3) -> range:
        """The seeds of a study that usually has so many."""
        return range(1 if self.quick else self.seeds or usual)

    @property
    def networks(self) -> Path:
        """Where taught students are kept, for all studies."""
        return self.folder / ("networks-quick" if self.quick else "networks")

    def course(self, course: Course) -> Course:
        """The course as it is taught here: with `quick`, a few steps over few pictures."""
        if not self.quick:
            return course
        start = None if course.start is None else self.course(course.start)
        keep = tuple(step for step in course.keep if step <= QUICK_STEPS)
        return replace(course, pictures=480, steps=QUICK_STEPS, batch=32, start=start, keep=keep)

    def source(self) -> ConceptSource:
        """The pictures that every network is dissected over; none was trained on them."""
        return open_drawn(count=100 if self.quick else self.images, seed=2000, size=64)


QUICK_STEPS = 16


@dataclass(frozen=True)
class Representation:
    """One layer of one network, dissected: what a study compares.

    `group` is what differs in the study, such as an architecture, `seed` the repetition, `step` the steps of
    training behind it (0 is none). `unique` counts the concepts of detectors by counting rule and category,
    `sure_unique` those of detectors with q below 0.05, by label. `skill` is the share of held-out pictures
    whose scene is right, NaN for a network that names none. `seconds` is what its training took.
    """

    group: str
    seed: int
    step: int
    layer: str
    units: int
    detectors: int
    sure_detectors: int
    chance_detectors: float
    iou: float
    unique: Mapping[UniqueRule, Mapping[str, int]]
    sure_unique: Mapping[str, int]
    skill: float = float("nan")
    seconds: float = 0.0

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories counted, in their usual order."""
        return tuple(self.sure_unique)

    def count(self, category: str | None = None, rule: UniqueRule = "label") -> int:
        """The unique concepts of a category, or of all."""
        counts = self.unique[rule]
        return sum(counts.values()) if category is None else counts.get(category, 0)


def describe_layer(
    layer: LayerDissection,
    group: str,
    seed: int,
    *,
    step: int = 0,
    skill: float = float("nan"),
    seconds: float = 0.0,
) -> Representation:
    """Counts the concepts of a dissected layer."""
    sure = layer.confidence
    certain = layer.labels.detector & (sure.q_value < SURE) if sure else np.zeros(len(layer), bool)
    words = layer.vocabulary
    placed = words.category_index[layer.labels.best]
    return Representation(
        group,
        seed,
        step,
        layer.layer,
        len(layer),
        layer.detectors,
        int(certain.sum()),
        sure.chance_detectors if sure else float("nan"),
        float(layer.iou.max(1).mean()),
        {rule: layer.unique[rule] for rule in RULES},
        {
            category: len(np.unique(layer.labels.best[certain & (placed == place)]))
            for place, category in enumerate(words.categories)
        },
        skill,
        seconds,
    )


def dissect_kept(
    network: Network, layers: Sequence[str], source: ConceptSource, setting: Setting, name: str
) -> Dissection:
    """The dissection of some layers, kept in the folder of runs: the same network is not run twice."""
    known = f"{network.digest[:12]}-{source_digest(source)[:8]}-{setting.convention}"
    # Another study may have dissected the same network under another name.
    for home in sorted((setting.folder / "runs").glob(f"*-{known}")):
        with suppress(RunError):  # another version's, or damaged: made anew
            found = load(home)
            if set(layers) <= set(found.layers):
                return found
    run = dissect(
        network,
        source,
        layers,
        convention=setting.convention,
        confidences=Confidences(100, 20),
        cache=setting.folder / "packed",
    )
    save(run, setting.folder / "runs" / f"{name}-{known}")
    return run


def pack_pictures(
    source: ConceptSource, network: Network, setting: Setting, layer: str = LAST
) -> PackedSource:
    """The pictures at the network's own size, painted once for all networks of that size."""
    rules = CONVENTIONS[setting.convention]
    plan, _ = plan_scan(network, source, (layer,), rules, {}, None, "stretch")
    return pack_source(source, plan.frame, setting.folder / "packed")


def measure_skill(network: Network, pictures: PackedSource) -> float:
    """The share of pictures whose scene the network names right; NaN for one that names no scenes."""
    if network.classes != SCENES:
        return float("nan")
    places = {concept: place for place, concept in enumerate(SCENE_IDS[name] for name in SCENES)}
    wanted = np.array([next(places[i] for i in entry.ids if i in places) for entry in pictures.entries])
    named = []
    with torch.no_grad():
        for start in range(0, len(pictures), 64):
            images = np.ascontiguousarray(pictures.images[start : start + 64])
            named.append(network.module(network.preprocessing.tensor(images)).argmax(1).numpy())
    return float((np.concatenate(named) == wanted).mean())


Groups = Mapping[str, Course]
"""What a cohort compares: courses by the names that people read."""


def models_of(groups: Groups, setting: Setting) -> list[tuple[str, StudyModel]]:
    """Every group's models, a seed after the other, so that a study that is stopped has whole seeds."""
    return [
        (group, StudyModel(setting.course(course), seed))
        for seed in setting.repetitions()
        for group, course in groups.items()
    ]


def compare_cohort(groups: Groups, setting: Setting, *, untaught: str = "") -> list[Representation]:
    """Teaches every group and dissects its last layer; `untaught` names a group of random weights."""
    members = models_of(groups, setting)
    train_models([model for _, model in members], setting.networks, jobs=setting.jobs)
    source = setting.source()
    rows = []
    if untaught:
        for seed in dict.fromkeys(model.seed for _, model in members):
            fresh = open_student(StudyModel(setting.course(COURSE), seed), None)
            rows.append(describe_network(fresh, source, setting, untaught, seed))
    for group, model in members:
        taught = open_student(model, setting.networks)
        seconds = seconds_of(model, setting.networks)
        rows.append(
            describe_network(
                taught, source, setting, group, model.seed, step=model.course.steps, seconds=seconds
            )
        )
    return rows


def describe_network(
    network: Network,
    source: ConceptSource,
    setting: Setting,
    group: str,
    seed: int,
    *,
    step: int = 0,
    seconds: float = 0.0,
) -> Representation:
    """Dissects the last layer of a student and measures its skill."""
    name = f"{group}-{seed}-{step}".replace(" ", "-").replace("/", "-")
    found = dissect_kept(network, [LAST], source, setting, name)
    skill = measure_skill(network, pack_pictures(source, network, setting))
    return describe_layer(found[LAST], group, seed, step=step, skill=skill, seconds=seconds)


def group_rows(rows: Sequence[Representation]) -> dict[str, list[Representation]]:
    """The rows by group, in their order."""
    grouped: dict[str, list[Representation]] = {}
    for row in rows:
        grouped.setdefault(row.group, []).append(row)
    return grouped


def values_of(
    rows: Sequence[Representation], group: str, category: str | None = None, rule: UniqueRule = "label"
) -> list[int]:
    """The unique concepts of a group, a number a seed."""
    return [row.count(category, rule) for row in rows if row.group == group]


def judge_cohort(
    study: str,
    question: str,
    what: str,
    rows: Sequence[Representation],
    claims: tuple[Claim, ...],
    setting: Setting,
    more: str = "",
    rule: str = "",
) -> Finding:
    """The finding of a cohort: its claims, its table, `more` text below it; a row a network as CSV.

    `rule` tells how its verdicts are reached, where they are no orders.
    """
    return Finding(
        study,
        question,
        claims,
        "\n\n".join([spell_cohort(rows, what), *([more] if more else [])]),
        {f"{study}.csv": list(cohort_rows(rows))},
        f"{1 + max(row.seed for row in rows)} of each",
        sum(row.seconds for row in rows),
        setting.quick,
        rule,
    )


def cohort_rows(rows: Sequence[Representation]) -> Iterator[list[str]]:
    """The table as cells, a row a network."""
    categories = list(rows[0].categories)
    head = [
        "group",
        "seed",
        "step",
        "layer",
        "units",
        "detectors",
        "sure_detectors",
        "chance_detectors",
        "iou",
    ]
    head += [f"{category}_by_{rule}" for rule in RULES for category in categories]
    yield [*head, *(f"sure_{category}" for category in categories), "skill", "seconds"]
    for row in rows:
        counts = [str(row.unique[rule][category]) for rule in RULES for category in categories]
        yield [
            *(guard_cell(row.group), str(row.seed), str(row.step), guard_cell(row.layer), str(row.units)),
            *(str(row.detectors), str(row.sure_detectors), short(row.chance_detectors), short(row.iou)),
            *counts,
            *(str(row.sure_unique[category]) for category in categories),
            *(short(row.skill), short(row.seconds)),
        ]


def spell_cohort(rows: Sequence[Representation], what: str = "network") -> str:
    """The cohort as a Markdown table: means over seeds and their range; unique concepts by label."""
    categories = [one for one in rows[0].categories if any(row.count(one) for row in rows)]
    head = [what, "seeds", "units", "detectors", "by chance", *categories, "unique", "by category", "q < .05"]
    skilled = any(row.skill == row.skill for row in rows)
    head += ["scene right"] if skilled else []
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for group, mine in group_rows(rows).items():
        cells = [group, str(len(mine)), str(mine[0].units), _mean(row.detectors for row in mine)]
        cells.append(_mean(row.chance_detectors for row in mine))
        cells += [_mean(row.count(category) for row in mine) for category in categories]
        cells.append(spread([row.count() for row in mine]))
        cells.append(_mean(row.count(rule="category") for row in mine))
        cells.append(_mean(sum(row.sure_unique.values()) for row in mine))
        skills = [row.skill for row in mine if row.skill == row.skill]
        cells += [spread([100 * one for one in skills]) + " %" if skills else ""] if skilled else []
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(values: Iterable[float]) -> str:
    return f"{np.mean(list(values)):.1f}"
