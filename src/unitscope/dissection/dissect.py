"""The main verb: dissect the layers of a network over a source of concepts."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import torch

from unitscope.concepts.cache_room import LIMIT as CACHE_LIMIT
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.arguments import Fit, check_asked, check_concepts, check_least
from unitscope.dissection.batches import settle_passes
from unitscope.dissection.cell_measures import CellRules
from unitscope.dissection.conventions import Convention, find_convention
from unitscope.dissection.costs import Asked, announce
from unitscope.dissection.device_batches import choose_shard
from unitscope.dissection.naming import name_run
from unitscope.dissection.outline import Outline
from unitscope.dissection.planning import plan_ranges, plan_scan
from unitscope.dissection.recipe import Recipe, record_directions, record_network, record_source
from unitscope.dissection.result import Dissection, Pairs
from unitscope.dissection.run_cells import plan_cells, record_rules, score_run
from unitscope.dissection.storage import SPACE, Workspace, find_begun, open_workspace
from unitscope.dissection.workers import (
    check_workers,
    count_sharers,
    find_naming_device,
    find_naming_threads,
    find_scan_threads,
    scan_missing,
    share_shards,
)
from unitscope.errors import UsageError
from unitscope.networks.addresses import count_heads
from unitscope.networks.borrowing import placed
from unitscope.networks.generators import check_source
from unitscope.networks.memory import release_memory
from unitscope.networks.network import Network
from unitscope.networks.processors import record_processor
from unitscope.networks.trace import open_lenses
from unitscope.networks.verdicts import check_places
from unitscope.statistics.quantiles import SparseThreshold
from unitscope.statistics.resampling import FEWEST, Null
from unitscope.statistics.scan import Machine, ScanPlan
from unitscope.statistics.shards import Origin
from unitscope.statistics.store import Store
from unitscope.version import __version__


@dataclass(frozen=True)
class Confidences:
    """How much is spent on confidence: null draws a unit and bootstrap replicates; 0 shifts for none.

    `null` says what is drawn: "blocks", shifts of labels inside of blocks of images, recombined, or "shifts",
    those of all images, which take a hundred times as long. Blocks take at most `null_images` of the images,
    by lot. See docs/theory.md.
    """

    shifts: int = 400
    replicates: int = 400
    null: Null = "blocks"
    null_images: int = 4096


@dataclass(frozen=True)
class Options:
    """What `dissect` can be asked for, besides what is dissected and by which convention; described there."""

    thresholds: Mapping[str, np.ndarray] | None = None
    size: int | tuple[int, int] | None = None
    fit: Fit = "stretch"
    seed: int = 0
    ranks: int = 10
    batch_size: int | None = None
    shard_size: int | None = None
    confidences: Confidences = Confidences()
    machine: Machine = Machine()  # noqa: RUF009 - frozen
    cache: str | Path | None = None
    cache_limit: float = CACHE_LIMIT
    out: str | Path | None = None
    resume: bool = False
    mix_machines: bool = False
    trust_layout: bool = False
    cell_scores: CellRules | None = None
    label_sets: bool = True
    ranges: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.resume and self.out is None:
            raise UsageError(
                "resume goes on with a run in a folder, and none was named; give the folder as out"
            )
        check_least(1, ranks=self.ranks, shard_size=self.shard_size)
        check_least(1, **({} if self.batch_size is None else {"batch_size": self.batch_size}))
        check_least(1, replicates=self.confidences.replicates)
        check_least(0, seed=self.seed, shifts=self.confidences.shifts)
        check_least(FEWEST, null_images=self.confidences.null_images)
        if self.confidences.null not in get_args(Null):
            raise UsageError(f"null is {self.confidences.null!r}; it must be blocks or shifts")


def dissect(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    *,
    convention: str | Convention = "netdissect",
    quantile: float | None = None,
    sparse_threshold: SparseThreshold | None = None,
    thresholds: Mapping[str, np.ndarray] | None = None,
    size: int | tuple[int, int] | None = None,
    fit: Fit = "stretch",
    seed: int = 0,
    ranks: int = 10,
    batch_size: int | None = None,
    shard_size: int | None = None,
    confidences: Confidences = Confidences(),
    machine: Machine = Machine(),  # noqa: B008 - frozen
    cache: str | Path | None = None,
    cache_limit: float = CACHE_LIMIT,
    out: str | Path | None = None,
    resume: bool = False,
    mix_machines: bool = False,
    trust_layout: bool = False,
    cell_scores: CellRules | None = None,
    label_sets: bool = True,
    ranges: Sequence[float] | None = None,
) -> Dissection:
    """Names every unit of some layers by the concept that its active region overlaps best.

    The network runs once over all images. Every unit gets a threshold, the activation that only a small
    fraction of its values exceeds; where it is above that, it is active. Its label is the concept with the
    largest IoU, the pixels where the unit is active and the concept is, over those where either is, both
    summed over all images (Bau et al., CVPR 2017, section 2.2). See docs/theory.md.

    What is dissected:

    - `network`: as `load_network` opens it, or your own: `Network(module, Preprocessing(...))`.
    - `source`: pictures with labeled pixels, as `open_source` opens them, or any `ConceptSource`.
    - `layers`: their names, as `list_layers` gives them; `NAME@in` is what a layer takes, `NAME+SPEC` what it
      gives in directions (`open_directions`): its units are then latents.
    - `trust_layout`: takes a layer whose map answers at other places than those where the input changes.

    By which arithmetic:

    - `convention`: whose: the name of one in `CONVENTIONS`, or a `Convention`.
    - `quantile`: the fraction of a unit's values above its threshold, instead of the convention's.
    - `sparse_threshold`: "half-median" or "zero", the threshold of latents that fire on less than that
      fraction, instead of the convention's; of no effect on layers that are not read in sparse directions.
    - `thresholds`: instead of those found, by layer, float32[unit]; infinite for a unit that is never active.
    - `size`: the network's input in pixels, a side or (height, width); by default what its preprocessing
      states, else that of the images.
    - `fit`: "stretch" the whole image to that size, or "crop" its center as the network's library does.

    What is measured besides:

    - `confidences`: null draws a unit and bootstrap replicates, drawn from `seed`; 0 shifts for none.
    - `ranks`: how many top images a unit keeps.
    - `cell_scores`: how well sparse latents tell the classes of cells, by these rules, on the run's labels at
      the size of its masks: what `measure_cells` finds, but NMSE, without another pass; `run.cell_measures`.
    - `label_sets`: keeps what units share with every set of labels that pixels have, for `find_formulas`.
    - `ranges`: also range by range of activation: where ranges begin, as falling fractions of a unit's
      values, such as (0.2, 0.1, 0.05, 0.02, 0.01); the last has the highest. More cells are kept for it.

    How the work is done, which changes no count:

    - `machine`: device, precision, threads and memory; and how many processes, or which cluster, share the
      images. These open network and images themselves, by what `load_network` and `open_source` were given.
      Afterwards the network is on the device where it was.
    - `batch_size`: images that the network is given at once; by default as its layers' sizes suggest, 8 to 32
      on a CPU, and on a GPU what its memory holds.
    - `cache`: a folder where decoded images and labels are packed, and taken from by later runs;
      `cache_limit`: how many bytes it may hold.
    - `out`: a folder where the run is saved; after a kill, `resume=True` continues it. With another number of
      threads, processor or device activations may differ in their last digits: that is refused, unless
      `mix_machines=True`.
    - `shard_size`: images between two points that it can continue from; 128, on a GPU four batches.

    Returns a `Dissection`: `run[layer][unit]` is a `Unit`, `run.to_frame()` a row a unit.

    Raises `UsageError`, `SourceError`, `NetworkError` or `RunError` before work starts where that can be
    known, `ActivationError` for activations that are not finite.

    >>> from unitscope import Concept, Example, Vocabulary
    >>> class Pictures(list):  # white on the right, which is labeled
    ...     vocabulary = Vocabulary((Concept(1, "white", "color"),))
    >>> pixels = np.zeros((16, 16, 3), np.uint8)
    >>> pixels[:, 8:] = 255
    >>> planes = np.uint16(pixels[None, :, :, 0] > 0)
    >>> source = Pictures(Example(f"picture {number}", pixels, planes) for number in range(4))
    >>> network = Network(torch.nn.Sequential(torch.nn.AvgPool2d(4)))  # unit 0 is the red channel
    >>> run = dissect(network, source, ["0"], quantile=0.5, confidences=Confidences(shifts=0))
    >>> unit = run["0"][0]
    >>> unit.concept.name, round(unit.iou, 2), unit.detector
    ('white', 1.0, True)
    """
    options = Options(
        thresholds,
        size,
        fit,
        seed,
        ranks,
        batch_size,
        shard_size,
        confidences,
        machine,
        cache,
        cache_limit,
        out,
        resume,
        mix_machines,
        trust_layout,
        cell_scores,
        label_sets,
        ranges,
    )
    rules = settle_convention(convention, quantile, sparse_threshold)
    return dissect_with(network, source, layers, rules, options)


def dissect_with(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    rules: Convention,
    options: Options,
    pairs: Mapping[str, Pairs] | None = None,
    quality: Mapping[str, object] | None = None,
) -> Dissection:
    """`dissect` with its options as one value.

    `pairs`, by layer, name the units instead of what is counted, and `quality` records how they came about:
    `unitscope.dissection.adaptive`.
    """
    outline, recipe = prepare(network, source, layers, rules, options, quality)
    started = time.perf_counter()
    with ExitStack() as stack:
        workspace, store = _open_store(stack, outline, recipe, options)
        asked = Asked(
            asdict(options.confidences), options.cache, store.waiting, options.label_sets, seconds=1.0
        )
        announce(network, source, outline.plan, rules, options.machine, asked)
        scan_missing(network, source, recipe, store, options)
        release_memory()
        scan = store.collect()
        if store.machines != (recipe.machine,):
            recipe = replace(recipe, machines=store.machines)
        scanned = time.perf_counter()
        threads, device = find_naming_threads(options.machine), find_naming_device(options.machine)
        run = name_run(scan, outline, recipe, threads, pairs or {}, device)
        run = score_run(run, scan, outline.plan, replace(options.machine, threads=threads))
        times = {"scan": scanned - started, "relate": time.perf_counter() - scanned}
        run = replace(run, times=times)
        if workspace is not None:
            workspace.finish(run)
    return run


def prepare(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    rules: Convention,
    options: Options,
    quality: Mapping[str, object] | None = None,
    parts: int = 1,
) -> tuple[Outline, Recipe]:
    """What will be done, and what units will be named by; `parts` are those that the run is cut into.

    Raises what `dissect` raises before work.
    """
    check_source(network, source)
    check_concepts(source)
    check_workers(network, source, options.machine)
    check_asked(network, source, layers, options.fit)
    begun = find_begun(Path(options.out)) if options.out is not None and options.resume else None
    with placed(network, options.machine.device):
        plan, warnings, places = plan_scan(
            network, source, layers, rules, options.thresholds or {}, options.size, options.fit
        )
        check_places(network.name, places, options.trust_layout)
        plan = plan_ranges(plan, options.ranges, options.label_sets)
        if options.cell_scores is not None:
            plan = plan_cells(plan, source.vocabulary, options.cell_scores)
        plan = _settle_passes(network, plan, options, begun)
    size = _fit_shards(plan, options, begun, parts)
    plan = replace(plan, ranks=min(options.ranks, len(source)), shard_size=size)
    recipe = replace(_make_recipe(network, source, plan, rules, options), quality=quality)
    heads = {layer: count_heads(network, layer) for layer in plan.tails}
    return Outline(plan, source.vocabulary, warnings, places, heads), recipe


def _make_recipe(
    network: Network, source: ConceptSource, plan: ScanPlan, rules: Convention, options: Options
) -> Recipe:
    given = {layer: tuple(values.tolist()) for layer, values in plan.thresholds.items()}
    return Recipe(
        network=record_network(network),
        source=record_source(source),
        layers=tuple(plan.tails),
        convention=rules,
        frame=plan.frame,
        thresholds=given or None,
        seed=options.seed,
        confidence=asdict(options.confidences),
        batch_size=plan.batch_size,
        shard_size=plan.shard_size,
        ranks=plan.ranks,
        device=options.machine.device,
        mixed_precision=options.machine.mixed_precision,
        threads=find_scan_threads(options.machine),
        processor=record_processor(options.machine.device),
        version=__version__,
        torch=torch.__version__,
        random=plan.random or None,
        channels_last=plan.channels_last or None,
        directions=record_directions(open_lenses(network, tuple(plan.tails), plan.frame.size)),
        cell_scores=record_rules(options.cell_scores, source.vocabulary),
        label_sets=None if options.label_sets else False,
        ranges=None if options.ranges is None else tuple(options.ranges),
    )


def settle_convention(
    convention: str | Convention,
    quantile: float | None = None,
    sparse_threshold: SparseThreshold | None = None,
) -> Convention:
    """The convention of that name, or itself, with what is given instead of its own."""
    rules = find_convention(convention) if isinstance(convention, str) else convention
    given: Mapping[str, Any] = {"quantile": quantile, "sparse_threshold": sparse_threshold}
    return replace(rules, **{name: value for name, value in given.items() if value is not None})


def _open_store(
    stack: ExitStack, outline: Outline, recipe: Recipe, options: Options
) -> tuple[Workspace | None, Store]:
    """Where shards are kept: in the run's own folder, or in one that goes with the stack."""
    origin, workspace = Origin(recipe.digest, recipe.machine), None
    if options.out is None:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        hint = "free some space, or name another folder with out"
    else:
        workspace = stack.enter_context(
            open_workspace(Path(options.out), recipe, options.resume, options.mix_machines)
        )
        if recipe.quality is None:  # or units would be named by more than the shards
            workspace.keep_outline(outline.record())
        folder, hint = workspace.shards, SPACE
    store = Store(folder, outline.plan, origin, hint, options.machine.memory, options.mix_machines)
    return workspace, stack.enter_context(closing(store))


def _settle_passes(network: Network, plan: ScanPlan, options: Options, begun: Recipe | None) -> ScanPlan:
    """The plan with how images pass: as asked for, as in the run that goes on, or as the network suggests."""
    machine, batch_size = options.machine, options.batch_size
    if begun is not None:
        batch_size = batch_size or begun.batch_size
        last = bool(begun.channels_last) if machine.channels_last is None else machine.channels_last
        machine = replace(machine, channels_last=last)
    return settle_passes(network, plan, machine, batch_size)


def _fit_shards(plan: ScanPlan, options: Options, begun: Recipe | None, parts: int) -> int:
    """Images a shard: as `choose_shard` has it, or fewer, so that there are several for each who shares them.

    A run that goes on keeps those that it has.
    """
    kept, asked = begun and begun.shard_size, options.shard_size
    if kept and kept <= (asked or kept):
        return kept
    images = next(iter(plan.tails.values())).images
    shared = share_shards(images, parts * count_sharers(options.machine), plan.batch_size)
    return min(choose_shard(plan, options.machine, asked), shared)
