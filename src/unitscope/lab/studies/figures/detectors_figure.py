"""The figure of the study of detectors: balanced accuracy of single units, a row for every kind of images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unitscope.lab.studies.detector_measures import DetectorRow
from unitscope.views.figures import INKS, LINE, MUTED, TEXT, open_figure

_ROW = 34.0
_SHOWN = (
    ("named", "unit named by IoU", INKS[0], -0.22),
    ("moved", "its threshold from inside", INKS[1], 0.0),
    ("logit", "class logit", INKS[2], 0.22),
)

_LUCK = ("lot", "shuffled_high")


def draw_detectors(rows: Sequence[DetectorRow], out: Path) -> Path:
    """A point a concept, means over seeds, and the mean over concepts; gray bars are what luck gives.

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    places = list(dict.fromkeys((one.subject, one.place) for one in rows))
    with open_figure(out, 820.0, _ROW * len(places) + 110) as (figure, axis):
        for line, (subject, place) in enumerate(places):
            some = [one for one in rows if (one.subject, one.place) == (subject, place)]
            luck = [100 * np.mean([getattr(one, name) for one in some]) for name in ("lot", "shuffled_high")]
            axis.barh(
                line, luck[1] - 50, 0.8, 50, color=LINE, label="best of shuffled, 95 %" if not line else ""
            )
            axis.plot(
                [luck[0]] * 2,
                [line - 0.4, line + 0.4],
                color=MUTED,
                lw=1.5,
                label="by lot" if not line else "",
            )
            for column, name, ink, shift in _SHOWN:
                _draw_points(axis, some, column, (line + shift, ink), name)
        for value, name in ((85.6, "fig. 1f"), (78.2, "fig. 3f")):
            axis.axvline(value, color=TEXT, lw=0.8, ls=(0, (3, 3)))
            axis.text(value, -0.7, name, ha="center", va="bottom", fontsize=9, color=MUTED)
        names = [f"{subject.removeprefix('zoo:')}: {place}" for subject, place in places]
        axis.set_yticks(range(len(places)), names, fontsize=9)
        axis.set(xlim=(40, 101), ylim=(len(places) - 0.5, -0.75), xlabel="balanced accuracy, %")
        axis.grid(axis="y", visible=False)
        handles, labels = axis.get_legend_handles_labels()
        chosen = dict(zip(labels, handles, strict=True))
        figure.legend(chosen.values(), chosen.keys(), loc="outside lower center", ncols=5, fontsize=9)
    return out


def _draw_points(axis, rows: Sequence[DetectorRow], column: str, at: tuple[float, str], name: str) -> None:  # type: ignore[no-untyped-def]
    """A point a concept, and a stroke at their mean; nothing where nothing was measured."""
    groups: dict[tuple[str, str], list[float]] = {}
    for one in rows:
        value = float(getattr(one, column))
        if value == value:
            groups.setdefault((one.category, one.concept), []).append(100 * value)
    if not groups:
        return
    values = [float(np.mean(some)) for some in groups.values()]
    place, ink = at
    axis.scatter(values, [place] * len(values), s=9, color=ink, alpha=0.35, lw=0)
    axis.scatter([np.mean(values)], [place], s=70, marker="|", color=ink, lw=2.2, label=name)
