"""Do representations with more object detectors serve another task better? (paper A, fig. 12)"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64

from unitscope.concepts.packed import PackedSource
from unitscope.errors import UsageError
from unitscope.lab.studies import architectures, conditions, supervision, transfer, width
from unitscope.lab.studies.claims import Claim, Values, judge_interval, judge_order
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import (
    Representation,
    Setting,
    cohort_rows,
    describe_network,
    models_of,
    pack_pictures,
)
from unitscope.lab.world import open_drawn
from unitscope.lab.world.names import OBJECT_IDS
from unitscope.lab.zoo.recipes import Course
from unitscope.lab.zoo.trained_models import COURSE, Student, StudyModel, open_student, train_models
from unitscope.networks.network import Network
from unitscope.tables import Cells, short

QUESTION = "Do representations with more object detectors serve another task better?"
SCENERY = (
    *("sky", "cloud", "sun", "moon", "mountain", "grass", "water", "sand", "road", "sidewalk", "snow"),
    *("house", "building", "window", "door", "wall", "floor", "ceiling", "rug", "curtain", "tree"),
)
"""What is no thing of its own: the third task asks for the largest of the others."""
LEAST = 0.01
"""The largest thing must have so large a share of the pixels."""
C = 0.001
"""The penalty of the support vector machine, as in paper A."""
RANDOM = "random weights"
RULE = "Intervals are from drawing kinds of networks again, each with all its seeds."


@dataclass(frozen=True)
class Exam:
    """Pictures for the third task: which thing is the largest? `answers` are ids, 0 for a picture without."""

    pictures: PackedSource
    answers: Int64[np.ndarray, "n"]

    @property
    def chosen(self) -> Int64[np.ndarray, "m"]:
        """The pictures that have an answer."""
        return np.flatnonzero(self.answers)


@dataclass(frozen=True)
class Probe:
    """How well a linear support vector machine on one network's features does the third task."""

    family: str
    row: Representation
    accuracy: float


def set_exam(pictures: PackedSource) -> Exam:
    """The largest thing of every picture, by the labels of the pictures."""
    things = np.array([i for name, i in OBJECT_IDS.items() if name not in SCENERY])
    answers = np.zeros(len(pictures), np.int64)
    for place in range(len(pictures)):
        planes = pictures[place].planes
        counts = np.bincount(planes.ravel(), minlength=int(things.max()) + 1)[things]
        if counts.max() >= LEAST * planes[0].size:
            answers[place] = things[counts.argmax()]
    return Exam(pictures, answers)


def read_features(network: Network, pictures: PackedSource) -> Float64[np.ndarray, "n unit"]:
    """The mean of every unit of the last stage over each picture."""
    student = network.module
    assert isinstance(student, Student)
    means = []
    with torch.no_grad():
        for start in range(0, len(pictures), 64):
            images = np.ascontiguousarray(pictures.images[start : start + 64])
            means.append(student.features(network.preprocessing.tensor(images)).mean((2, 3)).numpy())
    return np.concatenate(means).astype(np.float64)


def grade_features(network: Network, lessons: Exam, exam: Exam) -> float:
    """The accuracy, averaged over classes, of a linear machine taught on one set and asked about another.

    Features are standardized, so that the penalty means the same for every network.
    """
    machine = _make_machine()
    taught = read_features(network, lessons.pictures)[lessons.chosen]
    machine.fit(taught, lessons.answers[lessons.chosen])
    told = machine.predict(read_features(network, exam.pictures)[exam.chosen])
    wanted = exam.answers[exam.chosen]
    known = np.intersect1d(np.unique(wanted), np.unique(lessons.answers))
    return float(np.mean([(told[wanted == one] == one).mean() for one in known]))


def _make_machine() -> Any:
    try:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise UsageError("scikit-learn fits the machine; pip install 'unitscope[studies]'") from error
    return make_pipeline(StandardScaler(), LinearSVC(C=C, random_state=0))


FAMILIES: Mapping[str, Mapping[str, Course]] = {
    "architectures": architectures.GROUPS,
    "supervision": supervision.GROUPS,
    "conditions": conditions.GROUPS,
    "width": width.GROUPS,
    "transfer": transfer.GROUPS,
}


