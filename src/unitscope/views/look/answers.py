"""What the microscope's functions found, spelled as JSON: numbers as they are, null for one that is none."""

from functools import lru_cache
from typing import Any

import numpy as np

from unitscope.concepts.vocabulary import Concept
from unitscope.interventions.explanation import Explanation
from unitscope.interventions.looking.comparison import SightComparison
from unitscope.interventions.looking.lens import Lens, OtherName
from unitscope.interventions.looking.sights import PlaceUnit, Sight
from unitscope.interventions.looking.slides import Slide
from unitscope.interventions.looking.switches import Turned
from unitscope.interventions.painting.strokes import Bitmap
from unitscope.tables import plain
from unitscope.views.look.kept import Kept
from unitscope.views.palette import category_color

SHOWN = 200
"""So many units are listed at most."""
TERMS = 24
"""So many terms of a sum are listed."""
CLASSES = 20
CARD_CLASSES = 10


@lru_cache(maxsize=64)
def describe_units(lens: Lens, layer: str) -> list[dict[str, Any]]:
    """Every unit of a layer with its names."""
    found = lens.find(layer)
    high = lens.high[layer]
    others = {kind: lens.names.get(kind, {}).get(layer, {}) for kind in ("formula", "word")}
    units = []
    for one in found:
        named: dict[str, Any] = {"label": None, "category": None, "color": None, "concept": None}
        if one.concept is not None:
            named = {**name_concept(one.concept), "concept": one.concept.id}
        units.append(
            {
                "unit": one.unit,
                "title": one.name,
                **named,
                "iou": one.iou,
                "q": one.q_value,
                "detector": one.detector,
                "threshold": one.threshold,
                "high": float(high[one.unit]),
                **{kind: _spell_name(names.get(one.unit)) for kind, names in others.items()},
            }
        )
    made: list[dict[str, Any]] = plain(units)
    return made


def _spell_name(name: OtherName | None) -> dict[str, Any] | None:
    if name is None:
        return None
    return {"text": name.text, "iou": name.iou, "score": name.score, "q": name.q_value}


def name_concept(concept: Concept) -> dict[str, str]:
    """What a concept is called, and its category with the color of that."""
    color = category_color(concept.category)
    return {"label": concept.label, "category": concept.category, "color": color}


def describe_classes(lens: Lens, slide: Slide) -> list[dict[str, Any]]:
    """The likeliest classes of a picture."""
    chances, logits = slide.probabilities.tolist(), slide.logits.tolist()
    return [
        {"class": one, "name": lens.name_class(one), "probability": chances[one], "logit": logits[one]}
        for one in slide.order[:CLASSES].tolist()
    ]


def describe_picture(lens: Lens, kept: Kept, name: str, image: str) -> dict[str, Any]:
    """A picture, called `name`, that is shown at the address `image`."""
    return {
        "picture": name,
        "name": kept.slide.name,
        "image": image,
        "shown": list(kept.size),
        "note": kept.note,
        "truth": kept.slide.truth,
        "exact": kept.slide.exact,
        "classes": describe_classes(lens, kept.slide),
    }


def describe_sight(lens: Lens, sight: Sight) -> dict[str, Any]:
    """A picture through a layer: the sum, and the units that fire."""
    found, ranked = sight.explanation, sight.ranked
    told = {
        "layer": sight.layer,
        "class": found.target,
        "name": lens.name_class(found.target),
        "logit": found.logit,
        "probability": float(found.probabilities[found.target]),
        "sum": _describe_sum(found),
        "tokens": {"reads": list(found.reads), "lost": sight.lost} if sight.lost else None,
        "mask": list(sight.grid.mask_size),
        "fired": len(ranked),
        "left_out": max(0, len(ranked) - SHOWN),
        "units": [
            {
                "unit": one.unit,
                "peak": one.peak,
                "area": one.area,
                "contribution": float(found.contributions[one.unit]),
                "class_token": _read_class_token(found, one.unit),
                "runs": list(one.outline.runs),
            }
            for one in ranked[:SHOWN]
        ],
    }
    made: dict[str, Any] = plain(told)
    return made


