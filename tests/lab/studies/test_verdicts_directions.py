"""Every claim about directions, over tables made by hand whose verdict is known: swapped, none holds."""

from dataclasses import replace

import pytest

from unitscope.lab.studies.direction_bases import ICA, MATRYOSHKA, NEURONS, PCA, ROTATIONS, TOPK, UNTRAINED
from unitscope.lab.studies.direction_claims import claim_directions, measure_aim
from unitscope.lab.studies.direction_removal import RemovalResult
from unitscope.lab.studies.directions import Measured
from unitscope.lab.studies.directions_finding import judge_directions
from unitscope.lab.studies.held_out import HeldOut

YES, NO, UNCLEAR, NOT = "replicates", "does not replicate at this scale", "unclear", "not tested"
MANY, FEW, BETWEEN, SOME = (0.7, 0.8, 0.9), (0.1, 0.2, 0.3), (0.1, 0.2, 0.8), (0.4, 0.5, 0.6)
SIDES = [(NEURONS, "layer"), (PCA, "layer"), (ICA, "layer")]
SIDES += [(kind, size) for kind in (ROTATIONS, UNTRAINED, TOPK, MATRYOSHKA) for size in ("small", "large")]
LATENTS, UNITS = (TOPK, "large"), (NEURONS, "layer")
RULES = ((0.005, "half-median"), (0.005, "zero"), (0.02, "half-median"))
REMOVALS = 12
"""The claims about removal begin here."""


def make_row(side, seed, value, field="best", rules=RULES[0], labels="own", subject="net conv"):
    kind, size = side
    row = HeldOut(subject, seed, kind, size, 10, *rules, labels, 0.5, 0.1, 5, 3, 0.5, 2, 0)
    return replace(row, **{field: round(10 * value) if field == "unique_10" else value})


def make_rows(values, field="best", rules=RULES[0], others=SOME, labels="own"):
    return [
        make_row(side, seed, value, field, rules, labels)
        for side in SIDES
        for seed, value in enumerate(values.get(side, others))
    ]


def judge(number, rows, removals=()):
    return claim_directions(Measured(tuple(rows), (), tuple(removals)))[number]


ORDERS = [
    # number of the claim, what is measured, the side with more, those with fewer
    (0, "best", LATENTS, [UNITS]),
    (1, "best", LATENTS, [(UNTRAINED, "large"), (ROTATIONS, "large")]),
    (2, "best", LATENTS, [(PCA, "layer")]),
    (3, "best", (MATRYOSHKA, "large"), [LATENTS]),
    (4, "best", (MATRYOSHKA, "large"), [(UNTRAINED, "large")]),
    (5, "best", LATENTS, [(TOPK, "small")]),
    (6, "best", (ICA, "layer"), [UNITS]),
    (7, "best", LATENTS, [(ICA, "layer")]),
    (9, "unique_10", LATENTS, [UNITS, (ROTATIONS, "large"), (UNTRAINED, "large")]),
    (10, "sure", UNITS, [LATENTS]),
]


@pytest.mark.parametrize(("number", "field", "more", "fewer"), ORDERS)
def test_an_order_holds_where_every_seed_is_above_every_seed_of_every_other(number, field, more, fewer):
    def verdict(high, *lows):
        values = {more: high, **dict(zip(fewer, lows, strict=True))}
        return judge(number, make_rows(values, field)).verdict

    assert verdict(MANY, *[FEW] * len(fewer)) == YES
    for place in range(len(fewer)):
        lows = [FEW] * len(fewer)
        lows[place] = MANY
        assert verdict(FEW, *lows) == NO  # swapped with any one of them
        lows[place] = BETWEEN
        assert verdict(MANY, *lows) == UNCLEAR
    assert verdict(FEW, *[FEW] * len(fewer)) == NO
    assert verdict(MANY[:1], *[one[:1] for one in [FEW] * len(fewer)]) == UNCLEAR


def test_what_was_measured_stands_beside_a_claim():
    claim = judge(0, make_rows({LATENTS: MANY, UNITS: FEW}))
    assert claim.source == "net conv: Bricken et al. 2023"
    assert claim.ours == "top-k SAE (large) 0.800 (0.700 to 0.900); neurons 0.200 (0.100 to 0.300)"


def test_chance_is_what_shuffled_labels_give():
    def verdict(own, shuffled):
        rows = make_rows({LATENTS: own}) + make_rows({LATENTS: shuffled}, labels="shuffled")
        return judge(8, rows).verdict

    assert verdict(MANY, FEW) == YES
    assert verdict(FEW, MANY) == NO
    assert judge(8, make_rows({LATENTS: MANY})).verdict == NOT


