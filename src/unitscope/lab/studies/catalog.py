"""All studies as functions: students are trained as a setting says, or a network of one's own is studied."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.lab.studies.architectures import study_architectures
from unitscope.lab.studies.conditions import study_conditions
from unitscope.lab.studies.depth import study_layers
from unitscope.lab.studies.discrimination import compare_discrimination
from unitscope.lab.studies.figures.axis_figure import draw_axis
from unitscope.lab.studies.figures.study_figures import (
    draw_discrimination,
    draw_threshold,
    draw_training,
    draw_trainings,
)
from unitscope.lab.studies.rotation_finding import compare_axis, compare_networks
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.supervision import study_supervision
from unitscope.lab.studies.threshold import compare_threshold
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.studies.training import compare_training, follow_checkpoints, judge_training
from unitscope.lab.studies.transfer import compare_transfer
from unitscope.lab.studies.width import study_width
from unitscope.networks.network import Network


def study_axis(setting: Setting) -> Finding:
    """Compares a layer's units with random rotations of them, under many conditions (paper A, fig. 4)."""
    finding, measured = compare_axis(setting)
    return replace(finding, figure=partial(draw_axis, measured))


def study_training(setting: Setting) -> Finding:
    """Follows the units of a layer through the checkpoints of a training (paper A, fig. 10)."""
    finding, trainings = compare_training(setting)
    return replace(finding, figure=partial(draw_trainings, trainings))


def study_transfer(setting: Setting) -> Finding:
    """Follows units through fine-tuning to another task (paper A, section 4.7)."""
    finding, trainings = compare_transfer(setting)
    return replace(finding, figure=partial(draw_training, trainings))


def study_discrimination(setting: Setting) -> Finding:
    """Relates object detectors to what a linear machine reads from the features (paper A, fig. 12)."""
    finding, probes = compare_discrimination(setting)
    return replace(finding, figure=partial(draw_discrimination, probes))


def study_threshold(setting: Setting) -> Finding:
    """Asks whether the order of networks depends on cut-offs and counting rule (paper A, section 3.2)."""
    finding, counts = compare_threshold(setting)
    return replace(finding, figure=partial(draw_threshold, counts))


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
"""The studies over students by name, in the order of the paper."""


def study_all(setting: Setting) -> Iterator[Finding]:
    """Runs every study over students, in the order of the paper."""
    return (study(setting) for study in STUDIES.values())


def study_checkpoints(
    checkpoints: Mapping[int, Network | Callable[[], Network]],
    layer: str,
    source: ConceptSource,
    setting: Setting,
    *,
    name: str = "checkpoints",
) -> Finding:
    """Follows the units of a network of one's own, called `name`, through its checkpoints, given by step.

    Raises as `follow_checkpoints` does.
    """
    followed = follow_checkpoints(
        *(checkpoints, layer, source),
        convention=setting.convention,
        cache=setting.folder / "packed",
        group=name,
    )
    return replace(judge_training([followed], setting.quick), figure=partial(draw_trainings, [followed]))


def study_rotations(
    networks: Iterable[tuple[Network, Network]],
    layers: Sequence[str],
    source: ConceptSource,
    setting: Setting,
    *,
    name: str,
    before: str | None = None,
    rotations: int = 5,
) -> Finding:
    """Compares the units of a network of one's own with rotations of them, as `compare_networks`."""
    finding, measured = compare_networks(
        networks, layers, source, setting, name=name, before=before, rotations=rotations
    )
    return replace(finding, figure=partial(draw_axis, measured))
