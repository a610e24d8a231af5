"""What is read of layers is what a dissection sees."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import made
from generated import planted_generator
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection.activations import read_activations
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import ActivationError, SourceError, UsageError
from unitscope.networks.generators import GeneratedImages
from unitscope.networks.network import Network, Preprocessing
from unitscope.statistics.scan import Machine


def build(size=None):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.LazyLinear(8)
    )
    module(torch.zeros(1, 3, *(size or (24, 24))))
    return Network(module, Preprocessing(size, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), 0.75, "bicubic"))


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("size", [None, 20, (16, 24)])
def test_activations_are_those_of_the_module_on_fitted_pictures(fit, size):
    source = made.make_source(11, size=(30, 22), mask_size=(15, 11))
    network = build((20, 20))
    network = network if size is None else replace(network, module=network.module[:4])
    layers = ["2", "0@in", "4"] if size is None else ["2", "0@in"]
    found = read_activations(network, source, layers, size=size, fit=fit, batch_size=4)
    sides = size if isinstance(size, tuple) else (20, 20)
    frame = Frame(sides, sides, fit, 0.75, "bicubic")
    fitted = np.stack([frame.fit_image(example.image) for example in source.examples])
    arrays = found.arrays()
    assert {name: array.shape for name, array in arrays.items()} == found.shapes
    with torch.no_grad():
        inputs = network.preprocessing.tensor(fitted)
        maps = network.module[:3](inputs)
        wanted = {"2": maps, "0@in": inputs}
        if size is None:
            wanted["4"] = network.module(inputs)[:, :, None, None]
    for name, array in arrays.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, wanted[name].numpy(), rtol=1e-5, atol=1e-5)
    parts = list(found)
    assert [len(part["2"]) for part in parts] == [4, 4, 3]
    for name, array in arrays.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), array)


def test_they_are_what_a_dissection_sees_to_the_last_bit():
    source = made.make_source(11, size=(30, 22), mask_size=(15, 11))
    network = build((20, 20))
    run = dissect(network, source, ["2"], confidences=Confidences(shifts=0), ranks=11, fit="crop")
    peaks = read_activations(network, source, ["2"], fit="crop").arrays()["2"].max((2, 3))
    top = run["2"].exemplars
    for unit in range(6):
        np.testing.assert_array_equal(top.peaks[unit], peaks[top.images[unit], unit])


def test_what_a_picture_gives_does_not_depend_on_how_many_are_read():
    network = build((20, 20))
    pictures = [example.image for example in made.make_source(9).examples]
    together = read_activations(network, pictures, ["2", "4"]).arrays()
    for index, picture in enumerate(pictures):
        alone = read_activations(network, [picture], ["2", "4"]).arrays()
        for layer, array in alone.items():
            np.testing.assert_array_equal(array[0], together[layer][index])


def test_pictures_are_arrays_images_or_files(tmp_path):
    network = build((20, 20))
    pictures = np.stack([example.image for example in made.make_source(3).examples])
    wanted = read_activations(network, made.make_source(3), ["2"]).arrays()["2"]
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    images = [Image.fromarray(picture) for picture in pictures]
    for same in (pictures, list(pictures), images, sorted(tmp_path.glob("*.png")), iter(images)):
        found = read_activations(network, same, ["2"])
        assert len(found) == 3
        np.testing.assert_array_equal(found.arrays()["2"], wanted)


def test_a_generator_is_read_while_it_makes_its_images():
    generator = planted_generator()
    found = read_activations(generator, GeneratedImages(generator, 10), ["maps"]).arrays()["maps"]
    kept = []
    with torch.no_grad(), generator.module.maps.register_forward_hook(lambda _m, _a, out: kept.append(out)):
        generator.module(*generator.inputs(0, 10))
    np.testing.assert_array_equal(found, kept[0].numpy())
    with pytest.raises(UsageError, match="planted makes its own images, and the source holds others"):
        read_activations(generator, [np.zeros((16, 16, 3), np.uint8)], ["maps"])


def test_what_needs_too_much_memory_is_iterated():
    network, source = build((20, 20)), made.make_source(9)
    found = read_activations(network, source, ["2"], machine=Machine(memory=1000))
    with pytest.raises(UsageError, match=r"activations of 9 images take .* GB; iterate over them"):
        found.arrays()
    assert sum(len(part["2"]) for part in found) == 9


def test_what_cannot_be_read_is_told():
    network, picture = build(), np.zeros((24, 24, 3), np.uint8)
    with pytest.raises(UsageError, match="no layer was named"):
        read_activations(network, [picture], [])
    with pytest.raises(UsageError, match="7"):
        read_activations(network, [picture], ["7"])
    with pytest.raises(UsageError, match="batch_size is 0"):
        read_activations(network, [picture], ["2"], batch_size=0)
    with pytest.raises(SourceError, match="no images; there is nothing to read"):
        read_activations(network, [], ["2"])
    with pytest.raises(UsageError, match="the images are a str; give a list of pictures, or a source"):
        read_activations(network, "pictures", ["2"])
    with pytest.raises(SourceError, match="picture 1 is 20x24, images before it 24x24; give the network one"):
        list(read_activations(network, [picture, picture[:20]], ["2"]))
    with pytest.raises(SourceError, match=r"no\.png: the file is missing"):
        read_activations(network, ["no.png"], ["2"])


def test_a_source_without_concepts_is_read():
    source = made.Stored(
        [replace(one, planes=one.planes[:0], ids=()) for one in made.make_source(3).examples]
    )
    source.vocabulary = Vocabulary(())
    assert read_activations(build(), source, ["2"]).arrays()["2"].shape[0] == 3


def test_the_network_is_left_as_it_was():
    network = build()
    network.module.train()
    with torch.no_grad():
        network.module[4].bias[1] = float("inf")
    found = read_activations(network, made.make_source(9), ["2", "4"], batch_size=2)
    with pytest.raises(ActivationError, match="unit 1 of layer 4 gave inf on image i0"):
        found.arrays()
    for part in read_activations(network, made.make_source(9), ["2"], batch_size=2):
        assert len(part["2"]) == 2
        break
    del part
    for part in network.module.modules():
        assert part.training
        assert not part._forward_hooks
        assert not part._forward_pre_hooks
