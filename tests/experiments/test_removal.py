"""The study of removal in Python: what is refused, small layers, importance against IoU, spreadsheets."""

import csv

import numpy as np
import pytest
import torch
from torch import nn

from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.errors import RunError, SourceError, UsageError
from unitscope.experiments.removal import check_layer, choose_counts, study_removal
from unitscope.experiments.removal_result import table_counts
from unitscope.interventions.ablation import open_trial
from unitscope.networks.network import Network, Preprocessing

CLASSES = ("calm", "=wild", "dull")


class Noise:
    """Images of noise, brighter by class; every third image is of the next class."""

    def __init__(self, count=24, classes=CLASSES):
        self.count, self.classes = count, classes
        self.vocabulary = Vocabulary(tuple(Concept(7 + k, name, "scene") for k, name in enumerate(classes)))

    def __len__(self):
        return self.count

    def __getitem__(self, index, /):
        kind = index % len(self.classes)
        rng = np.random.default_rng(index)
        image = rng.integers(0, 120, (16, 16, 3), dtype=np.uint8) + np.uint8(60 * kind)
        return Example(str(index), image, ids=(7 + kind,))


def build(*tail, classes=CLASSES):
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3), *tail]
    return Network(nn.Sequential(*parts), Preprocessing((16, 16)), classes, "small")


@pytest.fixture(scope="module")
def study():
    network = build()
    return study_removal(network, "1", Noise(), draws=3)


def test_a_small_layer_loses_fewer_units(study):
    assert table_counts(8) == (1, 4)
    assert study.counts == choose_counts(8) == (1, 4)
    assert (study.few, study.many, study.units) == (1, 4, 8)
    assert study.text().splitlines()[0].endswith("  all but 4")
    assert choose_counts(1280) == (1, 2, 4, 8, 20, 40, 80, 160, 320, 640)
    assert choose_counts(1) == (1,)


def test_the_halves_share_no_image_and_the_network_is_as_before(study):
    network = build()
    network.module[1].training = False
    before = [part.training for part in network.module.modules()]
    one, two = open_trial(network, Noise()).split()
    assert not set(one.images) & set(two.images)
    study_removal(network, "1", one, two, draws=2)
    assert [part.training for part in network.module.modules()] == before
    assert not any(part._forward_hooks or "forward" in part.__dict__ for part in network.module.modules())


def test_layers_behind_the_classes_are_refused():
    network = build(nn.Identity())
    trial, _ = open_trial(network, Noise()).split()
    assert check_layer(network, "0", trial) == 8
    for layer in ("4", "5"):
        with pytest.raises(UsageError, match=f"layer {layer} of small gives the classes"):
            check_layer(network, layer, trial)

    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.side = build().module, nn.Conv2d(3, 4, 3)

        def forward(self, x):
            self.side(x)
            return self.main(x)

    with pytest.raises(UsageError, match="without all units of layer side"):
        check_layer(Network(Aside(), Preprocessing((16, 16)), CLASSES, "aside"), "side", trial)


def test_classes_of_too_few_images_are_told(study):
    network = build()
    one, two = open_trial(network, Noise(9)).split()
    with pytest.raises(SourceError, match="class 'calm' has 1 images"):
        study_removal(network, "1", one, two)
    one, two = open_trial(network, Noise()), open_trial(network, Noise(6, CLASSES[:2]))
    with pytest.raises(SourceError, match="class 'dull' has 0 images"):
        study_removal(network, "1", one, two)
    assert study_removal(network, "1", one, two, classes=["calm"], draws=2).targets.tolist() == [0]


def test_without_a_dissection_there_is_no_labelling(study):
    assert study.labelling is None
    assert len(study.findings) == 3
    assert study.describe()["iou_with_classes"] is None


def test_no_cell_is_a_formula_and_numbers_stay_numbers(study, tmp_path):
    paths = [study.save(tmp_path / "out") / name for name in study.files]
    assert [path.name for path in paths] == ["importance.csv", "removal.csv", "classes.csv", "graph.json"]
    for path in paths[:3]:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert "'=wild" in {row["class"] for row in rows}
        for row in rows:
            numbers = {k: v for k, v in row.items() if k not in ("class", "kind", "concept", "category")}
            assert all(value == "" or np.isfinite(float(value)) for value in numbers.values())
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="name another folder"):
        study.save(tmp_path / "file" / "out")
