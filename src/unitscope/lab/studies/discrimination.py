"""Do representations with more object detectors serve another task better? (paper A, fig. 12)"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64, Int64

from unitscope.concepts.packed import PackedSource
from unitscope.errors import missing_extra
from unitscope.lab.studies import architectures, conditions, supervision, transfer, width
from unitscope.lab.studies.claims import Claim, Values, judge_interval, judge_order
from unitscope.lab.studies.figures.study_figures import LABELS, PUZZLES, Point, draw_discrimination
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import (
    Groups,
    Representation,
    Setting,
    Snapshot,
    cohort_table,
    describe_students,
    models_of,
    pack_pictures,
)
from unitscope.lab.world import open_drawn
from unitscope.lab.world.names import OBJECT_IDS
from unitscope.lab.zoo.trained_models import COURSE, Student, StudyModel, train_models
from unitscope.networks.network import Network
from unitscope.progress import follow_each
from unitscope.statistics.intervals import Interval, draw_again, take_middle
from unitscope.tables import Table

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
class ProbeTask:
    """Pictures for the third task: which thing is the largest? `answers` are ids, 0 for a picture without."""

    pictures: PackedSource
    answers: Int64[np.ndarray, "n"]

    @property
    def chosen(self) -> Int64[np.ndarray, "m"]:
        """The pictures that have an answer."""
        return np.flatnonzero(self.answers)


@dataclass(frozen=True)
class ProbeResult:
    """How well a linear support vector machine on one network's features does the third task."""

    family: str
    row: Representation
    accuracy: float


def find_largest(pictures: PackedSource) -> ProbeTask:
    """The task over some pictures: the largest thing of every one, by their labels."""
    things = np.array([i for name, i in OBJECT_IDS.items() if name not in SCENERY])
    answers = np.zeros(len(pictures), np.int64)
    for place in range(len(pictures)):
        planes = pictures[place].planes
        counts = np.bincount(planes.ravel(), minlength=int(things.max()) + 1)[things]
        if counts.max() >= LEAST * planes[0].size:
            answers[place] = things[counts.argmax()]
    return ProbeTask(pictures, answers)


def read_features(network: Network, pictures: PackedSource) -> Float64[np.ndarray, "n unit"]:
    """The mean of every unit of the last stage over each picture."""
    student = network.module
    assert isinstance(student, Student)
    means = []
    with torch.no_grad():
        for start in follow_each(range(0, len(pictures), 64), "reading", "batches"):
            images = np.ascontiguousarray(pictures.images[start : start + 64])
            means.append(student.features(network.preprocessing.tensor(images)).mean((2, 3)).numpy())
    return np.concatenate(means).astype(np.float64)


def probe_features(network: Network, train: ProbeTask, test: ProbeTask) -> float:
    """The accuracy over `test`, averaged over classes, of a linear machine fitted to `train`.

    Features are standardized, so that the penalty means the same for every network. Raises `UsageError` where
    scikit-learn is missing.
    """
    try:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise missing_extra("scikit-learn", "fits the linear machine", "studies") from error
    machine = make_pipeline(StandardScaler(), LinearSVC(C=C, random_state=0))
    machine.fit(read_features(network, train.pictures)[train.chosen], train.answers[train.chosen])
    named = machine.predict(read_features(network, test.pictures)[test.chosen])
    right = test.answers[test.chosen]
    known = np.intersect1d(np.unique(right), np.unique(train.answers))
    return float(np.mean([(named[right == one] == one).mean() for one in known]))


FAMILIES: Mapping[str, Groups] = {
    "architectures": architectures.GROUPS,
    "supervision": supervision.GROUPS,
    "conditions": conditions.GROUPS,
    "width": width.GROUPS,
    "transfer": transfer.GROUPS,
}


