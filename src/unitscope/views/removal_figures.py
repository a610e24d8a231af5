"""The figures of a study of removal, as in paper B, fig. 2c to 2e, one SVG each."""

from pathlib import Path

import numpy as np

from unitscope.experiments.removal_result import Labelling, Removal
from unitscope.interventions.sweeps import Kind
from unitscope.views.figures import INKS, MUTED, TEXT, TICKS, open_figure

KIND_INKS: dict[Kind, str] = {
    "none": TEXT,
    "most": INKS[1],
    "only": INKS[2],
    "least": INKS[0],
    "random": MUTED,
}
WIDTH = 440.0
ROW = 17.0
NAMED = 150
"""With more classes than that, the names would be too small to read and are left out."""
NAME_LETTERS = 22


def draw_sweep(study: Removal, target: int | None, out: Path) -> Path:
    """Balanced accuracy of a class, or of the mean (None), against the number of units (fig. 2c)."""
    kinds: tuple[tuple[Kind, str], ...] = (
        ("most", "most important removed"),
        ("random", "random removed"),
        ("least", "least important removed"),
        ("only", "only the most important kept"),
    )
    places = range(len(study.counts))
    with open_figure(out, WIDTH, 290.0) as (figure, axis):
        base = study.levels[target, "none", 0].balanced.value
        axis.axhline(base, color=TEXT, lw=1, ls=(0, (4, 3)))
        for kind, name in kinds:
            spans = [study.levels[target, kind, count].balanced for count in study.counts]
            values, ink = [span.value for span in spans], KIND_INKS[kind]
            axis.plot(places, values, color=ink, lw=2, marker="o", ms=4, label=name)
            if all(span.known for span in spans):
                low, high = [span.low for span in spans], [span.high for span in spans]
                axis.fill_between(places, low, high, color=ink, alpha=0.18, lw=0)
        axis.set_xticks(places, [str(count) for count in study.counts])
        axis.set(xlabel="number of units", ylim=(0.38, 1.07), title="Balanced accuracy")
        axis.grid(axis="x", visible=False)
        place = ("axes fraction", "data")
        axis.annotate("all units", (1, base), (0, 3), place, "offset points", ha="right", fontsize=11)
        figure.legend(loc="outside lower left", ncols=2, handlelength=1.2, columnspacing=1.4)
    return out


def draw_classes(study: Removal, out: Path) -> Path:
    """Every class, sorted: with all units, without the most important ones, with these alone (fig. 2d)."""
    base = {target: study.levels[target, "none", 0].balanced.value for target in study.targets.tolist()}
    order = sorted(base, key=lambda target: (base[target], -target))
    row = ROW if len(order) <= NAMED else 4.0
    kinds: tuple[tuple[Kind, int, str], ...] = (
        ("most", study.many, f"{study.many} most important removed"),
        ("only", study.many, f"only these {study.many} kept"),
        ("random", study.many, f"{study.many} random removed"),
        ("none", 0, "all units"),
    )
    with open_figure(out, WIDTH, 90 + row * len(order)) as (figure, axis):
        places = np.arange(len(order))
        axis.axvline(0.5, color=MUTED, lw=1, ls=(0, (4, 3)))
        for kind, count, name in kinds:
            values = [study.levels[target, kind, count].balanced.value for target in order]
            axis.plot(values, places, "o", color=KIND_INKS[kind], ms=min(6, 0.45 * row), label=name, mew=0)
        named = [study.classes[target].replace("_", " ")[:NAME_LETTERS] for target in order]
        axis.set_yticks(places, named if len(order) <= NAMED else [""] * len(order))
        axis.tick_params(axis="y", labelcolor=TEXT, labelsize=12)
        axis.set(ylim=(-0.8, len(order) - 0.2), title="Balanced accuracy; chance is 0.5")
        figure.legend(loc="outside lower left", ncols=2, handletextpad=0.2, columnspacing=1.4)
    return out


def draw_labelling(study: Removal, labelling: Labelling, folder: Path) -> None:
    """Mean IoU of units by the number of classes they matter to, and by bins of importance (fig. 2e)."""
    assert study.named is not None
    mean = float(study.named.labels.best_iou.mean())
    top = 1.1 * max(one.mean + one.error for one in (*labelling.by_classes, *labelling.by_importance))
    for name, groups, x in (
        ("iou-classes.svg", labelling.by_classes, "number of classes the units matter to"),
        ("iou-importance.svg", labelling.by_importance, "units by mean importance, low to high"),
    ):
        with open_figure(folder / name, WIDTH, 230.0) as (_, axis):
            places = range(len(groups))
            axis.axhline(mean, color=MUTED, lw=1, ls=(0, (4, 3)))
            means, errors = [group.mean for group in groups], [group.error for group in groups]
            axis.errorbar(places, means, errors, color=INKS[0], fmt="o", ms=6, lw=2, capsize=0)
            step = -(-len(groups) // TICKS)
            if step == 1:
                shown = [f"{group.name}\nn={group.units}" for group in groups]
            else:
                shown = [group.name.partition("–")[0] for group in groups[::step]]
            axis.set_xticks(places[::step], shown, fontsize=11)
            axis.set(xlabel=x, title="Mean IoU", xlim=(-0.6, len(groups) - 0.4), ylim=(0, top))
            axis.grid(axis="x", visible=False)


def draw_correlations(study: Removal, out: Path) -> Path:
    """How peaks go with the probability of classes: pairs that matter against all pairs."""
    every = study.correlation[study.targets].ravel()
    important = study.correlation[study.ranked.matters]
    edges = np.linspace(-1, 1, 41)
    with open_figure(out, WIDTH, 250.0) as (figure, axis):
        for values, ink, name in (
            (every, MUTED, "all pairs of unit and class"),
            (important, INKS[1], "pairs that matter"),
        ):
            shares = np.histogram(values, edges)[0] / max(len(values), 1)
            axis.stairs(shares, edges, color=ink, lw=2, label=name)
            axis.stairs(shares, edges, color=ink, alpha=0.15, fill=True)
        axis.axvline(0, color=MUTED, lw=1, ls=(0, (4, 3)))
        axis.set(xlabel="correlation of peak and probability", title="Share of pairs")
        axis.grid(axis="x", visible=False)
        figure.legend(loc="outside lower left", ncols=2, handlelength=1.2)
    return out
