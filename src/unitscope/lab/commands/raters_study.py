"""The command that runs the human evaluation with scripted raters."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from unitscope.cli.parsing import Command
from unitscope.cli.words import ConventionName, Flag, Network, print_json
from unitscope.errors import UsageError


def raters(
    network: Network = "zoo:scene-classifier",
    layers: Annotated[tuple[str, ...], arg(metavar="LAYER [LAYER ...]")] = (
        "layer1",
        "layer2",
        "layer3",
        "layer4",
        "layer5",
    ),
    images: int = 1200,
    seeds: int = 3,
    convention: ConventionName = "netdissect",
    out: Path = Path("runs/study/raters"),
    quick: Flag = False,
    json: Flag = False,
) -> None:
    """Rate units by scripts that see the labels, with known slips: what `unitscope ratings` makes of them.

    They are no people, so what people would say is not tested. Writes layers.csv, raters.csv and figure.svg.

    Args:
        network: the network, dissected over drawn scenes.
        layers: its layers.
        images: how many drawn scenes, other ones for every seed.
        seeds: how often everything is repeated.
        convention: whose arithmetic: docs/theory.md has the table.
        out: folder of the results.
        quick: a small version for a first look: 100 images, one seed.
        json: print JSON instead of tables.
    """
    import unitscope as us
    from unitscope.lab.studies.figures.raters_figure import draw_raters
    from unitscope.lab.studies.raters_study import described_rows, judged_rows, spell_panels, study_raters
    from unitscope.tables import write_tables
    from unitscope.views.figures import load_matplotlib

    for option, value in (("images", images), ("seeds", seeds)):
        if value < 1:
            raise UsageError(f"--{option} is {value}; wanted 1 or more")
    load_matplotlib()  # what is missing is told before the work
    images, seeds = (100, 1) if quick else (images, seeds)
    opened = us.load_network(network)
    size = (opened.preprocessing.size or (64, 64))[0]
    panels = []
    for seed in range(seeds):
        source = us.open_source(f"drawn:count={images},seed={2000 + seed},size={size}")
        panels.append(study_raters(opened, layers, source, convention=convention, seed=seed))
    write_tables(out, {"layers.csv": described_rows(panels), "raters.csv": judged_rows(panels)})
    figure = draw_raters(panels, out / "figure.svg")
    if json:
        print_json([asdict(panel) for panel in panels])
    else:
        print("A quick look, not a result.\n" if quick else "", end="")
        print(f"{spell_panels(panels)}\n\nfigure: {figure}")


RATERS: dict[str, Command] = {"raters": raters}
