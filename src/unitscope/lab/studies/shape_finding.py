"""Do units follow shape or texture? Restyled twins of pictures: claims, tables, the figure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial

import numpy as np

from unitscope.concepts.derived import source_digest
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.experiments.twins import CUTOFF
from unitscope.lab.studies.claims import Claim, judge_all, judge_order, spread
from unitscope.lab.studies.direction_bases import digest_of
from unitscope.lab.studies.figures.shape_figure import draw_shape
from unitscope.lab.studies.held_images import Held
from unitscope.lab.studies.records import keep_rows
from unitscope.lab.studies.restyled_photographs import Restyling, open_photographs
from unitscope.lab.studies.shape_measures import (
    ROTATED,
    TRAINED,
    UNTRAINED,
    Pairs,
    TwinUnit,
    measure_units,
    share_above,
)
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.world import open_drawn
from unitscope.lab.world.restyling import restyle_scenes
from unitscope.networks.load import load_network
from unitscope.tables import Table
from unitscope.version import __version__

QUESTION = "Do units follow the shapes of things or their textures, and from which layer on?"
ZOO = ("zoo:scene-classifier", ("layer1", "layer2", "layer3", "layer4", "layer5"))
PHOTOGRAPHS = (
    "efficientnet-lite0",
    ("_blocks.0", "_blocks.2", "_blocks.4", "_blocks.7", "_blocks.10", "_blocks.13", "_conv_head"),
)
"""The networks, and their layers in order."""
SCENES_FROM, STYLES_FROM = 4000, 4500
"""The seeds of the drawn scenes and of their styles in the first repetition; no network was taught either."""
RULE = (
    "A unit's *score* is i / (2 q − i), i the share of cells where it is active in a picture and in its "
    "twin, q = .01: the IoU of its masks, each above the .99 quantile of its own population. *By chance*: a "
    "picture against the twins of others. *Rotated* units are random ones: the same layer in a random "
    "rotation; *untrained* ones are those of random weights. Values are one a seed: other pictures and other "
    "styles."
)
_NAMED = ("iou", "kept", "kept_by_lot", "look", "look_by_lot")
_ROWS = 8
"""So many concepts at either end of the table of concepts."""


@dataclass(frozen=True, eq=False)
class Styled:
    """Photographs, and what they are restyled by; `count` of them a repetition."""

    name: str
    source: ConceptSource
    styles: ConceptSource
    count: int = 96


def study_shape(setting: Setting, photographs: Sequence[Styled] = ()) -> Finding:
    """Holds pictures against restyled twins: the zoo's classifier, and EfficientNet-Lite0 on photographs.

    Of drawn scenes every surface is exchanged and every mask stays; photographs are restyled by adaptive
    instance normalization. What was measured is kept in the setting's folder. Raises what `measure_twins`,
    `dissect` and `open_photographs` raise.
    """
    rows, gaps = list[TwinUnit](), list[tuple[str, int, Restyling]]()
    for seed in setting.repetitions(3):
        scenes = open_drawn(count=setting.images, seed=SCENES_FROM + seed, size=64)
        pairs = Pairs(Held(scenes), Held(restyle_scenes(scenes, STYLES_FROM + seed)))
        rows += _measure(setting, ZOO, pairs, seed, f"{ZOO[0]}, drawn scenes")
        for some in photographs:
            network = load_network(PHOTOGRAPHS[0])
            folder = setting.folder / "shape" / "restyled"
            found = open_photographs(network, some.source, some.styles, some.count, seed, folder)
            title = f"{PHOTOGRAPHS[0]}, {some.name}"
            gaps += [(title, seed, one) for one in found.gaps]
            rows += _measure(setting, PHOTOGRAPHS, Pairs(found.pictures, found.twins), seed, title)
    return judge_shape(rows, gaps, quick=setting.quick)


def _measure(
    setting: Setting, asked: tuple[str, Sequence[str]], pairs: Pairs, seed: int, title: str
) -> Iterator[TwinUnit]:
    """The units of a network, the same rotated, and those of random weights; kept."""
    name, layers = asked
    for trained in (True, False):
        network = load_network(name) if trained else load_network(name, random=seed)
        parts = (network.digest, source_digest(pairs.pictures), source_digest(pairs.twins), *layers)
        key = digest_of(*parts, trained, seed, __version__)
        kind = TRAINED if trained else UNTRAINED
        path = setting.folder / "shape" / "measured" / f"{kind}-{seed}-{key[:16]}.json"
        measure = partial(measure_units, title, network, layers, pairs, seed, trained=trained)
        yield from keep_rows(path, TwinUnit, measure)


def by_seed(rows: Sequence[TwinUnit], measure: Callable[[Sequence[TwinUnit]], float]) -> list[float]:
    """A measure of some units, a number a seed."""
    seeds = sorted({one.seed for one in rows})
    return [measure([one for one in rows if one.seed == seed]) for seed in seeds]


def pick(rows: Sequence[TwinUnit], **wanted: str) -> list[TwinUnit]:
    """The units whose fields have these values."""
    return [one for one in rows if all(getattr(one, name) == value for name, value in wanted.items())]


def list_layers_in(rows: Sequence[TwinUnit]) -> list[str]:
    """The layers, in their order."""
    return list(dict.fromkeys(one.layer for one in rows))


def measure_above(rows: Sequence[TwinUnit]) -> float:
    """The percentage of units that keep their region: whose score is above the cut-off."""
    return share_above([one.score for one in rows], CUTOFF)


def measure_middle(rows: Sequence[TwinUnit], field: str = "score") -> float:
    """The median of a field."""
    return float(np.median([getattr(one, field) for one in rows]))


def average(rows: Sequence[TwinUnit], field: str) -> float:
    """The mean of a field over the units that have it."""
    values = [float(getattr(one, field)) for one in rows]
    known = [one for one in values if one == one]
    return float(np.mean(known)) if known else float("nan")


def claim_shape(rows: Sequence[TwinUnit]) -> tuple[Claim, ...]:
    """What is asked of every network, and what was measured."""
    claims = list[Claim]()
    for subject in dict.fromkeys(one.subject for one in rows):
        claims += _claim_one(subject, pick(rows, subject=subject))
    return tuple(claims)


def _claim_one(subject: str, rows: Sequence[TwinUnit]) -> Iterator[Claim]:
    name = subject.partition(",")[0]
    layers, trained = list_layers_in(rows), pick(rows, kind=TRAINED)
    first, last = layers[0], layers[-1]
    crossed = partial(measure_middle, field="crossed")
    pairs = [
        (by_seed(some, measure_middle), by_seed(some, crossed))
        for some in (pick(trained, layer=layer) for layer in layers)
    ]
    lowest = min(pairs, key=lambda pair: float(np.mean(pair[0])) - float(np.mean(pair[1])))
    yield Claim(
        f"{name}, control",
        "in every layer units are active at the same places in twins, more than by chance (required here)",
        f"where they differ least: median score {spread(lowest[0], '.3f')} and {spread(lowest[1], '.3f')}",
        judge_all(judge_order(*pair) for pair in pairs),
    )
    shares = {
        (kind, layer): by_seed(pick(rows, kind=kind, layer=layer), measure_above)
        for kind in (TRAINED, ROTATED, UNTRAINED)
        for layer in (first, last)
    }
    for text, low, where in (
        (f"more units keep their region in the last layer than in the first, {first}", (TRAINED, first), ""),
        ("units of the last layer keep it more than rotated ones", (ROTATED, last), f" of {last}"),
        ("and more than those of random weights", (UNTRAINED, last), f" of {last}"),
    ):
        high = shares[TRAINED, last]
        ours = f"{spread(high)} and {spread(shares[low])} %{where}"
        yield Claim(f"{name}, supplement", f"{text} (asked here)", ours, judge_order(high, shares[low]))
    yield from _claim_looks(name, trained, layers)


def _claim_looks(name: str, rows: Sequence[TwinUnit], layers: Sequence[str]) -> Iterator[Claim]:
    """Whether units of things follow the shape or the look, where looks are labeled."""
    some = [one for one in pick(rows, layer=layers[-1]) if one.look == one.look]
    if not some:
        return
    kept, look = (by_seed(some, partial(average, field=field)) for field in ("kept", "look"))
    yield Claim(
        f"{name}, {layers[-1]}",
        "units of objects and parts stay with the shape, not with the look (asked here)",
        f"IoU {spread(kept, '.3f')} with the shape, {spread(look, '.3f')} with the look",
        judge_order(kept, look),
    )


def table_layers(rows: Sequence[TwinUnit]) -> Table:
    """A layer a row: scores beside their controls; means over seeds, and the range."""
    shares = (f"above {CUTOFF}, %", "by chance, %", "rotated, %", "untrained, %")
    head = ("layer", "units", "median score", "by chance", *shares)
    lines = []
    for layer in list_layers_in(rows):
        some = pick(rows, layer=layer, kind=TRAINED)
        crossed = partial(measure_middle, field="crossed")
        others = [by_seed(pick(rows, layer=layer, kind=kind), measure_above) for kind in (ROTATED, UNTRAINED)]
        chance = by_seed(some, lambda part: share_above([one.crossed for one in part], CUTOFF))
        lines.append(
            (
                layer,
                len({one.unit for one in some}),
                *(spread(by_seed(some, measure), ".3f") for measure in (measure_middle, crossed)),
                *(spread(one, ".0f") for one in (by_seed(some, measure_above), chance, *others)),
            )
        )
    return Table(head, tuple(lines))


def table_names(rows: Sequence[TwinUnit]) -> Table:
    """A layer and category a row: what named units keep of their concept; means over units and seeds."""
    lines = []
    for layer in list_layers_in(rows):
        some = [one for one in pick(rows, layer=layer, kind=TRAINED) if one.concept]
        for category in dict.fromkeys(sorted(one.category for one in some)):
            part = pick(some, category=category)
            count = len(part) / len({one.seed for one in rows})
            figures = (
                average(part, field) for field in ("iou", "kept", "kept_by_lot", "look", "look_by_lot")
            )
            cells = [f"{one:.3f}" if one == one else "–" for one in figures]
            lines.append((layer, category, f"{count:.1f}", *cells, f"{average(part, 'score'):.3f}"))
    head = (
        "layer",
        "named by",
        "units",
        "IoU",
        "in twins",
        "by lot",
        "with its look",
        "look, by lot",
        "score",
    )
    return Table(head, tuple(lines), (0, 1))


def table_concepts(rows: Sequence[TwinUnit]) -> Table:
    """The concepts of the last layer, best kept first: the ends of the list; over all units and seeds."""
    some = [one for one in pick(rows, layer=list_layers_in(rows)[-1], kind=TRAINED) if one.concept]
    groups: dict[tuple[str, str], list[TwinUnit]] = {}
    for one in some:
        groups.setdefault((one.category, one.concept), []).append(one)
    seeds = len({one.seed for one in rows})
    lines = []
    for (category, concept), part in groups.items():
        iou, kept, score = (average(part, field) for field in ("iou", "kept", "score"))
        if len(part) >= seeds:
            lines.append((concept, category, f"{len(part) / seeds:.1f}", iou, kept, score))
    lines.sort(key=lambda line: -line[-2] / line[-3])
    if len(lines) > 2 * _ROWS:
        lines = [*lines[:_ROWS], *lines[-_ROWS:]]
    return Table(("concept", "category", "units", "IoU", "in twins", "score"), tuple(lines), (0, 1), 2)


def spell_shape(rows: Sequence[TwinUnit], gaps: Sequence[tuple[str, int, Restyling]]) -> str:
    """The numbers as Markdown, a network after the other."""
    parts = []
    for subject in dict.fromkeys(one.subject for one in rows):
        some = pick(rows, subject=subject)
        parts += [f"## {subject}", table_layers(some).markdown()]
        moved = [one for title, _, one in gaps if title == subject]
        if moved:
            told = (
                f"{layer} {np.mean([one.before for one in moved if one.layer == layer]):.2f} to "
                f"{np.mean([one.after for one in moved if one.layer == layer]):.2f}"
                for layer in dict.fromkeys(one.layer for one in moved)
            )
            parts.append(
                "The twins' statistics did move: squared distance of channel means and deviations from the "
                f"style's, over its variance, of photographs and of twins: {', '.join(told)}."
            )
        if any(one.concept for one in some):
            parts += ["Named units, and what they are over twins:", table_names(some).markdown()]
            parts += ["Concepts of the last layer by what is kept of them:", table_concepts(some).markdown()]
    return "\n\n".join(parts)


def judge_shape(
    rows: Sequence[TwinUnit], gaps: Sequence[tuple[str, int, Restyling]] = (), *, quick: bool = False
) -> Finding:
    """The finding, from all that was measured."""
    columns = [column.name for column in fields(TwinUnit)]
    seeds = len({one.seed for one in rows})
    return Finding(
        "shape",
        QUESTION,
        claim_shape(rows),
        spell_shape(rows, gaps),
        {"shape.csv": Table.of(map(asdict, rows), columns)},
        f"{seeds}, of other pictures and styles each",
        quick=quick,
        rule=RULE,
        figure=partial(draw_shape, rows),
    )
