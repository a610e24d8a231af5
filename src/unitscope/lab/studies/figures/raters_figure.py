"""The figure of the human evaluation with scripted raters, beside what people said in paper A, table 3."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.experiments.raters import ALL
from unitscope.lab.studies.raters_study import SHARES, TABLE_3, Panel
from unitscope.views.figures import INKS, MUTED, open_figure

_WIDE, _HIGH = 720.0, 300.0


def draw_raters(panels: Sequence[Panel], out: Path) -> Path:
    """Units whose label describes them, by layer and by IoU, in percent; the SVG's path.

    Lines are means over seeds, whiskers their range. Raises `UsageError` where matplotlib is missing,
    `RunError` where the file cannot be written.
    """
    with open_figure(out, _WIDE, _HIGH, 2) as (figure, axes):
        _draw_layers(axes[0], panels)
        _draw_cutoffs(axes[1], panels)
        for axis in axes:
            axis.set_ylim(0, 103)
            axis.grid(axis="x", visible=False)
            axis.set_ylabel("% of units")
        handles = [part for axis in axes for part in axis.get_legend_handles_labels()[0]]
        labels = [name for axis in axes for name in axis.get_legend_handles_labels()[1]]
        figure.legend(handles, labels, loc="outside lower left", ncols=3, handlelength=1.6, columnspacing=1.4)
    return out


def _draw_layers(axis: Any, panels: Sequence[Panel]) -> None:
    layers = [row.layer for row in panels[0].layers if row.layer != ALL]
    found = [[row for panel in panels for row in panel.layers if row.layer == layer] for layer in layers]
    places = np.arange(len(layers))
    _plot(
        axis, places, [[row.described for row in mine] for mine in found], INKS[0], "three careless scripts"
    )
    for share, style in zip((SHARES[0], SHARES[-1]), ("--", ":"), strict=True):
        values = [np.mean([row.oracle[share] for row in mine]) for mine in found]
        axis.plot(
            places, 100 * np.array(values), style, color=INKS[2], lw=1.6, label=f"oracle, {share:.0%} filled"
        )
    if len(layers) == len(TABLE_3):
        people = [100 * row.described for row in TABLE_3]
        axis.plot(places, people, "s-", color=MUTED, ms=5, lw=1.2, label="people, AlexNet (paper A)")
    axis.set_xticks(places, layers, fontsize=10)
    axis.set_title("The label describes the unit")


def _draw_cutoffs(axis: Any, panels: Sequence[Panel]) -> None:
    last = [row.layer for row in panels[0].layers if row.layer != ALL][-1]
    cutoffs = list(panels[0].layers[0].above)
    kinds = [(ALL, INKS[1]), (last, INKS[4])] if len(panels[0].layers) > 1 else [(last, INKS[4])]
    for name, ink in kinds:
        mine = [row for panel in panels for row in panel.layers if row.layer == name]
        label = "all layers, by IoU" if name == ALL else f"{last}, by IoU"
        _plot(
            axis, np.arange(len(cutoffs)), [[row.above[one] for row in mine] for one in cutoffs], ink, label
        )
    axis.set_xticks(range(len(cutoffs)), [f"> {one:g}" for one in cutoffs], fontsize=10)
    axis.set_title("… among units above an IoU")


def _plot(axis: Any, places: np.ndarray, values: Sequence[Sequence[float]], ink: str, label: str) -> None:
    shares = [100 * np.array([one for one in mine if not np.isnan(one)] or [np.nan]) for mine in values]
    means = np.array([one.mean() for one in shares])
    reach = np.stack([means - [one.min() for one in shares], [one.max() for one in shares] - means])
    axis.errorbar(
        places, means, np.nan_to_num(reach), color=ink, marker="o", ms=5, lw=2, capsize=2.5, label=label
    )
