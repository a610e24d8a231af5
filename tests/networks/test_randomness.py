"""Networks that draw random numbers: found, the same for the same image, refused where places are random."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

import made
from unitscope.dissection.activations import read_activations
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import NetworkError
from unitscope.experiments.movement import measure_peaks, read_pixels
from unitscope.interventions.ablation import Trial, score_removals, single_units
from unitscope.interventions.attacks import ProjectedGradient, attack_images, classify_pixels
from unitscope.interventions.edits import Edit, edited
from unitscope.interventions.explained_images import explain
from unitscope.interventions.explanation import explain_image
from unitscope.networks.feeding import read_peaks
from unitscope.networks.generators import GeneratedImages, Generator
from unitscope.networks.network import Network, Preprocessing, number_images
from unitscope.networks.probe import list_places, probe_layers
from unitscope.networks.randomness import is_random, seeded
from unitscope.networks.trace import evaluation, tap

PREPARED = Preprocessing(size=(64, 64))


class Drawing(nn.Module):
    """A classifier that draws in the middle: a way of drawing is given, of the maps."""

    def __init__(self, draw):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.noisy, self.act = nn.Conv2d(3, 6, 3, padding=1), nn.Identity(), nn.ReLU()
        self.last, self.head = nn.Conv2d(6, 6, 3), nn.Linear(6, 3)
        self.draw, self.own, self.numpy = draw, torch.Generator(), np.random.default_rng()
        self.python, self.legacy = random.Random(), np.random.RandomState()

    def forward(self, x):
        maps = self.act(self.noisy(self.draw(self, self.conv(x))))
        return self.head(self.draw(self, self.last(maps)).mean((2, 3)))


def add(maps, noise):
    return maps + 0.3 * torch.as_tensor(np.asarray(noise), dtype=maps.dtype)


DRAWS = {
    "dropout": lambda _, maps: functional.dropout(maps, 0.5),
    "dropped channels": lambda _, maps: functional.dropout2d(maps, 0.3),
    "noise": lambda _, maps: maps + 0.3 * torch.randn_like(maps),
    "noise of a batch": lambda _, maps: maps + 0.3 * torch.randn(1, 1, *maps.shape[2:]),
    "own generator": lambda net, maps: maps + 0.3 * torch.randn(maps.shape[2:], generator=net.own),
    "numpy": lambda _, maps: add(maps, np.random.normal(size=maps.shape[2:])),
    "own of numpy": lambda net, maps: add(maps, net.numpy.normal(size=maps.shape[2:])),
    "old of numpy": lambda net, maps: add(maps, net.legacy.normal(size=maps.shape[2:])),
    # Not Python's shared numbers, which the checks of types in these tests draw from too, in any thread.
    "own of Python": lambda net, maps: maps + net.python.random(),
}


class Masked(nn.Module):
    """As a masked autoencoder: patches with their places, of which some are kept, in a random order."""

    def __init__(self, kept=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.first, self.shuffled = nn.Conv2d(3, 8, 8, 8), nn.Identity(), nn.Identity()
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.places, self.kept = nn.Parameter(torch.randn(1, 64, 8)), kept

    def forward(self, x):
        tokens = self.first(self.embed(x).flatten(2).transpose(1, 2) + self.places)
        order = torch.rand(tokens.shape[:2]).argsort(1)[:, : int(self.kept * tokens.shape[1])]
        return self.block(self.shuffled(tokens.take_along_dim(order[..., None], 1)))


class Style(nn.Module):
    """A generator with noise at every level, as style-based ones have it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.maps, self.paint = nn.Linear(8, 6 * 16), nn.Identity(), nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, z):
        x = self.first(z).view(-1, 6, 4, 4)
        x = functional.interpolate(self.maps(x + torch.randn(len(x), 1, 4, 4)), scale_factor=4)
        return torch.tanh(self.paint(x + 0.3 * torch.randn(len(x), 1, 16, 16)))


def build(draw, prepared=PREPARED):
    return Network(Drawing(DRAWS[draw]), prepared, ("a", "b", "c"))


def states():
    # Python's own also serve the checks of types in these tests.
    return torch.get_rng_state().numpy().tobytes(), str(np.random.get_state())


def open_trial(count=6):
    source = made.make_source(count, size=(64, 64))
    return Trial(source, np.arange(count), np.arange(count) % 3)


