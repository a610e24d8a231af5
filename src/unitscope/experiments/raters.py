"""How far raters agree with a dissection, with one another and with themselves (paper A, table 3)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int8, Int64

from unitscope.errors import UsageError
from unitscope.experiments.agreement import (
    Measure,
    alpha,
    alpha_parts,
    consistency_parts,
    find_majority,
    measure_sums,
    pair_parts,
    ratio,
    resample,
)
from unitscope.experiments.questionnaire import Question, Questionnaire
from unitscope.experiments.ratings import Answers, find_folder, load_ratings, tabulate
from unitscope.results import Result
from unitscope.statistics.intervals import Interval
from unitscope.tables import Table, align, plain

CUTOFFS = (0.02, 0.04, 0.06, 0.08, 0.1)
LEAST = 0.75
"""Raters who catch a smaller share of the decoys, or repeat a smaller share of their answers, are flagged."""
DRAWS = 1000
ALL = "all"
"""The name of the row over all layers."""
SCHEMA = 1
_MEASURES = ("described", "consistency", "detected", "agreement")


@dataclass(frozen=True)
class LayerRatings:
    """What raters make of the units of one layer, or of all; only units that somebody rated count.

    `units` were asked about, of `all_units` that have a label. `described` is the share of units whose label
    most raters say describes them, each weighted by the units that it stands for. Of those, `consistency` is
    the share of further raters that say so too: every rater in turn against the majority of the others. And
    `detected` is the share of those that the dissection calls detectors. `agreement` is the share of units
    where most raters say yes to a detector, or do not to another unit. `above` gives, for every cut-off, the
    share described among the units whose IoU is above it.
    """

    layer: str
    units: int
    all_units: int
    described: Measure
    consistency: Measure
    detected: Measure
    agreement: Measure
    above: tuple[tuple[float, Measure], ...]


@dataclass(frozen=True)
class RaterRatings:
    """One rater: how many questions are answered, and with what care.

    `yes` is the share of yes to units with their own label. `same` of `repeats` repeated questions were
    answered as before; to `caught` of `decoys` decoys the answer was no. `others` is the share of units
    answered as by the majority of the other raters, where they have one; `dissection` that of units where
    yes went with a detector and no with another unit. `flags` say what to doubt the rater for.
    """

    rater: str
    answered: int
    questions: int
    yes: float
    same: int
    repeats: int
    caught: int
    decoys: int
    others: Measure
    dissection: Measure
    flags: tuple[str, ...]


@dataclass(frozen=True)
class RatingResult(Result):
    """Everything that the answers to a questionnaire say; made by `measure_ratings` and `read_ratings`.

    `agreement` is the share of pairs of answers to the same question that are the same, `alpha`
    Krippendorff's: what is left of it beyond chance. Both are over units with their own labels, answered the
    first time. The main table has a row a layer and cut-off.
    """

    layers: tuple[LayerRatings, ...]
    raters: tuple[RaterRatings, ...]
    agreement: Measure
    alpha: Measure
    questionnaire: Questionnaire
    answers: Answers

    files = ("layers.csv", "raters.csv", "agreement.csv", "ratings.csv")

    def tables(self) -> dict[str, Table]:
        """What raters make of every layer, the raters, their agreement, and every question."""
        layers = (
            (*_cells(*vars(row).values())[:-1], cutoff, *_cells(above))
            for row in self.layers
            for cutoff, above in row.above
        )
        raters = ((*_cells(*vars(row).values())[:-1], "; ".join(row.flags)) for row in self.raters)
        agreement = ((name, *_cells(vars(self)[name])) for name in ("agreement", "alpha"))
        columns = (*_name_columns(LayerRatings)[:-1], "cutoff", *_spread("described_above"))
        return {
            "layers.csv": Table(columns, tuple(layers)),
            "raters.csv": Table(_name_columns(RaterRatings), tuple(raters), left=(0, 16)),
            "agreement.csv": Table(("measure", *_spread("value")), tuple(agreement)),
            "ratings.csv": self._list_questions(),
        }

    def _list_questions(self) -> Table:
        """A row a question, with a column for every rater: 1 yes, 0 no, empty for no answer."""
        columns = ("question", "kind", "repeats", "layer", "unit", "concept", "category", "iou", "detector",
                   "weight", "majority", *self.answers)  # fmt: skip
        table = tabulate(self.questionnaire, self.answers)
        majority, rows = find_majority(table), []
        for one in self.questionnaire.questions:
            answers = (int(given) for given in (majority[one.number], *table[:, one.number]))
            rows.append(
                (one.number, one.kind, one.first if one.kind == "repeat" else None, one.layer, one.unit,
                 one.concept.name, one.concept.category, one.iou, int(one.detector),
                 float(f"{one.weight:.6g}"), *(None if given < 0 else given for given in answers))
            )  # fmt: skip
        return Table(columns, tuple(rows), left=(1, 3, 5, 6), digits=9)

    def text(self) -> str:
        """How much was asked, then layers, raters, and their agreement; shares in percent."""
        kinds = [len(self.questionnaire.of(kind)) for kind in ("label", "repeat", "decoy")]
        flagged, count = sum(bool(row.flags) for row in self.raters), len(self.raters)
        cutoffs = (f"IoU > {cutoff:g}" for cutoff, _ in self.layers[0].above)
        layers = [["layer", "rated", *_MEASURES, *cutoffs]]
        for row in self.layers:
            shares = (getattr(row, name).spell(".0f", 100.0) for name in _MEASURES)
            above = (
                "-" if np.isnan(one.value) else f"{100 * one.value:.0f} [{one.count}]" for _, one in row.above
            )
            layers.append([row.layer, f"{row.units} of {row.all_units}", *shares, *above])
        raters = [["rater", "answered", "yes", "as the others", "as the dissection", "same again",
                   "decoys caught", "flagged"]]  # fmt: skip
        for one in self.raters:
            shares = (
                measure.spell(".0f", 100.0) for measure in (Interval(one.yes), one.others, one.dissection)
            )
            again, caught = f"{one.same} of {one.repeats}", f"{one.caught} of {one.decoys}"
            flags = "; ".join(one.flags) or "-"
            raters.append([one.rater, f"{one.answered} of {one.questions}", *shares, again, caught, flags])
        parts = [
            f"{kinds[0]} units, {kinds[1]} asked twice, {kinds[2]} decoys; {count} "
            f"{'rater' if count == 1 else 'raters'}, {flagged} flagged; "
            f"detectors have IoU > {self.questionnaire.cutoff:g}",
            align(layers, left=(0,)),
            align(raters, left=(0, 7)),
            f"raters agree in {self.agreement.spell('.0f', 100.0)} % of pairs of answers; "
            f"Krippendorff's alpha {self.alpha.spell('.2f')}",
        ]
        return "\n\n".join(parts)

    def describe(self) -> dict[str, Any]:
        """The same, ready for JSON; what could not be measured is None."""
        layers = [asdict(row) for row in self.layers]
        for row in layers:
            row["above"] = [{"cutoff": cutoff, **measure} for cutoff, measure in row["above"]]
        counts = {f"{kind}s": len(self.questionnaire.of(kind)) for kind in ("repeat", "decoy")}
        found = {
            "schema": SCHEMA,
            "cutoff": self.questionnaire.cutoff,
            "units": len(self.questionnaire.labels),
            **counts,
            "layers": layers,
            "raters": [asdict(row) for row in self.raters],
            "agreement": asdict(self.agreement),
            "alpha": asdict(self.alpha),
        }
        return dict(plain(found))


def _spread(name: str) -> tuple[str, ...]:
    return name, f"{name}_low", f"{name}_high", f"{name}_units"


def _name_columns(kind: type[LayerRatings | RaterRatings]) -> tuple[str, ...]:
    """The names of all fields, four columns a measure."""
    named = (_spread(one.name) if one.type is Measure else (one.name,) for one in fields(kind))
    return tuple(chain.from_iterable(named))


def _cells(*values: Any) -> tuple[Any, ...]:
    """Values as cells, four a measure."""
    cells = ((*one.ends, one.count) if isinstance(one, Measure) else (one,) for one in values)
    return tuple(chain.from_iterable(cells))


def read_ratings(
    place: str | Path,
    *,
    without: Sequence[str] = (),
    cutoffs: Sequence[float] = CUTOFFS,
    draws: int = DRAWS,
    seed: int = 0,
) -> RatingResult:
    """What raters said of a run: agreement with the dissection, with one another, and with themselves.

    `place` is the folder of the run, or of its ratings; the raters `without` are left out. The rest is as in
    `measure_ratings`. Raises `UsageError` where nobody of that name, or nobody at all, has answered,
    `RunError` where there are no ratings.
    """
    questionnaire, answers = load_ratings(find_folder(Path(place)))
    if unknown := [name for name in without if name not in answers]:
        raise UsageError(f"nobody named {unknown[0]!r} has answered; those who have: {', '.join(answers)}")
    kept = {rater: given for rater, given in answers.items() if rater not in without}
    return measure_ratings(questionnaire, kept, cutoffs=cutoffs, draws=draws, seed=seed)


def measure_ratings(
    questionnaire: Questionnaire,
    answers: Answers,
    *,
    cutoffs: Sequence[float] = CUTOFFS,
    draws: int = DRAWS,
    seed: int = 0,
) -> RatingResult:
    """What the answers to a questionnaire say; all raters count, the flagged ones too.

    Intervals are over `draws` bootstrap draws of the units within each layer's detectors and its other units.
    Raises `UsageError` where nobody has answered, or for fewer than one draw.
    """
    if draws < 1:
        raise UsageError(f"draws is {draws}; wanted 1 or more")
    if not any(answers.values()):
        raise UsageError("nobody has answered yet; `unitscope rate` asks")
    labels = questionnaire.labels
    table = tabulate(questionnaire, answers)
    asked = table[:, [one.number for one in labels]]
    strata = np.unique([f"{one.layer} {one.detector}" for one in labels], return_inverse=True)[1]
    drawn = resample(strata, draws, seed)
    layers = np.array([one.layer for one in labels])
    chosen = {name: layers == name for name in dict.fromkeys(layers.tolist())}
    if len(chosen) > 1:
        chosen[ALL] = np.ones(len(labels), bool)
    paired = (asked >= 0).sum(0) > 1
    return RatingResult(
        tuple(_measure_layer(name, units, labels, asked, cutoffs, drawn) for name, units in chosen.items()),
        tuple(_measure_rater(questionnaire, table, row, rater, drawn) for row, rater in enumerate(answers)),
        measure_sums(drawn, pair_parts(asked), ratio, paired),
        measure_sums(drawn, alpha_parts(asked), alpha, paired),
        questionnaire,
        answers,
    )


def _measure_layer(
    layer: str,
    chosen: Bool[np.ndarray, "unit"],
    labels: Sequence[Question],
    asked: Int8[np.ndarray, "rater unit"],
    cutoffs: Sequence[float],
    drawn: Int64[np.ndarray, "draw unit"],
) -> LayerRatings:
    names = ("weight", "iou", "detector")
    weights, iou, detector = (np.array([getattr(one, name) for one in labels]) for name in names)
    answered = chosen & (asked >= 0).any(0)
    yes = find_majority(asked) == 1

    def share(hits: Bool[np.ndarray, "unit"], among: Bool[np.ndarray, "unit"]) -> Measure:
        return measure_sums(drawn, np.stack([weights * hits, weights], 1), ratio, among & answered)

    twice = consistency_parts(asked, weights)
    return LayerRatings(
        layer=layer,
        units=int(answered.sum()),
        all_units=round(float(weights[chosen].sum())),
        described=share(yes, answered),
        consistency=measure_sums(drawn, twice, ratio, answered & (twice[:, 1] > 0)),
        detected=share(detector, yes),
        agreement=share(yes == detector, answered),
        above=tuple((cutoff, share(yes, iou > cutoff)) for cutoff in cutoffs),
    )


def _measure_rater(
    questionnaire: Questionnaire,
    table: Int8[np.ndarray, "rater question"],
    row: int,
    rater: str,
    drawn: Int64[np.ndarray, "draw unit"],
) -> RaterRatings:
    asked = table[:, [one.number for one in questionnaire.labels]]
    given, answered = table[row], asked[row]
    repeats = [one for one in questionnaire.of("repeat") if min(given[one.number], given[one.first]) >= 0]
    decoys = [one.number for one in questionnaire.of("decoy") if given[one.number] >= 0]
    same = sum(bool(given[one.number] == given[one.first]) for one in repeats)
    caught = int((given[decoys] == 0).sum())
    care = (("decoys caught:", caught, len(decoys)), ("same again:", same, len(repeats)))
    flags = [f"{what} {hits} of {total}" for what, hits, total in care if total and hits < LEAST * total]
    majority = find_majority(np.delete(asked, row, 0))
    done = answered >= 0

    def share(like: np.ndarray, among: Bool[np.ndarray, "unit"]) -> Measure:
        return measure_sums(
            drawn, np.stack([answered == like, np.ones(len(answered))], 1), ratio, among & done
        )

    return RaterRatings(
        rater=rater,
        answered=int((given >= 0).sum()),
        questions=len(questionnaire),
        yes=float((answered[done] == 1).mean()) if done.any() else float("nan"),
        same=same,
        repeats=len(repeats),
        caught=caught,
        decoys=len(decoys),
        others=share(majority, majority >= 0),
        dissection=share(np.array([one.detector for one in questionnaire.labels]), done),
        flags=tuple(flags),
    )
