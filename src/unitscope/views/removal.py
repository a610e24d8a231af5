"""A study of removal as one static page: the table, every class with its units, and figures as in paper B."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from unitscope.errors import writing
from unitscope.experiments.removal_result import Labelling, Pictures, Removal
from unitscope.interventions.importance import TOP, shared_units
from unitscope.interventions.sweeps import Kind
from unitscope.progress import follow_each
from unitscope.views.drawing import draw_strip
from unitscope.views.figures import INKS, MUTED, TEXT, TICKS, load_matplotlib, open_figure
from unitscope.views.pages import page_environment, spell_look, write_page

TILES = 6
SIDE = 128
SHARED = 12
"""How many of the units that several classes need are shown on top; all are in graph.json."""
QUALITY = 85
DROPS = {
    "contrast": "drop of contrast, in logits",
    "margin": "drop of margin, in logits",
    "accuracy": "drop of balanced accuracy",
}
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


def write_removal_page(study: Removal, out: str | Path, *, pictures: Pictures | None = None) -> Path:
    """Writes `index.html`, its figures and its pictures into the folder `out`; the path of the page.

    With `pictures` units have their labels and top images, and links into the report of the run where it has
    one. Links are relative: the folder can be moved with the run. Raises `UsageError` where matplotlib is
    missing, `RunError` where the folder cannot be written.
    """
    folder = Path(out)
    load_matplotlib()
    shared = shared_units(study.ranked)
    anchors = {target: f"class-{target}" for target in study.targets.tolist()}
    units = sorted({*study.ranked.order[study.targets, :TOP].ravel().tolist(), *list(shared)[:SHARED]})
    drawn = follow_each(units, "drawing the units", "units")
    cards = {unit: _draw_card(study, unit, folder, pictures) for unit in drawn}
    labelling = study.labelling
    draw_sweep(study, None, folder / "figures" / "mean.svg")
    draw_classes(study, folder / "figures" / "classes.svg")
    draw_correlations(study, folder / "figures" / "correlations.svg")
    if labelling is not None:
        draw_labelling(study, labelling, folder / "figures")
    targets = follow_each(study.targets.tolist(), "drawing the classes", "classes")
    page = page_environment().get_template("removal.html")
    text = page.render(
        study=study,
        top=TOP,
        drop_name=DROPS[study.ranked.by],
        kinds=study.kinds,
        mean=[study.levels[None, kind, count] for kind, count, _ in study.kinds],
        parts=[_describe_class(study, target, folder, cards, anchors) for target in targets],
        shared=[
            (cards[unit], [(study.classes[target], anchors[target]) for target in targets])
            for unit, targets in list(shared.items())[:SHARED]
        ],
        shared_count=len(shared),
        labelling=labelling,
        look=None if pictures is None else spell_look(study.network, pictures.folder),
    )
    return write_page(text, folder)


def _draw_card(study: Removal, unit: int, folder: Path, pictures: Pictures | None) -> dict[str, Any]:
    """A unit as it is always shown: `tiles` are files of its top images, `report` its place in the report."""
    if study.named is None or pictures is None:
        return {"unit": study.name_unit(unit), "label": "", "iou": None, "tiles": (), "report": ""}
    found = study.named[unit]
    strip = draw_strip(pictures.run, pictures.source, study.layer, unit, count=TILES, side=SIDE)
    tiles = []
    with writing(folder):
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        for rank, index in enumerate(study.named.exemplars.images[unit, :TILES].tolist()):
            if index >= 0:
                left = rank * (SIDE + 4)
                tiles.append(f"pictures/{unit}-{rank}.jpg")
                strip.crop((left, 0, left + SIDE, SIDE)).save(folder / tiles[-1], quality=QUALITY)
    report = pictures.folder / "report" / "index.html"
    link = ""
    if report.is_file():
        place = quote(Path(os.path.relpath(report, folder)).as_posix())
        link = f"{place}#unit/{quote(study.layer, safe='')}/{unit}"
    label, category = (found.concept.label, found.concept.category) if found.concept else ("never active", "")
    named = {"label": label, "category": category, "iou": found.iou, "detector": found.detector}
    return {"unit": study.name_unit(unit), **named, "tiles": tiles, "report": link}


def _describe_class(
    study: Removal, target: int, folder: Path, cards: dict[int, dict[str, Any]], anchors: dict[int, str]
) -> dict[str, Any]:
    """A class on the page: its row of the table, its curve, and the units that matter to it.

    Of each what the class loses without it on either half of the images, and the other classes it matters to.
    """
    figure, matters = f"figures/{anchors[target]}.svg", study.ranked.matters
    draw_sweep(study, target, folder / figure)
    units = []
    for unit in study.ranked.order[target, :TOP].tolist():
        others = [other for other in study.targets.tolist() if matters[other, unit] and other != target]
        units.append(
            {
                "card": cards[unit],
                "drop": float(study.ranked.drop[target, unit]),
                "tested": float(study.tested.drop[target, unit]),
                "others": [(study.classes[other], anchors[other]) for other in others],
            }
        )
    return {
        "name": study.classes[target],
        "anchor": anchors[target],
        "levels": [study.levels[target, kind, count] for kind, count, _ in study.kinds],
        "units": units,
        "figure": figure,
    }


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
