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
    StudyModel,
    open_student,
    seconds_of,
    train_models,
)

NAME = "Taught scenes"
BEFORE = f"{LAST}.1"
"""What the rectification of the last stage takes in."""
SEEDS, ROTATIONS = 5, 5


def compare_axis(setting: Setting) -> tuple[Finding, tuple[list[Fall], list[Step]]]:
    """Teaches students, rotates their last layer, and judges what falls."""
    rotations = 2 if setting.quick else ROTATIONS
    models = [StudyModel(setting.course(COURSE), seed) for seed in setting.repetitions(SEEDS)]
    wide = [other for model in models for other in _widths(model, setting)]
    train_models([*models, *wide], setting.networks, jobs=setting.jobs)
    falls: list[Fall] = []
    steps: list[Step] = []
    undone, seconds = 0.0, 0.0
    for model in models:
        network = open_student(model, setting.networks)
        pictures = pack_pictures(setting.source(), network, setting)
        subject = Subject(network, LAST, NAME, model.seed, BEFORE, LAYERS[:-1])
        falls += sweep_conditions(subject, pictures, rotations=rotations, convention=setting.convention)
        falls += _vary_students(model, pictures, setting, rotations)
        steps += turn_steps(subject, pictures, rotations=rotations, convention=setting.convention)
        undone = max(undone, measure_undoing(subject, pictures))
        seconds += seconds_of(model, setting.networks)
    return judge_axis(falls, steps, undone, seconds=seconds, quick=setting.quick), (falls, steps)


def _widths(model: StudyModel, setting: Setting) -> list[StudyModel]:
    return [StudyModel(setting.course(course), model.seed) for course in width.GROUPS.values()]


def _vary_students(
    model: StudyModel, pictures: PackedSource, setting: Setting, rotations: int
) -> Iterator[Fall]:
    """The same layer of other students: of random weights, early in training, narrower and wider."""
    kept = [step for step in (16, 64, 256) if step in model.course.keep and step < model.course.steps]
    others = [("training", "random weights", open_student(model, None))]
    others += [("training", f"{step} steps", open_student(model, setting.networks, step)) for step in kept]
    for other in _widths(model, setting):
        if other != model:
            network = open_student(other, setting.networks)
            others.append(("width", f"{count_units(network, LAST)} units", network))
    for factor, level, network in others:
        subject = Subject(network, LAST, NAME, model.seed)
        yield rotate_another(
            subject, pictures, factor, level, rotations=rotations, convention=setting.convention
        )
