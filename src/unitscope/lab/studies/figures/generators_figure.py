"""The figure of generators compared: concepts by variant, units by distance, units that stay themselves."""

from pathlib import Path
from typing import Any

import numpy as np

from unitscope.lab.studies.compared_generators import LONG, PLAIN, VARIANTS
from unitscope.lab.studies.figures.concept_bars import reach
from unitscope.lab.studies.generator_comparison import LAYERS, PAINTED, ROTATED, STEPS, UNITS, Measured
from unitscope.lab.studies.generator_counts import (
    CATEGORIES,
    by_seed,
    count_concepts,
    count_matching,
    list_steps,
    rate,
)
from unitscope.views.figures import INKS, MUTED, TEXT, open_figure
from unitscope.views.palette import category_color


def draw_generators(found: Measured, out: Path) -> Path:
    """Three plots side by side: the path of the SVG.

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    with open_figure(out, 1080.0, 400.0, 3) as (figure, axes):
        _draw_concepts(axes[0], found)
        _draw_distances(axes[1], found)
        _draw_kept(axes[2], found)
        handles = [part for axis in axes for part in axis.get_legend_handles_labels()[0]]
        labels = [name for axis in axes for name in axis.get_legend_handles_labels()[1]]
        figure.legend(handles, labels, loc="outside lower left", ncols=6, handlelength=1, columnspacing=1.2)
    return out


def _draw_concepts(axis: Any, found: Measured) -> None:
    """Unique concepts by category, stacked: of units at the start and of variants at the end, and rotated."""
    bars: list[tuple[str, str, int | None, str]] = [("before training", PLAIN, 0, UNITS)]
    for one in (*VARIANTS, LONG):
        bars.append((one, one, None, UNITS))
        bars.append((f"{one},\nrotated", one, None, ROTATED))
    known = [bar for bar in bars if by_seed(found, bar[1], count_concepts, step=bar[2], basis=bar[3])]
    floor = np.zeros(len(known))
    for category in CATEGORIES:
        means = np.array([np.mean(_count(found, bar, (category,))) for bar in known])
        if means.any():
            axis.bar(range(len(known)), means, 0.72, floor, color=category_color(category), label=category)
        floor += means
    totals = [_count(found, bar, CATEGORIES) for bar in known]
    axis.errorbar(range(len(known)), floor, reach(floor, totals), fmt="none", ecolor=TEXT, capsize=2.5)
    axis.set_xticks(range(len(known)), [bar[0] for bar in known], rotation=60, fontsize=9, ha="right")
    axis.grid(axis="x", visible=False)
    axis.set_title("Unique concepts, four layers")


def _count(found: Measured, bar: tuple[str, str, int | None, str], categories: tuple[str, ...]) -> list[Any]:
    _, variant, step, basis = bar
    return by_seed(found, variant, lambda rows: count_concepts(rows, categories), step=step, basis=basis)


def _draw_distances(axis: Any, found: Measured) -> None:
    """Units that match against the Fréchet distance: a point a network, a line a training."""
    for ink, variant in zip(INKS, (*VARIANTS, LONG), strict=False):
        steps = [step for step in list_steps(found, variant) if step]
        points = []
        for step in steps:
            far, units = (
                rate(found, variant, "frechet", step),
                by_seed(found, variant, count_matching, step=step),
            )
            points.append(list(zip(far, units, strict=True)))
        for seed, line in enumerate(zip(*points, strict=False)):
            name = variant if seed == 0 else f"_{variant}"
            x, y = zip(*line, strict=True)
            axis.plot(x, y, color=ink, marker="o", ms=4, lw=1.2, label=name)
            axis.annotate(f"{steps[-1]:,}", (x[-1], y[-1]), (3, 3), textcoords="offset points", fontsize=8)
    for value in rate(found, PAINTED, "frechet"):
        axis.axvline(value, color=MUTED, lw=1, ls=(0, (4, 3)), label=PAINTED)
    axis.set(xscale="log", xlabel="Fréchet distance", title="Units that match things")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.invert_xaxis()


def _draw_kept(axis: Any, found: Measured) -> None:
    """The share of units whose partner at the end is themselves, by step and layer; means over seeds."""
    variants = [one for one in (PLAIN, LONG) if any(pair.variant == one for pair in found.matches)]
    for style, variant in zip(("-", "--"), variants, strict=False):
        for ink, layer in zip(INKS[2:], LAYERS, strict=False):
            pairs = [
                one
                for one in found.matches
                if (one.differ, one.variant, one.layer) == (STEPS, variant, layer)
            ]
            steps = sorted({one.step for one in pairs})
            shares = [100 * np.mean([one.itself for one in pairs if one.step == step]) for step in steps]
            name = f"{layer}" if style == "-" or len(variants) == 1 else f"_{layer}"
            axis.plot(steps, shares, color=ink, marker="s", ms=4, lw=1.2, ls=style, label=name)
    axis.set(ylim=(0, 103), xlabel="step", title="Units that are themselves at the end, %")
