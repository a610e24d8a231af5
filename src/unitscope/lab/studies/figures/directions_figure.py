"""The figure of the study of directions: best by concept of every basis, and what removals change."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.lab.studies.direction_bases import Size
from unitscope.lab.studies.direction_removal import BEST, RANDOM, RemovalResult
from unitscope.lab.studies.held_out import OWN, SHUFFLED, HeldOut
from unitscope.views.figures import INKS, LINE, MUTED, open_figure

_ROW = 19.0


def draw_directions(bases: Sequence[HeldOut], removals: Sequence[RemovalResult], out: Path) -> Path:
    """A row of plots a layer. Left, the held-out IoU of each concept's best unit, by basis; right, removals.

    Points are seeds, at the convention's own threshold, which comes first. Raises `UsageError` where
    matplotlib is missing, `RunError` where the file cannot be written.
    """
    names = list(dict.fromkeys(one.subject for one in bases))
    most = max(len(_list_kinds(bases, name)) for name in names)
    high = (_ROW * most + 90) * len(names) + 40
    with open_figure(out, 900.0, high, 2, len(names)) as (figure, axes):
        for place, name in enumerate(names):
            left, right = axes[2 * place : 2 * place + 2]
            _draw_best(left, [one for one in bases if one.subject == name], name)
            _draw_removals(right, [one for one in removals if one.subject == name])
        pairs = [zip(*axis.get_legend_handles_labels(), strict=True) for axis in axes]
        found = {label: handle for some in pairs for handle, label in some}
        figure.legend(found.values(), found, loc="outside lower left", ncols=4, handlelength=1)
    return out


def _list_kinds(bases: Sequence[HeldOut], name: str) -> list[tuple[str, Size]]:
    return list(dict.fromkeys((one.kind, one.size) for one in bases if one.subject == name))


def _draw_best(axis: Any, bases: Sequence[HeldOut], name: str) -> None:
    kinds = _list_kinds(bases, name)
    usual = (bases[0].quantile, bases[0].sparse)
    central = [one for one in bases if (one.quantile, one.sparse) == usual]
    for labels, ink, said in ((OWN, INKS[0], "own labels"), (SHUFFLED, MUTED, "labels shuffled")):
        some = [one for one in central if one.labels == labels]
        rows = [kinds.index((one.kind, one.size)) for one in some]
        axis.scatter([one.best for one in some], rows, s=22, color=ink, label=said, lw=0)
    units = {(one.kind, one.size): one.units for one in central}
    axis.set_yticks(range(len(kinds)), [f"{kind}, {units[kind, size]:,}" for kind, size in kinds], fontsize=9)
    axis.invert_yaxis()
    axis.grid(axis="y", color=LINE, lw=0.5)
    axis.set_title(name, fontsize=10)
    axis.set(xlabel="IoU of the best unit of a concept, held out", xlim=(0, None))


def _draw_removals(axis: Any, removals: Sequence[RemovalResult]) -> None:
    kinds = list(dict.fromkeys(one.kind for one in removals))
    for ink, kind in zip(INKS, kinds, strict=False):
        for chosen, mark in ((BEST, "o"), (RANDOM, "x")):
            some = [one for one in removals if (one.kind, one.chosen) == (kind, chosen)]
            seeds = [[one for one in some if one.seed == seed] for seed in sorted({one.seed for one in some})]
            x = [100 * float(np.mean([one.elsewhere for one in rows])) for rows in seeds]
            y = [100 * float(np.mean([one.there for one in rows])) for rows in seeds]
            said = kind if chosen == BEST else f"{kind}, random"
            axis.scatter(x, y, s=26, color=ink, marker=mark, label=said)
    if removals:
        end = max(axis.get_xlim()[1], axis.get_ylim()[1])
        axis.plot([0, end], [0, end], color=LINE, lw=1, zorder=0)
    axis.set_title("One direction removed", fontsize=10)
    axis.set(xlabel="answers changed elsewhere, %", ylabel="in pictures of the concept, %")
