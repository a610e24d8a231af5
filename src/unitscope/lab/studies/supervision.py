"""Which supervision makes which concepts? One architecture, twelve tasks and none (paper A, figs. 8, 9)."""

from collections.abc import Mapping
from dataclasses import replace

from unitscope.lab.studies.captioning import (
    caption_pictures,
    captions_table,
    measure_agreement,
    spell_captions,
)
from unitscope.lab.studies.group_study import Few, Higher, Rows, Study, fewest, most, unique
from unitscope.lab.studies.trained_groups import Groups, Setting, dissect_kept, pack_pictures
from unitscope.lab.zoo.trained_models import COURSE, LAST, TASKS, StudyModel, open_student
from unitscope.tables import Table

UNTRAINED = "random weights"
NAMED = ("scenes", "objects", "both")
"""What stands in for the supervised networks of fig. 8: Places, ImageNet and both."""
SUPERVISED = (*NAMED, "captions")
GROUPS: Groups = {
    task: COURSE if task == COURSE.task else replace(COURSE, name=task, task=task, keep=()) for task in TASKS
}
SELF = tuple(task for task in TASKS if task not in SUPERVISED)


def describe_captions(_rows: Rows, setting: Setting) -> tuple[str, Mapping[str, Table]]:
    """What the captioner of seed 0 writes about pictures it has not seen: `more` of the study."""
    network = open_student(StudyModel(setting.course(GROUPS["captions"]), 0), setting.networks)
    source = setting.source()
    layer = dissect_kept(network, [LAST], source, setting, "captions-0")[LAST]
    captions = caption_pictures(network, layer, pack_pictures(source, network, setting), 200)
    text = f"Captions, seed 0:\n\n{spell_captions(captions, measure_agreement(captions))}"
    return text, {"captions.csv": captions_table(captions)}


study_supervision = Study(
    "supervision",
    "Which supervision makes which concepts?",
    "task",
    GROUPS,
    [
        Higher(
            "fig. 8",
            "supervised networks have more unique detectors than any self-supervised one",
            fewest(NAMED),
            most(SELF),
            "fewest with labels: {high.name} {high}; most without: {low.name} {low}; captions, not in the "
            "figure, {also}",
            unique("captions"),
        ),
        Higher(
            "figs. 8, 9",
            "self-supervised networks have many texture detectors",
            most(SELF, "texture"),
            unique("scenes", "texture"),
            "most: {high.name} {high}; scenes {low}",
        ),
        Higher(
            "figs. 7, 8",
            "scene labels make more object detectors than object labels do (Places over ImageNet)",
            unique("scenes", "object"),
            unique("objects", "object"),
            "{high} and {low} object concepts",
        ),
        Higher(
            "fig. 9",
            "self-supervised networks have few object detectors",
            unique("scenes", "object"),
            most(SELF, "object"),
            "scenes {high}; most without labels: {low.name} {low}",
        ),
        Few(
            "fig. 9",
            "colorization has no color detectors to speak of",
            unique(UNTRAINED, "color"),
            unique("colorization", "color"),
            "colorization {low}, random weights {high}",
        ),
        Higher(
            "captioning",
            "learning to write captions makes many object detectors",
            unique("captions", "object"),
            unique(UNTRAINED, "object"),
            "captions {high}, scenes {also}, random weights {low}",
            unique("scenes", "object"),
        ),
    ],
    untrained=UNTRAINED,
    more=describe_captions,
)
