"""The command line: parses, calls the door, prints."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

import unitscope as us
from unitscope.errors import UnitscopeError, UsageError
from unitscope.parsing import Command, parse_command

ConventionName = Literal["netdissect", "pnas", "netdissect-lite", "gandissect", "dissect"]
Flag = FlagCreatePairsOff[bool]
Network = Annotated[
    Positional[str],
    arg(
        help="torchvision:NAME, timm:NAME, hf:FOLDER, efficientnet-lite0, or FILE.py:FACTORY",
        metavar="NETWORK",
    ),
]
Source = Annotated[str, arg(help="drawn[:count=N,seed=N,size=N], folder:DIR or broden:DIR", metavar="SOURCE")]
Run = Annotated[Positional[Path], arg(help="the folder of a finished run", metavar="RUN")]


def demo(out: Path = Path("runs/demo"), count: int = 400, resume: Flag = False) -> None:
    """Dissect a pretrained network over drawn scenes, offline, and write the report.

    Args:
        out: folder of the run.
        count: how many scenes are drawn.
        resume: go on with a run that was interrupted.
    """
    spec = f"drawn:count={count}"
    print(f"EfficientNet-Lite0, trained on ImageNet, over {count} drawn scenes: three layers, one pass.")
    dissect("efficientnet-lite0", ["_blocks.5", "_blocks.10", "_conv_head"], spec, out, resume=resume)


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
    thresholds: Path | None = None,
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
        thresholds: a CSV with layer, unit, threshold; another run's units.csv serves.
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
    from unitscope.dissection.dissect import Confidences
    from unitscope.dissection.storage import read_thresholds
    from unitscope.views.terminal import show_dissection

    if threads is not None:
        import torch

        if threads < 1:
            raise UsageError(f"--threads is {threads}; it must be at least 1")
        torch.set_num_threads(threads)
    if not 0 < memory < float("inf"):
        raise UsageError(f"--memory is {memory}; give gigabytes above 0, such as 4")
    source = us.open_source(concepts)
    source = source if limit is None else us.limit(source, limit)
    source = source if shuffle_labels is None else us.shuffle_labels(source, shuffle_labels)
    loaded = us.load_network(network, weights=weights, random=random_weights, download=download, size=size)
    loaded.module.to(_device(device))
    run = us.dissect(
        loaded,
        source,
        layers,
        convention=convention,
        quantile=quantile,
        thresholds=None if thresholds is None else read_thresholds(thresholds),
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
        _print_json([asdict(row) for row in rows])
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

    found = us.load(run)
    if json:
        _print_json(describe_dissection(found, layer=layer, unit=unit, concept=concept))
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
        _print_json(comparison.json())
    else:
        print(comparison.text())
    if out is not None:
        print(f"page: {comparison.write(out)}", file=sys.stderr if json else sys.stdout)


def check(source: Annotated[Positional[str], arg(metavar="SOURCE")], json: Flag = False) -> int:
    """Look through all images and labels of a source for anything wrong, and count its concepts.

    Args:
        source: the source to check.
        json: print JSON instead.
    """
    from unitscope.concepts.inspection import check_source

    found = check_source(source)
    if json:
        _print_json(found.json())
    else:
        print(found.text())
    return 1 if found.problems else 0


def preview(
    source: Annotated[Positional[str], arg(metavar="SOURCE")],
    out: Path = Path("preview.png"),
    count: int = 24,
    seed: int = 0,
) -> None:
    """Draw a contact sheet of a source: images beside their labels.

    Args:
        source: the source to look at.
        out: the PNG to write.
        count: how many images.
        seed: which ones.
    """
    from unitscope.concepts.inspection import preview_source

    preview_source(us.open_source(source), out, count=count, seed=seed)
    print(out)


def unite(
    sources: Annotated[Positional[list[str]], arg(metavar="SOURCE [SOURCE ...]")],
    out: Path,
    size: int = 224,
    keep_size: Flag = False,
    min_images: int = 10,
    min_coverage: float = 0.5,
    synonyms: Path | None = None,
) -> None:
    """Unite sources into one densely labelled set in Broden's format.

    Args:
        sources: what is united; the order decides between equal names.
        out: folder to write; it must be empty or new.
        size: side of the images in pixels; masks have half of it.
        keep_size: copy the images as they are stored instead.
        min_images: labels on fewer images are left out.
        min_coverage: and labels that cover less than this many whole images.
        synonyms: a JSON object, {name: [other names]}, on top of the usual ones.
    """
    opened = [us.open_source(spec) for spec in sources]
    summary = us.unite_sources(
        opened,
        out,
        size=None if keep_size else size,
        min_images=min_images,
        min_coverage=min_coverage,
        synonyms=synonyms,
    )
    print(summary.text())


def fetch(
    name: Annotated[Positional[str], arg(metavar="NAME", help="broden, or broden1_227, broden1_384")],
    out: Path = Path("."),
    url: str | None = None,
    sha256: str | None = None,
) -> None:
    """Download a published data set, verify it and unpack it safely; goes on where it stopped.

    Args:
        name: the data set.
        out: folder to unpack into.
        url: where to take it from instead.
        sha256: the digest that it must have.
    """
    from unitscope.concepts.fetching import fetch_dataset

    print(fetch_dataset(name, out, url=url, sha256=sha256))


CONCEPTS: dict[str, Command] = {
    "check": check,
    "preview": preview,
    "unite": unite,
    "fetch": fetch,
}
COMMANDS: dict[str, Command] = {
    "demo": demo,
    "dissect": dissect,
    "layers": layers,
    "show": show,
    "report": report,
    "compare": compare,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 1 failed, 2 wrong usage.

    >>> main(["show", "no/such/run"])
    1
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _dispatch(words)
        sys.stdout.flush()
        return status
    except SystemExit as end:  # help was printed
        return end.code if isinstance(end.code, int) else 0
    except UnitscopeError as error:
        print(f"unitscope: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # nobody reads on, as after `| head`
        return _drop_output()
    except OSError as error:
        print(f"unitscope: {error}", file=sys.stderr)
        return _drop_output()
    except KeyboardInterrupt:
        print("unitscope: interrupted; what is done is kept, go on with --resume", file=sys.stderr)
        return 130


def _drop_output() -> int:
    """Send what cannot be printed nowhere, so that Python does not fail again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return 1


def _dispatch(words: list[str]) -> int:
    if words[:1] == ["--version"]:
        print(us.__version__)
        return 0
    if words[:1] == ["concepts"]:
        call = parse_command(CONCEPTS, words[1:], "unitscope concepts", "Sources of concepts.")
    else:
        menu = {**COMMANDS, "concepts": _concepts}
        described = "A microscope for the hidden units of vision networks. --version prints the version."
        call = parse_command(menu, words, "unitscope", described)
    return call() or 0


def _concepts() -> None:
    """Sources of concepts: check, preview, unite, fetch (see `unitscope concepts --help`)."""
    raise UsageError("concepts needs one of check, preview, unite, fetch")


def _device(name: str) -> str:
    import torch

    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:  # which of them depends on how torch was built
        raise UsageError(f"torch cannot use a device {name!r} here; use --device cpu") from error
    return name


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=1))


if __name__ == "__main__":
    sys.exit(main())