def probe_all(setting: Setting) -> list[Probe]:
    """Every network of the other studies, each once, and random weights."""
    members: dict[StudyModel, tuple[str, str]] = {}
    for family, groups in FAMILIES.items():
        for group, model in models_of(groups, setting):
            members.setdefault(model, (family, "vgg" if model.course.name == COURSE.name else group))
    train_models(list(members), setting.networks, jobs=setting.jobs)
    source = setting.source()
    count = 240 if setting.quick else 3000
    lessons, probes = None, []
    opened = [
        (RANDOM, RANDOM, model.seed, open_student(model, None))
        for model in members
        if model.course.name == COURSE.name
    ]
    opened += [
        (family, group, model.seed, open_student(model, setting.networks))
        for model, (family, group) in members.items()
    ]
    for family, group, seed, network in opened:
        if lessons is None:
            lessons = set_exam(pack_pictures(open_drawn(count, 3000, 64), network, setting))
            exam = set_exam(pack_pictures(open_drawn(count // 2, 3001, 64), network, setting))
        row = describe_network(network, source, setting, group, seed, step=int(family != RANDOM))
        probes.append(Probe(family, row, grade_features(network, lessons, exam)))
    return probes


@dataclass(frozen=True)
class Correlation:
    """Pearson's correlation over networks, and a 95 % interval by resampling their kinds."""

    middle: float
    low: float
    high: float
    networks: int
    kinds: int

    def spell(self) -> str:
        """As text."""
        shown = f"{self.middle:.2f} ({self.low:.2f} to {self.high:.2f})"
        return f"{shown} over {self.networks} networks of {self.kinds} kinds"


def correlate(
    x: Values, y: Values, kinds: Sequence[str] | None = None, *, draws: int = 2000, seed: int = 0
) -> Correlation:
    """Pearson's correlation of two lists; NaN where one does not vary.

    Seeds of one kind are alike, so whole `kinds` are drawn again for the interval, each with all its
    networks; without `kinds` every network is one of its own.

    >>> correlate([1, 2, 3], [2, 4, 6]).middle
    1.0
    """
    pairs = np.array([x, y], np.float64)
    count = pairs.shape[1]
    _, kind = np.unique(np.arange(count).astype(str) if kinds is None else kinds, return_inverse=True)
    members = [np.flatnonzero(kind == one) for one in range(len(np.unique(kind)))]
    nothing = float("nan")
    if len(members) < 3 or not pairs.std(1).all():
        return Correlation(nothing, nothing, nothing, count, len(members))
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        chosen = rng.integers(0, len(members), len(members))
        some = pairs[:, np.concatenate([members[one] for one in chosen])]
        if some.std(1).all():
            drawn.append(_pearson(some))
    low, high = np.quantile(drawn, [0.025, 0.975])
    middle = round(_pearson(pairs), 12)
    return Correlation(middle, float(low), float(high), count, len(members))


def _pearson(pairs: Float64[np.ndarray, "2 n"]) -> float:
    return float(np.asarray(np.corrcoef(pairs))[0, 1])


def claim_discrimination(probes: Sequence[Probe]) -> tuple[Claim, ...]:
    """More object detectors, better features; supervised and self-supervised networks are two clusters."""
    trained = _relate(_choose(probes, True) + _choose(probes, False))
    taught, own = ([one.accuracy for one in _choose(probes, labels)] for labels in (True, False))
    return (
        Claim(
            "fig. 12",
            "accuracy grows with the number of unique object detectors",
            f"correlation {_relate(probes).spell()}; without random weights {trained.spell()}",
            judge_interval(trained.middle, trained.low, trained.high),
        ),
        Claim(
            "fig. 12",
            "supervised networks form a cluster above self-supervised ones",
            f"accuracy {_range(taught)} with labels, {_range(own)} without",
            judge_order(taught, own),
        ),
    )


def _choose(probes: Sequence[Probe], labels: bool) -> list[Probe]:
    """The trained networks that learned from labels, or the others."""
    return [
        one for one in probes if one.family != RANDOM and (one.row.group not in supervision.SELF) == labels
    ]


def _relate(probes: Sequence[Probe]) -> Correlation:
    objects, kinds = [one.row.count("object") for one in probes], [one.row.group for one in probes]
    return correlate(objects, [one.accuracy for one in probes], kinds)


def spell_clusters(probes: Sequence[Probe]) -> str:
    """The correlation within the two clusters, as a Markdown table."""
    lines = ["| among networks | correlation |", "|---|---|"]
    for name, labels in (("taught with labels", True), ("taught without", False)):
        lines.append(f"| {name} | {_relate(_choose(probes, labels)).spell()} |")
    return "\n".join(lines)


def _range(values: Values) -> str:
    return f"{100 * min(values):.0f} to {100 * max(values):.0f} %" if values else "none"


def spell_probes(probes: Sequence[Probe]) -> str:
    """Means over seeds, best first, as a Markdown table."""
    groups: dict[tuple[str, str], list[Probe]] = {}
    for one in probes:
        groups.setdefault((one.family, one.row.group), []).append(one)
    order = sorted(groups.items(), key=lambda item: -float(np.mean([one.accuracy for one in item[1]])))
    lines = [
        "| network | of study | seeds | object concepts | unique | accuracy |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for (family, group), mine in order:
        objects = np.mean([one.row.count("object") for one in mine])
        unique = np.mean([one.row.count() for one in mine])
        accuracy = 100 * np.mean([one.accuracy for one in mine])
        lines.append(
            f"| {group} | {family if family != group else ''} | {len(mine)} | {objects:.1f} | {unique:.1f} "
            f"| {accuracy:.1f} % |"
        )
    return "\n".join(lines)


def probe_rows(probes: Sequence[Probe]) -> list[Cells]:
    """A row a network: its family, its counts, its accuracy on the third task."""
    head, *cells = cohort_rows([one.row for one in probes])
    return [
        ["family", *head, "accuracy"],
        *([one.family, *row, short(one.accuracy)] for one, row in zip(probes, cells, strict=True)),
    ]


def compare_discrimination(setting: Setting) -> tuple[Finding, list[Probe]]:
    """Probes the networks of all cohorts and relates accuracy to their object detectors."""
    probes = probe_all(setting)
    return (
        Finding(
            "discrimination",
            QUESTION,
            claim_discrimination(probes),
            f"{spell_clusters(probes)}\n\n{spell_probes(probes)}",
            {"discrimination.csv": probe_rows(probes)},
            f"{1 + max(one.row.seed for one in probes)} of each network",
            0.0,
            setting.quick,
            RULE,
        ),
        probes,
    )
