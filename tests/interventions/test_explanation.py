"""Explanations: sums that equal removing every unit; approximations that say so; regions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from unitscope.concepts.unlabeled import gather_pictures
from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.classes import find_class, match_classes
from unitscope.interventions.edits import edited, set_units
from unitscope.interventions.explained_images import explain
from unitscope.interventions.explanation import (
    Explanation,
    explain_image,
    feed_image,
    find_last_layer,
    soften,
)
from unitscope.lab.world import open_drawn
from unitscope.networks.load import load_network
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.trace import evaluation

CLASSES = ("living_room", "kitchen", "street")


class Pooled(nn.Module):
    """Convolution, batch norm, in-place ReLU, a mean, one linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, 3)
        self.norm.bias.data.uniform_(-1, 1)

    def forward(self, x):
        return self.head(self.act(self.norm(self.conv(x))).mean((2, 3)))


class Tokens(nn.Module):
    """Patches as tokens behind a class token, which alone reaches the head."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 5, 4, 4)
        self.block = nn.Linear(5, 5)
        self.mix = nn.Linear(17, 17)
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        patches = self.patch(x).flatten(2).transpose(1, 2)
        tokens = self.block(torch.cat([patches.mean(1, keepdim=True), patches], 1))
        return self.head(torch.tanh(self.mix(tokens.transpose(1, 2)))[:, :, 0])


def make(module, size=(16, 16), classes=CLASSES):
    torch.manual_seed(0)
    return Network(module(), Preprocessing(size), classes, "small")


def noise(seed=0, size=(16, 16)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def zoo():
    return load_network("zoo:scene-classifier")


@pytest.fixture(scope="module")
def scene():
    return open_drawn(4, 2000, 64)[3].image


def remove_each(network, layer, image, target, units):
    """The definition: what the logit loses when each unit is removed, and what is left without all."""
    batch = feed_image(network, image)

    def logit(removed):
        with edited(network, set_units(layer, removed, units)), torch.no_grad():
            return float(network.module(batch)[0, target])

    with evaluation(network.module):
        return np.array([logit([]) - logit([unit]) for unit in range(units)]), logit(range(units))


@pytest.mark.parametrize("layer", ["conv", "norm", "act"])
@pytest.mark.parametrize("target", [None, 0, 2])
def test_exact_contributions_are_what_removing_each_unit_costs(layer, target):
    network = make(Pooled)
    found = explain_image(network, layer, noise(), target=target)
    lost, rest = remove_each(network, layer, noise(), found.target, 6)
    assert found.method == "exact"
    assert np.allclose(found.contributions, lost, atol=1e-5)
    assert found.rest == pytest.approx(rest, abs=1e-5)
    assert abs(found.gap) < 1e-5


def test_the_zoo_is_explained_exactly_by_its_last_layer(zoo, scene):
    found = explain_image(zoo, "layer5", scene)
    bias = float(zoo.module.head.bias.detach()[found.target])
    assert found.method == "exact"
    assert found.rest == pytest.approx(bias, abs=1e-6)
    assert found.contributions.sum() == pytest.approx(found.logit - bias, abs=1e-4)
    lost, _ = remove_each(zoo, "layer5", scene, found.target, 160)
    assert np.allclose(found.contributions, lost, atol=1e-4)
    assert found.name(found.predicted) == "playground"


def test_a_residual_network_is_explained_exactly_by_its_last_block():
    network = load_network("torchvision:resnet18", random=0)
    found = explain_image(network, "layer4", noise(size=(64, 80)), target=7)
    bias = float(network.module.fc.bias.detach()[7])
    assert (found.method, found.target, found.name(7)) == ("exact", 7, "class 7")
    assert found.contributions.sum() == pytest.approx(found.logit - bias, abs=1e-4)


def test_further_down_it_is_an_approximation_that_says_how_far_off_it_is(zoo, scene):
    found = explain_image(zoo, "layer3", scene)
    assert found.method == "gradient times activation"
    with edited(zoo, set_units("layer3", range(128), 128)), torch.no_grad():
        rest = float(zoo.module(feed_image(zoo, scene))[0, found.target])
    assert found.rest == pytest.approx(rest, abs=1e-5)
    assert found.gap == pytest.approx(found.contributions.sum() - (found.logit - rest), abs=1e-5)
    assert abs(found.gap) > 0.1
    with pytest.raises(NetworkError, match="do not reach a last linear layer"):
        explain_image(zoo, "layer3", scene, exact=True)


def test_gradient_times_activation_is_the_logit_itself_where_that_is_linear():
    parts = nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 3)
    network = Network(nn.Sequential(*parts), Preprocessing((16, 16)))
    found = explain_image(network, "0", noise())
    lost, rest = remove_each(network, "0", noise(), found.target, 4)
    assert found.method == "gradient times activation"
    assert np.allclose(found.contributions, lost, atol=1e-5)
    assert found.rest == pytest.approx(rest, abs=1e-5)


def test_token_grids_have_units_with_places_too():
    found = explain_image(make(Tokens), "block", noise())
    assert found.maps.shape == (5, 4, 4)
    assert found.contributions.shape == (5,)
    assert np.isfinite(found.contributions).all()


def test_a_network_that_takes_any_size_is_fed_the_image_as_it_is():
    network = make(Pooled, None)
    assert explain_image(network, "act", noise(size=(10, 13))).maps.shape == (6, 8, 11)


@pytest.mark.parametrize("layer", ["act", "conv"])
def test_the_network_is_left_as_it_was(layer):
    network = make(Pooled)
    network.module.head.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    explain_image(network, layer, noise())
    explain_image(make(Tokens), "block", noise())
    with pytest.raises(UsageError):
        explain_image(network, "head", noise())
    assert network.module.training
    assert all(torch.equal(before[name], value) for name, value in network.module.state_dict().items())
    assert all(one.grad is None for one in network.module.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.module.modules())
    assert torch.is_grad_enabled()


def test_the_same_image_gives_the_same_explanation(zoo, scene):
    for layer in ("layer5", "layer3"):
        one, other = (explain_image(zoo, layer, scene) for _ in range(2))
        assert np.array_equal(one.contributions, other.contributions)
        assert one.rest == other.rest


def test_what_cannot_be_explained_is_told(zoo, scene):
    with pytest.raises(UsageError, match="no layer 'layer6'; near names: layer5"):
        explain_image(zoo, "layer6", scene)
    with pytest.raises(UsageError, match="gives the classes themselves"):
        explain_image(zoo, "head", scene)
    with pytest.raises(UsageError, match="classes 0 to 23, not 24"):
        explain_image(zoo, "layer5", scene, target=24)
    with pytest.raises(NetworkError, match="no logits"):
        explain_image(Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())), "0", noise())
    cut = nn.Sequential(nn.Conv2d(3, 4, 3), Cut(), nn.Flatten(), nn.Linear(4 * 14 * 14, 2))
    with pytest.raises(NetworkError, match="no gradient of the logits of cut reaches 0"):
        explain_image(Network(cut, Preprocessing((16, 16)), name="cut"), "0", noise())


class Cut(nn.Module):
    def forward(self, x):
        return (x > 0).to(x.dtype)


def made_up(maps, logits=(1.0, 3.0, 2.0), target=1):
    units = len(maps)
    return Explanation(
        "n", "l", CLASSES, target, np.array(logits), 0.5, np.full(units, 2.5 / units), maps, "exact"
    )


@given(
    st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(2, 9), st.integers(8, 40), st.integers(8, 40)
)
def test_a_region_is_the_top_fifth_of_the_upsampled_map(seed, rows, columns, high, wide):
    maps = np.random.default_rng(seed).normal(size=(1, rows, columns)).astype(np.float32)
    region = made_up(maps).region(0, (high, wide))
    twin = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[None].double(), (high, wide), mode="bilinear", align_corners=False
    )[0, 0].numpy()
    ranked = np.sort(twin, axis=None)[::-1]
    threshold = ranked[int(0.2 * twin.size)]
    clear = abs(twin - threshold) > 1e-5
    assert np.array_equal(region[clear], (twin > threshold)[clear])
    assert region.sum() <= 0.2 * twin.size


def test_regions_of_the_zoo_cover_a_fifth_and_those_of_silent_units_nothing(zoo, scene):
    found = explain_image(zoo, "layer5", scene)
    sizes = [found.region(unit, (100, 120)).mean() for unit in found.order[:6].tolist()]
    assert all(0.19 < size <= 0.2 for size in sizes)
    assert not made_up(np.zeros((1, 4, 4), np.float32)).region(0, (8, 8)).any()
    assert not made_up(np.full((1, 7, 7), 6.0, np.float32)).region(0, (50, 50)).any()
    assert made_up(np.ones((1, 1, 1), np.float32)).region(0, (8, 8)).all()


def test_the_region_of_a_saturated_map_is_where_it_is_highest():
    maps = np.zeros((1, 7, 7), np.float32)
    maps[0, :, :4] = 6.0
    region = made_up(maps).region(0, (70, 70))
    assert region[:, :35].all()
    assert not region[:, 36:].any()


def test_files_are_explained_upright(tmp_path):
    picture, path, exif = Image.fromarray(noise(size=(16, 24))), tmp_path / "turned.png", Image.Exif()
    exif[0x0112] = 6  # stored turned to the left
    picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    upright = np.asarray(picture)
    explained = explain(make(Pooled), [path], "act").images[0]
    np.testing.assert_array_equal(explained.image, upright)
    np.testing.assert_array_equal(gather_pictures([path])[0].image, upright)


def test_an_explanation_ranks_and_shares():
    maps = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    found = made_up(maps)
    assert (found.predicted, found.runner_up, found.name(0)) == (1, 2, "living room")
    assert found.activation.tolist() == [1.5, 5.5]
    assert found.share(0) == pytest.approx(0.5)
    assert found.order.tolist() == [0, 1]
    assert made_up(maps, (0.1, 3, 2), target=0).share(0) is None
    assert found.probabilities.sum() == pytest.approx(1)
    assert soften(np.array([[1e4, 0.0]])).tolist() == [[1.0, 0.0]]
    assert made_up(maps, (1.0,), target=0).runner_up is None


def test_classes_are_found_by_name_and_number():
    network = make(Pooled)
    assert [find_class(network, one) for one in ("Living room", "kitchen", "2")] == [0, 1, 2]
    with pytest.raises(UsageError, match="no class 'kitchn'; near names: kitchen"):
        find_class(network, "kitchn")
    with pytest.raises(UsageError, match="no class 'qqqqqq'; it has living_room, "):
        find_class(network, "qqqqqq")
    with pytest.raises(UsageError, match="classes 0 to 2, not 3"):
        find_class(network, "3")
    twice = make(Pooled, classes=("kitchen", "beach", "kitchen"))
    assert find_class(twice, "Kitchen") == 0
    nameless = make(Pooled, classes=())
    assert find_class(nameless, "3") == 3
    with pytest.raises(UsageError, match="no names of classes"):
        find_class(nameless, "kitchen")
    with pytest.raises(UsageError, match="classes 0 to 2, not 3"):
        explain_image(nameless, "act", noise(), target=3)
    vocabulary = open_drawn(1, 0, 64).vocabulary
    found = match_classes(network, vocabulary)
    assert {vocabulary[one].label for one in found} == {"living room", "kitchen", "street"}


def test_the_last_layer_with_places_is_the_one_to_explain_with(zoo):
    assert find_last_layer(zoo) == "layer5"
    assert find_last_layer(make(Pooled)) == "act"
    assert find_last_layer(Network(nn.Sequential(make(Pooled).module))) == "0.act"
    with pytest.raises(UsageError, match="no layer of network has maps"):
        find_last_layer(Network(nn.Sequential(nn.Flatten(), nn.Linear(768, 3)), Preprocessing((16, 16))))
