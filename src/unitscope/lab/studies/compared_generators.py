"""The generators that are compared: one recipe of the zoo in three variants, kept while they are trained."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from torch import nn

from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.zoo.game import settle
from unitscope.lab.zoo.networks import LATENT
from unitscope.lab.zoo.recipes import TRIALS, Game
from unitscope.lab.zoo.training import train
from unitscope.lab.zoo.weights_files import INPUT, build_module, read_module, save_weights
from unitscope.networks.generators import Generator
from unitscope.networks.weights import random_weights

PLAIN, ALIKE, PIXEL = "as it is", "no minibatch statistics", "pixelwise normalization"
LONG = "given checkpoints"
RECIPE = replace(cast("Game", TRIALS["generator-trial"]), steps=600)
"""An early training: 600 steps where the recipe has 24,000, in full, its rate falling to the end."""
VARIANTS: Mapping[str, tuple[str, Game]] = {
    PLAIN: ("generator", RECIPE),
    ALIKE: ("generator-without-spread", replace(RECIPE, spread=False)),
    PIXEL: ("generator-pixel", replace(RECIPE, norm="pixel")),
}
"""What is compared, by the names that people read: the name of its files, and its recipe."""


@dataclass(frozen=True, eq=False)
class Compared:
    """A generator that is measured: `step` counts the steps of training behind it, `end` says if all are."""

    variant: str
    seed: int
    step: int
    end: bool
    generator: Generator

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}, step {self.step}"


def shorten(recipe: Game, quick: bool) -> Game:
    """The recipe as it is trained here: with `quick`, two steps over a few pictures."""
    return replace(recipe, pictures=40, steps=2, batch=8) if quick else recipe


def list_early(variant: str, recipe: Game) -> tuple[int, ...]:
    """The steps before the end after which weights are kept: each quarter of the plain training.

    >>> list_early(PLAIN, RECIPE), list_early(PIXEL, RECIPE)
    ((150, 300, 450), ())
    """
    quarters = {max(1, recipe.steps * quarter // 4) for quarter in range(1, 4)}
    return tuple(sorted(quarters)) if variant == PLAIN else ()


def open_variants(setting: Setting, seeds: range, *, train_missing: bool = True) -> list[Compared]:
    """Every variant from every seed at the end of its training, the plain one also at earlier steps.

    Step 0 is the plain one before training, from which also the other variants of its seed started. Networks
    that are missing in the setting's folder are trained, a seed after the other, or left out.

    Raises what `train` and `read_module` raise.
    """
    return [
        one
        for seed in seeds
        for variant in VARIANTS
        for one in _open(setting, variant, seed, train_missing=train_missing)
    ]


def _open(setting: Setting, variant: str, seed: int, *, train_missing: bool) -> Iterator[Compared]:
    name, recipe = VARIANTS[variant]
    recipe = shorten(recipe, setting.quick)
    home = setting.folder / "generators" / setting.networks.name / f"{name}-{seed}"
    early = {step: home / f"step-{step}.safetensors" for step in list_early(variant, recipe)}
    files = {**early, recipe.steps: home / f"{name}.safetensors"}
    if not all(path.is_file() for path in files.values()):
        if not train_missing:
            return
        save_weights(train(recipe, home, seed=seed, keep=tuple(early)).network, files[recipe.steps])
    if variant == PLAIN:
        yield Compared(variant, seed, 0, False, _wrap(build_start(recipe, seed), recipe))
    for step, path in files.items():
        opened = _wrap(read_module(recipe, path), recipe)
        yield Compared(variant, seed, step, step == recipe.steps, opened)


def build_start(recipe: Game, seed: int) -> nn.Module:
    """The network that a training of the recipe starts from, its normalization settled on its pictures."""
    with random_weights(seed):
        module = build_module(recipe).eval()
    return settle(module, len(recipe.scenes), RECIPE.batch)


def open_steps(files: Mapping[int, Path]) -> list[Compared]:
    """The checkpoints of one training of the plain recipe, by step, their normalization settled.

    Raises what `read_module` raises.
    """
    found = []
    for step, path in files.items():
        module = settle(read_module(RECIPE, path), len(RECIPE.scenes), RECIPE.batch)
        found.append(Compared(LONG, 0, step, step == max(files), _wrap(module, RECIPE)))
    return found


def _wrap(module: nn.Module, recipe: Game) -> Generator:
    """A module as the generator of a recipe."""
    return Generator(module, INPUT, (), f"zoo:{recipe.name}", latent=(LATENT,), kinds=recipe.scenes)
