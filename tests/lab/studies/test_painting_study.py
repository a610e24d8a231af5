"""Painting on given pictures beside own ones: what is measured, how it is judged, what the command leaves."""

import csv
import re
from functools import partial

import numpy as np
import pytest
import torch

from unitscope.cli import main
from unitscope.errors import RunError
from unitscope.interventions.inversion import Steps, invert_picture
from unitscope.interventions.inversion_result import Fit
from unitscope.lab.studies import painting_finding, painting_photos
from unitscope.lab.studies.painting_finding import (
    OTHER,
    Extent,
    can_make,
    compare_effects,
    judge_painting,
    paint_scenes,
)
from unitscope.lab.studies.painting_photos import (
    DRAW,
    ERASE,
    GIVEN,
    KEPT,
    OWN,
    PAINTED,
    RANDOM,
    RETURNED,
    Opened,
    Painted,
    find_square,
    keep_rows,
)

SHEET = np.zeros((320, 64, 3), np.uint8)


def opened(psnr=40.0, named=0.98, other=(12.0, 0.1)):
    rows = [
        Opened(1, k, "park", stage, psnr - off, named)
        for k in range(3)
        for stage, off in (("latent", 20.0), ("layer2", 10.0), ("maps", 0.0))
    ]
    return [*rows, Opened(1, 0, OTHER, "latent", *other)]


def painted(given=0.5, own=0.5, controls=0.1, far=0, beyond=0.01):
    rows = []
    for action in (DRAW, ERASE):
        for k in range(4):
            shift = 0.01 * k
            head = (1, k, "tree", action)
            rows.append(Painted(OWN, *head, PAINTED, own + shift, float("nan"), -1))
            rows.append(Painted(OWN, *head, RANDOM, controls, float("nan"), -1))
            rows.append(Painted(GIVEN, *head, PAINTED, given + shift, beyond, far))
            rows += [Painted(GIVEN, *head, way, controls, beyond, far) for way in (RANDOM, RETURNED, KEPT)]
    return rows


def verdicts(finding):
    return [claim.verdict for claim in finding.claims]


def test_what_is_required_is_judged_from_the_numbers():
    good = judge_painting(opened(), painted(), "layer2", SHEET)
    assert set(verdicts(good)) == {"replicates"}
    bad = judge_painting(
        opened(psnr=35.0, named=0.9, other=(30.0, 0.9)),
        painted(given=0.2, controls=0.3, far=3, beyond=0.03),
        "layer2",
        SHEET,
    )
    assert set(verdicts(bad)) == {"does not replicate at this scale"}
    one_low = [*opened(), Opened(1, 9, "park", "maps", 29.0, 0.98)]
    assert verdicts(judge_painting(one_low, painted(), "layer2", SHEET))[0] != "replicates"


def test_shares_of_effects_have_an_interval_that_holds_them():
    rows = painted(given=0.4, own=0.5)
    ratio = compare_effects(rows, DRAW)
    assert ratio.value == pytest.approx((0.4 + 0.015) / (0.5 + 0.015))
    assert ratio.low <= ratio.value <= ratio.high
    assert np.isnan(compare_effects(rows, DRAW, "sea").value)
    # Whatever else was measured changes nothing.
    more = [*rows, Painted(GIVEN, 1, 0, "only here", DRAW, PAINTED, 1.0, 0.0, 0)]
    assert compare_effects(more, DRAW) == ratio


def test_the_verdict_of_the_study_is_that_of_the_inversion():
    for psnr, named in ((20.0, 0.9), (20.0, 0.1), (9.0, 0.9)):
        fit = Fit("latent", np.zeros((2, 2, 3), np.uint8), psnr, named)
        row = Opened(1, 0, "park", "latent", fit.psnr, fit.named)
        assert can_make(row) == (psnr == 20.0 and named == 0.9)


def test_a_square_is_where_the_concept_often_is_and_is_not_here():
    common = torch.zeros(16, 16)
    common[2:6, 3:7] = 1
    common[10:14, 10:14] = 0.5
    here = np.zeros((16, 16), bool)
    assert find_square(common, here)[2:6, 3:7].all()
    here[3, 4] = True
    square = find_square(common, here)
    assert square.sum() == 16
    assert not square[here].any()
    assert find_square(torch.zeros(16, 16), here) is None


def test_rows_are_measured_once_and_damage_is_told(tmp_path):
    path = tmp_path / "in" / "rows.json"
    assert keep_rows(path, lambda: {"opened": [{"a": 1}]}) == {"opened": [{"a": 1}]}
    assert keep_rows(path, lambda: pytest.fail("measured again")) == {"opened": [{"a": 1}]}
    path.write_text("[")
    with pytest.raises(RunError, match="damaged"):
        keep_rows(path, dict)


def test_scenes_of_other_seeds_are_others():
    one, two = (paint_scenes(("park", "street"), 2, seed) for seed in (1, 2))
    assert one[0].shape == (64, 64, 3)
    assert not np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], paint_scenes(("park", "street"), 2, 1)[1])


def glance(*given, **options):
    """What the latent alone makes of a picture, after two steps."""
    return invert_picture(*given, **{**options, "steps": Steps(2, 0, 0)})


def test_the_command_leaves_its_results_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(painting_finding, "QUICK_EXTENT", Extent(2, 1, 16, 16))
    monkeypatch.setattr(painting_finding, "CONCEPTS", ("tree", "grass"))
    brief = partial(invert_picture, steps=Steps(2, 2, 2))
    monkeypatch.setattr(painting_photos, "invert_picture", brief)
    monkeypatch.setattr(painting_finding, "invert_picture", glance)
    words = ["study", "painting", "--quick", "--kept", str(tmp_path)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "*A quick look, not a result.*" in printed
    home = tmp_path / "painting"
    rows = list(csv.DictReader((home / "painting.csv").read_text().splitlines()))
    assert {row["subject"] for row in rows} == {OWN, GIVEN}
    assert all(int(row["far"]) == 0 for row in rows if row["subject"] == GIVEN)
    assert len(list(csv.DictReader((home / "stages.csv").read_text().splitlines()))) == 2 * 3 + 1
    assert (home / "finding.md").read_text() in printed
    assert not re.search(r"\bnan\b", (home / "figure.svg").read_text())
    monkeypatch.setattr(painting_photos, "invert_picture", None)
    monkeypatch.setattr(painting_finding, "paint_all", None)
    assert main(words) == 0
    assert capsys.readouterr().out == printed
    assert main(["study", "painting", "--seeds", "9", "--kept", str(tmp_path)]) == 2
