"""Tasks without labels, captions and views: what is asked is what was made, by slow obvious twins."""

import numpy as np
import pytest
import torch
from torch import nn

from unitscope.lab.world.names import OBJECT_IDS, SCENES
from unitscope.lab.zoo import self_supervised
from unitscope.lab.zoo.augmentation import Cameras, look, place_cameras, relight, vary
from unitscope.lab.zoo.captions import (
    LONGEST,
    PLACE,
    WORDS,
    Captioner,
    spell_sentence,
    write_sentence,
    write_sentences,
)
from unitscope.lab.zoo.tasks import OBJECTS, find_objects, measure_objects
from unitscope.lab.zoo.training_steps import Batch


class Recorder:
    """A student that keeps the pictures it is shown."""

    def __init__(self, answers):
        self.seen = None
        self.head = lambda maps: torch.zeros(len(self.wanted), answers)

    def features(self, images):
        self.seen = images
        return torch.zeros(len(images), 4, 2, 2)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return Batch(
        torch.rand(6, 3, 16, 16) * 2 - 1, torch.arange(6), torch.zeros(6, 3, 16, 16, dtype=torch.uint8)
    )


def ask(task, batch, monkeypatch, seed=0):
    """The pictures a task shows and the answers it wants."""
    recorder, found = Recorder(1), {}

    def classify(logits, wanted, smoothing=0.0):
        found["wanted"] = wanted
        return torch.zeros(()), {}

    monkeypatch.setattr(self_supervised, "classify", classify)
    recorder.head = lambda maps: torch.zeros(len(maps), 1)
    task.find_loss(recorder, batch, np.random.default_rng(seed))
    return recorder.seen, found["wanted"]


def test_a_turned_picture_turns_back(batch, monkeypatch):
    seen, wanted = ask(self_supervised.Turns(), batch, monkeypatch)
    for turned, quarter, image in zip(seen, wanted, batch.images, strict=True):
        assert torch.equal(turned.rot90(-int(quarter), (1, 2)), image)


def test_tiles_lie_in_the_order_that_is_asked(batch, monkeypatch):
    seen, wanted = ask(self_supervised.Jigsaw(), batch, monkeypatch)
    tiles = seen.unflatten(0, (6, 4))
    for place in range(6):
        for slot, tile in enumerate(self_supervised.ORDERS[int(wanted[place])]):
            top, left = 8 * (tile // 2), 8 * (tile % 2)
            quarter = batch.images[place, :, top : top + 8, left : left + 8]
            cuts = [quarter[:, y : y + 7, x : x + 7] for y in (0, 1) for x in (0, 1)]
            assert any(torch.equal(tiles[place, slot], cut) for cut in cuts)


def test_shuffled_frames_are_those_whose_middle_is_an_end(batch, monkeypatch):
    seen, wanted = ask(self_supervised.FrameOrder(), batch, monkeypatch, seed=1)
    shown, wanted = seen.unflatten(0, (6, 3)), wanted.tolist()
    assert set(wanted) == {0, 1}
    rng = np.random.default_rng(1)
    start = place_cameras(rng, 6, 0.5, 0.75)
    x, y = rng.uniform(-0.3, 0.3, 6), rng.uniform(-0.3, 0.3, 6)
    zoom = np.exp(rng.uniform(-0.2, 0.2, 6))
    middle = look(batch.images, start.moved(0 * x, 0 * y, zoom**0))
    for place, ordered in enumerate(wanted):
        assert torch.allclose(shown[place, 1 if ordered else 2], middle[place])


def test_colors_fall_into_bins_by_opponents():
    red = torch.tensor([1.0, -1.0, -1.0])[None, :, None, None].expand(1, 3, 8, 8)
    gray = torch.zeros(1, 3, 8, 8)
    assert (self_supervised.name_colors_of(gray, 2) == 2 * 5 + 2).all()
    assert (self_supervised.name_colors_of(red, 2) == 4 * 5 + 4).all()
    assert torch.equal(self_supervised.Gray()(red), torch.full((1, 3, 8, 8), -1 / 3))


def test_a_camera_sees_the_window_it_looks_at():
    image = torch.arange(64.0).reshape(1, 1, 8, 8).expand(1, 3, 8, 8)
    # Half a side, in the upper left quarter: every pixel of the window twice, the middles interpolated.
    quarter = look(image, Cameras(np.array([-0.5]), np.array([-0.5]), np.array([0.5])))
    expected = nn.functional.interpolate(image[..., :5, :5], (10, 10), mode="bilinear", align_corners=False)
    assert torch.allclose(quarter[..., :7, :7], expected[..., :7, :7], atol=1e-4)


def test_views_are_of_the_same_size_and_range():
    rng = np.random.default_rng(0)
    image = torch.rand(3, 3, 16, 16) * 2 - 1
    for made in (relight(rng, image), vary(rng, image)):
        assert made.shape == image.shape
        assert made.abs().max() <= 1


def test_objects_are_counted_as_pixel_by_pixel():
    labels = torch.randint(0, 9, (4, 3, 8, 8), dtype=torch.uint8)
    shares = measure_objects(labels)
    for place in range(4):
        for name in range(len(OBJECTS)):
            assert shares[place, name] == pytest.approx((labels[place, 0] == name + 1).float().mean().item())
    assert torch.equal(find_objects(labels), shares >= 0.005)
    assert tuple(OBJECT_IDS) == OBJECTS


@pytest.mark.parametrize("seed", range(6))
def test_sentences_are_made_of_known_words_and_end(seed):
    rng = np.random.default_rng(seed)
    sentence = write_sentence(rng, "railway_station", ["train", "water", "person"])
    assert set(sentence) <= set(WORDS)
    assert sentence[-1] == "."
    assert len(sentence) <= LONGEST
    assert {"railway_station", "train", "water", "person"} <= set(sentence)
    assert write_sentence(rng, "park", []) == ["a", "park", "."]


def test_only_objects_that_are_seen_are_named():
    shares = torch.zeros(2, len(OBJECTS))
    shares[0, OBJECTS.index("cow")] = 0.2
    shares[0, OBJECTS.index("dog")] = 0.001
    rows = write_sentences(np.random.default_rng(0), ["farm", "beach"], shares)
    assert "cow" in spell_sentence(rows[0].tolist())
    assert "dog" not in spell_sentence(rows[0].tolist())
    assert spell_sentence(rows[1].tolist()) == "a beach."


def test_a_captioner_learns_to_say_what_two_pictures_show():
    torch.manual_seed(0)
    captioner = Captioner(4)
    maps = torch.eye(4)[:2, :, None, None]
    words = torch.full((2, LONGEST), -1)
    for row, text in zip(words, (["a", "park", "."], ["the", "cow", "."]), strict=True):
        row[:3] = torch.tensor([PLACE[word] for word in text])
    adam = torch.optim.Adam(captioner.parameters(), 0.02)
    for _ in range(60):
        loss = nn.functional.cross_entropy(
            captioner.follow(maps, words).transpose(1, 2), words, ignore_index=-1
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
    written = captioner(maps)
    assert [spell_sentence(row) for row in written.tolist()] == ["a park.", "the cow."]
    assert len(SCENES) == 24
