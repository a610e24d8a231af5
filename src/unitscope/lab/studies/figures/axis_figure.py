"""The figure of rotated bases: unique concepts by part of the rotation, and rotated over own by condition."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.lab.studies.rotation import PartialRotation
from unitscope.statistics.intervals import Interval
from unitscope.views.figures import INKS, LINE, MUTED, TEXT, open_figure
from unitscope.views.palette import category_color

Parts = Mapping[float, Sequence[PartialRotation]]
_ROW, _MOST = 15.0, 2.2
"""The height of a row, and the ratio at which intervals leave the plot."""


def draw_axis(parts: Parts, ratios: Mapping[tuple[str, str], Interval], out: Path) -> Path:
    """Left, paper A's fig. 4: concepts by category over a of Q^a. Right, rotated over own by condition.

    `parts` are bases by a, `ratios` are by factor and level. Raises `UsageError` where matplotlib is missing,
    `RunError` where the file cannot be written.
    """
    with open_figure(out, 900.0, max(360.0, _ROW * len(ratios) + 110), 2) as (figure, axes):
        _draw_parts(axes[0], parts)
        _draw_ratios(axes[1], ratios)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=6, handlelength=1)
    return out


def _draw_parts(axis: Any, parts: Parts) -> None:
    floor = np.zeros(len(parts))
    for category in next(iter(parts.values()))[0].unique:
        means = np.array([np.mean([one.unique[category] for one in some]) for some in parts.values()])
        if means.any():
            axis.bar(range(len(parts)), means, 0.72, floor, color=category_color(category), label=category)
        floor += means
    totals = [[one.total for one in some] for some in parts.values()]
    spread = np.stack([floor - [min(one) for one in totals], [max(one) for one in totals] - floor]).clip(0)
    axis.errorbar(range(len(parts)), floor, spread, fmt="none", ecolor=TEXT, elinewidth=1.2, capsize=2.5)
    axis.set_xticks(range(len(parts)), [f"{part:g}" for part in parts])
    axis.grid(axis="x", visible=False)
    axis.set(title="Unique concepts", xlabel="part a of the rotation")


def _draw_ratios(axis: Any, ratios: Mapping[tuple[str, str], Interval]) -> None:
    names, shown = [], ""
    axis.axvline(1.0, color=MUTED, lw=1)
    axis.axvline(0.2, color=INKS[1], lw=1, ls=(0, (4, 2)))
    for place, ((factor, level), ratio) in enumerate(ratios.items()):
        names.append(level if factor in (shown, level) else f"{factor}: {level}")
        shown = factor
        if not np.isnan(ratio.value):
            reach = np.nan_to_num([[ratio.value - ratio.low], [ratio.high - ratio.value]]).clip(0)
            axis.errorbar([ratio.value], [place], xerr=reach, color=INKS[0], marker="o", ms=4, lw=1.5)
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.invert_yaxis()
    axis.grid(axis="y", color=LINE, lw=0.5)
    axis.set(title="Rotated over own (dashed: the paper)", xlim=(0, _MOST))
