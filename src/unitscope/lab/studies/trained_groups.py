"""A cohort: students that differ in one thing, dissected alike, their detectors counted."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from unitscope.concepts.derived import source_digest
from unitscope.concepts.packed import PackedSource, pack_source
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.counts import RULES, LayerCounts, count_concepts, count_layer
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.planning import plan_scan
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.dissection.storage import load
from unitscope.errors import RunError, UsageError
from unitscope.lab.studies.claims import spread
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
from unitscope.progress import follow_each
from unitscope.tables import Table


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
class Representation(LayerCounts):
    """One layer of one network, its detectors counted: what a study compares.

    `group` is what differs in the study, such as an architecture, `seed` the repetition. `iou` is the mean
    over units of their best IoU, `images` how many there were, `cells` the rows and columns of a map. `sizes`
    has for every category the number of detectors of each of its concepts that has any. `step` counts the
    steps of training behind the network (0 is none), `skill` is the share of held-out pictures whose scene is
    right, NaN for a network that names none, `seconds` what its training took.
    """

    group: str
    seed: int
    iou: float
    images: int
    cells: tuple[int, int]
    sizes: Mapping[str, tuple[int, ...]]
    step: int = 0
    skill: float = float("nan")
    seconds: float = 0.0

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories counted, in the order of the vocabulary."""
        return tuple(self.by_category)


def describe_layer(
    layer: LayerDissection,
    group: str,
    seed: int,
    *,
    step: int = 0,
    skill: float = float("nan"),
    seconds: float = 0.0,
) -> Representation:
    """Counts the detectors of a dissected layer."""
    concepts = sorted(count_concepts(layer), key=lambda pair: pair[0].id)
    return Representation(
        **vars(count_layer(layer)),
        group=group,
        seed=seed,
        iou=float(layer.iou.max(1).mean()),
        images=layer.images,
        cells=layer.map_size,
        sizes={
            category: tuple(size for concept, size in concepts if concept.category == category)
            for category in layer.vocabulary.categories
        },
        step=step,
        skill=skill,
        seconds=seconds,
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
    run.save(setting.folder / "runs" / f"{name}-{known}")
    return run


def pack_pictures(
    source: ConceptSource, network: Network, setting: Setting, layer: str = LAST
) -> PackedSource:
    """The pictures at the network's own size, painted once for all networks of that size."""
    rules = CONVENTIONS[setting.convention]
    plan, *_ = plan_scan(network, source, (layer,), rules, {}, None, "stretch")
    return pack_source(source, plan.frame, setting.folder / "packed")


def measure_skill(network: Network, pictures: PackedSource) -> float:
    """The share of pictures whose scene the network names right; NaN for one that names no scenes."""
    if network.classes != SCENES:
        return float("nan")
    places = {concept: place for place, concept in enumerate(SCENE_IDS[name] for name in SCENES)}
    wanted = np.array([next(places[i] for i in entry.ids if i in places) for entry in pictures.entries])
    named = []
    with torch.no_grad():
        for start in follow_each(range(0, len(pictures), 64), "classifying", "batches"):
            images = np.ascontiguousarray(pictures.images[start : start + 64])
            named.append(network.run(network.preprocessing.tensor(images)).argmax(1).numpy())
    return float((np.concatenate(named) == wanted).mean())


def check_layers(name: str, layers: Sequence[str]) -> None:
    """Raises `UsageError` where no layer of the network called `name` is named."""
    if not layers:
        raise UsageError(f"no layer was named; `unitscope layers {name}` lists what can be dissected")


Groups = Mapping[str, Course]
"""What a cohort compares: courses by the names that people read."""


def models_of(groups: Groups, setting: Setting) -> list[tuple[str, StudyModel]]:
    """Every group's models, a seed after the other, so that a study that is stopped has whole seeds."""
    return [
        (group, StudyModel(setting.course(course), seed))
        for seed in setting.repetitions()
        for group, course in groups.items()
    ]


def compare_cohort(groups: Groups, setting: Setting, *, untrained: str = "") -> list[Representation]:
    """Trains every group and dissects its last layer; `untrained` names a group of random weights."""
    members = models_of(groups, setting)
    train_models([model for _, model in members], setting.networks, jobs=setting.jobs)
    source = setting.source()
    rows = []
    if untrained:
        for seed in dict.fromkeys(model.seed for _, model in members):
            fresh = open_student(StudyModel(setting.course(COURSE), seed), None)
            rows.append(describe_network(fresh, source, setting, untrained, seed))
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


def group_rows(rows: Sequence[Representation], by: str = "group") -> dict[str, list[Representation]]:
    """The rows by group, or by layer with `by="layer"`, in their order."""
    names = dict.fromkeys(getattr(row, by) for row in rows)
    return {name: [row for row in rows if getattr(row, by) == name] for name in names}


def cohort_table(rows: Sequence[Representation]) -> Table:
    """A row a network, for CSV: its detectors, its unique concepts by category and counting rule."""
    categories = rows[0].categories
    counted = ("units", "detectors", "sure_detectors", "chance_detectors", "iou")
    columns = [
        *("group", "seed", "step", "layer", *counted),
        *(f"{category}_by_{rule}" for rule in RULES for category in categories),
        *(f"sure_{category}" for category in categories),
        *("skill", "seconds"),
    ]
    cells = (
        (
            *(row.group, row.seed, row.step, row.layer, *(getattr(row, name) for name in counted)),
            *(row.unique[rule][category] for rule in RULES for category in categories),
            *(row.sure_unique["label"][category] for category in categories),
            *(row.skill, row.seconds),
        )
        for row in rows
    )
    return Table(tuple(columns), tuple(cells), (0, 3))


def spell_cohort(rows: Sequence[Representation], what: str = "network") -> str:
    """The cohort as a Markdown table: means over seeds and their range; unique concepts by label."""
    categories = [one for one in rows[0].categories if any(row.count(one) for row in rows)]
    columns = [what, "seeds", "units", "detectors", "by chance", *categories, "unique", "by category"]
    columns += ["q < .05", *(["scene right"] if any(row.skill == row.skill for row in rows) else [])]
    lines = []
    for group, some in group_rows(rows).items():
        skills = [100 * row.skill for row in some if row.skill == row.skill]
        cells = [
            *(group, len(some), some[0].units, _mean(row.detectors for row in some)),
            _mean(row.chance_detectors for row in some),
            *(_mean(row.count(category) for row in some) for category in categories),
            spread([row.count() for row in some]),
            _mean(row.count(rule="category") for row in some),
            _mean(row.count(sure=True) for row in some),
            spread(skills) + " %" if skills else "",
        ]
        lines.append(tuple(cells[: len(columns)]))
    return Table(tuple(columns), tuple(lines)).markdown()


def _mean(values: Iterable[float]) -> str:
    return f"{np.mean(list(values)):.1f}"
