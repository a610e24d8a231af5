"""Every claim about groups of networks and about layers, over tables made by hand whose verdict is known."""

import pytest

from unitscope.dissection.counts import RULES
from unitscope.lab.studies.architectures import study_architectures
from unitscope.lab.studies.conditions import study_conditions
from unitscope.lab.studies.depth import claim_layers
from unitscope.lab.studies.supervision import NAMED, SELF, study_supervision
from unitscope.lab.studies.trained_groups import Representation
from unitscope.lab.studies.width import study_width

YES, NO, UNCLEAR = "replicates", "does not replicate at this scale", "unclear"
MANY, FEW, BETWEEN = (7, 8, 9), (1, 2, 3), (1, 2, 8)
CATEGORIES = ("object", "part", "material", "texture", "color", "scene")
SOME = (4, 5, 6)


def make_row(group, seed, *, layer="layer5", detectors=30, skill=0.5, **unique):
    """A network with so many unique concepts by category."""
    counts = dict.fromkeys(CATEGORIES, 0) | unique
    both = dict.fromkeys(RULES, counts)
    return Representation(
        layer=layer,
        units=128,
        detectors=detectors,
        dead=0,
        by_category=counts,
        unique=both,
        chance_detectors=0.0,
        chance_discoveries=0.0,
        discoveries=detectors,
        sure_detectors=detectors,
        sure_unique=both,
        group=group,
        seed=seed,
        iou=0.1,
        images=100,
        cells=(8, 8),
        sizes={category: (1,) * count for category, count in counts.items()},
        skill=float(skill),
    )


def judge(study, number, measure, values, others=SOME):
    """The claim of that number where the groups named have these values, a number a seed, others the same."""
    groups = [*study.groups, *([study.untrained] if study.untrained else [])]
    rows = [
        make_row(group, seed, **{measure: value})
        for group in groups
        for seed, value in enumerate(values.get(group, others))
    ]
    return study.judge(rows)[number]


ORDERS = [
    # study, number of the claim, what is measured, the group with more, the one with fewer, all others
    (study_architectures, 0, "object", "resnet", "vgg", SOME),
    (study_architectures, 1, "object", "densenet", "vgg", SOME),
    (study_architectures, 2, "object", "vgg", "googlenet", SOME),
    (study_architectures, 3, "object", "googlenet", "alexnet", SOME),
    (study_conditions, 1, "object", "baseline", "no dropout", SOME),
    (study_conditions, 2, "texture", "no dropout", "baseline", SOME),
    (study_conditions, 3, "part", "no batch norm", "baseline", SOME),
    (study_width, 0, "part", "x 4", "x 1", SOME),
    (study_width, 1, "detectors", "x 4", "x 1", SOME),
    (study_supervision, 1, "texture", "jigsaw", "scenes", (0, 0, 0)),
    (study_supervision, 2, "object", "scenes", "objects", SOME),
    (study_supervision, 3, "object", "scenes", "jigsaw", (0, 0, 0)),
    (study_supervision, 4, "color", "random weights", "colorization", SOME),
    (study_supervision, 5, "object", "captions", "random weights", SOME),
]
NAMES = [f"{study.name}-{number}" for study, number, *_ in ORDERS]


@pytest.mark.parametrize(("study", "number", "measure", "more", "fewer", "others"), ORDERS, ids=NAMES)
def test_an_order_of_two_groups(study, number, measure, more, fewer, others):
    def verdict(high, low):
        return judge(study, number, measure, {more: high, fewer: low}, others).verdict

    assert verdict(MANY, FEW) == YES
    assert verdict(FEW, MANY) == NO  # the groups swapped
    assert verdict(FEW, FEW) == NO
    assert verdict(MANY, BETWEEN) == UNCLEAR  # more on average, not for every pair of seeds
    assert verdict(MANY[:1], FEW[:1]) == UNCLEAR  # one seed is no replication


def test_what_was_measured_stands_beside_the_claim():
    claim = judge(study_architectures, 0, "object", {"resnet": MANY, "vgg": FEW})
    assert claim.paper == "resnet has more unique detectors than vgg"
    assert claim.ours == "8.0 (7.0 to 9.0) and 2.0 (1.0 to 3.0)"
    claim = judge(study_conditions, 2, "texture", {"no dropout": MANY, "baseline": FEW})
    assert claim.paper == "and more texture detectors"
    assert claim.ours == "no dropout 8.0 (7.0 to 9.0), baseline 2.0 (1.0 to 3.0)"
    claim = judge(study_width, 0, "object", {"x 4": MANY, "x 1": FEW})
    assert claim.ours == "x 1 2.0 (1.0 to 3.0), x 2 5.0 (4.0 to 6.0), x 4 8.0 (7.0 to 9.0)"
    claim = judge(study_supervision, 4, "color", {"colorization": FEW})
    assert claim.ours == "colorization 2.0 (1.0 to 3.0), random weights 5.0 (4.0 to 6.0)"
    claim = judge(study_supervision, 5, "object", {"captions": MANY, "random weights": FEW})
    assert claim.ours == "captions 8.0 (7.0 to 9.0), scenes 5.0 (4.0 to 6.0), random weights 2.0 (1.0 to 3.0)"


