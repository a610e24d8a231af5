"""Classifiers that cannot know objects: how far do colors, or where they are, give a scene away?

python tests/concepts/shortcuts.py FOLDER COUNT prints what docs/drawn.md says, for COUNT training pictures.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from unitscope.lab.world.names import SCENES
from unitscope.lab.zoo.pictures import PictureSet, paint_pictures
from unitscope.lab.zoo.recipes import HELD_OUT


def count_colors(images, levels=8):
    """How often each of levels^3 colors occurs: 512 fractions a picture."""
    codes = (images // (256 // levels)).astype(np.int64) @ np.array([levels**2, levels, 1])
    rows = codes.reshape(len(codes), -1)
    return np.stack([np.bincount(row, minlength=levels**3) for row in rows]) / rows.shape[1]


def count_colors_damped(images):
    """The square roots of the counts: frequent colors no longer outweigh rare ones."""
    return count_colors(images) ** 0.5


def count_channels(images, levels=16):
    """How often each level of red, green and blue occurs: 48 fractions a picture."""
    planes = [images[..., channel] // (256 // levels) for channel in range(3)]
    counts = [np.stack([np.bincount(p.ravel(), minlength=levels) for p in plane]) for plane in planes]
    return np.concatenate(counts, 1) / images[0, ..., 0].size


def shrink(images, side=8):
    """Thumbnails of 8x8 pixels: 192 numbers a picture."""
    step = images.shape[1] // side
    return images.reshape(len(images), side, step, side, step, 3).mean((2, 4)).reshape(len(images), -1)


def measure_shortcut(look, training, held_out):
    """The share of held-out pictures whose scene a logistic regression on these features names."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(look(training.images), training.kinds)
    return model.score(look(held_out.images), held_out.kinds)


if __name__ == "__main__":
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    learned, asked = (
        paint_pictures(PictureSet(SCENES, n, s), folder) for n, s in ((count, 1000), (2400, HELD_OUT))
    )
    for look in (count_channels, count_colors, count_colors_damped, shrink):
        print(look.__name__, round(measure_shortcut(look, learned, asked), 3), flush=True)
