"""The bar chart of the papers: unique concepts by category, stacked, for groups of dissected layers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.dissection.counts import LayerCounts
from unitscope.views.figures import INKS, MUTED, TEXT, open_figure
from unitscope.views.palette import category_color

_WIDE, _HIGH = 46.0, 290.0


def draw_bars(grouped: Mapping[str, Sequence[LayerCounts]], out: Path) -> Path:
    """Unique concepts by category, and the share of units that are detectors, a bar a group; the SVG's path.

    As paper A's figs. 5, 7, 8, 11 and 13, and paper B's figs. 3c and 3d.

    Bars are means over a group's members, whiskers the range of the whole. Raises `UsageError` where
    matplotlib is missing, `RunError` where the file cannot be written.
    """
    groups = list(grouped.values())
    width = max(560.0, 2 * _WIDE * len(groups) + 120)
    turned = len(groups) > 6 or max(map(len, grouped)) > 9
    with open_figure(out, width, _HIGH + (60 if turned else 0), 2) as (figure, axes):
        _stack_categories(axes[0], groups)
        _draw_shares(axes[1], groups, joined=not turned)
        for axis in axes:
            names = [f"{name}\n{rows[0].units} units" for name, rows in grouped.items()]
            axis.set_xticks(range(len(groups)), list(grouped) if turned else names, fontsize=10)
            axis.tick_params(axis="x", labelrotation=60 if turned else 0)
            axis.grid(axis="x", visible=False)
            axis.set_xlim(-0.6, len(groups) - 0.4)
        handles = [part for axis in axes for part in axis.get_legend_handles_labels()[0]]
        labels = [name for axis in axes for name in axis.get_legend_handles_labels()[1]]
        figure.legend(handles, labels, loc="outside lower left", ncols=6, handlelength=1, columnspacing=1.2)
    return out


def _stack_categories(axis: Any, grouped: Sequence[Sequence[LayerCounts]]) -> None:
    places = np.arange(len(grouped))
    floor = np.zeros(len(grouped))
    for category in grouped[0][0].by_category:
        means = np.array([np.mean([row.unique["label"][category] for row in rows]) for rows in grouped])
        if means.any():
            axis.bar(places, means, 0.72, floor, color=category_color(category), label=category)
        floor += means
    totals = [[sum(row.unique["label"].values()) for row in rows] for rows in grouped]
    spread = reach(floor, totals)
    axis.errorbar(places, floor, spread, fmt="none", ecolor=TEXT, elinewidth=1.2, capsize=2.5)
    axis.set(title="Unique concepts", ylim=(0, 1.08 * max(1.0, max(map(max, totals)))))


def _draw_shares(axis: Any, grouped: Sequence[Sequence[LayerCounts]], joined: bool) -> None:
    places = range(len(grouped))
    for field, ink, name in (
        ("detectors", INKS[0], "detectors"),
        ("chance_detectors", MUTED, "labels shifted"),
    ):
        shares = [[getattr(row, field) / row.units for row in rows] for rows in grouped]
        means = np.array([np.mean(one) for one in shares])
        look = {"color": ink, "marker": "o", "ms": 5, "lw": 2 if joined else 0, "capsize": 2.5}
        axis.errorbar(places, means, reach(means, shares), elinewidth=1.5, label=name, **look)
    axis.set(title="Share of units that are detectors", ylim=(0, 1.03))


def reach(middles: np.ndarray, values: Sequence[Sequence[float | int]]) -> np.ndarray:
    """How far the values of each place reach below and above its middle."""
    lows, highs = ([pick(one) for one in values] for pick in (min, max))
    return np.stack([middles - lows, highs - middles]).clip(0)
