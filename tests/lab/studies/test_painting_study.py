"""Painting on given pictures beside own ones: what is measured, how it is judged, what the command leaves."""

import csv
import re
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unitscope.cli import main
from unitscope.errors import RunError
from unitscope.interventions.inversion import Steps, invert_picture
from unitscope.interventions.inversion_result import Fit
from unitscope.lab.studies import painting_finding, painting_photos, painting_subjects
from unitscope.lab.studies.painting_finding import (
    OTHER,
    can_make,
    claim_stages,
    claim_strokes,
    compare_effects,
    judge_painting,
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
    measure_reach,
)
from unitscope.lab.studies.painting_subjects import Extent, paint_scenes

SHEET = np.zeros((320, 64, 3), np.uint8)


def opened(psnr=40.0, named=0.98, other=(12.0, 0.1), altered=0):
    rows = [
        Opened(1, k, "park", stage, psnr - off, named, 2.0 + k, altered)
        for k in range(3)
        for stage, off in (("latent", 20.0), ("layer2", 10.0), ("maps", 0.0))
    ]
    return [*rows, Opened(1, 0, OTHER, "latent", *other, float("nan"), -1)]


def painted(given=0.5, own=0.5, controls=0.1, far=0, beyond=0.01, changed=0.015):
    unknown, reach = (float("nan"), float("nan"), -1), (beyond, changed, far)
    rows = []
    for action in (DRAW, ERASE):
        for k in range(4):
            shift = 0.01 * k
            head = (1, k, "tree", action)
            rows.append(Painted(OWN, *head, PAINTED, own + shift, *unknown))
            rows.append(Painted(OWN, *head, RANDOM, controls, *unknown))
            rows.append(Painted(GIVEN, *head, PAINTED, given + shift, *reach))
            rows += [Painted(GIVEN, *head, way, controls, *reach) for way in (RANDOM, RETURNED, KEPT)]
    return rows


def verdicts(finding):
    return [claim.verdict for claim in finding.claims]


def test_what_is_required_is_judged_from_the_numbers():
    good = judge_painting(opened(), painted(), "layer2", SHEET)
    assert set(verdicts(good)) == {"replicates"}
    bad = judge_painting(
        opened(psnr=35.0, named=0.9, other=(30.0, 0.9), altered=2),
        painted(given=0.2, controls=0.3, far=3, beyond=0.03, changed=0.04),
        "layer2",
        SHEET,
    )
    assert set(verdicts(bad)) == {"does not replicate at this scale"}
    one_low = [*opened(), Opened(1, 9, "park", "maps", 29.0, 0.98, 1.0, 0)]
    assert verdicts(judge_painting(one_low, painted(), "layer2", SHEET))[0] != "replicates"


def test_what_is_seen_and_what_changes_at_all_are_judged_apart():
    finding = judge_painting(opened(), painted(beyond=0.01, changed=0.05), "layer2", SHEET)
    found = {claim.paper.split(" (")[0]: claim for claim in finding.claims}
    assert found["At most 2% of the pixels beyond 4 px change"].ours == "5.0%"
    assert found["At most 2% of the pixels beyond 4 px change"].verdict != "replicates"
    assert found["At most 2% of the pixels beyond 4 px change visibly"].verdict == "replicates"
    assert "took 3.0 (2.0 to 4.0) seconds of processors (3 pictures)" in finding.details


def test_what_could_not_be_tried_is_said_to_be_so():
    drawn_only = [row for row in painted() if row.action == DRAW]
    found = {claim.paper.split(" (")[0]: claim for claim in claim_strokes(drawn_only)}
    assert found["Drawing does more than each control"].verdict == "replicates"
    assert found["Erasing does more than each control"].verdict == "not tested"
    assert found["Erasing has at least 0.85 of the effect it has on own pictures"].verdict == "not tested"
    assert {claim.verdict for claim in claim_strokes([])} == {"not tested"}
    assert {claim.ours for claim in claim_strokes([])} == {"could not be tried"}
    # No effect on own pictures leaves nothing to compare with.
    assert np.isnan(compare_effects(painted(own=-0.03), DRAW).value)
    known = [row for row in opened() if row.kind != OTHER]
    assert claim_stages(known)[-1].verdict == "not tested"


def test_shares_of_effects_have_an_interval_that_holds_them():
    rows = painted(given=0.4, own=0.5)
    ratio = compare_effects(rows, DRAW)
    assert ratio.value == pytest.approx((0.4 + 0.015) / (0.5 + 0.015))
    assert ratio.low <= ratio.value <= ratio.high
    assert np.isnan(compare_effects(rows, DRAW, "sea").value)
    # Whatever else was measured changes nothing.
    more = [*rows, Painted(GIVEN, 1, 0, "only here", DRAW, PAINTED, 1.0, 0.0, 0.0, 0)]
    assert compare_effects(more, DRAW) == ratio


def test_the_verdict_of_the_study_is_that_of_the_inversion():
    for psnr, named in ((20.0, 0.9), (20.0, 0.1), (9.0, 0.9)):
        fit = Fit("latent", np.zeros((2, 2, 3), np.uint8), psnr, named)
        row = Opened(1, 0, "park", "latent", fit.psnr, fit.named, 1.0, 0)
        assert can_make(row) == (psnr == 20.0 and named == 0.9)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(5, 24), st.integers(5, 24))
def test_how_far_a_stroke_reaches_is_counted_pixel_by_pixel(seed, height, width):
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    shift = rng.choice([0, 0, 0, 1, 8, 9, -12], before.shape)
    after = (before + shift).clip(0, 255).astype(np.uint8)
    mask = np.zeros((height, width), bool)
    mask[rng.integers(height), rng.integers(width)] = True
    mask[rng.integers(height), rng.integers(width)] = True
    drawn = np.argwhere(mask)
    beyond, seen, all_changes, far = 0, 0, 0, 0
    for y in range(height):
        for x in range(width):
            away = min(max(abs(y - v), abs(x - u)) for v, u in drawn)
            most = max(abs(int(after[y, x, k]) - int(before[y, x, k])) for k in range(3))
            far += away > 8 and most > 0
            if away > 4:
                beyond, seen, all_changes = beyond + 1, seen + (most > 8), all_changes + (most > 0)
    shares = (seen / beyond, all_changes / beyond) if beyond else (0.0, 0.0)
    found = measure_reach(before, after, mask)
    assert found[:2] == pytest.approx(shares)
    assert found[2] == far


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
    """What the latent alone makes of a picture, after one step."""
    return invert_picture(*given, **{**options, "steps": Steps(1, 0, 0)})


def test_the_command_leaves_its_results_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(painting_finding, "QUICK_EXTENT", Extent(2, 1, 12, 8))
    monkeypatch.setattr(painting_subjects, "CONCEPTS", ("tree", "grass"))
    brief = partial(invert_picture, steps=Steps(1, 1, 1))
    monkeypatch.setattr(painting_photos, "invert_picture", brief)
    monkeypatch.setattr(painting_finding, "invert_picture", glance)
    made, prepare = [], painting_finding._prepare  # the bench never changes: both runs may have the same
    monkeypatch.setattr(
        painting_finding, "_prepare", lambda *given: (made or made.append(prepare(*given)) or made)[0]
    )
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
    monkeypatch.setattr("unitscope.lab.studies.study.Finding.draw", lambda _, path: path)  # it is there
    assert main(words) == 0
    assert capsys.readouterr().out == printed
    assert main(["study", "painting", "--seeds", "9", "--kept", str(tmp_path)]) == 2
