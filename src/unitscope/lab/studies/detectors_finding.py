"""Does one unit tell images with a concept from those without? Claims, tables, the figure."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial

import numpy as np

from unitscope.concepts.derived import source_digest, split_source
from unitscope.concepts.segmented import SegmentedSource
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.lab.studies.claims import Claim, Verdict, judge_all, judge_order, spread
from unitscope.lab.studies.detector_measures import (
    CATEGORIES,
    INSIDE,
    DetectorRow,
    Home,
    KeptPlaces,
    Limits,
    match_concept,
    measure_home,
)
from unitscope.lab.studies.direction_bases import digest_of
from unitscope.lab.studies.figures.detectors_figure import draw_detectors
from unitscope.lab.studies.held_images import Changed, Held, dim, turn_gray
from unitscope.lab.studies.records import keep_rows
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.world import open_drawn
from unitscope.lab.world.restyling import restyle_scenes
from unitscope.lab.zoo.weights_files import load_zoo, open_segmenter
from unitscope.networks.generators import GeneratedImages, Generator, with_seed
from unitscope.networks.load import load_network
from unitscope.tables import Table
from unitscope.version import __version__

QUESTION = "Does a single unit tell images with a concept from images without?"
CLASSIFIER, GENERATOR = ("zoo:scene-classifier", "layer5"), ("zoo:generator", "layer2")
PHOTOGRAPHS = ("efficientnet-lite0", "_conv_head", "_fc")
"""The networks and their layers, of the last that of the class logits too."""
NAMED_FROM, INSIDE_FROM, STYLES_FROM = 5000, 5500, 5800
"""The seeds of drawn scenes, and of styles, in the first repetition: no network was taught with these."""
GENERATED = 1000
"""The most images of the generator."""
OTHER_LATENTS = 100
"""The generator's units are named over the images of a seed so much larger."""
PAPER = {CLASSIFIER[0]: 85.6, PHOTOGRAPHS[0]: 85.6, GENERATOR[0]: 78.2}
"""Balanced accuracy of the one unit that the paper shows, in percent: fig. 1f, and 3f for a generator."""
RULE = (
    "The unit is the one with the highest IoU with the concept over other images of the same kind; its "
    "threshold is found on one half of the images of a place, and its balanced accuracy measured on the "
    "other half. Values are means over concepts, one a seed. Units *tell* their concepts where every seed is "
    "above the mean unit of the layer, and above what 95 % of draws with shuffled labels stay below."
)
LEGEND = (
    "Balanced accuracy in percent, means over the concepts that a unit detects (IoU above .04) of all that "
    "have enough images. *Threshold from inside*: found where units are at home; *best chosen*: the unit "
    "that is best on the half that thresholds are found on, measured on the other, and *on the same half*, "
    "which choosing feigns; *class logit*: the best output unit; *silent*: images with the concept "
    "and without the unit (fig. 3g); *sure*: units, concept by concept, whose interval lies above 95 of 100 "
    "draws with shuffled labels."
)
CUTOFF = 0.04
"""A unit detects a concept where its IoU is above this, in both papers."""
_NUMBERS = ("named", "moved", "chosen", "chosen_same", "lot", "shuffled", "logit", "auroc", "silent")


@dataclass(frozen=True, eq=False)
class Photographs:
    """A set of labeled photographs, and what it is called."""

    name: str
    source: ConceptSource


def study_detectors(setting: Setting, photographs: Sequence[Photographs] = ()) -> Finding:
    """Takes single units for detectors: a classifier's inside and outside of its pictures, a generator's.

    The zoo's classifier over drawn scenes, then the same scenes restyled, gray and dim, and photographs;
    EfficientNet-Lite0 over halves of each set of photographs, and over the other sets where labels are
    shared; the zoo's generator over its own pictures, named by the zoo's segmenter. What was measured is
    kept in the setting's folder. Raises what `measure_home` and `split_source` raise.
    """
    rows, places = list[DetectorRow](), KeptPlaces([one.source for one in photographs])
    for seed in setting.repetitions(3):
        for home in _list_homes(setting, photographs, seed, places):
            parts = (home.naming, home.inside, *home.outside.values())
            key = digest_of(
                *(home.network.digest, home.layer, seed, __version__, asdict(home.limits), home.title),
                *map(source_digest, parts),
            )
            path = setting.folder / "detectors" / "measured" / f"{seed}-{key[:16]}.json"
            rows += keep_rows(path, DetectorRow, partial(measure_home, home, seed))
    return judge_detectors(rows, quick=setting.quick)


