"""Does painting work on given pictures as on a generator's own? Claims, tables, the figure."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import cache, partial

import numpy as np
from jaxtyping import Float64

from unitscope.axes import Pixels
from unitscope.errors import UsageError
from unitscope.interventions.inversion import Steps, invert_picture
from unitscope.interventions.inversion_result import LEAST_NAMED, LEAST_PSNR, Inversion
from unitscope.interventions.painting.strokes import Bitmap, Painting, Stroke
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
    Rows,
    describe_opened,
    find_square,
    invert_all,
    keep_rows,
    paint_all,
    set_up,
)
from unitscope.lab.studies.painting_subjects import (
    DRAWN,
    QUICK_EXTENT,
    Extent,
    Subject,
    dissect_subject,
    open_zoo_subject,
)
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting
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
    "concept's own pixels, where it has 3 % of the picture, the share that is named otherwise (erase). "
    "*Visibly*: by more than 8 of 255."
)
SEEDS = (9211, 9212, 9213, 9214, 9215)
"""Each repetition's, of drawn scenes with which nothing was taught or adjusted, and of what is random."""
PSNR, WORST_PSNR, ALIKE, WORST_ALIKE, SHARE, BEYOND = 38.0, 30.0, 0.97, 0.90, 0.85, 0.02
OTHER = "another scene"
"""What the kind of scenes is called that the generator has never seen."""
_DRAWS = 2000
_SHOWN = 4


def study_painting(
    setting: Setting, extent: Extent | None = None, subjects: Sequence[Subject] = ()
) -> Finding:
    """Inverts given pictures into a generator, and paints on them and on its own pictures.

    The zoo's generator and drawn scenes, other ones in every repetition; or `subjects` of one generator, each
    of which is a repetition: the same pictures named by other segmenters, for example, or other pictures.
    What was inverted and measured is kept in the setting's folder: the same call goes on where it was
    stopped. Raises `UsageError` for more subjects than there are seeds, and what `dissect`, `invert_picture`
    and `Easel.show` raise.
    """
    spent, folder = extent or (QUICK_EXTENT if setting.quick else Extent()), setting.folder / "painting"
    opened, painted, sheet = list[Opened](), list[Painted](), None
    prepare, pairs = cache(partial(_prepare, spent)), _pair_subjects(setting, subjects)
    first = spent.named  # the generator's own pictures are others than those that name the units
    for seed, subject in pairs:
        bench = prepare(subject)
        found = list(invert_all(bench, subject.give(seed, spent), folder / "inversions"))
        sheet = make_sheet(bench, [one for one, _ in found[:_SHOWN]]) if sheet is None else sheet
        others = subject.give_others(seed, spent)
        measure = partial(_measure_repeat, bench, found, others, seed, first)
        asked = [
            subject.concepts,
            subject.quantile,
            subject.generator.seed,
            first,
            asdict(spent),
            __version__,
        ]
        columns = [[column.name for column in fields(kind)] for kind in (Opened, Painted)]
        keys = [one.key for one, _ in found]
        key = digest_of(subject.segmenter.digest, bench.layer, seed, keys, asked, columns)
        rows = keep_rows(folder / "measured" / f"{seed}-{key[:16]}.json", measure)
        opened += [Opened(**row) for row in rows["opened"]]  # type: ignore[arg-type]
        painted += [Painted(**row) for row in rows["painted"]]  # type: ignore[arg-type]
        first += len(found)
    assert sheet is not None  # there is one repetition at least
    tried = [subject for _, subject in pairs]
    return judge_painting(opened, painted, bench.layer, sheet, tried, quick=setting.quick)


def _pair_subjects(setting: Setting, subjects: Sequence[Subject]) -> list[tuple[int, Subject]]:
    """The seed of every repetition, and what it is measured with."""
    if len(subjects) > len(SEEDS):
        raise UsageError(f"{len(subjects)} subjects were given; wanted {len(SEEDS)} at most")
    if subjects:
        return list(zip(SEEDS, subjects, strict=False))[: 1 if setting.quick else None]
    zoo = open_zoo_subject()
    return [(SEEDS[repeat], zoo) for repeat in setting.repetitions()]


def _prepare(extent: Extent, subject: Subject) -> Bench:
    return set_up(dissect_subject(subject, extent), subject.concepts, subject.features, extent.levels)


