"""Verdicts of studies that follow, rotate, probe and recount units: from numbers whose verdict is known.

Every claim is met, not met and undecided once; where two sides are exchanged, its verdict changes.
"""

from dataclasses import replace

import numpy as np
import pytest

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.counts import RULES
from unitscope.lab.studies.discrimination import RANDOM, ProbeResult, claim_discrimination
from unitscope.lab.studies.rotation import PartialRotation, RotationResult, Rotations
from unitscope.lab.studies.rotation_finding import claim_axis
from unitscope.lab.studies.threshold import USUAL, Count, Order, claim_threshold, compare_orders
from unitscope.lab.studies.trained_groups import Representation
from unitscope.lab.studies.training import claim_training, judge_training
from unitscope.lab.studies.transfer import TO_OBJECTS, TO_SCENES, claim_transfer, judge_transfer
from unitscope.lab.studies.unit_trajectories import Tracks, Training

YES, NO, OPEN, NONE = "replicates", "does not replicate at this scale", "unclear", "not tested"
CATEGORIES = ("color", "texture", "object", "part", "scene")
COLOR, TEXTURE, OBJECT, PART = range(1, 5)
WORDS = Vocabulary(tuple(Concept(place, name, name) for place, name in enumerate(CATEGORIES, 1)))


def row(group="one", seed=0, step=0, skill=float("nan"), **counts):
    """A layer with so many unique concepts of each category."""
    unique = {name: counts.get(name, 0) for name in CATEGORIES}
    by_rule = dict.fromkeys(RULES, unique)
    return Representation(
        *("last", 64, sum(unique.values()), 0, unique, by_rule, 0.0, 0.0, 0, 0, by_rule),
        *(group, seed, 0.1, 10, (8, 8), {}, step, skill),
    )


def follow(rows, units=((), ())):
    """A training of such rows, and what every unit detects at some steps, 0 for nothing."""
    ids = np.array(units, np.int64).reshape(len(units), -1)
    tracks = Tracks(tuple(one.step for one in rows), WORDS, ids, ids * 0.1, ids > 0)
    return Training(tuple(rows), tracks)


def verdicts(claims):
    return [claim.verdict for claim in claims]


def train(early, late, pasts=(0,), steps=(1, 8)):
    """One training: how many concepts of textures and objects there are at two steps.

    Its units end as detectors of objects, having been `pasts` before.
    """
    rows = [
        row(step=step, texture=low, object=high)
        for step, (low, high) in zip(steps, (early, late), strict=True)
    ]
    return follow(rows, (pasts, [OBJECT] * len(pasts)))


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ([((1, 0), (2, 3)), ((2, 0), (2, 4))], YES),
        ([((2, 3), (1, 0)), ((2, 4), (2, 0))], NO),  # first and last exchanged
        ([((1, 0), (2, 3)), ((3, 3), (2, 3))], OPEN),
        ([((1, 0), (2, 3))], OPEN),  # one seed
        ([((1, 2), (1, 2)), ((1, 2), (1, 2))], NO),
    ],
)
def test_unique_detectors_grow_over_training(ends, verdict):
    assert verdicts(claim_training([train(*one) for one in ends]))[0] == verdict


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ([((4, 1), (4, 4)), ((2, 0), (2, 4))], YES),
        ([((1, 4), (4, 4)), ((0, 2), (4, 2))], NO),  # textures and objects exchanged
        ([((4, 1), (4, 4)), ((4, 4), (4, 4))], OPEN),
        ([((4, 1), (4, 4))], OPEN),
        ([((4, 0), (4, 0)), ((4, 0), (4, 0))], NONE),  # no objects ever
    ],
)
def test_textures_come_before_objects(ends, verdict):
    claim = claim_training([train(*one) for one in ends])[1]
    assert claim.verdict == verdict
    if verdict == YES:
        assert claim.ours == "half of their number is reached at step 1 and at step 8"


