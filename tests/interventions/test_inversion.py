"""Pictures inverted into a generator: against its parts run by hand, restored networks, files, refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from generated import WORDS, planted_generator
from inverted import SIDE, Small, small_generator, some_picture
from unitscope.errors import NetworkError, RunError, UsageError
from unitscope.interventions import invert_picture, load_inversion
from unitscope.interventions.inversion import Steps, add_maps, choose_layer, name_inversion
from unitscope.interventions.inversion_files import save_inversion
from unitscope.interventions.inversion_result import Fit, compare_pictures
from unitscope.interventions.picture_loss import Features, choose_features, compare_with
from unitscope.interventions.stages import choose_stage, find_stages
from unitscope.networks.generators import Generator, to_pixels, with_seed
from unitscope.networks.network import Network
from unitscope.networks.trace import evaluation

QUICK = Steps(latent=15, layer=25, maps=15)


class Judge:
    """Names pixels by whether they are red."""

    name, digest, vocabulary = "judge", "j", WORDS

    def __call__(self, images):
        return (images[..., 0] > 128).astype(np.uint16)[:, None]


class Reader(nn.Module):
    """Convolutions of full, half and quarter size, then logits of two classes."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, padding=1)
        self.two = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1))
        self.three = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(6, 6, 3, padding=1))
        self.calls = 0

    def forward(self, x):
        x = self.two(self.one(x))
        self.calls += 1
        x = self.three(x).mean((2, 3))
        return torch.stack([x.sum(1) * 0 + 1, x.sum(1) * 0 + 3], 1)


def reader(classes=()):
    torch.manual_seed(1)
    return Network(Reader().eval(), classes=classes, name="reader")


@pytest.fixture(scope="module")
def generator():
    return small_generator()


@pytest.fixture(scope="module")
def inversion(generator):
    return invert_picture(generator, some_picture(), layer="early", segmenter=None, steps=QUICK)


