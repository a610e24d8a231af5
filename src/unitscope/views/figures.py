"""Figures of studies, drawn with matplotlib (`pip install 'unitscope[figures]'`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from unitscope.errors import RunError, UsageError

INKS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's colors: told apart by everyone."""
TICKS = 8
"""The most values of x that are written under a plot."""


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
    plots = _matplotlib()
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


def _matplotlib() -> ModuleType:
    try:
        import matplotlib as drawing

        drawing.use("Agg")
        import matplotlib.pyplot as plots
    except ImportError as error:
        raise UsageError("matplotlib draws figures; pip install 'unitscope[figures]'") from error
    found: ModuleType = plots
    return found
