"""Claims of a paper beside what was measured here, and how they are judged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unitscope.tables import Table

Values = Sequence[float | int]
"""One number a seed."""

Verdict = Literal["replicates", "does not replicate at this scale", "unclear", "not tested"]

RULE = (
    "An order *replicates* where every seed of the one side is above every seed of the other, *does not "
    "replicate at this scale* where its mean is not above, and is *unclear* in between and with one seed. "
    "A correlation replicates where its 95 % interval lies above 0, does not where it is not positive."
)
"""How verdicts are reached, for the pages."""
COLUMNS = ("the paper found", "measured here", "verdict")
"""The columns of claims in tables."""


@dataclass(frozen=True)
class Claim:
    """One finding of a paper beside ours.

    `source` names experiment and figure, `paper` says what was found there, `ours` what was measured here.
    """

    source: str
    paper: str
    ours: str
    verdict: Verdict

    def cells(self) -> tuple[str, str, str]:
        """What stands in a row of `COLUMNS`."""
        return self.paper, self.ours, f"**{self.verdict}**"


def judge_order(high: Values, low: Values) -> Verdict:
    """Whether values that should be higher are: by every pair of seeds, or not even on average.

    >>> judge_order([5, 6, 7], [1, 2, 3]), judge_order([5, 6, 2], [1, 2, 3]), judge_order([1, 2], [1, 3])
    ('replicates', 'unclear', 'does not replicate at this scale')
    """
    if not len(high) or not len(low):
        return "not tested"
    if np.mean(high) <= np.mean(low):
        return "does not replicate at this scale"
    clear = min(len(high), len(low)) > 1 and min(high) > max(low)
    return "replicates" if clear else "unclear"


def judge_change(high: Values, low: Values, least: float) -> Verdict:
    """As `judge_order`, for a paper that found a change by at least the share `least`.

    Replicates where the order does and the means differ by so much; unclear where they differ by less.

    >>> judge_change([10, 11], [5, 6], least=0.3), judge_change([10, 11], [9, 9.5], least=0.3)
    ('replicates', 'unclear')
    """
    order = judge_order(high, low)
    small = order == "replicates" and 1 - np.mean(low) / np.mean(high) < least
    return "unclear" if small else order


def judge_fact(holds: bool, seeds: int) -> Verdict:
    """Whether something holds that is no order; with one seed it stays unclear.

    >>> judge_fact(True, 3), judge_fact(True, 1), judge_fact(False, 1)
    ('replicates', 'unclear', 'does not replicate at this scale')
    """
    if not holds:
        return "does not replicate at this scale"
    return "replicates" if seeds > 1 else "unclear"


def judge_all(verdicts: Iterable[Verdict]) -> Verdict:
    """The weakest of some verdicts, for a claim that holds only where all its parts do.

    >>> judge_all(["replicates", "unclear"])
    'unclear'
    """
    given = set(verdicts)
    order: tuple[Verdict, ...] = ("not tested", "does not replicate at this scale", "unclear")
    return next((one for one in order if one in given), "replicates")


def judge_interval(middle: float, low: float, high: float) -> Verdict:
    """Whether a correlation that should be positive is.

    >>> judge_interval(0.5, 0.2, 0.7), judge_interval(0.1, -0.2, 0.4), judge_interval(-0.1, -0.3, 0.2)
    ('replicates', 'unclear', 'does not replicate at this scale')
    """
    if np.isnan(middle):
        return "not tested"
    if middle <= 0:
        return "does not replicate at this scale"
    return "replicates" if low > 0 else "unclear"


def spread(values: Values, form: str = ".1f") -> str:
    """The mean and the range, as text; the values of seeds.

    >>> spread([1, 2, 6]), spread([4])
    ('3.0 (1.0 to 6.0)', '4.0')
    """
    if not len(values):
        return "none"
    middle = format(float(np.mean(values)), form)
    low, high = format(min(values), form), format(max(values), form)
    return middle if low == high else f"{middle} ({low} to {high})"


def spell_claims(claims: Sequence[Claim]) -> str:
    """The claims as a Markdown table."""
    rows = tuple((claim.source, *claim.cells()) for claim in claims)
    return Table(("", *COLUMNS), rows, range(4)).markdown().replace("|  |", "| |", 1)
