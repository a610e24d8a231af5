"""The deletion test of explanations: a class without its top contributors, and without random units."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import NetworkError, UsageError, check_seed
from unitscope.interventions.ablation import Masks, Trial, read_images, run_without
from unitscope.interventions.edits import check_counts, count_units
from unitscope.interventions.explanation import (
    Method,
    feed_image,
    fix_size,
    is_sum,
    read_layer,
    soften,
    weigh_gradient,
)
from unitscope.interventions.linear_head import LinearHead, read_head, read_numbers, seek_head
from unitscope.interventions.replay import replay
from unitscope.networks.network import Network
from unitscope.networks.trace import tap
from unitscope.networks.unit_maps import read_units
from unitscope.progress import follow_each
from unitscope.results import Result
from unitscope.statistics.intervals import Interval, count_draws, draw_again, take_middle
from unitscope.tables import Table, align

Kind = Literal["top", "active", "random"]
KINDS: tuple[Kind, ...] = ("top", "active", "random")
KIND_NAMES = {"top": "top contributors", "active": "most active", "random": "random"}
COUNTS = (1, 2, 4, 8, 16)
COLUMNS = ("kind", "count", "logit", "logit_low", "logit_high", "probability", "probability_low",
           "probability_high", "renamed")  # fmt: skip
REPLICATES = 1000
Removed = Float64[np.ndarray, "removal classes"]
_BATCH = 16
_TRIED = 4
_VERSIONS = 128


@dataclass(frozen=True)
class Deletion:
    """What the predicted class loses without `count` units: means over images, with 95 % intervals.

    `kind` says which units: "top", those that contribute most to it; "active", those with the largest mean
    activation, whatever they contribute; "random", random units. `logit` and `probability` are what was
    before minus what is after, `renamed` is the fraction of images whose predicted class becomes another.
    """

    kind: Kind
    count: int
    logit: Interval
    probability: Interval
    renamed: float


@dataclass(frozen=True, eq=False)
class DeletionTest(Result):
    """The deletion test, image by image: what the predicted class loses, and whether another takes its place.

    The kinds are `KINDS`; the figures of "random" are means over `draws` draws of an image. `method` is that
    of the contributions, `seed` drew the random units and draws the images of intervals.
    """

    files = ("deletion.csv",)

    counts: tuple[int, ...]
    draws: int
    method: Method
    logit: Float64[np.ndarray, "image kind count"]
    probability: Float64[np.ndarray, "image kind count"]
    renamed: Float64[np.ndarray, "image kind count"]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.logit)

    @cached_property
    def means(self) -> list[Deletion]:
        """Means by count and kind, with percentile intervals of a bootstrap over images."""
        draws = draw_again(len(self), REPLICATES, np.random.default_rng(self.seed))
        weights = count_draws(draws) / len(self)
        drops = (self.logit, self.probability)
        drawn = [np.einsum("ri,ikn->rkn", weights, drop) for drop in drops]
        rows = []
        for place, count in enumerate(self.counts):
            for k, kind in enumerate(KINDS):
                logit, probability = (
                    take_middle(found[:, k, place], float(drop[:, k, place].mean()))
                    for found, drop in zip(drawn, drops, strict=True)
                )
                renamed = float(self.renamed[:, k, place].mean())
                rows.append(Deletion(kind, count, logit, probability, renamed))
        return rows

    def tables(self) -> dict[str, Table]:
        """The means, a row a kind and count."""
        rows = ((r.kind, r.count, *r.logit.ends, *r.probability.ends, r.renamed) for r in self.means)
        return {"deletion.csv": Table(COLUMNS, tuple(rows), digits=None)}

    def text(self) -> str:
        """What the predicted class loses, by number and kind of units removed."""
        table = [["removed", "units", "logit falls by", "95 %", "probability by", "95 %", "renamed"]]
        for row in self.means:
            logit, probability = (
                [f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}"]
                for one in (row.logit, row.probability)
            )
            renamed = f"{row.renamed:.1%}"
            table.append([str(row.count), KIND_NAMES[row.kind], *logit, *probability, renamed])
        named = {"exact": "exact contributions", "inexact": "contributions that do not add up to every logit"}
        how = named.get(self.method, f"{self.method}, an approximation")
        same = "" if self.logit.any() else "\nwarning: no removal changed any logit, so it says nothing"
        return (
            f"predicted class without some units: {len(self):,} images, {how}, "
            f"{self.draws} random draws each\n{align(table, left=(1,))}{same}"
        )

    def describe(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        about = {"images": len(self), "draws": self.draws, "method": self.method}
        return {**about, "rows": self.rows()}


def measure_deletion(
    network: Network,
    layer: str,
    source: ConceptSource,
    *,
    counts: Sequence[int] | None = None,
    draws: int = 10,
    seed: int = 0,
    exact: bool = False,
) -> DeletionTest:
    """Removes, from every image of a source, the top contributors to its predicted class, and random units.

    `counts` says how many, by default those of `COUNTS` that the layer has.

    In closed form where the head is linear (`find_head`), else by running the rest of the network once a
    removal. The random units of an image depend on `seed` and its place in the source alone. The network is
    left as it was found. Raises `UsageError` for an unknown layer, a number of units that the layer does not
    have, fewer than one draw, or a negative seed; `NetworkError` where `exact` is asked for and the head is
    not linear, or contributions do not add up to a logit. Units are removed from class tokens, registers and
    patches.
    """
    if draws < 1:
        raise UsageError(f"{draws} random draws were asked for; wanted 1 or more, better 10")
    check_seed(seed)
    if not len(source):
        raise UsageError("the source has no images to delete units from; give another one")
    network = fix_size(network, source[0].image)
    units = count_units(network, layer)
    counts = [count for count in COUNTS if count <= units] if counts is None else counts
    check_counts(layer, units, counts)
    everything = Trial(source, np.arange(len(source)), np.full(len(source), -1))  # whatever their class
    _, some = next(read_images(network, everything, _TRIED))
    read_layer(network, layer, some)
    head = seek_head(network, layer, some, exact)
    runs = _replay(network, layer, source) if head is None else _solve(network, layer, everything, head)
    drops = np.zeros((3, len(source), len(KINDS), len(counts)))
    sums = True
    progress = follow_each(runs, f"deleting units of {layer}", total=len(source))
    with closing(runs):
        for index, run in enumerate(progress):
            sums &= run.exact
            masks = _choose_units(run, counts, draws, np.random.default_rng([seed, index]))
            drops[:, index] = _compare(run.logits, run.remove(masks), len(counts))
    if exact and not sums:
        raise NetworkError(
            f"the contributions of the units of {layer} do not add up to the logits of all images"
        )
    method: Method = "gradient times activation" if head is None else "exact" if sums else "inexact"
    return DeletionTest(tuple(counts), draws, method, drops[0], drops[1], drops[2], seed)


@dataclass(frozen=True, eq=False)
class _Run:
    """One image: its logits, what its units contribute to the predicted class, and how to remove some.

    `exact` says that the contributions and what is left without any unit add up to the logit.
    """

    logits: Float64[np.ndarray, "classes"]
    contributions: Float64[np.ndarray, "unit"]
    activation: Float64[np.ndarray, "unit"]
    remove: Callable[[Masks], Removed]
    exact: bool = False


def _solve(network: Network, layer: str, trial: Trial, head: LinearHead) -> Generator[_Run]:
    with tap(network, [layer]) as read:
        for _, batch in read_images(network, trial, _BATCH):
            maps = read_units(read(batch)[layer], network.layout(batch), layer)
            found = read_head(network, layer, head, batch)
            activity = maps.double().mean((2, 3)).cpu().numpy()
            rows = found.logits, found.lost, found.rest, activity
            for logits, lost, rest, activation in zip(*rows, strict=True):
                terms, named = head.weigh(lost), int(logits.argmax())

                def remove(masks: Masks, logits: np.ndarray = logits, terms: np.ndarray = terms) -> Removed:
                    return np.asarray(logits - masks @ terms.T)

                exact = is_sum(terms[named], float(rest[named]), float(logits[named]))
                yield _Run(logits, terms[named], activation, remove, exact)


def _replay(network: Network, layer: str, source: ConceptSource) -> Generator[_Run]:
    with replay(network, layer) as rest:
        for index in range(len(source)):
            image = feed_image(network, source[index].image, int(index))
            maps, output = rest.start(image)
            logits = read_numbers(output)[0]
            _, contributions = weigh_gradient(network, layer, image, int(logits.argmax()))

            def remove(masks: Masks, maps: Tensor = maps) -> Removed:
                some = (masks[start : start + _VERSIONS] for start in range(0, len(masks), _VERSIONS))
                parts = [read_numbers(run_without(rest, maps, part, fast=False)) for part in some]
                return np.concatenate(parts)

            yield _Run(logits, contributions, maps[0].double().mean((1, 2)).cpu().numpy(), remove)


def _choose_units(run: _Run, counts: Sequence[int], draws: int, rng: np.random.Generator) -> Masks:
    """The units to remove, by kind and count: top, active, then every draw."""
    units = len(run.contributions)
    orders = [np.argsort(-values, kind="stable") for values in (run.contributions, run.activation)]
    orders += [rng.permutation(units) for _ in range(draws)]
    ranks = np.argsort(np.stack(orders), 1)
    return (ranks[:, None] < np.asarray(counts)[:, None]).reshape(-1, units)


def _compare(
    before: Float64[np.ndarray, "classes"], after: Removed, counts: int
) -> Float64[np.ndarray, "3 kind count"]:
    """Drop of logit and of probability, and whether the name is another; the draws averaged."""
    named = int(before.argmax())
    likelihood = soften(before)[named] - soften(after)[:, named]
    rows = (before[named] - after[:, named], likelihood, after.argmax(1) != named)
    drops = np.stack(rows).reshape(3, -1, counts)
    return np.concatenate([drops[:, :2], drops[:, 2:].mean(1, keepdims=True)], 1)