def probe_all(setting: Setting) -> list[ProbeResult]:
    """Every network of the other studies, each once, and random weights."""
    members: dict[StudyModel, tuple[str, str]] = {}
    for family, groups in FAMILIES.items():
        for group, model in models_of(groups, setting):
            members.setdefault(model, (family, "vgg" if model.course.name == COURSE.name else group))
    train_models(list(members), setting.networks, jobs=setting.jobs)
    base = [model for model in members if model.course.name == COURSE.name]
    shown = [(RANDOM, RANDOM, Snapshot(model, taught=False)) for model in base]
    shown += [(*names, Snapshot(model)) for model, names in members.items()]
    rows = describe_students([(group, one, int(one.taught)) for _, group, one in shown], setting)
    count = 240 if setting.quick else 3000
    train, test = (
        find_largest(pack_pictures(open_drawn(number, seed, 64), shown[0][2].open(setting), setting))
        for number, seed in ((count, 3000), (count // 2, 3001))
    )
    results = []
    for (family, _, one), row in zip(shown, rows, strict=True):
        # What teaching took belongs to the studies that taught.
        accuracy = probe_features(one.open(setting), train, test)
        results.append(ProbeResult(family, replace(row, seconds=0.0), accuracy))
    return results


def correlate(
    x: Values, y: Values, kinds: Sequence[str] | None = None, *, draws: int = 2000, seed: int = 0
) -> Interval:
    """Pearson's correlation of two lists, with its 95 % interval; NaN where one does not vary.

    Seeds of one kind are alike, so whole `kinds` are drawn again for the interval, each with all its
    networks; without `kinds` every network is one of its own. NaN, too, for fewer than three kinds.

    >>> correlate([1, 2, 3], [2, 4, 6]).value
    1.0
    """
    pairs = np.array([x, y], np.float64)
    kind = np.arange(pairs.shape[1]) if kinds is None else np.unique(kinds, return_inverse=True)[1]
    members = [np.flatnonzero(kind == one) for one in np.unique(kind)]
    if len(members) < 3 or not pairs.std(1).all():
        return Interval(*[float("nan")] * 3)
    drawn = []
    for chosen in draw_again(len(members), draws, np.random.default_rng(seed)):
        some = pairs[:, np.concatenate([members[one] for one in chosen])]
        if some.std(1).all():
            drawn.append(_correlate_rows(some))
    return take_middle(drawn, round(_correlate_rows(pairs), 12))


def _correlate_rows(pairs: Float64[np.ndarray, "2 n"]) -> float:
    return float(np.asarray(np.corrcoef(pairs))[0, 1])


def claim_discrimination(results: Sequence[ProbeResult]) -> tuple[Claim, ...]:
    """More object detectors, better features; supervised and self-supervised networks are two clusters."""
    labelled, alone = (_choose(results, kind) for kind in (LABELS, PUZZLES))
    trained = relate(labelled + alone)
    return (
        Claim(
            "fig. 12",
            "accuracy grows with the number of unique object detectors",
            f"correlation {spell_correlation(results)}; without random weights "
            f"{spell_correlation(labelled + alone)}",
            judge_interval(trained.value, trained.low, trained.high),
        ),
        Claim(
            "fig. 12",
            "supervised networks form a cluster above self-supervised ones",
            f"accuracy {_spell_range(labelled)} with labels, {_spell_range(alone)} without",
            judge_order([one.accuracy for one in labelled], [one.accuracy for one in alone]),
        ),
    )


def _kind(result: ProbeResult) -> str:
    if result.family == RANDOM:
        return RANDOM
    return PUZZLES if result.row.group in supervision.SELF else LABELS


def _choose(results: Sequence[ProbeResult], kind: str) -> list[ProbeResult]:
    return [one for one in results if _kind(one) == kind]


def _spell_range(results: Sequence[ProbeResult]) -> str:
    found = [100 * one.accuracy for one in results]
    return f"{min(found):.0f} to {max(found):.0f} %" if found else "none"


def relate(results: Sequence[ProbeResult]) -> Interval:
    """The correlation of accuracy with unique object detectors, over networks, as `correlate` has it."""
    objects, kinds = [one.row.count("object") for one in results], [one.row.group for one in results]
    return correlate(objects, [one.accuracy for one in results], kinds)


def spell_correlation(results: Sequence[ProbeResult]) -> str:
    """That correlation, and over how many networks it is."""
    found, kinds = relate(results), len({one.row.group for one in results})
    shown = f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
    return f"{shown} over {len(results)} networks of {kinds} kinds"


def table_means(results: Sequence[ProbeResult]) -> Table:
    """Means over seeds, best first, for people."""
    groups: dict[tuple[str, str], list[ProbeResult]] = {}
    for one in results:
        groups.setdefault((one.family, one.row.group), []).append(one)
    means = {
        names: np.mean([(one.accuracy, one.row.count("object"), one.row.count()) for one in some], 0)
        for names, some in groups.items()
    }
    rows = []
    for (family, group), (accuracy, objects, unique) in sorted(means.items(), key=lambda item: -item[1][0]):
        study, seeds = family if family != group else "", len(groups[family, group])
        rows.append((group, study, seeds, f"{objects:.1f}", f"{unique:.1f}", f"{100 * accuracy:.1f} %"))
    head = ("network", "of study", "seeds", "object concepts", "unique", "accuracy")
    return Table(head, tuple(rows), (0, 1))


def study_discrimination(setting: Setting) -> Finding:
    """Probes the networks of all studies and relates accuracy to object detectors (paper A, fig. 12)."""
    results = probe_all(setting)
    names = {"taught with labels": LABELS, "taught without": PUZZLES}
    clusters = [(name, spell_correlation(_choose(results, kind))) for name, kind in names.items()]
    within = Table(("among networks", "correlation"), tuple(clusters), (0, 1))
    cohort = cohort_table([one.row for one in results])
    rows = [(one.family, *cells, one.accuracy) for one, cells in zip(results, cohort.rows, strict=True)]
    points = [
        Point(one.row.group, _kind(one), one.row.count("object"), 100 * one.accuracy) for one in results
    ]
    return Finding(
        "discrimination",
        QUESTION,
        claim_discrimination(results),
        f"{within.markdown()}\n\n{table_means(results).markdown()}",
        {"discrimination.csv": Table(("family", *cohort.columns, "accuracy"), tuple(rows))},
        f"{1 + max(one.row.seed for one in results)} of each network",
        0.0,
        setting.quick,
        RULE,
        partial(draw_discrimination, points),
    )
