"""Units named twice: with true labels, and with those of somebody else."""

import csv
import math

import numpy as np
import pytest
import torch
from torch import nn

from unitscope.errors import RunError
from unitscope.lab.studies.labels import compare_labels
from unitscope.lab.world import open_drawn
from unitscope.lab.world.names import PART_OWNERS
from unitscope.networks.network import Network, Preprocessing


class Oracle:
    """Gives the true labels of the drawn pictures that it is shown, or none."""

    name, digest = "oracle", "0"

    def __init__(self, source, blind=()):
        self.vocabulary = source.vocabulary
        self.planes = {source[i].image.tobytes(): source[i].planes for i in range(len(source))}
        self.blind = blind

    def __call__(self, images, /):
        planes = np.stack([self.planes[image.tobytes()] for image in images])
        return np.where(np.isin(planes, self.blind), 0, planes).astype(np.uint16)


@pytest.fixture(scope="module")
def source():
    return open_drawn(count=24, seed=1, size=64)


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 5, 4), nn.ReLU())
    return Network(module.eval(), Preprocessing((64, 64)), (), "small")


def test_true_labels_agree_with_themselves(network, source):
    (row,) = compare_labels(network, ["0"], source, Oracle(source)).layers
    # Only what stands in the planes can be given again: scenes belong to images as a whole.
    assert row.agreement.same == pytest.approx(1)
    assert row.agreement.correlation == pytest.approx(1)
    assert 0 < row.agreement.chance <= 1


def test_who_sees_less_agrees_less(network, source):
    best = {
        concept.id for concept in source.vocabulary if concept.category in ("object", "material", "color")
    }
    (row,) = compare_labels(network, ["0"], source, Oracle(source, tuple(best))).layers
    (whole,) = compare_labels(network, ["0"], source, Oracle(source)).layers
    assert row.agreement.concepts < whole.agreement.concepts
    assert row.segmented_unique <= whole.segmented_unique


def test_rows_become_a_table_and_a_file(network, source, tmp_path):
    compared = compare_labels(network, ["0", "1"], source, Oracle(source), name="mine")
    assert str(compared).count("| mine |") == 2
    figure = compared.page(tmp_path / "out")
    assert "mine, by chance" in figure.read_text()
    with (tmp_path / "out" / "agreement.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [line["layer"] for line in read] == ["0", "1"]
    assert float(read[0]["same"]) == pytest.approx(compared.layers[0].agreement.same, rel=1e-5)
    assert [row.layer for row in (compared + compared).layers] == ["0", "1"] * 2
    with pytest.raises(RunError, match="cannot write"):
        compared.save(figure)


def test_parts_off_their_owners_are_counted(network, source):
    """An oracle that sees no cars: their wheels lie on nothing."""
    words = source.vocabulary
    blind = tuple(concept.id for concept in words if concept.name in ("car", "truck", "tree", "house"))
    (none,) = compare_labels(network, ["0"], source, Oracle(source, blind)).layers
    knowing = Oracle(source, blind)
    knowing.owners = PART_OWNERS
    (row,) = compare_labels(network, ["0"], source, knowing).layers
    assert 0 < row.unowned < 1
    assert row.owned_parts <= row.segmented_parts == none.segmented_parts
    assert none.owned_parts == -1
    assert math.isnan(none.unowned)
