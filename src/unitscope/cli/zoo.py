"""Commands for the zoo."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from unitscope.cli.words import Flag, Network, Source, print_json
from unitscope.parsing import Command

Name = Annotated[Positional[str], arg(metavar="NAME", help="scene-classifier, segmenter or generator")]


def train(
    name: Name,
    out: Path = Path("runs/zoo"),
    seed: int = 0,
    steps: int | None = None,
    pictures: int | None = None,
    keep: tuple[int, ...] = (),
) -> None:
    """Train a network of the zoo from its recipe; goes on where it was stopped.

    Args:
        name: the network.
        out: folder of trainings; this one gets OUT/NAME-SEED, the pictures OUT/pictures.
        seed: decides the initial weights and the order of the pictures.
        steps: fewer or more steps than the recipe says.
        pictures: fewer or more pictures to learn from.
        keep: also write the weights after these steps, as OUT/NAME-SEED/step-N.safetensors.
    """
    from dataclasses import replace

    from unitscope.networks.zoo.shelf import find_recipe, save_weights
    from unitscope.networks.zoo.training import train as train_network

    recipe = find_recipe(name)
    recipe = replace(recipe, steps=steps or recipe.steps, pictures=pictures or recipe.pictures)
    done = train_network(recipe, out / f"{name}-{seed}", seed=seed, keep=keep)
    file = done.folder / f"{name}.safetensors"
    print(f"weights: {file}  sha256 {save_weights(done.network, file)}")


def grade(
    name: Name,
    pictures: Path = Path("runs/zoo/pictures"),
    count: int = 2400,
    weights: Path | None = None,
    early: Path | None = None,
    json: Flag = False,
) -> None:
    """Grade a network of the zoo on pictures that nothing was trained on: what its model card says.

    Args:
        name: the network.
        pictures: folder where the held-out pictures are kept.
        count: how many pictures.
        weights: other weights than the shipped ones.
        early: weights of an earlier generator, for scale.
        json: print only the main figures, as JSON.
    """
    from unitscope.networks.zoo.cards import grade as grade_network

    card = grade_network(name, pictures, count=count, weights=weights, early=early)
    if json:
        print_json(card.figures)
    else:
        print(card.text)


def head(
    network: Network,
    images: Source,
    out: Path = Path("runs/head.safetensors"),
    split: float = 0.5,
    seed: int = 0,
    c: float = 0.01,
    category: str | None = None,
    weights: Path | None = None,
    json: Flag = False,
) -> None:
    """Fit a linear head on frozen features: a classifier of your own images on a network that is there.

    The head reads what the network's last linear layer reads. It opens as head:FILE, where that layer is
    replaced and all other layers keep their names.

    Args:
        network: the network whose features are used; it is not trained.
        images: images that are labelled as a whole.
        out: the file to write, as safetensors.
        split: share of every class's images to fit on; the others measure the accuracy.
        seed: which images these are.
        c: inverse strength of the penalty on the weights; smaller is smoother.
        category: which labels, where images carry several kinds.
        weights: a weights file of the network, such as one of torchvision's; nothing in it is executed.
        json: print JSON with the accuracy of every class.
    """
    import unitscope as us
    from unitscope.concepts.sources import source_spec, split_source
    from unitscope.networks.heads import fit_head, save_head, spell_head

    source = us.open_source(images)
    loaded = us.load_network(network, weights=weights)
    made = fit_head(loaded, source, share=split, seed=seed, c=c, category=category)
    save_head(made, out)
    test = source_spec(split_source(source, "test", share=split, seed=seed))
    if json:
        print_json({"file": str(out), "network": network, "layer": made.layer, "test": test, **made.record})
    else:
        print(spell_head(made))
        print(f"head: {out}\nuse: head:{out} as NETWORK, {test} as images it has not seen")


ZOO: dict[str, Command] = {"train": train, "grade": grade, "head": head}
