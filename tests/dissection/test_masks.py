"""The masks that units draw on any picture are those that their run counted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import made
import reference
from generated import planted_generator, planted_segmenter, planted_studio
from unitscope.concepts.segmented import SegmentedSource
from unitscope.dissection.adaptive import QualityRule, dissect_by_quality
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.storage import load
from unitscope.errors import ActivationError, SourceError, UsageError
from unitscope.networks.generators import GeneratedImages
from unitscope.networks.load import load_network
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.receptive_fields import find_fields
from unitscope.networks.tokens import Tokens

QUIET = Confidences(shifts=0)


class Patches(nn.Module):
    """Patches of 4 pixels as tokens behind a class token, image, token, feature."""

    def __init__(self, width=8):
        super().__init__()
        self.patch, self.block = nn.Conv2d(3, width, 4, 4), nn.Linear(width, 4)

    def forward(self, x):
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        return self.block(torch.cat([tokens.mean(1, keepdim=True), tokens], 1))


def build(kind, size, seed=0):
    """A network of that kind, and the layer to read."""
    torch.manual_seed(seed)
    if kind == "tokens":
        return Network(Patches(), Preprocessing(size=size), tokens=Tokens(1)), "block"
    parts = [nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3)]
    if kind == "flat":
        parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    mean = (0.4, 0.5, 0.6)
    return Network(nn.Sequential(*parts), Preprocessing(size, mean, crop_fraction=0.8)), str(len(parts) - 1)


def dissect_quietly(network, source, layer, rules, **options):
    return dissect(network, source, [layer], convention=rules, confidences=QUIET, **options)


def draw_plainly(run, layer, network, pictures):
    """The slow twin: one picture at a time through the plain module, then pixel by pixel at mask size."""
    found, masks = run[layer], []
    field = find_fields(network, [layer], run.frame.size).get(layer)
    upsampling = run.convention.upsampling
    if upsampling == "receptive-field" and field is None:
        upsampling = "half-pixel"
    where = field and (field.center, field.step)
    for picture in pictures:
        # Laid out as in the run, as often as it has images in a batch: torch rounds otherwise in others.
        batch = np.stack([run.frame.fit_image(picture)] * run.recipe.batch_size)
        last = bool(run.recipe.channels_last)
        with torch.no_grad():
            maps = network.module(network.preprocessing.tensor(batch, channels_last=last))[0].numpy()
        if maps.ndim == 1:
            maps = maps[:, None, None]
        elif maps.ndim == 2:
            side = int(len(maps[1:]) ** 0.5)
            maps = maps[1:].T.reshape(-1, side, side)
        dense = [
            reference.upsample(one, found.mask_size, upsampling, field=where, extent=run.frame.size)
            for one in maps
        ]
        masks.append(np.stack(dense) > found.thresholds[:, None, None])
    return np.stack(masks)


def check_counts(run, layer, source, masks):
    """What the masks add up to, counted by the definition, is what the run counted."""
    examples = [run.frame.fit(source[index]) for index in range(len(source))]
    found = run[layer]
    counted = reference.count(masks, examples, source.vocabulary, run.convention, found.thresholds)
    np.testing.assert_array_equal(counted.active, found.active)
    np.testing.assert_array_equal(counted.active_in, found.active_in)
    np.testing.assert_array_equal(counted.intersections, found.intersections)
    np.testing.assert_array_equal(counted.concept_pixels, found.concept_pixels)


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("kind", ["maps", "flat", "tokens"])
@pytest.mark.parametrize("name", list(CONVENTIONS))
def test_masks_of_every_convention_add_up_to_what_its_run_counted(name, kind, fit):
    source = made.make_source(5, mask_size=(15, 10), size=(30, 20), seed=3)
    network, layer = build(kind, (24, 24) if kind == "tokens" else (20, 24))
    run = dissect_quietly(network, source, layer, name, quantile=0.1, fit=fit, batch_size=4)
    pictures = [example.image for example in source.examples]
    masks = np.stack(list(run[layer].masks(pictures, network)))
    np.testing.assert_array_equal(masks, draw_plainly(run, layer, network, pictures))
    np.testing.assert_array_equal(masks, np.stack(list(run[layer].masks(source, network))))
    check_counts(run, layer, source, masks)
    for unit in run[layer]:
        drawn = [unit.mask(picture, network) for picture in pictures]
        known = [
            np.ones_like(drawn[0]) if (v := run.frame.fit(e).void) is None else ~v for e in source.examples
        ]
        assert sum(int((a & b).sum()) for a, b in zip(drawn, known, strict=True)) == unit.active_pixels


@given(
    name=st.sampled_from(list(CONVENTIONS)),
    reduction=st.sampled_from([1, 2, 3, 4, 7]),
    size=st.sampled_from([None, (12, 16), (23, 11), (32, 32)]),
    fit=st.sampled_from(["stretch", "crop"]),
    images=st.integers(1, 6),
    batch=st.integers(1, 4),
    shard=st.integers(1, 5),
    quantile=st.sampled_from([0.02, 0.2, 0.6]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_masks_of_any_run_add_up(name, reduction, size, fit, images, batch, shard, quantile, seed):
    source = made.make_source(images, mask_size=(9, 14), size=(18, 28), seed=seed)
    # Without any label there is no run: one, and not on void pixels alone.
    source.examples[0] = replace(source.examples[0], ids=(9,), void=None)
    network, layer = build("maps", size, seed)
    rules = replace(CONVENTIONS[name], reduction=reduction, quantile=quantile)
    run = dissect_quietly(
        network, source, layer, rules, fit=fit, batch_size=batch, shard_size=shard, trust_layout=True
    )
    pictures = [example.image for example in source.examples]
    masks = np.stack(list(run[layer].masks(pictures, network)))
    assert masks.dtype == bool
    check_counts(run, layer, source, masks)
    np.testing.assert_array_equal(masks, draw_plainly(run, layer, network, pictures))


def test_over_a_source_the_batches_are_those_of_the_run():
    # In so narrow a layer torch rounds by the place of an image in its batch.
    source = made.make_source(11, mask_size=(15, 10), size=(30, 20), seed=3)
    network = Network(Patches(5), Preprocessing(size=(24, 24)), tokens=Tokens(1))
    run = dissect_quietly(network, source, "block", "pnas", batch_size=4, shard_size=6)
    check_counts(run, "block", source, np.stack(list(run["block"].masks(source, network))))


def test_masks_agree_with_the_interpolation_of_torch_away_from_the_threshold():
    source = made.make_source(6, size=(24, 32), mask_size=(6, 8))
    network, layer = build("maps", None)
    run = dissect_quietly(network, source, layer, "pnas", quantile=0.2)
    for index, masks in enumerate(run[layer].masks(source, network)):
        with torch.no_grad():
            maps = network.module(network.preprocessing.tensor(source[index].image[None]))
        dense = nn.functional.interpolate(maps, run.frame.mask_size, mode="bilinear", align_corners=False)[0]
        gap = dense.numpy() - run[layer].thresholds[:, None, None]
        sure = abs(gap) > 1e-5
        assert sure.mean() > 0.9
        np.testing.assert_array_equal(masks[sure], gap[sure] > 0)


def test_pictures_of_any_size_and_kind_are_fitted_by_the_frame(tmp_path):
    source = made.make_source(6)
    network, layer = build("maps", None)
    run = dissect_quietly(network, source, layer, "netdissect")
    picture = np.random.default_rng(5).integers(0, 256, (50, 31, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    unit = run[layer][2]
    wanted = unit.mask(picture, network)
    assert wanted.shape == run.frame.mask_size == (12, 12)
    np.testing.assert_array_equal(wanted, unit.mask(run.frame.fit_image(picture), network))
    for same in (Image.fromarray(picture), tmp_path / "picture.png", str(tmp_path / "picture.png")):
        np.testing.assert_array_equal(unit.mask(same, network), wanted)


def test_a_saved_run_draws_the_same_masks(tmp_path):
    source = made.make_source(5)
    network, layer = build("maps", (16, 16))
    run = dissect_quietly(network, source, layer, "dissect", quantile=0.1)
    again = load(run.save(tmp_path / "run"))
    for one, other in zip(
        run[layer].masks(source, network), again[layer].masks(source, network), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_given_thresholds_and_a_dead_unit():
    source = made.make_source(5)
    network, layer = build("maps", None)
    given_thresholds = {layer: np.array([0.1, np.inf, 0.0, -0.1], np.float32)}
    run = dissect_quietly(network, source, layer, "netdissect", thresholds=given_thresholds)
    masks = np.stack(list(run[layer].masks(source, network)))
    check_counts(run, layer, source, masks)
    assert not masks[:, 1].any()


def test_thresholds_chosen_pair_by_pair():
    source, heldout = made.make_source(8, seed=1), made.make_source(8, seed=2)
    heldout.digest = "others"
    network, layer = build("maps", None)
    rule = QualityRule(levels=10, positive=False, agreement=0.0)
    run = dissect_by_quality(
        network, source, heldout, [layer], rule=rule, convention="gandissect", confidences=QUIET
    )
    masks = np.stack(list(run[layer].masks(source, network)))
    check_counts(run, layer, source, masks)


def test_a_generator_is_read_while_it_makes_its_images():
    studio = planted_studio(21)
    layer, generator = studio.run["maps"], planted_generator()
    images = GeneratedImages(generator, 21)
    masks = np.stack(list(layer.masks(images, generator)))
    np.testing.assert_array_equal(masks.sum((0, 2, 3)), layer.active)
    labeled = SegmentedSource(images, planted_segmenter())
    check_counts(studio.run, "maps", labeled, masks)
    with pytest.raises(UsageError, match="planted makes its own pictures and reads none; give"):
        layer[0].mask(np.zeros((16, 16, 3), np.uint8), generator)


def test_a_network_that_the_run_names_is_opened_again():
    source = made.make_source(4, size=(64, 64), mask_size=(32, 32))
    network = load_network("zoo:scene-classifier")
    run = dissect_quietly(network, source, "layer5", "netdissect")
    picture = source[0].image
    np.testing.assert_array_equal(run["layer5"][3].mask(picture), run["layer5"][3].mask(picture, network))
    # Kept under that name is what the run was made with, not another run's.
    network = load_network("zoo:scene-classifier", size=48)
    run = dissect_quietly(network, source, "layer5", "netdissect")
    np.testing.assert_array_equal(run["layer5"][3].mask(picture), run["layer5"][3].mask(picture, network))
    changed = replace(run.recipe, network=replace(run.recipe.network, digest="0"))
    with pytest.raises(
        UsageError, match="zoo:scene-classifier opens with other weights than those of the run"
    ):
        replace(run["layer5"], recipe=changed).masks([picture])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine", r"the network of the run, 'mine', does not open by its name \(.*\); give network"),
        ("mine.py:build", "the network of the run is made by mine.py:build, which is not run unasked"),
    ],
)
def test_a_network_that_does_not_open_must_be_given(name, message):
    source = made.make_source(3)
    network, layer = build("maps", None)
    run = dissect_quietly(replace(network, name=name), source, layer, "netdissect")
    with pytest.raises(UsageError, match=message):
        run[layer][0].mask(source[0].image)


def test_another_network_is_refused():
    source = made.make_source(3)
    network, layer = build("maps", None)
    run = dissect_quietly(network, source, layer, "netdissect")
    picture, unit = source[0].image, run[layer][0]
    others = {
        "with other weights": build("maps", None, seed=1)[0],
        "is given pictures with mean": replace(network, preprocessing=Preprocessing()),
        "is given pictures with channels bgr": replace(
            network, preprocessing=replace(network.preprocessing, channels="bgr")
        ),
        "has Tokens": replace(network, tokens=Tokens(2)),
    }
    for message, other in others.items():
        with pytest.raises(UsageError, match=message):
            unit.mask(picture, other)
    with pytest.raises(UsageError, match="comes from no run"):
        replace(run[layer], recipe=None)[0].mask(picture, network)


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), 7, None]
)
def test_what_is_no_picture_is_refused(picture):
    source = made.make_source(3)
    network, layer = build("maps", None)
    run = dissect_quietly(network, source, layer, "netdissect")
    with pytest.raises(SourceError, match=r"picture 0 is .*; wanted uint8\[y, x, 3\] in RGB"):
        run[layer][0].mask(picture, network)
    for wrong in ("pictures", 7, None):
        with pytest.raises(UsageError, match="the images are a"):
            run[layer].masks(wrong, network)


def test_the_network_is_left_as_it_was():
    source = made.make_source(9)
    network, layer = build("maps", None)
    run = dissect_quietly(network, source, layer, "netdissect", batch_size=2)
    network.module.train()
    pictures = [source[0].image] * 4
    some = run[layer].masks(pictures, network)
    next(some)
    some.close()
    with pytest.raises(SourceError, match="picture 3 is int"):
        list(run[layer].masks([*pictures[:3], 3], network))
    with torch.no_grad():
        network.module[2].bias[0] = float("nan")
    with pytest.raises(UsageError, match="other weights"):
        run[layer].masks(pictures, network)
    unknown = replace(run.recipe, network=replace(run.recipe.network, digest=None))
    with pytest.raises(ActivationError, match="unit 0 of layer 2 gave nan on image picture 0"):
        list(replace(run[layer], recipe=unknown).masks(pictures, network))
    for part in network.module.modules():
        assert part.training
        assert not part._forward_hooks
        assert not part._forward_pre_hooks
