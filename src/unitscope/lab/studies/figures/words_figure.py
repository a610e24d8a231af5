"""The figure of the study of words: how many units every method names rightly, by kind of unit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unitscope.lab.studies.word_names import IOU, Named
from unitscope.views.figures import INKS, LINE, TEXT, open_figure

_ROW = 15.0


def draw_words(rows: Sequence[Named], out: Path) -> Path:
    """A plot a kind of units: a point a seed, a row a method, IoU first where it names them.

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    kinds = list(dict.fromkeys(row.kind for row in rows))
    methods = [IOU, *(method for method in dict.fromkeys(row.method for row in rows) if method != IOU)]
    columns = min(4, len(kinds))
    lines = -(-len(kinds) // columns)
    with open_figure(out, 900.0, (_ROW * len(methods) + 80) * lines, columns, lines) as (_, axes):
        for place, axis in enumerate(np.atleast_1d(axes)):
            if place >= len(kinds):
                axis.set_visible(False)
                continue
            for row in (one for one in rows if one.kind == kinds[place]):
                ink = TEXT if row.method == IOU else INKS[0]
                axis.scatter(100 * row.right / row.units, methods.index(row.method), s=20, color=ink, lw=0)
            names = methods if place % columns == 0 else [""] * len(methods)
            axis.set_yticks(range(len(methods)), names, fontsize=9)
            axis.set(xlim=(-3, 103), ylim=(len(methods) - 0.5, -0.5))
            axis.grid(axis="y", color=LINE, lw=0.5)
            axis.set_title(kinds[place], fontsize=10)
            if place // columns == lines - 1 or place + columns >= len(kinds):
                axis.set_xlabel("named rightly, %")
    return out
