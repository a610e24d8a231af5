"""Commands for the zoo."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from unitscope.cli.interruption import offer
from unitscope.cli.words import Flag, Network, Source, print_json
from unitscope.errors import UsageError

Masked = Annotated[
    str | None,
    arg(help="of the segmenter: your own pictures, a folder or a SOURCE with masks", metavar="SOURCE"),
]
NAMES = "scene-classifier, scene-transformer, segmenter, generator or captioned"
Name = Annotated[Positional[str], arg(metavar="NAME", help=NAMES)]


def train(
    name: Name,
    out: Path = Path("runs/zoo"),
    seed: int = 0,
    steps: int | None = None,
    pictures: int | None = None,
    keep: tuple[int, ...] = (),
    images: Masked = None,
    masks: Path | None = None,
    split: float | None = None,
    json: Flag = False,
) -> None:
    """Train a network of the zoo from its recipe; a training that was stopped is resumed.

    With --images, a small segmenter of your own is fitted on pictures with masks, and measured on those that
    were held out. It opens as segmenter:FILE.

    Args:
        name: the network.
        out: folder of trainings: OUT/NAME-SEED, with --images OUT/FOLDER-SEED; drawn pictures: OUT/pictures.
        seed: decides the initial weights and the order of the pictures.
        steps: fewer or more steps than the recipe says.
        pictures: fewer or more drawn pictures to learn from.
        keep: also write the weights after these steps, as OUT/NAME-SEED/step-N.safetensors.
        masks: the folder of the masks, where --images is one of pictures alone.
        split: share of your pictures to train on; by default as in splits.json, or else 0.75.
        json: print the figures of your segmenter as JSON.
    """
    offer(lambda words: words)
    if images is None:
        if masks is not None or split is not None or json:
            raise UsageError("--masks, --split and --json go with --images: pictures of your own")
        from unitscope.lab.zoo.training import train_zoo

        print(train_zoo(name, out, seed=seed, steps=steps, pictures=pictures, keep=keep))
        return
    advice = "with --images only the segmenter is fitted, on all of them"
    if name != "segmenter":
        raise UsageError(f"the {name} learns from drawn pictures; {advice}")
    if pictures is not None:
        raise UsageError(f"--pictures are drawn ones; {advice}")
    import unitscope as us
    from unitscope.lab.zoo.parser import fit_segmenter

    spec = images if ":" in images or not Path(images).is_dir() else f"folder:{images}"
    source = us.open_source(spec if masks is None else f"{spec},masks={masks}")
    made = fit_segmenter(source, out, share=split, seed=seed, steps=steps, keep=keep)
    if json:
        print_json(made.describe())
    else:
        print(made)


def grade(
    name: Name,
    pictures: Path = Path("runs/zoo/pictures"),
    count: int = 2400,
    weights: Path | None = None,
    early: Path | None = None,
    json: Flag = False,
) -> None:
    """Grade a network of the zoo on pictures that nothing was trained on, as in its model card.

    Args:
        name: the network.
        pictures: folder where the held-out pictures are kept.
        count: how many pictures.
        weights: other weights than the shipped ones.
        early: weights of an earlier generator, for scale.
        json: print only the main figures, as JSON.
    """
    from unitscope.lab.zoo.cards import grade_zoo

    card = grade_zoo(name, pictures, count=count, weights=weights, early=early)
    if json:
        print_json(card.describe())
    else:
        print(card)


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
    """Fit a linear head on frozen features: a classifier of your own images on a trained network.

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
    from unitscope.concepts.derived import source_spec, split_source
    from unitscope.lab.zoo.heads import fit_head, save_head, spell_head

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
