"""Planted units: what is planted is what was asked for, and names are graded as by hand."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from machines import SentAway
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.errors import RunError
from unitscope.lab.studies import grade as study
from unitscope.lab.studies.grade import average, grade_conventions
from unitscope.lab.studies.planting import (
    CELLS,
    DEGRADATIONS,
    Degradation,
    PlantedNetwork,
    list_degradations,
    partners,
    plant,
    plant_nothing,
    read_truth,
)
from unitscope.lab.world import open_drawn

IMAGES = 40


@pytest.fixture(scope="module")
def source():
    return open_drawn(count=IMAGES, seed=11, size=64)


@pytest.fixture(scope="module")
def truth(source):
    return read_truth(source)


@pytest.fixture(scope="module")
def grades(source):
    with pytest.MonkeyPatch.context() as patch:
        few = [Degradation("noise", 0.0), Degradation("noise", 4.0), Degradation("mixture", 0.8)]
        patch.setattr(study, "list_degradations", lambda: iter(few))
        patch.setattr(study, "SHIFTS", 100)
        yield grade_conventions(source, [0], null_units=60)


def test_workers_give_the_same_grades(source, grades, monkeypatch):
    monkeypatch.setattr(study, "list_degradations", lambda: iter([Degradation("noise", 0.0)]))
    monkeypatch.setattr(study, "SHIFTS", 100)
    found = grade_conventions(source, [0], null_units=60, executor=SentAway())
    assert found.planted == grades.planted[: len(CONVENTIONS)]
    assert found.nulls == grades.nulls


def test_truth_is_the_share_of_every_cell(source, truth):
    for place in (0, len(truth.ids) // 2):
        for image in range(0, IMAGES, 13):
            here = (source[image].planes == truth.ids[place]).any(0)
            cells = here.reshape(32, here.shape[0] // 32, 32, -1).mean((1, 3))
            assert np.allclose(truth.cover[place, image], cells)


def test_an_undegraded_unit_is_its_concept_and_a_little_noise(truth):
    maps = plant(truth, Degradation("noise", 0.0), 0).transpose(1, 0, 2, 3)
    wanted = truth.cover.reshape(len(truth.ids), IMAGES, CELLS, 2, CELLS, 2).mean((3, 5))
    assert np.abs(maps - wanted).max() < 0.02 * 6
    assert plant(truth, Degradation("noise", 0.0), 0).tobytes() == maps.transpose(1, 0, 2, 3).tobytes()


@pytest.mark.parametrize("cells", DEGRADATIONS["resolution"])
def test_resolution_is_the_number_of_cells(truth, cells):
    assert plant(truth, Degradation("resolution", cells), 0).shape[2:] == (cells, cells)


def test_blur_spreads_without_loss(truth):
    sharp, soft = (plant(truth, Degradation("blur", width), 0) for width in (0.0, 2.0))
    assert soft.std() < sharp.std()
    assert np.abs(soft).max() < np.abs(sharp).max()


def test_coverage_silences_a_unit_in_most_images(truth):
    maps = plant(truth, Degradation("coverage", 0.25), 0)
    lively = (maps.max((2, 3)) > 0.5 * maps.max((0, 2, 3))).sum()
    whole = plant(truth, Degradation("coverage", 1.0), 0)
    assert lively < 0.5 * (whole.max((2, 3)) > 0.5 * whole.max((0, 2, 3))).sum()


def test_everyone_is_mixed_with_another_one(truth):
    found = partners(truth, 3)
    assert sorted(found) == list(range(len(truth.ids)))
    assert (found != np.arange(len(truth.ids))).all()


def test_planted_maps_are_what_the_network_gives(truth):
    maps = plant(truth, Degradation("noise", 0.1), 0)
    network = PlantedNetwork(maps, (64, 64))
    given = network.module(*network.feed(np.zeros((3, 64, 64, 3), np.uint8), 5))
    assert np.array_equal(given.numpy(), maps[5:8])


def test_nothing_is_planted_the_same_for_a_seed():
    assert plant_nothing(3, 2, 1).tobytes() == plant_nothing(3, 2, 1).tobytes()
    assert plant_nothing(3, 2, 1).tobytes() != plant_nothing(3, 2, 2).tobytes()


def test_every_way_is_tried_at_every_strength():
    ways = list(list_degradations())
    assert len(ways) == sum(map(len, DEGRADATIONS.values()))
    assert len(set(ways)) == len(ways)


def test_clear_units_are_named_right_and_drowned_ones_are_not(grades):
    for name in CONVENTIONS:
        clear, drowned = (
            next(g for g in grades.planted if (g.convention, g.kind, g.strength) == (name, "noise", strength))
            for strength in (0.0, 4.0)
        )
        assert clear.right > 0.6 > 0.3 > drowned.right
        assert clear.detectors > drowned.detectors
        assert clear.iou > drowned.iou


def test_of_a_mixture_the_stronger_concept_is_the_right_one(grades):
    mixed = [g for g in grades.planted if g.kind == "mixture"]
    assert all(g.right > 0.5 > g.second for g in mixed)


def test_units_without_meaning_are_not_taken_for_detectors(grades):
    for null in grades.nulls:
        # few images have few shifts: p-values are then coarse, and may only err on the safe side
        assert null.below_05 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / null.units)
        assert null.discoveries == 0
        assert null.detectors < null.predicted + 4 * np.sqrt(null.predicted + 1)


def test_grades_are_averaged_and_written(grades, tmp_path):
    assert len(average(grades.planted)) == len(grades.planted)
    figure = grades.page(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"planted.csv", "nulls.csv", "figure.svg"}
    assert figure.read_text().count("noise") == 1
    with (tmp_path / "planted.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * len(CONVENTIONS)
    assert list(rows[0]) == list(grades.rows()[0])
    assert all(f"| {name} " in str(grades) for name in (*CONVENTIONS, "noise", "mixture"))
    assert str(replace(grades, quick=True)) == f"A quick look, not a result.\n{grades}"
    assert grades.record()["nulls"][0]["units"] == 60
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="name another folder"):
        grades.save(tmp_path / "file")
