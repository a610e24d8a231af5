"""What the study of scores found, as tables: shares of right names, and of cases in which a score falls."""

from collections.abc import Sequence

import numpy as np

from unitscope.lab.studies.claims import spread
from unitscope.lab.studies.score_measures import OUTPUTS, KnownUnits, MaskNames, Measured
from unitscope.lab.studies.score_pictures import PictureTest, average_tests
from unitscope.lab.studies.score_sanity import PASSES, SPOILINGS, IdealChange, RealFalls
from unitscope.lab.studies.score_units import COLUMNS, NOTHING, SHUFFLED, TOP, TOPS
from unitscope.statistics.intervals import Interval, draw_again, take_middle
from unitscope.statistics.label_scores import NEURON_EVAL
from unitscope.statistics.mask_scores import score_active
from unitscope.tables import Table

PUBLISHED = ("iou", "f1", "pearson", "cosine", "average_precision")
"""The scores that pass both tests in the paper."""

PLACES = ("cells", "pixels", "images")
SIZES = ((0.0, 0.01), (0.01, 0.04), (0.04, 1.0))
"""Concepts are small, middling or large by the share of inputs that have them."""

_REPLICATES = 1000
Column = tuple[str, float]
"""A score, and the share of inputs that is active for it."""


def list_passing(measured: Measured, seed: int) -> list[str]:
    """The scores that pass both tests with one seed."""
    found = []
    for score in NEURON_EVAL:
        shares = [fall for fall in list_falls(measured, score, seed).values() if fall == fall]
        if shares and min(shares) > PASSES:
            found.append(score)
    return found


def list_always(measured: Measured) -> list[str]:
    """The scores that pass both tests with every seed."""
    passing = [list_passing(measured, seed) for seed in list_seeds(measured)]
    return [score for score in NEURON_EVAL if all(score in some for some in passing)]


def list_seeds(measured: Measured) -> list[int]:
    """The seeds of the study."""
    return sorted({one.seed for one in measured.ideal})


def list_falls(measured: Measured, score: str, seed: int | None = None) -> dict[tuple[str, str], float]:
    """By kind of units and spoiling the share of cases in which a score falls, over seeds or of one."""
    found = {}
    kinds = ["ideal", *dict.fromkeys(one.units for one in measured.real)]
    for kind in kinds:
        rows: Sequence[IdealChange | RealFalls] = measured.ideal if kind == "ideal" else measured.real
        for spoiling in SPOILINGS:
            falls = [
                one.falls
                for one in rows
                if (one.score, one.spoiling) == (score, spoiling)
                and getattr(one, "units", "ideal") == kind
                and seed in (None, one.seed)
            ]
            found[kind, spoiling] = float(np.mean(falls)) if falls else float("nan")
    return found


def pick_cases(known: Sequence[KnownUnits], at: str, seed: int | None = None) -> list[KnownUnits]:
    """The planted units at some inputs, without the controls."""
    return [
        one
        for one in known
        if one.at == at
        and one.kind not in (NOTHING, SHUFFLED)
        and not one.kind.startswith(OUTPUTS)
        and seed in (None, one.seed)
    ]


def pick_outputs(known: Sequence[KnownUnits], seed: int | None = None) -> list[KnownUnits]:
    """The output units of all classifiers."""
    return [one for one in known if one.kind.startswith(OUTPUTS) and seed in (None, one.seed)]


def share_right(cases: Sequence[KnownUnits], column: Column) -> float:
    """The mean over cases of the share of units that are named right by a score."""
    place = COLUMNS.index(column)
    return float(np.mean([one.named.right[place].mean() for one in cases])) if cases else float("nan")