def _measure_repeat(
    bench: Bench,
    found: Sequence[tuple[Inversion, float]],
    others: Sequence[Pixels],
    seed: int,
    first: int,
) -> Rows:
    """All rows of one repetition, with as many of the generator's own pictures, from number `first` on."""
    easel = bench.easel
    for one, _ in found:
        easel = easel.place(one)
    given = replace(bench, easel=easel)
    painted = paint_all(given, GIVEN, [one.key for one, _ in found], seed)
    painted += paint_all(bench, OWN, list(range(first, first + len(found))), seed)
    opened = describe_opened(given, found, seed) + _open_others(bench, others, seed)
    return {"opened": [asdict(row) for row in opened], "painted": [asdict(row) for row in painted]}


def _open_others(bench: Bench, pictures: Sequence[Pixels], seed: int) -> list[Opened]:
    """What the latent alone makes of scenes that the generator has never seen."""
    rows, steps = list[Opened](), Steps(layer=0, maps=0)
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
        rows.append(Opened(seed, place, OTHER, fit.stage, fit.psnr, fit.named, float("nan"), -1))
    return rows


def judge_painting(
    opened: Sequence[Opened],
    painted: Sequence[Painted],
    layer: str,
    sheet: Pixels,
    subjects: Sequence[Subject] = (),
    *,
    quick: bool = False,
) -> Finding:
    """The finding, from all that was measured; without subjects, on drawn scenes."""
    sheets = {
        "painting.csv": Table.of(map(asdict, painted), [column.name for column in fields(Painted)]),
        "stages.csv": Table.of(map(asdict, opened), [column.name for column in fields(Opened)]),
    }
    seeds = ", ".join(map(str, sorted({row.seed for row in painted or opened})))
    count, shown = len(_take_stage(opened, "latent", other=False)), subjects[0].shown if subjects else DRAWN
    left = dict.fromkeys(str(one) for subject in subjects for one in subject.left_out)
    return Finding(
        "painting",
        QUESTION,
        (*claim_stages(opened, shown), *claim_strokes(painted)),
        spell_painting(opened, painted, layer),
        sheets,
        "; ".join([f"{seeds}, {count} {shown} in all", *left]),
        quick=quick,
        rule=RULE,
        figure=partial(draw_painting, painted, sheet),
    )


def _take_stage(opened: Sequence[Opened], stage: str, *, other: bool) -> list[Opened]:
    return [row for row in opened if row.stage == stage and (row.kind == OTHER) is other]


def claim_stages(opened: Sequence[Opened], shown: str = DRAWN) -> tuple[Claim, ...]:
    """What is required of the inverted pictures, and of the verdict on them."""
    last = [row for row in opened if row.kind != OTHER][-1].stage
    found = _take_stage(opened, last, other=False)
    psnr, alike = [row.psnr for row in found], [row.named for row in found]
    altered = sum(row.altered for row in found)
    return (
        Claim(
            "inverted pictures",
            f"PSNR at least {PSNR:g} dB in the mean, {WORST_PSNR:g} for each (required here)",
            f"{np.mean(psnr):.1f} dB, at least {min(psnr):.1f}, of {len(psnr)}",
            _judge(np.mean(psnr) >= PSNR and min(psnr) >= WORST_PSNR),
        ),
        Claim(
            "inverted pictures",
            f"{ALIKE:.0%} of the pixels named as in the picture, {WORST_ALIKE:.0%} for each (required here)",
            f"{np.mean(alike):.1%}, at least {min(alike):.1%}",
            _judge(np.mean(alike) >= ALIKE and min(alike) >= WORST_ALIKE),
        ),
        Claim(
            "inverted pictures",
            "Without a stroke the picture is the given one, bit for bit (required here)",
            f"{altered} pixels differ, of {len(found)} pictures",
            _judge(altered == 0),
        ),
        _claim_verdict(opened, shown),
    )


