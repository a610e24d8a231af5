"""What do the conditions of training do to the units? (paper A, fig. 11)"""

from dataclasses import replace

from unitscope.lab.studies.group_study import Alike, Higher, Study, unique
from unitscope.lab.studies.trained_groups import Groups
from unitscope.lab.zoo.trained_models import COURSE

ALIKE = 0.2
"""Repetitions are alike where their unique detectors stay within so large a share of their mean."""
GROUPS: Groups = {
    "baseline": COURSE,
    "no dropout": replace(COURSE, name="no dropout", dropout=0.0, keep=()),
    "no batch norm": replace(COURSE, name="no batch norm", norm=False, keep=()),
    "augmentation": replace(COURSE, name="augmentation", augment=True, keep=()),
    "weight decay": replace(COURSE, name="weight decay", decay=0.3, keep=()),
}

study_conditions = Study(
    "conditions",
    "What do the conditions of training do to the units?",
    "condition",
    GROUPS,
    [
        Alike(
            "fig. 11",
            "other initial weights give similar counts",
            unique("baseline"),
            "{side} unique detectors, a range of {range:.0%} of the mean",
            ALIKE,
        ),
        Higher(
            "fig. 11",
            "without dropout there are fewer object detectors",
            unique("baseline", "object"),
            unique("no dropout", "object"),
        ),
        Higher(
            "fig. 11",
            "and more texture detectors",
            unique("no dropout", "texture"),
            unique("baseline", "texture"),
        ),
        Higher(
            "fig. 11",
            "batch normalization costs unique detectors (79 to 46)",
            unique("no batch norm"),
            unique("baseline"),
        ),
    ],
    rule=f"Counts of repetitions are *similar* where their range is at most {ALIKE:.0%} of their mean.",
)
