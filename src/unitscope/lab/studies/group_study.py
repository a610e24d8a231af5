"""Studies that compare groups of networks, as data: what is trained, and the claims about its counts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from unitscope.lab.studies.claims import Claim, Values, Verdict, judge_change, judge_fact, judge_order, spread
from unitscope.lab.studies.figures.concept_bars import draw_bars
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import (
    Groups,
    Representation,
    Setting,
    cohort_table,
    compare_cohort,
    group_rows,
    spell_cohort,
)
from unitscope.tables import Table

Rows = Sequence[Representation]
Count = Callable[[Representation], float]


@dataclass(frozen=True)
class Numbers:
    """What a claim is about: one number a seed, of the group called `name`.

    As text it is the mean and the range; `{numbers.name}` is the group.
    """

    name: str
    values: Values

    def __str__(self) -> str:
        return spread(self.values)


@dataclass(frozen=True)
class Side:
    """One side of a claim: what is counted, of which group.

    Of several `groups` it is the one that `choose`, `max` or `min`, takes by the mean over seeds.
    """

    groups: tuple[str, ...]
    count: Count
    choose: Callable[..., str] = max

    def read(self, rows: Rows) -> Numbers:
        """The numbers of the group, empty where no row is of it."""
        counts = {name: [self.count(row) for row in rows if row.group == name] for name in self.groups}
        if len(counts) == 1:
            return Numbers(*next(iter(counts.items())))
        name = self.choose(counts, key=lambda name: float(np.mean(counts[name])))
        return Numbers(name, counts[name])


def unique(group: str, category: str | None = None) -> Side:
    """The unique concepts of a category, or of all, that a group has."""
    return Side((group,), lambda row: row.count(category))


def detectors(group: str) -> Side:
    """The detectors of a group."""
    return Side((group,), lambda row: row.detectors)


def skill(group: str) -> Side:
    """The percentage of held-out pictures whose scene a group names right."""
    return Side((group,), lambda row: 100 * row.skill)


def most(groups: Sequence[str], category: str | None = None) -> Side:
    """The unique concepts of the group that has the most of them."""
    return Side(tuple(groups), lambda row: row.count(category))


def fewest(groups: Sequence[str]) -> Side:
    """The unique concepts of the group that has the fewest."""
    return Side(tuple(groups), lambda row: row.count(), min)


@dataclass(frozen=True)
class GroupClaim:
    """A claim about two sides, as a paper states it: `high` stands for more of something than `low`.

    `ours` says what was measured, a format of `{high}`, `{low}` and `{also}`, a third side that is only shown
    (see `Numbers`). Each kind of claim says how it is judged.
    """

    source: str
    paper: str
    high: Side
    low: Side
    ours: str = "{high.name} {high}, {low.name} {low}"
    also: Side | None = None

    def judge(self, rows: Rows) -> Claim:
        """The claim beside what the rows say."""
        high, low = self.high.read(rows), self.low.read(rows)
        also = self.also and self.also.read(rows)
        ours = self.ours.format(high=high, low=low, also=also)
        return Claim(self.source, self.paper, ours, self.verdict(high.values, low.values))

    def verdict(self, high: Values, low: Values) -> Verdict:
        """How the numbers bear the claim out."""
        raise NotImplementedError


@dataclass(frozen=True)
class Higher(GroupClaim):
    """`high` is above `low`, an order (`judge_order`)."""

    def verdict(self, high: Values, low: Values) -> Verdict:
        return judge_order(high, low)


@dataclass(frozen=True)
class Few(GroupClaim):
    """`low` has fewer than `high`, an order, or none at all."""

    def verdict(self, high: Values, low: Values) -> Verdict:
        return judge_order(high, low) if any(low) else judge_fact(True, len(low))


@dataclass(frozen=True)
class NoGain(GroupClaim):
    """`high` is not above `low`, or by less than the share `least` of it (`judge_change`)."""

    least: float = 0.1

    def verdict(self, high: Values, low: Values) -> Verdict:
        return judge_fact(judge_change(high, low, self.least) != "replicates", len(low))


@dataclass(frozen=True)
class Within(GroupClaim):
    """The means of both sides differ by no more than `points`."""

    points: float = 2.0

    def verdict(self, high: Values, low: Values) -> Verdict:
        return judge_fact(abs(float(np.mean(low)) - float(np.mean(high))) <= self.points, len(high))


@dataclass(frozen=True)
class Alike:
    """The repetitions of one side are alike: their range is at most the share `most` of their mean."""

    source: str
    paper: str
    side: Side
    ours: str
    most: float

    def judge(self, rows: Rows) -> Claim:
        """The claim beside what the rows say; `ours` is a format of `{side}` and `{range}`, a share."""
        side = self.side.read(rows)
        extent = (max(side.values) - min(side.values)) / float(np.mean(side.values) or 1)
        ours = self.ours.format(side=side, range=extent)
        return Claim(self.source, self.paper, ours, judge_fact(extent <= self.most, len(side.values)))


@dataclass(frozen=True)
class Study:
    """A study that trains groups of networks and compares the last layer's concepts.

    `what` is the column of the groups in tables; `untrained` names a group of random weights, where there is
    one. `rule` says how verdicts are reached that are no orders. `more` gives text below the table, and
    tables beside it. The study is run by calling it.
    """

    name: str
    question: str
    what: str
    groups: Groups
    claims: Sequence[GroupClaim | Alike]
    untrained: str = ""
    rule: str = ""
    more: Callable[[Rows, Setting], tuple[str, Mapping[str, Table]]] | None = None

    def __call__(self, setting: Setting) -> Finding:
        """Trains the groups, dissects their last layer, and judges the claims."""
        rows = compare_cohort(self.groups, setting, untrained=self.untrained)
        text, tables = self.more(rows, setting) if self.more else ("", {})
        return Finding(
            self.name,
            self.question,
            self.judge(rows),
            "\n\n".join([spell_cohort(rows, self.what), *([text] if text else [])]),
            {f"{self.name}.csv": cohort_table(rows), **tables},
            f"{1 + max(row.seed for row in rows)} of each",
            sum(row.seconds for row in rows),
            setting.quick,
            self.rule,
            partial(draw_bars, group_rows(rows)),
        )

    def judge(self, rows: Rows) -> tuple[Claim, ...]:
        """The claims beside what the rows, a network each, say."""
        return tuple(claim.judge(rows) for claim in self.claims)


def rank_groups(rows: Rows, _setting: Setting) -> tuple[str, Mapping[str, Table]]:
    """The groups by their unique detectors, the most first: `more` of a study."""
    means = {group: np.mean([row.count() for row in some]) for group, some in group_rows(rows).items()}
    return f"By unique detectors: {', '.join(sorted(means, key=lambda group: -means[group]))}.", {}
