"""Do more units in the last layer make more concepts? (paper A, fig. 13)"""

from collections.abc import Sequence
from dataclasses import replace

from unitscope.lab.studies.claims import Claim, Values, judge_change, judge_fact, judge_order, spread
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

QUESTION = "Do more units in the last layer make more concepts?"
WIDTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
GROUPS: Groups = {
    f"x {width:g}": COURSE if width == 1 else replace(COURSE, name=f"width {width:g}", width=width, keep=())
    for width in WIDTHS
}
_LITTLE, _POINTS = 0.1, 2.0
RULE = (
    f"Wider still *gains no more* where it is no order or a gain of less than {_LITTLE:.0%}; accuracy is "
    f"*much the same* within {_POINTS:g} points."
)


def claim_width(rows: Sequence[Representation]) -> tuple[Claim, ...]:
    """Three times as wide gives more concepts (91 to 120) and detectors; wider still gives little."""
    detectors = {group: [row.detectors for row in rows if row.group == group] for group in GROUPS}
    narrow, wide, wider, widest = (values_of(rows, f"x {width:g}") for width in (1, 2, 4, 8))
    gain = judge_change(widest, wider, _LITTLE)
    skills = {group: [100 * row.skill for row in rows if row.group == group] for group in GROUPS}
    return (
        Claim(
            "fig. 13",
            "a wider last layer has more unique detectors (91 to 120 at 3 times the width)",
            f"x 1 {spread(narrow)}, x 2 {spread(wide)}, x 4 {spread(wider)}",
            judge_order(wider, narrow),
        ),
        Claim(
            "fig. 13",
            "and more detectors (118 to 265)",
            f"x 1 {spread(detectors['x 1'])}, x 4 {spread(detectors['x 4'])}",
            judge_order(detectors["x 4"], detectors["x 1"]),
        ),
        Claim(
            "section 4.6",
            "wider still (1,024 and 2,048 units) gains no more of them",
            f"x 4 {spread(wider)}, x 8 {spread(widest)}",
            judge_fact(gain != "replicates", len(wider)),
        ),
        Claim(
            "section 4.6",
            "its accuracy is much the same (0.5 % lower)",
            f"x 1 {spread(skills['x 1'])} %, x 4 {spread(skills['x 4'])} %",
            judge_fact(abs(_mean(skills["x 1"]) - _mean(skills["x 4"])) <= _POINTS, len(wider)),
        ),
    )


def _mean(values: Values) -> float:
    return sum(values) / len(values)


def compare_width(setting: Setting) -> tuple[Finding, list[Representation]]:
    """Teaches, dissects and judges the widths."""
    rows = compare_cohort(GROUPS, setting)
    return judge_cohort("width", QUESTION, "width", rows, claim_width(rows), setting, rule=RULE), rows
