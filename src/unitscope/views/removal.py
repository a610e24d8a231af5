"""A study of removal as one static page: the table, the figures, and every class with its units."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tqdm import tqdm

from unitscope.errors import writing
from unitscope.experiments.removal_result import Pictures, Removal
from unitscope.interventions.importance import TOP, shared_units
from unitscope.views.drawing import draw_strip
from unitscope.views.figures import load_matplotlib
from unitscope.views.pages import page_environment, write_page
from unitscope.views.removal_figures import draw_classes, draw_correlations, draw_labelling, draw_sweep

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
    drawn = tqdm(units, desc="drawing the units", unit="unit", disable=None)
    cards = {unit: _draw_card(study, unit, folder, pictures) for unit in drawn}
    labelling = study.labelling
    draw_sweep(study, None, folder / "figures" / "mean.svg")
    draw_classes(study, folder / "figures" / "classes.svg")
    draw_correlations(study, folder / "figures" / "correlations.svg")
    if labelling is not None:
        draw_labelling(study, labelling, folder / "figures")
    targets = tqdm(study.targets.tolist(), desc="drawing the classes", unit="class", disable=None)
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
    )
    return write_page(text, folder)


def _draw_card(study: Removal, unit: int, folder: Path, pictures: Pictures | None) -> dict[str, Any]:
    """A unit as it is always shown: `tiles` are files of its top images, `report` its place in the report."""
    if study.named is None or pictures is None:
        return {"unit": unit, "label": "", "iou": None, "tiles": (), "report": ""}
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
    return {"unit": unit, **named, "tiles": tiles, "report": link}


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
