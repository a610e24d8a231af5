"""Model cards: how the zoo's networks do on pictures that nothing was trained on, as Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from unitscope.lab.world.names import OBJECT_IDS, PART_IDS, SCENES
from unitscope.lab.zoo.classifier import SceneClassifier
from unitscope.lab.zoo.generator import SceneGenerator
from unitscope.lab.zoo.measures import (
    GeneratorScores,
    Images,
    PixelScores,
    blur,
    generate,
    measure_accuracy,
    read_features,
    score_pictures,
    score_pixels,
    segment,
    to_input,
)
from unitscope.lab.zoo.pictures import PictureSet, paint_pictures
from unitscope.lab.zoo.recipes import GENERATED, HELD_OUT, Recipe
from unitscope.lab.zoo.segmenter import CLASSES, SceneSegmenter
from unitscope.lab.zoo.weights_files import find_recipe, load_zoo_module, read_module

SMALLEST_PART = 0.001
"""Parts that cover less than this fraction of all pixels are listed, but not in the mean."""
COMMON_OBJECT = 0.01
"""An object is asked of the generator if it covers this fraction of painted pixels."""


@dataclass(frozen=True)
class Card:
    """What a network of the zoo can do: figures by name, and the same with tables as Markdown."""

    figures: dict[str, float]
    text: str


def grade(
    name: str, pictures: Path, *, count: int = 2400, weights: Path | None = None, early: Path | None = None
) -> Card:
    """Grades a network over `count` held-out pictures, which are kept in the folder `pictures`.

    `weights` are its own if not the shipped ones; `early` is an earlier generator to compare with.
    """
    recipe = find_recipe(name)
    module = load_zoo_module(name) if weights is None else read_module(recipe, weights)
    if isinstance(module, SceneClassifier):
        return _grade_classifier(module, PictureSet(SCENES, count, HELD_OUT), pictures)
    if isinstance(module, SceneSegmenter):
        return _grade_segmenter(module, PictureSet(SCENES, count, HELD_OUT), pictures)
    before = None if early is None else cast("SceneGenerator", read_module(recipe, early))
    return _grade_generator(recipe, cast("SceneGenerator", module), before, count, pictures)


def _grade_classifier(network: SceneClassifier, wanted: PictureSet, folder: Path) -> Card:
    accuracy = measure_accuracy(network, paint_pictures(wanted, folder))
    rows = ((name, f"{value:.1%}") for name, value in zip(SCENES, accuracy, strict=True))
    figures = {"accuracy": float(accuracy.mean()), "worst scene": float(accuracy.min())}
    return Card(figures, f"{_list(figures)}\n\n{_table(('scene', 'named right'), rows)}")


def _grade_segmenter(network: SceneSegmenter, wanted: PictureSet, folder: Path) -> Card:
    held_out = paint_pictures(wanted, folder)
    images = to_input(held_out.images)
    scores = [
        score_pixels(segment(network, images, plane), held_out.labels[:, plane], CLASSES[plane])
        for plane in (0, 1)
    ]
    objects, parts = scores
    large = (parts.coverage >= SMALLEST_PART) & (np.arange(CLASSES[1]) > 0)
    figures = {
        "mean IoU of objects": float(np.nanmean(objects.iou[1:])),
        f"mean IoU of parts that cover {SMALLEST_PART:.1%}": float(parts.iou[large].mean()),
        "pixels with the right object": float(objects.intersection.sum() / objects.wanted.sum()),
    }
    tables = (_pixel_table("object", OBJECT_IDS, objects), _pixel_table("part", PART_IDS, parts))
    return Card(figures, "\n\n".join((_list(figures), *tables)))


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
    wanted = score(real).areas
    found = shown["generated"].areas
    common = np.flatnonzero((wanted >= COMMON_OBJECT) & (np.arange(CLASSES[0]) > 0))
    kept = found[common] >= wanted[common] / 2
    figures = {
        "Fréchet distance": shown["generated"].frechet,
        **{f"Fréchet distance, {name}": value.frechet for name, value in list(shown.items())[1:]},
        "scene named right by the classifier": shown["generated"].accuracy,
        "common objects with at least half their area": float(kept.mean()),
    }
    rows = ((name, f"{s.frechet:.2f}", f"{s.accuracy:.1%}") for name, s in shown.items())
    first = _table(("pictures", "Fréchet distance to painted ones", "scene named right"), rows)
    return Card(figures, f"{_list(figures)}\n\n{first}\n\n{_area_table(wanted, found)}")


def _area_table(wanted: np.ndarray, found: np.ndarray) -> str:
    """Objects from the most missing to the most abundant, as in "Seeing what a GAN cannot generate"."""
    names = list(OBJECT_IDS)
    seen = [k for k in range(1, CLASSES[0]) if max(wanted[k], found[k]) >= 0.001]
    order = sorted(seen, key=lambda k: (found[k] - wanted[k]) / max(wanted[k], 1e-4))
    rows = (
        (names[k - 1], f"{wanted[k]:.2%}", f"{found[k]:.2%}", f"{found[k] - wanted[k]:+.2%}") for k in order
    )
    return _table(("object", "painted", "generated", "difference"), rows)


def _pixel_table(kind: str, ids: dict[str, int], scores: PixelScores) -> str:
    names = list(ids)
    order = np.argsort(-scores.coverage[1:], kind="stable") + 1
    rows = ((names[k - 1], f"{scores.coverage[k]:.2%}", f"{scores.iou[k]:.2f}") for k in order)
    return _table((kind, "pixels", "IoU"), rows)


def _list(figures: dict[str, float]) -> str:
    return "\n".join(f"- {name}: {value:.3f}" for name, value in figures.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
