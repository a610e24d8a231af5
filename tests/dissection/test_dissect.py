import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import made
import reference
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.dissection.conventions import CONVENTIONS, Convention
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import ActivationError, NetworkError, SourceError, UsageError
from unitscope.networks.feeding import read_peaks
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.receptive_fields import find_fields
from unitscope.statistics.scan import Machine

QUIET = Confidences(shifts=0)


def make_maps(images, units, side, seed, kind="normal"):
    maps = np.random.default_rng(seed).normal(size=(images, units, side, side)).astype(np.float32)
    maps[:, 0] = 0.5
    return np.maximum(maps, 0) if kind == "relu" else maps


def check_against_twin(layer, maps, source, rules, thresholds=None):
    size = source[0].image.shape[:2]
    masks = (size[0] // rules.reduction, size[1] // rules.reduction)
    frame = made.frame(size, masks)
    # The stored maps come from a lookup, not from convolutions: their receptive fields are unknown
    # and half-pixel centers stand in, as the run's warning says.
    twin_rules = replace(rules, upsampling="half-pixel") if rules.upsampling == "receptive-field" else rules
    examples = [frame.fit(source[i]) for i in range(len(source))]
    twin = reference.dissect(maps, examples, source.vocabulary, twin_rules, masks, thresholds=thresholds)
    np.testing.assert_array_equal(layer.thresholds, twin.thresholds)
    np.testing.assert_array_equal(layer.active, twin.active)
    np.testing.assert_array_equal(layer.active_in, twin.active_in)
    np.testing.assert_array_equal(layer.concept_pixels, twin.concept_pixels)
    np.testing.assert_array_equal(layer.intersections, twin.intersections)
    np.testing.assert_allclose(layer.iou, twin.iou, rtol=0, atol=1e-15)
    return twin


@pytest.mark.parametrize("name", list(CONVENTIONS))
@pytest.mark.parametrize(("side", "kind"), [(4, "normal"), (5, "relu"), (13, "normal"), (1, "normal")])
def test_every_convention_counts_what_its_definition_says(name, side, kind):
    source = made.make_source(14, mask_size=(12, 10), size=(24, 20), seed=side)
    maps = make_maps(14, 5, side, 7, kind)
    run = dissect(
        made.wire(source, maps),
        source,
        ["maps"],
        convention=name,
        quantile=0.05,
        confidences=QUIET,
        batch_size=4,
    )
    check_against_twin(run["maps"], maps, source, run.convention)


@pytest.mark.parametrize("name", list(CONVENTIONS))
def test_the_same_layer_through_every_convention_equals_its_twin(name):
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(3, 5, 5, 3), nn.ReLU(), nn.Conv2d(5, 6, 3, padding=1)).eval()
    source = made.make_source(8, mask_size=(24, 24), size=(48, 48), seed=6)
    network = Network(module, Preprocessing())
    run = dissect(network, source, ["2"], convention=name, quantile=0.03, confidences=QUIET, batch_size=8)
    assert run.recipe.channels_last
    with torch.no_grad():
        images = np.stack([source[i].image for i in range(8)])
        maps = module(network.preprocessing.tensor(images, channels_last=True)).numpy()
    field = find_fields(network, ["2"], (48, 48))["2"]
    assert field.step == (3.0, 3.0)
    masks = (48 // run.convention.reduction,) * 2
    examples = [made.frame((48, 48), masks).fit(source[i]) for i in range(8)]
    centers = (field.center, field.step)
    twin = reference.dissect(maps, examples, source.vocabulary, run.convention, masks, centers, (48, 48))
    np.testing.assert_array_equal(run["2"].thresholds, twin.thresholds)
    np.testing.assert_array_equal(run["2"].active_in, twin.active_in)
    np.testing.assert_array_equal(run["2"].intersections, twin.intersections)
    np.testing.assert_array_equal(run["2"].labels.best, np.where(twin.iou.max(1) > 0, twin.iou.argmax(1), 0))


@pytest.mark.parametrize("name", list(CONVENTIONS))
def test_a_constant_unit_is_dead_also_where_interpolation_rounds_up(name):
    source = made.make_source(9, mask_size=(28, 28), size=(56, 56), seed=1)
    rules, values = CONVENTIONS[name], np.random.default_rng(0).random(7).astype(np.float32)
    maps = np.tile(values[None, :, None, None], (9, 1, 5, 5))
    maps[3, -1, 2, 2] = 2  # but for one cell
    network = made.wire(source, maps)
    layer = dissect(network, source, ["maps"], convention=rules)["maps"]
    drawn = np.stack([*layer.masks(source, network)])
    assert not drawn[:, :-1].any()
    assert drawn[3, -1].any()
    assert not layer[1].mask(source[3].image, network).any()
    if rules.population == "cells":  # there is something to leave out
        side = (56 // rules.reduction,) * 2
        assert any((reference.upsample(np.full((5, 5), v), side, "half-pixel") > v).any() for v in values)
    assert not layer.active[:-1].any()
    assert layer.active[-1]
    assert not any(unit.detector or unit.concept for unit in list(layer)[:-1])
    assert (layer.confidence.p_value[:-1] == 1).all()
    check_against_twin(layer, maps, source, rules)


@given(
    population=st.sampled_from(["cells", "pixels"]),
    upsampling=st.sampled_from(["half-pixel", "zero-border"]),
    union=st.sampled_from(["category", "touched", "all"]),
    doubles=st.sampled_from(["twice", "truth-twice", "once"]),
    quantile=st.sampled_from([0.02, 0.1, 0.4]),
    images=st.integers(1, 8),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_any_mixture_of_rules_counts_what_it_says(
    population, upsampling, union, doubles, quantile, images, seed
):
    rules = Convention("mine", quantile, population, upsampling, union, doubles, 2)
    source = made.make_source(images, mask_size=(6, 8), size=(12, 16), seed=seed)
    source.examples[0] = replace(source.examples[0], ids=(9,))  # without any label there is no run
    maps = make_maps(images, 3, 3, seed)
    run = dissect(made.wire(source, maps), source, ["maps"], convention=rules, confidences=QUIET)
    check_against_twin(run["maps"], maps, source, rules)


def test_float32_masks_differ_from_float64_only_at_the_threshold():
    source = made.make_source(10, mask_size=(28, 28), size=(56, 56))
    maps = make_maps(10, 4, 7, 3)
    run = dissect(
        made.wire(source, maps),
        source,
        ["maps"],
        convention="netdissect-lite",
        quantile=0.05,
        confidences=QUIET,
    )
    layer = run["maps"]
    for unit in range(4):
        dense = np.stack(
            [reference.upsample(maps[i, unit], (28, 28), "half-pixel", np.float64) for i in range(10)]
        )
        gap = np.abs(dense - np.float64(layer.thresholds[unit]))
        doubtful = int((gap <= 1e-5 * np.abs(dense).max()).sum())
        valid = np.stack([made.valid(source[i], (28, 28)) for i in range(10)])
        counted = int(((dense > layer.thresholds[unit]) & valid).sum())
        assert abs(counted - layer.active[unit]) <= doubtful


def test_shards_batches_and_threads_change_nothing(tmp_path):
    source = made.make_source(20, seed=4)
    maps = make_maps(20, 6, 4, 5)
    runs = [
        dissect(
            made.wire(source, maps),
            source,
            ["maps"],
            batch_size=batch,
            machine=Machine(threads=threads),
            out=out,
        )
        for batch, threads, out in [(32, 1, None), (3, 2, None), (7, 2, tmp_path / "run")]
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run["maps"].intersections, runs[0]["maps"].intersections)
        np.testing.assert_array_equal(run["maps"].confidence.p_value, runs[0]["maps"].confidence.p_value)
        np.testing.assert_array_equal(run["maps"].exemplars.runs, runs[0]["maps"].exemplars.runs)


def test_torch_computes_with_the_threads_asked_for_and_afterwards_as_before():
    source = made.make_source(4, seed=4)
    network, seen = made.wire(source, make_maps(4, 6, 4, 5)), []
    note = lambda *_: seen.append(torch.get_num_threads())  # noqa: E731
    hook = network.module.register_forward_pre_hook(note)
    before = torch.get_num_threads()
    for threads in (1, 3):
        run = dissect(network, source, ["maps"], confidences=QUIET, machine=Machine(threads=threads))
        assert (seen[-1], run.recipe.threads, torch.get_num_threads()) == (threads, threads, before)
    hook.remove()


def test_a_small_memory_budget_spills_and_changes_nothing():
    source = made.make_source(20, seed=4)
    maps = make_maps(20, 6, 4, 5)
    network = made.wire(source, maps)
    plenty = dissect(network, source, ["maps"], confidences=QUIET)
    little = dissect(network, source, ["maps"], confidences=QUIET, machine=Machine(memory=1))
    np.testing.assert_array_equal(plenty["maps"].intersections, little["maps"].intersections)


def test_given_thresholds_are_used():
    source = made.make_source(9, mask_size=(12, 12), size=(24, 24))
    maps = make_maps(9, 4, 4, 2)
    thresholds = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    run = dissect(
        made.wire(source, maps), source, ["maps"], thresholds={"maps": thresholds}, confidences=QUIET
    )
    check_against_twin(run["maps"], maps, source, run.convention, thresholds)


def test_exemplars_are_the_images_with_the_largest_peaks_and_carry_their_masks():
    source = made.make_source(9, mask_size=(12, 12), size=(24, 24), void=False)
    maps = make_maps(9, 4, 4, 2)
    layer = dissect(
        made.wire(source, maps),
        source,
        ["maps"],
        convention="netdissect-lite",
        quantile=0.2,
        ranks=3,
        confidences=QUIET,
    )["maps"]
    for unit in range(1, 4):
        peaks = maps[:, unit].max((1, 2))
        wanted = np.argsort(-peaks, kind="stable")[:3]
        assert layer.exemplars.images[unit].tolist() == wanted.tolist()
        for rank, image in enumerate(wanted):
            dense = reference.upsample(maps[image, unit], (12, 12), "half-pixel")
            shown = reference.runs_to_mask(layer.exemplars.mask_runs(unit, rank), (12, 12))
            np.testing.assert_array_equal(shown, dense > layer.thresholds[unit])


def test_dead_constant_and_unnamed_units_have_no_label():
    source = made.make_source(6)
    maps = np.zeros((6, 3, 4, 4), np.float32)
    maps[:, 1] = 7.0
    maps[:, 2] = np.random.default_rng(0).normal(size=(6, 4, 4))
    layer = dissect(made.wire(source, maps), source, ["maps"], quantile=0.1)["maps"]
    for unit in (0, 1):
        assert layer[unit].concept is None
        assert (layer[unit].iou, layer[unit].iou_low, layer[unit].iou_high) == (0.0, 0.0, 0.0)
        assert layer[unit].p_value == 1.0
        assert not layer[unit].detector
    assert any("2 of 3 units are never above" in note for note in layer.warnings)
    assert any("concepts that never occur in the images (1): never" in note for note in layer.warnings)


def test_one_image_is_dissected_without_confidence():
    source = made.make_source(1)
    layer = dissect(made.wire(source, make_maps(1, 2, 4, 0)), source, ["maps"])["maps"]
    assert layer.confidence is None
    assert any("at least two images" in note for note in layer.warnings)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_activations_that_are_not_finite_name_layer_unit_and_image(bad):
    source = made.make_source(6)
    maps = make_maps(6, 3, 4, 0)
    maps[4, 1, 2, 2] = bad
    with pytest.raises(ActivationError, match=rf"unit 1 of layer maps gave {bad} on image i4"):
        dissect(made.wire(source, maps), source, ["maps"], confidences=QUIET)


def test_an_empty_source_and_no_layers_are_refused():
    source = made.make_source(2)
    network = made.wire(source, make_maps(2, 3, 4, 0))
    with pytest.raises(SourceError, match="no images"):
        dissect(network, made.Stored([]), ["maps"])
    with pytest.raises(UsageError, match="no layer"):
        dissect(network, source, [])
    with pytest.raises(UsageError, match="map"):
        dissect(network, source, ["mapz"])
    with pytest.raises(UsageError, match=r"quantile is 1\.5"):
        dissect(network, source, ["maps"], quantile=1.5)
    with pytest.raises(UsageError, match="no convention"):
        dissect(network, source, ["maps"], convention="mine")


def test_sources_without_concepts_or_with_too_many_categories_are_refused():
    source = made.make_source(2)
    network = made.wire(source, make_maps(2, 3, 4, 0))
    source.vocabulary = Vocabulary(())
    with pytest.raises(SourceError, match="no concepts"):
        dissect(network, source, ["maps"])
    source.vocabulary = Vocabulary(tuple(Concept(i, "x", f"category {i}") for i in range(1, 66)))
    with pytest.raises(SourceError, match="65 categories"):
        dissect(network, source, ["maps"])


def test_thresholds_of_another_network_are_refused():
    source = made.make_source(2)
    network = made.wire(source, make_maps(2, 3, 4, 0))
    with pytest.raises(UsageError, match="2 thresholds are given for layer maps, which has 3 units"):
        dissect(network, source, ["maps"], thresholds={"maps": np.zeros(2, np.float32)})
    with pytest.raises(UsageError, match="do not cover layer maps"):
        dissect(network, source, ["maps"], thresholds={"other": np.zeros(2, np.float32)})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"maps": np.array([1, np.nan, 1])}, "unit 1 of layer maps is nan"),
        ({"maps": np.zeros((3, 1))}, r"layer maps are float64 of shape \(3, 1\); wanted a list of numbers"),
        ({"maps": np.zeros(3), "mops": np.zeros(3)}, r"layer mops, which is not among the layers .*\(maps\)"),
    ],
)
def test_thresholds_that_are_none_are_refused(given, told):
    source = made.make_source(2)
    network = made.wire(source, make_maps(2, 3, 4, 0))
    with pytest.raises(UsageError, match=told):
        dissect(network, source, ["maps"], thresholds=given)


