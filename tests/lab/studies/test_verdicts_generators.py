"""The verdicts on artifact units and on insertions, from numbers whose verdicts are known."""

import pytest

from unitscope.lab.studies.artifact_units import (
    BEFORE,
    COUNTS,
    LAYERS,
    ArtifactResult,
    claim_artifacts,
    judge_artifacts,
    select,
)
from unitscope.lab.studies.insertion_spread import (
    ADDED,
    CONCEPTS,
    SpreadResult,
    claim_spread,
    follow_layers,
)


def removals(after, lots, seeds=3):
    """All distances 10 before, `after` without the worst, `lots` without random units; a bit more by seed."""
    rows = []
    for seed in range(seeds):
        for layer in LAYERS:
            rows.append(ArtifactResult(seed, layer, BEFORE, 0, -1, 10 + 0.1 * seed))
            for count in COUNTS:
                value = after + 0.1 * seed
                rows += [ArtifactResult(seed, layer, by, count, -1, value) for by in ("frechet", "unknown")]
                rows += [
                    ArtifactResult(seed, layer, "random", count, k, lots + k + 0.1 * seed) for k in range(2)
                ]
    return rows


@pytest.mark.parametrize(
    ("after", "lots", "better", "than_lots", "harmless"),
    [
        (5, 12, "replicates", "replicates", "replicates"),
        (11, 12, "does not replicate at this scale", "replicates", "replicates"),
        (9.9, 9, "unclear", "does not replicate at this scale", "does not replicate at this scale"),
    ],
)
def test_units_are_judged_by_before_and_by_lot(after, lots, better, than_lots, harmless):
    claims = claim_artifacts(removals(after, lots))
    assert len(claims) == len(LAYERS) * (2 * len(COUNTS) * 2 + 1)
    assert {one.verdict for one in claims if "that cause artifacts" in one.paper} == {better}
    assert {one.verdict for one in claims if "as many random ones" in one.paper} <= {than_lots, "unclear"}
    assert {one.verdict for one in claims if "do not make pictures better" in one.paper} <= {
        harmless,
        "unclear",
    }


def test_random_draws_are_averaged_and_one_seed_proves_nothing():
    rows = removals(5, 12, seeds=1)
    assert select(rows, LAYERS[0], "random", COUNTS[0]) == [12.5]
    assert {one.verdict for one in judge_artifacts(rows).claims} == {"unclear"}


def insertions(shown, hidden, sky, road, fullest, mean):
    rows = []
    for seed in range(3):
        for text in CONCEPTS:
            concept, _, layer = text.rpartition("/")[2].partition("@")
            head = (seed, concept, layer, "iou")
            for context, value in (
                ("(appeared)", shown), ("(did not appear)", hidden), ("sky", sky), ("road", road),
            ):  # fmt: skip
                at = ("carried", "layer4", "place", value + 0.01 * seed)
                rows.append(SpreadResult(*head, "mean", context, 30, *at))
            for rule, value in (("fullest", fullest), ("mean", mean)):
                rows.append(SpreadResult(*head, rule, "(all)", 30, ADDED, "", "", value + 0.01 * seed))
    return rows


def test_insertions_are_judged_by_outcome_context_and_level():
    claims = claim_spread(insertions(shown=2, hidden=1, sky=1, road=2, fullest=0.3, mean=0.3))
    verdicts = {one.paper: one.verdict for one in claims}
    assert len(claims) == 2 * len(CONCEPTS) + 1
    [seen] = [one for one in verdicts if "can be seen" in one]
    [stood] = [one for one in verdicts if "what stood there" in one]
    [level] = [one for one in verdicts if "most present" in one]
    assert verdicts[seen] == "replicates"
    assert verdicts[stood] == verdicts[level] == "does not replicate at this scale"


def test_a_concept_that_never_appeared_is_not_tested():
    rows = [one for one in insertions(2, 1, 1, 2, 0.3, 0.2) if one.context != "(appeared)"]
    assert {one.verdict for one in claim_spread(rows) if "can be seen" in one.paper} == {"not tested"}


def test_a_change_is_followed_from_its_layer_on():
    assert follow_layers("layer1") == ["layer1", "layer2", "layer3", "layer4", "picture"]
