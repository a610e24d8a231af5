"""Diffusion generators: sampled the same, read and edited by step, opened from folders."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch

import unitscope as us
from unitscope.concepts.segmented import SegmentedSource
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.dissect import Confidences
from unitscope.errors import MissingWeightsError, NetworkError, UsageError
from unitscope.interventions.edits import edited, set_units
from unitscope.interventions.repainting import repaint_pixels
from unitscope.interventions.replay import replay
from unitscope.networks.diffusion import wrap_diffusion
from unitscope.networks.generators import GeneratedImages

STEPS = 3
UNITS = 16
LAYER = "unet.mid_block"


class Brightness:
    name, digest = "brightness", "1"
    vocabulary = Vocabulary((Concept(1, "bright", "object"), Concept(2, "dark", "object")))

    def __call__(self, images):
        return np.where(images.mean(3) > 127, 1, 2).astype(np.uint16)[:, None]


def make_unet(**changes):
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    known = {
        "sample_size": 16,
        "block_out_channels": (8, UNITS),
        "down_block_types": ("DownBlock2D",) * 2,
        "up_block_types": ("UpBlock2D",) * 2,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "add_attention": False,
    }
    return UNet2DModel(**{**known, **changes}).eval()


@pytest.fixture(scope="module")
def generator():
    return wrap_diffusion(make_unet(), steps=STEPS)


@pytest.fixture(scope="module")
def source(generator):
    return SegmentedSource(GeneratedImages(generator, 12), Brightness())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    from diffusers import DDIMPipeline, DDIMScheduler

    folder = tmp_path_factory.mktemp("saved")
    scheduler = DDIMScheduler(beta_schedule="squaredcos_cap_v2")
    DDIMPipeline(make_unet(), scheduler).save_pretrained(folder / "pipeline")
    make_unet().save_pretrained(folder / "unet")
    return folder


def read(generator, layers, count=2):
    with us.tap(generator, layers) as reader:
        return reader(generator.inputs(0, count))


def sample_by_hand(unet, noise, steps):
    """DDIM with eta 0 for a U-Net that says the noise (Song, Meng and Ermon 2021, eq. 12)."""
    betas = torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64)
    alphas = torch.cumprod(1 - betas, 0)
    times = [1000 // steps * step for step in reversed(range(steps))]
    image = noise.double()
    for time in times:
        predicted = unet(image.float(), torch.tensor(time)).sample.double()
        alpha = alphas[time]
        before = alphas[time - 1000 // steps] if time >= 1000 // steps else torch.tensor(1.0)
        clean = ((image - (1 - alpha).sqrt() * predicted) / alpha.sqrt()).clamp(-1, 1)
        image = before.sqrt() * clean + (1 - before).sqrt() * predicted
    return image.float()


def test_the_same_noise_gives_the_same_picture_and_that_of_the_formula(generator):
    assert np.array_equal(generator.generate(0, 3), generator.generate(0, 3))
    noise = generator.draw_latents(0, 2)
    with torch.no_grad():
        by_hand = sample_by_hand(generator.module.unet, noise, STEPS)
        torch.testing.assert_close(generator.module(noise), by_hand, rtol=1e-4, atol=1e-4)


def test_noise_that_a_scheduler_draws_is_that_of_the_image():
    from diffusers import DDPMScheduler

    drawing = wrap_diffusion(make_unet(), DDPMScheduler(), steps=STEPS)
    pictures = drawing.generate(0, 3)
    assert np.array_equal(drawing.generate(0, 3), pictures)
    assert np.array_equal(drawing.generate(2, 1)[0], pictures[2])


def test_layers_are_listed_step_by_step(generator):
    rows = {row.name: row for row in us.list_layers(generator)}
    for step in range(1, STEPS + 1):
        assert rows[f"{LAYER}#{step}"].shape == (UNITS, 8, 8)
    assert rows[f"{LAYER}#1"].calls == STEPS
    assert f"{LAYER}#{STEPS + 1}" not in rows


def test_a_pass_that_ends_early_leaves_nothing_behind(generator):
    whole = read(generator, [f"{LAYER}#{step}" for step in range(1, STEPS + 1)])
    assert torch.equal(read(generator, [f"{LAYER}#1"])[f"{LAYER}#1"], whole[f"{LAYER}#1"])
    assert torch.equal(read(generator, [f"{LAYER}#3"])[f"{LAYER}#3"], whole[f"{LAYER}#3"])
    assert not torch.equal(whole[f"{LAYER}#1"], whole[f"{LAYER}#3"])


@pytest.mark.parametrize("steps", [(2,), (2, 3), (1, 2, 3)])
def test_an_edit_is_of_its_steps_alone_and_goes(generator, steps):
    layers = [f"{LAYER}#{step}" for step in range(1, STEPS + 1)]
    before, picture = read(generator, layers), generator.generate(0, 1)
    edits = [set_units(f"{LAYER}#{step}", [1, 5], UNITS) for step in steps]
    with edited(generator, *edits):
        during = read(generator, layers)
        assert not np.array_equal(generator.generate(0, 1), picture)
    for step, layer in enumerate(layers, start=1):
        assert bool((during[layer][:, [1, 5]] == 0).all()) == (step in steps)
        if step < min(steps):
            assert torch.equal(during[layer], before[layer])
        elif step == min(steps):
            others = [unit for unit in range(UNITS) if unit not in (1, 5)]
            assert torch.equal(during[layer][:, others], before[layer][:, others])
    after = read(generator, layers)
    assert all(torch.equal(after[layer], before[layer]) for layer in layers)
    assert np.array_equal(generator.generate(0, 1), picture)


def test_an_edit_without_a_step_is_of_all_steps(generator):
    every = [set_units(f"{LAYER}#{step}", [4], UNITS) for step in range(1, STEPS + 1)]
    with edited(generator, *every):
        stepwise = generator.generate(0, 2)
    with edited(generator, set_units(LAYER, [4], UNITS)):
        assert np.array_equal(generator.generate(0, 2), stepwise)


@pytest.mark.parametrize("step", range(1, STEPS + 1))
@pytest.mark.parametrize("module", [LAYER, "unet.conv_in", "unet.down_blocks.0.resnets.0.conv1"])
def test_the_rest_from_a_step_on_equals_the_whole_with_an_edit(generator, module, step):
    layer, calls = f"{module}#{step}", []
    with replay(generator, layer) as rest:
        maps, output = rest.start(generator.inputs(4))
        torch.testing.assert_close(rest.finish(maps), output, rtol=1e-5, atol=1e-5)
        without = maps.clone()
        without[:, [0, 3]] = 0
        late = generator.module.unet.up_blocks[1].resnets[0].conv1
        with late.register_forward_hook(lambda *_: calls.append(1)):
            two = rest.finish(torch.cat([without, maps]))
    assert len(calls) == STEPS - step + 1  # earlier steps answer with what they gave
    with torch.no_grad():
        torch.testing.assert_close(two[1:], output, rtol=1e-4, atol=1e-4)
        with edited(generator, set_units(layer, [0, 3], maps.shape[1])):
            plain = generator.module(*generator.inputs(4))
    torch.testing.assert_close(two[:1], plain, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(plain, output, atol=1e-3)


def test_a_layer_that_runs_each_step_is_not_replayed_without_one(generator):
    with replay(generator, LAYER) as rest, pytest.raises(UsageError, match=f"say which: {LAYER}#1"):
        rest.start(generator.inputs(0))


def test_pictures_are_painted_again_with_edits_of_a_step(generator):
    layer, edit = f"{LAYER}#2", set_units(f"{LAYER}#2", [2, 9], UNITS)
    painted = dict(repaint_pixels(generator, layer, lambda _number, _maps: edit, [3, 4]))
    for number, (before, after) in painted.items():
        with edited(generator, edit):
            whole = generator.generate(number, 1)[0]
        # The rest runs on two versions at once, whose sums are rounded elsewhere.
        assert np.abs(after.astype(int) - whole).max() <= 1
        assert np.abs(before.astype(int) - generator.generate(number, 1)[0]).max() <= 1
        assert np.abs(after.astype(int) - before).max() > 1


def test_noise_that_was_drawn_is_drawn_again_by_the_rest():
    from diffusers import DDPMScheduler

    drawing = wrap_diffusion(make_unet(), DDPMScheduler(), steps=STEPS)
    with replay(drawing, f"{LAYER}#2") as rest:
        maps, output = rest.start(drawing.inputs(1))
        assert torch.equal(rest.finish(maps), output)
        without = maps.clone()
        without[:, 3] = 0
        edit = set_units(f"{LAYER}#2", [3], UNITS)
        with edited(drawing, edit):
            torch.testing.assert_close(rest.finish(without), drawing.run(drawing.inputs(1)))


def test_activations_are_those_of_the_step(generator):
    images = GeneratedImages(generator, 5)
    found = us.read_activations(generator, images, [f"{LAYER}#2"], batch_size=5).arrays()
    np.testing.assert_array_equal(found[f"{LAYER}#2"], read(generator, [f"{LAYER}#2"], 5)[f"{LAYER}#2"])


def test_a_dissection_by_step_is_saved_and_reported(generator, source, tmp_path):
    layers = [f"{LAYER}#1", f"{LAYER}#3"]
    run = us.dissect(generator, source, layers, confidences=Confidences(shifts=0), convention="pnas")
    run.save(tmp_path / "run")
    again = us.load(tmp_path / "run")
    assert list(again.layers) == layers
    assert (again[layers[1]].iou == run[layers[1]].iou).all()
    page = us.write_report(run, source, tmp_path / "report")
    assert page.is_file()


def test_the_digest_changes_with_how_is_sampled(generator):
    unet = generator.module.unet
    again = wrap_diffusion(unet, steps=STEPS)
    assert again.digest == generator.digest
    assert wrap_diffusion(unet, steps=2).digest != generator.digest
    from diffusers import DDIMScheduler

    assert wrap_diffusion(unet, DDIMScheduler(clip_sample=False), steps=STEPS).digest != again.digest
    again.module.load_state_dict(generator.module.state_dict())


def test_a_folder_opens_with_its_noise(saved):
    from diffusers import DDIMScheduler

    opened = us.load_network(f"diffusers:{saved}/pipeline,steps=2")
    assert opened.name == f"diffusers:{saved}/pipeline,steps=2"
    wanted = wrap_diffusion(make_unet(), DDIMScheduler(beta_schedule="squaredcos_cap_v2"), steps=2)
    assert np.array_equal(opened.generate(0, 2), wanted.generate(0, 2))
    images = us.open_source(f"generator:{opened.name},count=3,seed=1", opened)
    assert len(images) == 3
    assert us.open_source(images.spec).digest == images.digest


def test_a_u_net_alone_says_what_is_assumed(saved):
    with pytest.warns(UserWarning, match="noise of DDPM is assumed"):
        opened = us.load_network(f"diffusers:{saved}/unet,steps=2")
    wanted = wrap_diffusion(make_unet(), steps=2)
    assert np.array_equal(opened.generate(0, 1), wanted.generate(0, 1))


def test_weights_are_a_file_or_random(saved, tmp_path):
    folder = tmp_path / "empty"
    (folder / "unet").mkdir(parents=True)
    for name in ("unet/config.json", "model_index.json"):
        (folder / name).write_text((saved / "pipeline" / name).read_text())
    (folder / "scheduler_config.json").write_text(
        (saved / "pipeline/scheduler/scheduler_config.json").read_text()
    )
    with pytest.raises(MissingWeightsError, match="has no weights"):
        us.load_network(f"diffusers:{folder}")
    one, same, other = (us.load_network(f"diffusers:{folder},steps=2", random=seed) for seed in (1, 1, 2))
    assert one.digest == same.digest != other.digest
    file = saved / "pipeline/unet/diffusion_pytorch_model.safetensors"
    filled = us.load_network(f"diffusers:{folder},steps=2", weights=file)
    assert filled.digest == us.load_network(f"diffusers:{saved}/pipeline,steps=2").digest


def test_classes_are_kinds():
    generator = wrap_diffusion(make_unet(num_class_embeds=2), steps=2)
    assert generator.kinds == ("0", "1")
    images = GeneratedImages(generator, 2)
    assert [images[number].key for number in range(2)] == ["0-000000-0", "0-000001-1"]
    latents, kinds = generator.inputs(0, 2)
    with torch.no_grad():
        assert not torch.allclose(generator.module(latents, kinds), generator.module(latents, 1 - kinds))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"in_channels": 4, "out_channels": 4}, "takes 4 channels and gives 4"),
        ({"out_channels": 6}, "takes 3 channels and gives 6"),
        ({"sample_size": None}, "does not say its size"),
        ({"class_embed_type": "timestep"}, "takes classes as 'timestep'"),
    ],
)
def test_a_u_net_that_makes_no_pictures_is_refused(changes, said):
    with pytest.raises(NetworkError, match=said):
        wrap_diffusion(make_unet(**changes))


def test_another_module_is_refused():
    with pytest.raises(NetworkError, match="is Identity; wanted a UNet2DModel"):
        wrap_diffusion(torch.nn.Identity())


@pytest.mark.parametrize("steps", [0, 1001])
def test_steps_that_were_not_trained_on_are_refused(steps):
    with pytest.raises(UsageError, match=f"steps is {steps}; wanted 1 to 1000"):
        wrap_diffusion(make_unet(), steps=steps)


@pytest.mark.parametrize(
    ("place", "content", "said"),
    [
        ("unet/config.json", "{", "cannot be read"),
        ("unet/config.json", "[]", "holds list, not an object"),
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"}, "is of UNet2DConditionModel"),
        ("unet/config.json", {"_class_name": "UNet2DModel", "norm_num_groups": 5}, "cannot be loaded"),
        ("unet/config.json", {"_class_name": "UNet2DModel", "sample_size": 16}, "not those|cannot be loaded"),
        ("unet/diffusion_pytorch_model.safetensors", "no tensors", "cannot be loaded"),
        ("scheduler/scheduler_config.json", {"_class_name": "EDMEulerScheduler"}, "DDIM does not know"),
        (
            "scheduler/scheduler_config.json",
            {"beta_schedule": "linear", "prediction_type": "flow_prediction"},
            "DDIM does not know",
        ),
        ("scheduler/scheduler_config.json", {"beta_schedule": "odd"}, "makes no scheduler"),
        (
            "model_index.json",
            {"unet": ["diffusers", "UNet2DModel"], "vqvae": ["diffusers", "VQModel"]},
            "vqvae",
        ),
    ],
)
def test_a_bad_folder_is_told_in_one_line(saved, tmp_path, place, content, said):
    folder = tmp_path / "bad"
    shutil.copytree(saved / "pipeline", folder)
    (folder / place).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(NetworkError, match=said) as caught:
        us.load_network(f"diffusers:{folder}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("diffusers:nowhere", "there is no folder nowhere"),
        ("diffusers:", "does not say which network"),
        ("diffusers:FOLDER,steps=some", "wanted a whole number"),
        ("diffusers:FOLDER,stops=3", "has no option 'stops'; it has steps"),
    ],
)
def test_a_spec_that_names_nothing_is_refused(saved, spec, said):
    with pytest.raises(UsageError, match=said):
        us.load_network(spec.replace("FOLDER", str(saved / "pipeline")))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(NetworkError, match=r"has no unet/config\.json"):
        us.load_network(f"diffusers:{tmp_path}")


def test_a_missing_package_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UsageError, match=r"pip install 'unitscope\[diffusion\]'"):
        us.load_network(f"diffusers:{tmp_path}")