def test_stages_are_found_by_what_layers_give(generator):
    stages = find_stages(generator)
    assert [stage.layer for stage in stages] == ["early", "middle", "late"]
    assert [stage.before for stage in stages] == ["early.conv", "middle.2@in", "late.conv"]
    assert all(stage.rectified for stage in stages)
    assert [stage.shape for stage in stages] == [(12, 8, 8), (10, 16, 16), (8, 32, 32)]
    assert choose_layer(generator) == "middle"
    assert [choose_stage(stages, height) for height in (2 * SIDE, SIDE // 2, SIDE // 8)] == [2, 0, 0]
    with pytest.raises(UsageError, match="into layer conv; it is one of early, middle, late"):
        choose_stage(stages, SIDE, "conv")


def test_the_parts_of_a_generator_by_hand_make_the_picture(generator, inversion):
    module = generator.module
    with torch.no_grad():
        early = module.early(module.begin(inversion.latent, torch.tensor([inversion.kind])))
        assert torch.allclose(early, inversion.generated, atol=1e-5)
        latent = module.finish(early)
        layer = module.finish(inversion.fitted)
        maps = module.finish(inversion.fitted, inversion.maps["middle.2@in"], inversion.maps["late.conv"])
    assert (inversion.fitted >= 0).all()
    for made, fit in zip((latent, layer, maps), inversion.fits, strict=True):
        assert np.abs(to_pixels(made, 0.0, 1.0)[0].astype(int) - fit.picture).max() <= 1
    assert np.array_equal(to_pixels(maps + inversion.residual, 0.0, 1.0)[0], inversion.picture)
    assert np.array_equal(inversion.picture, some_picture())


def test_every_stage_comes_nearer(inversion):
    first, second, last = (fit.psnr for fit in inversion.fits)
    assert first + 1 < second < last - 1


def test_the_same_call_gives_the_same_bytes(generator, inversion, tmp_path):
    again = invert_picture(with_seed(generator, 7), some_picture(), layer="early", steps=QUICK)
    one, other = (save_inversion(it, tmp_path / f"{k}.st") for k, it in enumerate((inversion, again)))
    assert one.read_bytes() == other.read_bytes()
    assert again.key == inversion.key == name_inversion(generator, some_picture(), "early", steps=QUICK)
    assert again.key != name_inversion(generator, some_picture(1), "early", steps=QUICK)
    assert again.key != name_inversion(generator, some_picture(), "middle", steps=QUICK)


def test_the_networks_are_left_as_they_were(generator):
    module, seen = generator.module, reader()
    module.train()
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    found = invert_picture(generator, some_picture(), features=choose_features(seen), steps=Steps(2, 2, 2))
    assert module.training
    module.eval()
    assert len(found.fits) == 3
    for network in (module, seen.module):
        assert all(one.grad is None and one.requires_grad for one in network.parameters())
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
        assert not any("forward" in vars(part) for part in network.modules())
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
    with pytest.raises(RuntimeError, match="on purpose"), add_maps(generator, found.maps):
        raise RuntimeError("on purpose")
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_a_later_layer_can_be_fitted(generator):
    found = invert_picture(generator, some_picture(), layer="late", steps=Steps(2, 5, 5))
    assert (found.layer, dict(found.maps), [fit.stage for fit in found.fits]) == (
        "late",
        {},
        ["latent", "late"],
    )
    with torch.no_grad():
        made = torch.sigmoid(generator.module.picture(found.fitted))
    assert np.array_equal(to_pixels(made + found.residual, 0.0, 1.0)[0], some_picture())


def test_features_are_the_first_layers_and_the_rest_does_not_run():
    seen = reader()
    assert choose_features(seen).layers == ("one", "two")
    target, other = torch.rand(1, 3, SIDE, SIDE) * 2 - 1, torch.rand(2, 3, SIDE, SIDE) * 2 - 1
    with evaluation(seen):  # which looks whether it draws random numbers, once
        before = seen.module.calls
    with compare_with(target, Features(seen, ("one", "two"))) as loss:
        found = loss(other)
    assert seen.module.calls == before
    module, expected = seen.module, []
    for one in other:
        off = one[None] - target
        total = 2 * (off.abs().mean() + 2 * off.square().mean())
        x, g = (one[None] + 1) / 2, (target + 1) / 2
        for part in (module.one, module.two):
            x, g = part(x), part(g)
            total = total + (x - g).abs().mean() / g.abs().mean()
        expected.append(float(total.detach()))
    assert np.allclose(found.detach(), expected, rtol=1e-5)


def test_kinds_are_seen_by_a_classifier_by_a_segmenter_or_by_trial(generator):
    seen = reader(classes=("cold", "warm", "other")[:2])
    picture = generator.generate(3, 1)[0]
    found = invert_picture(generator, picture, features=Features(seen, ("one",)), steps=Steps(1, 1, 1))
    assert found.kind_name == "warm"  # its logits say so, whatever the picture
    found = invert_picture(generator, picture, steps=Steps(1, 1, 1))
    assert found.kind in (0, 1)
    plain = Generator(Single().eval(), name="plain", latent=(8,), low=0.0, high=1.0)
    found = invert_picture(plain, picture, steps=Steps(1, 1, 1))
    assert (found.kind, found.kind_name) == (None, "")


class Single(nn.Module):
    """The small generator without kinds."""

    def __init__(self):
        super().__init__()
        self.inner = Small()

    def forward(self, latents):
        return self.inner(latents, torch.zeros(len(latents), dtype=torch.long))


def test_a_file_gives_the_inversion_back(generator, inversion, tmp_path):
    named = replace(inversion, name="a.png")
    path = save_inversion(named, tmp_path / "in" / "a.safetensors")
    again = load_inversion(path, generator)
    assert str(again) == str(named)
    assert again.describe() == named.describe()
    for one in ("latent", "generated", "fitted", "residual"):
        assert torch.equal(getattr(again, one), getattr(named, one))
    assert all(torch.equal(again.maps[place], one) for place, one in named.maps.items())
    assert np.array_equal(again.picture, named.picture)
    with pytest.raises(UsageError, match="another generator"):
        load_inversion(path, small_generator(seed=1))
    with pytest.raises(UsageError, match="there is no file"):
        load_inversion(tmp_path / "none", generator)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RunError, match="damaged"):
        load_inversion(damaged, generator)
    damaged.write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        load_inversion(damaged, generator)


def test_a_result_says_how_near_and_whether_it_can(inversion, tmp_path):
    assert "maps" in str(inversion)
    assert [row["stage"] for row in inversion.rows()] == ["latent", "early", "maps"]
    sheet = inversion.page(inversion.save(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(inversion.files)
    assert sheet.name == "stages.png"
    json.dumps(inversion.describe())
    picture = inversion.picture
    for psnr, named, said in (
        (20.0, 0.9, "can make something like this picture"),
        (20.0, float("nan"), "can make something like this picture"),
        (9.0, 0.9, "a PSNR of 9.0 dB (wanted 14); strokes"),
        (20.0, 0.1, "10% of its pixels named alike (wanted 40%); strokes"),
        (9.0, 0.1, "9.0 dB (wanted 14) and 10% of its pixels"),
    ):
        assert said in replace(inversion, fits=[Fit("latent", picture, psnr, named)]).verdict


def test_psnr_and_names_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    fit = compare_pictures("latent", one, other, Judge())
    error = sum((int(a) - int(b)) ** 2 for a, b in zip(one.flat, other.flat, strict=True)) / one.size
    assert fit.psnr == pytest.approx(10 * np.log10(255**2 / error))
    assert fit.named == np.mean((one[..., 0] > 128) == (other[..., 0] > 128))
    assert compare_pictures("latent", one, one).psnr == float("inf")


def test_what_cannot_be_inverted_is_refused_in_one_line(generator):
    for picture in (np.zeros((8, 8, 3), np.uint8), np.zeros((SIDE, SIDE, 4), np.uint8)):
        with pytest.raises(UsageError, match="wanted uint8"):
            invert_picture(generator, picture)
    with pytest.raises(UsageError, match="it is one of"):
        invert_picture(generator, some_picture(), layer="conv")
    with pytest.raises(UsageError, match="must be 0 or more"):
        Steps(latent=-1)
    with pytest.raises(UsageError, match="latent_rate is nan"):
        Steps(latent_rate=float("nan"))


class Cut(Single):
    """A generator through which no gradient comes back."""

    def forward(self, latents):
        with torch.no_grad():
            return super().forward(latents)


def test_a_generator_without_gradients_is_told():
    cut = Generator(Cut().eval(), name="cut", latent=(8,), low=0.0, high=1.0)
    with pytest.raises(NetworkError, match="no gradient"):
        invert_picture(cut, some_picture())


def test_a_generator_with_one_stage_has_no_maps():
    found = invert_picture(planted_generator(), planted_generator().generate(0, 1)[0], steps=Steps(1, 5, 5))
    assert dict(found.maps) == {}
    assert found.layer == "maps"
