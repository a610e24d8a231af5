"""How high units are where a concept is, against a plain loop; and the command."""

import json

import numpy as np
import pytest
import torch

from generated import UNITS, planted_studio
from unitscope.errors import UsageError
from unitscope.experiments.concept_levels import QUANTILES, measure_concept_levels
from unitscope.interventions.unit_values import measure_layers
from unitscope.networks.generators import to_pixels


@pytest.fixture(scope="module")
def studio():
    return planted_studio()


@pytest.fixture(scope="module")
def found(studio):
    return measure_concept_levels(studio, ["ball", "tree", "ghost"])


def test_quantiles_are_those_of_a_plain_loop(studio, found):
    cells = {2: [], 3: []}
    for number in range(64):
        seen = []
        with torch.no_grad():
            handle = studio.generator.module.maps.register_forward_hook(
                lambda _m, _a, out, s=seen: s.append(out)
            )
            picture = studio.generator.module(studio.generator.draw_latents(number, 1))
            handle.remove()
        planes = studio.segmenter(to_pixels(picture))[0]
        for concept, rows in cells.items():
            cover = (planes[0] == concept).reshape(4, 4, 4, 4).mean((1, 3))
            rows += [seen[0][0, :, y, x].numpy() for y, x in zip(*np.nonzero(cover > 0.5), strict=True)]
    for concept, rows in cells.items():
        assert found.cells["maps", concept] == len(rows)
        wanted = np.quantile(np.array(rows), QUANTILES, axis=0)
        np.testing.assert_allclose(found.quantiles["maps", concept], wanted, atol=1e-5)


def test_the_table_has_the_levels_that_insertion_sets(studio, found, tmp_path):
    levels = measure_layers(studio.generator, ["maps"], studio.segmenter, 64)["maps"]
    rows = [row for row in found.rows() if row["concept"] == "ball"]
    assert [row["unit"] for row in rows] == studio.rank(found.concepts[0], "maps")
    for row in rows:
        for rule in ("mean", "fullest"):
            assert row[rule] == pytest.approx(float(levels.value(2, [row["unit"]], rule)), rel=1e-5)
        assert row["all_q99"] == pytest.approx(float(levels.high[row["unit"]]), rel=1e-5)
        assert row["q05"] <= row["q25"] <= row["q50"] <= row["q75"] <= row["q95"] <= row["q99"]
    assert rows[0]["unit"] in (1, 4)
    assert len((found.save(tmp_path) / "levels.csv").read_text().splitlines()) == 1 + 3 * UNITS
    assert json.dumps(found.describe(), allow_nan=False)


def test_a_concept_that_is_nowhere_is_told(found):
    assert "'ghost' covers no cell of maps: no quantiles" in found.text()
    [row, *_] = [row for row in found.rows() if row["concept"] == "ghost"]
    assert (row["cells"], row["mean"], row["q50"]) == (0, None, None)


def test_what_cannot_be_is_told(studio):
    with pytest.raises(UsageError, match="no concept was named"):
        measure_concept_levels(studio, [])
    with pytest.raises(UsageError, match="0 images show no levels"):
        measure_concept_levels(studio, ["ball"], images=0)
    with pytest.raises(UsageError, match="unicorn"):
        measure_concept_levels(studio, ["unicorn"])
    with pytest.raises(UsageError, match="nowhere"):
        measure_concept_levels(studio, ["ball"], layers=["nowhere"])
