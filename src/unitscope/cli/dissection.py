"""Commands that make dissections and show them."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

import unitscope as us
from unitscope.cli.components import settle_layers
from unitscope.cli.interruption import Words, offer
from unitscope.cli.sharing import Sharing
from unitscope.cli.words import (
    Again,
    Convention,
    Flag,
    Json,
    Network,
    Opening,
    Run,
    Running,
    Source,
    check_out,
    print_json,
)
from unitscope.cli.words import show as print_result
from unitscope.errors import MissingWeightsError, UsageError

NameBy = Literal[
    "iou", "f1", "recall", "precision", "accuracy", "balanced_accuracy", "inverse_balanced_accuracy",
    "pearson", "cosine", "wpmi",
]  # fmt: skip
Begun = Annotated[Positional[Path], arg(help="the folder of the run", metavar="RUN")]


@dataclass(frozen=True)
class Pictures:
    """Which images, and how they are brought to the network.

    Args:
        fit: stretch the whole image to the input, or crop as the network's library does.
        limit: only the first images of the source.
        shuffle_labels: a seed: give every image the labels of another one, as a control.
        cache: folder for decoded images and labels, to be reused by later runs.
        cache_limit: how many GB it may hold; what was not used for the longest time is deleted first.
    """

    fit: Literal["stretch", "crop"] = "stretch"
    limit: int | None = None
    shuffle_labels: int | None = None
    cache: Path | None = None
    cache_limit: float = 100.0

    def take(self, source: "us.ConceptSource") -> "us.ConceptSource":
        """The images of the source that are asked for, with the labels that they get."""
        return self.shuffle(source if self.limit is None else us.limit(source, self.limit))

    def shuffle(self, source: "us.ConceptSource") -> "us.ConceptSource":
        """The source with the labels that its images get."""
        return source if self.shuffle_labels is None else us.shuffle_labels(source, self.shuffle_labels)


@dataclass(frozen=True)
class Measures:
    """What is measured.

    Args:
        name_by: the score of its mask that chooses a unit's name: iou, f1, recall, precision, accuracy,
            balanced_accuracy, inverse_balanced_accuracy, pearson, cosine or wpmi; detectors and confidence
            stay those of IoU.
        quantile: fraction of values above a unit's threshold, instead of the convention's.
        thresholds: a CSV with layer, unit, threshold; another run's units.csv serves. Or iqr: chosen for
            every unit and concept on other images, by the information quality ratio.
        sparse_threshold: of a latent that fires on less than the quantile, so that its threshold would be 0:
            half of the median of its positive cells, or 0. Of no effect on other layers' units.
        held_out: with iqr, the most images to choose on: a generator's of the next seed, or half the source.
        cell_scores: also how well sparse latents tell classes of cells, as `unitscope cells` does, without a
            pass of its own: a cell is what is commonest in it, or the commonest concept if it has any. The
            classes are of the first category; `show --cells` prints it, `--dry-run` leaves its time out.
        label_sets: keep what units share with every set of labels that pixels have, for `unitscope formulas`.
        ranges: also by ranges of activation: where they begin, as falling fractions of a unit's values.
        shifts: null draws a unit; 0 leaves the p-values out.
        null: shift labels inside of blocks of images and recombine them, or (shifts) over all: slow.
        null_images: blocks take at most so many of the images, by lot.
        seed: seed of null draws and bootstrap.
        images_per_unit: how many top images are kept.
    """

    convention: Convention = "netdissect"
    name_by: Annotated[NameBy, arg(metavar="SCORE")] = "iou"
    quantile: float | None = None
    thresholds: str | None = None
    sparse_threshold: Literal["half-median", "zero"] = "half-median"
    held_out: int = 500
    cell_scores: Literal["majority", "foreground"] | None = None
    label_sets: bool = True
    ranges: list[float] | None = None
    shifts: int = 400
    null: Literal["blocks", "shifts"] = "blocks"
    null_images: int = 4096
    seed: int = 0
    images_per_unit: int = 10


def dissect(
    network: Network,
    layers: Annotated[list[str], arg(metavar="LAYER [LAYER ...]")],
    concepts: Source,
    out: Annotated[Path, arg(metavar="RUN")],
    resume: Flag = False,
    mix_machines: Flag = False,
    trust_layout: Flag = False,
    dry_run: Flag = False,
    report: bool = True,
    opening: Opening = Opening(),
    pictures: Pictures = Pictures(),
    measures: Measures = Measures(),
    running: Running = Running(),
    sharing: Sharing = Sharing(),
) -> None:
    """Name every unit of some layers by the concept its active region overlaps best.

    Args:
        network: what is dissected.
        layers: layer names as `unitscope layers NETWORK` lists them; NAME@in reads a layer's input, NAME+SPEC
            its latents in directions: NAME+rotation:SEED, NAME+random-sae:LATENTS:K:SEED, NAME+sae:FILE, or
            NAME+pca:N, NAME+ica:N, NAME+nmf:N, which are fitted to these images and kept as a file.
        concepts: the labelled images.
        out: folder of the run; it must not hold another one.
        resume: go on with a run that was interrupted.
        mix_machines: go on also with another number of threads, processor or device than before.
        trust_layout: take a layer whose map answers at other places than those where the input changes.
        dry_run: print what it will take, by a trial on a few images, and stop; nothing is written.
        report: write the report as well.
    """
    from unitscope.concepts.derived import find_left_out
    from unitscope.dissection import CellRules, dissect_part
    from unitscope.dissection.costs import Estimate
    from unitscope.dissection.dissect import Confidences
    from unitscope.dissection.estimate import estimate_run
    from unitscope.dissection.storage import check_folder
    from unitscope.networks.generators import pair_generator
    from unitscope.views.terminal import show_dissection

    part = sharing.find_part()
    if dry_run and measures.thresholds == "iqr":
        raise UsageError("--dry-run tells nothing of --thresholds iqr; leave one of them out")
    if dry_run and part is not None:
        raise UsageError("--dry-run tells what a whole run takes; leave --shards out")
    check_folder(out, resume or part is not None)  # before anything is opened
    offer(partial(_go_on, out, report and part is None))
    check_out(out)
    machine = sharing.start(running)
    loaded = opening.load(network)
    loaded, source = pair_generator(loaded, us.open_source(concepts, loaded))
    for line in map(str, find_left_out(source)):
        print(line, file=sys.stderr)
    loaded.module.to(machine.device)
    counted = source if pictures.limit is None else us.limit(source, pictures.limit)
    layers = settle_layers(
        loaded, layers, counted, machine=machine, batch_size=running.batch_size, fits=not dry_run
    )
    method = us.dissect if part is None else partial(dissect_part, part=part)
    source, dissect_layers = _choose_method(
        partial(method, loaded), pictures.take(source), layers, measures, pictures
    )
    dry = partial(estimate_run, *dissect_layers.args, **dissect_layers.keywords)
    found = (dry if dry_run else dissect_layers)(
        convention=replace(us.CONVENTIONS[measures.convention], name_by=measures.name_by),
        quantile=measures.quantile,
        sparse_threshold=measures.sparse_threshold,
        fit=pictures.fit,
        seed=measures.seed,
        ranks=measures.images_per_unit,
        batch_size=running.batch_size,
        confidences=Confidences(measures.shifts, null=measures.null, null_images=measures.null_images),
        machine=machine,
        cache=pictures.cache,
        cache_limit=pictures.cache_limit * 1e9,
        out=out,
        resume=resume,
        mix_machines=mix_machines,
        trust_layout=trust_layout,
        cell_scores=measures.cell_scores and CellRules(measures.cell_scores),
        label_sets=measures.label_sets,
        ranges=measures.ranges,
    )
    if isinstance(found, Estimate):
        print(found)
        if machine.workers or machine.ray:
            what = "time and memory are those" if machine.ray else "memory is that"
            print(f"unitscope: {what} of one worker", file=sys.stderr)
        return
    run = found if part is None else sharing.finish(part, found, out, machine, mix_machines)
    if run is None:
        return
    print(show_dissection(run, limit=10))
    print(f"run: {out}")
    if report:
        print(f"report: {us.write_report(run, source, out / 'report')}")


def _go_on(out: Path, report: bool, words: Sequence[str]) -> Sequence[str] | None:
    """What goes on with a dissection into a folder that was interrupted, None where there is nothing yet."""
    from unitscope.dissection.storage import Workspace

    if (out / "run.json").exists():
        return ["report", str(out)] if report else None
    if not Workspace(out).recipe.exists():
        return None
    told = any(word.partition("=")[0] in ("--resume", "--shards") for word in words)
    first = words.index("--") if "--" in words else len(words)  # after it no options stand
    return words if told else [*words[:first], "--resume", *words[first:]]


def _choose_method(
    method: "partial[Any]",
    source: "us.ConceptSource",
    layers: Sequence[str],
    measures: Measures,
    pictures: Pictures,
) -> "tuple[us.ConceptSource, partial[Any]]":
    """The images that are counted, and the function that dissects layers over them, as thresholds ask.

    `method` is `dissect`, or what scans a part, of the network.
    """
    from unitscope.dissection.adaptive import dissect_by_quality
    from unitscope.dissection.storage import read_thresholds
    from unitscope.networks.network_sources import hold_out

    if measures.thresholds is None:
        return source, partial(method, source, layers)
    if measures.thresholds == "iqr":
        if method.func is not us.dissect:
            raise UsageError("thresholds iqr are chosen by one process; do without --shards and torchrun")
        source, others = hold_out(source, measures.held_out)
        return source, partial(dissect_by_quality, method.args[0], source, pictures.shuffle(others), layers)
    given = read_thresholds(measures.thresholds)
    asked = {layer: values for layer, values in given.items() if layer in layers}
    # Another run's table may have more layers.
    return source, partial(method, source, layers, thresholds=asked or given)


def merge(
    run: Begun,
    mix_machines: Flag = False,
    report: bool = True,
    concepts: Again = None,
    memory: float = 4.0,
    threads: int | None = None,
) -> None:
    """Name the units of a run whose parts have been scanned, without its network.

    Args:
        run: the folder that every `unitscope dissect ... --shards` was given as --out.
        mix_machines: also where parts were scanned with other numbers of threads, processors or devices.
        report: write the report as well.
        memory: gigabytes to hold at most, besides libraries and labels.
        threads: threads to use, all cores by default.
    """
    from unitscope.dissection import merge_run, reopen_source

    machine = Running(memory=memory, threads=threads).start()
    offer(partial(_go_on_merging, run, report, concepts))
    found = merge_run(run, machine=machine, mix_machines=mix_machines)
    print(found.text(limit=10))
    print(f"run: {run}")
    if report:
        print(f"report: {us.write_report(found, reopen_source(found, concepts), run / 'report')}")


def _go_on_merging(run: Path, report: bool, concepts: str | None, words: Words) -> Words | None:
    """What goes on with a merge that was interrupted: itself, or, where units are named, the report."""
    if not (run / "run.json").exists():
        return words
    again = [] if concepts is None else ["--concepts", concepts]
    return ["report", str(run), *again] if report else None


def layers(network: Network, opening: Opening = Opening(), json: Json = False) -> None:
    """List the layers of a network that can be dissected: shapes, and whether cells are in place.

    No weights are needed for their shapes.

    Args:
        network: the network to look into.
    """
    from unitscope.networks.probe import list_places

    try:
        loaded = opening.load(network)
    except MissingWeightsError as error:  # which shapes do not need
        loaded = replace(opening, random_weights=0).load(network)
        print(f"unitscope: {str(error).partition(';')[0]}; listed with random weights", file=sys.stderr)
    rows = list_places(loaded)
    if json:
        print_json([asdict(row) for row in rows])
        return
    name_width = max([len(row.name) for row in rows] + [5])
    kind_width = max([len(row.kind) for row in rows] + [4])
    place_width = max([len(row.place) for row in rows] + [5])
    print(
        f"{'layer':<{name_width}}  {'kind':<{kind_width}}  {'place':<{place_width}}  units x height x width"
    )
    for row in rows:
        shape = row.reason if row.shape is None else " x ".join(str(side) for side in row.shape)
        if row.shape is not None and row.heads:
            shape += f", {row.heads} heads of {row.shape[0] // row.heads}"
        print(f"{row.name:<{name_width}}  {row.kind:<{kind_width}}  {row.place:<{place_width}}  {shape}")


def show(
    run: Run,
    layer: str | None = None,
    unit: str | None = None,
    concept: str | None = None,
    limit: int = 20,
    cells: Flag = False,
    json: Json = False,
) -> None:
    """Print what a run found: its layers, a layer's detectors, one unit, one concept, or classes of cells.

    Args:
        run: the run to show.
        layer: only this layer.
        unit: one unit in full, counted from 0; or HEAD.UNIT, such as 3.17, of heads of attention.
        concept: the units of one concept.
        limit: rows of a table, 0 for all.
        cells: how well latents tell the classes of cells, of a run with --cell-scores.
    """
    from unitscope.views.terminal import describe_dissection, find_unit, show_dissection

    if unit is not None and concept is not None:
        raise UsageError("--unit and --concept ask for two things; give one of them")
    found = us.load(run)
    if cells:
        _show_cells(found, json, layer is not None or unit is not None or concept is not None)
        return
    layer, number = (layer, None) if unit is None else find_unit(found, layer, unit)
    if json:
        print_json(describe_dissection(found, layer=layer, unit=number, concept=concept))
    else:
        print(show_dissection(found, layer=layer, unit=number, concept=concept, limit=limit))


def _show_cells(found: "us.Dissection", json: bool, narrowed: bool) -> None:
    if narrowed:
        raise UsageError("--cells shows all layers; leave --layer, --unit and --concept out")
    if found.cell_measures is None:
        raise UsageError("the run has no cell scores; dissect with --cell-scores, or see `unitscope cells`")
    print_result(found.cell_measures, json)


def report(run: Run, out: Path | None = None, concepts: Again = None, formulas: Flag = False) -> None:
    """Write the report of a run again, as one static folder; its images must still be in place.

    Args:
        run: the run to report on.
        out: folder of the report, RUN/report by default.
        formulas: with a page of names by formulas, as `unitscope formulas RUN` finds them.
    """
    from unitscope.dissection import reopen_source

    found = us.load(run)
    source = reopen_source(found, concepts)
    names = us.find_formulas(found) if formulas else None
    print(us.write_report(found, source, out or run / "report", run=run, formulas=names))


def compare(
    runs: Annotated[Positional[list[Path]], arg(metavar="RUN RUN [RUN ...]")],
    out: Path | None = None,
    formulas: Flag = False,
    json: Json = False,
) -> None:
    """Put runs side by side: detectors, unique concepts, and unit by unit what changed.

    Args:
        runs: the runs to compare; one run compares its layers.
        out: also write a page and a CSV into this folder.
        formulas: also compare names by formulas, as `unitscope formulas RUN` finds them.
    """
    if not runs:
        raise UsageError("no run was named; give at least one, as in: unitscope compare RUN RUN")
    opened = {str(run): us.load(run) for run in runs}
    both = None
    if formulas:
        from unitscope.views import compare_formulas

        both = compare_formulas({name: us.find_formulas(run, draws=0) for name, run in opened.items()})
    comparison = us.compare_runs(opened, both)
    print_result(comparison, json)
    if out is not None:
        print(f"page: {comparison.page(out)}", file=sys.stderr if json else sys.stdout)
