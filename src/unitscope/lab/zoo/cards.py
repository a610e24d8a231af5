"""Model cards: how the zoo's networks do on pictures that nothing was trained on, as Markdown."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from unitscope.errors import UsageError
from unitscope.lab.world.names import OBJECT_IDS, PART_IDS, SCENES
from unitscope.lab.zoo.captioned import Captioned
from unitscope.lab.zoo.captioned_measures import (
    measure_retrieval,
    measure_scenes,
    measure_words,
    read_facts,
)
from unitscope.lab.zoo.generator import SceneGenerator
from unitscope.lab.zoo.measures import (
    GeneratorScores,
    Images,
    PixelScores,
    blur,
    compare_axes,
    compare_grain,
    generate,
    measure_accuracy,
    read_features,
    score_pictures,
    score_pixels,
    segment,
    to_input,
)
from unitscope.lab.zoo.networks import CLASSES, SceneClassifier, SceneSegmenter
from unitscope.lab.zoo.pictures import Pictures, PictureSet, paint_pictures
from unitscope.lab.zoo.recipes import GENERATED, HELD_OUT, Recipe
from unitscope.lab.zoo.towers import Towers
from unitscope.lab.zoo.transformer import SceneTransformer
from unitscope.lab.zoo.weights_files import find_recipe, load_zoo_module, read_module
from unitscope.results import Result
from unitscope.tables import Table

SMALLEST_PART = 0.001
"""Parts that cover less than this fraction of all pixels are listed, but not in the mean."""
_LOOKS = ("power on the axes over off them", "fine grain", "variety")
COMMON_OBJECT = 0.01
"""An object is asked of the generator if it covers this fraction of painted pixels."""


@dataclass(frozen=True)
class Card(Result):
    """What a network of the zoo can do: figures by name, and details by the names of their files.

    `text()` is the card in Markdown. `forms` says how it writes the numbers of each table of details.
    """

    figures: Mapping[str, float]
    details: Mapping[str, Table]
    forms: Mapping[str, tuple[str, ...]]

    def tables(self) -> Mapping[str, Table]:
        """The figures, then the details."""
        return {"figures.csv": Table(("figure", "value"), tuple(self.figures.items())), **self.details}

    def describe(self) -> dict[str, Any]:
        """The figures, ready for JSON."""
        return dict(self.figures)

    def text(self) -> str:
        """The card in Markdown."""
        parts = ["\n".join(f"- {name}: {value:.3f}" for name, value in self.figures.items())]
        for name, table in self.details.items():
            rows = [(row[0], *map(format, row[1:], self.forms[name])) for row in table.rows]
            parts.append(Table(table.columns, tuple(rows)).markdown())
        return "\n\n".join(parts)


def grade_zoo(
    name: str,
    pictures: str | Path = "runs/zoo/pictures",
    *,
    count: int = 2400,
    weights: Path | None = None,
    early: Path | None = None,
) -> Card:
    """Grades a network of the zoo on `count` held-out pictures, which are kept in the folder `pictures`.

    `weights` are those of a file, if not the shipped ones; `early` are those of an earlier generator, to
    compare with.

    Raises `UsageError` for an unknown name and a count below 1, and what `read_module` raises.
    """
    if count < 1:
        raise UsageError(f"the count is {count}; wanted 1 picture or more")
    recipe, folder = find_recipe(name), Path(pictures)
    module = load_zoo_module(name) if weights is None else read_module(recipe, weights)
    if isinstance(module, SceneClassifier | SceneTransformer):
        return _grade_classifier(module, paint_pictures(PictureSet(SCENES, count, HELD_OUT), folder))
    if isinstance(module, SceneSegmenter):
        return _grade_segmenter(module, paint_pictures(PictureSet(SCENES, count, HELD_OUT), folder))
    if isinstance(module, Towers):
        return _grade_captioned(module, paint_pictures(PictureSet(SCENES, count, HELD_OUT), folder))
    before = None if early is None else cast("SceneGenerator", read_module(recipe, early))
    return _grade_generator(recipe, cast("SceneGenerator", module), before, count, folder)


def _grade_classifier(network: nn.Module, held_out: Pictures) -> Card:
    accuracy = measure_accuracy(network, held_out)
    rows = tuple(zip(SCENES, accuracy.tolist(), strict=True))
    figures = {"accuracy": float(accuracy.mean()), "worst scene": float(accuracy.min())}
    table = Table(("scene", "named right"), rows)
    return Card(figures, {"scenes.csv": table}, {"scenes.csv": (".1%",)})


def _grade_captioned(towers: Towers, held_out: Pictures) -> Card:
    model, facts = Captioned(towers), read_facts(held_out)
    images = model.embed_images(held_out.images)
    sentence, picture = measure_retrieval(model, images, facts)
    words = measure_words(model, images, facts)
    figures = {
        "its sentence among 100, for a picture": sentence,
        "its picture among 100, for a sentence": picture,
        "scene named right by its bare word": measure_scenes(model, images, facts),
        **{f"AUROC of a bare word, {category}": words.mean(category) for category in words.auroc},
    }
    tables = {"categories.csv": words.summarize(), "words.csv": words.tabulate()}
    forms = {"categories.csv": ("", "", ".3f", ".3f", ""), "words.csv": ("", ".1%", ".3f")}
    return Card(figures, tables, forms)


def _grade_segmenter(network: SceneSegmenter, held_out: Pictures) -> Card:
    images = to_input(held_out.images)
    objects, parts = (
        score_pixels(segment(network, images, plane), held_out.labels[:, plane], CLASSES[plane])
        for plane in (0, 1)
    )
    large = (parts.coverage >= SMALLEST_PART) & (np.arange(CLASSES[1]) > 0)
    figures = {
        "mean IoU of objects": float(np.nanmean(objects.iou[1:])),
        f"mean IoU of parts that cover {SMALLEST_PART:.1%}": float(parts.iou[large].mean()),
        "pixels with the right object": float(objects.intersection.sum() / objects.wanted.sum()),
    }
    tables = {
        "objects.csv": _tabulate_pixels("object", OBJECT_IDS, objects),
        "parts.csv": _tabulate_pixels("part", PART_IDS, parts),
    }
    return Card(figures, tables, dict.fromkeys(tables, (".2%", ".2f")))


def _grade_generator(
    recipe: Recipe, network: SceneGenerator, early: SceneGenerator | None, count: int, folder: Path
) -> Card:
    classifier = cast("SceneClassifier", load_zoo_module("scene-classifier"))
    segmenter = cast("SceneSegmenter", load_zoo_module("segmenter"))
    painted = paint_pictures(PictureSet(GENERATED, 2 * count, HELD_OUT + 1), folder)
    classes = torch.tensor([SCENES.index(scene) for scene in GENERATED])
    kinds = classes[torch.arange(count) % len(GENERATED)]
    real = to_input(painted.images[:count])
    reference = read_features(classifier, real)

    def score(images: Images) -> GeneratorScores:
        return score_pictures(images, kinds, reference=reference, classifier=classifier, segmenter=segmenter)

    shown = {"generated": score(generate(network, count, len(recipe.scenes))[0])}
    shown["other painted pictures"] = score(to_input(painted.images[count:]))
    shown["painted pictures, blurred"] = score(blur(real))
    if early is not None:
        shown["generated early in training"] = score(generate(early, count, len(recipe.scenes))[0])
    return _tabulate_scores(shown, score(real))


def _tabulate_scores(shown: Mapping[str, GeneratorScores], truth: GeneratorScores) -> Card:
    """Figures of the generated pictures, the first of those shown, and tables of all beside painted ones."""
    wanted, found = truth.areas, shown["generated"].areas
    common = np.flatnonzero((wanted >= COMMON_OBJECT) & (np.arange(CLASSES[0]) > 0))
    kept = found[common] >= wanted[common] / 2
    figures = {
        "Fréchet distance": shown["generated"].frechet,
        **{f"Fréchet distance, {name}": value.frechet for name, value in list(shown.items())[1:]},
        "scene named right by the classifier": shown["generated"].accuracy,
        "common objects with at least half their area": float(kept.mean()),
        "power on the frequency axes over that off them": compare_axes(shown["generated"].power),
        "power on the frequency axes over that off them, painted pictures": compare_axes(truth.power),
        "power of fine grain, of that of painted pictures": compare_grain(
            shown["generated"].power, truth.power
        ),
    }
    columns = ("pictures", "Fréchet distance to painted ones", "scene named right", *_LOOKS)
    rows = tuple(
        (
            name,
            one.frechet,
            one.accuracy,
            compare_axes(one.power),
            compare_grain(one.power, truth.power),
            one.variety / truth.variety,
        )
        for name, one in shown.items()
    )
    tables = {"pictures.csv": Table(columns, rows), "objects.csv": _tabulate_areas(wanted, found)}
    forms = {"pictures.csv": (".2f", ".1%", ".1f", ".2f", ".2f"), "objects.csv": (".2%", ".2%", "+.2%")}
    return Card(figures, tables, forms)


def _tabulate_areas(wanted: np.ndarray, found: np.ndarray) -> Table:
    """Objects from the most missing to the most abundant, as in "Seeing what a GAN cannot generate"."""
    names = list(OBJECT_IDS)
    seen = [k for k in range(1, CLASSES[0]) if max(wanted[k], found[k]) >= 0.001]
    order = sorted(seen, key=lambda k: (found[k] - wanted[k]) / max(wanted[k], 1e-4))
    rows = ((names[k - 1], float(wanted[k]), float(found[k]), float(found[k] - wanted[k])) for k in order)
    return Table(("object", "painted", "generated", "difference"), tuple(rows))


def _tabulate_pixels(kind: str, ids: dict[str, int], scores: PixelScores) -> Table:
    names = list(ids)
    order = np.argsort(-scores.coverage[1:], kind="stable") + 1
    rows = ((names[k - 1], float(scores.coverage[k]), float(scores.iou[k])) for k in order)
    return Table((kind, "pixels", "IoU"), tuple(rows))
