"""The main verb: dissect the layers of a network over a source of concepts."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

import numpy as np
import torch

from unitscope.concepts.derived import source_digest, source_spec
from unitscope.concepts.frames import Frame
from unitscope.concepts.packed import pack_source
from unitscope.concepts.vocabulary import ConceptSource, Vocabulary
from unitscope.dissection.conventions import Convention, find_convention
from unitscope.dissection.labels import name_pairs
from unitscope.dissection.result import Dissection, Exemplars, LayerDissection, Pairs
from unitscope.dissection.significance import judge_units
from unitscope.dissection.storage import Workspace, open_workspace
from unitscope.errors import SourceError, UsageError
from unitscope.networks.generators import check_source
from unitscope.networks.network import Network
from unitscope.networks.receptive_fields import Field, find_fields
from unitscope.networks.trace import tap
from unitscope.networks.unit_maps import read_units
from unitscope.statistics.annotations import MAX_CATEGORIES, LabelIndex
from unitscope.statistics.grids import Grid, make_grid
from unitscope.statistics.overlap import Evidence, Overlap, measure_overlap
from unitscope.statistics.quantiles import TailPlan
from unitscope.statistics.resampling import Resampling, draw_resampling
from unitscope.statistics.scan import Machine, Scan, ScanPlan, scan_shards
from unitscope.statistics.threads import Threads, open_threads
from unitscope.version import __version__

Fit = Literal["stretch", "crop"]


@dataclass(frozen=True)
class Confidences:
    """How much is spent on confidence: null draws a unit and bootstrap replicates; 0 shifts for none."""

    shifts: int = 400
    replicates: int = 400


def dissect(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    *,
    convention: str | Convention = "netdissect",
    quantile: float | None = None,
    thresholds: Mapping[str, np.ndarray] | None = None,
    pairs: Mapping[str, Pairs] | None = None,
    quality: Mapping[str, object] | None = None,
    size: int | tuple[int, int] | None = None,
    fit: Fit = "stretch",
    seed: int = 0,
    ranks: int = 10,
    batch_size: int = 8,
    shard_size: int = 128,
    confidences: Confidences = Confidences(),
    machine: Machine = Machine(),  # noqa: B008 - frozen
    cache: str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> Dissection:
    """Name every unit of some layers by the concept its active region overlaps best.

    The network runs once over the source.

    - `layers`: their names, as `list_layers` gives them.
    - `convention`: a preset's name or a `Convention`; `quantile` replaces its quantile.
    - `thresholds` (layer -> float32[unit]) replace those found.
    - `pairs`, by layer, name the units instead, and `quality` records how they came about: see
      `dissect_by_quality`.
    - `size`: the network's input in pixels, a side or (height, width); by default what its preprocessing
      states, else that of the images.
    - `fit`: "stretch" the whole image to that size, or "crop" its center as the network's library does.
    - `seed` of the null draws and bootstrap replicates, whose numbers `confidences` says.
    - `ranks`: how many top images a unit keeps.
    - `batch_size`: images that the network is given at once.
    - `shard_size`: images between two points that a killed run can go on from.
    - `machine`: device, precision, threads and memory.
    - `cache`: a folder where decoded images and labels are packed, and taken from by later runs.
    - `out`: a folder where the run is saved, and can be resumed after a kill (`resume=True`).

    Raises `UsageError`, `SourceError`, `NetworkError` or `RunError` before work starts where that can
    be known.

    >>> from unitscope.lab.world import open_drawn
    >>> network = Network(torch.nn.Sequential(torch.nn.Conv2d(3, 5, kernel_size=8, stride=4)))
    >>> source = open_drawn(count=4, size=64)
    >>> run = dissect(network, source, ["0"], convention="pnas", confidences=Confidences(shifts=0))
    >>> len(run["0"]), run["0"].map_size, run["0"].mask_size
    (5, (15, 15), (16, 16))
    """
    rules = find_convention(convention) if isinstance(convention, str) else convention
    rules = rules if quantile is None else replace(rules, quantile=quantile)
    if resume and out is None:
        raise UsageError("resume goes on with a run in a folder, and none was named; give the folder as out")
    _check_least(1, ranks=ranks, batch_size=batch_size, shard_size=shard_size)
    _check_least(1, replicates=confidences.replicates)
    _check_least(0, seed=seed, shifts=confidences.shifts)
    check_source(network, source)
    plan, warnings = plan_scan(network, source, layers, rules, thresholds or {}, size, fit)
    plan = replace(plan, ranks=min(ranks, len(source)), batch_size=batch_size, shard_size=shard_size)
    recipe = _recipe(network, source, plan, rules, seed, confidences, machine)
    recipe |= {} if quality is None else {"quality": dict(quality)}
    started = time.perf_counter()
    with ExitStack() as stack:
        workspace = open_workspace(Path(out), recipe, resume) if out is not None else None
        scratch = workspace.scratch if workspace else Path(stack.enter_context(TemporaryDirectory()))
        framed = source if cache is None else pack_source(source, plan.frame, Path(cache))
        scan = _scan(network, framed, plan, replace(machine, scratch=scratch), workspace)
        scanned = time.perf_counter()
        draws = None
        if len(source) > 1 and confidences.shifts > 0:
            draws = draw_resampling(len(source), seed, confidences.shifts, confidences.replicates)
        run = _relate(scan, source.vocabulary, plan, rules, recipe, draws, machine, warnings, pairs or {})
        times = {"scan": scanned - started, "relate": time.perf_counter() - scanned}
        run = replace(run, times=times)
        if workspace is not None:
            workspace.finish(run)
    return run


def plan_scan(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    rules: Convention,
    thresholds: Mapping[str, np.ndarray],
    size: int | tuple[int, int] | None,
    fit: Fit,
) -> tuple[ScanPlan, dict[str, tuple[str, ...]]]:
    """What a scan will do, and warnings by layer, found out with one blank image."""
    _check_network(network)
    layers = _check_layers(layers)
    _check_fit(fit)
    if len(source) == 0:
        raise SourceError("the source has no images; there is nothing to dissect over")
    _check_vocabulary(source.vocabulary)
    _check_thresholds(layers, thresholds)
    prepared = network.preprocessing
    wanted = _check_size(size) or prepared.size
    frame_size = wanted or source[0].image.shape[:2]
    mask_size = (max(1, frame_size[0] // rules.reduction), max(1, frame_size[1] // rules.reduction))
    frame = Frame((frame_size[0], frame_size[1]), mask_size, fit, prepared.crop_fraction, prepared.resample)
    tails: dict[str, TailPlan] = {}
    warnings: dict[str, tuple[str, ...]] = {}
    with tap(network.module, layers) as read:
        outputs = read(network.blank(frame.size))
    fields = find_fields(network, layers, frame.size) if rules.upsampling == "receptive-field" else {}
    for layer in layers:
        maps = read_units(outputs[layer], network.prefix_tokens, layer)
        units, height, width = maps.shape[1:]
        flat = (height, width) == (1, 1)
        grid = _grid((height, width), frame, rules, None if flat else fields.get(layer))
        population = rules.population
        if layer in thresholds and len(thresholds[layer]) != units:
            raise UsageError(
                f"{len(thresholds[layer])} thresholds are given for layer {layer}, which has {units} units"
            )
        tails[layer] = TailPlan(
            units,
            len(source),
            (height, width),
            grid,
            "given" if layer in thresholds else population,
            rules.quantile,
        )
        if rules.upsampling == "receptive-field" and layer not in fields and not flat:
            warnings[layer] = (
                "the receptive fields of this layer could not be derived; half-pixel centers are used",
            )
    given = {layer: np.asarray(thresholds[layer], np.float32) for layer in layers if layer in thresholds}
    return ScanPlan(frame, tails, rules.doubles, given, native=wanted is None), warnings


def _check_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise UsageError(f"{name} is {value}; it must be {least} or more")


def _check_network(network: object) -> None:
    if not isinstance(network, Network):
        raise UsageError(
            f"the network is a {type(network).__name__}, which does not say how its input is prepared; give "
            "unitscope.Network(module, unitscope.Preprocessing(...))"
        )


def _check_layers(layers: Sequence[str]) -> tuple[str, ...]:
    if isinstance(layers, str):
        raise UsageError(f"layers is the text {layers!r}; give a list, such as [{layers!r}]")
    if not layers:
        raise UsageError("no layer was named; `unitscope layers NETWORK` lists what can be dissected")
    return tuple(dict.fromkeys(layers))


def _check_fit(fit: str) -> None:
    if fit not in get_args(Fit):
        raise UsageError(f"fit is {fit!r}; it is one of {', '.join(get_args(Fit))}")


def _check_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    sides = (size, size) if isinstance(size, int) else size
    if sides is not None and (len(sides) != 2 or min(sides) < 1):
        raise UsageError(f"size is {size}; give the side of a square or (height, width), in pixels")
    return sides


def _check_vocabulary(vocabulary: Vocabulary) -> None:
    if not len(vocabulary):
        raise SourceError("the source has no concepts, only images; give it masks, or folders named by label")
    if len(vocabulary.categories) > MAX_CATEGORIES:
        raise SourceError(
            f"the source has {len(vocabulary.categories)} categories, at most {MAX_CATEGORIES} can be told "
            "apart; merge some of them"
        )


def _check_thresholds(layers: tuple[str, ...], thresholds: Mapping[str, np.ndarray]) -> None:
    missing = [layer for layer in layers if thresholds and layer not in thresholds]
    if missing:
        raise UsageError(
            f"the thresholds given do not cover layer {missing[0]}; they cover {', '.join(thresholds)}"
        )
    for layer, given in thresholds.items():
        values = np.asarray(given)
        if layer not in layers:
            raise UsageError(
                f"thresholds are given for layer {layer}, which is not among the layers to dissect "
                f"({', '.join(layers)}); name it or leave its thresholds out"
            )
        if values.ndim != 1 or values.dtype.kind not in "fiu":
            raise UsageError(
                f"the thresholds given for layer {layer} are {values.dtype} of shape {values.shape}; "
                "wanted a list of numbers, one a unit"
            )
        if np.isnan(values).any():
            unit = int(np.isnan(values).argmax())
            raise UsageError(
                f"the threshold given for unit {unit} of layer {layer} is nan; a threshold must be a number, "
                "inf for a unit that is never active"
            )


def _grid(map_size: tuple[int, int], frame: Frame, rules: Convention, field: Field | None) -> Grid:
    if rules.upsampling == "receptive-field":
        if field is None:
            return make_grid(map_size, frame.mask_size, "half-pixel")
        return make_grid(
            map_size,
            frame.mask_size,
            "receptive-field",
            centers=field.center,
            steps=field.step,
            input_size=frame.size,
        )
    return make_grid(map_size, frame.mask_size, rules.upsampling)


def _scan(
    network: Network, source: ConceptSource, plan: ScanPlan, machine: Machine, workspace: Workspace | None
) -> Scan:
    def done(number: int) -> Scan | None:
        return workspace.read_shard(number, plan) if workspace else None

    scan: Scan | None = None
    for number, shard, total, new in scan_shards(network, source, plan, machine, done):
        if new and workspace is not None:
            workspace.write_shard(number, shard)
        scan = total
    assert scan is not None
    return scan


def _relate(
    scan: Scan,
    vocabulary: Vocabulary,
    plan: ScanPlan,
    rules: Convention,
    recipe: Mapping[str, object],
    resampling: Resampling | None,
    machine: Machine,
    warnings: Mapping[str, tuple[str, ...]],
    pairs: Mapping[str, Pairs],
) -> Dissection:
    """Names and confidence for every unit of every layer, from the statistics of all images."""
    index = LabelIndex(scan.annotations, vocabulary)
    areas = scan.annotations.concept_pixels(vocabulary.size)
    layers = {}
    with open_threads(machine.threads) as threads:
        for layer in plan.tails:
            told, own = warnings.get(layer, ()), pairs.get(layer)
            layers[layer] = _relate_layer(
                layer, scan, plan, rules, index, areas, resampling, threads, told, own
            )
    shown = {int(image) for layer in layers.values() for image in layer.exemplars.images.flat if image >= 0}
    keys = {image: scan.keys[image] for image in sorted(shown)}
    return Dissection(layers, vocabulary, rules, recipe, keys)


def _relate_layer(
    layer: str,
    scan: Scan,
    plan: ScanPlan,
    rules: Convention,
    index: LabelIndex,
    areas: np.ndarray,
    resampling: Resampling | None,
    threads: Threads,
    warnings: tuple[str, ...],
    pairs: Pairs | None,
) -> LayerDissection:
    tops = scan.tops[layer]
    names = None if pairs is None else name_pairs(pairs.intersections, pairs.active, areas)
    overlap, evidence = measure_overlap(
        scan.tails[layer], tops, index, rules.union, areas, resampling, threads, names
    )
    offsets = np.concatenate([[0], np.cumsum(overlap.top_sizes.reshape(-1), dtype=np.int64)])
    result = LayerDissection(
        layer=layer,
        map_size=plan.tails[layer].raw_size,
        mask_size=plan.frame.mask_size,
        images=len(scan.annotations),
        vocabulary=index.vocabulary,
        convention=rules,
        thresholds=overlap.thresholds,
        active=overlap.active,
        active_in=overlap.active_in,
        pixels_in=_pixels_in(index, rules),
        concept_pixels=areas,
        intersections=overlap.intersections,
        exemplars=Exemplars(tops.images, tops.peaks, offsets, overlap.top_runs),
        pairs=pairs,
    )
    notes = (*warnings, *_notes(result, overlap, evidence))
    confidence = judge_units(result.labels.best_iou, evidence, rules.iou_cutoff) if evidence else None
    return replace(result, confidence=confidence, warnings=notes)


def _pixels_in(index: LabelIndex, rules: Convention) -> np.ndarray:
    """All valid pixels of the images that enter the union, by category."""
    valid = index.annotations.arrays["valid_pixels"]
    places = range(len(index.vocabulary.categories))
    if rules.union == "all":
        return np.full(len(places), valid.sum(), np.int64)
    bits = index.image_categories
    return np.array([valid[(bits >> np.uint64(k)) & np.uint64(1) == 1].sum() for k in places], np.int64)


def _notes(layer: LayerDissection, overlap: Overlap, evidence: Evidence | None) -> list[str]:
    notes = []
    dead = int((overlap.active == 0).sum())
    if dead:
        notes.append(
            f"{dead} of {len(layer)} units are never above their threshold outside void (dead or constant)"
        )
    unseen = [concept for concept in layer.vocabulary if layer.concept_pixels[concept.id] == 0]
    if unseen:
        names = ", ".join(concept.name for concept in unseen[:5])
        notes.append(
            f"concepts that never occur in the images ({len(unseen)}): {names}{', ...' if unseen[5:] else ''}"
        )
    if evidence is None:
        notes.append("no confidence was measured: it takes at least two images and one shift")
    elif layer.images < 40:
        notes.append(f"{layer.images} images allow only {layer.images - 1} null draws; p-values are coarse")
    return notes


def _recipe(
    network: Network,
    source: ConceptSource,
    plan: ScanPlan,
    rules: Convention,
    seed: int,
    confidences: Confidences,
    machine: Machine,
) -> dict[str, object]:
    """What made a run, in values that JSON knows."""
    given = {layer: [_spell_number(v) for v in values.tolist()] for layer, values in plan.thresholds.items()}
    return {
        "network": {
            "name": network.name,
            "digest": network.digest,
            "prefix_tokens": network.prefix_tokens,
            "preprocessing": asdict(network.preprocessing),
        },
        "source": {"spec": source_spec(source), "digest": source_digest(source), "images": len(source)},
        "layers": list(plan.tails),
        "convention": asdict(rules),
        "frame": asdict(plan.frame),
        "thresholds": given or None,
        "seed": seed,
        "confidence": asdict(confidences),
        "batch_size": plan.batch_size,
        "shard_size": plan.shard_size,
        "ranks": plan.ranks,
        "device": machine.device,
        "mixed_precision": machine.mixed_precision,
        "version": __version__,
        "torch": torch.__version__,
    }


def _spell_number(value: float) -> float | str:
    """The number, or the text Infinity or -Infinity, for which JSON has no number."""
    if np.isfinite(value):
        return value
    return "Infinity" if value > 0 else "-Infinity"
