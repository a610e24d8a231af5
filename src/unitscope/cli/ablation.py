"""The command that takes units away from a classifier."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

import unitscope as us
from unitscope.cli.parsing import Command
from unitscope.cli.words import Flag, Network, Source, check_out, find_device, print_json
from unitscope.errors import UsageError


def ablate(
    network: Network,
    layer: Annotated[str, arg(metavar="LAYER")],
    images: Source,
    test: Annotated[str | None, arg(metavar="SOURCE")] = None,
    run: Annotated[Path | None, arg(metavar="RUN")] = None,
    weights: Path | None = None,
    counts: Annotated[tuple[int, ...], arg(metavar="N [N ...]")] = (),
    by: Literal["contrast", "margin", "accuracy"] = "contrast",
    draws: int = 10,
    classes: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = (),
    out: Path = Path("runs/ablate"),
    device: str = "cpu",
    seed: int = 0,
    json: Flag = False,
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
        weights: a safetensors file or a state dict; nothing in it is executed.
        counts: how many units to remove; 4 and 20 are always among them.
        by: rank units by the drop of contrast, of margin, or of balanced accuracy.
        draws: how often random units are drawn.
        classes: only these classes; images of the others still count.
        out: folder of the results.
        device: cpu, cuda, cuda:1, ...
        seed: seed of the draws and of the intervals.
        json: print JSON instead of the table.
    """
    from unitscope.dissection.matching import find_layer
    from unitscope.experiments.removal import pair_trials, study_removal
    from unitscope.experiments.removal_tables import (
        describe_removal,
        spell_findings,
        spell_removal,
        write_removal,
    )
    from unitscope.views.figures import load_matplotlib
    from unitscope.views.removal import Pictures, write_removal_page

    load_matplotlib()  # what is missing is told before the work
    if seed < 0:
        raise UsageError(f"--seed is {seed}; it must be 0 or more")
    check_out(out)
    loaded = us.load_network(network, weights=weights)
    pictures = None
    if run is not None:
        found = us.load(run)
        find_layer(found, loaded, layer)
        pictures = Pictures(found, us.open_source(found.source, loaded), run)
    loaded.module.to(find_device(device))
    ranking, testing = pair_trials(
        loaded, us.open_source(images), None if test is None else us.open_source(test)
    )
    study = study_removal(
        loaded,
        layer,
        ranking,
        testing,
        classes=classes,
        counts=counts,
        by=by,
        draws=draws,
        seed=seed,
        named=None if pictures is None else pictures.run[layer],
    )
    tables = write_removal(study, out)
    page = write_removal_page(study, out, pictures=pictures)
    if json:
        print_json(describe_removal(study))
        return
    print(spell_removal(study))
    print()
    print("\n".join(spell_findings(study)))
    print(f"\ntables: {', '.join(map(str, tables))}\npage: {page}")


ABLATION: dict[str, Command] = {"ablate": ablate}
