"""The figure of rotated bases: unique concepts by part of the rotation, and every condition's fall."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.lab.studies.rotation import Fall, Step
from unitscope.lab.studies.rotation_finding import group_falls, relate_falls
from unitscope.views.figures import INKS, LINE, MUTED, TEXT, open_figure
from unitscope.views.palette import category_color

_ROW, _MOST = 15.0, 2.2
"""The height of a row, and the ratio at which intervals leave the plot."""


def draw_axis(found: tuple[Sequence[Fall], Sequence[Step]], out: Path) -> Path:
    """Left, paper A's fig. 4: concepts by category over a of Q^a. Right, rotated over own by condition.

    Of the first subject. Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be
    written.
    """
    falls, steps = found
    name = falls[0].name
    grouped = {key: mine for key, mine in group_falls(falls).items() if key[0] == name}
    with open_figure(out, 900.0, max(360.0, _ROW * len(grouped) + 110), 2) as (figure, axes):
        _draw_steps(axes[0], [step for step in steps if step.name == name])
        _draw_ratios(axes[1], grouped)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=6, handlelength=1)
    return out


def _draw_steps(axis: Any, steps: Sequence[Step]) -> None:
    parts = sorted({step.part for step in steps})
    floor = np.zeros(len(parts))
    for category in steps[0].unique:
        means = np.array(
            [np.mean([step.unique[category] for step in steps if step.part == part]) for part in parts]
        )
        if means.any():
            axis.bar(range(len(parts)), means, 0.72, floor, color=category_color(category), label=category)
        floor += means
    totals = [[sum(step.unique.values()) for step in steps if step.part == part] for part in parts]
    spread = np.stack([floor - [min(one) for one in totals], [max(one) for one in totals] - floor]).clip(0)
    axis.errorbar(range(len(parts)), floor, spread, fmt="none", ecolor=TEXT, elinewidth=1.2, capsize=2.5)
    axis.set_xticks(range(len(parts)), [f"{part:g}" for part in parts])
    axis.grid(axis="x", visible=False)
    axis.set(title="Unique concepts", xlabel="part a of the rotation")


def _draw_ratios(axis: Any, grouped: dict[tuple[str, str, str], list[Fall]]) -> None:
    places, names, shown = [], [], ""
    axis.axvline(1.0, color=MUTED, lw=1)
    axis.axvline(0.2, color=INKS[1], lw=1, ls=(0, (4, 2)))
    for place, ((_, factor, level), mine) in enumerate(grouped.items()):
        ratio = relate_falls(mine)
        names.append(level if factor in (shown, level) else f"{factor}: {level}")
        shown = factor
        places.append(place)
        if not np.isnan(ratio.middle):
            reach = [[max(0.0, ratio.middle - ratio.low)], [max(0.0, ratio.high - ratio.middle)]]
            axis.errorbar([ratio.middle], [place], xerr=reach, color=INKS[0], marker="o", ms=4, lw=1.5)
    axis.set_yticks(places, names, fontsize=9)
    axis.invert_yaxis()
    axis.grid(axis="y", color=LINE, lw=0.5)
    axis.set(title="Rotated over own (dashed: the paper)", xlim=(0, _MOST))
