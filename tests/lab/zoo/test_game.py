"""The generator, its critic, and the game they play."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from unitscope.errors import UsageError
from unitscope.lab.zoo import game, training_steps
from unitscope.lab.zoo.game import GeneratorTrainer, settle
from unitscope.lab.zoo.generator import LATENT, Critic, Encoder, Grain, PixelNorm, SceneGenerator, enlarge
from unitscope.lab.zoo.networks import CLASSES, SceneSegmenter
from unitscope.lab.zoo.pictures import PictureSet, paint_pictures
from unitscope.lab.zoo.recipes import RECIPES
from unitscope.lab.zoo.weights_files import load_zoo_module, save_weights

SHAPES = {
    "layer1": (192, 8, 8),
    "layer2": (160, 16, 16),
    "layer3": (128, 32, 32),
    "layer4.first": (32, 64, 64),
    "layer4": (32, 64, 64),
}


def draw(count=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, LATENT, generator=rng), torch.arange(count) % 5


def build(norm="batch", seed=0):
    torch.manual_seed(seed)
    return SceneGenerator(5, norm)


def read_layers(generator, *inputs):
    """What each layer gives, read with hooks."""
    found, hooks = {}, []
    for name in (*SHAPES, "layer5"):
        layer = generator.get_submodule(name)
        hooks.append(layer.register_forward_hook(lambda _, __, out, name=name: found.update({name: out})))
    with torch.no_grad():
        images = generator(*inputs)
    for hook in hooks:
        hook.remove()
    return images, found


@pytest.mark.parametrize("norm", ["batch", "pixel"])
def test_layers_have_their_shapes_and_are_never_negative(norm):
    images, found = read_layers(build(norm).eval(), *draw())
    assert images.shape == (3, 3, 64, 64)
    assert images.abs().max() <= 1
    for name, shape in SHAPES.items():
        assert found[name].shape == (3, *shape)
        assert found[name].min() == 0
        assert found[name].max() > 0
    assert torch.equal(images, torch.tanh(found["layer5"]))


@pytest.mark.parametrize("layer", list(SHAPES))
def test_a_unit_that_is_ablated_is_0_and_changes_the_picture(layer):
    generator = load_zoo_module("generator")
    latents = draw()
    whole, _ = read_layers(generator, *latents)

    def ablate(_, __, out):
        return out.index_fill(1, torch.tensor([7]), 0.0)

    with generator.get_submodule(layer).register_forward_hook(ablate):
        images, found = read_layers(generator, *latents)
    assert found[layer][:, 7].abs().max() == 0
    assert (images - whole).abs().max() > 0


def test_grain_is_the_same_whenever_it_is_made_and_is_in_no_file(tmp_path):
    one, other = build(seed=1), build(seed=2)
    maps = {name: buffer for name, buffer in one.named_buffers() if name.endswith("maps")}
    assert {tuple(value.shape[1:]) for value in maps.values()} == {(128, 32, 32), (32, 64, 64)}
    for name, buffer in other.named_buffers():
        if name in maps:
            assert torch.equal(buffer, maps[name])
    assert not any(name.endswith("maps") for name in one.state_dict())
    assert not torch.equal(Grain(4, 8, seed=0).maps, Grain(4, 8, seed=1).maps)
    save_weights(one, tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").stat().st_size < 4e6


def test_grain_adds_its_map_times_the_strength_of_each_unit():
    grain, x = Grain(2, 4, seed=3), torch.rand(3, 2, 4, 4)
    with torch.no_grad():
        grain.strength.copy_(torch.tensor([0.0, 2.0]))
        found = grain(x)
    assert torch.equal(found[:, 0], x[:, 0])
    torch.testing.assert_close(found[:, 1], x[:, 1] + 2 * grain.maps[0, 1])


def test_pixel_norm_is_that_of_its_definition():
    x = torch.randn(2, 5, 3, 3)
    wanted = x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(PixelNorm()(x), wanted)


def test_maps_are_enlarged_without_steps():
    ramp = torch.arange(4.0).repeat(4, 1)[None, None]
    assert enlarge(ramp).shape == (1, 1, 8, 8)
    assert enlarge(ramp)[0, 0, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]


def test_the_encoder_sees_what_the_segmenter_sees():
    segmenter = SceneSegmenter(CLASSES, (4, 6, 8, 10, 12)).eval()
    for part in segmenter.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    images = torch.rand(2, 3, 64, 64)
    found = Encoder(segmenter, torch.float32)(images)
    x = segmenter.down1(images)
    for k in range(2, 6):
        x = segmenter.get_submodule(f"down{k}")(x)
        torch.testing.assert_close(found[k - 2], x, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())


def test_a_critic_reads_the_spread_of_its_batch_only_if_asked():
    seen = [torch.rand(8, c, s, s) for c, s in ((64, 32), (128, 16), (192, 8), (256, 4))]
    images, kinds = torch.rand(8, 3, 64, 64), torch.arange(8) % 5
    for spread in (True, False):
        torch.manual_seed(0)
        critic = Critic(5, spread=spread)
        together = critic(images, seen, kinds)
        alone = torch.cat([critic(images[[k]], [one[[k]] for one in seen], kinds[[k]]) for k in range(8)])
        assert together.shape == (8,)
        assert torch.allclose(together, alone, atol=1e-5) != spread


def test_a_recipe_that_is_no_game_is_refused(tmp_path):
    recipe = RECIPES["scene-classifier"]
    pictures = paint_pictures(PictureSet(recipe.scenes, 1, 7), tmp_path)
    with pytest.raises(UsageError, match="recipe 'scene-classifier' is a Recipe; generators want a Game"):
        GeneratorTrainer(recipe, pictures, 0)


def test_what_settles_has_the_moments_of_its_own_pictures(monkeypatch):
    generator = build()
    first = generator.norm.norm.running_mean.clone()
    made = settle(generator, 5, 4)
    assert torch.equal(generator.norm.norm.running_mean, first)
    latents = torch.randn(1000, LATENT)
    style = torch.cat([latents, made.kind(torch.arange(1000) % 5)], 1)
    x = made.seed(style).view(-1, 256, 16).transpose(0, 1).reshape(256, -1)
    torch.testing.assert_close(made.norm.norm.running_mean, x.mean(1), atol=0.2, rtol=0)
    torch.testing.assert_close(made.norm.norm.running_var, x.var(1), atol=0.1, rtol=0.3)
    monkeypatch.setattr(game, "SETTLED", 4)  # fewer are the same again too
    one, other = (settle(generator, 5, 4) for _ in range(2))
    assert all(torch.equal(*both) for both in zip(one.buffers(), other.buffers(), strict=True))


def test_penalties_lose_weight_and_end_light(tmp_path):
    recipe = RECIPES["generator"]
    pictures = paint_pictures(PictureSet(recipe.scenes, 1, 7), tmp_path)
    trainer = GeneratorTrainer(recipe, pictures, 0)
    weights = [trainer._weigh_penalty(step) for step in range(recipe.steps)]
    assert weights[0] == 1
    assert weights[4249] == pytest.approx(0.83, abs=0.01)
    assert set(weights[4250:]) == {0.2}
    assert all(one >= other for one, other in pairwise(weights))


@pytest.mark.parametrize("norm", ["batch", "pixel"])
@pytest.mark.parametrize("spread", [True, False])
def test_every_form_of_the_recipe_learns(norm, spread, tmp_path):
    recipe = replace(RECIPES["generator"], pictures=4, steps=2, batch=2, norm=norm, spread=spread)
    pictures = paint_pictures(PictureSet(recipe.scenes, 4, 7), tmp_path)
    torch.manual_seed(0)
    trainer = GeneratorTrainer(recipe, pictures, 0)
    before = [value.clone() for value in trainer.generator.parameters()]
    seen = [value.clone() for value in trainer.encoder.parameters()]
    for step in range(2):
        assert all(np.isfinite(list(trainer.learn(step, 1e-3).values())))
    assert all(not torch.equal(*pair) for pair in zip(before, trainer.generator.parameters(), strict=True))
    assert all(torch.equal(*pair) for pair in zip(seen, trainer.encoder.parameters(), strict=True))
    assert (next(trainer.encoder.parameters()).dtype == torch.bfloat16) == training_steps.HALF
