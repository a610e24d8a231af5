"""Which concepts have units at which depth of a classifier? (paper A, fig. 5)"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.lab.studies.claims import Claim, judge_all, judge_order, spread
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import (
    Representation,
    Setting,
    cohort_rows,
    describe_layer,
    dissect_kept,
    spell_cohort,
)
from unitscope.lab.studies.training import HIGH, LOW
from unitscope.lab.zoo.trained_models import (
    COURSE,
    LAYERS,
    StudyModel,
    open_student,
    seconds_of,
    train_models,
)
from unitscope.networks.network import Network

QUESTION = "Which concepts have units at which depth?"
SEEDS = 5


def dissect_layers(
    network: Network,
    layers: Sequence[str],
    source: ConceptSource,
    *,
    convention: str = "netdissect",
    seed: int = 0,
    cache: str | Path | None = None,
) -> list[Representation]:
    """The layers of any network, dissected in one pass; a row a layer."""
    found = dissect(
        network, source, layers, convention=convention, confidences=Confidences(100, 20), cache=cache
    )
    return [describe_layer(found[layer], layer, seed) for layer in found]


def share(row: Representation, categories: Sequence[str]) -> float:
    """The share of a layer's unique concepts that some categories have; 0 for a layer without any."""
    return sum(row.count(one) for one in categories) / max(1, row.count())


def claim_layers(rows: Sequence[Representation]) -> tuple[Claim, ...]:
    """Colors and textures dominate early layers, objects and parts emerge in the last.

    Emerge: there are more in the last than in the early ones, and than in the one before it.
    """
    names = list(dict.fromkeys(row.layer for row in rows))
    early = names[: max(1, len(names) // 3)]
    low_early = _means(rows, early, LOW)
    low_last = _means(rows, names[-1:], LOW)
    objects_early = _counts(rows, early)
    before = names[-2:-1] or early
    objects_before = _counts(rows, before)
    objects_last = _counts(rows, names[-1:])
    told = ", ".join(early)
    return (
        Claim(
            "fig. 5",
            "colors, textures and materials have a larger share of the concepts in early layers",
            f"{spread([100 * one for one in low_early], '.0f')} % in {told}, "
            f"{spread([100 * one for one in low_last], '.0f')} % in {names[-1]}",
            judge_order(low_early, low_last) if any(low_early + low_last) else "not tested",
        ),
        Claim(
            "fig. 5",
            "objects and parts emerge in the last layer",
            f"{spread(objects_early)} concepts in {told}, {spread(objects_before)} in {before[0]}, "
            f"{spread(objects_last)} in {names[-1]}",
            judge_all(judge_order(objects_last, some) for some in (objects_early, objects_before)),
        ),
    )


def _means(rows: Sequence[Representation], layers: Sequence[str], categories: Sequence[str]) -> list[float]:
    """The share of some categories, the mean over some layers, a number a seed."""
    seeds = dict.fromkeys(row.seed for row in rows)
    return [
        float(np.mean([share(row, categories) for row in rows if row.seed == seed and row.layer in layers]))
        for seed in seeds
    ]


def _counts(rows: Sequence[Representation], layers: Sequence[str]) -> list[float]:
    seeds = dict.fromkeys(row.seed for row in rows)
    return [
        float(
            np.mean(
                [
                    sum(row.count(one) for one in HIGH)
                    for row in rows
                    if row.seed == seed and row.layer in layers
                ]
            )
        )
        for seed in seeds
    ]


def judge_layers(cohorts: Mapping[str, Sequence[Representation]], quick: bool = False) -> Finding:
    """The finding of the first of some networks; its random weights and others stand beside it as tables."""
    first, *_ = cohorts.values()
    parts = [f"{name}:\n\n{spell_cohort(rows, 'layer')}" for name, rows in cohorts.items()]
    tables = {
        f"layers{'' if place == 0 else f'-{place}'}.csv": list(cohort_rows(rows))
        for place, rows in enumerate(cohorts.values())
    }
    return Finding(
        "layers",
        QUESTION,
        claim_layers(first),
        "\n\n".join(parts),
        tables,
        str(len(dict.fromkeys(row.seed for row in first))),
        sum(row.seconds for row in first),
        quick,
    )


def compare_depths(setting: Setting) -> tuple[Finding, dict[str, list[Representation]]]:
    """All five layers of the baseline, and of the same network with random weights."""
    models = [StudyModel(setting.course(COURSE), seed) for seed in setting.repetitions(SEEDS)]
    train_models(models, setting.networks, jobs=setting.jobs)
    source = setting.source()
    cohorts: dict[str, list[Representation]] = {"Taught scenes": [], "Random weights": []}
    for model in models:
        for name, folder in (("Taught scenes", setting.networks), ("Random weights", None)):
            network = open_student(model, folder)
            kind = name.replace(" ", "-").lower()
            found = dissect_kept(network, LAYERS, source, setting, f"layers-{kind}-{model.seed}")
            for layer in LAYERS:
                last = folder is not None and layer == LAYERS[-1]
                seconds = seconds_of(model, setting.networks) if last else 0.0
                cohorts[name].append(describe_layer(found[layer], layer, model.seed, seconds=seconds))
    return judge_layers(cohorts, setting.quick), cohorts