def bound_right(cases: Sequence[KnownUnits], column: Column) -> Interval:
    """The same with an interval: concepts are redrawn, each with its units of all cases and seeds."""
    place = COLUMNS.index(column)
    rights = np.concatenate([one.named.right[place] for one in cases]).astype(np.float64)
    weights = np.concatenate([np.full(len(one.named.keys), 1 / len(one.named.keys)) for one in cases])
    _, owner = np.unique(np.concatenate([one.named.keys for one in cases]), return_inverse=True)
    hits, sizes = np.bincount(owner, rights * weights), np.bincount(owner, weights)
    drawn = draw_again(len(hits), _REPLICATES, np.random.default_rng(0))
    return take_middle(hits[drawn].sum(1) / sizes[drawn].sum(1), share_right(cases, column))


def tune_top(cases: Sequence[KnownUnits], score: str) -> tuple[float, float]:
    """The share of active inputs that names most of a fifth of the concepts right, and the rest named by it.

    As NeuronEval tunes it, on concepts by lot.
    """
    keys = np.unique(np.concatenate([one.named.keys for one in cases]))
    chosen = set(np.random.default_rng(0).permutation(keys)[: max(1, len(keys) // 5)].tolist())

    def measure(top: float, inside: bool) -> float:
        place = COLUMNS.index((score, top))
        shares = []
        for one in cases:
            some = np.array([(int(key) in chosen) == inside for key in one.named.keys])
            if some.any():
                shares.append(one.named.right[place][some].mean())
        return float(np.mean(shares)) if shares else float("nan")

    best = max(TOPS, key=lambda top: (np.nan_to_num(measure(top, True)), -top))
    return best, measure(best, False)


def table_sanity(measured: Measured) -> Table:
    """Every score with the share of cases in which it falls."""
    kinds = ["ideal", *dict.fromkeys(one.units for one in measured.real)]
    passing, rows = list_always(measured), []
    for score in NEURON_EVAL:
        falls = list_falls(measured, score)
        shares = [f"{100 * falls[kind, spoiling]:.0f}" for kind in kinds for spoiling in SPOILINGS]
        rows.append((score, *shares, _say(score in passing), _say(score in PUBLISHED)))
    head = [f"{kind}, {spoiling}" for kind in kinds for spoiling in SPOILINGS]
    return Table(("falls in % of cases", *head, "passes", "in the paper"), tuple(rows))


def _say(yes: bool) -> str:
    return "yes" if yes else "no"


def table_right(measured: Measured, at: str) -> Table:
    """Every score with the share named right, by how units were planted, and of all with an interval."""
    cases = pick_cases(measured.known, at)
    ways = list(dict.fromkeys((one.kind, one.strength) for one in cases))
    rows = []
    for score in NEURON_EVAL:
        column = (score, TOP)
        shares = [
            f"{100 * share_right([one for one in cases if (one.kind, one.strength) == way], column):.0f}"
            for way in ways
        ]
        rows.append((score, *shares, bound_right(cases, column).spell(".0f", 100.0)))
    head = [f"{kind} {strength:g}" for kind, strength in ways]
    return Table(("named right, %", *head, "all"), tuple(rows))


def table_sizes(measured: Measured) -> Table:
    """Every score with the share named right, by how many cells have the concept."""
    cases = pick_cases(measured.known, "cells")
    rows = []
    for score in NEURON_EVAL:
        place = COLUMNS.index((score, TOP))
        shares = []
        for low, high in SIZES:
            rights = [
                one.named.right[place][(one.named.sizes >= low) & (one.named.sizes < high)] for one in cases
            ]
            joined = np.concatenate(rights)
            shares.append(f"{100 * joined.mean():.0f}" if len(joined) else "-")
        rows.append((score, *shares))
    head = [f"{100 * low:g} to {100 * high:g} % of cells" for low, high in SIZES]
    return Table(("named right, %", *head), tuple(rows))


def table_tops(measured: Measured, at: str) -> Table:
    """The scores that depend on the share of active inputs, with the share named right at each."""
    cases = pick_cases(measured.known, at)
    rows = []
    for score in score_active(1, 1, 1, 2):
        best, right = tune_top(cases, score)
        shares = [f"{100 * share_right(cases, (score, top)):.0f}" for top in TOPS]
        rows.append((score, *shares, f"{100 * right:.0f} at {100 * best:g} %"))
    head = [f"{100 * top:g} %" for top in TOPS]
    return Table((f"named right at {at}, %", *head, "chosen on a fifth, others"), tuple(rows))


def table_classes(measured: Measured) -> Table:
    """The classes of classifiers, and the controls: what every score makes of them."""
    outputs = pick_outputs(measured.known)
    kinds = list(dict.fromkeys(one.kind for one in outputs))
    rows = []
    for score in NEURON_EVAL:
        place, cells = COLUMNS.index((score, TOP)), []
        for kind in kinds:
            some = [one for one in outputs if one.kind == kind]
            cells.append(bound_right(some, (score, TOP)).spell(".0f", 100.0))
            cells.append(f"{np.mean([one.named.average_precision[place] for one in some]):.2f}")
        for kind in (SHUFFLED, NOTHING):
            for at in ("cells", "images"):
                some = [one for one in measured.known if (one.kind, one.at) == (kind, at)]
                cells.append(f"{100 * share_right(some, (score, TOP)):.0f}")
        some = [one for one in measured.known if (one.kind, one.at) == (NOTHING, "cells")]
        cells.append(f"{100 * np.mean([one.named.favorite[place] for one in some]):.0f}")
        rows.append((score, *cells))
    head = [text for kind in kinds for text in (f"{kind}, %", "average precision of pairs")]
    controls = [f"{kind}, {at}, %" for kind in (SHUFFLED, NOTHING) for at in ("cells", "images")]
    return Table(("named right", *head, *controls, "favorite name, %"), tuple(rows))


def table_pictures(tests: Sequence[PictureTest]) -> Table:
    """Names tested by pictures, over seeds."""
    rows = tuple(
        (
            *key,
            *(spread(row[name], ".2f") for name in ("auroc", "swapped_auroc")),
            *(spread(row[name], ".1f") for name in ("difference", "swapped_difference")),
            spread([100 * one for one in row["right"]], ".0f"),
        )
        for key, row in average_tests(tests).items()
    )
    head = (
        "units",
        "controls",
        "AUROC",
        "of others' names",
        "difference",
        "of others' names",
        "named right, %",
    )
    return Table(head, rows, (0, 1))


def table_masks(masks: Sequence[MaskNames]) -> Table:
    """By what a dissection names by, the share of planted units named right, by convention and kind."""
    ways = list(dict.fromkeys((one.kind, one.strength) for one in masks))
    conventions = list(dict.fromkeys(one.convention for one in masks))
    rows = []
    for name_by in dict.fromkeys(one.name_by for one in masks):
        cells = []
        for convention in conventions:
            some = [one for one in masks if (one.name_by, one.convention) == (name_by, convention)]
            for way in ways:
                rights = [one.right for one in some if (one.kind, one.strength) == way]
                cells.append(f"{100 * np.mean(rights):.0f}")
            cells.append(f"{100 * np.mean([one.right for one in some]):.0f}")
        rows.append((name_by, *cells))
    spelled = (*(f"{kind} {strength:g}" for kind, strength in ways), "all")
    head = [f"{convention}: {way}" for convention in conventions for way in spelled]
    return Table(("named right by dissect, %", *head), tuple(rows))


def table_known(known: Sequence[KnownUnits]) -> Table:
    """All that was measured of units of known names, a row a case and score."""
    rows = []
    for one in known:
        for place, (score, top) in enumerate(COLUMNS):
            named = one.named
            figures = (named.right[place].mean(), named.favorite[place], named.average_precision[place])
            about = (one.seed, one.at, one.kind, one.strength, score, top, len(named.keys))
            rows.append((*about, *map(float, figures)))
    head = (
        "seed",
        "at",
        "kind",
        "strength",
        "score",
        "top",
        "units",
        "right",
        "favorite",
        "average_precision",
    )
    return Table(head, tuple(rows), (1, 2, 4))
