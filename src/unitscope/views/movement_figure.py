"""The bars of an attack's study: how far the peaks of each group of units moved, target by target."""

from pathlib import Path
from textwrap import fill

from unitscope.experiments.movement import GROUPS, AttackStudy
from unitscope.experiments.movement_tables import GROUP_NAMES
from unitscope.views.figures import INKS, MUTED, open_figure

COLORS = {"source": INKS[1], "target": INKS[0], "rest": "#999999", "random": "#c9c9c4"}
_WIDE, _HIGH = 110.0, 280.0
_BAR = 0.2


def draw_movements(study: AttackStudy, out: Path) -> Path:
    """Change of peak, and its absolute value, as bars with 99 % intervals; the path of the SVG written.

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    pooled = [row for row in study.movements if row.source is None]
    targets = list(dict.fromkeys(row.target for row in pooled))
    names = [
        "all targets" if one is None else fill(f"to {study.network.classes[one]}", 14) for one in targets
    ]
    with open_figure(out, max(420.0, 2 * _WIDE * len(targets)), _HIGH, 2) as (figure, axes):
        for axis, what in zip(axes, ("change", "size"), strict=True):
            for place, group in enumerate(GROUPS):
                rows = [row for row in pooled if row.group == group]
                estimates = [getattr(row, what) for row in rows]
                means = [one.mean for one in estimates]
                halves = [(one.high - one.low) / 2 for one in estimates]
                x = [number + (place - 1.5) * _BAR for number in range(len(rows))]
                axis.bar(x, means, 0.9 * _BAR, color=COLORS[group], label=GROUP_NAMES[group])
                axis.errorbar(x, means, halves, fmt="none", ecolor=MUTED, elinewidth=1.2, capsize=2.5)
            axis.axhline(0, color=MUTED, lw=1)
            axis.set_xticks(range(len(targets)), names)
            axis.grid(visible=False, axis="x")
            axis.spines["bottom"].set_visible(False)
        axes[0].set_title(f"change of peak, {study.layer}")
        axes[1].set_title("absolute change of peak")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return out
