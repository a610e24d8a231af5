"""A threshold for every pair of unit and concept, chosen by information on other images than are counted.

GAN Dissection (Bau et al., ICLR 2019, section 3.1): t(u, c) maximizes I(a_u > t; s_c) / H(a_u > t, s_c),
mutual information over joint entropy of "the unit is above t" and "the concept is here", on held-out images;
the IoU of u and c is then counted at t(u, c), and a unit is named by the best of these.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, UInt16
from torch import Tensor

from unitscope.concepts.derived import source_digest, source_spec
from unitscope.concepts.vocabulary import ConceptSource, Vocabulary
from unitscope.dissection.arguments import Fit, check_asked, check_concepts
from unitscope.dissection.conventions import Convention
from unitscope.dissection.dissect import Options, dissect_with, settle_convention
from unitscope.dissection.labels import information_quality, name_pairs
from unitscope.dissection.planning import plan_scan
from unitscope.dissection.result import Dissection, Pairs
from unitscope.errors import UsageError
from unitscope.networks.borrowing import placed
from unitscope.networks.feeding import check_native, stack_images
from unitscope.networks.generators import check_source, pair_generator
from unitscope.networks.network import Network
from unitscope.networks.trace import tap
from unitscope.networks.verdicts import check_places
from unitscope.progress import follow
from unitscope.statistics.annotations import annotate
from unitscope.statistics.level_counts import Ladder, climb, empty_ladder, find_levels, lay_labels
from unitscope.statistics.quantiles import SparseThreshold
from unitscope.statistics.scan import Batch, Machine, ScanPlan, find_packed, read_maps

_BATCH = 32
_AT_ONCE = 16_000_000
"""Values that are brought to mask size at a time."""


@dataclass(frozen=True)
class QualityRule:
    """Which thresholds are tried and which are passed over; as in the released code of GAN Dissection.

    - Tried are the values that a unit exceeds at `levels` fractions of its values, evenly spaced in their
      logarithm from `least_fraction` to 1; the last, which all values exceed, is left out.
    - `positive`: a threshold must be above 0.
    - `coverage`: a concept must have that share of the pixels that enter its union, or it gets no threshold.
    - `agreement`: unit and concept must agree, both there or both not, on more than that share of them.

    A pair without any threshold left has IoU 0.
    """

    levels: int = 100
    least_fraction: float = 1e-3
    positive: bool = True
    coverage: float = 1e-3
    agreement: float = 0.8

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise UsageError(f"levels is {self.levels}; it must be 2 or more")
        if not 0 < self.least_fraction < 1:
            raise UsageError(f"least_fraction is {self.least_fraction}; it lies between 0 and 1")
        for name in ("coverage", "agreement"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it goes from 0 to below 1")

    @property
    def fractions(self) -> tuple[float, ...]:
        """The fractions of a unit's values that lie above the thresholds tried, ascending.

        >>> QualityRule(levels=4).fractions
        (0.001, 0.01, 0.1)
        """
        return tuple(float(f"{one:.9g}") for one in np.geomspace(self.least_fraction, 1, self.levels)[:-1])


@dataclass(frozen=True, eq=False)
class Choice:
    """The thresholds of a layer's pairs, NaN where there is none, and their quality on the held-out images.

    `usual` are the thresholds at the convention's quantile on these images, for units without any pair.
    """

    thresholds: Float32[np.ndarray, "unit concept"]
    quality: Float64[np.ndarray, "unit concept"]
    usual: Float32[np.ndarray, "unit"]


@dataclass(frozen=True, eq=False)
class Part:
    """Some images, as a pass over a source gives them: maps at raw size by layer, and what is in them."""

    maps: Mapping[str, Float32[Tensor, "image _ _ _"]]
    labels: Sequence[UInt16[np.ndarray, "_ row column"]]
    valid: Bool[np.ndarray, "image row column"]
    entering: Bool[np.ndarray, "image category"]
    areas: Int64[np.ndarray, "concept"]


def dissect_by_quality(
    network: Network,
    source: ConceptSource,
    heldout: ConceptSource,
    layers: Sequence[str],
    *,
    rule: QualityRule = QualityRule(),
    convention: str | Convention = "pnas",
    quantile: float | None = None,
    sparse_threshold: SparseThreshold | None = None,
    fit: Fit = "stretch",
    machine: Machine = Machine(),  # noqa: B008 - frozen
    **options: Any,
) -> Dissection:
    """A dissection whose thresholds are chosen pair by pair on `heldout`, and counted over `source`.

    The network runs three times: over the held-out images, over the source to count every pair at its
    threshold, and over the source once more, each unit at the threshold of its name, for masks, top images
    and confidence. p-values and held-out IoU hold that one threshold fixed. The convention's quantile is left
    for units that no concept gives a threshold. Other `options` are those of `dissect`.

    Raises `UsageError` where the two sources name other concepts or are the same, or where the convention's
    union depends on the mask (`touched`), and what `dissect` raises.
    """
    rules = settle_convention(convention, quantile, sparse_threshold)
    if options.get("cell_scores") is not None:
        raise UsageError(
            "with thresholds by information only cells above them are kept; leave cell scores out, or "
            "measure the layer with `unitscope cells`"
        )
    if rules.name_by != "iou":
        raise UsageError(
            f"thresholds by information are chosen for IoU, and name_by is {rules.name_by}; leave one out"
        )
    check_source(network, source)
    check_concepts(source)
    check_asked(network, source, layers, fit)
    if rules.union == "touched":
        raise UsageError(
            f"the union of {rules.name} depends on each mask, so pairs cannot be counted by levels; "
            "choose another convention, such as pnas"
        )
    if source.vocabulary.concepts != heldout.vocabulary.concepts:
        raise UsageError("the held-out images name other concepts than the source; label both alike")
    made = {**asdict(rule), "source": source_spec(heldout), "digest": source_digest(heldout)}
    if (source_spec(source), source_digest(source)) == (made["source"], made["digest"]):
        raise UsageError(
            "thresholds would be chosen on the images that are counted; hold other images out, such as "
            "half=train for half=test"
        )
    with placed(network, machine.device):
        plan, _, places = plan_scan(network, source, layers, rules, {}, None, fit)
        check_places(network.name, places, options.get("trust_layout", False))
        reader, _ = pair_generator(network, heldout)
        choices = choose_thresholds(reader, heldout, plan, rules, rule, machine)
        pairs, areas = count_pairs(network, source, plan, rules, choices, machine)
    given = {}
    for layer, found in pairs.items():
        names = name_pairs(found.intersections, found.active, areas)
        chosen = found.thresholds[np.arange(len(names)), names]
        given[layer] = np.where(names > 0, chosen, choices[layer].usual).astype(np.float32)
    asked = Options(thresholds=given, fit=fit, machine=machine, **options)
    return dissect_with(network, source, layers, rules, asked, pairs, {**made, "images": len(heldout)})


def choose_thresholds(
    network: Network,
    heldout: ConceptSource,
    plan: ScanPlan,
    rules: Convention,
    rule: QualityRule = QualityRule(),
    machine: Machine = Machine(),  # noqa: B008 - frozen
) -> dict[str, Choice]:
    """For every pair of unit and concept the threshold with the highest information quality ratio, by layer.

    Of several the highest; NaN where no threshold that the rule leaves has a ratio above 0. The maps of all
    held-out images are kept in memory.

    Raises `UsageError` where they need more than `machine.memory`.
    """
    size = sum(4 * tail.units * int(np.prod(tail.raw_size)) for tail in plan.tails.values()) * len(heldout)
    if size > machine.memory:
        raise UsageError(
            f"the maps of {len(heldout)} held-out images take {size / 2**30:.1f} GB; hold fewer images out, "
            "name fewer layers, or allow more memory"
        )
    parts = list(read_parts(network, heldout, plan, rules, machine, "choose thresholds"))
    words = heldout.vocabulary
    areas = np.sum([part.areas for part in parts], 0)
    seen = np.concatenate([part.valid for part in parts])
    maps = {layer: torch.cat([part.maps[layer] for part in parts]) for layer in plan.tails}
    labels = [planes for part in parts for planes in part.labels]
    entering = np.concatenate([part.entering for part in parts])
    pixels = seen.sum((1, 2)) @ entering
    del parts
    category = words.category_index
    named = np.array([concept.id for concept in words], np.int64)
    common = named[(areas[named] > 0) & (areas[named] >= rule.coverage * pixels[category[named]])]
    choices = {}
    many = max(1, _AT_ONCE // int(seen.size))
    for layer, tail in plan.tails.items():
        found = []
        tried = replace(rule, positive=rule.positive or tail.lifted)  # a threshold of 0 would not stay
        for start in range(0, tail.units, many):
            raw = maps[layer][:, start : start + many]
            dense = tail.grid.upsample(tail.grid.surround(raw))
            values = (raw if rules.population == "cells" else dense).permute(1, 0, 2, 3).flatten(1)
            levels = find_levels(values, rule.fractions)
            ladder = empty_ladder(levels, common, len(words.categories))
            ladder = climb(ladder, dense, labels, seen, entering)
            thresholds, quality = _pick_pairs(ladder, areas, pixels, words, tried)
            found.append((thresholds, quality, find_levels(values, [rules.quantile])[:, 0]))
        choices[layer] = Choice(*(np.concatenate(column) for column in zip(*found, strict=True)))
    return choices


def _pick_pairs(
    ladder: Ladder,
    areas: Int64[np.ndarray, "concept"],
    pixels: Int64[np.ndarray, "category"],
    words: Vocabulary,
    rule: QualityRule,
) -> tuple[Float32[np.ndarray, "unit concept"], Float64[np.ndarray, "unit concept"]]:
    """The best threshold of each pair and its quality."""
    units, common = len(ladder.levels), ladder.concepts
    thresholds = np.full((units, words.size), np.nan, np.float32)
    quality = np.zeros((units, words.size))
    place = words.category_index[common]
    shared, active = ladder.shared, ladder.active
    for unit in range(units):
        both, above = shared[unit], active[unit][place]
        truth, total = (np.broadcast_to(one[:, None], both.shape) for one in (areas[common], pixels[place]))
        ratio = information_quality(both, above, truth, total)
        agreed = (total - above - truth + 2 * both) / np.maximum(total, 1)
        levels = ladder.levels[unit]
        allowed = (agreed > rule.agreement) & ((levels > 0) | (not rule.positive))
        ratio = np.where(allowed, ratio, 0.0)[:, ::-1]  # from the highest level on: of several, the highest
        best = ratio.argmax(1)
        top = ratio[np.arange(len(best)), best]
        thresholds[unit, common] = np.where(top > 0, levels[::-1][best], np.nan)
        quality[unit, common] = top
    return thresholds, quality


def count_pairs(
    network: Network,
    source: ConceptSource,
    plan: ScanPlan,
    rules: Convention,
    choices: Mapping[str, Choice],
    machine: Machine = Machine(),  # noqa: B008 - frozen
) -> tuple[dict[str, Pairs], Int64[np.ndarray, "concept"]]:
    """Every pair counted at its threshold over a source, by layer; and the area of every concept."""
    words = source.vocabulary
    areas = np.zeros(words.size, np.int64)
    ladders = {}
    for layer, choice in choices.items():
        chosen = ~np.isnan(choice.thresholds)
        # The different thresholds of each unit, ascending, then infinity.
        rows = [np.unique(row[kept]) for row, kept in zip(choice.thresholds, chosen, strict=True)]
        levels = np.full((len(rows), max(1, *map(len, rows))), np.inf, np.float32)
        for unit, row in enumerate(rows):
            levels[unit, : len(row)] = row
        ladders[layer] = empty_ladder(levels, np.flatnonzero(chosen.any(0)), len(words.categories))
    for part in read_parts(network, source, plan, rules, machine, "count pairs"):
        areas += part.areas
        for layer, maps in part.maps.items():
            grid = plan.tails[layer].grid
            dense = grid.upsample(grid.surround(maps))
            ladders[layer] = climb(ladders[layer], dense, part.labels, part.valid, part.entering)
    return {layer: _take_pairs(ladders[layer], choice, words) for layer, choice in choices.items()}, areas


def _take_pairs(ladder: Ladder, choice: Choice, words: Vocabulary) -> Pairs:
    counts = np.zeros((2, *choice.thresholds.shape), np.int64)
    shared, active = ladder.shared, ladder.active
    place = words.category_index
    for unit, levels in enumerate(ladder.levels):
        for column, concept in enumerate(ladder.concepts.tolist()):
            threshold = choice.thresholds[unit, concept]
            if not np.isnan(threshold):
                level = int(np.searchsorted(levels, threshold))
                counts[0, unit, concept] = active[unit, place[concept], level]
                counts[1, unit, concept] = shared[unit, column, level]
    return Pairs(choice.thresholds, choice.quality, counts[0], counts[1])


def read_parts(
    network: Network, source: ConceptSource, plan: ScanPlan, rules: Convention, machine: Machine, title: str
) -> Iterator[Part]:
    """The maps of some images at a time with what is in them, as `dissect` reads them."""
    words, frame, packed = source.vocabulary, plan.frame, find_packed(source, plan)
    with (
        tap(network, tuple(plan.tails), checked=True) as read,
        follow(len(source), title) as work,
    ):
        for start in range(0, len(source), _BATCH):
            examples = []
            for index in range(start, min(start + _BATCH, len(source))):
                example = source[index]
                if plan.native:
                    check_native(example.image, example.key, frame)
                examples.append(example if packed else frame.fit(example))
            images = stack_images([one.image for one in examples], [one.key for one in examples])
            notes = [annotate(one, frame.mask_size, rules.doubles, words) for one in examples]
            areas = np.stack([note.concept_pixels(words.size) for note in notes])
            batch = Batch(start, tuple(example.key for example in examples), images, notes[0], False)
            maps = {layer: one.cpu() for layer, one in read_maps(network, read, plan, batch, machine)}
            laid = [lay_labels(example, frame.mask_size, rules.doubles) for example in examples]
            valid = np.stack([one for _, one in laid])
            # The categories whose union each image enters: those that it has labels of, or all.
            places = range(len(words.categories))
            labeled = [areas[:, words.category_index == place].any(1) for place in places]
            entering = np.stack(labeled, 1) | (rules.union == "all")
            yield Part(maps, [one for one, _ in laid], valid, entering, areas.sum(0))
            work.update(len(examples))