def test_a_text_is_no_list_of_layers():
    source = made.make_source(2)
    with pytest.raises(UsageError, match=r"text 'maps'; give a list, such as \['maps'\]"):
        dissect(made.wire(source, make_maps(2, 3, 4, 0)), source, "maps")


def test_a_resumed_run_needs_its_folder():
    source = made.make_source(2)
    with pytest.raises(UsageError, match="give the folder as out"):
        dissect(made.wire(source, make_maps(2, 3, 4, 0)), source, ["maps"], resume=True)


def test_a_size_is_a_side_or_both():
    source, network = made.make_source(3), Network(nn.Sequential(nn.Conv2d(3, 4, 3)))
    assert dissect(network, source, ["0"], size=16, confidences=QUIET).frame.size == (16, 16)
    with pytest.raises(UsageError, match=r"size is 0; give the side of a square or \(height, width\)"):
        dissect(network, source, ["0"], size=0)


UNCHECKED = """
from dataclasses import replace
from torch import nn
from unitscope import Network, UnitscopeError, dissect, open_source
from unitscope.dissection.conventions import CONVENTIONS
for name in ("population", "upsampling", "union", "doubles", "unique_rule"):
    try:
        replace(CONVENTIONS["pnas"], **{name: "odd"})
    except UnitscopeError as error:
        print(type(error).__name__, error)
module = nn.Sequential(nn.Conv2d(3, 4, 3))
for network, fit in ((Network(module), "bogus"), (module, "crop")):
    try:
        dissect(network, open_source("drawn:count=2,size=64"), ["0"], fit=fit)
    except UnitscopeError as error:
        print(type(error).__name__, error)
"""