@pytest.mark.parametrize(
    ("pasts", "verdict"),
    [
        ([[0, PART], [OBJECT]], YES),
        ([[TEXTURE, 0], [OBJECT]], NO),
        ([[COLOR] + 9 * [0], 10 * [0]], YES),  # one in twenty is few
        ([[COLOR, TEXTURE] + 8 * [0], 10 * [0]], NO),
        ([[0, PART]], OPEN),
        ([[], []], NONE),
    ],
)
def test_no_unit_turns_from_textures_to_objects(pasts, verdict):
    claim = claim_training([train((1, 1), (1, 1), one) for one in pasts])[2]
    assert claim.verdict == verdict


def test_units_that_turn_from_objects_to_textures_are_no_case():
    [one] = [follow([row(step=1), row(step=8)], ([OBJECT, OBJECT], [TEXTURE, OBJECT]))]
    claim = claim_training([one, one])[2]
    assert claim.verdict == YES
    assert claim.ours.startswith("of 2 object detectors at the end 0 had detected a color")


def test_a_training_is_told_step_by_step():
    trained = [train((4, 0), (0, 4), (TEXTURE, 0)), train((2, 0), (0, 2), (OBJECT, PART))]
    finding = judge_training(trained)
    assert "| 1 | 3.0 | 3.0 | 0.0 | 3.0 (2.0 to 4.0) |\n| 8 | 3.0 | 0.0 | 3.0 | 3.0 (2.0 to 4.0) |" in str(
        finding
    )
    assert "| object | 4 | 2 | 1 texture, 1 part | 8 |" in str(finding)
    assert finding.tables()["changes.csv"].rows == (
        ("none", "object", 1), ("object", "object", 1), ("part", "object", 1), ("texture", "object", 1),
    )  # fmt: skip
    assert finding.tables()["tracks.csv"].rows[1] == (
        "one",
        0,
        0,
        8,
        "object",
        "object",
        pytest.approx(0.3),
        1,
    )


def tune(objects, kept, group="one", seed=0):
    """A fine-tuning: object concepts at three steps, and how many of ten detectors keep their name."""
    rows = [row(group, seed, step, object=count) for step, count in zip((0, 4, 16), objects, strict=True)]
    names = [OBJECT] * kept + [PART] * (5 - kept // 2) + [0] * (5 - kept + kept // 2)
    return follow(rows, ([OBJECT] * 10, [OBJECT] * 10, names))


TUNED = {
    TO_OBJECTS: [tune((9, 6, 4), 2), tune((8, 6, 5), 3)],
    "scenes to scenes": [tune((5, 5, 5), 8), tune((5, 5, 5), 7)],
    TO_SCENES: [tune((8, 5, 9), 0), tune((9, 6, 8), 0)],
    "objects to objects": [tune((5, 5, 5), 1), tune((5, 5, 5), 1)],
}
SCRATCH, EARLY = (0.3, 0.4), (0.5, 0.6)


def judge_tuned(scratch=SCRATCH, early=EARLY, **changed):
    return verdicts(claim_transfer({**TUNED, **changed.get("groups", {})}, scratch, early))


def exchange(one, other):
    return {"groups": {one: TUNED[other], other: TUNED[one]}}


def test_every_claim_of_transfer_can_be_met():
    claims = claim_transfer(TUNED, SCRATCH, EARLY)
    assert verdicts(claims) == [YES] * 5
    assert claims[0].ours == (
        "scenes right after 64 steps: 55.0 (50.0 to 60.0) % fine-tuned, 35.0 (30.0 to 40.0) % from scratch"
    )
    assert claims[1].ours.startswith("scenes to objects: 75 (70 to 80) % of the detectors")
    assert claims[3].ours.startswith(
        "8.5 (8.0 to 9.0) object concepts at the start, 5.5 (5.0 to 6.0) at the step"
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"scratch": EARLY, "early": SCRATCH}, [NO, YES, YES, YES, YES]),
        ({"early": (0.35, 0.6)}, [OPEN, YES, YES, YES, YES]),
        (exchange(TO_OBJECTS, "scenes to scenes"), [YES, NO, YES, YES, NO]),
        (exchange(TO_SCENES, "objects to objects"), [YES, YES, NO, NO, YES]),
        (exchange("scenes to scenes", "objects to objects"), [YES, NO, YES, YES, YES]),
        (exchange(TO_OBJECTS, TO_SCENES), [YES, YES, NO, NO, NO]),
        ({"groups": {TO_OBJECTS: [tune((4, 6, 9), 2), tune((5, 6, 8), 7)]}}, [YES, OPEN, YES, YES, NO]),
        ({"groups": {TO_OBJECTS: [tune((9, 6, 4), 2), tune((5, 5, 5), 2)]}}, [YES, YES, YES, YES, OPEN]),
        ({"groups": {TO_SCENES: [tune((8, 5, 4), 0), tune((9, 6, 3), 0)]}}, [YES, YES, YES, NO, YES]),
        ({"groups": {TO_SCENES: [tune((8, 5, 9), 0), tune((6, 6, 7), 0)]}}, [YES, YES, YES, OPEN, YES]),
        ({"groups": {group: some[:1] for group, some in TUNED.items()}}, [YES, OPEN, OPEN, OPEN, OPEN]),
    ],
)
def test_what_changes_in_a_transfer_changes_its_verdict(changed, expected):
    assert judge_tuned(**changed) == expected


