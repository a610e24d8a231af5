"""Which architecture has the most interpretable units? Six styles, taught alike (paper A, figs. 6 and 7)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unitscope.lab.studies.claims import Claim, judge_order, spread
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import (
    Groups,
    Representation,
    Setting,
    compare_cohort,
    group_rows,
    judge_cohort,
    values_of,
)
from unitscope.lab.zoo.styles import STYLES
from unitscope.lab.zoo.trained_models import COURSE

QUESTION = "Which architecture has the most interpretable units?"
GROUPS: Groups = {
    style: COURSE if style == COURSE.style else replace(COURSE, name=style, style=style, keep=())
    for style in STYLES
}
_ORDER = (("resnet", "vgg"), ("densenet", "vgg"), ("vgg", "googlenet"), ("googlenet", "alexnet"))


def claim_architectures(rows: Sequence[Representation]) -> tuple[Claim, ...]:
    """The order of the paper, pair by pair: ResNet (and DenseNet) over VGG over GoogLeNet over AlexNet."""
    claims = []
    for more, less in _ORDER:
        high, low = values_of(rows, more), values_of(rows, less)
        claims.append(
            Claim(
                "fig. 7",
                f"{more} has more unique detectors than {less}",
                f"{spread(high)} and {spread(low)}",
                judge_order(high, low),
            )
        )
    return tuple(claims)


def compare_architectures(setting: Setting) -> tuple[Finding, list[Representation]]:
    """Teaches, dissects and judges the six styles."""
    rows = compare_cohort(GROUPS, setting, untaught="random weights")
    order = sorted(group_rows(rows), key=lambda group: -float(np.mean(values_of(rows, group))))
    more = f"By unique detectors: {', '.join(order)}."
    claims = claim_architectures(rows)
    return judge_cohort("architectures", QUESTION, "style", rows, claims, setting, more), rows
