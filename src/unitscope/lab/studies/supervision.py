"""Which supervision makes which concepts? One architecture, twelve tasks and none (paper A, figs. 8, 9)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unitscope.lab.studies.captioning import Told, measure_hold, spell_told, tell_pictures, told_rows
from unitscope.lab.studies.claims import Claim, judge_fact, judge_order, spread
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import (
    Groups,
    Representation,
    Setting,
    compare_cohort,
    dissect_kept,
    judge_cohort,
    pack_pictures,
    values_of,
)
from unitscope.lab.zoo.trained_models import COURSE, LAST, TASKS, StudyModel, open_student

QUESTION = "Which supervision makes which concepts?"
UNTAUGHT = "random weights"
NAMED = ("scenes", "objects", "both")
"""What stands in for the supervised networks of fig. 8: Places, ImageNet and both."""
SUPERVISED = (*NAMED, "captions")
GROUPS: Groups = {
    task: COURSE if task == COURSE.task else replace(COURSE, name=task, task=task, keep=()) for task in TASKS
}
SELF = tuple(task for task in TASKS if task not in SUPERVISED)


def _best(rows: Sequence[Representation], groups: Sequence[str], category: str | None = None) -> str:
    return max(groups, key=lambda group: float(np.mean(values_of(rows, group, category))))


def claim_supervision(rows: Sequence[Representation]) -> tuple[Claim, ...]:
    """Labels make the most, self-supervision has textures and few objects, colorization no colors."""
    claims = []
    rival, least = _best(rows, SELF), min(NAMED, key=lambda group: np.mean(values_of(rows, group)))
    claims.append(
        Claim(
            "fig. 8",
            "supervised networks have more unique detectors than any self-supervised one",
            f"fewest with labels: {least} {spread(values_of(rows, least))}; most without: {rival} "
            f"{spread(values_of(rows, rival))}; captions, not in the figure, "
            f"{spread(values_of(rows, 'captions'))}",
            judge_order(values_of(rows, least), values_of(rows, rival)),
        )
    )
    rival = _best(rows, SELF, "texture")
    textures, labelled = values_of(rows, rival, "texture"), values_of(rows, "scenes", "texture")
    claims.append(
        Claim(
            "figs. 8, 9",
            "self-supervised networks have many texture detectors",
            f"most: {rival} {spread(textures)}; scenes {spread(labelled)}",
            judge_order(textures, labelled),
        )
    )
    objects, others = values_of(rows, "scenes", "object"), values_of(rows, "objects", "object")
    claims.append(
        Claim(
            "figs. 7, 8",
            "scene labels make more object detectors than object labels do (Places over ImageNet)",
            f"{spread(objects)} and {spread(others)} object concepts",
            judge_order(objects, others),
        )
    )
    rival = _best(rows, SELF, "object")
    claims.append(
        Claim(
            "fig. 9",
            "self-supervised networks have few object detectors",
            f"scenes {spread(objects)}; most without labels: {rival} "
            f"{spread(values_of(rows, rival, 'object'))}",
            judge_order(objects, values_of(rows, rival, "object")),
        )
    )
    colors, rest = values_of(rows, "colorization", "color"), values_of(rows, UNTAUGHT, "color")
    claims.append(
        Claim(
            "fig. 9",
            "colorization has no color detectors to speak of",
            f"colorization {spread(colors)}, random weights {spread(rest)}",
            judge_order(rest, colors) if any(colors) else judge_fact(True, len(colors)),
        )
    )
    captions, none = values_of(rows, "captions", "object"), values_of(rows, UNTAUGHT, "object")
    claims.append(
        Claim(
            "captioning",
            "learning to write captions makes many object detectors",
            f"captions {spread(captions)}, scenes {spread(objects)}, random weights {spread(none)}",
            judge_order(captions, none),
        )
    )
    return tuple(claims)


def tell_captions(setting: Setting) -> list[Told]:
    """What the captioner of seed 0 writes about pictures it has not seen."""
    network = open_student(StudyModel(setting.course(GROUPS["captions"]), 0), setting.networks)
    source = setting.source()
    found = dissect_kept(network, [LAST], source, setting, "captions-0")[LAST]
    pictures = pack_pictures(source, network, setting)
    return tell_pictures(network, found, pictures, 200)


def compare_supervision(setting: Setting) -> tuple[Finding, list[Representation]]:
    """Teaches, dissects and judges the tasks."""
    rows = compare_cohort(GROUPS, setting, untaught=UNTAUGHT)
    told = tell_captions(setting)
    more = f"Captions, seed 0:\n\n{spell_told(told, measure_hold(told))}"
    finding = judge_cohort("supervision", QUESTION, "task", rows, claim_supervision(rows), setting, more)
    return replace(finding, tables={**finding.tables, "captions.csv": told_rows(told)}), rows