def test_a_transfer_is_told_by_group_and_step():
    followed = {group: [one] for group, [one, _] in TUNED.items()}
    finding = judge_transfer(followed, (), True)
    assert "| scenes to objects | 16 | 4.0 | 4.0 | 0.0 | 0.0 | 4.0 | 20 % |" in str(finding)
    assert "| unit | step 0 | step 4 | step 16 |\n|---:|---|---|---|\n| 2 | object" in str(finding)


def order(cutoff=USUAL[0], quantile=USUAL[1], rule="label", tau=1.0):
    return Order(cutoff, quantile, rule, tau, "vgg")


@pytest.mark.parametrize(("tau", "verdict"), [(0.8, YES), (0.79, OPEN), (0.4, OPEN), (0.39, NO), (-1.0, NO)])
@pytest.mark.parametrize("place", range(3))
def test_one_order_that_changes_changes_its_claim_alone(tau, verdict, place):
    varied = ({"cutoff": 0.1}, {"quantile": 0.02}, {"rule": "category"})
    orders = [order(), order(cutoff=0.02), order(quantile=0.001), *(order(**one) for one in varied)]
    both = order(cutoff=0.1, quantile=0.02, tau=-1.0)  # two things varied: no claim is about it
    orders = [*orders[: 3 + place], order(**varied[place], tau=tau), *orders[4 + place :], both]
    expected = [YES] * 3
    expected[place] = verdict
    assert verdicts(claim_threshold(orders)) == expected


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [((4, 3, 2, 1), YES), ((3, 4, 2, 1), OPEN), ((3, 4, 1, 2), NO), ((1, 2, 3, 4), NO)],
)
def test_networks_that_change_places_change_the_verdict(counts, verdict):
    places = {(0.04, 0.005, "label"): (4, 3, 2, 1), (0.1, 0.005, "label"): counts}
    places |= {(0.04, 0.02, "label"): (8, 6, 4, 2), (0.04, 0.005, "category"): (9, 5, 4, 3)}
    counted = [
        Count(group, seed, *place, count)
        for place, some in places.items()
        for group, count in zip("abcd", some, strict=True)
        for seed in (0, 1)
    ]
    assert verdicts(claim_threshold(compare_orders(counted))) == [verdict, YES, YES]


def rotate(own, rotated, seed=0, factor="center", name="one", detectors=None):
    counts = (own, *rotated)
    return RotationResult(name, seed, factor, "all", counts, counts, detectors or counts)


def parts(*totals, name="one"):
    """One rotation in parts with so many unique concepts, from none of it to all."""
    return tuple(
        PartialRotation(name, 0, 0, place / max(1, len(totals) - 1), total, {"color": 1, "object": total - 1})
        for place, total in enumerate(totals)
    )


FALLING = parts(10, 8, 8, 3)
RESULTS = (rotate(10, (2, 3)), rotate(12, (3, 3), 1), rotate(11, (2, 2), 2))


