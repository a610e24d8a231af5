"""The figures of comparisons that are no bar charts: over training, over networks, over cut-offs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.lab.studies.discrimination import ProbeResult
from unitscope.lab.studies.figures.concept_bars import reach
from unitscope.lab.studies.supervision import SELF
from unitscope.lab.studies.threshold import USUAL, Count, rank_groups
from unitscope.lab.studies.unit_trajectories import Training
from unitscope.views.figures import INKS, MUTED, TEXT, open_figure
from unitscope.views.palette import category_color

_SUPERVISED, _ALONE, _RANDOM = "with labels", "without labels", "random weights"


def draw_trainings(trainings: Sequence[Training], out: Path) -> Path:
    """One plot over all trainings, as `draw_training`."""
    return draw_training({"": trainings}, out)


def draw_training(trainings: Mapping[str, Sequence[Training]], out: Path) -> Path:
    """Unique concepts by category over the steps of training, a plot a group (paper A, fig. 10).

    Lines are means over seeds, bars their range. Steps stand evenly. Raises `UsageError` where matplotlib is
    missing, `RunError` where the file cannot be written.
    """
    with open_figure(out, max(620.0, 460.0 * len(trainings)), 320.0, len(trainings)) as (figure, axes):
        for axis, (group, mine) in zip(np.atleast_1d(axes), trainings.items(), strict=True):
            _draw_categories(axis, mine)
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


def draw_discrimination(probes: Sequence[ProbeResult], out: Path) -> Path:
    """Accuracy on the third task against unique object detectors, a point a network (paper A, fig. 12).

    A group's name stands by one of its points, where there is room. Raises as `draw_training` does.
    """
    kinds = {_SUPERVISED: INKS[0], _ALONE: INKS[1], _RANDOM: MUTED}
    named: set[str] = set()
    with open_figure(out, 620.0, 400.0) as (figure, axis):
        for kind, ink in kinds.items():
            mine = [one for one in probes if _kind(one) == kind]
            x = [one.row.count("object") for one in mine]
            axis.scatter(
                x, [100 * one.accuracy for one in mine], s=26, color=ink, alpha=0.8, label=kind, lw=0
            )
        most = max(one.row.count("object") for one in probes) or 1
        placed: list[tuple[float, float]] = []
        for one in probes:
            place = (one.row.count("object"), 100 * one.accuracy)
            free = all(abs(place[0] - x) > 0.17 * most or abs(place[1] - y) > 1.2 for x, y in placed)
            if one.row.group not in named and free:
                named.add(one.row.group)
                placed.append(place)
                axis.annotate(
                    one.row.group, place, (5, 2), textcoords="offset points", fontsize=9, color=MUTED
                )
        axis.set(xlabel="unique object detectors", ylabel="largest thing named right, % of each class")
        _legend(figure, axis)
    return out


def _kind(probe: ProbeResult) -> str:
    if probe.family == _RANDOM:
        return _RANDOM
    return _ALONE if probe.row.group in SELF else _SUPERVISED


def draw_threshold(counts: Sequence[Count], out: Path) -> Path:
    """Every group's unique detectors over IoU cut-offs and over quantiles. Raises as `draw_training` does."""
    ranked = rank_groups(counts)
    cutoffs = sorted({cutoff for cutoff, quantile, rule in ranked if quantile == USUAL[1]})
    quantiles = sorted({quantile for cutoff, quantile, rule in ranked if cutoff == USUAL[0]})
    usual = ranked[(*USUAL, "label")]
    order = sorted(usual, key=lambda group: -usual[group])
    inks = (*INKS[:-1], TEXT)  # black would not be seen where the system is dark
    with open_figure(out, 980.0, 420.0, 2) as (figure, axes):
        for place, group in enumerate(order):
            look = {
                "color": inks[place % len(inks)],
                "ls": ("-", "--", ":")[place // len(inks) % 3],
                "marker": "o",
                "ms": 3.5,
                "lw": 1.8,
            }
            left = [ranked[cutoff, USUAL[1], "label"][group] for cutoff in cutoffs]
            right = [ranked[USUAL[0], quantile, "label"][group] for quantile in quantiles]
            axes[0].plot(range(len(cutoffs)), left, label=group, **look)
            axes[1].plot(range(len(quantiles)), right, **look)
        for axis, title, values in (
            (axes[0], "IoU cut-off", cutoffs),
            (axes[1], "quantile of the threshold", quantiles),
        ):
            axis.set_xticks(range(len(values)), [f"{value:g}" for value in values])
            axis.set(xlabel=title, ylabel="unique detectors", ylim=(0, None))
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
