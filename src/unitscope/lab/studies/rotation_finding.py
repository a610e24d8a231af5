"""What rotations do to unique detectors, as claims, tables and verdicts a condition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from unitscope.errors import UsageError
from unitscope.experiments.tables import Cells, short
from unitscope.lab.studies.claims import Claim, Verdict, judge_fact, judge_order, spread
from unitscope.lab.studies.rotation import Fall, Step
from unitscope.lab.studies.study import Finding
from unitscope.tables import guard_cell

QUESTION = "Is the basis of the units special, and when?"
HALF = 0.5
TOLERANCE = 1e-4
CONTROLS = ("control",)
"""Factors that are no conditions: what they show is chance."""
RULE = (
    "*Rotated over own* is the number of unique detectors of a rotation over that of the units, with an "
    "interval of 95 % (Student's, over networks, each with the mean of its rotations; over rotations where "
    "there is one network): "
    "*falls by more than half* where it lies below 0.5, *falls* below 1, *rises* above 1, *unclear* where it "
    "holds 1. Networks whose units have no detectors have no ratio and are left out; the column says so."
)

VERDICTS = (
    "Fewer by 80 % *replicates* where the interval of rotated over own lies below 0.5, *does not* where it "
    f"lies above. What the network gives stays where no logit moves by {TOLERANCE:g}."
)


@dataclass(frozen=True)
class Ratio:
    """Rotated over own, over networks and rotations, with an interval of 95 %."""

    middle: float
    low: float
    high: float

    def spell(self) -> str:
        """As text."""
        if np.isnan(self.middle):
            return "–"
        known = np.isfinite(self.high)
        return f"{self.middle:.2f}" + (f" ({self.low:.2f} to {self.high:.2f})" if known else "")

    @property
    def verdict(self) -> str:
        """What becomes of unique detectors."""
        if np.isnan(self.middle):
            return "no detectors"
        if self.high < HALF:
            return "falls by more than half"
        if self.high < 1:
            return "falls"
        return "rises" if self.low > 1 else "unclear"


def relate_falls(falls: Sequence[Fall], by_category: bool = False) -> Ratio:
    """The mean ratio over networks, each with the mean of its rotations, and Student's interval of 95 %.

    Of one network the interval is over its rotations. Of one number nothing is known: it reaches from 0 to
    infinity. Drawing a handful of networks again and again would give an interval that is too narrow.
    """
    tables = []
    for fall in falls:
        own = fall.own_by_category if by_category else fall.own
        turned = fall.turned_by_category if by_category else fall.turned
        if own:
            tables.append(np.array(turned) / own)
    if not tables:
        return Ratio(float("nan"), float("nan"), float("nan"))
    values = tables[0] if len(tables) == 1 else np.array([one.mean() for one in tables])
    middle = float(values.mean())
    if len(values) == 1:
        return Ratio(middle, 0.0, float("inf"))
    half = _find_quantile()(0.975, len(values) - 1) * float(values.std(ddof=1)) / np.sqrt(len(values))
    return Ratio(middle, max(0.0, middle - half), middle + half)


def _find_quantile() -> Callable[[float, int], float]:
    try:
        from scipy.stats import t
    except ImportError as error:
        raise UsageError("scipy knows Student's distribution; pip install 'unitscope[studies]'") from error
    return lambda share, degrees: float(t.ppf(share, degrees))


def group_falls(falls: Sequence[Fall]) -> dict[tuple[str, str, str], list[Fall]]:
    """The falls of every subject under every condition, over its repetitions."""
    grouped: dict[tuple[str, str, str], list[Fall]] = {}
    for fall in falls:
        grouped.setdefault((fall.name, fall.factor, fall.level), []).append(fall)
    return grouped


def spell_falls(falls: Sequence[Fall]) -> str:
    """Every condition as a Markdown table, a table a subject."""
    grouped, parts = group_falls(falls), []
    head = ["varied", "", "unique, units", "unique, rotated", "rotated over own", "by category", ""]
    for name in dict.fromkeys(fall.name for fall in falls):
        lines = [f"| {' | '.join(head)} |", "|---|---|---:|---:|---:|---:|---|"]
        shown = ""
        for (subject, factor, level), mine in grouped.items():
            if subject != name:
                continue
            ratio = relate_falls(mine)
            turned = [count for fall in mine for count in fall.turned]
            other = relate_falls(mine, by_category=True)
            middle = "–" if np.isnan(other.middle) else f"{other.middle:.2f}"
            told = factor if factor != shown else ""
            lines.append(
                f"| {told} | {level} | {spread([fall.own for fall in mine], '.0f')} "
                f"| {np.mean(turned):.1f} ({min(turned)} to {max(turned)}) | {ratio.spell()} "
                f"| {middle} | {ratio.verdict}{_tell_left_out(mine)} |"
            )
            shown = factor
        parts.append(f"{name}:\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _tell_left_out(falls: Sequence[Fall]) -> str:
    none = sum(not fall.own for fall in falls)
    return f" ({none} of {len(falls)} left out)" if 0 < none < len(falls) else ""


def spell_steps(steps: Sequence[Step]) -> str:
    """Unique concepts by part of the rotation, means over networks and rotations, as Markdown tables."""
    parts = []
    for name in dict.fromkeys(step.name for step in steps):
        mine = [step for step in steps if step.name == name]
        categories = [one for one in mine[0].unique if any(step.unique[one] for step in mine)]
        head = ["rotated by Q^a", "detectors", *categories, "unique"]
        lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
        for part in dict.fromkeys(step.part for step in mine):
            rows = [step for step in mine if step.part == part]
            cells = [f"a = {part:g}", f"{np.mean([row.detectors for row in rows]):.1f}"]
            cells += [f"{np.mean([row.unique[one] for row in rows]):.1f}" for one in categories]
            cells.append(spread([sum(row.unique.values()) for row in rows]))
            lines.append(f"| {' | '.join(cells)} |")
        parts.append(f"{name}:\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def claim_axis(falls: Sequence[Fall], steps: Sequence[Step], undone: float) -> tuple[Claim, ...]:
    """The claims of fig. 4, by the center of the first subject."""
    name = falls[0].name
    center = [fall for fall in falls if fall.factor == "center" and fall.name == name]
    ratio = relate_falls(center)
    verdict: Verdict = "does not replicate at this scale"
    if ratio.high < HALF:
        verdict = "replicates"
    elif ratio.low < HALF:
        verdict = "unclear"
    means = mean_steps([step for step in steps if step.name == name])
    drops = [a >= b for a, b in pairwise(means)]
    own = [fall.own_detectors for fall in center]
    turned = [count for fall in center for count in fall.turned_detectors]
    tried = [some for some in group_falls(falls).values() if some[0].factor not in CONTROLS]
    met = sum(relate_falls(some).verdict == "falls by more than half" for some in tried)
    return (
        Claim(
            "fig. 4",
            "a random rotation has 80 % fewer unique detectors",
            f"{name}: {ratio.spell()} of those of the units; below half in {met} of {len(tried)} conditions",
            verdict,
        ),
        Claim(
            "fig. 4",
            "their number falls steadily with the part a of the rotation",
            " → ".join(f"{mean:.1f}" for mean in means),
            judge_fact(all(drops), 2) if means[0] > means[-1] else "does not replicate at this scale",
        ),
        Claim(
            "section 3.4",
            "what the network gives stays as it was",
            f"largest change of a logit {undone:.0e}",
            judge_fact(undone < TOLERANCE, 2),
        ),
        Claim(
            "not in the paper",
            "detectors, not counted by concept, are fewer too",
            f"{spread(own)} of the units, {spread(turned)} of rotations",
            judge_order(own, turned),
        ),
    )


def mean_steps(steps: Sequence[Step]) -> list[float]:
    """The mean unique detectors by part of the rotation, from none to all of it."""
    parts = sorted({step.part for step in steps})
    return [
        float(np.mean([sum(step.unique.values()) for step in steps if step.part == part])) for part in parts
    ]


def fall_rows(falls: Sequence[Fall]) -> list[Cells]:
    """A row a basis and condition; basis 0 are the units."""
    head = [
        "subject",
        "seed",
        "factor",
        "level",
        "basis",
        "detectors",
        "unique_by_label",
        "unique_by_category",
    ]
    rows = [head]
    for fall in falls:
        about = [guard_cell(fall.name), str(fall.seed), guard_cell(fall.factor), guard_cell(fall.level)]
        counts = zip(
            (fall.own_detectors, *fall.turned_detectors),
            (fall.own, *fall.turned),
            (fall.own_by_category, *fall.turned_by_category),
            strict=True,
        )
        rows += [[*about, str(basis), *map(str, some)] for basis, some in enumerate(counts)]
    return rows


def step_rows(steps: Sequence[Step]) -> list[Cells]:
    """A row a basis of `Step`."""
    categories = list(steps[0].unique)
    head = ["subject", "seed", "rotation", "a", "detectors", *categories]
    return [
        head,
        *(
            [
                *(guard_cell(step.name), str(step.seed), str(step.rotation), short(step.part)),
                *(str(step.detectors), *(str(step.unique[one]) for one in categories)),
            ]
            for step in steps
        ),
    ]


def judge_axis(
    falls: Sequence[Fall], steps: Sequence[Step], undone: float, *, seconds: float = 0.0, quick: bool = False
) -> Finding:
    """The finding, from all that was measured."""
    networks = len({fall.seed for fall in falls if fall.name == falls[0].name})
    rotations = len(falls[0].turned)
    text = "\n\n".join([spell_steps(steps), RULE, spell_falls(falls)])
    return Finding(
        "axis",
        QUESTION,
        claim_axis(falls, steps, undone),
        text,
        {"conditions.csv": fall_rows(falls), "parts.csv": step_rows(steps)},
        f"{networks} networks, {rotations} rotations each",
        seconds,
        quick,
        VERDICTS,
    )
