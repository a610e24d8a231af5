"""Insertion: planted units put their concept where they are set, random ones do not; effects by context."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from generated import PAINTS, UNITS, WORDS, planted_studio, segment_alone
from machines import SentAway
from unitscope.errors import RunError, UsageError
from unitscope.experiments.erasure import study_erasure
from unitscope.experiments.erasure_result import Target
from unitscope.experiments.placement import study_placement
from unitscope.interventions.edits import set_units
from unitscope.interventions.insertion import Trials, draw_cells, find_context, find_pixels
from unitscope.interventions.repainting import SURE
from unitscope.interventions.unit_values import measure_layers

BALL, TREE, GROUND = WORDS[2], WORDS[3], WORDS[5]
TARGETS = [Target(BALL, "maps"), Target(TREE, "maps")]


@pytest.fixture(scope="module")
def studio():
    return planted_studio()


@pytest.fixture(scope="module")
def levels(studio):
    return measure_layers(studio.generator, ["maps"], studio.segmenter, 64)


@pytest.fixture(scope="module")
def study(studio, levels):
    return study_placement(studio, TARGETS, levels=levels, count=2, places=3, draws=4, images=20)


def test_trials_are_those_of_a_loop_over_single_edits(studio, study, levels):
    rng = np.random.default_rng(0)
    lots = [rng.permutation(UNITS)[:2].tolist() for _ in range(4)]
    for target in TARGETS:
        concept = target.concept.id
        for by in study.kinds:
            trials, row = study.trials[concept, by], 0
            for number in range(64, 84):
                before = segment_alone(studio.generator, studio.segmenter, number)
                units = lots[(number - 64) // 5] if by == "random" else study.rankings[by][concept]
                for cell in draw_cells((4, 4), 3, number, 0):
                    place = torch.zeros(4, 4)
                    place[cell] = 1
                    y, x = (slice(4 * one, 4 * one + 4) for one in cell)
                    shares = [(before[0, y, x] == concept).mean()]
                    changes = []
                    for value in (levels["maps"].value(concept, units), 0.0):
                        edit = set_units("maps", units, UNITS, value=value, place=place)
                        after = segment_alone(studio.generator, studio.segmenter, number, edit)
                        shares.append((after[0, y, x] == concept).mean())
                        changes.append((after[0] == concept).sum() - (before[0] == concept).sum())
                    assert trials.change[row] == changes[0]
                    assert trials.image[row] == number
                    assert trials.context[row] == before[0, 4 * cell[0] + 2, 4 * cell[1] + 2]
                    found = [trials.before[row], trials.inserted[row], trials.removed[row]]
                    assert found == pytest.approx(shares)
                    row += 1
            assert row == len(trials) == 60


def test_the_planted_units_insert_their_concept_and_random_ones_nothing(study):
    ball = study.trials[2, "iou"]
    assert (ball.inserted == 1).all()
    assert (ball.removed == 0).all()
    assert ball.causal.value == 1
    mean = ball.mean_pixels
    assert ball.effect.value == pytest.approx(16 * (1 - ball.before.mean()) / mean)
    rng = np.random.default_rng(0)
    lots = [set(rng.permutation(UNITS)[:2].tolist()) for _ in range(4)]
    aside = [draw for draw, lot in enumerate(lots) if not lot & set(PAINTS[2])]
    lot = study.trials[2, "random"]
    assert aside
    assert (lot.change[np.isin((lot.image - 64) // 5, aside)] <= 0).all()


def test_what_stood_there_matters(study):
    rows = study.contexts(TARGETS[0], 1)
    effects = {one: kinds["iou"].effect.value for one, kinds in rows}
    assert set(effects) == {BALL, TREE, GROUND}
    assert effects[GROUND] > 0
    assert effects[BALL] == 0  # there is one already
    assert [one for one, _ in rows][-1] == BALL
    assert sum(len(kinds["iou"]) for _, kinds in rows) == 60
    assert study.contexts(TARGETS[0], 61) == []


def test_places_of_a_coarser_grid_cover_several_cells(studio, levels):
    found = study_placement(studio, TARGETS[:1], levels=levels, count=2, places=4, across=2, images=6)
    trials = found.trials[2, "iou"]
    before = [segment_alone(studio.generator, studio.segmenter, number)[0] for number in range(64, 70)]
    quarters = [one[y : y + 8, x : x + 8] == 2 for one in before for y in (0, 8) for x in (0, 8)]
    assert trials.before.tolist() == [quarter.mean() for quarter in quarters]
    assert (trials.inserted == 1).all()
    assert (trials.removed == 0).all()
    assert trials.change.tolist() == [64 - quarter.sum() for quarter in quarters]


def test_a_quantile_serves_as_a_level_and_given_orders_are_measured(studio, levels):
    found = study_placement(
        studio,
        TARGETS[:1],
        levels=levels,
        count=2,
        places=1,
        rule="quantile",
        images=4,
        draws=2,
        effects={2: (4, 1, 0)},
    )
    assert found.rankings["effect"][2] == (4, 1)
    assert (found.trials[2, "effect"].inserted == 1).all()


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 40), st.integers(0, 99))
def test_places_are_different_cells_of_the_maps(height, width, count, number):
    cells = draw_cells((height, width), count, number, 0)
    assert len(set(cells)) == len(cells) == min(count, height * width)
    assert all(0 <= y < height and 0 <= x < width for y, x in cells)
    assert cells == draw_cells((height, width), count, number, 0)


@given(st.integers(1, 7), st.integers(1, 7), st.integers(7, 30), st.integers(7, 30))
def test_cells_share_out_the_pixels(height, width, rows, columns):
    seen = np.zeros((rows, columns), int)
    for y in range(height):
        for x in range(width):
            spans = find_pixels((y, x), (height, width), (rows, columns))
            seen[spans] += 1
            planes = np.zeros((1, rows, columns), np.uint16)
            planes[0][spans] = 9
            assert find_context(planes, (y, x), (height, width)) == 9
    assert (seen == 1).all()


def test_trials_of_one_image_count_as_one_draw():
    change, image = np.array([4, 4, 0, 0]), np.array([1, 1, 2, 2])
    same = np.zeros(4)
    trials = Trials(4.0, image, np.ones(4, int), change, same, same, same)
    assert trials.effect.value == 0.5
    assert trials.deviation == 0.5
    assert trials.effect.high - 0.5 == pytest.approx(SURE * 0.5)  # two draws, not four
    assert np.isnan(trials.keep(3).effect.value)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_again_gives_the_same_and_tables_hold_it(studio, study, levels, tmp_path):
    again = study_placement(studio, TARGETS, count=2, places=3, draws=4, images=20)  # levels measured anew
    assert json.dumps(replace(again, least=1).describe()) == json.dumps(replace(study, least=1).describe())
    files = [study.save(tmp_path) / name for name in study.files]
    rows = read(files[0])
    [row] = [r for r in rows if (r["concept"], r["by"], r["context"]) == ("ball", "iou", "(all)")]
    assert (row["trials"], row["causal"]) == ("60", "1")
    assert len(read(files[1])) == 2 * 2 * 60
    assert replace(study, least=1).text().splitlines()[1].split()[:3] == ["ball", "everywhere", "60"]
    with pytest.raises(RunError, match="cannot write"):
        study.save(tmp_path / "units.csv")


def test_what_cannot_be_is_told(studio, levels):
    with pytest.raises(UsageError, match="has 10 units; set 1 to 10, not 11"):
        study_placement(studio, TARGETS, levels=levels, count=11)
    with pytest.raises(UsageError, match="0 places"):
        study_placement(studio, TARGETS, levels=levels, count=1, places=0)
    with pytest.raises(UsageError, match="no concept was named"):
        study_placement(studio, [], levels=levels)
    with pytest.raises(UsageError, match="start from 64"):
        study_placement(studio, TARGETS, levels=levels, count=1, first=3)


def test_a_generator_or_segmenter_that_workers_cannot_open_is_refused(studio, levels):
    with pytest.raises(UsageError, match=r"is an object of Python; .*FILE\.py:FACTORY"):
        study_placement(studio, TARGETS, levels=levels, executor=SentAway())
    with pytest.raises(UsageError, match=r"is an object of Python; .*FILE\.py:FACTORY"):
        study_erasure(replace(studio, opened="net.py:segmenter"), TARGETS, executor=SentAway())
