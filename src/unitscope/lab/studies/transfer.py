"""What becomes of units when a network goes on to another task? (paper A, section 4.7)"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.lab.studies.claims import Claim, Verdict, judge_all, judge_order, spread
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.supervision import GROUPS as TASKS
from unitscope.lab.studies.trained_groups import (
    Setting,
    cohort_rows,
    describe_layer,
    dissect_kept,
    measure_skill,
    models_of,
    pack_pictures,
)
from unitscope.lab.studies.training import Training
from unitscope.lab.studies.unit_trajectories import Tracks, find_movers, keep_share, track_rows, track_units
from unitscope.lab.zoo.trained_models import COURSE, LAST, StudyModel, open_student, seconds_of, train_models

QUESTION = "What becomes of units when a network goes on to another task?"
STEPS = 512
KEPT = (1, 4, 16, 64, 128, 256, STEPS)
SCENES, OBJECTS = TASKS["scenes"], TASKS["objects"]
TO_OBJECTS, TO_SCENES = "scenes to objects", "objects to scenes"
GROUPS = {
    TO_OBJECTS: replace(
        COURSE, name=TO_OBJECTS, task="objects", start=SCENES, steps=STEPS, rate=1e-3, keep=KEPT
    ),
    TO_SCENES: replace(
        COURSE, name=TO_SCENES, task="scenes", start=OBJECTS, steps=STEPS, rate=1e-3, keep=KEPT
    ),
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


def follow_transfer(group: str, model: StudyModel, setting: Setting, source: ConceptSource) -> Training:
    """One network from where it started to where its second task leaves it."""
    assert model.start is not None
    networks = {0: open_student(model.start, setting.networks)}
    networks |= {step: open_student(model, setting.networks, step) for step in model.course.keep}
    layers = {
        step: dissect_kept(
            network, [LAST], source, setting, f"{group.replace(' ', '-')}-{model.seed}-{step}"
        )[LAST]
        for step, network in networks.items()
    }
    rows = []
    for step, found in layers.items():
        skill = measure_skill(networks[step], pack_pictures(source, networks[step], setting))
        seconds = seconds_of(model, setting.networks) if step == model.course.keep[-1] else 0.0
        rows.append(describe_layer(found, group, model.seed, step=step, skill=skill, seconds=seconds))
    return Training(tuple(rows), track_units(list(layers.values()), list(layers)))


def claim_transfer(
    trainings: Mapping[str, Sequence[Training]], scratch: Sequence[float], early: Sequence[float]
) -> tuple[Claim, ...]:
    """Units change what they detect, learning is faster than from scratch; and the object detectors?

    `trainings` holds transfers and controls. `scratch` are the skills of the baseline from scratch, `early`
    those of the transfer, after as many steps.
    """
    claims = [
        Claim(
            "section 4.7",
            "it learns faster than from scratch",
            f"scenes right after {_EARLY} steps: {spread([100 * one for one in early])} % fine-tuned, "
            f"{spread([100 * one for one in scratch])} % from scratch",
            judge_order(early, scratch),
        )
    ]
    for group, (control, _) in CONTROLS.items():
        moved, stayed = _moved(trainings[group]), _moved(trainings[control])
        claims.append(
            Claim(
                "section 4.7",
                "units change into detectors of other things",
                f"{group}: {spread(moved, '.0f')} % of the detectors have another name, or none, at the end; "
                f"{control}: {spread(stayed, '.0f')} %",
                judge_order(moved, stayed),
            )
        )
    back = [_objects(training) for training in trainings[TO_SCENES]]
    claims.append(
        Claim(
            "section 4.7, from memory",
            "from objects to scenes (ImageNet to Places) object detectors first drop, then rise",
            _tell(back),
            judge_dip(back),
        )
    )
    away = [_objects(training) for training in trainings[TO_OBJECTS]]
    claims.append(
        Claim(
            "section 4.7, from memory",
            "from scenes to objects (Places to ImageNet) they slowly drop",
            _tell(away),
            judge_order([one[0] for one in away], [one[-1] for one in away]),
        )
    )
    return tuple(claims)


def judge_dip(counts: Sequence[Sequence[int]]) -> Verdict:
    """Whether counts, a list a seed, first drop and then rise: the start and the end above the lowest step.

    The lowest step is that of the lowest mean. The weaker of the two orders is the verdict.

    >>> judge_dip([[9, 5, 8], [9, 6, 9]]), judge_dip([[9, 5, 8], [6, 6, 7]])
    ('replicates', 'unclear')
    >>> judge_dip([[9, 5, 4], [8, 5, 3]])
    'does not replicate at this scale'
    """
    table = np.array(counts)
    low = table[:, find_lowest(counts)].tolist()
    return judge_all(judge_order(table[:, end].tolist(), low) for end in (0, -1))


def find_lowest(counts: Sequence[Sequence[int]]) -> int:
    """The place of the lowest mean over seeds, the earliest of equals."""
    return int(np.mean(counts, 0).argmin())


def _moved(trainings: Sequence[Training]) -> list[float]:
    return [100 * (1 - keep_share(training.tracks)) for training in trainings]


def _objects(training: Training) -> list[int]:
    return [row.count("object") for row in training.rows]


def _tell(counts: Sequence[Sequence[int]]) -> str:
    place = find_lowest(counts)
    start, low, end = ([one[at] for one in counts] for at in (0, place, -1))
    return (
        f"{spread(start)} object concepts at the start, {spread(low)} at the step of the lowest mean, "
        f"{spread(end)} at the end"
    )


_EARLY = 64


def spell_transfer(trainings: Mapping[str, Sequence[Training]]) -> str:
    """Means over seeds at every step, as a Markdown table; *kept*: first detectors with the same name."""
    head = ["transfer", "step", "detectors", "object", "part", "scene", "unique", "kept", "scene right"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for group, mine in trainings.items():
        for place, rows in enumerate(zip(*(training.rows for training in mine), strict=True)):
            cells = [group, str(rows[0].step), f"{np.mean([row.detectors for row in rows]):.1f}"]
            cells += [
                f"{np.mean([row.count(one) for row in rows]):.1f}" for one in ("object", "part", "scene")
            ]
            cells.append(spread([row.count() for row in rows]))
            cells.append(
                f"{100 * np.mean([keep_share(training.tracks, 0, place) for training in mine]):.0f} %"
            )
            skills = [row.skill for row in rows if row.skill == row.skill]
            cells.append(f"{100 * np.mean(skills):.0f} %" if skills else "")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spell_movers(tracks: Tracks, count: int = 6) -> str:
    """Some units that were one thing and became another, with their names at every step."""
    head = ["unit", *(f"step {step}" for step in tracks.steps)]
    lines = [f"| {' | '.join(head)} |", f"|---:|{'---|' * (len(head) - 1)}"]
    for unit in find_movers(tracks, count):
        names = []
        for place in range(len(tracks.steps)):
            concept = tracks.concept(place, unit)
            names.append(f"{concept.label} {tracks.iou[place, unit]:.2f}" if concept else "–")
        lines.append(f"| {' | '.join([str(unit), *names])} |")
    return "\n".join(lines)


def compare_transfer(setting: Setting) -> tuple[Finding, dict[str, list[Training]]]:
    """Teaches both transfers, and as controls the same steps of the same task, and follows their units."""
    members = models_of({**GROUPS, **dict(CONTROLS.values())}, setting)
    whole = [model for _, model in members]
    base = [StudyModel(setting.course(COURSE), model.seed) for model in whole]
    train_models([*whole, *base], setting.networks, jobs=setting.jobs)
    source = setting.source()
    trainings: dict[str, list[Training]] = {}
    for group, model in members:
        trainings.setdefault(group, []).append(follow_transfer(group, model, setting, source))
    step = min(_EARLY, max(base[0].course.keep))
    scratch = []
    for model in dict.fromkeys(base):
        network = open_student(model, setting.networks, step)
        scratch.append(measure_skill(network, pack_pictures(source, network, setting)))
    early = [row.skill for training in trainings[TO_SCENES] for row in training.rows if row.step == step]
    rows = [row for mine in trainings.values() for training in mine for row in training.rows]
    text = "\n\n".join(
        [
            spell_transfer(trainings),
            *(
                f"Units that became something else, {group}, seed 0:\n\n{spell_movers(mine[0].tracks)}"
                for group, mine in trainings.items()
                if group in GROUPS
            ),
        ]
    )
    followed = [(group, one.rows[0].seed, one.tracks) for group, mine in trainings.items() for one in mine]
    tables = {"transfer.csv": list(cohort_rows(rows)), "tracks.csv": track_rows(followed)}
    claims = claim_transfer(trainings, scratch, early)
    seconds = sum(row.seconds for row in rows)
    return (
        Finding(
            "transfer",
            QUESTION,
            claims,
            text,
            tables,
            str(len(trainings[TO_SCENES])),
            seconds,
            setting.quick,
            RULE,
        ),
        {group: trainings[group] for group in GROUPS},
    )
