"""A network as a segmenter: channels become concepts, plane by plane."""

import numpy as np
import pytest
import torch
from torch import nn

from unitscope.concepts.union.colors import name_colors
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.segmentation.network_segmenter import NetworkSegmenter

WORDS = Vocabulary(
    (
        *(Concept(20 + k, f"thing {k}", "object") for k in range(3)),
        Concept(30, "bit", "part"),
        *(Concept(40 + k, f"color {k}", "color") for k in range(11)),
    )
)
PLANES = ((0, 20, 21, 22), (0, 30))


def make(size=None, channels=6, colors=40):
    torch.manual_seed(0)
    network = Network(nn.Conv2d(3, channels, 3, padding=1), Preprocessing(size), (), "net")
    return NetworkSegmenter(network, WORDS, PLANES, colors)


def test_the_highest_logit_of_a_group_names_the_pixel():
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 10, 3), np.uint8)
    segmenter = make()
    found = segmenter(images)
    assert found.shape == (3, 3, 12, 10)
    with torch.no_grad():
        logits = segmenter.network.module(segmenter.network.preprocessing.tensor(images)).numpy()
    for n, y, x in ((0, 0, 0), (2, 11, 9), (1, 5, 4)):
        assert found[n, 0, y, x] == PLANES[0][logits[n, :4, y, x].argmax()]
        assert found[n, 1, y, x] == PLANES[1][logits[n, 4:, y, x].argmax()]
    np.testing.assert_array_equal(found[1, 2], name_colors(images[1]) + 39)


def test_an_image_does_not_depend_on_its_batch():
    images = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), np.uint8)
    segmenter = make()
    np.testing.assert_array_equal(segmenter(images)[3], segmenter(images[3:4])[0])


def test_images_of_another_size_come_back_at_their_own():
    assert make(size=(16, 16))(np.zeros((2, 9, 7, 3), np.uint8)).shape == (2, 3, 9, 7)


def test_a_network_in_training_mode_is_asked_as_in_evaluation_and_left_as_it_was():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Dropout(0.5))
    segmenter = NetworkSegmenter(Network(module, name="net"), WORDS, PLANES)
    images = np.random.default_rng(2).integers(0, 256, (2, 8, 8, 3), np.uint8)
    pixels = segmenter.network.preprocessing.tensor(images)
    buffers = {name: value.clone() for name, value in module.named_buffers()}
    module[1].eval()
    modes = [part.training for part in module.modules()]
    np.testing.assert_array_equal(segmenter(images), segmenter(images))
    assert torch.equal(segmenter.score(pixels, 20), segmenter.score(pixels, 20))
    assert [part.training for part in module.modules()] == modes
    module.train()
    segmenter(images)
    assert all(torch.equal(value, buffers[name]) for name, value in module.named_buffers())
    assert all(part.training for part in module.modules())


def test_wrong_channels_and_unknown_concepts_are_refused():
    with pytest.raises(NetworkError, match="6 channels"):
        make(channels=5)(np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(UsageError, match="concept 99"):
        NetworkSegmenter(make().network, WORDS, ((0, 99),))


def test_the_digest_changes_with_weights_and_meaning():
    moved = make()
    with torch.no_grad():
        moved.network.module.weight.add_(1)
    assert make().digest == make().digest
    assert len({make().digest, moved.digest, make(colors=0).digest}) == 3
    before = moved.digest
    with torch.no_grad():
        moved.network.module.weight.add_(1)
    assert moved.digest != before


def test_how_sure_it_is_is_the_highest_probability_of_the_first_plane():
    given = make()
    images = np.random.default_rng(3).integers(0, 256, (3, 8, 8, 3), np.uint8)
    planes, sure = given.judge(images)
    np.testing.assert_array_equal(planes, given(images))
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    first = [concept for concept in given.planes[0] if concept]
    scores = torch.stack([given.score(pixels, concept) for concept in first]).detach().numpy()
    none = 1 - scores.sum(0)
    np.testing.assert_allclose(sure, np.maximum(scores.max(0), none), atol=1e-5)
