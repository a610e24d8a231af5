"""Generators: latents by number, and a dissection that equals one over stored images."""

import numpy as np
import pytest
import torch
from torch import nn

import reference
from unitscope.concepts.segmented import SegmentedSource
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.generators import GeneratedImages, Generator, find_generated, with_seed
from unitscope.networks.network import Network
from unitscope.networks.trace import list_layers, tap
from unitscope.networks.unit_maps import read_units


class Painter(nn.Module):
    """A latent of 6 numbers becomes an image of 16 by 16 pixels; kinds shift its colors."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 5 * 16)
        self.layer = nn.Conv2d(5, 7, 3, padding=1)
        self.last = nn.Conv2d(7, 3, 3, padding=1)

    def forward(self, latents, kinds):
        x = torch.relu(self.layer(self.first(latents).reshape(-1, 5, 4, 4)))
        x = nn.functional.interpolate(self.last(x), scale_factor=4, mode="bilinear")
        return torch.tanh(x + kinds[:, None, None, None] * 0.1)


class Brightness:
    name, digest = "brightness", "1"
    vocabulary = Vocabulary((Concept(1, "bright", "object"), Concept(2, "dark", "object")))

    def __call__(self, images):
        return np.where(images.mean(3) > 127, 1, 2).astype(np.uint16)[:, None]


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return Generator(Painter(), name="painter", latent=(6,), kinds=("calm", "wild"))


def test_more_images_never_change_the_first_ones(generator):
    few, many = generator.draw_latents(0, 3), generator.draw_latents(0, 50)
    assert torch.equal(few, many[:3])
    assert torch.equal(generator.draw_latents(7, 5), many[7:12])
    assert generator.pick_kinds(3, 4).tolist() == [1, 0, 1, 0]
    assert not torch.equal(with_seed(generator, 1).draw_latents(0, 3), few)


def test_an_image_does_not_depend_on_how_many_there_are(generator):
    few, many = GeneratedImages(generator, 18), GeneratedImages(generator, 40)
    for i in (17, 0, 16):
        assert few[i].image.tobytes() == many[i].image.tobytes()
    assert few[3].key == "0-000003-wild"
    assert few[0].image.shape == (16, 16, 3)


def test_dissection_equals_the_one_of_activations_and_images_made_beforehand(generator):
    source = SegmentedSource(GeneratedImages(generator, 37), Brightness())
    rules = CONVENTIONS["pnas"]
    found = dissect(generator, source, ["layer"], convention=rules, confidences=Confidences(shifts=0))
    with torch.no_grad():
        latents, kinds = generator.draw_latents(0, 37), generator.pick_kinds(0, 37)
        maps = torch.relu(torch.zeros(0))
        with tap(generator, ["layer"]) as read:
            maps = read_units(read((latents, kinds))["layer"])
    masks = (4, 4)
    from made import frame

    examples = [frame((16, 16), masks).fit(source[i]) for i in range(37)]
    twin = reference.dissect(maps.numpy(), examples, source.vocabulary, rules, masks)
    layer = found.layers["layer"]
    np.testing.assert_allclose(layer.thresholds, twin.thresholds, atol=1e-6)
    np.testing.assert_array_equal(layer.concept_pixels[1:3], twin.concept_pixels[1:3])
    assert np.abs(layer.intersections.astype(int) - twin.intersections.astype(int)).max() <= 2


def test_images_made_meanwhile_do_not_disturb_who_reads_the_layers(generator):
    source = GeneratedImages(generator, 40)
    before = GeneratedImages(generator, 40)[39].image.tobytes()
    with tap(generator, ["layer"]) as read:
        generator.module.layer.register_forward_pre_hook(lambda *_: source[20] and None)
        layers = read(generator.feed(np.zeros((2, 1, 1, 3), np.uint8), 0))
    assert layers["layer"].shape == (2, 7, 4, 4)
    with torch.no_grad():
        generator.module.last.weight.zero_()
    assert source[39].image.tobytes() == before


def test_layers_of_a_generator_are_listed(generator):
    assert ("layer", (7, 4, 4)) in [(row.name, row.shape) for row in list_layers(generator)]


def test_a_generator_is_not_dissected_over_foreign_images(generator):
    foreign = SegmentedSource(GeneratedImages(with_seed(generator, 3), 4), Brightness())
    with pytest.raises(UsageError, match="another generator or seed"):
        dissect(generator, foreign, ["layer"])
    from made import make_source

    with pytest.raises(UsageError, match="makes its own images"):
        dissect(generator, make_source(), ["layer"])


def test_a_source_stays_with_the_weights_that_make_its_images(generator):
    source = SegmentedSource(GeneratedImages(generator, 4), Brightness())
    before, digest = source[0].image.tobytes(), source.digest
    with torch.no_grad():
        generator.module.last.weight.mul_(2)
    assert (source[0].image.tobytes(), source.digest) == (before, digest)
    with pytest.raises(UsageError, match="its weights were changed"):
        dissect(generator, source, ["layer"])
    again = SegmentedSource(GeneratedImages(generator, 4), Brightness())
    assert again.digest != digest
    dissect(generator, again, ["layer"], confidences=Confidences(shifts=0))


def test_what_made_a_source_is_found(generator):
    images = GeneratedImages(generator, 4)
    assert find_generated(SegmentedSource(images, Brightness())) is images
    assert find_generated(images) is images


def test_images_are_made_in_evaluation_mode_and_the_mode_comes_back(generator):
    generator.module.last = nn.Sequential(generator.module.last, nn.Dropout(0.5))
    assert np.array_equal(generator.generate(0, 2), generator.generate(0, 2))
    assert all(part.training for part in generator.module.modules())


def test_latents_go_where_the_parameters_are(generator, monkeypatch):
    # No other device can be counted on here; that of abstract tensors, else refused, tells what it is given.
    monkeypatch.setattr("unitscope.networks.network.check_weights", lambda *_: None)
    fed = []

    class Abstract(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(1, device="meta"))

        def forward(self, latents, kinds):
            fed.extend((latents.device.type, kinds.device.type))
            return torch.zeros(len(latents), 3, 2, 2)

    abstract = Generator(Abstract(), latent=(6,), kinds=("dark", "bright"))
    abstract.generate(0, 2)
    assert set(fed) == {"meta"}
    assert [part.device.type for part in abstract.blank()] == ["meta", "meta"]
    assert [part.device.type for part in abstract.inputs(0, device="cpu")] == ["cpu", "cpu"]


@pytest.mark.parametrize("count", [0, -1])
def test_no_images_are_refused(generator, count):
    with pytest.raises(UsageError, match="nothing to look at"):
        GeneratedImages(generator, count)


def test_a_module_that_gives_no_images_is_refused():
    with pytest.raises(NetworkError, match="wanted"):
        Generator(nn.Linear(6, 3), latent=(6,)).generate(0, 2)


def test_a_network_without_latents_reads_images():
    network = Network(nn.Conv2d(3, 2, 3))
    assert network.feed(np.zeros((2, 8, 8, 3), np.uint8), 0).shape == (2, 3, 8, 8)
