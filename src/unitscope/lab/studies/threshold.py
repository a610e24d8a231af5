"""Does the order of networks depend on the cut-offs? (paper A, section 3: relative orderings are stable)"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import UniqueRule
from unitscope.dissection.counts import RULES
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import missing_extra
from unitscope.executors.calls import Arrays, Work
from unitscope.lab.studies import architectures, supervision
from unitscope.lab.studies.claims import Claim, Verdict
from unitscope.lab.studies.figures.study_figures import draw_threshold
from unitscope.lab.studies.records import pack_records, read_records
from unitscope.lab.studies.rotation import count_by_iou
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Groups, Setting, Snapshot, models_of
from unitscope.lab.zoo.trained_models import COURSE, LAST, StudyModel, train_models
from unitscope.networks.network import Network
from unitscope.tables import Table
from unitscope.views.figures import Panel

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
    cache: str | Path | None = None,
) -> Iterator[Count]:
    """Dissects a layer once a quantile; cut-offs are counted from the same IoUs."""
    few = Confidences(0, 20)
    for quantile in quantiles:
        run = dissect(
            network, source, [layer], convention=convention, quantile=quantile, confidences=few, cache=cache
        )
        for cutoff in cutoffs:
            counts = count_by_iou(run[layer], cutoff)
            for rule in RULES:
                yield Count(group, seed, cutoff, quantile, rule, counts.count(rule=rule))


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
    """Every order against that at the usual cut-off, quantile and rule "label".

    Raises `UsageError` where scipy is missing.
    """
    try:
        from scipy.stats import kendalltau
    except ImportError as error:
        raise missing_extra("scipy", "compares orders", "studies") from error
    ranked = rank_groups(counts)
    wanted = ranked[(*usual, "label")]
    orders = []
    for key, means in ranked.items():
        tau = kendalltau(list(wanted.values()), [means[group] for group in wanted]).statistic
        orders.append(Order(*key, float(tau), max(means, key=lambda group: means[group])))
    return orders


def claim_threshold(orders: Sequence[Order]) -> tuple[Claim, ...]:
    """Orders under other IoU cut-offs, other quantiles, the other rule."""
    wanted = dict(zip(("cutoff", "quantile", "rule"), (*USUAL, "label"), strict=True))
    claims = []
    for varied, paper in (
        ("cutoff", "the order of networks is stable under other IoU cut-offs"),
        ("quantile", "(not asked in the paper) under other quantiles"),
        ("rule", "(not asked in the paper) under the other counting rule"),
    ):
        kept = {name: usual for name, usual in wanted.items() if name != varied}
        alike = [one for one in orders if all(getattr(one, name) == usual for name, usual in kept.items())]
        taus = [one.tau for one in alike if getattr(one, varied) != wanted[varied]]
        verdict: Verdict = "replicates" if min(taus) >= STABLE else "unclear"
        verdict = "does not replicate at this scale" if min(taus) < STABLE / 2 else verdict
        ours = f"Kendall's tau {min(taus):.2f} to {max(taus):.2f}"
        claims.append(Claim("section 3.2", paper, ours, verdict))
    return tuple(claims)


def table_orders(orders: Sequence[Order], rule: UniqueRule) -> Table:
    """Kendall's tau to the usual order, for people: a row a quantile, a column a cut-off."""
    cutoffs = list(dict.fromkeys(one.cutoff for one in orders))
    quantiles = dict.fromkeys(one.quantile for one in orders)
    known = {(one.cutoff, one.quantile, one.rule): f"{one.tau:.2f}" for one in orders}
    rows = ((f"{one:g}", *(known[cutoff, one, rule] for cutoff in cutoffs)) for one in quantiles)
    return Table((f"counted by {rule}: quantile", *_spell_cutoffs(cutoffs)), tuple(rows), ())


def table_groups(counts: Sequence[Count]) -> Table:
    """The groups' mean unique detectors at the usual quantile, by cut-off, in the usual order, for people."""
    ranked = rank_groups(counts)
    cutoffs = [cutoff for cutoff, quantile, rule in ranked if quantile == USUAL[1] and rule == "label"]
    usual = ranked[(*USUAL, "label")]
    rows = (
        (group, *(f"{ranked[cutoff, USUAL[1], 'label'][group]:.1f}" for cutoff in cutoffs))
        for group in sorted(usual, key=lambda name: -usual[name])
    )
    return Table(("network", *_spell_cutoffs(cutoffs)), tuple(rows))


def plot_groups(counts: Sequence[Count]) -> list[Panel]:
    """The groups' mean unique detectors over cut-offs and over quantiles, in the usual order."""
    ranked = rank_groups(counts)
    usual = ranked[(*USUAL, "label")]
    order = sorted(usual, key=lambda group: -usual[group])
    panels = []
    for place, name in enumerate(("IoU cut-off", "quantile of the threshold")):
        at = {
            (cutoff, quantile)[place]: means
            for (cutoff, quantile, rule), means in sorted(ranked.items())
            if rule == "label" and (cutoff, quantile)[1 - place] == USUAL[1 - place]
        }
        lines = {group: [(value, means[group], 0.0) for value, means in at.items()] for group in order}
        panels.append(Panel("", name, lines))
    return panels


def _spell_cutoffs(cutoffs: Sequence[float]) -> list[str]:
    return [f"IoU > {cutoff:g}" for cutoff in cutoffs]


def prepare_counts(setting: Setting, networks: Sequence[tuple[str, Snapshot]]) -> Work:
    """What counts one network of a group after the other, at all cut-offs and quantiles."""
    source, cache = setting.source(), setting.folder / "packed"

    def work(number: int) -> Arrays:
        group, one = networks[number]
        about: Any = {"group": group, "seed": one.model.seed, "convention": setting.convention}
        return {"counts": pack_records(count_network(one.open(setting), LAST, source, cache=cache, **about))}

    return work


def study_threshold(setting: Setting) -> Finding:
    """Counts the networks of two cohorts at all cut-offs and quantiles (paper A, section 3.2)."""
    members = models_of(GROUPS, setting)
    train_models([model for _, model in members], setting.networks, jobs=setting.jobs)
    seeds = list(dict.fromkeys(model.seed for _, model in members))
    networks = [(group, Snapshot(model)) for group, model in members]
    fresh = [StudyModel(setting.course(COURSE), seed) for seed in seeds]
    networks += [("random weights", Snapshot(model, taught=False)) for model in fresh]
    counts: list[Count] = []
    for part in setting.share(prepare_counts, len(networks), "counting", networks=networks):
        counts += [Count(**record) for record in read_records(part["counts"])]
    orders = compare_orders(counts)
    parts = [table_groups(counts).markdown(), "Kendall's tau between the order there and the usual one:"]
    parts += [table_orders(orders, rule).markdown() for rule in RULES]
    table = Table.of(map(asdict, counts), [column.name for column in fields(Count)])
    return Finding(
        "threshold",
        QUESTION,
        claim_threshold(orders),
        "\n\n".join(parts),
        {"threshold.csv": table},
        f"{len(seeds)} of each network",
        0.0,
        setting.quick,
        RULE,
        partial(draw_threshold, plot_groups(counts)),
    )
