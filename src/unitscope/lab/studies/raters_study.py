"""The human evaluation of paper A (table 3) with scripted raters, whose judgment is known: no people."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import Dissection
from unitscope.errors import UsageError
from unitscope.experiments.questionnaire import Question, Questionnaire, draw_questions
from unitscope.experiments.raters import ALL, RatingResult, measure_ratings
from unitscope.experiments.ratings import answer_all
from unitscope.lab.studies.scripted_raters import Careless, Coin, Oracle, consult_labels
from unitscope.lab.studies.study import StudyResult
from unitscope.lab.world import open_drawn
from unitscope.networks.network import Network
from unitscope.tables import Table
from unitscope.views.figures import INKS, MUTED, open_figure

SHARES = (0.1, 0.25, 0.5)
"""How much of a picture's active pixels a concept must fill to describe it: laxer and stricter oracles."""
CARELESS = 0.1
PANEL = ("first", "second", "third")
"""Raters who see the labels and give one answer in ten wrong, each at other questions."""
REPEATS = 24
"""Repeats, and decoys: more than people get, so that their shares can be compared."""
MEASURES = ("described", "consistency", "detected", "agreement")
_WIDE, _HIGH = 720.0, 300.0


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
    images: int = 1200,
    seeds: int = 3,
    *,
    convention: str = "netdissect",
    quick: bool = False,
) -> "RatersStudy":
    """Rates the units of a network dissected over drawn scenes, other ones for every seed.

    `quick` takes 100 scenes and one seed, a first look. Raises as `rate_by_scripts` does.
    """
    images, seeds = (100, 1) if quick else (images, seeds)
    size = (network.preprocessing.size or (64, 64))[0]
    sources = (open_drawn(images, 2000 + seed, size) for seed in range(seeds))
    rated = (
        rate_by_scripts(network, layers, source, convention=convention, seed=seed)
        for seed, source in enumerate(sources)
    )
    return RatersStudy(tuple(rated), quick)


def rate_by_scripts(
    network: Network,
    layers: Sequence[str],
    source: ConceptSource,
    *,
    convention: str = "netdissect",
    units: int | None = None,
    seed: int = 0,
    careless: float = CARELESS,
) -> Panel:
    """Dissects layers and lets scripts answer: three careless ones, an oracle, a coin, one that says yes.

    `seed` draws the questions and the coins. All units that have a label are asked about, or `units` of them.
    Raises `UsageError` for a share of slips outside 0 to 1, and what dissecting and asking raise.
    """
    if not 0 <= careless <= 1:
        raise UsageError(f"a rater slips in {careless} of the answers; wanted 0 to 1")
    run = dissect(network, source, layers, convention=convention, confidences=Confidences(0))
    asked = draw_questions(run, units=units, repeats=REPEATS, decoys=REPEATS, seed=seed)
    oracle = consult_labels(run, source, asked)
    scripts: dict[str, Callable[[Question], bool]] = {
        **{name: Careless(oracle, Coin(seed, name, careless)) for name in PANEL},
        "oracle": oracle,
        "coin": Coin(seed, "coin"),
        "yes": _say_yes,
    }
    answers = {name: answer_all(asked, name, script) for name, script in scripts.items()}
    panel = measure_ratings(asked, {name: answers[name] for name in PANEL}, seed=seed)
    return Panel(
        seed,
        tuple(_describe(panel, run, asked, oracle, seed)),
        tuple(_judge(measure_ratings(asked, answers, draws=20, seed=seed), seed)),
        panel.agreement.value,
        panel.alpha.value,
    )


def _say_yes(_question: Question) -> bool:
    return True


def _describe(
    panel: RatingResult, run: Dissection, asked: Questionnaire, oracle: Oracle, seed: int
) -> Iterator[Described]:
    for row in panel.layers:
        questions = [one for one in asked.labels if row.layer in (one.layer, ALL)]
        weights = np.array([one.weight for one in questions])
        shares = {}
        for share in SHARES:
            judge = Oracle(oracle.fills, share)
            shares[share] = float(weights @ [judge(one) for one in questions] / weights.sum())
        detectors = sum(run[layer].detectors for layer in (run if row.layer == ALL else [row.layer]))
        yield Described(
            *(seed, row.layer, row.units, row.all_units, detectors),
            **{name: getattr(row, name).value for name in MEASURES},
            above={cutoff: measure.value for cutoff, measure in row.above},
            counts={cutoff: measure.count for cutoff, measure in row.above},
            oracle=shares,
        )


