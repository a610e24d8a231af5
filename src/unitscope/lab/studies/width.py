"""Do more units in the last layer make more concepts? (paper A, fig. 13)"""

from dataclasses import replace

from unitscope.lab.studies.group_study import Higher, NoGain, Study, Within, detectors, skill, unique
from unitscope.lab.studies.trained_groups import Groups
from unitscope.lab.zoo.trained_models import COURSE

WIDTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
GROUPS: Groups = {
    f"x {width:g}": COURSE if width == 1 else replace(COURSE, name=f"width {width:g}", width=width, keep=())
    for width in WIDTHS
}
_LITTLE, _POINTS = 0.1, 2.0

study_width = Study(
    "width",
    "Do more units in the last layer make more concepts?",
    "width",
    GROUPS,
    [
        Higher(
            "fig. 13",
            "a wider last layer has more unique detectors (91 to 120 at 3 times the width)",
            unique("x 4"),
            unique("x 1"),
            "x 1 {low}, x 2 {also}, x 4 {high}",
            unique("x 2"),
        ),
        Higher(
            "fig. 13",
            "and more detectors (118 to 265)",
            detectors("x 4"),
            detectors("x 1"),
            "x 1 {low}, x 4 {high}",
        ),
        NoGain(
            "section 4.6",
            "wider still (1,024 and 2,048 units) gains no more of them",
            unique("x 8"),
            unique("x 4"),
            "x 4 {low}, x 8 {high}",
            least=_LITTLE,
        ),
        Within(
            "section 4.6",
            "its accuracy is much the same (0.5 % lower)",
            skill("x 4"),
            skill("x 1"),
            "x 1 {low} %, x 4 {high} %",
            points=_POINTS,
        ),
    ],
    rule=f"Wider still *gains no more* where it is no order or a gain of less than {_LITTLE:.0%}; accuracy "
    f"is *much the same* within {_POINTS:g} points.",
)
