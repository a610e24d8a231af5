"""The human evaluation of paper A (table 3) with scripted raters, whose judgment is known: no people."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import Dissection
from unitscope.errors import UsageError
from unitscope.experiments.questionnaire import Question, Questionnaire, draw_questions
from unitscope.experiments.raters import ALL, RatingResult, measure_ratings
from unitscope.experiments.ratings import answer_all
from unitscope.lab.studies.scripted_raters import Careless, Coin, Oracle, consult_labels
from unitscope.networks.network import Network
from unitscope.tables import Cells, Table, short

SHARES = (0.1, 0.25, 0.5)
"""How much of a picture's active pixels a concept must fill to describe it: laxer and stricter oracles."""
CARELESS = 0.1
PANEL = ("first", "second", "third")
"""Raters who see the labels and turn one answer in ten over, each by coins of their own."""
REPEATS = 24
"""Repeats, and decoys: more than people get, so that their shares are told apart."""


@dataclass(frozen=True)
class Described:
    """What scripted raters say of the units of one layer, for one seed.

    `units` of `all_units` were rated. `described` is the share that the panel of careless raters takes the
    label to describe, `consistency` how often one of them says so where most of the others do, `detected` how
    many of those are detectors; `above` and `counts` are the share described, and the number of units, above
    each IoU cut-off. `oracle` gives the share that an oracle would call described, by how much of the active
    pixels the concept must fill.
    """

    seed: int
    layer: str
    units: int
    all_units: int
    detectors: int
    described: float
    consistency: float
    detected: float
    agreement: float
    above: dict[float, float]
    counts: dict[float, int]
    oracle: dict[float, float]


@dataclass(frozen=True)
class Judged:
    """One scripted rater, for one seed: what the measures say of someone whose care is known."""

    seed: int
    rater: str
    yes: float
    others: float
    same: float
    caught: float
    flagged: bool


@dataclass(frozen=True)
class Panel:
    """One seed: its layers, its raters, and the agreement of the careless three."""

    seed: int
    layers: tuple[Described, ...]
    raters: tuple[Judged, ...]
    agreement: float
    alpha: float


def study_raters(
    network: Network,
    layers: Sequence[str],
    source: ConceptSource,
    *,
    convention: str = "netdissect",
    units: int | None = None,
    seed: int = 0,
    careless: float = CARELESS,
) -> Panel:
    """Dissects layers and lets scripted raters answer: three careless ones, an oracle, a coin, one who nods.

    `seed` draws the questions and the coins. All units that have a label are asked about, or `units` of them.
    Raises `UsageError` for a share of slips outside 0 to 1, and what dissecting and asking raise.
    """
    if not 0 <= careless <= 1:
        raise UsageError(f"a rater slips in {careless} of the answers; wanted 0 to 1")
    run = dissect(network, source, layers, convention=convention, confidences=Confidences(0))
    asked = draw_questions(run, units=units, repeats=REPEATS, decoys=REPEATS, seed=seed)
    oracle = consult_labels(run, source, asked)
    judges = {name: Careless(oracle, Coin(seed, name, careless)) for name in PANEL}
    panel = measure_ratings(
        asked, {name: answer_all(asked, name, judge) for name, judge in judges.items()}, seed=seed
    )
    everyone: dict[str, Callable[[Question], bool]] = {
        **judges,
        "oracle": oracle,
        "coin": Coin(seed, "coin"),
        "yes": _nod,
    }
    all_of_them = measure_ratings(
        asked, {name: answer_all(asked, name, judge) for name, judge in everyone.items()}, draws=20, seed=seed
    )
    return Panel(
        seed,
        tuple(_describe(panel, run, asked, oracle, seed)),
        tuple(_judge(all_of_them, seed)),
        panel.agreement.value,
        panel.alpha.value,
    )


def _nod(_question: Question) -> bool:
    return True


def _describe(
    panel: RatingResult, run: Dissection, asked: Questionnaire, oracle: Oracle, seed: int
) -> Iterable[Described]:
    for row in panel.layers:
        mine = [one for one in asked.labels if row.layer in (one.layer, ALL)]
        weights = np.array([one.weight for one in mine])
        shares = {}
        for share in SHARES:
            told = Oracle(oracle.fills, share)
            shares[share] = float(weights @ [told(one) for one in mine] / weights.sum())
        layers = list(run) if row.layer == ALL else [row.layer]
        yield Described(
            seed=seed,
            layer=row.layer,
            units=row.units,
            all_units=row.all_units,
            detectors=sum(run[layer].detectors for layer in layers),
            described=row.described.value,
            consistency=row.consistency.value,
            detected=row.detected.value,
            agreement=row.agreement.value,
            above={cutoff: measure.value for cutoff, measure in row.above},
            counts={cutoff: measure.count for cutoff, measure in row.above},
            oracle=shares,
        )


