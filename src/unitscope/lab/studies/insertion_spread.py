"""How far does an insertion reach in the zoo's generator, and how high should units be set?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from unitscope.concepts.segmented import SegmentedSource
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.experiments.erasure_result import By
from unitscope.experiments.placement import ALL, Placement, study_placement
from unitscope.experiments.spread import ABSENT, APPEARED, ZONES, study_spread
from unitscope.interventions.generator_run import Studio, open_studio
from unitscope.interventions.unit_values import RULES, Rule, measure_layers
from unitscope.lab.studies.claims import Claim, judge_order, spread
from unitscope.lab.studies.direction_bases import digest_of
from unitscope.lab.studies.records import keep_rows
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.zoo.weights_files import load_zoo, open_segmenter
from unitscope.networks.generators import GeneratedImages, Generator, with_seed
from unitscope.tables import Table
from unitscope.version import __version__
from unitscope.views.figures import INKS, MUTED, open_figure

QUESTION = "How does an insertion spread through the later layers, and what should units be set to?"
RULE = (
    "A change is that of a layer's units over their mean size, averaged over units; *carried* is the change "
    "at the place, in a later layer or in the picture, over that of the layer where units are set. Values "
    "are of one seed of latents each."
)
LAYERS = ("layer1", "layer2", "layer3", "layer4")
CONCEPTS = ("tree@layer1", "object/water@layer1", "grass@layer1", "mountain@layer2")
ADDED, CAUSAL, HEIGHT = "added", "causal", "height"
"""What is measured by rule besides: the share of the place that became the concept, and how high units go."""
ELSEWHERE = "not in a paper"
_TREE, _SKY, _ROAD = "tree", "sky", "road"


@dataclass(frozen=True)
class Extent:
    """How much is spent: pictures that rank units, that are followed, and that levels are compared in."""

    ranked: int = 300
    edited: int = 150
    leveled: int = 80
    places: int = 2
    units: int = 20
    draws: int = 5
    least: int = 10


QUICK = Extent(64, 8, 8, 1, 8, 2, 2)


@dataclass(frozen=True)
class SpreadResult:
    """One number of one concept, set of units and context.

    Of a `change` or what is `carried` of it, `at` a layer (or the picture) and in a `zone`; of insertions by
    `rule`, what is `added` at the place, the `causal` effect, and the `height` of the units over their mean
    where the concept is.
    """

    seed: int
    concept: str
    layer: str
    by: str
    rule: str
    context: str
    trials: int
    measure: str
    at: str
    zone: str
    value: float


def study_insertion_spread(setting: Setting, extent: Extent | None = None) -> Finding:
    """Sets units of the zoo's generator at one place, by three rules, and follows the change to the picture.

    Every seed has other latents, a run of its own, and other places. What was measured is kept in the
    setting's folder, so that a study that was stopped goes on. Raises what `dissect`, `study_spread` and
    `study_placement` raise.
    """
    spent = extent or (QUICK if setting.quick else Extent())
    rows = [row for seed in setting.repetitions() for row in _keep(setting, seed, spent)]
    return judge_spread(rows, quick=setting.quick)


def _keep(setting: Setting, seed: int, extent: Extent) -> list[SpreadResult]:
    generator, segmenter = load_zoo("generator"), open_segmenter()
    assert isinstance(generator, Generator)
    key = digest_of(generator.digest, segmenter.digest, seed, asdict(extent), CONCEPTS, LAYERS, __version__)
    path = setting.folder / "spread" / "measured" / f"{seed}-{key[:16]}.json"

    def measure() -> list[SpreadResult]:
        seeded = with_seed(generator, seed)
        source = SegmentedSource(GeneratedImages(seeded, extent.ranked), segmenter)
        run = dissect(seeded, source, LAYERS, convention="pnas", confidences=Confidences(0, 1), ranks=1)
        return measure_spread(open_studio(seeded, run, source), seed, extent)

    return keep_rows(path, SpreadResult, measure)


def measure_spread(studio: Studio, seed: int, extent: Extent) -> list[SpreadResult]:
    """All numbers of one seed."""
    layers = list(dict.fromkeys(one.partition("@")[2] for one in CONCEPTS))
    levels = measure_layers(studio.generator, layers, studio.segmenter, studio.ranked)
    inserted = partial(
        study_spread, studio, CONCEPTS, levels=levels, count=extent.units, places=extent.places, across=8,
        images=extent.edited, draws=extent.draws, least=extent.least, seed=seed,
    )  # fmt: skip
    placed = partial(
        study_placement, studio, CONCEPTS, levels=levels, count=extent.units, places=1, across=8,
        images=extent.leveled, draws=extent.draws, least=extent.least, seed=seed,
    )  # fmt: skip
    rows = []
    for row in inserted().rows():
        head = (seed, row["concept"], row["layer"], row["by"], "mean", row["context"], row["trials"])
        known = [name for name in ("change", "carried") if row[name] is not None]
        rows += [SpreadResult(*head, name, row["at"], row["zone"], float(row[name])) for name in known]
    for rule in RULES:
        rows += _list_levels(placed(rule=rule), seed, rule)
    return rows


def _list_levels(placed: Placement, seed: int, rule: Rule) -> list[SpreadResult]:
    """What insertions by one rule did."""
    rows = []
    for target in placed.targets:
        units, levels = placed.rankings["iou"][target.concept.id], placed.levels[target.layer]
        height, mean = (levels.value(target.concept.id, units, one).mean() for one in (rule, RULES[0]))
        for by, trials in placed.together(target).items():
            head = (seed, target.concept.name, target.layer, by, rule, ALL, len(trials))
            values = {ADDED: trials.added.value, CAUSAL: trials.causal.value, HEIGHT: float(height / mean)}
            rows += [SpreadResult(*head, name, "", "", value) for name, value in values.items()]
    return rows


def select(
    rows: Sequence[SpreadResult],
    measure: str,
    concept: str,
    by: By = "iou",
    *,
    context: str = ALL,
    at: str = "",
    zone: str = "",
    rule: Rule = "mean",
) -> list[float]:
    """Values by seed."""
    asked = (measure, concept, by, context, at, zone, rule)
    some = [one for one in rows if _describe(one) == asked]
    return [one.value for one in sorted(some, key=lambda one: one.seed)]


def _describe(row: SpreadResult) -> tuple[str, ...]:
    return (row.measure, row.concept, row.by, row.context, row.at, row.zone, row.rule)


def list_concepts(rows: Sequence[SpreadResult]) -> list[tuple[str, str]]:
    """The concepts and the layers where their units are set."""
    return list(dict.fromkeys((one.concept, one.layer) for one in rows))


def follow_layers(layer: str) -> list[str]:
    """Where a change is read that begins in a layer.

    >>> follow_layers("layer3")
    ['layer3', 'layer4', 'picture']
    """
    return [*LAYERS[LAYERS.index(layer) :], "picture"]


def claim_spread(rows: Sequence[SpreadResult]) -> tuple[Claim, ...]:
    """What the papers found beside what was measured."""
    claims, source = [], "GAN Dissection"
    last, place = LAYERS[-1], ZONES[0]
    for concept, _ in list_concepts(rows):
        shown, hidden = (
            select(rows, "carried", concept, context=one, at=last, zone=place) for one in (APPEARED, ABSENT)
        )
        said = "where the inserted concept can be seen, later layers change more than where it cannot"
        ours = f"{concept}: {spread(shown, '.2f')} carried to {last} where it appeared, "
        ours += f"{spread(hidden, '.2f')} where not"
        claims.append(Claim(source, said, ours, judge_order(shown, hidden)))
    high, low = (select(rows, "carried", _TREE, context=one, at=last, zone=place) for one in (_SKY, _ROAD))
    said = "how much of an insertion reaches the last layers depends on what stood there"
    ours = f"{_TREE}: carried to {last} {spread(high, '.2f')} in {_SKY}, {spread(low, '.2f')} on {_ROAD}"
    claims.append(Claim(source, said, ours, judge_order(high, low)))
    for concept, _ in list_concepts(rows):
        mean, fullest = (select(rows, ADDED, concept, rule=rule) for rule in ("mean", "fullest"))
        said = "levels of the place where the concept is most present add more of it than the weighted mean"
        ours = f"{concept}: {spread_percent(fullest)} and {spread_percent(mean)} % of the place"
        claims.append(Claim(ELSEWHERE, said, ours, judge_order(fullest, mean)))
    return tuple(claims)


def spread_percent(values: Sequence[float]) -> str:
    """Shares by seed as percent."""
    return spread([100 * one for one in values])


def spell_spread(rows: Sequence[SpreadResult]) -> str:
    """The numbers as Markdown: what is carried by layer, by context, and by rule."""
    layers = dict.fromkeys(one for _, one in list_concepts(rows))
    return "\n\n".join(
        [
            "## Carried to the later layers",
            "In percent of the change at the place in the layer of the units.",
            *(_table_layers(rows, layer).markdown() for layer in layers),
            "## By what stood there",
            f"Carried at the place, to {LAYERS[-1]} and to the picture, in percent.",
            _table_contexts(rows).markdown(),
            "## By level",
            _table_rules(rows).markdown(),
        ]
    )


def _table_layers(rows: Sequence[SpreadResult], layer: str) -> Table:
    names, lines = follow_layers(layer), []
    kinds: tuple[tuple[By, str], ...] = (("iou", "its units"), ("random", "random units"))
    for concept in (one for one, at in list_concepts(rows) if at == layer):
        for by, said in kinds:
            for zone in ZONES:
                found = (select(rows, "carried", concept, by, at=name, zone=zone) for name in names)
                lines.append((f"{concept}, {said}, {zone}", *map(spread_percent, found)))
    return Table((f"set in {layer}", *names), tuple(lines))


def _table_contexts(rows: Sequence[SpreadResult]) -> Table:
    lines, last = [], LAYERS[-1]
    sides: tuple[tuple[By, str], ...] = (("iou", last), ("iou", "picture"), ("random", last))
    for concept, _ in list_concepts(rows):
        asked = ("carried", concept, "iou", last, ZONES[0])
        some = [one for one in rows if (one.measure, one.concept, one.by, one.at, one.zone) == asked]
        for context in dict.fromkeys(one.context for one in some):
            trials = sum(one.trials for one in some if one.context == context)
            cells = (
                spread_percent(select(rows, "carried", concept, by, context=context, at=at, zone=ZONES[0]))
                for by, at in sides
            )
            lines.append((concept, context, trials, *cells))
    head = ("concept", "where", "trials", f"to {last}", "to the picture", f"random units, to {last}")
    return Table(head, tuple(lines), left=(0, 1))


def _table_rules(rows: Sequence[SpreadResult]) -> Table:
    lines = []
    for concept, _ in list_concepts(rows):
        for rule in RULES:
            height = spread(select(rows, HEIGHT, concept, rule=rule), ".2f")
            added, causal = (spread_percent(select(rows, one, concept, rule=rule)) for one in (ADDED, CAUSAL))
            lots = spread_percent(select(rows, ADDED, concept, "random", rule=rule))
            lines.append((concept, rule, height, added, causal, lots))
    head = ("concept", "level", "height over mean", "added, %", "causal, %", "random units add, %")
    return Table(head, tuple(lines), left=(0, 1))


def draw_spread(rows: Sequence[SpreadResult], out: Path) -> Path:
    """What is carried at the place, by layer: where the concept appeared, where not, and random units."""
    concepts = list_concepts(rows)
    sides: tuple[tuple[str, By, str, str], ...] = (
        ("its units, appeared", "iou", APPEARED, INKS[0]),
        ("its units, did not appear", "iou", ABSENT, INKS[1]),
        ("random units", "random", ALL, MUTED),
    )
    with open_figure(out, 260.0 * len(concepts), 340.0, len(concepts)) as (figure, axes):
        for axis, (concept, layer) in zip(np.ravel(axes), concepts, strict=True):
            names = follow_layers(layer)
            for label, by, context, ink in sides:
                find = partial(select, rows, "carried", concept, by, context=context, zone=ZONES[0])
                values = [[100 * one for one in find(at=name)] for name in names]
                if not all(values):
                    continue  # the concept never appeared, or always did
                middle = [float(np.mean(one)) for one in values]
                ends = [[m - min(one), max(one) - m] for m, one in zip(middle, values, strict=True)]
                bars = np.clip(ends, 0, None).T
                look = {"color": ink, "lw": 2, "marker": "o", "ms": 4, "capsize": 3, "label": label}
                axis.errorbar(range(len(names)), middle, bars, **look)
            axis.set_xticks(range(len(names)), names, rotation=30)
            axis.set_title(f"{concept}, set in {layer}")
            axis.set_ylim(0, None)
        np.ravel(axes)[0].set_ylabel("change carried, %")
        handles, labels = np.ravel(axes)[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=3, handlelength=1.2)
    return out


def judge_spread(rows: Sequence[SpreadResult], *, quick: bool = False) -> Finding:
    """The finding, from all that was measured."""
    sheet = Table.of(map(asdict, rows), [column.name for column in fields(SpreadResult)])
    return Finding(
        "spread",
        QUESTION,
        claim_spread(rows),
        spell_spread(rows),
        {"spread.csv": sheet},
        f"{len({one.seed for one in rows})} of latents",
        quick=quick,
        rule=RULE,
        figure=partial(draw_spread, rows),
    )
