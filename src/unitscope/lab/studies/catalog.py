"""All studies over students, in the order of the paper: a setting goes in, a finding comes out."""

from collections.abc import Callable, Iterator

from unitscope.lab.studies.architectures import study_architectures
from unitscope.lab.studies.conditions import study_conditions
from unitscope.lab.studies.depth import study_layers
from unitscope.lab.studies.discrimination import study_discrimination
from unitscope.lab.studies.rotation_finding import study_axis
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.supervision import study_supervision
from unitscope.lab.studies.threshold import study_threshold
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.studies.training import study_training
from unitscope.lab.studies.transfer import study_transfer
from unitscope.lab.studies.width import study_width

STUDIES: dict[str, Callable[[Setting], Finding]] = {
    "layers": study_layers,
    "axis": study_axis,
    "architectures": study_architectures,
    "supervision": study_supervision,
    "training": study_training,
    "conditions": study_conditions,
    "width": study_width,
    "transfer": study_transfer,
    "discrimination": study_discrimination,
    "threshold": study_threshold,
}


def study_all(setting: Setting) -> Iterator[Finding]:
    """Runs every study, one after the other."""
    return (study(setting) for study in STUDIES.values())
