"""The figure of the study of scores: how many units each score names right."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unitscope.views.figures import INKS, LINE, MUTED, open_figure

_ROW = 20.0


def draw_scores(
    rights: Mapping[str, Mapping[str, Sequence[float]]], passing: Sequence[str], out: Path
) -> Path:
    """A plot for each kind of units, a row a score: the share named right, in percent, a point a seed.

    `rights[kind][score]` are the shares by seed; scores that pass both tests are blue, others gray.
    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    scores = list(next(iter(rights.values())))
    with open_figure(out, 960.0, _ROW * len(scores) + 90, len(rights)) as (figure, axes):
        for axis, (kind, by_score) in zip(np.atleast_1d(axes), rights.items(), strict=True):
            for row, score in enumerate(reversed(scores)):
                ink = INKS[0] if score in passing else MUTED
                mean = float(np.mean(by_score[score]))
                axis.plot([0, mean], [row, row], color=ink, lw=5, alpha=0.35, solid_capstyle="butt")
                axis.scatter(by_score[score], [row] * len(by_score[score]), s=14, color=ink)
            axis.set_yticks(range(len(scores)), list(reversed(scores)), fontsize=9)
            axis.set(title=kind, xlabel="named right, %", xlim=(0, 103))
            axis.grid(axis="y", visible=False)
            axis.axvline(100, color=LINE, lw=1, zorder=0)
        for axis in np.atleast_1d(axes)[1:]:
            axis.set_yticklabels([])
        figure.supxlabel("scores in blue pass both tests with spoiled labels", fontsize=9, color=MUTED)
    return out