def test_rules_a_fit_and_a_module_that_cannot_be_used_are_told():
    # In a process of its own: here the checks of types would refuse them first.
    done = subprocess.run([sys.executable, "-c", UNCHECKED], capture_output=True, text=True, check=True)
    *rules, fit, module = done.stdout.splitlines()
    assert len(rules) == 5
    assert all(one.startswith("UsageError ") and "is 'odd'; it is one of" in one for one in rules)
    assert fit == "UsageError fit is 'bogus'; it is one of stretch, crop"
    assert module.startswith("UsageError the network is a Sequential")
    assert "unitscope.Network(module, " in module


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_a_network_of_another_precision_is_fed_in_it_and_read_as_float32(kind):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 5, 2), nn.BatchNorm2d(4), nn.ReLU()).to(kind).eval()
    source, network = made.make_source(6), Network(module, Preprocessing(mean=(0.5,) * 3))
    run = dissect(network, source, ["0", "2"], convention="pnas", quantile=0.05, confidences=QUIET)
    with torch.no_grad():
        batch = network.preprocessing.tensor(np.stack([source[i].image for i in range(6)])).to(kind)
        maps = module(batch).to(torch.float32).numpy()
    check_against_twin(run["2"], maps, source, run.convention)
    peaks = read_peaks(network, "2", source, range(6))
    np.testing.assert_array_equal(peaks, maps.max((2, 3)))