def _describe_sum(found: Explanation) -> dict[str, Any]:
    weights = found.contributions
    shown = np.argsort(-np.abs(weights), kind="stable")[:TERMS]
    shown = shown[np.argsort(-weights[shown], kind="stable")].tolist()
    return {
        "method": found.method,
        "rest": found.rest,
        "gap": found.gap,
        "shown": [
            {"unit": unit, "contribution": float(weights[unit]), "share": found.share(unit)} for unit in shown
        ],
        "others": float(weights.sum() - weights[shown].sum()),
        "other_units": len(weights) - len(shown),
    }


def _read_class_token(found: Explanation, unit: int) -> float | None:
    tokens = found.class_tokens
    return None if tokens is None or not tokens.shape[1] else float(tokens[unit].mean())


def describe_place(place: tuple[int, int], units: list[PlaceUnit]) -> dict[str, Any]:
    """The units that fire at a place."""
    told = [{"unit": one.unit, "activation": one.activation} for one in units[:SHOWN]]
    return {"row": place[0], "column": place[1], "units": told, "left_out": max(0, len(units) - SHOWN)}


def describe_turned(lens: Lens, turned: Turned) -> dict[str, Any]:
    """The classes that are likeliest before or after switches, and what random units do to them."""
    before, after = turned.probabilities
    control = turned.control_probabilities
    order = np.argsort(-np.maximum(before, after), kind="stable")[:CLASSES].tolist()
    ends = {"control": "mean", "low": "min", "high": "max"}
    classes = [
        {
            "class": one,
            "name": lens.name_class(one),
            "before": float(before[one]),
            "after": float(after[one]),
            **{
                name: float(getattr(control[:, one], how)()) if len(control) else None
                for name, how in ends.items()
            },
        }
        for one in order
    ]
    counts = {"units": turned.units, "control_units": turned.control_units, "draws": len(control)}
    return {"classes": classes, **counts, "from": turned.start}


def describe_comparison(found: SightComparison, mask: tuple[int, int]) -> dict[str, Any]:
    """Two pictures unit by unit, those that differ most first."""
    fires, rows = found.fires, found.order.tolist()
    told = [
        {
            "unit": unit,
            "peak": found.peaks[unit].tolist(),
            "area": found.areas[unit].tolist(),
            "fires": fires[unit].tolist(),
            "change": float(found.change[unit]),
            "relative": float(found.relative[unit]),
        }
        for unit in rows[:SHOWN]
    ]
    both = int(fires.all(1).sum())
    made: dict[str, Any] = plain(
        {
            "layer": found.layer,
            "mask": list(mask),
            "both": both,
            "only": [int(fires[:, 0].sum()) - both, int(fires[:, 1].sum()) - both],
            "left_out": max(0, len(rows) - SHOWN),
            "rows": told,
        }
    )
    return made


def describe_unit(lens: Lens, layer: str, unit: int) -> dict[str, Any]:
    """The evidence for a unit's name, and its best concept in each category."""
    found, words = lens.find(layer), lens.run.vocabulary
    one, labels = found[unit], found.labels
    runner = one.runner_up
    categories = []
    for place, category in enumerate(words.categories):
        best = int(labels.best_in[unit, place])
        categories.append(
            {
                "category": category,
                "color": category_color(category),
                "label": words[best].label if best else None,
                "iou": float(labels.best_iou_in[unit, place]),
            }
        )
    told = {
        **describe_units(lens, layer)[unit],
        "layer": layer,
        "p": one.p_value,
        "iou_low": one.iou_low,
        "iou_high": one.iou_high,
        "heldout": one.heldout_iou,
        "runner_up": None if runner is None else {**name_concept(runner), "iou": one.runner_up_iou},
        "categories": categories,
    }
    made: dict[str, Any] = plain(told)
    return made


def rank_classes(lens: Lens, lost: np.ndarray) -> list[dict[str, Any]]:
    """The classes whose logits fall most without a unit."""
    order = np.argsort(-lost, kind="stable")[:CARD_CLASSES].tolist()
    return [{"class": one, "name": lens.name_class(one), "lost": float(lost[one])} for one in order]


def spell_runs(runs: np.ndarray, size: tuple[int, int]) -> list[int]:
    """A mask of runs of (row, first column, column after the last) as lengths outside and inside in turn.

    >>> spell_runs(np.array([[0, 1, 3]], np.uint16), (2, 4))
    [1, 2, 5]
    """
    mask = np.zeros(size, bool)
    for row, start, stop in runs.tolist():
        mask[row, start:stop] = True
    return list(Bitmap.of(mask).runs)
