"""The command that attacks a classifier and looks inside."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

import unitscope as us
from unitscope.cli.parsing import Command
from unitscope.cli.words import Flag, Network, Source, check_out, print_json
from unitscope.errors import UnitscopeError, UsageError, writing

if TYPE_CHECKING:
    from unitscope.experiments.movement import AttackStudy
    from unitscope.interventions.attacks import Attack

Method = Literal["cw", "pgd-l2", "pgd-linf"]


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
    weights: Path | None = None,
    draws: int = 10,
    seed: int = 0,
    out: Annotated[Path, arg(metavar="DIR")] = Path("runs/attack"),
    json: Flag = False,
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
        weights: a safetensors file or a state dict; nothing in it is executed.
        draws: how often random units are drawn.
        seed: decides which images, random units and random starts.
        out: folder of the results.
        json: print JSON instead of a table.
    """
    from unitscope.experiments.movement import attack_units
    from unitscope.experiments.movement_tables import describe_attacks, spell_attacks
    from unitscope.interventions.ablation import find_targets
    from unitscope.interventions.classes import find_class
    from unitscope.views.figures import load_matplotlib

    load_matplotlib()  # what is missing is told before the work
    if seed < 0:
        raise UsageError(f"--seed is {seed}; it must be 0 or more")
    check_out(out)
    way = _choose_attack(method, steps, eps, seed if random_start else None)
    loaded = us.load_network(network, weights=weights)
    labels = {} if run is None else _read_labels(us.load(run), loaded, layer)
    chosen = list(dict.fromkeys(find_class(loaded, name) for name in targets))
    trial = find_targets(loaded, us.open_source(images), least=1)
    study = attack_units(loaded, layer, trial, chosen, way, count=count, draws=draws, seed=seed)
    files = _write(study, labels, out)
    if json:
        print_json(describe_attacks(study))
    else:
        print(spell_attacks(study), end="\n\n")
    for name, file in files.items():
        print(f"{name}: {file}", file=sys.stderr if json else sys.stdout)
    if not study.success.any():
        raise UnitscopeError(
            f"none of {len(study.attacked)} attacks succeeded; {out} has the best tries; "
            f"allow more steps with --steps{'' if method == 'cw' else ', or a wider ball with --eps'}"
        )


def _choose_attack(method: Method, steps: int | None, eps: float | None, start: int | None) -> "Attack":
    from unitscope.interventions.attacks import CarliniWagner, ProjectedGradient

    if method == "cw":
        if eps is not None or start is not None:
            raise UsageError("--eps and --random-start are of pgd-l2 and pgd-linf; cw has neither")
        return CarliniWagner() if steps is None else CarliniWagner(steps=steps)
    default = ProjectedGradient("l2" if method == "pgd-l2" else "linf", eps, seed=start)
    return default if steps is None else ProjectedGradient(default.norm, eps, steps, seed=start)


def _read_labels(run: "us.Dissection", network: "us.Network", layer: str) -> "Mapping[int, us.Concept]":
    """The labels of a layer's detectors. Raises `UsageError` for a run of another network or layer."""
    from unitscope.dissection.matching import find_layer

    found = find_layer(run, network, layer)
    return {unit.unit: unit.concept for unit in found if unit.detector and unit.concept is not None}


def _write(study: "AttackStudy", labels: "Mapping[int, us.Concept]", out: Path) -> dict[str, Path]:
    from unitscope.experiments.movement_tables import write_attacks
    from unitscope.views.attack_sheet import draw_attacks
    from unitscope.views.movement_figure import draw_movements

    write_attacks(study, out)
    files = {"tables": out}
    figure, files["pictures"] = out / "movement.svg", out / "pictures.png"
    if study.movements:
        files["figure"] = draw_movements(study, figure)
    with writing(out):
        if not study.movements:
            figure.unlink(missing_ok=True)  # one of an earlier run
        draw_attacks(study, labels).save(files["pictures"])
    return files


ATTACK: dict[str, Command] = {"attack": attack}
