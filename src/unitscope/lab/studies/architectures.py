"""Which architecture has the most interpretable units? Six styles, trained alike (paper A, figs. 6 and 7)."""

from dataclasses import replace

from unitscope.lab.studies.group_study import Higher, Study, rank_groups, unique
from unitscope.lab.studies.trained_groups import Groups
from unitscope.lab.zoo.styles import STYLES
from unitscope.lab.zoo.trained_models import COURSE

GROUPS: Groups = {
    style: COURSE if style == COURSE.style else replace(COURSE, name=style, style=style, keep=())
    for style in STYLES
}
_ORDER = (("resnet", "vgg"), ("densenet", "vgg"), ("vgg", "googlenet"), ("googlenet", "alexnet"))

study_architectures = Study(
    "architectures",
    "Which architecture has the most interpretable units?",
    "style",
    GROUPS,
    # The order of the paper, pair by pair: ResNet (and DenseNet) over VGG over GoogLeNet over AlexNet.
    [
        Higher(
            "fig. 7",
            f"{more} has more unique detectors than {less}",
            unique(more),
            unique(less),
            "{high} and {low}",
        )
        for more, less in _ORDER
    ],
    untrained="random weights",
    more=rank_groups,
)
