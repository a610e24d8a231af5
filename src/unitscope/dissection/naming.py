"""From the statistics of all images to names for units, with their confidence."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection.conventions import Convention
from unitscope.dissection.counts import recount
from unitscope.dissection.labels import name_pairs
from unitscope.dissection.outline import Outline
from unitscope.dissection.recipe import Recipe
from unitscope.dissection.result import Dissection, Exemplars, LayerDissection, Pairs
from unitscope.dissection.significance import judge_units
from unitscope.errors import SourceError
from unitscope.statistics.annotations import LabelIndex
from unitscope.statistics.device_tallies import DeviceLabels
from unitscope.statistics.label_sets import SetIndex, index_sets
from unitscope.statistics.overlap import Overlap, measure_overlap
from unitscope.statistics.ranges import measure_ranges
from unitscope.statistics.resampling import Resampling, draw_resampling
from unitscope.statistics.scan import Scan, ScanPlan
from unitscope.statistics.threads import Threads, open_threads


def name_run(
    scan: Scan,
    outline: Outline,
    recipe: Recipe,
    threads: int | None,
    pairs: Mapping[str, Pairs],
    device: str | None = None,
) -> Dissection:
    """The dissection that a scan of all images makes; see `name_layers`."""
    draws, spent, images = None, recipe.confidence or {}, len(scan.annotations)
    if images > 1 and spent.get("shifts") and recipe.seed is not None:
        draws = draw_resampling(images, recipe.seed, **spent)  # type: ignore[arg-type]
    rules, wanted = recipe.convention, recipe.label_sets is None
    named = name_layers(
        scan, outline.vocabulary, outline.plan, rules, draws, threads, pairs, device, wanted, recipe.ranges
    )
    found = {
        name: replace(
            layer,
            warnings=(*outline.warnings.get(name, ()), *layer.warnings),
            recipe=recipe,
            place=outline.places.get(name),
            heads=outline.heads[name],
        )
        for name, layer in named.items()
    }
    shown = np.unique(np.concatenate([layer.exemplars.images.ravel() for layer in found.values()]))
    keys = {image: scan.keys[image] for image in shown.tolist() if image >= 0}
    return Dissection(found, outline.vocabulary, rules, recipe, keys)


def name_layers(
    scan: Scan,
    vocabulary: Vocabulary,
    scan_plan: ScanPlan,
    rules: Convention,
    draws: Resampling | None,
    threads: int | None,
    pairs: Mapping[str, Pairs],
    device: str | None = None,
    label_sets: bool = False,
    ranges: Sequence[float] | None = None,
) -> dict[str, LayerDissection]:
    """Every unit of every layer with its label, with `draws` its confidence, with `label_sets` their table.

    `pairs` name the units of their layers instead, where they are given; masks meet labels on a `device`, or
    in compiled loops. Raises `SourceError` where no image has a label.
    """
    areas = scan.annotations.concept_pixels(vocabulary.size)
    if not areas.any():
        some = ", ".join(list(scan.keys.values())[:2])
        seen = f"not one of {len(scan.keys)} images ({some}, ...) has a label"
        advice = "all is void or unlabelled; look into it with `unitscope concepts check`"
        raise SourceError(f"{seen} of the {len(vocabulary)} concepts: {advice}")
    index = LabelIndex(scan.annotations, vocabulary)
    if device is not None:
        index = DeviceLabels(scan.annotations, vocabulary, device)
    named = {}
    with open_threads(threads) as pool:
        sets = _index_sets(index, draws, pool) if label_sets else None
        for layer, tail in scan_plan.tails.items():
            tops, paired = scan.tops[layer], pairs.get(layer)
            sparse = tail.sparse is not None
            live = tops.peaks[:, 0] > 0 if sparse else np.ones(tail.units, bool)
            tops = tops.above(0.0) if sparse else tops
            names = None if paired is None else name_pairs(paired.intersections, paired.active, areas)
            plan = None if sets is None else sets.plan(tail.units, draws is not None)
            kept = scan.tails[layer]
            # What is kept for ranges of activation may be more than the threshold needs.
            taken = replace(kept, plan=replace(kept.plan, quantile=min(rules.quantile, kept.plan.quantile)))
            overlap, evidence, table = measure_overlap(
                taken, tops, index, rules.union, areas, draws, pool, names, tail.raw_size, plan
            )
            offsets = np.concatenate([[0], np.cumsum(overlap.top_sizes.reshape(-1), dtype=np.int64)])
            by_iou = replace(rules, name_by="iou")  # until confidence is measured, which is that of IoU
            result = LayerDissection(
                layer=layer,
                map_size=tail.raw_size,
                mask_size=scan_plan.frame.mask_size,
                images=len(scan.annotations),
                vocabulary=vocabulary,
                convention=by_iou,
                thresholds=overlap.thresholds,
                active=overlap.active,
                active_in=overlap.active_in,
                pixels_in=_pixels_in(index, rules),
                concept_pixels=areas,
                intersections=overlap.intersections,
                exemplars=Exemplars(tops.images, tops.peaks, offsets, overlap.top_runs),
                pairs=paired,
                sparse=sparse,
                label_table=table,
            )
            if sets is not None and ranges is not None:
                plan = sets.plan(tail.units * len(ranges), draws is not None)
                result = replace(result, range_table=measure_ranges(kept, tops, plan, ranges, pool))
            sure = None
            if evidence is not None and draws is not None:
                sure = judge_units(result.labels.best_iou, evidence, rules.iou_cutoff, draws, live=live)
            result = replace(result, confidence=sure)
            asked = {"sets of labels": label_sets, "ranges of activation": label_sets and ranges is not None}
            result = replace(result, warnings=tuple(_notes(result, overlap, asked)))
            named[layer] = recount(result, name_by=rules.name_by)
    return named


def _index_sets(index: LabelIndex, draws: Resampling | None, threads: Threads) -> SetIndex:
    """The sets of labels of all images, in the order of the null draws, or in one by lot."""
    images = len(index.annotations)
    order = np.random.default_rng(0).permutation(images) if draws is None else draws.order
    return index_sets(index, order, threads, index.annotations.folder)


def _pixels_in(index: LabelIndex, rules: Convention) -> np.ndarray:
    """All valid pixels of the images that enter the union, by category."""
    valid = index.annotations.arrays["valid_pixels"]
    places = range(len(index.vocabulary.categories))
    if rules.union == "all":
        return np.full(len(places), valid.sum(), np.int64)
    bits = index.image_categories
    return np.array([valid[(bits >> np.uint64(k)) & np.uint64(1) == 1].sum() for k in places], np.int64)


def _notes(layer: LayerDissection, overlap: Overlap, asked: Mapping[str, bool]) -> list[str]:
    notes = []
    for table, (what, wanted) in zip((layer.label_table, layer.range_table), asked.items(), strict=True):
        if wanted and table is None:
            notes.append(f"the table of {what} would be too large: there are no formulas of them")
        elif table is not None and table.blocks and table.ways == 1:
            notes.append(f"the null of {what} would be too large: their formulas have no p-values")
    silent = layer.never_fired
    dead = int((overlap.active == 0).sum()) - silent
    if silent:
        notes.append(f"{silent:,} of {len(layer):,} latents are dead: never above 0; q-values leave them out")
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
    sure = layer.confidence
    if sure is None:
        notes.append("no confidence was measured: it takes at least two images and one shift")
    elif layer.images < 40:
        few = f"only {sure.shifts} null draws" if sure.null == "shifts" else "few null draws that differ"
        notes.append(f"{layer.images} images allow {few}; p-values are coarse")
    elif sure.null_images < layer.images:
        notes.append(f"p-values are measured on {sure.null_images:,} of the {layer.images:,} images, by lot")
    return notes
