"""Figures of studies, drawn with matplotlib (`pip install 'unitscope[figures]'`)."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float64

from unitscope.errors import missing_extra, writing

INKS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's colors, which people with any kind of color vision can distinguish."""
TEXT, MUTED, LINE = "#1b1b19", "#66665f", "#e6e6e1"
"""The text and lines of the pages, light; `DARK` says what they are where the system is dark."""
DARK = {TEXT: "#ececea", MUTED: "#a2a29c", LINE: "#2b2b2e", INKS[0]: "#3d9bd6", INKS[6]: "#ececea"}
TICKS = 8
"""The most values of x that are written under a plot."""
_DOTS_PER_INCH = 72
_TYPE = (
    "text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif !important }"
)


@dataclass(frozen=True)
class Panel:
    """One plot: lines by name, each a sequence of (x, y, half of its spread)."""

    title: str
    x: str
    lines: Mapping[str, Sequence[tuple[float, float, float]]]


def draw_panels(panels: Sequence[Panel], out: Path, *, y: str, shared: bool = True) -> Path:
    """Panels side by side, the values of x evenly spaced in their own order; the path of the SVG written.

    `y` names what is plotted. Panels have one scale of fractions, or with `shared=False` each its own.

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    with open_figure(out, max(340.0, 220.0 * len(panels)), 260.0, len(panels)) as (figure, opened):
        axes = np.atleast_1d(opened)
        for axis, panel in zip(axes, panels, strict=True):
            for ink, (name, points) in zip(INKS, panel.lines.items(), strict=False):
                places = range(len(points))
                values, spreads = [point[1] for point in points], [point[2] for point in points]
                axis.errorbar(
                    places, values, spreads, color=ink, label=name, lw=1.5, capsize=2, marker="o", ms=3
                )
                shown = slice(None, None, -(-len(points) // TICKS))
                axis.set_xticks(places[shown], [f"{point[0]:g}" for point in points[shown]])
            axis.set(title=panel.title, xlabel=panel.x)
            axis.set_ylim(0, 1.03 if shared else None)
            axis.grid(visible=False, axis="x")
            axis.tick_params(labelsize=10)
        axes[0].set_ylabel(y)
        for axis in axes[1:] if shared else ():
            axis.tick_params(labelleft=False)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=10)
    return out


Kind = tuple[str, Sequence[float]]


def draw_jitter(out: Path, *, title: str, x: str, present: Kind, absent: Kind, threshold: float) -> Path:
    """A point for every value, in a band of its kind, under the kind's density; the path of the SVG written.

    A kind is its name and its values; a line marks the threshold between them. Places within a band mean
    nothing: they keep points apart (paper B, figs 1f and 3f).

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    with open_figure(out, 480.0, 280.0) as (_, axis):
        axis.grid(visible=False)
        random = np.random.default_rng(0)
        everything = np.array([*present[1], *absent[1]], np.float64)
        margin = 0.06 * (float(np.ptp(everything)) or 1)
        grid = np.linspace(everything.min() - margin, everything.max() + margin, 400)
        for floor, ink, values in ((1.2, INKS[0], present[1]), (0.0, "#777777", absent[1])):
            places = floor + random.uniform(0.06, 0.46, len(values))
            axis.scatter(values, places, s=10, color=ink, alpha=0.6, lw=0, zorder=2)
            density = 0.5 * smooth_density(np.asarray(values, np.float64), grid)
            axis.fill_between(grid, floor + 0.52, floor + 0.52 + density, color=ink, alpha=0.2, lw=0)
            axis.plot(grid, floor + 0.52 + density, color=ink, lw=1.2)
        axis.axvline(threshold, color=INKS[1], lw=1.3, ls=(0, (4, 2)))
        right = threshold > (grid[0] + grid[-1]) / 2
        axis.annotate(
            f"threshold {threshold:.3g}",
            (threshold, 2.4),
            (-4 if right else 4, 0),
            textcoords="offset points",
            color=INKS[1],
            ha="right" if right else "left",
            va="top",
        )
        axis.set_yticks([0.26, 1.46], [absent[0], present[0]])
        axis.tick_params(axis="y", length=0)
        axis.set(xlabel=x, ylim=(-0.04, 2.42), xlim=(grid[0], grid[-1]))
        axis.set_title(title, fontsize=10, pad=8)
        axis.spines["left"].set_visible(False)
    return out


def smooth_density(
    values: Float64[np.ndarray, "n"], grid: Float64[np.ndarray, "place"]
) -> Float64[np.ndarray, "place"]:
    """A Gaussian kernel density of the values, its top at 1; the bandwidth is Silverman's.

    Zeros where all values are the same, which have no width.

    >>> smooth_density(np.array([0.0, 1.0, 2.0]), np.array([1.0, 9.0])).round(3).tolist()
    [1.0, 0.0]
    """
    low, high = np.quantile(values, [0.25, 0.75])
    spread = min(float(values.std()), float(high - low) / 1.34 or float(values.std()))
    if spread == 0:
        return np.zeros(len(grid))
    width = 0.9 * spread * len(values) ** -0.2
    density = np.exp(-0.5 * ((grid[:, None] - values[None]) / width) ** 2).sum(1)
    return np.asarray(density / (density.max() or 1))


@contextmanager
def open_figure(
    out: Path, width: float, height: float, columns: int = 1, rows: int = 1
) -> Iterator[tuple[Any, Any]]:
    """A figure of `columns` plots in `rows` for a page, `width` x `height` in CSS pixels: (figure, its axis
    or, row after row, its axes).

    It is written to `out` as SVG when the block ends. Its background is transparent, its type that of the
    page, and it turns light on dark where the system does.

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    plots = load_matplotlib()
    inks = {"text.color": TEXT, "axes.labelcolor": MUTED, "axes.edgecolor": LINE}
    inks |= {"xtick.color": MUTED, "ytick.color": MUTED}
    look = {"svg.hashsalt": "unitscope", "svg.fonttype": "none", "font.size": 12, "axes.grid": True}
    look |= {"axes.spines.top": False, "axes.spines.right": False, "grid.color": LINE, "grid.linewidth": 1}
    look |= {"axes.axisbelow": True, "xtick.major.size": 0, "ytick.major.size": 0, "legend.frameon": False}
    look |= {"figure.dpi": _DOTS_PER_INCH, "axes.titlesize": 12, "axes.titlelocation": "left"}
    with plots.rc_context({**look, **inks}):
        size = (width / _DOTS_PER_INCH, height / _DOTS_PER_INCH)
        figure, axes = plots.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
        written = io.StringIO()
        try:
            yield figure, axes.ravel() if axes.size > 1 else axes[0][0]
            figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
        finally:
            plots.close(figure)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(_dress(written.getvalue()), encoding="utf-8")


def _dress(svg: str) -> str:
    """An SVG with the type of the pages, and the colors of the dark ones where the system is dark."""
    dark = "\n".join(
        f'[style*="{part}: {ink}"] {{ {part}: {other} !important }}'
        for ink, other in DARK.items()
        for part in ("fill", "stroke")
    )
    head, tag, rest = svg.partition("<defs>")
    return (
        f"{head}<style>\n{_TYPE}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n</style>\n {tag}{rest}"
    )


def load_matplotlib() -> ModuleType:
    """matplotlib's plots, drawn to files. Raises `UsageError` where it is missing."""
    try:
        import_module("matplotlib").use("Agg")
        return import_module("matplotlib.pyplot")
    except ImportError as error:
        raise missing_extra("matplotlib", "draws figures", "figures") from error
