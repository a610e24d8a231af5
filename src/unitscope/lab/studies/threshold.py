"""Does the order of networks depend on the cut-offs? (paper A, section 3: relative orderings are stable)"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import UniqueRule
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import UsageError
from unitscope.lab.studies import architectures, supervision
from unitscope.lab.studies.claims import Claim, Verdict
from unitscope.lab.studies.rotation import count_unique
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import RULES, Groups, Setting, models_of
from unitscope.lab.zoo.trained_models import COURSE, LAST, StudyModel, open_student, train_models
from unitscope.networks.network import Network
from unitscope.tables import Cells, short

QUESTION = "Does the order of networks depend on the cut-offs?"
CUTOFFS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1)
QUANTILES = (0.001, 0.002, 0.005, 0.01, 0.02)
USUAL = (0.04, 0.005)
GROUPS: Groups = {**architectures.GROUPS, **{k: v for k, v in supervision.GROUPS.items() if k != "scenes"}}
STABLE = 0.8
"""An order is called stable where Kendall's tau to the usual one is at least this."""
RULE = (
    f"An order is *stable* where Kendall's tau to the usual one is at least {STABLE:g} at every other value, "
    f"is not where it falls below {STABLE / 2:g} at one, and is *unclear* in between."
)


@dataclass(frozen=True)
class Count:
    """The unique detectors of one network at one cut-off and one quantile, by one rule."""

    group: str
    seed: int
    cutoff: float
    quantile: float
    rule: UniqueRule
    unique: int


@dataclass(frozen=True)
class Order:
    """How far the order of groups elsewhere is that at the usual cut-offs: Kendall's tau of their means."""

    cutoff: float
    quantile: float
    rule: UniqueRule
    tau: float
    first: str


def count_network(
    network: Network,
    layer: str,
    source: ConceptSource,
    *,
    group: str,
    seed: int = 0,
    convention: str = "netdissect",
    cutoffs: Sequence[float] = CUTOFFS,
    quantiles: Sequence[float] = QUANTILES,
    cache: str | None = None,
) -> Iterator[Count]:
    """Dissects a layer once a quantile; cut-offs are counted from the same IoUs."""
    for quantile in quantiles:
        found = dissect(
            network,
            source,
            [layer],
            convention=convention,
            quantile=quantile,
            confidences=Confidences(0, 20),
            cache=cache,
        )[layer]
        for cutoff in cutoffs:
            for rule in RULES:
                yield Count(group, seed, cutoff, quantile, rule, count_unique(found, cutoff, rule))


def rank_groups(counts: Sequence[Count]) -> dict[tuple[float, float, UniqueRule], dict[str, float]]:
    """The mean unique detectors of every group, by cut-off, quantile and rule."""
    values: dict[tuple[float, float, UniqueRule], dict[str, list[int]]] = {}
    for one in counts:
        place = values.setdefault((one.cutoff, one.quantile, one.rule), {})
        place.setdefault(one.group, []).append(one.unique)
    return {
        key: {group: float(np.mean(some)) for group, some in groups.items()} for key, groups in values.items()
    }


def compare_orders(counts: Sequence[Count], usual: tuple[float, float] = USUAL) -> list[Order]:
    """Every order against that at the usual cut-off, quantile and rule "label"."""
    kendall = _find_kendall()
    ranked = rank_groups(counts)
    wanted = ranked[(*usual, "label")]
    orders = []
    for (cutoff, quantile, rule), means in ranked.items():
        tau = float(
            kendall([wanted[group] for group in wanted], [means[group] for group in wanted]).statistic
        )
        orders.append(Order(cutoff, quantile, rule, tau, max(means, key=lambda group: means[group])))
    return orders


def _find_kendall() -> Callable[..., Any]:
    try:
        from scipy.stats import kendalltau
    except ImportError as error:
        raise UsageError("scipy compares orders; pip install 'unitscope[studies]'") from error
    found: Callable[..., Any] = kendalltau
    return found


