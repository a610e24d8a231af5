"""What a scan will do, found out before it: the frame of images, each layer's maps and grid, and warnings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np

from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.arguments import Fit, check_asked, check_thresholds
from unitscope.dissection.conventions import Convention
from unitscope.errors import UsageError
from unitscope.networks.network import Network
from unitscope.networks.places import Place
from unitscope.networks.probe import probe_layers
from unitscope.networks.randomness import DRAWS
from unitscope.networks.receptive_fields import Field
from unitscope.networks.trace import open_lenses
from unitscope.networks.unit_maps import read_units
from unitscope.networks.verdicts import warn_of_batches, warn_of_places
from unitscope.statistics.grids import Grid, make_grid
from unitscope.statistics.quantiles import TailPlan
from unitscope.statistics.scan import ScanPlan


def plan_scan(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    rules: Convention,
    thresholds: Mapping[str, np.ndarray],
    size: int | tuple[int, int] | None,
    fit: Fit,
) -> tuple[ScanPlan, dict[str, tuple[str, ...]], dict[str, Place]]:
    """What a scan will do, and by layer warnings and where cells look: found out with three images."""
    layers = check_asked(network, source, layers, fit)
    check_thresholds(layers, thresholds)
    prepared = network.preprocessing
    sides = (size, size) if isinstance(size, int) else size
    if sides is not None and (len(sides) != 2 or min(sides) < 1):
        raise UsageError(f"size is {size}; give the side of a square or (height, width), in pixels")
    wanted = sides or prepared.size
    frame_size = wanted or source[0].image.shape[:2]
    mask_size = (max(1, frame_size[0] // rules.reduction), max(1, frame_size[1] // rules.reduction))
    frame = Frame((frame_size[0], frame_size[1]), mask_size, fit, prepared.crop_fraction, prepared.resample)
    tails: dict[str, TailPlan] = {}
    probe = probe_layers(network, layers, frame.size)
    told = warn_of_places(probe.places)
    said = (*((DRAWS,) if probe.random else ()), *warn_of_batches(network.module, probe.company))
    told = {layer: (*said, *told.get(layer, ())) for layer in layers}
    lenses = open_lenses(network, layers, frame.size)
    for layer in layers:
        maps = read_units(probe.outputs[layer], network.layout(frame.size), layer)
        units, *cells = maps.shape[1:]
        map_size = (cells[0], cells[1])
        flat = map_size == (1, 1)
        if layer in thresholds and len(thresholds[layer]) != units:
            raise UsageError(
                f"{len(thresholds[layer])} thresholds are given for layer {layer}, which has {units} units"
            )
        grid = _grid(map_size, frame, rules, None if flat else probe.fields.get(layer))
        population = "given" if layer in thresholds else rules.population
        plan_tail = partial(TailPlan, units, len(source), map_size, grid, population, rules.quantile)
        if layer in lenses and lenses[layer].sparse:
            plan_tail = partial(plan_tail, rules.sparse_threshold, lenses[layer].firing)
        tails[layer] = plan_tail()
        if rules.upsampling == "receptive-field" and layer not in probe.fields and not flat:
            lack = "the receptive fields of this layer could not be derived; half-pixel centers are used"
            told[layer] = (*told.get(layer, ()), lack)
    given = {layer: np.asarray(thresholds[layer], np.float32) for layer in layers if layer in thresholds}
    plan = ScanPlan(frame, tails, rules.doubles, given, native=wanted is None, random=probe.random)
    return plan, told, dict(probe.places)


def plan_ranges(plan: ScanPlan, ranges: Sequence[float] | None, label_sets: bool) -> ScanPlan:
    """The plan that keeps what is above the lowest range, where ranges of activation are asked for.

    Raises `UsageError` for fractions that do not fall, and for layers of which as much is not kept.
    """
    if ranges is None:
        return plan
    if not ranges or not all(0 < low < high for low, high in pairwise((*ranges[::-1], 1.0))):
        raise UsageError(f"ranges are {tuple(ranges)}; give falling fractions below 1, such as 0.2 0.1 0.05")
    if not label_sets:
        raise UsageError("ranges are measured on sets of labels, which are left out; keep these")
    for layer, tail in plan.tails.items():
        if tail.population == "given" or tail.sparse is not None:
            why = "its latents are off at 0" if tail.sparse is not None else "its thresholds are given"
            raise UsageError(f"layer {layer} has no ranges of activation: {why}; leave ranges out")
    tails = {
        layer: replace(tail, quantile=max(tail.quantile, ranges[0])) for layer, tail in plan.tails.items()
    }
    return replace(plan, tails=tails)


def _grid(map_size: tuple[int, int], frame: Frame, rules: Convention, field: Field | None) -> Grid:
    if rules.upsampling != "receptive-field":
        return make_grid(map_size, frame.mask_size, rules.upsampling)
    if field is None:
        return make_grid(map_size, frame.mask_size, "half-pixel")
    size = frame.size
    return make_grid(
        map_size, frame.mask_size, rules.upsampling, centers=field.center, steps=field.step, input_size=size
    )
