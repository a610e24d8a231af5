"""The figure of the study of shape: how many units keep their region in restyled twins, by layer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unitscope.experiments.twins import CUTOFF
from unitscope.lab.studies.shape_measures import ROTATED, TRAINED, UNTRAINED, TwinUnit, share_above
from unitscope.views.figures import INKS, LINE, MUTED, open_figure

_BINS = np.linspace(0, 0.4, 33)
_HEIGHT = 190.0


def draw_shape(rows: Sequence[TwinUnit], out: Path) -> Path:
    """A histogram of scores a layer, a row of them a network, beside the control and random units.

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    subjects = list(dict.fromkeys(one.subject for one in rows))
    layers = {
        subject: list(dict.fromkeys(one.layer for one in rows if one.subject == subject))
        for subject in subjects
    }
    columns = max(map(len, layers.values()))
    size = (150.0 * columns, _HEIGHT * len(subjects) + 40)
    with open_figure(out, *size, columns, len(subjects)) as (figure, axes):
        grid = np.reshape(axes, (len(subjects), columns))
        for line, subject in zip(grid, subjects, strict=True):
            for axis in line[len(layers[subject]) :]:
                axis.set_visible(False)
            for axis, layer in zip(line, layers[subject], strict=False):
                _draw_layer(axis, [one for one in rows if (one.subject, one.layer) == (subject, layer)])
                axis.set_title(layer, fontsize=10)
            line[0].set_ylabel(subject.partition(",")[0].removeprefix("zoo:"), fontsize=10)
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=10)
    return out


def _draw_layer(axis, rows: Sequence[TwinUnit]) -> None:  # type: ignore[no-untyped-def]
    """Shares of units by score: filled those trained, as lines the others."""
    trained = [one for one in rows if one.kind == TRAINED]
    lines = {
        "units": ([one.score for one in trained], INKS[0]),
        "with others' twins": ([one.crossed for one in trained], MUTED),
        "rotated": ([one.score for one in rows if one.kind == ROTATED], INKS[1]),
        "untrained": ([one.score for one in rows if one.kind == UNTRAINED], INKS[2]),
    }
    for name, (scores, ink) in lines.items():
        weights = np.full(len(scores), 1 / max(len(scores), 1))
        values = np.minimum(scores, _BINS[-1] - 1e-6)
        if name == "units":
            axis.hist(values, _BINS, weights=weights, color=ink, alpha=0.35, label=name)
        axis.hist(values, _BINS, weights=weights, histtype="step", color=ink, lw=1.2, label="_" + name)
        if name != "units":
            axis.plot([], [], color=ink, lw=1.2, label=name)
    axis.axvline(CUTOFF, color=LINE, lw=1)
    axis.text(
        0.97,
        0.95,
        f"{share_above(lines['units'][0], CUTOFF):.0f} % above {CUTOFF:g}",
        transform=axis.transAxes,
        ha="right",
        va="top",
        fontsize=9,
    )
    axis.set(xlim=(0, _BINS[-1]), yticks=[])
    axis.tick_params(labelsize=9)
