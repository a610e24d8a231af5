"""What do the conditions of training do to the units? (paper A, fig. 11)"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unitscope.lab.studies.claims import Claim, judge_fact, judge_order, spread
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import (
    Groups,
    Representation,
    Setting,
    compare_cohort,
    judge_cohort,
    values_of,
)
from unitscope.lab.zoo.trained_models import COURSE

QUESTION = "What do the conditions of training do to the units?"
ALIKE = 0.2
"""Repetitions are alike where their unique detectors stay within so large a share of their mean."""
RULE = f"Counts of repetitions are *similar* where their range is at most {ALIKE:.0%} of their mean."
GROUPS: Groups = {
    "baseline": COURSE,
    "no dropout": replace(COURSE, name="no dropout", dropout=0.0, keep=()),
    "no batch norm": replace(COURSE, name="no batch norm", norm=False, keep=()),
    "augmentation": replace(COURSE, name="augmentation", augment=True, keep=()),
    "weight decay": replace(COURSE, name="weight decay", decay=0.3, keep=()),
}


def claim_conditions(rows: Sequence[Representation]) -> tuple[Claim, ...]:
    """Repeats agree; without dropout fewer objects and more textures; batch normalization costs detectors."""
    base = values_of(rows, "baseline")
    swing = (max(base) - min(base)) / float(np.mean(base) or 1)
    claims = [
        Claim(
            "fig. 11",
            "other initial weights give similar counts",
            f"{spread(base)} unique detectors, a range of {swing:.0%} of the mean",
            judge_fact(swing <= ALIKE, len(base)),
        )
    ]
    for category, more, less, said in (
        ("object", "baseline", "no dropout", "without dropout there are fewer object detectors"),
        ("texture", "no dropout", "baseline", "and more texture detectors"),
        (None, "no batch norm", "baseline", "batch normalization costs unique detectors (79 to 46)"),
    ):
        high, low = values_of(rows, more, category), values_of(rows, less, category)
        ours = f"{more} {spread(high)}, {less} {spread(low)}"
        claims.append(Claim("fig. 11", said, ours, judge_order(high, low)))
    return tuple(claims)


def compare_conditions(setting: Setting) -> tuple[Finding, list[Representation]]:
    """Teaches, dissects and judges the conditions."""
    rows = compare_cohort(GROUPS, setting)
    claims = claim_conditions(rows)
    return judge_cohort("conditions", QUESTION, "condition", rows, claims, setting, rule=RULE), rows
