"""When in training do which concepts emerge, and do units change what they detect? (paper A, fig. 10)"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import UsageError
from unitscope.lab.studies.claims import Claim, judge_fact, judge_order, spread
from unitscope.lab.studies.figures.study_figures import draw_training
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting, cohort_table, keep_dissections
from unitscope.lab.studies.unit_trajectories import (
    NONE,
    Training,
    count_changes,
    find_births,
    find_pasts,
    follow_student,
    list_steps,
    make_training,
    table_steps,
    table_tracks,
)
from unitscope.lab.zoo.trained_models import COURSE, StudyModel, train_models
from unitscope.networks.network import Network
from unitscope.tables import Table

QUESTION = "When in training do which concepts emerge?"
LOW, HIGH = ("color", "texture", "material"), ("object", "part")
"""Categories that paper A expects early, and late."""
SEEDS = 5
_FEW = 0.05
RULE = f"*No* unit turns where at most {_FEW:.0%} of the object detectors of all seeds have."


def follow_checkpoints(
    checkpoints: Mapping[int, Network | Callable[[], Network]],
    layer: str,
    source: ConceptSource,
    *,
    convention: str = "netdissect",
    cache: str | Path | None = None,
    group: str = "checkpoints",
) -> Training:
    """Dissects a layer at every checkpoint, given by step: a network, or what loads it in its turn.

    Raises `UsageError` for fewer than two checkpoints, and what `dissect` raises.
    """
    if len(checkpoints) < 2:
        raise UsageError(
            f"{len(checkpoints)} checkpoint was given; a training is followed through two or more"
        )
    layers, few = {}, Confidences(100, 20)
    for step, one in sorted(checkpoints.items()):
        network = one if isinstance(one, Network) else one()
        run = dissect(network, source, [layer], convention=convention, confidences=few, cache=cache)
        layers[step] = run[layer]
    return make_training(layers, group, seed=0)


def order_checkpoints(paths: Sequence[Path]) -> dict[int, Path]:
    """Files by step: the last number in each name, or their order by name where a name has none.

    Raises `UsageError` where two files have the same step.

    >>> order_checkpoints([Path("step-20.safetensors"), Path("step-3.safetensors")])
    {3: PosixPath('step-3.safetensors'), 20: PosixPath('step-20.safetensors')}
    """
    numbers = {path: re.findall(r"\d+", path.stem) for path in paths}
    if not all(numbers.values()):
        return dict(enumerate(sorted(paths), 1))
    steps: dict[int, Path] = {}
    for path, found in numbers.items():
        step = int(found[-1])
        if step in steps:
            raise UsageError(f"{steps[step]} and {path} are both of step {step}; give every step once")
        steps[step] = path
    return dict(sorted(steps.items()))


def find_half(training: Training, categories: Sequence[str]) -> float:
    """The first step with half of the most unique concepts that some categories have; NaN for none at all."""
    counts = training.count(*categories)
    steps = zip(training.tracks.steps, counts, strict=True)
    return float(next((step for step, count in steps if count and count >= max(counts) / 2), np.nan))


def claim_training(trainings: Sequence[Training]) -> tuple[Claim, ...]:
    """Concepts grow over training; low categories come first; no unit goes from texture to object."""
    first, last = ([training.rows[place].count() for training in trainings] for place in (0, -1))
    halves = np.array([[find_half(training, some) for some in (LOW, HIGH)] for training in trainings])
    low, high = halves[~np.isnan(halves).any(1)].T.tolist()
    ended: Counter[str] = Counter()
    for training in trainings:
        ended.update(find_pasts(training.tracks, "object"))
    total = sum(ended.values())
    came = sum(ended[one] for one in LOW)
    return (
        Claim(
            "fig. 10",
            "unique detectors grow over training",
            f"{spread(first)} before it, {spread(last)} after",
            judge_order(last, first),
        ),
        Claim(
            "fig. 10",
            "colors, textures and materials are there first; objects and parts begin to emerge later",
            f"half of their number is reached at step {spread(low, '.0f')} and at step {spread(high, '.0f')}",
            judge_order(high, low),
        ),
        Claim(
            "section 4.4",
            "no unit turns from textures to objects",
            f"of {total} object detectors at the end {came} had detected a color, texture or material, "
            f"{ended[NONE]} of nothing else",
            judge_fact(came / total <= _FEW, len(trainings)) if total else "not tested",
        ),
    )


def table_pasts(trainings: Sequence[Training], categories: Sequence[str]) -> Table:
    """Where detectors of each category had come from and since when they are, for people."""
    rows = []
    for category in categories:
        births = [step for training in trainings for step in find_births(training.tracks, category)]
        pasts: Counter[str] = Counter()
        for training in trainings:
            pasts.update(find_pasts(training.tracks, category))
        others = ", ".join(f"{count} {name}" for name, count in pasts.most_common() if name != NONE)
        total = len(births)
        rows.append((category, total, total - pasts[NONE], others, f"{np.median(births):.0f}"))
    columns = ("detectors at the end", "units", "had been another category's", "of these")
    return Table((*columns, "since step (median)"), tuple(rows), (0, 3))


def table_changes(trainings: Sequence[Training]) -> Table:
    """changes.csv: every change of category between one step and the next, counted over all trainings."""
    changes: Counter[tuple[str, str]] = Counter()
    for training in trainings:
        changes.update(count_changes(training.tracks))
    rows = tuple((*pair, count) for pair, count in sorted(changes.items()))
    return Table(("before", "after", "units"), rows)


def judge_training(trainings: Sequence[Training], quick: bool = False) -> Finding:
    """The finding of some trainings, ours or a user's."""
    rows = [row for training in trainings for row in training.rows]
    seen = [one for one in rows[0].categories if any(row.count(one) for row in rows)]
    ended = [one for one in seen if any(training.rows[-1].count(one) for training in trainings)]
    steps = table_steps({"": trainings}, ("step", "detectors", *seen, "unique", "scene right"))
    return Finding(
        "training",
        QUESTION,
        claim_training(trainings),
        f"{steps.markdown()}\n\n{table_pasts(trainings, ended).markdown()}",
        {
            "training.csv": cohort_table(rows),
            "changes.csv": table_changes(trainings),
            "tracks.csv": table_tracks(trainings),
        },
        str(len(trainings)),
        sum(row.seconds for row in rows),
        quick,
        RULE,
        partial(draw_training, {"": trainings}),
    )


def study_training(setting: Setting) -> Finding:
    """Trains the baseline from five seeds and judges its checkpoints (paper A, fig. 10)."""
    models = [StudyModel(setting.course(COURSE), seed) for seed in setting.repetitions(SEEDS)]
    train_models(models, setting.networks, jobs=setting.jobs)
    keep_dissections([one for model in models for one in list_steps(model, "training").values()], setting)
    source = setting.source()
    trainings = [follow_student(model, setting, source, "baseline", "training") for model in models]
    return judge_training(trainings, setting.quick)


def study_checkpoints(
    checkpoints: Mapping[int, Network | Callable[[], Network]],
    layer: str,
    source: ConceptSource,
    setting: Setting,
    *,
    name: str = "checkpoints",
) -> Finding:
    """Judges the checkpoints of a network of one's own, called `name`; as `follow_checkpoints`."""
    cache = setting.folder / "packed"
    followed = follow_checkpoints(
        checkpoints, layer, source, convention=setting.convention, cache=cache, group=name
    )
    return judge_training([followed], setting.quick)
