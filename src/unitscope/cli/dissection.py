"""Commands that make dissections and show them."""

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

import unitscope as us
from unitscope.cli.parsing import Command
from unitscope.cli.words import ConventionName, Flag, Network, Run, Source, check_out, find_device, print_json
from unitscope.errors import UsageError
from unitscope.lab.commands.demo import demo


def dissect(
    network: Network,
    layers: Annotated[list[str], arg(metavar="LAYER [LAYER ...]")],
    concepts: Source,
    out: Annotated[Path, arg(metavar="RUN")],
    convention: ConventionName = "netdissect",
    weights: Path | None = None,
    random_weights: int | None = None,
    download: Flag = False,
    device: str = "cpu",
    mixed_precision: Flag = False,
    quantile: float | None = None,
    thresholds: str | None = None,
    held_out: int = 500,
    size: int | None = None,
    fit: Literal["stretch", "crop"] = "stretch",
    limit: int | None = None,
    shuffle_labels: int | None = None,
    seed: int = 0,
    shifts: int = 400,
    images_per_unit: int = 10,
    batch_size: int = 8,
    memory: float = 4.0,
    threads: int | None = None,
    cache: Path | None = None,
    resume: Flag = False,
    report: bool = True,
) -> None:
    """Name every unit of some layers by the concept its active region overlaps best.

    Args:
        network: what is dissected.
        layers: layer names as in `unitscope layers NETWORK`; NAME@in reads a layer's input.
        concepts: the labelled images.
        out: folder of the run; it must not hold another one.
        convention: whose arithmetic: docs/theory.md has the table.
        weights: a safetensors file or a state dict; nothing in it is executed.
        random_weights: a seed: the architecture with random weights.
        download: allow the network's library to fetch pretrained weights.
        device: cpu, cuda, cuda:1, ...
        mixed_precision: run the network in the device's reduced precision.
        quantile: fraction of values above a unit's threshold, instead of the convention's.
        thresholds: a CSV with layer, unit, threshold; another run's units.csv serves. Or iqr: chosen for
            every unit and concept on other images, by the information quality ratio.
        held_out: with iqr, the most images to choose on: a generator's of the next seed, or half the source.
        size: side of the network's input in pixels.
        fit: stretch the whole image to the input, or crop as the network's library does.
        limit: only the first images of the source.
        shuffle_labels: a seed: give every image the labels of another one, as a control.
        seed: seed of null draws and bootstrap.
        shifts: null draws a unit; 0 leaves the p-values out.
        images_per_unit: how many top images are kept.
        batch_size: images a batch; small ones are quicker on a CPU, large ones on a GPU.
        memory: gigabytes of packed activations before they go to disk.
        threads: threads to use, all cores by default.
        cache: folder for decoded images and labels, to be reused by later runs.
        resume: go on with a run that was interrupted.
        report: write the report as well.
    """
    from unitscope.dissection.adaptive import dissect_by_quality
    from unitscope.dissection.dissect import Confidences
    from unitscope.dissection.storage import check_folder, read_thresholds
    from unitscope.networks.generators import pair_generator
    from unitscope.networks.open_source import hold_out
    from unitscope.views.terminal import show_dissection

    check_folder(out, resume)  # what is in the way is told before anything is opened
    check_out(out)
    if threads is not None:
        import torch

        if threads < 1:
            raise UsageError(f"--threads is {threads}; it must be at least 1")
        torch.set_num_threads(threads)
    if not 0 < memory < float("inf"):
        raise UsageError(f"--memory is {memory}; give gigabytes above 0, such as 4")
    loaded = us.load_network(network, weights=weights, random=random_weights, download=download, size=size)
    loaded, source = pair_generator(loaded, us.open_source(concepts, loaded))
    source = source if limit is None else us.limit(source, limit)
    source = source if shuffle_labels is None else us.shuffle_labels(source, shuffle_labels)
    loaded.module.to(find_device(device))
    chosen = partial(us.dissect, loaded, source, layers)
    if thresholds == "iqr":
        source, others = hold_out(source, held_out)
        others = others if shuffle_labels is None else us.shuffle_labels(others, shuffle_labels)
        chosen = partial(dissect_by_quality, loaded, source, others, layers)
    elif thresholds is not None:
        given = read_thresholds(thresholds)
        wanted = {layer: values for layer, values in given.items() if layer in layers}
        chosen = partial(chosen, thresholds=wanted or given)  # another run's table may have more layers
    run = chosen(
        convention=convention,
        quantile=quantile,
        fit=fit,
        seed=seed,
        ranks=images_per_unit,
        batch_size=batch_size,
        confidences=Confidences(shifts=shifts),
        machine=us.Machine(device, mixed_precision, threads, int(memory * 2**30)),
        cache=cache,
        out=out,
        resume=resume,
    )
    print(show_dissection(run, limit=10))
    print(f"run: {out}")
    if report:
        print(f"report: {us.write_report(run, source, out / 'report')}")