def _claim_verdict(opened: Sequence[Opened], shown: str) -> Claim:
    """Whether the verdict of inversions tells what the generator can make."""
    can, cannot = (
        [can_make(row) for row in _take_stage(opened, "latent", other=other)] for other in (False, True)
    )
    ours, theirs = ("its own kinds", "others") if shown == DRAWN else (f"the {shown}", DRAWN)
    said = "Its own kinds of scene" if shown == DRAWN else f"The {shown}"
    no = f"{1 - np.mean(cannot):.0%}" if cannot else "none tried"
    return Claim(
        "what it cannot make",
        f"{said} are said to be possible, {theirs} not (wanted: nine of ten of each)",
        f"{np.mean(can):.0%} of {ours}, {no} of {theirs}",
        _judge(np.mean(can) >= 0.9 and np.mean(cannot) <= 0.1) if cannot else "not tested",
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
    claims = [claim for action in (DRAW, ERASE) for claim in _claim_action(painted, action)]
    some = [row for row in painted if row.subject == GIVEN and row.way == PAINTED]
    seen, all_changes = (
        float(np.mean([getattr(row, name) for row in some])) if some else float("nan")
        for name in ("beyond", "changed")
    )
    far = max((row.far for row in some), default=0)
    for said, ours, holds in (
        ("No pixel changes beyond 8 px of a stroke", f"{far} pixels", far == 0),
        (
            f"At most {BEYOND:.0%} of the pixels beyond 4 px change",
            f"{all_changes:.1%}",
            all_changes <= BEYOND,
        ),
        (f"At most {BEYOND:.0%} of the pixels beyond 4 px change visibly", f"{seen:.1%}", seen <= BEYOND),
    ):
        claims.append(_claim_tried(f"{said} (required here)", ours, _judge(holds), tried=bool(some)))
    return tuple(claims)


def _claim_action(painted: Sequence[Painted], action: str) -> tuple[Claim, Claim]:
    """Its effect beside that on own pictures, and beside the controls."""
    ratio = compare_effects(painted, action)
    said = f"{_verb(action)} has at least {SHARE} of the effect it has on own pictures (required here)"
    verdict = _judge(ratio.value >= SHARE, ratio.low >= SHARE)
    share = _claim_tried(said, ratio.spell(".2f"), verdict, tried=ratio.value == ratio.value)
    best = _mean(painted, GIVEN, action, PAINTED)
    others = {way: _mean(painted, GIVEN, action, way) for way in (RANDOM, RETURNED, KEPT)}
    ours = f"{best:.0%}; {', '.join(f'{way} {value:.0%}' for way, value in others.items())}"
    said = f"{_verb(action)} does more than each control"
    return share, _claim_tried(said, ours, _judge(best > max(others.values())), tried=best == best)


def _claim_tried(said: str, ours: str, verdict: Verdict, *, tried: bool) -> Claim:
    return Claim("strokes", said, *((ours, verdict) if tried else ("could not be tried", "not tested")))


def _verb(action: str) -> str:
    return "Drawing" if action == DRAW else "Erasing"


def _mean(painted: Sequence[Painted], subject: str, action: str, way: str) -> float:
    """The mean over concepts of the mean effect, NaN where there is none."""
    found = _take(painted, subject, action, way).values()
    return float(np.mean([np.mean(effects) for effects in found])) if found else float("nan")


def _take(painted: Sequence[Painted], subject: str, action: str, way: str) -> dict[str, list[float]]:
    """The effects by concept."""
    found: dict[str, list[float]] = {}
    for row in painted:
        if (row.subject, row.action, row.way) == (subject, action, way):
            found.setdefault(row.concept, []).append(row.effect)
    return found


def compare_effects(painted: Sequence[Painted], action: str, concept: str | None = None) -> Interval:
    """The effect on given pictures as a share of that on own ones, of the means over concepts.

    The interval is a bootstrap over pictures, of each concept and either side. NaN where there is none, or no
    effect on own pictures.
    """
    given, own = (_take(painted, subject, action, PAINTED) for subject in (GIVEN, OWN))
    names = [name for name in given if name in own and concept in (None, name)]
    if not any(max(own[name]) > 0 for name in names):
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
    seconds = [row.seconds for row in _take_stage(opened, "latent", other=False)]
    known = [value for value in seconds if value == value]
    if known:
        parts.append(f"Inverting one took {spread(known)} seconds of processors ({len(known)} pictures).")
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


def make_sheet(bench: Bench, inversions: Sequence[Inversion]) -> Pixels:
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
