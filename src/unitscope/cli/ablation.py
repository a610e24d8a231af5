"""The commands that take units away from a classifier, and attack it to see which units moved."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

import unitscope as us
from unitscope.cli.components import settle_layers
from unitscope.cli.sharing import Workers
from unitscope.cli.words import (
    Again,
    Device,
    Draws,
    Flag,
    Network,
    Opening,
    Output,
    Source,
    find_device,
    publish,
    show,
)
from unitscope.errors import UnitscopeError, UsageError

if TYPE_CHECKING:
    from unitscope.interventions.attacks import Attack

Method = Literal["cw", "pgd-l2", "pgd-linf"]


def ablate(
    network: Network,
    layer: Annotated[str, arg(metavar="LAYER")],
    images: Source,
    test: Annotated[str | None, arg(metavar="SOURCE")] = None,
    run: Annotated[Path | None, arg(metavar="RUN")] = None,
    concepts: Again = None,
    counts: Annotated[tuple[int, ...], arg(metavar="N [N ...]")] = (),
    by: Literal["contrast", "margin", "accuracy"] = "contrast",
    classes: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = (),
    tokens: Literal["all", "patches", "class"] = "all",
    device: Device = "cpu",
    sharing: Workers = Workers(),
    drawing: Draws = Draws(),
    opening: Opening = Opening(),
    output: Output = Output(Path("runs/ablate")),
) -> None:
    """Remove units of a classifier: which ones does each class need, and what is left without them?

    Units are ranked for every class on one half of the images and removed on the other. Prints balanced
    accuracy / accuracy over all classes, in percent. Writes importance.csv, removal.csv, classes.csv,
    graph.json and a page.

    Args:
        network: a classifier whose classes have names.
        layer: the layer whose units are removed, as in `unitscope layers NETWORK`.
        images: images labelled as a whole with the network's classes.
        test: images to test on, instead of half of the others.
        run: a dissection of the layer, for the names and pictures of its units.
        counts: how many units to remove; 4 and 20 are always among them.
        by: rank units by the drop of contrast, of margin, or of balanced accuracy.
        classes: only these classes; images of the others still count.
        tokens: where a layer of tokens loses units: class tokens, registers and patches (all), or one kind.
    """
    from unitscope.dissection import reopen_source
    from unitscope.experiments import Pictures, study_removal

    if run is None and concepts is not None:
        raise UsageError("--concepts gives the images of a run; name it too, with --run")
    output.check()
    loaded, pictures = opening.load(network), None
    if run is not None:
        found = us.load(run)
        pictures = Pictures(found, reopen_source(found, concepts, loaded), run)
    loaded.module.to(find_device(device))
    executor, source = sharing.start(device), us.open_source(images)
    other = None if test is None else us.open_source(test)
    [layer] = settle_layers(loaded, [layer], source)
    study = study_removal(
        loaded,
        layer,
        source,
        other,
        classes=classes,
        counts=counts,
        by=by,
        tokens=tokens,
        run=None if pictures is None else pictures.run,
        executor=executor,
        **vars(drawing),
    )
    publish(study, output, pictures=pictures)


def attack(
    network: Network,
    layer: Annotated[str, arg(metavar="LAYER")],
    images: Source,
    targets: Annotated[list[str], arg(metavar="CLASS [CLASS ...]")],
    method: Method = "cw",
    count: int = 20,
    steps: int | None = None,
    eps: float | None = None,
    random_start: Flag = False,
    run: Annotated[Path | None, arg(metavar="RUN")] = None,
    sharing: Workers = Workers(),
    drawing: Draws = Draws(),
    opening: Opening = Opening(),
    output: Output = Output(Path("runs/attack")),
) -> None:
    """Change images a little until a classifier takes them for another class, and see which units moved.

    Units are ranked for every class on one half of the images, and images of the other half are attacked.
    Prints how far the peak activations moved: of the units most important to the class before, to the class
    after, of all others and of random ones. Writes movement.csv, attacks.csv, movement.svg and pictures.png.

    Args:
        network: a classifier whose classes have names.
        layer: the layer whose units are watched, as in `unitscope layers NETWORK`.
        images: images labelled as a whole with the network's classes.
        targets: the classes that images are to pass for.
        method: Carlini and Wagner's smallest L2 change, or projected gradients in an L2 or Linf ball.
        count: how many images are attacked for each target.
        steps: gradients a round (cw: 3 rounds of 16), or in all (pgd: 20); more give smaller changes.
        eps: radius of the ball in pixels of [0, 1]; by default 8/255 (linf), the input's side / 64 (l2).
        random_start: start pgd at a random point of the ball.
        run: a dissection of the layer, for the labels of its units.
    """
    from unitscope.experiments import study_attacks

    output.check()
    attack = _choose_attack(method, steps, eps, drawing.seed if random_start else None)
    loaded = opening.load(network)
    named = None if run is None else us.load(run)
    source = us.open_source(images)
    shared = {"executor": sharing.start("cpu"), **vars(drawing)}
    [layer] = settle_layers(loaded, [layer], source)
    study = study_attacks(loaded, layer, source, targets, attack, count=count, run=named, **shared)
    study.save(output.out)
    study.page(output.out)
    names = zip(("pictures", "figure"), study.pictures, strict=False)
    files = [f"{kind}: {output.out / name}" for kind, name in names]
    show(study, output.json, f"\ntables: {output.out}", *files)
    if not study.success.any():
        raise UnitscopeError(
            f"none of {len(study.attacked)} attacks succeeded; {output.out} has the best tries; "
            f"allow more steps with --steps{'' if method == 'cw' else ', or a wider ball with --eps'}"
        )


def _choose_attack(method: Method, steps: int | None, eps: float | None, start: int | None) -> "Attack":
    from unitscope.interventions import CarliniWagner, ProjectedGradient

    if method == "cw":
        if eps is not None or start is not None:
            raise UsageError("--eps and --random-start are of pgd-l2 and pgd-linf; cw has neither")
        return CarliniWagner() if steps is None else CarliniWagner(steps=steps)
    default = ProjectedGradient("l2" if method == "pgd-l2" else "linf", eps, seed=start)
    return default if steps is None else ProjectedGradient(default.norm, eps, steps, seed=start)
