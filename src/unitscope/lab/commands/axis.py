"""The command that rotates a layer's basis."""

from pathlib import Path

from unitscope.cli.parsing import Command
from unitscope.cli.words import Arithmetic, Jobs, Json, Kept, Quick, Results, Scenes, Seeds, Source
from unitscope.errors import UsageError
from unitscope.lab.commands.comparisons import COMPARISONS, KEPT, set_study, show_finding, write_finding


def axis(
    network: str | None = None,
    layers: tuple[str, ...] = (),
    before: str | None = None,
    concepts: Source = "drawn:count=1000,seed=2000,size=64",
    weights: tuple[Path, ...] = (),
    rotations: int = 5,
    seeds: Seeds = None,
    images: Scenes = 1000,
    jobs: Jobs = 2,
    convention: Arithmetic = "netdissect",
    kept: Kept = KEPT,
    out: Results = None,
    quick: Quick = False,
    json: Json = False,
) -> None:
    """Compare a layer's units with random rotations of them, under many conditions.

    Varies images, concepts, objects an image, cells of a map, rectification, layer, cut-off, quantile and
    counting, one at a time. With --network beside its random weights; without it over students taught for the
    study, also after less training and with other widths. Writes conditions.csv, parts.csv, finding.md and
    figure.svg.

    Args:
        network: a network of your own.
        layers: its layer at the center of the study, then others to compare it with.
        before: the same layer before its rectification.
        concepts: the labelled images for it.
        weights: files of weights, such as one a seed, instead of the network's own.
        rotations: how many random rotations of it.
    """
    from unitscope.lab.studies.figures.axis_figure import draw_axis

    setting = set_study(kept, seeds, images, jobs, convention, quick)
    target = out or kept / "axis"
    if network is None:
        if layers or before or weights:
            raise UsageError(
                "--layers, --before and --weights go with --network; the students have their own"
            )
        finding, draw = COMPARISONS["axis"].run(setting)
        show_finding(finding, write_finding(finding, draw, target), json)
        return
    import unitscope as us
    from unitscope.lab.studies.rotation_finding import compare_networks

    source = us.open_source(concepts)
    opened = (
        (us.load_network(network, weights=file), us.load_network(network, random=seed))
        for seed, file in enumerate(weights or (None,))
    )
    source = us.limit(source, 100) if quick else source
    finding, found = compare_networks(
        opened, layers, source, setting, name=network, before=before, rotations=rotations
    )
    show_finding(finding, write_finding(finding, lambda path: draw_axis(found, path), target), json)


AXIS: dict[str, Command] = {"axis": axis}