def judge_rotated(results=RESULTS, steps=FALLING, undone=1e-6):
    return verdicts(claim_axis(Rotations(tuple(results), tuple(steps), undone)))


def test_every_claim_of_rotations_can_be_met():
    assert judge_rotated() == [YES] * 4
    others = (rotate(2, (10, 10), name="other"), rotate(2, (10, 10), factor="control"))
    [first, falls, *_] = claim_axis(
        Rotations((*RESULTS, *others), (*FALLING, *parts(1, 9, name="other")), 0.0)
    )
    assert (first.verdict, falls.verdict, falls.ours) == (YES, YES, "10.0 → 8.0 → 8.0 → 3.0")
    assert first.ours.endswith("of those of the units; below half in 1 of 2 conditions")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        # units and rotations exchanged
        (
            {"results": [rotate(2, (10, 9)), rotate(3, (12, 12), 1), rotate(2, (11, 9), 2)]},
            [NO, YES, YES, NO],
        ),
        ({"results": [rotate(10, (2, 2)), rotate(10, (8, 8), 1)]}, [OPEN, YES, YES, YES]),
        ({"results": [rotate(10, (2,))]}, [OPEN, YES, YES, OPEN]),
        ({"results": [rotate(10, (8, 8, 8)), rotate(11, (8, 8, 9), 1)]}, [NO, YES, YES, YES]),
        ({"results": [rotate(0, (8, 8))]}, [NONE, YES, YES, NO]),
        ({"steps": FALLING[::-1]}, [YES, YES, YES, YES]),  # parts are told by their size, not their order
        ({"steps": parts(3, 8, 8, 10)}, [YES, NO, YES, YES]),
        ({"steps": parts(10, 4, 6)}, [YES, NO, YES, YES]),
        ({"steps": parts(5, 5, 5)}, [YES, NO, YES, YES]),
        ({"undone": 1e-3}, [YES, YES, NO, YES]),
        ({"undone": 1e-4}, [YES, YES, NO, YES]),
    ],
)
def test_what_changes_in_rotations_changes_their_verdict(changed, expected):
    assert judge_rotated(**changed) == expected


def test_detectors_are_judged_by_themselves():
    for detectors, verdict in (((9, 5, 5), YES), ((5, 9, 9), NO), ((9, 5, 10), OPEN)):
        results = [replace(one, detectors=detectors) for one in RESULTS]
        assert judge_rotated(results=results) == [YES, YES, YES, verdict]


def probe(group, objects, accuracy, seed=0, family="a study"):
    return ProbeResult(family, row(group, seed, object=objects), accuracy)


LABELLED = [
    probe("vgg", 20, 0.50),
    probe("vgg", 21, 0.52, 1),
    probe("alexnet", 15, 0.45),
    probe("both", 25, 0.6),
]
ALONE = [
    probe("jigsaw", 4, 0.2),
    probe("jigsaw", 5, 0.22, 1),
    probe("rotation", 8, 0.3),
    probe("egomotion", 1, 0.1),
]
FRESH = [probe(RANDOM, 0, 0.9, family=RANDOM), probe(RANDOM, 1, 0.95, 1, RANDOM)]


def with_accuracies(results, accuracies):
    return [replace(one, accuracy=value) for one, value in zip(results, accuracies, strict=True)]


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([*LABELLED, *ALONE], [YES, YES]),
        ([*LABELLED, *ALONE, *FRESH], [YES, YES]),  # random weights decide nothing
        # accuracies of the two clusters exchanged
        (
            [
                *with_accuracies(LABELLED, [one.accuracy for one in ALONE]),
                *with_accuracies(ALONE, [one.accuracy for one in LABELLED]),
            ],
            [NO, NO],
        ),
        ([*LABELLED, *ALONE[:3], probe("egomotion", 1, 0.5)], [OPEN, OPEN]),
        ([*LABELLED, *FRESH], [YES, NONE]),
        ([*LABELLED[:2], *ALONE[:2]], [NONE, YES]),  # two kinds have no correlation
    ],
)
def test_features_are_judged_by_their_object_detectors(results, expected):
    assert verdicts(claim_discrimination(results)) == expected
