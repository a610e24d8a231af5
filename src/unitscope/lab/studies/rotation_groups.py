"""Rotations of students: under many conditions, after more or less training, with more or fewer units."""

from collections.abc import Iterator

from unitscope.concepts.packed import PackedSource
from unitscope.lab.studies import width
from unitscope.lab.studies.rotation import (
    Fall,
    Step,
    Subject,
    count_units,
    measure_undoing,
    rotate_another,
    sweep_conditions,
    turn_steps,
)
from unitscope.lab.studies.rotation_finding import judge_axis
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting, pack_pictures
from unitscope.lab.zoo.trained_models import (
    COURSE,
    LAST,
    LAYERS,
    Pupil,
    open_student,
    seconds_of,
    teach_pupils,
)

NAME = "Taught scenes"
BEFORE = f"{LAST}.1"
"""What the rectification of the last stage takes in."""
SEEDS, ROTATIONS = 5, 5


def compare_axis(setting: Setting) -> tuple[Finding, tuple[list[Fall], list[Step]]]:
    """Teaches students, rotates their last layer, and judges what falls."""
    rotations = 2 if setting.quick else ROTATIONS
    pupils = [Pupil(setting.course(COURSE), seed) for seed in setting.repetitions(SEEDS)]
    wide = [other for pupil in pupils for other in _widths(pupil, setting)]
    teach_pupils([*pupils, *wide], setting.networks, jobs=setting.jobs)
    falls: list[Fall] = []
    steps: list[Step] = []
    undone, seconds = 0.0, 0.0
    for pupil in pupils:
        network = open_student(pupil, setting.networks)
        pictures = pack_pictures(setting.source(), network, setting)
        subject = Subject(network, LAST, NAME, pupil.seed, BEFORE, LAYERS[:-1])
        falls += sweep_conditions(subject, pictures, rotations=rotations, convention=setting.convention)
        falls += _vary_students(pupil, pictures, setting, rotations)
        steps += turn_steps(subject, pictures, rotations=rotations, convention=setting.convention)
        undone = max(undone, measure_undoing(subject, pictures))
        seconds += seconds_of(pupil, setting.networks)
    return judge_axis(falls, steps, undone, seconds=seconds, quick=setting.quick), (falls, steps)


def _widths(pupil: Pupil, setting: Setting) -> list[Pupil]:
    return [Pupil(setting.course(course), pupil.seed) for course in width.GROUPS.values()]


def _vary_students(pupil: Pupil, pictures: PackedSource, setting: Setting, rotations: int) -> Iterator[Fall]:
    """The same layer of other students: of random weights, early in training, narrower and wider."""
    kept = [step for step in (16, 64, 256) if step in pupil.course.keep and step < pupil.course.steps]
    others = [("training", "random weights", open_student(pupil, None))]
    others += [("training", f"{step} steps", open_student(pupil, setting.networks, step)) for step in kept]
    for other in _widths(pupil, setting):
        if other != pupil:
            network = open_student(other, setting.networks)
            others.append(("width", f"{count_units(network, LAST)} units", network))
    for factor, level, network in others:
        subject = Subject(network, LAST, NAME, pupil.seed)
        yield rotate_another(
            subject, pictures, factor, level, rotations=rotations, convention=setting.convention
        )
