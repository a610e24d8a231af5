"""Scripted raters: what is known of them is what the measures say, and a result tells it by table."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from unitscope.concepts.vocabulary import Concept
from unitscope.errors import UsageError
from unitscope.experiments.questionnaire import Question
from unitscope.experiments.raters import ALL
from unitscope.lab.studies.raters_study import PEOPLE, Described, Judged, Panel, RatersStudy, rate_by_scripts
from unitscope.lab.studies.scripted_raters import Careless, Coin, Oracle
from unitscope.lab.world import open_drawn
from unitscope.networks.network import Network


def describe(layer, seed, described):
    shares = {0.1: 0.9, 0.25: described, 0.5: 0.1}
    above = {0.02: described, 0.04: float("nan")}
    figures = (described, 0.75, 0.5, 0.25)
    return Described(seed, layer, 8, 10, 4, *figures, above, {0.02: 6, 0.04: 2 + seed}, shares)


def panel(seed, described):
    raters = (
        Judged(seed, "first", 0.5, 0.9, 1.0, 0.8, False),
        Judged(seed, "coin", 0.5, 0.5, 0.5, 0.4, seed > 0),
    )
    layers = (describe("layer1", seed, described), describe(ALL, seed, described))
    return Panel(seed, layers, raters, 0.8, 0.25 + seed)


STUDY = RatersStudy((panel(0, 0.25), panel(1, 0.5)))


def test_a_study_is_told_over_its_seeds():
    text = str(STUDY)
    assert "| layer1 | 8 | 25–50 | 75 | 50 | 25 | 90 | 25–50 | 10 |" in text
    assert "| layer1 | 25–50 [6] | - [2–3] |" in text
    assert "| coin | 50 | 50 | 50 | 40 | 1 of 2 |" in text
    assert text.endswith("agree in 80 % of pairs of answers; Krippendorff's alpha 0.25–1.25.")
    assert str(replace(STUDY, quick=True)) == f"A quick look, not a result.\n{text}"


def test_a_study_is_written_by_seed(tmp_path):
    figure = STUDY.page(tmp_path).read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"layers.csv", "raters.csv", "figure.svg"}
    layers, raters = (
        list(csv.DictReader((tmp_path / name).read_text().splitlines()))
        for name in ("layers.csv", "raters.csv")
    )
    assert len(layers) == 2 * 2 * 2
    assert layers[1]["described_above"] == ""
    assert (layers[1]["cutoff"], layers[1]["units_above"], layers[0]["oracle_0.25"]) == ("0.04", "2", "0.25")
    assert [row["flagged"] for row in raters] == ["0", "0", "0", "1"]
    assert "layer1, by IoU" in figure
    assert [one["seed"] for one in STUDY.record()] == [0, 1]
    assert np.round(PEOPLE, 3).tolist() == [0.22, 0.276, 0.347, 0.396, 0.538]


def test_an_oracle_wants_the_concept_in_most_pictures():
    asked = [
        Question(number, number, "label", "layer1", number, Concept(1, "sky", "object"), 0.1, True, 1.0)
        for number in range(3)
    ]
    oracle = Oracle((np.array([0.3, 0.3, 0.1]), np.array([0.3, 0.1]), np.array([])))
    always, never = (Careless(oracle, Coin(0, "slips", chance)) for chance in (1.0, 0.0))
    assert [oracle(one) for one in asked] == [never(one) for one in asked] == [True, False, False]
    assert [always(one) for one in asked] == [False, True, True]


def test_slips_are_a_share():
    network, source = Network(nn.Identity()), open_drawn(count=2, size=64)
    with pytest.raises(UsageError, match=r"slips in 2\.0 of"):
        rate_by_scripts(network, ["layer1"], source, careless=2.0)
