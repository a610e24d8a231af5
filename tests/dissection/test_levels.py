"""Means and quantiles of units where a concept is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import made
import reference
from generated import planted_generator, planted_segmenter
from unitscope.concepts.frames import Frame
from unitscope.concepts.packed import pack_source
from unitscope.concepts.segmented import SegmentedSource
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection import levels
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.levels import measure_levels
from unitscope.errors import SourceError, UsageError
from unitscope.networks.generators import GeneratedImages
from unitscope.networks.network import Network, Preprocessing
from unitscope.statistics.scan import Machine


def gather_plainly(maps, source, rules, mask_size):
    """The slow twin: the values of each unit on all pixels (0) and on those of each concept, one by one."""
    upsampling = "half-pixel" if rules.upsampling == "receptive-field" else rules.upsampling
    values = [{} for _ in range(maps.shape[1])]
    for index, image in enumerate(maps):
        example = made.frame(source[index].image.shape[:2], mask_size).fit(source[index])
        for unit, flat in enumerate(image):
            dense = reference.upsample(flat, mask_size, upsampling)
            for row in range(mask_size[0]):
                for column in range(mask_size[1]):
                    if example.void is None or not example.void[row, column]:
                        here = {0, *example.ids, *example.planes[:, row, column].tolist()}
                        for concept in here:
                            values[unit].setdefault(concept, []).append(dense[row, column])
    return values


@given(
    name=st.sampled_from(list(CONVENTIONS)),
    fractions=st.lists(st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.99]), min_size=1, max_size=3, unique=True),
    side=st.sampled_from([1, 3, 9]),
    images=st.integers(1, 5),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_levels_are_those_of_the_definition(name, fractions, side, images, seed):
    rules = replace(CONVENTIONS[name], reduction=2)
    source = made.make_source(images, mask_size=(6, 8), size=(12, 16), seed=seed)
    maps = np.random.default_rng(seed).normal(size=(images, 3, side, side)).astype(np.float32)
    twin = gather_plainly(maps, source, rules, (6, 8))
    network = made.wire(source, maps)
    named = {concept for values in twin for concept in values} - {0}
    if not named:
        with pytest.raises(SourceError, match="any concept is in none of the"):
            measure_levels(network, source, ["maps"], convention=rules)
        return
    found = measure_levels(network, source, ["maps"], convention=rules, fractions=fractions)
    assert {concept.id for concept in found.concepts} == named
    for unit, values in enumerate(twin):
        for place, concept in enumerate([0, *(one.id for one in found.concepts)]):
            assert found.pixels[place] == len(values[concept])
            mean = found.layers["maps"].mean[unit, place]
            assert mean == pytest.approx(np.mean(values[concept], dtype=np.float64), abs=1e-12)
            wanted = [reference.threshold(values[concept], fraction) for fraction in fractions]
            np.testing.assert_array_equal(found.layers["maps"].tops[unit, place], np.float32(wanted))


def test_a_packed_source_is_not_cropped_twice(tmp_path):
    torch.manual_seed(0)
    source = made.make_source(5, size=(30, 20), mask_size=(15, 10))
    network = Network(nn.Sequential(nn.Conv2d(3, 4, 3, 2)), Preprocessing(size=(16, 16), crop_fraction=0.7))
    found = measure_levels(network, source, ["0"], convention="pnas", fit="crop")
    packed = pack_source(source, Frame((16, 16), (4, 4), "crop", 0.7), tmp_path)
    assert measure_levels(network, packed, ["0"], convention="pnas", fit="crop").rows() == found.rows()


def test_blocks_of_units_change_nothing(monkeypatch):
    source = made.make_source(6)
    network = made.wire(source, np.random.default_rng(0).normal(size=(6, 5, 4, 4)))
    whole = measure_levels(network, source, ["maps"])
    monkeypatch.setattr(levels, "_AT_ONCE", 1)
    assert measure_levels(network, source, ["maps"]).rows() == whole.rows()


def test_levels_are_a_table(tmp_path):
    source = made.make_source(8)
    network = made.wire(source, np.random.default_rng(0).normal(size=(8, 2, 4, 4)))
    found = measure_levels(
        network, source, ["maps"], concepts=["street", "object/cat"], fractions=[0.5, 0.01]
    )
    assert [(row["unit"], row["concept"]) for row in found.rows()] == [
        (0, "street-s"), (0, "cat"), (1, "street-s"), (1, "cat")
    ]  # fmt: skip
    columns = ["layer", "unit", "concept", "category", "pixels", "mean", "top_0.5", "top_0.01"]
    columns += ["mean_all", "top_0.5_all", "top_0.01_all"]
    assert found.to_frame().columns.tolist() == columns
    assert (found.save(tmp_path) / "levels.csv").read_text("utf-8").startswith(",".join(columns))
    assert found.rows()[0]["mean"] == found.layers["maps"].mean[0, 1]
    assert len(str(found).splitlines()) == 1 + 2
    one = measure_levels(network, source, ["maps"], concepts="cat")
    assert {row["concept"] for row in one.rows()} == {"cat"}


def test_a_generator_has_levels():
    generator = planted_generator()
    source = SegmentedSource(GeneratedImages(generator, 24), planted_segmenter())
    rows = measure_levels(generator, source, ["maps"], concepts=["ball"], convention="pnas").rows()
    by_unit = {row["unit"]: row for row in rows}
    assert all(by_unit[unit]["mean"] > 3 * by_unit[unit]["mean_all"] > 0 for unit in (1, 4))
    assert all(by_unit[unit]["mean"] < by_unit[unit]["mean_all"] for unit in (0, 6, 7))


def test_what_cannot_be_measured_is_told():
    source = made.make_source(6)
    network = made.wire(source, np.zeros((6, 2, 4, 4)))
    for wrong in ([], [1.0], [-0.1], [0.5, float("nan")]):
        with pytest.raises(UsageError, match="fractions are"):
            measure_levels(network, source, ["maps"], fractions=wrong)
    with pytest.raises(UsageError, match="there is no concept 'dog'"):
        measure_levels(network, source, ["maps"], concepts=["dog"])
    with pytest.raises(SourceError, match="'never' is in none of the 6 images"):
        measure_levels(network, source, ["maps"], concepts=["never"])
    with pytest.raises(UsageError, match="the maps of 6 images take"):
        measure_levels(network, source, ["maps"], machine=Machine(memory=100))
    with pytest.raises(SourceError, match="the source has no concepts"):
        measure_levels(network, made.Stored(source.examples, Vocabulary(())), ["maps"])
