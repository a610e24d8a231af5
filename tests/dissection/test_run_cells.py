"""A dissection's own pass tells what latents know of cells: the same as a pass of its own, to the bit."""

import numpy as np
import pytest
import torch

import made
import unitscope as us
from unitscope.dissection import CellRules, dissect_by_quality, dissect_part, measure_cells, merge_run
from unitscope.dissection.cell_measures import CellMeasures
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.recipe import Recipe
from unitscope.errors import ActivationError, RunError, UsageError
from unitscope.networks.directions.activations import Activation, Relu, TopK
from unitscope.networks.directions.directions import make_directions
from unitscope.networks.directions.files import save_directions
from unitscope.statistics.scan import Machine

UNITS, IMAGES = 9, 50
NONE = us.Confidences(0)


@pytest.fixture(scope="module")
def source():
    return made.make_source(IMAGES, seed=5)


@pytest.fixture(scope="module")
def latents():
    """Of nine units some fire often, so that their thresholds are high, some seldom, and one never."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(IMAGES, UNITS, 6, 6)).astype(np.float32)
    maps -= np.linspace(-1, 2.5, UNITS, dtype=np.float32)[:, None, None]
    maps[:, 3] = -1
    return maps


@pytest.fixture(scope="module")
def network(source, latents):
    return made.wire(source, latents)


def spell(folder, activation: Activation) -> str:
    saved = make_directions(torch.eye(UNITS), activation=activation, kind="sae")
    return f"maps+{save_directions(saved, folder / 'sae.safetensors')}"


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    return spell(tmp_path_factory.mktemp("files"), Relu())


def assert_same(found: CellMeasures | None, wanted: CellMeasures) -> None:
    assert found is not None
    assert found.classes == wanted.classes
    assert found.rules == wanted.rules
    assert found.layers.keys() == wanted.layers.keys()
    for layer, one in wanted.layers.items():
        scores = found[layer].scores
        for name in ("loss", "entropy", "ap", "purity", "own_purity", "positive_rate", "trained", "seen"):
            np.testing.assert_array_equal(getattr(scores, name), getattr(one.scores, name))
        for name in ("unit", "weight", "bias", "loss"):
            np.testing.assert_array_equal(getattr(scores.probes, name), getattr(one.scores.probes, name))
        assert scores.active == one.scores.active
    assert found.tables()["cells.csv"].csv() == wanted.tables()["cells.csv"].csv()


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("unlabeled", ["negative", "class"])
def test_the_scan_tells_what_a_pass_of_its_own_tells(name, unlabeled, network, source, layer):
    rules = CellRules("foreground" if name == "pnas" else "majority", unlabeled=unlabeled)
    asked = {"size": (24, 24)} if CONVENTIONS[name].reduction == 4 else {}
    run = us.dissect(network, source, [layer], convention=name, confidences=NONE, cell_scores=rules, **asked)
    wanted = measure_cells(
        network,
        source,
        [layer],
        cells=rules.cells,
        unlabeled=unlabeled,
        reduction=CONVENTIONS[name].reduction,
        **asked,
    )
    assert_same(run.cell_measures, wanted)


def test_nothing_else_is_changed_and_the_network_runs_once(network, source, layer):
    seen = []
    hook = network.module.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    plain = us.dissect(network, source, [layer], batch_size=8, shard_size=8, confidences=us.Confidences(20))
    passes = len(seen)
    run = us.dissect(
        network,
        source,
        [layer],
        batch_size=8,
        shard_size=8,
        confidences=us.Confidences(20),
        cell_scores=CellRules(),
    )
    assert len(seen) == 2 * passes
    hook.remove()
    assert list(run.cells()) == list(plain.cells())
    np.testing.assert_array_equal(run[layer].exemplars.runs, plain[layer].exemplars.runs)
    assert (run[layer].thresholds > 0.5).any()  # of such latents a scan keeps the highest cells alone
    assert plain.cell_measures is None
    assert_same(run.cell_measures, measure_cells(network, source, [layer], reduction=2))


def test_runs_in_parts_and_such_that_go_on_have_the_same_bytes(network, source, layer, tmp_path):
    asked = {"batch_size": 4, "confidences": NONE, "cell_scores": CellRules(category="object")}
    whole = us.dissect(network, source, [layer], out=tmp_path / "whole", **asked)
    parted = {**asked, "shard_size": 8, "out": tmp_path / "parts"}
    dissect_part(network, source, [layer], "1/2", **parted)
    dissect_part(network, source, [layer], "2/2", **parted)
    merged = merge_run(tmp_path / "parts")
    begun = {**asked, "shard_size": 8, "out": tmp_path / "begun"}
    dissect_part(network, source, [layer], "2/2", **begun)
    with pytest.raises(RunError, match="begun with another cell_scores"):
        us.dissect(network, source, [layer], resume=True, **{**begun, "cell_scores": None})
    us.dissect(network, source, [layer], resume=True, **begun)
    for name in ("units.csv", "cells.csv", "cell_summary.csv"):
        tables = [(tmp_path / made_by / name).read_bytes() for made_by in ("whole", "parts", "begun")]
        assert tables[0] == tables[1] == tables[2]
    assert_same(merged.cell_measures, whole.cell_measures)
    assert_same(us.load(tmp_path / "parts").cell_measures, whole.cell_measures)
    assert Recipe.parse(whole.recipe.record()) == whole.recipe
    plain = us.dissect(network, source, [layer], confidences=NONE)
    plain.save(tmp_path / "whole")
    assert not (tmp_path / "whole" / "cells.csv").exists()
    assert us.load(tmp_path / "whole").cell_measures is None


def test_latents_below_0_are_refused_as_they_come(network, source, tmp_path):
    signed = spell(tmp_path, TopK(8, relu=False))
    with pytest.raises(ActivationError, match=r"is below 0 on image .* leave cell scores out"):
        us.dissect(network, source, [signed], confidences=NONE, cell_scores=CellRules())
    few = spell(tmp_path, TopK(1, relu=False))  # the highest of a cell is above 0
    high = made.wire(source, np.ones((IMAGES, UNITS, 6, 6), np.float32))
    run = us.dissect(high, source, [few], confidences=NONE, cell_scores=CellRules())
    assert_same(run.cell_measures, measure_cells(high, source, [few], reduction=2))


def test_what_cannot_be_is_one_line_before_work(network, source, layer):
    def ask(*layers: str, **asked: object) -> None:
        rules = asked.pop("cell_scores", CellRules())
        us.dissect(network, source, layers, confidences=NONE, cell_scores=rules, **asked)

    with pytest.raises(UsageError, match="layer maps only the highest cells are kept"):
        ask(layer, "maps")
    with pytest.raises(UsageError, match="only cells above the thresholds given are kept"):
        ask(layer, thresholds={layer: np.ones(UNITS)})
    with pytest.raises(UsageError, match="no category 'objekt'"):
        ask(layer, cell_scores=CellRules(category="objekt"))
    with pytest.raises(UsageError, match="6 x 6 cells, more than the labels' 3 x 3 pixels"):
        ask(layer, size=6)
    with pytest.raises(UsageError, match="with thresholds by information only cells above them are kept"):
        dissect_by_quality(network, source, source, [layer], cell_scores=CellRules())
    with pytest.raises(UsageError, match=r"the cells where latents fire take .* GB; allow more memory"):
        ask(layer, machine=Machine(memory=1000))


def test_halves_without_a_class_are_told(latents, layer):
    source = made.make_source(IMAGES, seed=5)
    blank = made.Stored([made.Example(f"{k}", one.image, ids=(9,)) for k, one in enumerate(source.examples)])
    run = us.dissect(
        made.wire(blank, latents), blank, [layer], confidences=NONE, cell_scores=CellRules(category="object")
    )
    assert run.cell_measures is not None
    assert not run.cell_measures.layers
    assert any("no cell of the images to train on has a class" in text for text in run[layer].warnings)