def _judge(result: RatingResult, seed: int) -> Iterator[Judged]:
    for row in result.raters:
        same, caught = row.same / max(row.repeats, 1), row.caught / max(row.decoys, 1)
        yield Judged(seed, row.rater, row.yes, row.others.value, same, caught, bool(row.flags))


PEOPLE = tuple(
    share * interpretable / units
    for interpretable, units, share in (
        *((57, 96, 0.37), (126, 256, 0.56), (247, 384, 0.54), (258, 384, 0.59), (194, 256, 0.71)),
    )
)
"""The shares of all units, of AlexNet's conv1 to conv5, whose label people call descriptive.

Paper A, table 3: of so many units that people find interpretable, out of so many, that share.
"""


@dataclass(frozen=True)
class RatersStudy(StudyResult):
    """What the measures say of scripted raters, a panel a seed."""

    panels: tuple[Panel, ...]
    quick: bool = False

    @property
    def layers(self) -> dict[str, list[Described]]:
        """The rows of every layer, and of all together, over the seeds."""
        rows = [row for panel in self.panels for row in panel.layers]
        names = dict.fromkeys(row.layer for row in rows)
        return {name: [row for row in rows if row.layer == name] for name in names}

    def tables(self) -> dict[str, Table]:
        """layers.csv, a row a seed, layer and cut-off; raters.csv, a row a seed and scripted rater."""
        names = ("seed", "layer", "units", "all_units", "detectors", *MEASURES)
        head = (
            *names,
            *(f"oracle_{share:g}" for share in SHARES),
            "cutoff",
            "described_above",
            "units_above",
        )
        layers = []
        for row in (row for panel in self.panels for row in panel.layers):
            cells = [*(getattr(row, name) for name in names), *row.oracle.values()]
            layers += [(*cells, cutoff, above, row.counts[cutoff]) for cutoff, above in row.above.items()]
        raters = [asdict(row) for panel in self.panels for row in panel.raters]
        return {
            "layers.csv": Table(head, tuple(layers), (1,)),
            "raters.csv": Table.of(
                ({**row, "flagged": int(row["flagged"])} for row in raters),
                [one.name for one in fields(Judged)],
            ),
        }

    def text(self) -> str:
        """Markdown: layers as in table 3, units above cut-offs, raters; ranges are over seeds."""
        start = "A quick look, not a result.\n" if self.quick else ""
        tables = [self._table_layers(), self._table_cutoffs(), self._table_raters()]
        agree = _percent(panel.agreement for panel in self.panels)
        alpha = _span([f"{panel.alpha:.2f}" for panel in self.panels])
        end = f"The careless three agree in {agree} % of pairs of answers; Krippendorff's alpha {alpha}."
        return "\n\n".join([start + tables[0].markdown(), *(one.markdown() for one in tables[1:]), end])

    def _table_layers(self) -> Table:
        rows = []
        for name, some in self.layers.items():
            cells = [name, _count(row.units for row in some), *_percents(some, MEASURES)]
            rows.append((*cells, *(_percent(row.oracle[share] for row in some) for share in SHARES)))
        head = ("layer", "rated", "described", "consistency", "detectors among them", "agreement")
        return Table((*head, *(f"oracle, {share:.0%}" for share in SHARES)), tuple(rows))

    def _table_cutoffs(self) -> Table:
        cutoffs, rows = list(self.panels[0].layers[0].above), []
        for name, some in self.layers.items():
            shares = [_percent(row.above[one] for row in some) for one in cutoffs]
            counts = [_count(row.counts[one] for row in some) for one in cutoffs]
            rows.append((name, *(f"{share} [{count}]" for share, count in zip(shares, counts, strict=True))))
        return Table(("layer", *(f"IoU > {cutoff:g}" for cutoff in cutoffs)), tuple(rows))

    def _table_raters(self) -> Table:
        rated, rows = [row for panel in self.panels for row in panel.raters], []
        for name in dict.fromkeys(row.rater for row in rated):
            some = [row for row in rated if row.rater == name]
            flagged = f"{sum(row.flagged for row in some)} of {len(some)}"
            rows.append((name, *_percents(some, ("yes", "others", "same", "caught")), flagged))
        head = ("rater", "yes", "as the others", "same again", "decoys caught", "flagged")
        return Table(head, tuple(rows))

    def record(self) -> list[dict[str, Any]]:
        """A mapping a seed."""
        return [asdict(panel) for panel in self.panels]

    def draw(self, path: Path) -> Path:
        """Draws the units whose label describes them, by layer and by IoU, in percent.

        Lines are means over seeds, whiskers their range; beside them what people said in paper A. Raises
        `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
        """
        with open_figure(path, _WIDE, _HIGH, 2) as (figure, axes):
            _draw_layers(axes[0], self.layers)
            _draw_cutoffs(axes[1], self.layers)
            for axis in axes:
                axis.set_ylim(0, 103)
                axis.grid(axis="x", visible=False)
                axis.set_ylabel("% of units")
            handles = [part for axis in axes for part in axis.get_legend_handles_labels()[0]]
            labels = [name for axis in axes for name in axis.get_legend_handles_labels()[1]]
            look = {"handlelength": 1.6, "columnspacing": 1.4}
            figure.legend(handles, labels, loc="outside lower left", ncols=3, **look)
        return path