def _list_homes(
    setting: Setting, photographs: Sequence[Photographs], seed: int, places: KeptPlaces
) -> Iterator[Home]:
    """What is measured in one repetition."""
    count = 240 if setting.quick else setting.images
    inside = open_drawn(count=count, seed=INSIDE_FROM + seed, size=64)
    held = Held(inside)
    changed: dict[str, ConceptSource] = {
        "restyled": restyle_scenes(inside, STYLES_FROM + seed),
        "gray": Changed(held, turn_gray, "gray"),
        "half the light": Changed(held, dim, "dim"),
    }
    yield Home(
        *CLASSIFIER,
        load_zoo("scene-classifier"),
        open_drawn(count=count, seed=NAMED_FROM + seed, size=64),
        held,
        changed | {one.name: one.source for one in photographs},
        "head",
    )
    yield from _list_photographs(photographs, seed, places)
    generator = load_zoo("generator")
    assert isinstance(generator, Generator)
    naming, own = (
        SegmentedSource(GeneratedImages(with_seed(generator, one), min(count, GENERATED)), open_segmenter())
        for one in (OTHER_LATENTS + seed, seed)
    )
    yield Home(*GENERATOR, generator, naming, own, convention="pnas", limits=Limits(share=0.05))


def _list_photographs(photographs: Sequence[Photographs], seed: int, places: KeptPlaces) -> Iterator[Home]:
    if not photographs:
        return
    network = load_network(PHOTOGRAPHS[0])
    for one in photographs:
        others = {other.name: other.source for other in photographs if _share_concepts(one, other)}
        naming, rest = (split_source(one.source, half, seed=seed) for half in ("train", "test"))
        title = f"{PHOTOGRAPHS[0]}, {one.name}"
        layer, output = PHOTOGRAPHS[1:]
        yield Home(title, layer, network, naming, rest, others, output, places, limits=Limits(least=10))


def _share_concepts(one: Photographs, other: Photographs) -> bool:
    words = [concept for concept in one.source.vocabulary if concept.category in CATEGORIES]
    return one is not other and any(match_concept(other.source.vocabulary, word) for word in words)


def average(rows: Sequence[DetectorRow], column: str) -> list[float]:
    """The mean over concepts of a column, in percent, a number a seed; concepts without it are left out."""
    found = []
    for seed in list_seeds(rows):
        values = [float(getattr(one, column)) for one in rows if one.seed == seed]
        known = [one for one in values if one == one]
        if known:
            found.append(100 * float(np.mean(known)))
    return found


def list_seeds(rows: Sequence[DetectorRow]) -> list[int]:
    """The seeds that were measured."""
    return sorted({one.seed for one in rows})


def keep_detectors(rows: Sequence[DetectorRow]) -> list[DetectorRow]:
    """The rows of concepts that some unit detects: whose unit has an IoU above the cut-off of both papers."""
    return [one for one in rows if one.iou > CUTOFF]


def count_concepts(rows: Sequence[DetectorRow]) -> str:
    """How many concepts a seed has: the mean, and the range over seeds."""
    counts = [sum(one.seed == seed for one in rows) for seed in list_seeds(rows)]
    return spread(counts, ".0f") if counts else "0"


def list_places(rows: Sequence[DetectorRow]) -> list[tuple[str, str]]:
    """Every subject and place that was measured, in order."""
    return list(dict.fromkeys((one.subject, one.place) for one in rows))


def pick(rows: Sequence[DetectorRow], subject: str, place: str) -> list[DetectorRow]:
    """The rows of a place."""
    return [one for one in rows if (one.subject, one.place) == (subject, place)]


def claim_detectors(rows: Sequence[DetectorRow]) -> tuple[Claim, ...]:
    """What the paper shows of one unit, and what was measured of all concepts, by place."""
    some = keep_detectors(rows)
    return tuple(_claim_place(pick(some, *one), *one) for one in list_places(some))


