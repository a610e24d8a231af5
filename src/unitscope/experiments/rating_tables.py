"""Ratings as tables: rows of text for CSV, and for people."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from unitscope.experiments.questionnaire import Questionnaire
from unitscope.experiments.raters import Measure, RaterRatings, RatingResult, find_majority
from unitscope.experiments.ratings import Answers, tabulate
from unitscope.experiments.tables import Cells, short, write_tables
from unitscope.tables import guard_cell

_MEASURES = ("described", "consistency", "detected", "agreement")


def _spread(name: str) -> Cells:
    return [name, f"{name}_low", f"{name}_high", f"{name}_units"]


def _figures(measure: Measure) -> Cells:
    return [short(measure.value), short(measure.low), short(measure.high), str(measure.count)]


def layer_rows(result: RatingResult) -> Iterator[Cells]:
    """layers.csv: a row a layer and cut-off."""
    yield ["layer", "units", "all_units", *(cell for name in _MEASURES for cell in _spread(name)),
           "cutoff", *_spread("described_above")]  # fmt: skip
    for row in result.layers:
        own = [cell for name in _MEASURES for cell in _figures(getattr(row, name))]
        for cutoff, above in row.above:
            yield [guard_cell(row.layer), str(row.units), str(row.all_units), *own, f"{cutoff:g}",
                   *_figures(above)]  # fmt: skip


def rater_rows(result: RatingResult) -> Iterator[Cells]:
    """raters.csv: a row a rater."""
    yield ["rater", "answered", "questions", "yes", "same", "repeats", "caught", "decoys", *_spread("others"),
           *_spread("dissection"), "flags"]  # fmt: skip
    for row in result.raters:
        yield [
            guard_cell(row.rater), str(row.answered), str(row.questions), short(row.yes), str(row.same),
            str(row.repeats), str(row.caught), str(row.decoys), *_figures(row.others),
            *_figures(row.dissection), "; ".join(row.flags),
        ]  # fmt: skip


def agreement_rows(result: RatingResult) -> Iterator[Cells]:
    """agreement.csv: agreement of raters with one another."""
    yield ["measure", *_spread("value")]
    yield ["agreement", *_figures(result.agreement)]
    yield ["alpha", *_figures(result.alpha)]


def question_rows(questionnaire: Questionnaire, answers: Answers) -> Iterator[Cells]:
    """ratings.csv: a row a question, with a column for every rater: 1 yes, 0 no, empty for no answer."""
    raters = list(answers)
    yield ["question", "kind", "repeats", "layer", "unit", "concept", "category", "iou", "detector", "weight",
           "majority", *map(guard_cell, raters)]  # fmt: skip
    table = tabulate(questionnaire, answers)
    majority = find_majority(table)
    spelled = {1: "1", 0: "0", -1: ""}
    for one in questionnaire.questions:
        yield [
            str(one.number), one.kind, str(one.first) if one.kind == "repeat" else "", guard_cell(one.layer),
            str(one.unit), guard_cell(one.concept.name), guard_cell(one.concept.category), f"{one.iou:.9g}",
            str(int(one.detector)), f"{one.weight:.6g}", spelled[int(majority[one.number])],
            *(spelled[int(given[one.number])] for given in table),
        ]  # fmt: skip


def write_ratings(
    questionnaire: Questionnaire, answers: Answers, result: RatingResult, out: Path
) -> list[Path]:
    """Writes all tables into a folder; their paths. Raises `RunError` where they cannot be written."""
    return write_tables(
        out,
        {
            "layers.csv": layer_rows(result),
            "raters.csv": rater_rows(result),
            "agreement.csv": agreement_rows(result),
            "ratings.csv": question_rows(questionnaire, answers),
        },
    )


def spell_layers(result: RatingResult) -> list[Cells]:
    """The table of layers for people, a head and a row a layer; shares in percent."""
    cutoffs = [cutoff for cutoff, _ in result.layers[0].above]
    head = ["layer", "rated", "described", "consistency", "detected", "agreement"]
    rows = [[*head, *(f"IoU > {cutoff:g}" for cutoff in cutoffs)]]
    for row in result.layers:
        cells = [row.layer, f"{row.units} of {row.all_units}"]
        cells += [spell_measure(getattr(row, name)) for name in _MEASURES]
        rows.append([*cells, *(_of(above) for _, above in row.above)])
    return rows


def spell_raters(result: RatingResult) -> list[Cells]:
    """The table of raters for people, a head and a row a rater; shares in percent."""
    head = ["rater", "answered", "yes", "as the others", "as the dissection", "same again", "decoys caught"]
    return [[*head, "flagged"], *map(_spell_rater, result.raters)]


def _spell_rater(row: RaterRatings) -> Cells:
    cells = [row.rater, f"{row.answered} of {row.questions}", percent(row.yes)]
    cells += [spell_measure(row.others), spell_measure(row.dissection)]
    cells += [f"{row.same} of {row.repeats}", f"{row.caught} of {row.decoys}"]
    return [*cells, "; ".join(row.flags) or "-"]


def spell_agreement(result: RatingResult) -> str:
    """One line: how far the raters agree with one another."""
    alpha = result.alpha
    told = "-" if math.isnan(alpha.value) else f"{alpha.value:.2f} ({alpha.low:.2f} to {alpha.high:.2f})"
    pairs = spell_measure(result.agreement)
    return f"raters agree in {pairs} % of pairs of answers; Krippendorff's alpha {told}"


def spell_measure(measure: Measure) -> str:
    """In percent, with its interval.

    >>> spell_measure(Measure(0.5, 0.25, 0.756, 8)), spell_measure(Measure(*[float("nan")] * 3, 0))
    ('50 (25 to 76)', '-')
    """
    if math.isnan(measure.value):
        return "-"
    return f"{percent(measure.value)} ({percent(measure.low)} to {percent(measure.high)})"


def _of(measure: Measure) -> str:
    return "-" if math.isnan(measure.value) else f"{percent(measure.value)} [{measure.count}]"


def percent(value: float) -> str:
    """A share in percent.

    >>> percent(0.256), percent(float("nan"))
    ('26', '-')
    """
    return "-" if math.isnan(value) else f"{100 * value:.0f}"


def spell_markdown(rows: Sequence[Cells]) -> str:
    """A table in Markdown.

    >>> print(spell_markdown([["layer", "rated"], ["a", "3"]]))
    | layer | rated |
    |---|---:|
    | a | 3 |
    """
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|---|{'---:|' * (len(rows[0]) - 1)}", *lines[1:]])