def _draw_layers(axis: Any, layers: Mapping[str, Sequence[Described]]) -> None:
    found = {name: rows for name, rows in layers.items() if name != ALL}
    described = [[row.described for row in rows] for rows in found.values()]
    _plot(axis, described, INKS[0], "three careless scripts")
    for share, style in ((SHARES[0], "--"), (SHARES[-1], ":")):
        means = [100 * np.mean([row.oracle[share] for row in rows]) for rows in found.values()]
        axis.plot(range(len(means)), means, style, color=INKS[2], lw=1.6, label=f"oracle, {share:.0%} filled")
    if len(found) == len(PEOPLE):
        people = [100 * share for share in PEOPLE]
        axis.plot(
            range(len(people)), people, "s-", color=MUTED, ms=5, lw=1.2, label="people, AlexNet (paper A)"
        )
    axis.set_xticks(range(len(found)), list(found), fontsize=10)
    axis.set_title("The label describes the unit")


def _draw_cutoffs(axis: Any, layers: Mapping[str, Sequence[Described]]) -> None:
    last = [name for name in layers if name != ALL][-1]
    cutoffs = list(layers[last][0].above)
    for name, ink in ((ALL, INKS[1]), (last, INKS[4])):
        if name in layers:
            above = [[row.above[one] for row in layers[name]] for one in cutoffs]
            _plot(axis, above, ink, f"{'all layers' if name == ALL else last}, by IoU")
    axis.set_xticks(range(len(cutoffs)), [f"> {one:g}" for one in cutoffs], fontsize=10)
    axis.set_title("… among units above an IoU")


def _plot(axis: Any, values: Sequence[Sequence[float]], ink: str, label: str) -> None:
    shares = [100 * np.array([one for one in seeds if not np.isnan(one)] or [np.nan]) for seeds in values]
    means = np.array([one.mean() for one in shares])
    reach = np.nan_to_num([means - [one.min() for one in shares], [one.max() for one in shares] - means])
    look = {"color": ink, "marker": "o", "ms": 5, "lw": 2, "capsize": 2.5}
    axis.errorbar(range(len(means)), means, reach, label=label, **look)


def _span(numbers: Sequence[str]) -> str:
    """The smallest and the largest of some numbers that are spelled alike."""
    low, high = min(numbers, key=float), max(numbers, key=float)
    return low if low == high else f"{low}–{high}"


def _percent(values: Iterable[float]) -> str:
    found = [f"{100 * value:.0f}" for value in values if not np.isnan(value)]
    return _span(found) if found else "-"


def _percents(rows: Sequence[Described] | Sequence[Judged], measures: Sequence[str]) -> list[str]:
    return [_percent(getattr(row, measure) for row in rows) for measure in measures]


def _count(values: Iterable[int]) -> str:
    return _span([str(value) for value in values])