def _claim_place(rows: Sequence[DetectorRow], subject: str, place: str) -> Claim:
    name = subject.partition(",")[0]
    figure = "fig. 3f" if name == GENERATOR[0] else "fig. 1f"
    where = "its own kind of images" if place == INSIDE else place
    best = [100 * max(one.named for one in rows if one.seed == seed) for seed in list_seeds(rows)]
    named, lot, shuffled = (spread(average(rows, one)) for one in ("named", "lot", "shuffled"))
    return Claim(
        f"{figure}: {subject}, {where}",
        f"one unit tells images with its concept from those without (in the paper {PAPER[name]} %)",
        f"{named} % over {count_concepts(rows)} concepts, the best of them "
        f"{spread(best, '.0f')}; a unit by lot {lot}, the best under shuffled labels {shuffled}",
        judge_place(rows),
    )


def judge_place(rows: Sequence[DetectorRow]) -> Verdict:
    """Whether units tell their concepts better than the mean unit, and than shuffled labels would have it."""
    named = average(rows, "named")
    return judge_all(judge_order(named, average(rows, column)) for column in ("lot", "shuffled_high"))


def table_places(rows: Sequence[DetectorRow]) -> Table:
    """A place a row: means over concepts, then over seeds, and the range of these."""
    lines = []
    for subject, place in list_places(rows):
        every = pick(rows, subject, place)
        some = keep_detectors(every)
        above = [100 * float(np.mean([one.low > one.shuffled_high for one in some]))] if some else []
        lines.append(
            (
                *(subject, place, f"{count_concepts(some)} of {count_concepts(every)}"),
                *(spread(average(some, one)) if average(some, one) else "–" for one in _NUMBERS),
                f"{above[0]:.0f}" if above else "–",
            )
        )
    found = ("unit named", "threshold from inside", "best chosen", "on the same half")
    control = ("by lot", "shuffled", "class logit", "AUROC", "silent", "sure")
    return Table(("network", "images", "concepts", *found, *control), tuple(lines), (0, 1))


def table_concepts(rows: Sequence[DetectorRow], subject: str, place: str, most: int = 16) -> Table:
    """The concepts of a place, the best told first: means over seeds; the ends of the list."""
    groups: dict[tuple[str, str], list[DetectorRow]] = {}
    for one in keep_detectors(pick(rows, subject, place)):
        groups.setdefault((one.category, one.concept), []).append(one)
    lines = []
    for (category, concept), some in groups.items():
        figures = (
            100 * float(np.mean([getattr(one, column) for one in some]))
            for column in ("named", "low", "high", "moved", "chosen", "lot", "silent")
        )
        named, low, high, moved, *rest = figures
        units = " ".join(str(one.unit) for one in some)
        cells = ["–" if one != one else f"{one:.0f}" for one in (moved, *rest)]
        lines.append((named, (concept, category, units, f"{named:.0f} ({low:.0f} to {high:.0f})", *cells)))
    ordered = [line for _, line in sorted(lines, key=lambda pair: -pair[0])]
    if len(ordered) > most:
        ordered = [*ordered[: most // 2], *ordered[-(most // 2) :]]
    head = ("concept", "category", "units", "unit named", "threshold from inside", "best chosen", "by lot")
    return Table((*head, "silent"), tuple(ordered), (0, 1, 2))


def spell_detectors(rows: Sequence[DetectorRow]) -> str:
    """The numbers as Markdown: all places, then the concepts of each."""
    parts = [LEGEND, table_places(rows).markdown()]
    for subject, place in list_places(rows):
        parts += [f"## {subject}: {place}", table_concepts(rows, subject, place).markdown()]
    return "\n\n".join(parts)


def judge_detectors(rows: Sequence[DetectorRow], *, quick: bool = False) -> Finding:
    """The finding, from all that was measured."""
    columns = [column.name for column in fields(DetectorRow)]
    return Finding(
        "detectors",
        QUESTION,
        claim_detectors(rows),
        spell_detectors(rows),
        {"detectors.csv": Table.of(map(asdict, rows), columns)},
        f"{len(list_seeds(rows))}, of other images each",
        quick=quick,
        rule=RULE,
        figure=partial(draw_detectors, keep_detectors(rows)),
    )
