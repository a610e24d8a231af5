"""Does painting work on given pictures as on a generator's own? Claims, tables, the figure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial

import numpy as np
from jaxtyping import Float64, UInt8

from unitscope.concepts.segmented import SegmentedSource
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.interventions.generator_run import Studio, open_studio
from unitscope.interventions.inversion import Steps, choose_layer, invert_picture
from unitscope.interventions.inversion_result import LEAST_NAMED, LEAST_PSNR, Inversion
from unitscope.interventions.painting.strokes import Bitmap, Painting, Stroke
from unitscope.interventions.picture_loss import choose_features
from unitscope.lab.studies.claims import Claim, Verdict, spread
from unitscope.lab.studies.direction_bases import digest_of
from unitscope.lab.studies.figures.painting_figure import draw_painting
from unitscope.lab.studies.painting_photos import (
    DRAW,
    ERASE,
    GIVEN,
    KEPT,
    OWN,
    PAINTED,
    RANDOM,
    RETURNED,
    Bench,
    Opened,
    Painted,
    describe_opened,
    find_square,
    invert_all,
    keep_rows,
    paint_all,
    set_up,
)
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.world.names import SCENES
from unitscope.lab.zoo.pictures import PictureSet, paint_one
from unitscope.lab.zoo.recipes import GENERATED
from unitscope.lab.zoo.weights_files import load_zoo, open_segmenter
from unitscope.networks.generators import GeneratedImages, Generator
from unitscope.progress import follow_each, silence
from unitscope.statistics.intervals import Interval, draw_again, take_middle
from unitscope.tables import Table
from unitscope.version import __version__

QUESTION = "Can a given picture be painted on with a generator's units as its own pictures can?"
RULE = (
    "What is required is met where the mean over all pictures is, and each picture where that is said; "
    "shares of the effect on own pictures have a 95 % interval by bootstrap over pictures, and are *unclear* "
    "where that reaches below what is required. *Effect*: of a square a quarter as wide as the picture, "
    "where the concept often is and is not in this picture, the share that becomes it (draw); of the "
    "concept's own pixels, where it has 3 % of the picture, the share that is named otherwise (erase)."
)
CONCEPTS = ("tree", "object/water", "grass")
SEEDS = (9201, 9202, 9203, 9204, 9205)
"""The drawn scenes of each repetition: nothing was taught or adjusted with these."""
NAMED, LEVELS = 256, 256
PSNR, WORST_PSNR, ALIKE, WORST_ALIKE, SHARE, BEYOND = 38.0, 30.0, 0.97, 0.90, 0.85, 0.02
OTHER = "another scene"
"""What the kind of scenes is called that the generator has never seen."""
_DRAWS = 2000
_SHOWN = 4


@dataclass(frozen=True)
class Extent:
    """How many drawn scenes each repetition inverts, of the generator's kinds and of others."""

    scenes: int = 14
    others: int = 6
    named: int = NAMED
    levels: int = LEVELS


QUICK_EXTENT = Extent(5, 2, 64, 32)


def study_painting(setting: Setting, extent: Extent | None = None) -> Finding:
    """Inverts drawn scenes into the zoo's generator, and paints on them and on its own pictures.

    What was inverted and measured is kept in the setting's folder: the same call goes on where it was
    stopped. Raises what `dissect`, `invert_picture` and `Easel.show` raise.
    """
    spent = extent or (QUICK_EXTENT if setting.quick else Extent())
    folder = setting.folder / "painting"
    generator, classifier = load_zoo("generator"), load_zoo("scene-classifier")
    assert isinstance(generator, Generator)
    bench = set_up(_dissect(generator, spent), CONCEPTS, choose_features(classifier), spent.levels)
    opened, painted, shown = list[Opened](), list[Painted](), list[Inversion]()
    for repeat in setting.repetitions():
        pictures = paint_scenes(GENERATED, spent.scenes, SEEDS[repeat])
        found = list(invert_all(bench, pictures, folder / "inversions"))
        inversions = [one for one, _ in found]
        shown = shown or inversions[:_SHOWN]
        measure = partial(_measure_repeat, bench, inversions, repeat, spent)
        asked = [CONCEPTS, asdict(spent), __version__]
        key = digest_of(generator.digest, bench.easel.segmenter.digest, bench.layer, SEEDS[repeat], asked)
        rows = keep_rows(folder / "measured" / f"{repeat}-{key[:16]}.json", measure)
        opened += [Opened(**row) for row in rows["opened"]]  # type: ignore[arg-type]
        painted += [Painted(**row) for row in rows["painted"]]  # type: ignore[arg-type]
    return judge_painting(opened, painted, bench.layer, make_sheet(bench, shown), quick=setting.quick)


