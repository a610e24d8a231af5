"""The figure of the study of edits: what units do to their concept, against what else changes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.lab.studies.direction_edits import INSERTION, REMOVAL, EditResult
from unitscope.lab.studies.direction_removal import BEST, RANDOM
from unitscope.views.figures import INKS, LINE, open_figure


def draw_edits(rows: Sequence[EditResult], out: Path) -> Path:
    """A row of plots a layer, removal and insertion; a point a seed, the mean over concepts.

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    names = list(dict.fromkeys(one.subject for one in rows))
    with open_figure(out, 860.0, 330.0 * len(names) + 60, 2, len(names)) as (figure, axes):
        for place, name in enumerate(names):
            for side, edit in enumerate((REMOVAL, INSERTION)):
                some = [one for one in rows if (one.subject, one.edit) == (name, edit)]
                _draw_edit(axes[2 * place + side], some, f"{name}, {edit}")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=3, handlelength=1)
    return out


def _draw_edit(axis: Any, rows: Sequence[EditResult], title: str) -> None:
    for ink, kind in zip(INKS, dict.fromkeys(one.kind for one in rows), strict=False):
        for chosen, mark in ((BEST, "o"), (RANDOM, "x")):
            some = [one for one in rows if (one.kind, one.chosen) == (kind, chosen)]
            seeds = [[one for one in some if one.seed == seed] for seed in sorted({one.seed for one in some})]
            x, y = (
                [100 * float(np.nanmean([getattr(one, name) for one in part])) for part in seeds]
                for name in ("others", "effect")
            )
            said = f"{kind}, {'best' if chosen == BEST else 'random, as far'}"
            axis.scatter(x, y, s=26, color=ink, marker=mark, label=said)
    axis.axhline(0, color=LINE, lw=1, zorder=0)
    axis.set_title(title, fontsize=10)
    axis.set(xlabel="what else changes, %", ylabel="what the concept loses or gains, %", xlim=(0, None))
