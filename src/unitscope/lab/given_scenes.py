"""Drawn scenes that are given to the generator, and painted on: for the demo and the manual."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from unitscope.interventions.generator_run import Studio
from unitscope.interventions.inversion import Steps, invert_picture
from unitscope.interventions.inversion_result import Inversion
from unitscope.interventions.painting.strokes import Bitmap, Painting, Stroke
from unitscope.interventions.picture_loss import choose_features
from unitscope.lab.studies.painting_photos import DRAW, ERASE, Bench, find_square, set_up
from unitscope.lab.world.scenes import paint
from unitscope.lab.world.shading import render
from unitscope.lab.zoo.weights_files import load_zoo

GIVEN = ((77, 4, "park"), (77, 0, "beach"))
"""Seed, number and kind of the scenes: nothing was taught with these."""
CONCEPT = "tree"
LEVELS = 64
"""So many of the generator's own pictures show how high its units go."""


@dataclass(frozen=True, eq=False)
class GivenScene:
    """A scene that was given, and how it went.

    `pictures` are the scene, what the generator makes of it by itself, and the scene with a tree drawn into a
    square and with its trees erased. `drawn` is the share of the square that became tree, `erased` that of
    the trees' pixels that are named otherwise, NaN where there were none.
    """

    inversion: Inversion
    pictures: Sequence[UInt8[np.ndarray, "y x 3"]]
    drawn: float
    erased: float


def paint_given(
    studio: Studio,
    scenes: Sequence[tuple[int, int, str]] = GIVEN,
    images: int = LEVELS,
    steps: Steps | None = None,
) -> list[GivenScene]:
    """The scenes, inverted into the studio's generator and painted on by the units that its run ranks.

    Raises what `set_up` and `invert_picture` raise.
    """
    features = choose_features(load_zoo("scene-classifier"))
    bench = set_up(studio, [CONCEPT], features, images)
    side = bench.easel.generator.generate(0, 1).shape[1]
    found = []
    for seed, number, kind in scenes:
        scene = render(paint(seed, number, side, kind)[1])
        inversion = invert_picture(
            studio.generator,
            scene,
            layer=bench.layer,
            features=features,
            segmenter=studio.segmenter,
            steps=steps or Steps(),
        )
        found.append(_paint_one(bench, inversion))
    return found


def _paint_one(bench: Bench, inversion: Inversion) -> GivenScene:
    [concept] = bench.concepts
    easel = bench.easel.place(inversion)
    there = (easel.name_pixels(inversion.picture) == concept.id).any(0)
    square = find_square(bench.common[concept.id], there)
    pictures, shares = [inversion.picture, inversion.fits[0].picture], []
    for mask, draws in ((square, True), (there, False)):
        if mask is None or not mask.any():
            pictures.append(inversion.picture)
            shares.append(float("nan"))
            continue
        mode, units = DRAW if draws else ERASE, bench.units[concept.id]
        stroke = Stroke(bench.layer, units, Bitmap.of(mask), mode, concept)
        painted = easel.show(Painting(inversion.key, (stroke,)))
        now = (easel.name_pixels(painted) == concept.id).any(0)
        pictures.append(painted)
        shares.append(float(now[mask].mean() if draws else 1 - now[mask].mean()))
    return GivenScene(inversion, pictures, *shares)
