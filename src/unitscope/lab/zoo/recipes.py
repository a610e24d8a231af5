"""What each network of the zoo is trained on, and for how long."""

from dataclasses import dataclass
from typing import Literal

from unitscope.lab.world.names import SCENES
from unitscope.lab.zoo.pictures import PictureSet


@dataclass(frozen=True)
class Recipe:
    """One network of the zoo.

    `lesson` says which trainer it needs (`training.TRAINERS`). `rate` is the highest learning rate,
    `threads` over how many cores the arithmetic is split: another number sums in another order, and gives
    other weights in the last digits. `pictures_seed` is the seed of the training pictures; that of
    `unitscope zoo train --seed` decides the initial weights and the order.
    """

    name: str
    lesson: str
    scenes: tuple[str, ...]
    pictures: int
    steps: int
    batch: int
    rate: float
    threads: int = 1
    pictures_seed: int = 1000

    @property
    def picture_set(self) -> PictureSet:
        """The pictures that it learns from."""
        return PictureSet(self.scenes, self.pictures, self.pictures_seed)


@dataclass(frozen=True)
class Course(Recipe):
    """How a network of the studies is trained: a recipe whose network, task and conditions can be chosen.

    `style` is one of `styles.STYLES`, `task` one of `trained_models.TASKS`, `width` multiplies the units of
    the last stage. `start` is the course whose network, of the same seed, this one starts from
    (fine-tuning); `keep` names steps after which the weights are kept. `decay` is AdamW's weight decay.

    Kept networks are found by the text of their course: other names, fields or values are another network.
    """

    style: str = "vgg"
    task: str = "scenes"
    width: float = 1.0
    norm: bool = True
    dropout: float = 0.0
    decay: float = 1e-2
    augment: bool = False
    start: "Course | None" = None
    keep: tuple[int, ...] = ()


@dataclass(frozen=True)
class Game(Recipe):
    """A recipe for a generator: a network that makes pictures, trained against a critic.

    `norm` is what its layers are normalized over: "batch", each unit over the batch, or "pixel", each cell
    over its units. With `spread`, the critic reads how far the pictures of a batch are apart.
    """

    norm: Literal["batch", "pixel"] = "batch"
    spread: bool = True


GENERATED = ("street", "park", "beach", "mountain_lake", "harbor")
"""The kinds of scene that the generator paints."""

HELD_OUT = 2000
"""The seed of the pictures that nothing in the zoo is trained on."""

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("scene-classifier", "classifier", SCENES, 36_000, 2_500, 64, 2e-3),
        Recipe("scene-transformer", "transformer", SCENES, 36_000, 6_000, 64, 1e-3),
        Recipe("segmenter", "segmenter", SCENES, 36_000, 9_000, 24, 2e-3),
        Recipe("generator", "generator", GENERATED, 30_000, 9_000, 32, 4e-4, pictures_seed=1001),
        Recipe("captioned", "towers", SCENES, 36_000, 1_800, 128, 2e-3),
    )
}

TRIALS: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (Game("generator-trial", "game", GENERATED, 30_000, 24_000, 16, 3e-4, pictures_seed=1001),)
}
"""Recipes on trial: they are trained, ship and open like the others, whose places they may take."""
