"""When in training do which concepts emerge, and do units change what they detect? (paper A, fig. 10)"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import LayerDissection
from unitscope.errors import UsageError
from unitscope.lab.studies.claims import Claim, judge_fact, judge_order, spread
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import (
    Representation,
    Setting,
    cohort_rows,
    describe_layer,
    dissect_kept,
    measure_skill,
    pack_pictures,
)
from unitscope.lab.studies.unit_trajectories import (
    NONE,
    Tracks,
    count_changes,
    find_births,
    find_pasts,
    track_rows,
    track_units,
)
from unitscope.lab.zoo.trained_models import COURSE, LAST, StudyModel, open_student, seconds_of, train_models
from unitscope.networks.network import Network
from unitscope.tables import Cells

QUESTION = "When in training do which concepts emerge?"
LOW, HIGH = ("color", "texture", "material"), ("object", "part")
"""Categories that paper A expects early, and late."""
SEEDS = 5
_FEW = 0.05
RULE = f"*No* unit turns where at most {_FEW:.0%} of the object detectors of all seeds have."


@dataclass(frozen=True, eq=False)
class Training:
    """One training, dissected at its checkpoints: a row a step, and the tracks of the units."""

    rows: tuple[Representation, ...]
    tracks: Tracks


def follow_checkpoints(
    checkpoints: Mapping[int, Network | Callable[[], Network]],
    layer: str,
    source: ConceptSource,
    *,
    convention: str = "netdissect",
    seed: int = 0,
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
    layers = {
        step: dissect(
            one if isinstance(one, Network) else one(),
            source,
            [layer],
            convention=convention,
            confidences=Confidences(100, 20),
            cache=cache,
        )[layer]
        for step, one in sorted(checkpoints.items())
    }
    rows = [describe_layer(found, group, seed, step=step) for step, found in layers.items()]
    return Training(tuple(rows), track_units(list(layers.values()), list(layers)))


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


def follow_student(seed: int, setting: Setting, source: ConceptSource) -> Training:
    """The baseline of a seed at every power of two of its steps, and before the first."""
    model = StudyModel(setting.course(COURSE), seed)
    rows: list[Representation] = []
    layers: list[LayerDissection] = []
    steps = (0, *model.course.keep)
    for step in steps:
        network = open_student(model, setting.networks if step else None, step or None)
        found = dissect_kept(network, [LAST], source, setting, f"training-{seed}-{step}")[LAST]
        skill = measure_skill(network, pack_pictures(source, network, setting))
        seconds = seconds_of(model, setting.networks) if step == steps[-1] else 0.0
        rows.append(describe_layer(found, "baseline", seed, step=step, skill=skill, seconds=seconds))
        layers.append(found)
    return Training(tuple(rows), track_units(layers, steps))


def find_half(rows: Sequence[Representation], categories: Sequence[str]) -> float:
    """The first step with half of the most unique concepts that some categories have; NaN for none at all."""
    counts = [sum(row.count(one) for one in categories) for row in rows]
    if not max(counts):
        return float("nan")
    return float(next(row.step for row, count in zip(rows, counts, strict=True) if count >= max(counts) / 2))


def claim_training(trainings: Sequence[Training]) -> tuple[Claim, ...]:
    """Concepts grow over training; low categories come first; no unit goes from texture to object."""
    first = [training.rows[0].count() for training in trainings]
    last = [training.rows[-1].count() for training in trainings]
    low = [find_half(training.rows, LOW) for training in trainings]
    high = [find_half(training.rows, HIGH) for training in trainings]
    known = [(a, b) for a, b in zip(low, high, strict=True) if a == a and b == b]
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
            f"half of their number is reached at step {spread([a for a, _ in known], '.0f')} and at step "
            f"{spread([b for _, b in known], '.0f')}",
            judge_order([b for _, b in known], [a for a, _ in known]),
        ),
        Claim(
            "section 4.4",
            "no unit turns from textures to objects",
            f"of {total} object detectors at the end {came} had detected a color, texture or material, "
            f"{ended[NONE]} of nothing else",
            judge_fact(came / total <= _FEW, len(trainings)) if total else "not tested",
        ),
    )


def spell_training(trainings: Sequence[Training]) -> str:
    """Means over seeds at every step, as a Markdown table."""
    categories = [
        one
        for one in trainings[0].rows[0].categories
        if any(row.count(one) for training in trainings for row in training.rows)
    ]
    head = ["step", "detectors", *categories, "unique"]
    skilled = all(row.skill == row.skill for training in trainings for row in training.rows)
    head += ["scene right"] if skilled else []
    lines = [f"| {' | '.join(head)} |", f"|---:|{'---:|' * (len(head) - 1)}"]
    for rows in zip(*(training.rows for training in trainings), strict=True):
        cells = [str(rows[0].step), f"{np.mean([row.detectors for row in rows]):.1f}"]
        cells += [f"{np.mean([row.count(one) for row in rows]):.1f}" for one in categories]
        cells.append(spread([row.count() for row in rows]))
        cells += [f"{100 * np.mean([row.skill for row in rows]):.0f} %"] if skilled else []
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spell_changes(trainings: Sequence[Training]) -> str:
    """Where detectors of each category had come from and since when they are, as a Markdown table."""
    categories = [
        one for one in trainings[0].rows[0].categories if any(c.rows[-1].count(one) for c in trainings)
    ]
    head = "| detectors at the end | units | had been another category's | of these | since step (median) |"
    lines = [head, "|---|---:|---:|---|---:|"]
    for category in categories:
        pasts: Counter[str] = Counter()
        births: list[int] = []
        for training in trainings:
            pasts.update(find_pasts(training.tracks, category))
            births += find_births(training.tracks, category)
        total = sum(pasts.values())
        others = [(name, count) for name, count in pasts.most_common() if name != NONE]
        told = ", ".join(f"{count} {name}" for name, count in others)
        lines.append(f"| {category} | {total} | {total - pasts[NONE]} | {told} | {np.median(births):.0f} |")
    return "\n".join(lines)


def change_rows(trainings: Sequence[Training]) -> list[Cells]:
    """Every change of category between one step and the next, counted over all trainings."""
    changes: Counter[tuple[str, str]] = Counter()
    for training in trainings:
        changes.update(count_changes(training.tracks))
    return [["before", "after", "units"], *([a, b, str(count)] for (a, b), count in sorted(changes.items()))]


def judge_training(trainings: Sequence[Training], quick: bool = False) -> Finding:
    """The finding of some trainings, ours or a user's."""
    rows = [row for training in trainings for row in training.rows]
    followed = [(one.rows[0].group, one.rows[0].seed, one.tracks) for one in trainings]
    return Finding(
        "training",
        QUESTION,
        claim_training(trainings),
        f"{spell_training(trainings)}\n\n{spell_changes(trainings)}",
        {
            "training.csv": list(cohort_rows(rows)),
            "changes.csv": change_rows(trainings),
            "tracks.csv": track_rows(followed),
        },
        str(len(trainings)),
        sum(row.seconds for row in rows),
        quick,
        RULE,
    )


def compare_training(setting: Setting) -> tuple[Finding, list[Training]]:
    """Teaches the baseline from five seeds and judges its checkpoints."""
    seeds = setting.repetitions(SEEDS)
    train_models(
        [StudyModel(setting.course(COURSE), seed) for seed in seeds], setting.networks, jobs=setting.jobs
    )
    source = setting.source()
    trainings = [follow_student(seed, setting, source) for seed in seeds]
    return judge_training(trainings, setting.quick), trainings