def test_seeded_draws_the_same_for_a_number_and_gives_the_sources_back():
    module = Drawing(DRAWS["noise"])

    def draw(number):
        with seeded(module, number):
            own = module.own, module.numpy, module.python, module.legacy
            found = [torch.randn(1).item(), torch.rand(1, generator=own[0]).item(), own[1].normal()]
            return [*found, own[2].random(), own[3].normal(), np.random.normal(), random.random()]

    before = states()
    assert draw(3) == draw(3)
    assert not set(draw(3)) & set(draw(4))
    assert states() == before


@pytest.mark.parametrize("draw", DRAWS)
def test_a_network_that_draws_gives_the_same_in_any_batch(draw):
    network, before = build(draw), states()
    assert is_random(network)
    batch = number_images(torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)), [5, 9, 2, 9])
    forward = "forward" in network.module.__dict__
    with evaluation(network), torch.no_grad():
        whole = network.run(batch)
        again = network.run(number_images(batch.flip(0), [9, 2, 9, 5])).flip(0)
        twice = network.run(number_images(batch[:1].repeat(2, 1, 1, 1), [5, 6]))
    torch.testing.assert_close(whole, again, rtol=0, atol=0)
    torch.testing.assert_close(whole[:1], twice[:1], rtol=0, atol=0)
    assert not torch.equal(twice[0], twice[1])
    with tap(network, ["noisy"]) as read:
        maps = read(batch)["noisy"]
        torch.testing.assert_close(maps[2:3], read(number_images(batch[2:3], [2]))["noisy"], rtol=0, atol=0)
    assert maps.shape == (4, 6, 64, 64)
    assert states() == before
    assert ("forward" in network.module.__dict__) == forward


def test_a_network_is_left_as_it_was_after_an_error():
    network, before = build("noise"), states()
    with pytest.raises(RuntimeError), evaluation(network):
        network.run(torch.zeros(1, 5, 64, 64))
    assert "forward" not in network.module.__dict__
    assert states() == before


def test_a_network_that_does_not_draw_is_passed_once_more_and_left_alone():
    network, calls = Network(Drawing(lambda _, maps: maps), PREPARED), []
    network.module.conv.register_forward_hook(lambda _m, args, _o: calls.append(len(args[0])))
    assert not probe_layers(network, ["noisy"], (64, 64)).random
    # The checks of types in these tests draw from Python's shared numbers, and then it is passed once more.
    assert calls in ([1, 3], [1, 3, 1])
    with evaluation(network):
        assert "forward" not in network.module.__dict__
    assert not is_random(network)


def test_edits_of_each_image_reach_that_image():
    network = build("noise")
    strength = torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1)
    batch = number_images(torch.rand(2, 3, 64, 64), [0, 1])
    with evaluation(network), torch.no_grad():
        plain = network.run(batch)
        with edited(network, Edit("noisy", strength, torch.zeros(1, 1, 1, 1))):
            found = network.run(batch)
    assert torch.equal(found[1], plain[1])
    assert not torch.equal(found[0], plain[0])


