"""Figures of studies, drawn with matplotlib (`pip install 'unitscope[figures]'`)."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from unitscope.errors import RunError, UsageError

INKS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's colors: told apart by everyone."""
TEXT, MUTED, LINE = "#1b1b19", "#66665f", "#e6e6e1"
"""The text and lines of the pages, light; `DARK` says what they are where the system is dark."""
DARK = {TEXT: "#ececea", MUTED: "#a2a29c", LINE: "#2b2b2e", INKS[0]: "#3d9bd6"}
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
    plots = load_matplotlib()
    with plots.rc_context({"svg.hashsalt": "unitscope", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = plots.subplots(
            1,
            len(panels),
            figsize=(2.3 * len(panels), 2.7),
            sharey=shared,
            squeeze=False,
            layout="constrained",
        )
        for axis, panel in zip(axes[0], panels, strict=True):
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
            axis.grid(axis="y", lw=0.4)
            axis.spines[["top", "right"]].set_visible(False)
        axes[0][0].set_ylabel(y)
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(out, format="svg", metadata={"Date": None})
        except OSError as error:
            raise RunError(f"cannot write {out}: {error.strerror or error}; name another folder") from error
        finally:
            plots.close(figure)
    return out


@contextmanager
def open_figure(out: Path, width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """A figure of one plot for a page, `width` x `height` in CSS pixels: (figure, axis).

    It is written to `out` as SVG when the block ends. It has no ground of its own, the type of the page, and
    turns light on dark where the system does.

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
        figure, axis = plots.subplots(figsize=size, layout="constrained")
        written = io.StringIO()
        try:
            yield figure, axis
            figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
        finally:
            plots.close(figure)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(_dress(written.getvalue()), encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {out}: {error.strerror or error}; name another folder") from error


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
        import matplotlib as drawing

        drawing.use("Agg")
        import matplotlib.pyplot as plots
    except ImportError as error:
        raise UsageError("matplotlib draws figures; pip install 'unitscope[figures]'") from error
    found: ModuleType = plots
    return found