def _dissect(generator: Generator, extent: Extent) -> Studio:
    """The generator's units of the layer, named over its own pictures."""
    source = SegmentedSource(GeneratedImages(generator, extent.named), open_segmenter())
    layers = [choose_layer(generator)]
    run = dissect(generator, source, layers, convention="pnas", confidences=Confidences(0, 1), ranks=1)
    return open_studio(generator, run, source)


def _measure_repeat(
    bench: Bench, inversions: Sequence[Inversion], repeat: int, extent: Extent
) -> dict[str, list[dict[str, object]]]:
    """All rows of one repetition; the generator's own pictures are others than those that named the units."""
    easel = bench.easel
    for one in inversions:
        easel = easel.place(one)
    given = Bench(easel, *(getattr(bench, field.name) for field in fields(Bench)[1:]))
    first = extent.named + repeat * extent.scenes
    painted = paint_all(given, GIVEN, [one.key for one in inversions], SEEDS[repeat])
    painted += paint_all(bench, OWN, list(range(first, first + extent.scenes)), SEEDS[repeat])
    opened = describe_opened(inversions, SEEDS[repeat]) + _open_others(bench, SEEDS[repeat], extent)
    return {"opened": [asdict(row) for row in opened], "painted": [asdict(row) for row in painted]}


def _open_others(bench: Bench, seed: int, extent: Extent) -> list[Opened]:
    """What the latent alone makes of scenes that the generator has never seen."""
    kinds = tuple(name for name in SCENES if name not in GENERATED)
    rows, steps = list[Opened](), Steps(layer=0, maps=0)
    pictures = paint_scenes(kinds, extent.others, seed)
    for place, picture in enumerate(follow_each(pictures, "inverting others", "pictures")):
        with silence():
            found = invert_picture(
                bench.easel.generator,
                picture,
                layer=bench.layer,
                features=bench.features,
                segmenter=bench.easel.segmenter,
                steps=steps,
            )
        fit = found.fits[0]
        rows.append(Opened(seed, place, OTHER, fit.stage, fit.psnr, fit.named))
    return rows


def paint_scenes(kinds: Sequence[str], count: int, seed: int) -> list[UInt8[np.ndarray, "y x 3"]]:
    """Drawn scenes of some kinds in turn, 64 by 64 pixels."""
    wanted = PictureSet(tuple(kinds), count, seed)
    return [paint_one(wanted, place)[0] for place in range(count)]


def judge_painting(
    opened: Sequence[Opened],
    painted: Sequence[Painted],
    layer: str,
    sheet: UInt8[np.ndarray, "y x 3"],
    *,
    quick: bool = False,
) -> Finding:
    """The finding, from all that was measured."""
    sheets = {
        "painting.csv": Table.of(map(asdict, painted), [column.name for column in fields(Painted)]),
        "stages.csv": Table.of(map(asdict, opened), [column.name for column in fields(Opened)]),
    }
    seeds = sorted({row.seed for row in painted})
    count = len(_take_stage(opened, "latent", other=False))
    return Finding(
        "painting",
        QUESTION,
        (*claim_stages(opened), *claim_strokes(painted)),
        spell_painting(opened, painted, layer),
        sheets,
        f"{', '.join(map(str, seeds))}, {count} drawn scenes in all",
        quick=quick,
        rule=RULE,
        figure=partial(draw_painting, painted, sheet),
    )


