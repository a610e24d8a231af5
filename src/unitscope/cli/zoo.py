"""Commands for the zoo."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from unitscope.parsing import Command


def train(
    name: Annotated[Positional[str], arg(metavar="NAME", help="scene-classifier, segmenter or generator")],
    out: Path = Path("runs/zoo"),
    seed: int = 0,
    steps: int | None = None,
    pictures: int | None = None,
) -> None:
    """Train a network of the zoo from its recipe; goes on where it was stopped.

    Args:
        name: the network.
        out: folder of trainings; this one gets OUT/NAME-SEED, the pictures OUT/pictures.
        seed: decides the initial weights and the order of the pictures.
        steps: fewer or more steps than the recipe says.
        pictures: fewer or more pictures to learn from.
    """
    from dataclasses import replace

    from unitscope.networks.zoo.shelf import find_recipe, save_weights
    from unitscope.networks.zoo.training import train as train_network

    recipe = find_recipe(name)
    recipe = replace(recipe, steps=steps or recipe.steps, pictures=pictures or recipe.pictures)
    done = train_network(recipe, out / f"{name}-{seed}", seed=seed)
    file = done.folder / f"{name}.safetensors"
    print(f"weights: {file}  sha256 {save_weights(done.network, file)}")


ZOO: dict[str, Command] = {"train": train}