def _judge(result: RatingResult, seed: int) -> Iterable[Judged]:
    for row in result.raters:
        yield Judged(
            seed=seed,
            rater=row.rater,
            yes=row.yes,
            others=row.others.value,
            same=row.same / max(row.repeats, 1),
            caught=row.caught / max(row.decoys, 1),
            flagged=bool(row.flags),
        )


def described_rows(panels: Sequence[Panel]) -> Iterable[Cells]:
    """layers.csv: a row a seed, layer and cut-off."""
    yield ["seed", "layer", "units", "all_units", "detectors", "described", "consistency", "detected",
           "agreement", *(f"oracle_{share:g}" for share in SHARES), "cutoff", "described_above",
           "units_above"]  # fmt: skip
    for row in (row for panel in panels for row in panel.layers):
        figures = [row.described, row.consistency, row.detected, row.agreement, *row.oracle.values()]
        own = [str(row.seed), row.layer, str(row.units), str(row.all_units), str(row.detectors)]
        for cutoff, above in row.above.items():
            cells = [f"{cutoff:g}", short(above), str(row.counts[cutoff])]
            yield [*own, *map(short, figures), *cells]


def judged_rows(panels: Sequence[Panel]) -> Iterable[Cells]:
    """raters.csv: a row a seed and scripted rater."""
    yield ["seed", "rater", "yes", "others", "same", "caught", "flagged"]
    for row in (row for panel in panels for row in panel.raters):
        figures = [row.yes, row.others, row.same, row.caught]
        yield [str(row.seed), row.rater, *map(short, figures), str(int(row.flagged))]


@dataclass(frozen=True)
class Paper:
    """A row of paper A, table 3: units of AlexNet, trained on Places205, whom people found interpretable."""

    layer: str
    interpretable: int
    units: int
    consistency: float
    dissection: float

    @property
    def described(self) -> float:
        """The share of all units that are interpretable and whose label people call descriptive."""
        return self.dissection * self.interpretable / self.units


TABLE_3 = (
    Paper("conv1", 57, 96, 0.82, 0.37),
    Paper("conv2", 126, 256, 0.76, 0.56),
    Paper("conv3", 247, 384, 0.83, 0.54),
    Paper("conv4", 258, 384, 0.82, 0.59),
    Paper("conv5", 194, 256, 0.91, 0.71),
)


def spell_panels(panels: Sequence[Panel]) -> str:
    """The study as Markdown: layers as in table 3, units above cut-offs, raters; ranges are over seeds."""
    rows = {
        name: [row for panel in panels for row in panel.layers if row.layer == name]
        for name in _names(panels)
    }
    cutoffs = list(next(iter(rows.values()))[0].above)
    first = [["layer", "rated", "described", "consistency", "detectors among them", "agreement",
              *(f"oracle, {share:.0%}" for share in SHARES)]]  # fmt: skip
    second = [["layer", *(f"IoU > {cutoff:g}" for cutoff in cutoffs)]]
    for name, mine in rows.items():
        cells = [name, _count(row.units for row in mine)]
        cells += [_percent(getattr(row, field) for row in mine) for field in
                  ("described", "consistency", "detected", "agreement")]  # fmt: skip
        first.append([*cells, *(_percent(row.oracle[share] for row in mine) for share in SHARES)])
        above = [
            f"{_percent(row.above[one] for row in mine)} [{_count(row.counts[one] for row in mine)}]"
            for one in cutoffs
        ]
        second.append([name, *above])
    third = [["rater", "yes", "as the others", "same again", "decoys caught", "flagged"]]
    for name in dict.fromkeys(row.rater for panel in panels for row in panel.raters):
        judged = [row for panel in panels for row in panel.raters if row.rater == name]
        cells = [
            _percent(getattr(row, field) for row in judged) for field in ("yes", "others", "same", "caught")
        ]
        third.append([name, *cells, f"{sum(row.flagged for row in judged)} of {len(judged)}"])
    agree = _percent(panel.agreement for panel in panels)
    alpha = _span([f"{panel.alpha:.2f}" for panel in panels])
    tables = "\n\n".join(
        Table(tuple(head), tuple(map(tuple, rows))).markdown() for head, *rows in (first, second, third)
    )
    told = f"The careless three agree in {agree} % of pairs of answers; Krippendorff's alpha {alpha}."
    return f"{tables}\n\n{told}"


def _names(panels: Sequence[Panel]) -> list[str]:
    return list(dict.fromkeys(row.layer for panel in panels for row in panel.layers))


def _span(told: Sequence[str]) -> str:
    """The smallest and the largest of some numbers that are spelled alike."""
    low, high = min(told, key=float), max(told, key=float)
    return low if low == high else f"{low}–{high}"


def _percent(values: Iterable[float]) -> str:
    found = [f"{100 * value:.0f}" for value in values if not np.isnan(value)]
    return _span(found) if found else "-"


def _count(values: Iterable[int]) -> str:
    return _span([str(value) for value in values])