def claim_threshold(orders: Sequence[Order]) -> tuple[Claim, ...]:
    """Orders under other IoU cut-offs, other quantiles, the other rule."""
    claims = []
    for said, chosen in (
        ("the order of networks is stable under other IoU cut-offs", _by_cutoff),
        ("(not asked in the paper) under other quantiles", _by_quantile),
        ("(not asked in the paper) under the other counting rule", _by_rule),
    ):
        taus = [one.tau for one in orders if chosen(one)]
        verdict: Verdict = "replicates" if min(taus) >= STABLE else "unclear"
        verdict = "does not replicate at this scale" if min(taus) < STABLE / 2 else verdict
        ours = f"Kendall's tau {min(taus):.2f} to {max(taus):.2f}"
        claims.append(Claim("section 3.2", said, ours, verdict))
    return tuple(claims)


def _by_cutoff(one: Order) -> bool:
    return one.quantile == USUAL[1] and one.rule == "label" and one.cutoff != USUAL[0]


def _by_quantile(one: Order) -> bool:
    return one.cutoff == USUAL[0] and one.rule == "label" and one.quantile != USUAL[1]


def _by_rule(one: Order) -> bool:
    return (one.cutoff, one.quantile) == USUAL and one.rule != "label"


def spell_orders(orders: Sequence[Order]) -> str:
    """Kendall's tau to the usual order: a row a quantile, a column a cut-off, by rule."""
    cutoffs = list(dict.fromkeys(one.cutoff for one in orders))
    quantiles = list(dict.fromkeys(one.quantile for one in orders))
    known = {(one.cutoff, one.quantile, one.rule): one for one in orders}
    parts = []
    for rule in RULES:
        lines = [
            f"| counted by {rule}: quantile | {' | '.join(f'IoU > {cutoff:g}' for cutoff in cutoffs)} |",
            f"|---:|{'---:|' * len(cutoffs)}",
        ]
        for quantile in quantiles:
            cells = [f"{known[cutoff, quantile, rule].tau:.2f}" for cutoff in cutoffs]
            lines.append(f"| {quantile:g} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def spell_counts(counts: Sequence[Count]) -> str:
    """The groups' mean unique detectors at the usual quantile, by cut-off, in the usual order."""
    ranked = rank_groups(counts)
    cutoffs = [cutoff for cutoff, quantile, rule in ranked if quantile == USUAL[1] and rule == "label"]
    usual: Mapping[str, float] = ranked[(*USUAL, "label")]
    lines = [
        f"| network | {' | '.join(f'IoU > {cutoff:g}' for cutoff in cutoffs)} |",
        f"|---|{'---:|' * len(cutoffs)}",
    ]
    for group in sorted(usual, key=lambda name: -usual[name]):
        cells = [f"{ranked[cutoff, USUAL[1], 'label'][group]:.1f}" for cutoff in cutoffs]
        lines.append(f"| {group} | {' | '.join(cells)} |")
    return "\n".join(lines)


def count_rows(counts: Sequence[Count]) -> list[Cells]:
    """A row a count."""
    head = ["group", "seed", "cutoff", "quantile", "rule", "unique"]
    return [
        head,
        *(
            [one.group, str(one.seed), short(one.cutoff), short(one.quantile), one.rule, str(one.unique)]
            for one in counts
        ),
    ]


def compare_threshold(setting: Setting) -> tuple[Finding, list[Count]]:
    """Counts the networks of two cohorts at all cut-offs and quantiles."""
    members = models_of(GROUPS, setting)
    train_models([model for _, model in members], setting.networks, jobs=setting.jobs)
    source, cache = setting.source(), str(setting.folder / "packed")
    networks = [(group, model.seed, open_student(model, setting.networks)) for group, model in members]
    networks += [
        ("random weights", seed, open_student(StudyModel(setting.course(COURSE), seed), None))
        for seed in dict.fromkeys(model.seed for _, model in members)
    ]
    counts = [
        count
        for group, seed, network in networks
        for count in count_network(
            network, LAST, source, group=group, seed=seed, convention=setting.convention, cache=cache
        )
    ]
    orders = compare_orders(counts)
    told = "Kendall's tau between the order there and the usual one:"
    text = f"{spell_counts(counts)}\n\n{told}\n\n{spell_orders(orders)}"
    seeds = f"{len(dict.fromkeys(model.seed for _, model in members))} of each network"
    tables = {"threshold.csv": count_rows(counts)}
    return (
        Finding(
            "threshold", QUESTION, claim_threshold(orders), text, tables, seeds, 0.0, setting.quick, RULE
        ),
        counts,
    )
