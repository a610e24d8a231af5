"""What a dissection will take, before it is made."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import Convention
from unitscope.dissection.costs import Asked, Estimate, foretell
from unitscope.dissection.dissect import Options, prepare, settle_convention
from unitscope.dissection.storage import Workspace, check_folder, compare_recipes
from unitscope.networks.network import Network
from unitscope.statistics.quantiles import SparseThreshold
from unitscope.statistics.shards import shard_path


def estimate_run(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    *,
    convention: str | Convention = "netdissect",
    quantile: float | None = None,
    sparse_threshold: SparseThreshold | None = None,
    **options: Any,
) -> Estimate:
    """What `dissect` with the same arguments will take: images, units, time, memory, disk.

    A few of the images are scanned, and some units named, which takes seconds. Nothing is written where the
    run or the cache will be. How far off it may be: docs/how-to/long-runs.md.

    Raises what `dissect` raises before its work, and `TypeError` for an option that it does not have.

    >>> from unitscope import Preprocessing, open_source
    >>> from torch import nn
    >>> network = Network(nn.Sequential(nn.AvgPool2d(8)), Preprocessing())
    >>> found = estimate_run(network, open_source("drawn:count=20,size=64"), ["0"])
    >>> found.images, dict(found.units)
    (20, {'0': 3})
    """
    asked = Options(**options)
    rules = settle_convention(convention, quantile, sparse_threshold)
    outline, recipe = prepare(network, source, layers, rules, asked)
    plan = outline.plan
    images = len(source)
    if asked.out is not None:
        folder = Path(asked.out)
        check_folder(folder, asked.resume)
        begun = Workspace(folder)
        if begun.recipe.exists():
            compare_recipes(begun, recipe, asked.mix_machines)
        images -= sum(len(plan.span(n)) for n in plan.shards if shard_path(begun.shards, n).exists())
    trial = Asked(asdict(asked.confidences), asked.cache, images, asked.label_sets)
    return foretell(network, source, plan, rules, asked.machine, trial)