@pytest.mark.parametrize("draw", ["dropout", "own of numpy"])
def test_removals_explanations_and_peaks_repeat_and_agree_with_the_plain_loop(draw):
    trial = open_trial()
    image = trial.source[1].image

    def measure(method):
        network = build(draw)
        before, after = score_removals(network, "noisy", trial, single_units(6), method=method)
        peaks = read_peaks(network, "noisy", trial.source, [4, 2])
        explained = explain_image(network, "noisy", image)
        return before.margin, after.margin, peaks, explained.contributions, explained.logits

    first, again, plain = measure("fastest"), measure("fastest"), measure("plain")
    for one, other, third in zip(first, again, plain, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, third, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("draw", ["dropout", "own of numpy", "own of Python"])
def test_explanations_and_attacks_draw_by_the_number_of_the_image(draw, tmp_path):
    network, source = build(draw), made.make_source(4, size=(64, 64))
    (tmp_path / "set" / "a").mkdir(parents=True)
    for number, example in enumerate(source.examples):
        Image.fromarray(example.image).save(tmp_path / "set" / "a" / f"{number}.png")

    def run(number):
        batch = number_images(network.feed(source[2].image[None], 0), [number])
        with evaluation(network), torch.no_grad():
            return network.run(batch)[0].double().numpy()

    named, bare = explain(network, [f"folder:{tmp_path / 'set'}#2", source[2].image], "noisy").images
    np.testing.assert_array_equal(named.explanation.logits, run(2))
    np.testing.assert_array_equal(bare.explanation.logits, run(0))
    assert not np.array_equal(run(0), run(2))
    pixels = read_pixels(network, source[2].image)
    with evaluation(network), torch.no_grad():
        np.testing.assert_allclose(classify_pixels(network, pixels, 2).numpy(), run(2), rtol=1e-4)
    attack = ProjectedGradient("linf", eps=0.3, steps=3)
    one, other = attack_images(network, [pixels] * 2, [0, 0], attack, numbers=[2, 3])
    (again,) = attack_images(network, [pixels], [0], attack, numbers=[2])
    assert torch.equal(one.image, again.image)
    assert not torch.equal(one.image, other.image)
    peaks = measure_peaks(network, "noisy", [pixels, pixels], [2, 3])
    with tap(network, ["noisy"]) as read:
        maps = [read(number_images(pixels[None], [number]))["noisy"] for number in (2, 3)]
    np.testing.assert_allclose(peaks, torch.cat(maps).amax((2, 3)).numpy(), rtol=1e-6)


class Deadly(list):
    """Examples of which the seventh kills the process that asks for it."""

    def __getitem__(self, index):
        if index == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def dissect_drawing(draw, out, deadly=False, **options):
    source = made.make_source(10, size=(64, 64), seed=3)
    quick = {"confidences": Confidences(0), "shard_size": 4}
    if deadly:
        source.examples = Deadly(source.examples)
    return dissect(build(draw, Preprocessing()), source, ["noisy"], out=out, **quick, **options)


KILLED = """
import sys
sys.path[:0] = sys.argv[2:]
import test_randomness
for draw in test_randomness.RUN:
    if (child := test_randomness.os.fork()) == 0:
        test_randomness.dissect_drawing(draw, f"{sys.argv[1]}/{draw}", deadly=True)
    print(draw, test_randomness.os.waitstatus_to_exitcode(test_randomness.os.waitpid(child, 0)[1]))
"""
RUN = ("dropout", "noise of a batch", "own of Python")


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Unfinished runs of networks that draw, whose processes were killed."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", KILLED, str(folder), *map(str, Path(__file__).parents[:2])]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [f"{draw} -9" for draw in RUN]
    return folder


@pytest.mark.parametrize("draw", RUN)
def test_runs_repeat_to_the_byte_also_when_killed_and_in_other_batches(draw, killed, tmp_path):
    source = made.make_source(10, size=(64, 64), seed=3)
    run = dissect_drawing(draw, tmp_path / "a")
    dissect_drawing(draw, tmp_path / "b", batch_size=3)
    assert len(list((killed / draw / "shards").glob("*.safetensors"))) == 1
    dissect_drawing(draw, killed / draw, resume=True)
    wanted = (tmp_path / "a" / "units.csv").read_bytes()
    assert (tmp_path / "b" / "units.csv").read_bytes() == wanted
    assert (killed / draw / "units.csv").read_bytes() == wanted
    assert run.recipe.random is True
    assert '"random": true' in (tmp_path / "a" / "run.json").read_text()
    assert "draws random numbers" in run["noisy"].warnings[0]
    found = read_activations(build(draw, Preprocessing()), source, ["noisy"], batch_size=7).arrays()["noisy"]
    again = read_activations(build(draw, Preprocessing()), source, ["noisy"], batch_size=1).arrays()["noisy"]
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize("kept", [1.0, 0.25, 0.2])
def test_shuffled_patches_are_refused_and_what_comes_before_is_not(kept):
    network = Network(Masked(kept), PREPARED, name="masked")
    where = {row.name: row.place for row in list_places(network)}
    assert where["embed"] == where["first"] == "in place"
    assert where["shuffled"] in ("", "elsewhere")
    assert probe_layers(network, ["first"], (64, 64)).places["first"].where == "in place"
    source = made.make_source(2, size=(64, 64))
    for layer in ("shuffled", "block"):
        with pytest.raises(NetworkError, match=rf"(?s){layer}.* of masked .*(does not mask|before)"):
            dissect(network, source, [layer], trust_layout=True)


