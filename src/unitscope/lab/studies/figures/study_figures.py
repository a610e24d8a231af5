"""The figures of comparisons that are no bar charts: over training, over networks, over cut-offs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.lab.studies.figures.concept_bars import reach
from unitscope.lab.studies.unit_trajectories import Training
from unitscope.views.figures import INKS, MUTED, TEXT, Panel, open_figure
from unitscope.views.palette import category_color

LABELS, PUZZLES, RANDOM = "with labels", "without labels", "random weights"
"""The kinds of networks that points are of."""


def draw_training(trainings: Mapping[str, Sequence[Training]], out: Path) -> Path:
    """Unique concepts by category over the steps of training, a plot a group (paper A, fig. 10).

    Lines are means over seeds, bars their range. Steps stand evenly. Raises `UsageError` where matplotlib is
    missing, `RunError` where the file cannot be written.
    """
    with open_figure(out, max(620.0, 460.0 * len(trainings)), 320.0, len(trainings)) as (figure, axes):
        for axis, (group, some) in zip(np.atleast_1d(axes), trainings.items(), strict=True):
            _draw_categories(axis, some)
            axis.set(title=group, xlabel="step", ylabel="unique concepts")
            axis.grid(axis="x", visible=False)
        _legend(figure, axes)
    return out


def _draw_categories(axis: Any, trainings: Sequence[Training]) -> None:
    steps = [row.step for row in trainings[0].rows]
    for category in trainings[0].rows[0].categories:
        counts = [
            [training.rows[place].count(category) for training in trainings] for place in range(len(steps))
        ]
        if not any(map(any, counts)):
            continue
        means = np.array([np.mean(one) for one in counts])
        look = {"color": category_color(category), "marker": "o", "ms": 4, "lw": 2, "capsize": 2}
        axis.errorbar(range(len(steps)), means, reach(means, counts), elinewidth=1, label=category, **look)
    axis.set_xticks(range(len(steps)), [str(step) for step in steps], fontsize=10)
    axis.set_ylim(bottom=0)


@dataclass(frozen=True)
class Point:
    """One network: its group, one of the kinds of networks, and where it stands."""

    group: str
    kind: str
    x: float | int
    y: float


def draw_discrimination(points: Sequence[Point], out: Path) -> Path:
    """Accuracy on the third task against unique object detectors, a point a network (paper A, fig. 12).

    A group's name stands by one of its points, where there is room. Raises as `draw_training` does.
    """
    with open_figure(out, 620.0, 400.0) as (figure, axis):
        for kind, ink in {LABELS: INKS[0], PUZZLES: INKS[1], RANDOM: MUTED}.items():
            x, y = ([getattr(one, name) for one in points if one.kind == kind] for name in "xy")
            axis.scatter(x, y, s=26, color=ink, alpha=0.8, label=kind, lw=0)
        most = max(one.x for one in points) or 1
        named: dict[str, Point] = {}
        for one in points:
            apart = (abs(one.x - o.x) > 0.17 * most or abs(one.y - o.y) > 1.2 for o in named.values())
            if one.group not in named and all(apart):
                named[one.group] = one
                look = {"textcoords": "offset points", "fontsize": 9, "color": MUTED}
                axis.annotate(one.group, (one.x, one.y), (5, 2), **look)
        axis.set(xlabel="unique object detectors", ylabel="largest thing named right, % of each class")
        _legend(figure, axis)
    return out


def draw_threshold(panels: Sequence[Panel], out: Path) -> Path:
    """Every group's unique detectors over the values of each panel. Raises as `draw_training` does."""
    inks = (*INKS[:-1], TEXT)  # black would not be seen where the system is dark
    with open_figure(out, 980.0, 420.0, len(panels)) as (figure, axes):
        for axis, panel in zip(axes, panels, strict=True):
            for place, (group, points) in enumerate(panel.lines.items()):
                style = ("-", "--", ":")[place // len(inks) % 3]
                look = {"color": inks[place % len(inks)], "ls": style, "marker": "o", "ms": 3.5, "lw": 1.8}
                axis.plot(range(len(points)), [y for _, y, _ in points], label=group, **look)
            axis.set_xticks(range(len(points)), [f"{x:g}" for x, _, _ in points])
            axis.set(xlabel=panel.x, ylabel="unique detectors", ylim=(0, None))
        _legend(figure, axes)
    return out


def _legend(figure: Any, axes: Any) -> None:
    """One legend under all plots, each name once."""
    found: dict[str, Any] = {}
    for axis in np.atleast_1d(axes):
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(
        found.values(), found, loc="outside lower left", ncols=6, handlelength=1.4, columnspacing=1.2
    )