def test_a_run_is_asked_as_a_list_and_a_dictionary_are():
    source = made.make_source(3)
    run = dissect(made.wire(source, make_maps(3, 4, 4, 0)), source, ["maps"], confidences=QUIET)
    assert repr(run) == "<Dissection of lookup over 3 images: maps (4 units)>"
    assert repr(run["maps"]) == "<LayerDissection maps: 4 units over 3 images>"
    assert len(run) == 1
    assert "maps" in run
    assert (repr(run["maps"][-1]), run["maps"][-4].unit) == (repr(run["maps"][3]), 0)
    for unit in (4, -5):
        with pytest.raises(IndexError):
            run["maps"][unit]
    with pytest.raises(UsageError, match="no layer 'nope'; its layers are maps"):
        run["nope"]


def test_images_of_different_sizes_need_one_input_size():
    source = made.make_source(3)
    source.examples[1] = Example("odd.png", np.zeros((10, 24, 3), np.uint8))
    module = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(SourceError, match=r"odd\.png is 10x24, images before it 24x24"):
        dissect(Network(module), source, ["0"], confidences=QUIET)
    assert dissect(Network(module), source, ["0"], size=(24, 24), confidences=QUIET)["0"].images == 3


def test_the_network_is_left_as_it_was_also_on_error():
    source = made.make_source(3)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    dissect(Network(module), source, ["0", "2"], confidences=QUIET)
    with torch.no_grad():
        module[0].weight.fill_(torch.nan)
    with pytest.raises(NetworkError):
        dissect(Network(module), source, ["2"], confidences=QUIET)
    assert all(part.training and not part._forward_hooks for part in module.modules())
    assert all(
        torch.equal(value, before[name]) for name, value in module.state_dict().items() if name != "0.weight"
    )


def test_several_layers_in_one_pass_are_as_each_alone():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2), nn.ReLU(inplace=True), nn.Conv2d(6, 8, 3, 2), nn.ReLU(inplace=True)
    )
    source = made.make_source(8)
    together = dissect(Network(module), source, ["0", "1", "3"], confidences=QUIET)
    for layer in together:
        alone = dissect(Network(module), source, [layer], confidences=QUIET)[layer]
        np.testing.assert_array_equal(alone.intersections, together[layer].intersections)