def layers(
    network: Network, size: int | None = None, random_weights: int | None = None, json: Flag = False
) -> None:
    """List the layers of a network that can be dissected, with their shapes.

    Args:
        network: the network to look into.
        size: side of its input in pixels.
        random_weights: a seed: the architecture with random weights.
        json: print JSON instead of a table.
    """
    rows = us.list_layers(us.load_network(network, random=random_weights, size=size))
    if json:
        print_json([asdict(row) for row in rows])
        return
    name_width = max((len(row.name) for row in rows), default=5)
    kind_width = max((len(row.kind) for row in rows), default=4)
    print(f"{'layer':<{name_width}}  {'kind':<{kind_width}}  units x height x width")
    for row in rows:
        shape = row.reason if row.shape is None else " x ".join(str(side) for side in row.shape)
        print(f"{row.name:<{name_width}}  {row.kind:<{kind_width}}  {shape}")


def show(
    run: Run,
    layer: str | None = None,
    unit: int | None = None,
    concept: str | None = None,
    limit: int = 20,
    json: Flag = False,
) -> None:
    """Print what a run found: its layers, a layer's detectors, one unit, or one concept.

    Args:
        run: the run to show.
        layer: only this layer.
        unit: one unit in full, counted from 0.
        concept: the units of one concept.
        limit: rows of a table, 0 for all.
        json: print JSON instead.
    """
    from unitscope.views.terminal import describe_dissection, show_dissection

    if unit is not None and concept is not None:
        raise UsageError("--unit and --concept ask for two things; give one of them")
    found = us.load(run)
    if json:
        print_json(describe_dissection(found, layer=layer, unit=unit, concept=concept))
    else:
        print(show_dissection(found, layer=layer, unit=unit, concept=concept, limit=limit))


def report(run: Run, out: Path | None = None) -> None:
    """Write the report of a run again, as one static folder; its images must still be in place.

    Args:
        run: the run to report on.
        out: folder of the report, RUN/report by default.
    """
    found = us.load(run)
    source = us.open_source(found.source)
    print(us.write_report(found, source, out or run / "report", run=run))


def compare(
    runs: Annotated[Positional[list[Path]], arg(metavar="RUN RUN [RUN ...]")],
    out: Path | None = None,
    json: Flag = False,
) -> None:
    """Put runs side by side: detectors, unique concepts, and unit by unit what changed.

    Args:
        runs: the runs to compare; one run compares its layers.
        out: also write a page and a CSV into this folder.
        json: print JSON instead.
    """
    if not runs:
        raise UsageError("no run was named; give at least one, as in: unitscope compare RUN RUN")
    comparison = us.compare_runs({str(run): us.load(run) for run in runs})
    if json:
        print_json(comparison.json())
    else:
        print(comparison.text())
    if out is not None:
        print(f"page: {comparison.page(out)}", file=sys.stderr if json else sys.stdout)


DISSECTION: dict[str, Command] = {
    "demo": demo,
    "dissect": dissect,
    "layers": layers,
    "show": show,
    "report": report,
    "compare": compare,
}