class Attending(Masked):
    """The same, with what its blocks add to their tokens, in which attention mixes all."""

    def __init__(self, kept):
        super().__init__(kept)
        self.attention, self.added = nn.MultiheadAttention(8, 2, batch_first=True), nn.Identity()

    def forward(self, x):
        tokens = super().forward(x)
        return self.added(self.attention(tokens, tokens, tokens)[0])


@pytest.mark.parametrize("kept", [1.0, 0.25])
def test_layers_that_mix_shuffled_patches_are_refused_too(kept):
    network = Network(Attending(kept), PREPARED, name="masked")
    where = {row.name: row.place for row in list_places(network)}
    assert (where["first"], where["added"], where["attention[0]"]) == ("in place", "elsewhere", "elsewhere")
    for layer in ("added", "attention[0]"):
        with pytest.raises(NetworkError, match=r"places at random: .*does not mask"):
            probe_layers(network, [layer], (64, 64))


def test_layers_that_mix_patches_in_order_are_not_taken_for_shuffled():
    class Dropping(Attending):
        def forward(self, x):
            tokens = self.first(self.embed(x).flatten(2).transpose(1, 2) + self.places)
            dropped = functional.dropout(tokens, 0.2)
            return self.added(self.attention(dropped, dropped, dropped)[0])

    network = Network(Dropping(1.0), PREPARED)
    probe = probe_layers(network, ["first", "added"], (64, 64))
    places = probe.places
    assert probe.random
    assert places["first"].where == "in place"
    assert places["added"].where in ("in place", "mixed")


@pytest.mark.parametrize("kind", ["of the machine", "in a list", "made anew"])
def test_sources_that_cannot_be_seeded_are_told_where_they_are_drawn_from(kind):
    generators = {"of the machine": random.SystemRandom(), "in a list": [random.Random()], "made anew": None}

    def draw(_, maps):
        own = generators[kind]
        return maps + (own[0] if isinstance(own, list) else own or random.Random()).random()

    used, unused = Network(Drawing(draw), PREPARED), Network(Drawing(lambda _, maps: maps), PREPARED)
    used.module.held = unused.module.held = generators[kind]
    with pytest.raises(NetworkError, match="whose seeds could be set"):
        probe_layers(used, ["noisy"], (64, 64))
    assert not probe_layers(unused, ["noisy"], (64, 64)).random


def test_what_differs_without_random_numbers_is_refused():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps, self.count = nn.Identity(), 0

        def forward(self, x):
            self.count += 1
            return self.maps(x + self.count)

    with pytest.raises(NetworkError, match="keep nothing from one call to the next"):
        probe_layers(Network(Counting(), PREPARED), ["maps"], (64, 64))


def test_pictures_of_a_generator_with_noise_repeat_and_match_its_maps():
    generator = Generator(Style(), latent=(8,))
    before = states()
    pictures = [GeneratedImages(generator, count)[3].image for count in (4, 20)]
    np.testing.assert_array_equal(*pictures)
    np.testing.assert_array_equal(generator.generate(3, 1)[0], pictures[0])
    assert not np.array_equal(generator.generate(0, 1), generator.generate(1, 1))
    with tap(generator, ["maps"]) as read:
        maps = read(generator.inputs(0, 5))["maps"]
        assert torch.equal(maps[4:], read(generator.inputs(4))["maps"])
    assert states() == before


def test_networks_that_normalize_by_their_batch_say_so():
    def run(batch_size, **options):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, **options), nn.ReLU())
        source = made.make_source(5, size=(64, 64))
        quick = {"batch_size": batch_size, "confidences": Confidences(0)}
        return dissect(Network(module, PREPARED), source, ["2"], **quick)["2"]

    whole, part, plain = run(4, track_running_stats=False), run(2, track_running_stats=False), run(4)
    assert not np.array_equal(whole.thresholds, part.thresholds)
    assert "1 is a BatchNorm2d without running statistics" in whole.warnings[0]
    assert not any("running statistics" in said for said in plain.warnings)


def test_maps_that_depend_on_the_other_images_of_a_batch_are_told():
    class Compared(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = nn.Identity()

        def forward(self, x):
            return self.maps(x - 0.1 * x.mean(0, keepdim=True))

    source, quick = made.make_source(5, size=(64, 64)), {"confidences": Confidences(0)}
    said = dissect(Network(Compared(), PREPARED), source, ["maps"], **quick)["maps"].warnings
    assert "layer maps gives an image other maps in a batch with other images" in said[0]
