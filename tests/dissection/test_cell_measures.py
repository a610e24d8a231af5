"""Measuring cells over a source: the cells, labels and halves are those one would take by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import made
from unitscope.concepts.derived import split_source
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.dissection.cell_measures import CellMeasures
from unitscope.dissection.cell_pass import measure_cells
from unitscope.errors import SourceError, UsageError
from unitscope.networks.directions.drawn import draw_sae
from unitscope.networks.network import Network, Preprocessing
from unitscope.statistics.annotations import annotate, merge_annotations
from unitscope.statistics.cell_labels import CellGrid, label_cells
from unitscope.statistics.cell_scores import score_cells
from unitscope.statistics.labeled_cells import gather_cells
from unitscope.statistics.scan import Machine
from unitscope.statistics.threads import open_threads

OBJECTS = (1, 2, 11)


def build(images: int = 40, units: int = 5, seed: int = 0) -> tuple[made.Stored, np.ndarray, Network]:
    """A source, the maps that units have for it, 4 x 4 cells, and the network that gives them."""
    source = made.make_source(images, mask_size=(12, 12), size=(24, 24), seed=seed)
    rng = np.random.default_rng(seed + 100)
    maps = np.maximum(rng.normal(size=(images, units, 4, 4)) - 0.5, 0).astype(np.float32)
    return source, maps, made.wire(source, maps)


def measure_by_hand(
    source: made.Stored, maps: np.ndarray, chosen: list[int], others: list[int], none: int = -1
) -> Any:
    """The scores of maps and labels that were put together image by image."""
    places = np.full(made.WORDS.size, -1, np.int32)
    places[list(OBJECTS)] = np.arange(3) + (none == 0)
    grid, halves = CellGrid((4, 4), (24, 24)), []
    for part in (chosen, others):
        labels = []
        for place, image in enumerate(part):
            fitted = made.frame((24, 24), (24, 24)).fit(source[image])
            labels.append(annotate(fitted, (24, 24), "once", made.WORDS, place))
        named = label_cells(merge_annotations(labels), grid, places, "majority")
        named = np.where(named == -1, np.int32(none), named)
        halves.append(gather_cells(torch.from_numpy(maps[part]), named, 3 + (none == 0), 0))
    with open_threads(1) as threads:
        return score_cells(*halves, threads)


def assert_same(found: CellMeasures, wanted: Any, layer: str = "maps") -> None:
    scores = found[layer].scores
    for name in ("loss", "entropy", "ap", "purity", "own_purity", "positive_rate", "trained", "seen"):
        np.testing.assert_array_equal(getattr(scores, name), getattr(wanted, name))
    np.testing.assert_array_equal(scores.probes.unit, wanted.probes.unit)
    np.testing.assert_array_equal(scores.probes.weight, wanted.probes.weight)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_halves_are_those_of_the_source(batch_size):
    source, maps, network = build()
    found = measure_cells(network, source, ["maps"], batch_size=batch_size)
    train = [split_source(source, "train").place(k) for k in range(20)]  # type: ignore[attr-defined]
    test = [image for image in range(40) if image not in train]
    assert_same(found, measure_by_hand(source, maps, train, test))
    assert [one.name for one in found.classes] == ["cat", "sky", "never"]
    assert found.rules["trained on"].endswith("half=train")


@pytest.mark.parametrize("unlabeled", ["negative", "class"])
def test_two_sources_are_the_two_halves(unlabeled):
    source, maps, network = build()
    first, second = made.Stored(source.examples[:25]), made.Stored(source.examples[25:])
    found = measure_cells(network, first, ["maps"], validation=second, unlabeled=unlabeled)
    none = -1 if unlabeled == "negative" else 0
    assert_same(found, measure_by_hand(source, maps, [*range(25)], [*range(25, 40)], none))
    names = [one.name for one in found.classes]
    assert names == (["no label"] if none == 0 else []) + ["cat", "sky", "never"]


def test_what_is_planted_is_found_and_told_in_tables(tmp_path):
    source, maps, _ = build()
    grid = CellGrid((4, 4), (24, 24))
    places = np.full(made.WORDS.size, -1, np.int32)
    places[list(OBJECTS)] = range(3)
    for image in range(40):
        fitted = made.frame((24, 24), (24, 24)).fit(source[image])
        labels = annotate(fitted, (24, 24), "once", made.WORDS, 0)
        maps[image, 3] = (label_cells(labels, grid, places, "foreground")[0] == 1).reshape(4, 4)
    found = measure_cells(made.wire(source, maps), source, ["maps"], cells="foreground", category="object")
    row = next(row for row in found.rows() if row["concept"] == "sky")
    assert (row["unit"], row["ap"], row["purity_of_class"]) == (3, 1.0, 1.0)
    never = next(row for row in found.rows() if row["concept"] == "never")
    assert (never["unit"], never["ap"], never["train_cells"], never["purity"]) == (None, 0.0, 0, None)
    summary = found["maps"].summary()
    assert summary["map"] == pytest.approx(2 / 3 * summary["map_seen"])
    assert (summary["classes"], summary["classes_seen"], summary["units"]) == (3, 2, 5)
    found.save(tmp_path)
    text = (tmp_path / "cells.csv").read_text().splitlines()
    assert text[0].split(",")[:5] == ["layer", "concept", "category", "unit", "weight"]
    assert len(text) == 4
    assert (tmp_path / "cell_summary.csv").read_text().splitlines()[0].startswith("layer,units,probe_r,map,")
    assert "probe_r" in str(found)
    assert "a cell's class: the commonest concept" in str(found)
    assert found.describe()["layers"][0]["map"] == pytest.approx(summary["map"])


def test_latents_have_what_their_directions_lose():
    source, _, _ = build()
    torch.manual_seed(0)
    network = Network(nn.Sequential(nn.Conv2d(3, 6, 6, 6), nn.ReLU()).eval(), Preprocessing((24, 24)))
    layers = ["0", "0+random-sae:20:3:1"]
    first, second = made.Stored(source.examples[:25]), made.Stored(source.examples[25:])
    found = measure_cells(network, first, layers, validation=second)
    directions = draw_sae(6, 20, 3, 1)
    images = np.stack([made.frame((24, 24), (24, 24)).fit(one).image for one in second.examples])
    with torch.no_grad():
        cells = network.module[0](network.preprocessing.tensor(images)).permute(0, 2, 3, 1).reshape(-1, 6)
    latents = directions.encode(cells)
    lost = ((cells - directions.decode(latents)) ** 2).sum() / ((cells - cells.mean(0)) ** 2).sum()
    assert found[layers[1]].nmse == pytest.approx(float(lost), rel=1e-5)
    assert np.isnan(found[layers[0]].nmse)
    assert (found[layers[1]].units, found[layers[0]].units) == (20, 6)
    assert found[layers[1]].scores.active <= 3
    assert found[layers[0]].scores.active == pytest.approx(6)


def test_flat_features_are_one_cell_an_image():
    vocabulary = Vocabulary((Concept(1, "dark", "scene"), Concept(2, "light", "scene")))
    examples = []
    for image in range(60):
        pixels = np.full((8, 8, 3), 10 + 200 * (image % 2) + image // 2, np.uint8)
        examples.append(Example(f"{image}", pixels, ids=(1 + image % 2,)))
    network = Network(nn.Sequential(nn.AvgPool2d(8), nn.Flatten()).eval(), Preprocessing((8, 8)))
    found = measure_cells(network, made.Stored(examples, vocabulary), ["1"])
    assert found["1"].scores.mean_ap == 1
    assert np.sign(found["1"].scores.probes.weight).tolist() == [-1, 1]


def test_what_cannot_be_is_one_line():
    source, _, network = build(12)
    with pytest.raises(UsageError, match=r"no category 'objekt'; perhaps 'object'|no category 'objekt'"):
        measure_cells(network, source, ["maps"], category="objekt")
    words = Vocabulary((*made.WORDS.concepts[:-1], Concept(11, "ever", "object")))
    other = made.Stored(source.examples, words)
    with pytest.raises(UsageError, match=r"concept 11, '\w+', is not the same in both sources"):
        measure_cells(network, source, ["maps"], validation=other)
    with pytest.raises(UsageError, match=r"the cells of the images so far take .* GB; name fewer layers"):
        measure_cells(network, source, ["maps"], machine=Machine(memory=1000))
    blank = made.Stored([Example(f"{k}", np.zeros((24, 24, 3), np.uint8)) for k in range(8)])
    with pytest.raises(SourceError, match="no cell of the images to train on has a class"):
        measure_cells(made.wire(blank, np.ones((8, 2, 4, 4))), blank, ["maps"])
    with pytest.raises(UsageError, match=r"layer maps has 4 x 4 cells, more than the labels' 3 x 3 pixels"):
        measure_cells(network, source, ["maps"], size=3)
    with pytest.raises(UsageError, match="there is no layer 'map'; there are maps"):
        measure_cells(network, source, ["maps"])["map"]
