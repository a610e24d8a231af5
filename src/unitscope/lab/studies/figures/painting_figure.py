"""The figure of the study of painting on given pictures: effects by concept, and a few pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from unitscope.lab.studies.painting_photos import (
    DRAW,
    ERASE,
    GIVEN,
    KEPT,
    OWN,
    PAINTED,
    RANDOM,
    RETURNED,
    Painted,
)
from unitscope.views.figures import INKS, open_figure

BARS = (
    (OWN, PAINTED, "own pictures"),
    (GIVEN, PAINTED, "given pictures"),
    (GIVEN, RETURNED, "given back alone"),
    (GIVEN, RANDOM, "random units"),
    (GIVEN, KEPT, "not given back"),
)


def draw_painting(painted: Sequence[Painted], sheet: UInt8[np.ndarray, "y x 3"], out: Path) -> Path:
    """Bars of drawing and of erasing, and beside them the sheet of pictures.

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    with open_figure(out, 1080.0, 400.0, 3, 1) as (figure, axes):
        for axis, action in zip(axes[:2], (DRAW, ERASE), strict=True):
            _draw_bars(axis, [row for row in painted if row.action == action])
            axis.set_title(
                "drawn: share of the stroke" if action == DRAW else "erased: share gone", fontsize=10
            )
        axes[0].set_ylabel("effect, %")
        axes[2].imshow(sheet, interpolation="nearest")
        axes[2].set_title("given, from the latent, fitted, drawn, erased", fontsize=10)
        axes[2].set_axis_off()
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=5, handlelength=1)
    return out


def _draw_bars(axis: Any, rows: Sequence[Painted]) -> None:
    names = list(dict.fromkeys(row.concept for row in rows))
    width = 0.8 / len(BARS)
    for place, (ink, (subject, way, said)) in enumerate(zip(INKS, BARS, strict=False)):
        effects = [
            [100 * row.effect for row in rows if (row.subject, row.way, row.concept) == (subject, way, name)]
            for name in names
        ]
        heights = [float(np.mean(one)) if one else 0.0 for one in effects]
        errors = [float(np.std(one) / len(one) ** 0.5) if one else 0.0 for one in effects]
        places = np.arange(len(names)) + (place - (len(BARS) - 1) / 2) * width
        axis.bar(places, heights, width, yerr=errors, color=ink, label=said, error_kw={"lw": 0.8})
    axis.set_xticks(range(len(names)), names)