@pytest.mark.parametrize("label", NAMED)
@pytest.mark.parametrize("puzzle", [SELF[0], SELF[-1]])
def test_the_worst_with_labels_is_above_the_best_without(label, puzzle):
    labels, rest = dict.fromkeys(NAMED, (90, 91, 92)), dict.fromkeys(SELF, (0, 0, 0))

    def claim(high, low):
        return judge(study_supervision, 0, "object", {**labels, **rest, label: high, puzzle: low})

    assert claim(MANY, FEW).verdict == YES
    assert claim(MANY, FEW).ours == (
        f"fewest with labels: {label} 8.0 (7.0 to 9.0); most without: {puzzle} 2.0 (1.0 to 3.0); captions, "
        "not in the figure, 5.0 (4.0 to 6.0)"
    )
    assert claim(FEW, MANY).verdict == NO
    assert claim(MANY, BETWEEN).verdict == UNCLEAR


@pytest.mark.parametrize("puzzle", [SELF[0], SELF[-1]])
def test_any_puzzle_may_have_the_most(puzzle):
    for number, category in ((1, "texture"), (3, "object")):
        values = {"scenes": SOME, puzzle: MANY}
        assert f"{puzzle} 8.0" in judge(study_supervision, number, category, values, (0, 0, 0)).ours


def test_no_color_detectors_at_all_are_few():
    none = {"colorization": (0, 0, 0), "random weights": (0, 0, 0)}
    assert judge(study_supervision, 4, "color", none).verdict == YES
    one = {"colorization": (0,), "random weights": (0,)}
    assert judge(study_supervision, 4, "color", one).verdict == UNCLEAR


def test_repetitions_are_alike_within_a_fifth_of_their_mean():
    def claim(baseline, other):
        return judge(study_conditions, 0, "object", {"baseline": baseline, "no dropout": other})

    alike, apart = (9, 10, 11), (5, 10, 15)
    assert claim(alike, apart).verdict == YES
    assert claim(alike, apart).ours == "10.0 (9.0 to 11.0) unique detectors, a range of 20% of the mean"
    assert claim(apart, alike).verdict == NO
    assert claim((10,), apart).verdict == UNCLEAR
    assert claim((0, 0), apart).verdict == YES


def test_wider_still_gains_no_more():
    def verdict(wider, widest):
        return judge(study_width, 2, "object", {"x 4": wider, "x 8": widest}).verdict

    assert verdict(MANY, FEW) == YES
    assert verdict(FEW, MANY) == NO  # the groups swapped
    assert verdict((90, 91, 92), (93, 94, 95)) == YES  # an order, but a gain of 3 %
    assert verdict(MANY, (8, 9, 10)) == YES  # no order
    assert verdict(MANY[:1], FEW[:1]) == UNCLEAR


def test_accuracy_is_much_the_same():
    def claim(narrow, wide, widest=(0.2, 0.2, 0.2)):
        return judge(study_width, 3, "skill", {"x 1": narrow, "x 4": wide, "x 8": widest})

    same, less = (0.80, 0.81, 0.82), (0.79, 0.80, 0.81)
    assert claim(same, less).verdict == YES
    assert claim(same, less).ours == "x 1 81.0 (80.0 to 82.0) %, x 4 80.0 (79.0 to 81.0) %"
    assert claim(less, same).verdict == YES  # the claim has no order
    assert claim(same, (0.2, 0.2, 0.2), less).verdict == NO  # x 4 and x 8 swapped
    assert claim((0.2, 0.2, 0.2), same).verdict == NO
    assert claim(same[:1], less[:1]).verdict == UNCLEAR


def stack(*layers):
    """Rows of networks with these layers, each a list with the unique concepts of every seed."""
    return [
        make_row(f"layer{place}", seed, layer=f"layer{place}", **counts)
        for place, seeds in enumerate(layers, 1)
        for seed, counts in enumerate(seeds)
    ]


LOW = [{"color": 6, "texture": 3, "object": 1}, {"color": 5, "texture": 4, "object": 2}]
HIGH = [{"color": 1, "object": 7, "part": 2}, {"color": 2, "object": 6, "part": 3}]


def test_low_concepts_have_a_larger_share_of_early_layers():
    def claim(early, last):
        return claim_layers(stack(early, LOW, last))[0]

    assert claim(LOW, HIGH).verdict == YES
    assert claim(LOW, HIGH).ours == "86 (82 to 90) % in layer1, 14 (10 to 18) % in layer3"
    assert claim(HIGH, LOW).verdict == NO
    assert claim([LOW[0], HIGH[0]], [HIGH[1], HIGH[1]]).verdict == UNCLEAR
    assert claim(LOW[:1], HIGH[:1]).verdict == UNCLEAR
    nothing = [{"scene": 1}] * 2
    assert claim(nothing, nothing).verdict == "not tested"


def test_objects_and_parts_emerge_in_the_last_layer():
    def claim(early, before, last):
        return claim_layers(stack(early, before, last))[1]

    assert claim(LOW, LOW, HIGH).verdict == YES
    assert claim(LOW, LOW, HIGH).ours == (
        "1.5 (1.0 to 2.0) concepts in layer1, 1.5 (1.0 to 2.0) in layer2, 9.0 in layer3"
    )
    assert claim(HIGH, LOW, LOW).verdict == NO  # first and last swapped
    assert claim(LOW, HIGH, LOW).verdict == NO  # they are there before the last
    assert claim(LOW, [LOW[0], HIGH[0]], [HIGH[0], {"object": 10}]).verdict == UNCLEAR
    assert claim(LOW[:1], LOW[:1], HIGH[:1]).verdict == UNCLEAR


def test_the_first_third_of_the_layers_is_early():
    first, *_ = claim_layers(stack(LOW, LOW, HIGH, HIGH, HIGH, HIGH))
    assert "in layer1, layer2, " in first.ours
    assert first.ours.startswith("86")
