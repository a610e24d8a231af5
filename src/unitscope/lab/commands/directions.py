"""The commands of the studies of directions, and of edits along them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from unitscope.cli.words import Convention, Flag, Json, Output
from unitscope.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitscope.lab.studies.direction_bases import Subject
    from unitscope.lab.studies.trained_groups import Setting

KEPT = Path("runs/study")


def directions(
    network: str | None = None,
    layers: Annotated[tuple[str, ...], arg(metavar="LAYER [LAYER ...]")] = (),
    concepts: Annotated[tuple[str, ...], arg(metavar="SOURCE [SOURCE ...]")] = (),
    photographs: Annotated[tuple[str, ...], arg(metavar="SOURCE [SOURCE ...]")] = (),
    images: Annotated[str | None, arg(metavar="SOURCE")] = None,
    scenes: int = 1000,
    seeds: int = 3,
    convention: Convention = "netdissect",
    kept: Path = KEPT,
    quick: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Compare a layer's units with other directions: rotated, components, autoencoders, untrained ones.

    The best unit of every concept is chosen on one half of the pictures and measured on the other, under
    several thresholds and with labels of other pictures; then it is removed. Without --network a layer of the
    zoo's classifier and one of its transformer are studied. What was done is not done again: the same command
    goes on where it was stopped. Writes bases.csv, concepts.csv, removals.csv, finding.md and figure.svg.

    Args:
        network: a network of your own, instead of the zoo's.
        layers: its layers.
        concepts: labeled images for it; over each of these sources all layers are studied.
        photographs: EfficientNet-Lite0 besides, over each of these sources, such as folder:msrc.
        images: what directions of --network and of --photographs are fitted to, without looking at labels; by
            default the half of the labeled images that units are named on.
        scenes: how many drawn scenes the zoo's networks are studied over.
        seeds: how often everything is repeated, with other halves, draws and trainings.
        kept: folder where pictures, fitted directions and what was measured are kept.
        quick: a small version for a first look: 100 scenes, tiny fits, one seed.
        out: folder of the results; by default that of the study in --kept.
    """
    from unitscope.lab.commands.measurements import finish
    from unitscope.lab.studies.directions_finding import study_directions

    setting = open_setting(kept, scenes, seeds, quick, convention)
    subjects = _open_subjects(network, layers, concepts, photographs, images, setting)
    finish(study_directions(setting, subjects), Output(out or kept / "directions", json))


def edits(
    scenes: int = 400,
    seeds: int = 3,
    kept: Path = KEPT,
    quick: Flag = False,
    out: Annotated[Path | None, arg(metavar="DIR")] = None,
    json: Json = False,
) -> None:
    """Remove and insert latents: what a classifier's classes and a generator's concepts lose and gain.

    The best latent of every concept, the best of an autoencoder that was never trained and the best neuron
    are removed and inserted in a layer of the zoo's classifier and one of its generator, beside random ones
    that move the layer as far. What was done is not done again: the same command goes on where it was
    stopped. Writes edits.csv, finding.md and figure.svg.

    Args:
        scenes: how many drawn scenes the classifier is studied over.
        seeds: how often everything is repeated, with other pictures, draws and trainings.
        kept: folder where pictures, fitted directions and what was measured are kept.
        quick: a small version for a first look: 100 scenes, tiny fits, one seed.
        out: folder of the results; by default that of the study in --kept.
    """
    from unitscope.lab.commands.measurements import finish
    from unitscope.lab.studies.edits_finding import study_edits

    setting = open_setting(kept, scenes, seeds, quick, "netdissect")
    finish(study_edits(setting), Output(out or kept / "edits", json))


def open_setting(kept: Path, scenes: int, seeds: int, quick: bool, convention: str) -> "Setting":
    """The setting of a study. Raises `UsageError` for numbers below 1, and where figures cannot be drawn."""
    from unitscope.lab.studies.trained_groups import Setting
    from unitscope.views.figures import load_matplotlib

    for option, value in (("scenes", scenes), ("seeds", seeds)):
        if value < 1:
            raise UsageError(f"--{option} is {value}; wanted 1 or more")
    load_matplotlib()  # where it is missing, that is reported before the work, not after it
    return Setting(kept, scenes, seeds, quick=quick, convention=convention)


def _open_subjects(
    network: str | None,
    layers: "Sequence[str]",
    concepts: "Sequence[str]",
    photographs: "Sequence[str]",
    images: str | None,
    setting: "Setting",
) -> "list[Subject]":
    """The layers that are studied. Raises `UsageError` for options that do not go together."""
    import unitscope as us
    from unitscope.lab.studies.directions_finding import PHOTOGRAPHS, list_layers_of, list_zoo

    if network is None and (layers or concepts):
        raise UsageError("--layers and --concepts go with --network; the zoo's networks have their own")
    if network is not None and not (layers and concepts):
        raise UsageError(f"say which --layers of {network}, and over which --concepts, as in folder:photos")
    if images is not None and network is None and not photographs:
        raise UsageError("--images goes with --network or --photographs; the zoo's networks have their own")

    def open_source(text: str) -> us.ConceptSource:
        source = us.open_source(text)
        return us.limit(source, 100) if setting.quick else source

    fitted = None if images is None else open_source(images)
    found = [] if network else list(list_zoo(setting))
    for name, of, texts in ((network, layers, concepts), (*PHOTOGRAPHS, photographs)):
        if name and texts:
            opened = us.load_network(name)
            sources = [(text, open_source(text)) for text in texts]
            found += list_layers_of(opened, of, sources, fitted, name=name)
    return found