def test_every_threshold_has_to_hold():
    held = {LATENTS: MANY, UNITS: FEW, (UNTRAINED, "large"): FEW}

    def verdict(last):
        rows = [
            row
            for rules, values in zip(RULES, (held, held, last), strict=True)
            for row in make_rows(values, rules=rules)
        ]
        return judge(11, rows).verdict

    assert verdict(held) == YES
    assert verdict({**held, LATENTS: FEW, UNITS: MANY}) == NO
    assert verdict({**held, LATENTS: FEW, (UNTRAINED, "large"): MANY}) == NO
    assert verdict({**held, UNITS: BETWEEN}) == UNCLEAR
    ours = judge(11, [*make_rows(held), *make_rows(held, rules=RULES[1])]).ours
    assert ours.startswith("quantile 0.005: 0.800 (0.700 to 0.900) against 0.200")
    assert "0 for latents that seldom fire" in ours


def make_removals(values, field):
    """One removal a basis, concept and seed, all alike but for what is asked for."""
    rows = []
    for kind in (NEURONS, UNTRAINED, TOPK, MATRYOSHKA):
        for chosen in ("best", "random"):
            for seed, value in enumerate(values.get((kind, chosen), SOME)):
                about = ("net conv", seed, kind, "large", "sky", 3, chosen, "", 1, 0.02)
                row = RemovalResult(*about, 0.5, 0.5, 0.5, 0.0, 0.0)
                rows.append(replace(row, **{field: value}))
    return rows


@pytest.mark.parametrize(
    ("number", "field", "more", "fewer"),
    [
        (0, "there", (TOPK, "best"), (TOPK, "random")),
        (1, "lost", (TOPK, "best"), (NEURONS, "best")),
        (2, "elsewhere", (NEURONS, "best"), (TOPK, "best")),
    ],
)
def test_removal(number, field, more, fewer):
    def verdict(high, low):
        removals = make_removals({more: high, fewer: low}, field)
        return judge(REMOVALS + number, make_rows({}), removals).verdict

    assert verdict(MANY, FEW) == YES
    assert verdict(FEW, MANY) == NO
    assert verdict(FEW, FEW) == NO
    assert verdict(MANY[:1], FEW[:1]) == UNCLEAR


def test_without_removals_or_classes_nothing_is_claimed_of_them():
    assert [judge(REMOVALS + number, make_rows({})).verdict for number in range(3)] == [NOT] * 3
    removals = make_removals(
        {key: (float("nan"),) * 3 for key in ((TOPK, "best"), (NEURONS, "best"))}, "lost"
    )
    assert judge(REMOVALS + 1, make_rows({}), removals).verdict == NOT


def test_a_removal_that_changes_nothing_has_no_aim():
    [row, *_] = make_removals({}, "there")
    assert measure_aim(replace(row, there=0.3, elsewhere=0.1)) == pytest.approx(0.75)
    still = measure_aim(replace(row, there=0.0, elsewhere=0.0))
    assert still != still


def test_misses_stand_first():
    rows = make_rows({LATENTS: FEW, UNITS: MANY})
    text = judge_directions(Measured(tuple(rows), (), (), ("net conv: no NMF, for it is below 0",))).details
    assert text.startswith("What does not hold:\n\n- net conv: Bricken et al. 2023: the best latent")
    assert "Not there: net conv: no NMF, for it is below 0." in text
    best = {LATENTS: MANY, (MATRYOSHKA, "large"): (1.0, 1.1, 1.2), UNITS: FEW, (ICA, "layer"): SOME}
    held = make_rows(best, others=FEW)
    held = [replace(row, unique_10=9 if (row.kind, row.size) == LATENTS else 1) for row in held]
    held = [replace(row, sure=0.9 if row.kind == NEURONS else 0.1) for row in held]
    assert "Every claim that was tested held." in judge_directions(Measured(tuple(held))).details


def test_layers_are_judged_one_by_one():
    rows = make_rows({LATENTS: MANY, UNITS: FEW})
    rows += [replace(row, subject="other") for row in make_rows({LATENTS: FEW, UNITS: MANY})]
    claims = claim_directions(Measured(tuple(rows)))
    first = [one.verdict for one in claims if "best neuron" in one.paper and "Bricken" in one.source]
    assert first == [YES, NO]
    assert len(claims) == 2 * (REMOVALS + 3)
