"""What becomes of units when a network goes on to another task? (paper A, section 4.7)"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from unitscope.lab.studies.claims import Claim, Verdict, judge_all, judge_order, spread
from unitscope.lab.studies.figures.study_figures import draw_training
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.supervision import GROUPS as TASKS
from unitscope.lab.studies.trained_groups import (
    Setting,
    cohort_table,
    keep_dissections,
    measure_skill,
    models_of,
    pack_pictures,
)
from unitscope.lab.studies.unit_trajectories import (
    Tracks,
    Training,
    find_movers,
    follow_student,
    keep_share,
    list_steps,
    table_steps,
    table_tracks,
)
from unitscope.lab.zoo.trained_models import COURSE, StudyModel, open_student, train_models
from unitscope.tables import Table

QUESTION = "What becomes of units when a network goes on to another task?"
STEPS, EARLY = 512, 64
KEPT = (1, 4, 16, 64, 128, 256, STEPS)
SCENES, OBJECTS = TASKS["scenes"], TASKS["objects"]
TO_OBJECTS, TO_SCENES = "scenes to objects", "objects to scenes"
_TUNED = replace(COURSE, steps=STEPS, rate=1e-3, keep=KEPT)
GROUPS = {
    TO_OBJECTS: replace(_TUNED, name=TO_OBJECTS, task="objects", start=SCENES),
    TO_SCENES: replace(_TUNED, name=TO_SCENES, task="scenes", start=OBJECTS),
}
CONTROLS = {
    TO_OBJECTS: ("scenes to scenes", replace(GROUPS[TO_OBJECTS], name="scenes to scenes", task="scenes")),
    TO_SCENES: ("objects to objects", replace(GROUPS[TO_SCENES], name="objects to objects", task="objects")),
}
"""What training on does by itself: the same steps at the same rate under a new head, but the same task."""
RULE = (
    "Units *change* where the share of detectors that do is above that of training on with the same task, an "
    "order. *First drop, then rise*: at the step whose mean is lowest, both the start and the end are above, "
    "each an order."
)


def claim_transfer(
    trainings: Mapping[str, Sequence[Training]], scratch: Sequence[float], early: Sequence[float]
) -> tuple[Claim, ...]:
    """Units change what they detect, learning is faster than from scratch; and the object detectors?

    `trainings` holds transfers and controls. `scratch` are the skills of the baseline from scratch, `early`
    those of the transfer, after as many steps.
    """
    tuned, fresh = ([100 * skill for skill in some] for some in (early, scratch))
    back, away = ([one.count("object") for one in trainings[group]] for group in (TO_SCENES, TO_OBJECTS))
    moved = {group: [100 * (1 - keep_share(one.tracks)) for one in some] for group, some in trainings.items()}
    changes = (
        Claim(
            "section 4.7",
            "units change into detectors of other things",
            f"{group}: {spread(moved[group], '.0f')} % of the detectors have another name, or none, at the "
            f"end; {control}: {spread(moved[control], '.0f')} %",
            judge_order(moved[group], moved[control]),
        )
        for group, (control, _) in CONTROLS.items()
    )
    return (
        Claim(
            "section 4.7",
            "it learns faster than from scratch",
            f"scenes right after {EARLY} steps: {spread(tuned)} % fine-tuned, {spread(fresh)} % from scratch",
            judge_order(tuned, fresh),
        ),
        *changes,
        Claim(
            "section 4.7, from memory",
            "from objects to scenes (ImageNet to Places) object detectors first drop, then rise",
            _spell_counts(back),
            judge_dip(back),
        ),
        Claim(
            "section 4.7, from memory",
            "from scenes to objects (Places to ImageNet) they slowly drop",
            _spell_counts(away),
            judge_order([one[0] for one in away], [one[-1] for one in away]),
        ),
    )


def judge_dip(counts: Sequence[Sequence[int]]) -> Verdict:
    """Whether counts, a list a seed, first drop and then rise: the start and the end above the lowest step.

    The lowest step is that of the lowest mean. The weaker of the two orders is the verdict.

    >>> judge_dip([[9, 5, 8], [9, 6, 9]]), judge_dip([[9, 5, 8], [6, 6, 7]])
    ('replicates', 'unclear')
    >>> judge_dip([[9, 5, 4], [8, 5, 3]])
    'does not replicate at this scale'
    """
    start, low, end = _find_turn(counts)
    return judge_all(judge_order(one, low) for one in (start, end))


def _find_turn(counts: Sequence[Sequence[int]]) -> list[list[int]]:
    """The counts at the start, at the step of the lowest mean (the first of equals), and at the end."""
    table = np.array(counts)
    return [table[:, place].tolist() for place in (0, table.mean(0).argmin(), -1)]


def _spell_counts(counts: Sequence[Sequence[int]]) -> str:
    start, low, end = map(spread, _find_turn(counts))
    return f"{start} object concepts at the start, {low} at the step of the lowest mean, {end} at the end"


def table_movers(tracks: Tracks, count: int = 6) -> Table:
    """Some units that were one thing and became another, with their names at every step, for people."""
    places, rows = range(len(tracks.steps)), []
    for unit in find_movers(tracks, count):
        found = [(tracks.concept(place, unit), tracks.iou[place, unit]) for place in places]
        rows.append((unit, *(f"{concept.label} {iou:.2f}" if concept else "–" for concept, iou in found)))
    columns = ("unit", *(f"step {step}" for step in tracks.steps))
    return Table(columns, tuple(rows), range(1, len(columns)))


def study_transfer(setting: Setting) -> Finding:
    """Trains both transfers, and as controls the same steps of the same task, and follows their units."""
    members = models_of({**GROUPS, **dict(CONTROLS.values())}, setting)
    models = [model for _, model in members]
    base = [StudyModel(setting.course(COURSE), seed) for seed in dict.fromkeys(one.seed for one in models)]
    train_models([*models, *base], setting.networks, jobs=setting.jobs)
    steps = [list_steps(model, group.replace(" ", "-")) for group, model in members]
    keep_dissections([one for some in steps for one in some.values()], setting)
    source = setting.source()
    trainings: dict[str, list[Training]] = {}
    for group, model in members:
        followed = follow_student(model, setting, source, group, group.replace(" ", "-"))
        trainings.setdefault(group, []).append(followed)
    step = min(EARLY, max(base[0].course.keep))
    scratch = []
    for model in base:
        network = open_student(model, setting.networks, step)
        scratch.append(measure_skill(network, pack_pictures(source, network, setting)))
    early = [row.skill for training in trainings[TO_SCENES] for row in training.rows if row.step == step]
    claims = claim_transfer(trainings, scratch, early)
    return judge_transfer(trainings, claims, setting.quick)


def judge_transfer(
    trainings: Mapping[str, Sequence[Training]], claims: tuple[Claim, ...], quick: bool
) -> Finding:
    """The finding, of all groups followed and what is claimed of them."""
    columns = ("step", "detectors", "object", "part", "scene", "unique", "kept", "scene right")
    movers = [
        f"Units that became something else, {group}, seed 0:\n\n"
        f"{table_movers(trainings[group][0].tracks).markdown()}"
        for group in GROUPS
    ]
    followed = [training for some in trainings.values() for training in some]
    rows = [row for training in followed for row in training.rows]
    return Finding(
        "transfer",
        QUESTION,
        claims,
        "\n\n".join([table_steps(trainings, columns, "transfer").markdown(), *movers]),
        {"transfer.csv": cohort_table(rows), "tracks.csv": table_tracks(followed)},
        str(len(trainings[TO_SCENES])),
        sum(row.seconds for row in rows),
        quick,
        RULE,
        partial(draw_training, {group: trainings[group] for group in GROUPS}),
    )