def _take_stage(opened: Sequence[Opened], stage: str, *, other: bool) -> list[Opened]:
    return [row for row in opened if row.stage == stage and (row.kind == OTHER) is other]


def claim_stages(opened: Sequence[Opened]) -> tuple[Claim, ...]:
    """What is required of the inverted pictures, and of the verdict on them."""
    last = [row for row in opened if row.kind != OTHER][-1].stage
    found = _take_stage(opened, last, other=False)
    psnr, alike = [row.psnr for row in found], [row.named for row in found]
    can, cannot = (
        [can_make(row) for row in _take_stage(opened, "latent", other=other)] for other in (False, True)
    )
    enough = len(psnr)
    return (
        Claim(
            "inverted pictures",
            f"PSNR at least {PSNR:g} dB in the mean, {WORST_PSNR:g} for each (required here)",
            f"{np.mean(psnr):.1f} dB, at least {min(psnr):.1f}, of {enough}",
            _judge(np.mean(psnr) >= PSNR and min(psnr) >= WORST_PSNR),
        ),
        Claim(
            "inverted pictures",
            f"{ALIKE:.0%} of the pixels named as in the picture, {WORST_ALIKE:.0%} for each (required here)",
            f"{np.mean(alike):.1%}, at least {min(alike):.1%}",
            _judge(np.mean(alike) >= ALIKE and min(alike) >= WORST_ALIKE),
        ),
        Claim(
            "what it cannot make",
            "Its own kinds of scene are said to be possible, others not (wanted: nine of ten of each)",
            f"{np.mean(can):.0%} of its own kinds, {1 - np.mean(cannot):.0%} of others",
            _judge(np.mean(can) >= 0.9 and np.mean(cannot) <= 0.1),
        ),
    )


def can_make(row: Opened) -> bool:
    """The verdict of `Inversion.verdict`, from what the latent alone makes."""
    return row.psnr >= LEAST_PSNR and row.named >= LEAST_NAMED


def _judge(holds: bool | np.bool_, clear: bool = True) -> Verdict:
    if not holds:
        return "does not replicate at this scale"
    return "replicates" if clear else "unclear"


def claim_strokes(painted: Sequence[Painted]) -> tuple[Claim, ...]:
    """What is required of strokes: their effect beside that on own pictures, controls, their reach."""
    claims = []
    for action in (DRAW, ERASE):
        ratio = compare_effects(painted, action)
        said = f"{_verb(action)} has at least {SHARE} of the effect it has on own pictures (required here)"
        verdict = _judge(ratio.value >= SHARE, ratio.low >= SHARE)
        claims.append(Claim("strokes", said, ratio.spell(".2f"), verdict))
        best = _mean(painted, GIVEN, action, PAINTED)
        others = {way: _mean(painted, GIVEN, action, way) for way in (RANDOM, RETURNED, KEPT)}
        ours = f"{best:.0%}; {', '.join(f'{way} {value:.0%}' for way, value in others.items())}"
        said = f"{_verb(action)} does more than each control"
        claims.append(Claim("strokes", said, ours, _judge(best > max(others.values()))))
    some = [row for row in painted if row.subject == GIVEN and row.way == PAINTED]
    beyond, far = float(np.mean([row.beyond for row in some])), max(row.far for row in some)
    said = f"No pixel changes beyond 8 px of a stroke, at most {BEYOND:.0%} visibly beyond 4 (required here)"
    ours = f"{far} pixels; {beyond:.1%}"
    return (*claims, Claim("strokes", said, ours, _judge(far == 0 and beyond <= BEYOND)))


def _verb(action: str) -> str:
    return "Drawing" if action == DRAW else "Erasing"


def _mean(painted: Sequence[Painted], subject: str, action: str, way: str) -> float:
    """The mean over concepts of the mean effect."""
    return float(np.mean([np.mean(effects) for effects in _take(painted, subject, action, way).values()]))


def _take(painted: Sequence[Painted], subject: str, action: str, way: str) -> dict[str, list[float]]:
    """The effects by concept."""
    found: dict[str, list[float]] = {}
    for row in painted:
        if (row.subject, row.action, row.way) == (subject, action, way):
            found.setdefault(row.concept, []).append(row.effect)
    return found


def compare_effects(painted: Sequence[Painted], action: str, concept: str | None = None) -> Interval:
    """The effect on given pictures as a share of that on own ones, of the means over concepts.

    The interval is a bootstrap over pictures, of each concept and either side. NaN where there is none.
    """
    given, own = (_take(painted, subject, action, PAINTED) for subject in (GIVEN, OWN))
    names = [name for name in given if name in own and concept in (None, name)]
    if not names:
        return Interval(float("nan"))
    rng = np.random.default_rng(0)

    def drawn(effects: list[float]) -> Float64[np.ndarray, "draw"]:
        means: Float64[np.ndarray, "draw"] = np.asarray(effects)[draw_again(len(effects), _DRAWS, rng)].mean(
            1
        )
        return means

    above, below = (np.mean([drawn(side[name]) for name in names], 0) for side in (given, own))
    value = np.mean([np.mean(given[name]) for name in names]) / np.mean(
        [np.mean(own[name]) for name in names]
    )
    return take_middle(above / np.maximum(below, 1e-12), float(value))


def spell_painting(opened: Sequence[Opened], painted: Sequence[Painted], layer: str) -> str:
    """The numbers as Markdown: stages, then effects by action and concept."""
    rows = []
    for stage in dict.fromkeys(row.stage for row in opened):
        some = _take_stage(opened, stage, other=False)
        rows.append(
            (stage, *(_spell(some, name, form) for name, form in (("psnr", ".1f"), ("named", ".2f"))))
        )
    parts = [
        f"Fitted stages (units of `{layer}`), the mean and the range over pictures:",
        Table(("fitted", "PSNR, dB", "named alike"), tuple(rows)).markdown(),
    ]
    for action in (DRAW, ERASE):
        parts += [
            f"{_verb(action)}, effect in percent (how often it was tried):",
            table_effects(painted, action).markdown(),
        ]
    return "\n\n".join(parts)


def _spell(rows: Sequence[Opened], name: str, form: str) -> str:
    return spread([getattr(row, name) for row in rows], form)


def table_effects(painted: Sequence[Painted], action: str) -> Table:
    """The mean effects by concept: on own pictures, on given ones, and what of it is left; controls."""
    lines = []
    for concept in dict.fromkeys(row.concept for row in painted if row.action == action):
        own, own_random, *given = (
            _take(painted, subject, action, way).get(concept, [])
            for subject, way in (
                *((OWN, way) for way in (PAINTED, RANDOM)),
                *((GIVEN, way) for way in (PAINTED, RANDOM, RETURNED, KEPT)),
            )
        )
        cells = [
            f"{100 * np.mean(one):.0f} ({len(one)})" if one else "–" for one in (own, own_random, *given)
        ]
        lines.append(
            (concept, *cells[:3], compare_effects(painted, action, concept).spell(".2f"), *cells[3:])
        )
    head = ("", "own pictures", "own, random", "given pictures", "given / own", RANDOM, RETURNED, KEPT)
    return Table(head, tuple(lines))


def make_sheet(bench: Bench, inversions: Sequence[Inversion]) -> UInt8[np.ndarray, "y x 3"]:
    """Pictures in rows: given, from the latent, of the layer, with the first concept drawn, and erased."""
    concept, columns = bench.concepts[0], []
    for one in inversions:
        easel = bench.easel.place(one)
        here = (easel.name_pixels(one.picture) == concept.id).any(0)
        column = [one.picture, *(fit.picture for fit in one.fits[:2])]
        for mask, mode in ((find_square(bench.common[concept.id], here), DRAW), (here, ERASE)):
            place = Bitmap.of(np.zeros_like(here) if mask is None else mask)
            stroke = Stroke(bench.layer, bench.units[concept.id], place, mode, concept)
            column.append(easel.show(Painting(one.key, (stroke,))))
        columns.append(np.concatenate(column))
    return np.concatenate(columns, 1)
