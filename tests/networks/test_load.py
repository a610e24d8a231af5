"""Networks by name: where their weights, preprocessing and class names come from. Nothing is fetched."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import nn

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.load import load_network
from unitscope.networks.network import Network
from unitscope.networks.opened import Opened, describe_structure
from unitscope.networks.receptive_fields import Field, find_fields
from unitscope.networks.trace import list_layers, tap
from unitscope.networks.unit_maps import read_units
from unitscope.networks.weights import random_weights, read_weights

FACTORY = """
import torch
from unitscope.networks.network import Network, Preprocessing

def bare():
    return torch.nn.Conv2d(3, 4, 3)

def full():
    return Network(bare(), Preprocessing((8, 8)), ("a", "b"))

def wrong():
    return 3

def broken():
    raise RuntimeError("no\\nluck")
"""


@pytest.fixture(autouse=True)
def quiet_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pretrained weights on this machine, one thread."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.set_num_threads(1)


@pytest.fixture
def code(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(FACTORY)
    return str(path)


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        id2label={0: "cat", 1: "dog"},
        label2id={"cat": 0, "dog": 1},
    )
    with random_weights(0):
        module = transformers.ViTForImageClassification(config)
    folder = tmp_path / "vit"
    module.save_pretrained(folder)
    return folder


def units(network: Network, layer: str, size: int) -> torch.Tensor:
    noise = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with tap(network, [layer]) as read:
        return read_units(read(noise)[layer], network.layout(noise), layer)


def test_importing_the_loader_imports_no_library() -> None:
    check = (
        "import sys, unitscope.networks.load;"
        "print([n for n in ('torchvision', 'timm', 'transformers') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_torchvision_resnet18_with_its_own_preprocessing() -> None:
    network = load_network("torchvision:resnet18", random=0)
    preprocessing = network.preprocessing
    assert network.name == "torchvision:resnet18"
    assert preprocessing.size == (224, 224)
    assert preprocessing.crop_fraction == 224 / 256
    assert preprocessing.mean == (0.485, 0.456, 0.406)
    assert network.classes == ()
    assert units(network, "layer4", 64).shape == (2, 512, 2, 2)
    assert units(network, "layer4.0.relu#2", 64).min() >= 0


def test_torchvision_alexnet_before_and_after_an_inplace_relu() -> None:
    network = load_network("torchvision:alexnet", random=0)
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with tap(network, ["features.10", "features.11"]) as read:
        seen = read(noise)
    assert network.module.features[11].inplace
    assert (seen["features.10"] < 0).any()
    assert torch.equal(seen["features.10"].relu(), seen["features.11"])


def test_torchvision_segmentation_fetches_no_backbone() -> None:
    network = load_network("torchvision:lraspp_mobilenet_v3_large", random=0)
    assert network.preprocessing.size == (520, 520)
    shapes = {layer.name: layer for layer in list_layers(network, (64, 64))}
    assert shapes["backbone"].reason.startswith("returns a dict")


def test_torchvision_vit_drops_its_class_token() -> None:
    network = load_network("torchvision:vit_b_16", random=0)
    assert network.tokens.first == 1
    assert units(network, "encoder.layers.encoder_layer_0", 224).shape == (2, 768, 14, 14)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_torchvision_networks_with_side_outputs(name: str) -> None:
    assert (
        units(
            load_network(f"torchvision:{name}", random=0), "Conv2d_2b_3x3" if "v3" in name else "conv2", 96
        ).ndim
        == 4
    )


def test_timm_network_with_its_own_preprocessing() -> None:
    network = load_network("timm:mobilenetv3_small_050", random=0)
    assert network.preprocessing.resample == "bicubic"
    assert network.preprocessing.crop_fraction == 0.875
    assert units(network, "blocks.4", 64).shape[1] == 48
    assert find_fields(network, ["blocks.4"], (64, 64))["blocks.4"].step == (32.0, 32.0)


def test_timm_vit_knows_its_class_token() -> None:
    network = load_network("timm:vit_tiny_patch16_224", random=0)
    assert network.tokens.first == 1
    assert units(network, "blocks.0", 224).shape == (2, 192, 14, 14)


def test_timm_swin_gives_maps_with_channels_last() -> None:
    assert units(load_network("timm:swin_tiny_patch4_window7_224", random=0), "layers.0", 224).shape == (
        2,
        96,
        56,
        56,
    )


def test_transformers_vit_from_a_folder(vit: Path) -> None:
    with pytest.warns(UserWarning, match=r"has no preprocessor_config.json"):
        network = load_network(f"hf:{vit}")
    assert network.classes == ("cat", "dog")
    assert network.tokens.first == 1
    assert network.preprocessing.size == (32, 32)
    assert units(network, "vit.layers.1", 32).shape == (2, 16, 4, 4)
    assert find_fields(network, ["vit.layers.1"])["vit.layers.1"].step == (8.0, 8.0)


def test_transformers_preprocessing_is_the_processor_s(vit: Path) -> None:
    transformers.ViTImageProcessor(
        size={"height": 32, "width": 32}, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.2, 0.2], resample=3
    ).save_pretrained(vit)
    preprocessing = load_network(f"hf:{vit}").preprocessing
    assert preprocessing.size == (32, 32)
    assert preprocessing.mean == pytest.approx((0.5, 0.4, 0.3))
    assert preprocessing.std == pytest.approx((0.2, 0.2, 0.2))
    assert preprocessing.resample == "bicubic"


def test_transformers_network_of_one_channel_is_given_gray(vit: Path) -> None:
    (vit / "model.safetensors").unlink()
    config = json.loads((vit / "config.json").read_text())
    (vit / "config.json").write_text(json.dumps(config | {"num_channels": 1}))
    transformers.BitImageProcessor(
        size={"height": 32, "width": 32}, do_center_crop=False, image_mean=[0.4], image_std=[0.2]
    ).save_pretrained(vit)
    network = load_network(f"hf:{vit}", random=0)
    assert network.preprocessing.channels == "gray"
    assert network.preprocessing.mean == pytest.approx((0.4,))
    assert network.run(network.blank()).logits.shape == (1, 2)


def test_transformers_crop_of_the_processor(vit: Path) -> None:
    transformers.BitImageProcessor(
        size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(vit)
    preprocessing = load_network(f"hf:{vit}").preprocessing
    assert preprocessing.size == (32, 32)
    assert preprocessing.crop_fraction == 0.8


def test_transformers_configuration_alone_needs_a_word_about_weights(vit: Path) -> None:
    (vit / "model.safetensors").unlink()
    with pytest.raises(NetworkError, match=r"has no weights on this machine; give --weights FILE"):
        load_network(f"hf:{vit}")
    assert load_network(f"hf:{vit}", random=1).digest == load_network(f"hf:{vit}", random=1).digest


def test_transformers_weights_that_do_not_fit(vit: Path) -> None:
    config = json.loads((vit / "config.json").read_text())
    (vit / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(NetworkError, match=r"missing or of another shape: vit"):
        load_network(f"hf:{vit}")


def test_dinov2_with_registers_drops_five_tokens(tmp_path: Path) -> None:
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
        num_register_tokens=4,
    )
    config.save_pretrained(tmp_path)
    network = load_network(f"hf:{tmp_path}", random=0)
    assert network.tokens.first == 5
    layer = next(shape.name for shape in list_layers(network) if re.search(r"layers?\.0$", shape.name))
    # 4 patches and 5 other tokens are 9: only the known number tells them from a grid of 3x3.
    assert units(network, layer, 16).shape == (2, 16, 2, 2)


def test_clip_gives_its_image_tower(tmp_path: Path) -> None:
    vision = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
    }
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 99}
    transformers.CLIPConfig(vision_config=vision, text_config=text).save_pretrained(tmp_path)
    network = load_network(f"hf:{tmp_path}", random=0, size=16)
    layer = next(shape.name for shape in list_layers(network) if re.search(r"layers\.0$", shape.name))
    assert units(network, layer, 16).shape == (2, 16, 2, 2)


def test_unknown_repository_is_not_fetched() -> None:
    with pytest.raises(NetworkError, match=r"hf:nobody/nothing is no folder with a config.json, nor in"):
        load_network("hf:nobody/nothing")


def test_efficientnet_lite0_is_trained() -> None:
    network = load_network("efficientnet-lite0")
    assert network.preprocessing.size == (224, 224)
    assert network.preprocessing.mean == (127 / 255,) * 3
    assert len(network.classes) == 1000
    assert network.digest != load_network("efficientnet-lite0", random=0).digest
    assert units(network, "_blocks.5", 224).shape == (2, 80, 14, 14)
    fields = find_fields(network, ["_blocks.5", "_conv_head"])
    # Each stride of an even input pads less in front than behind: centers by hand 1, 3, 7, 15, 31.
    assert fields["_blocks.5"] == Field((16.0, 16.0), (15.0, 15.0))
    assert fields["_conv_head"] == Field((32.0, 32.0), (31.0, 31.0))


def test_random_weights_repeat_and_leave_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    digests = {seed: load_network("torchvision:squeezenet1_1", random=seed).digest for seed in (0, 1)}
    assert digests[0] == load_network("torchvision:squeezenet1_1", random=0).digest != digests[1]
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("spec", ["torchvision:squeezenet1_1", "timm:resnet10t"])
def test_missing_weights_say_what_to_do(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    with pytest.raises(NetworkError, match=r"not on this machine; give --weights FILE, allow the --download"):
        load_network(spec)


def test_published_weights_are_found_in_the_cache(tmp_path: Path) -> None:
    made = load_network("torchvision:squeezenet1_1", random=4)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(made.module.state_dict(), folder / "squeezenet1_1-b8a52dc0.pth")
    found = load_network("torchvision:squeezenet1_1")
    assert found.digest == made.digest
    assert found.classes[0] == "tench"


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file(wrapped: bool, suffix: str, tmp_path: Path, code: str) -> None:
    state = {
        ("module." if wrapped else "") + key: value for key, value in nn.Conv2d(3, 4, 3).state_dict().items()
    }
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": state, "epoch": 3} if wrapped else state, path)
    else:
        save_file(state, path)
    network = load_network(f"{code}:bare", weights=path)
    assert torch.equal(network.module.weight, state["module.weight" if wrapped else "weight"])


def test_weights_of_another_number_of_classes(tmp_path: Path) -> None:
    import torchvision

    places = torchvision.models.squeezenet1_1(num_classes=7)
    torch.save(places.state_dict(), tmp_path / "places.pth")
    network = load_network("torchvision:squeezenet1_1", weights=tmp_path / "places.pth")
    assert network.module.classifier[1].out_channels == 7
    assert network.classes == ()


def test_weights_that_do_not_fit_are_named(tmp_path: Path, code: str) -> None:
    path = tmp_path / "w.pth"
    torch.save({"weight": torch.zeros(4, 3, 5, 5), "scale": torch.zeros(4)}, path)
    with pytest.raises(
        NetworkError,
        match=r"missing: bias; unexpected: scale; of another shape: weight is \(4, 3, 5, 5\) for",
    ):
        load_network(f"{code}:bare", weights=path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code ran",))


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_pickle_with_code_is_not_run(writer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evil.pth"
    if writer == "torch":
        torch.save({"weight": Evil()}, path)
    else:
        path.write_bytes(pickle.dumps({"weight": Evil()}))
    with pytest.raises(NetworkError, match=r"evil.pth .*carries code.* and was not loaded") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    assert "code ran" not in capsys.readouterr().out


def test_code_in_a_folder_s_weights_is_not_run(vit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (vit / "model.safetensors").unlink()
    torch.save({"weight": Evil()}, vit / "pytorch_model.bin")
    with pytest.raises(NetworkError, match="cannot be loaded"):
        load_network(f"hf:{vit}")
    assert "code ran" not in capsys.readouterr().out


def test_damaged_weights_in_a_folder(vit: Path) -> None:
    (vit / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(NetworkError, match="cannot be loaded") as caught:
        load_network(f"hf:{vit}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut"])
def test_damaged_weights(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NetworkError) as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_file_without_weights(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(NetworkError, match="is not a state dict"):
        read_weights(tmp_path / "a.pth")
    with pytest.raises(UsageError, match="there is no weights file"):
        read_weights(tmp_path / "b.pth")


def test_factory_of_a_bare_module_reads_images_as_stored(code: str) -> None:
    network = load_network(f"{code}:bare")
    assert network.preprocessing.size is None
    assert network.preprocessing.std == (1.0, 1.0, 1.0)
    assert network.digest == load_network(f"{code}:bare").digest


def test_factory_of_a_network_keeps_its_own(code: str) -> None:
    network = load_network(f"{code}:full")
    assert (network.preprocessing.size, network.classes) == ((8, 8), ("a", "b"))
    assert load_network(f"{code}:full", size=(6, 9)).preprocessing.size == (6, 9)


@pytest.mark.parametrize(
    ("factory", "kind", "said"),
    [
        ("bar", UsageError, "has no function 'bar'; near names: bare"),
        ("wrong", NetworkError, "returned int; wanted a Network or an nn.Module"),
        ("broken", NetworkError, "failed: RuntimeError: no luck"),
    ],
)
def test_factories_that_fail(code: str, factory: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        load_network(f"{code}:{factory}")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("torchvision:resnet81", "torchvision has no network 'resnet81'; near names: .*resnet18"),
        ("timm:resnet10x", "timm has no network 'resnet10x'; near names: .*resnet10t"),
        ("timm:resnet18.a9_in1k", "timm has no network 'resnet18.a9_in1k'; near names: .*resnet18.a1_in1k"),
        ("resnet18", "did you mean torchvision:resnet18 or timm:resnet18"),
        ("torchvision:", "'torchvision:' does not say which network; wanted torchvision:NAME"),
        ("zoo:", "'zoo:' does not say which network; wanted zoo:NAME"),
        ("floder:net", "unknown network 'floder:net'.*; wanted torchvision:NAME, .* or zoo:NAME"),
        ("zoo:scenes", "the zoo has no network .scenes.; it has scene-classifier, scene-transformer"),
        ("nowhere.py:make", "there is no file nowhere.py"),
    ],
)
def test_unknown_networks(spec: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_network(spec)


def test_two_sources_of_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose one"):
        load_network("torchvision:resnet18", weights=tmp_path / "a.pth", random=0)


def test_size_below_one_is_refused(code: str) -> None:
    with pytest.raises(UsageError, match="above 0"):
        load_network(f"{code}:bare", size=0)


@pytest.mark.parametrize(
    ("spec", "package", "extra"),
    [
        ("torchvision:resnet18", "torchvision", "torchvision"),
        ("timm:resnet18", "timm", "timm"),
        ("hf:folder", "transformers", "transformers"),
        ("efficientnet-lite0", "efficientnet_lite_pytorch", "lite"),
    ],
)
def test_missing_package_names_the_extra(
    spec: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"pip install 'unitscope\[{extra}\]'"):
        load_network(spec)


@pytest.mark.parametrize(
    ("spec", "layer", "shape"),
    [
        ("timm:vit_tiny_patch16_224", "patch_embed.proj", (192, 4, 8)),
        ("timm:swin_tiny_patch4_window7_224", "layers.0", (96, 16, 32)),
        ("timm:resnet10t", "layer4", (512, 2, 4)),
    ],
)
def test_timm_networks_are_built_for_the_size(spec: str, layer: str, shape: tuple[int, ...]) -> None:
    network = load_network(spec, random=0, size=(64, 128))
    assert {row.name: row.shape for row in list_layers(network)}[layer] == shape


def test_transformers_networks_are_built_for_the_size(vit: Path) -> None:
    network = load_network(f"hf:{vit}", random=0, size=(16, 32))
    layers = {row.name: row.shape for row in list_layers(network)}
    assert layers["vit.embeddings.patch_embeddings.projection"] == (16, 2, 4)
    with pytest.warns(UserWarning, match=r"has no preprocessor_config.json"):
        assert load_network(f"hf:{vit}", size=32).preprocessing.size == (32, 32)
    with pytest.raises(NetworkError, match=r"hf:.*position_embeddings"):
        load_network(f"hf:{vit}", size=16)


def test_a_folder_with_weights_of_flax_alone(vit: Path) -> None:
    (vit / "model.safetensors").rename(vit / "flax_model.msgpack")
    with pytest.raises(NetworkError, match=r"no PyTorch weights: flax_model.msgpack is Flax \(JAX\) weights"):
        load_network(f"hf:{vit}")


def test_a_network_knows_how_it_was_opened_and_whether_it_is_still_that(code: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(
        {key: value + 1 for key, value in load_network(f"{code}:bare").module.state_dict().items()}, weights
    )
    opened = load_network(f"{code}:full", weights=weights, size=9).opened
    assert opened is not None
    assert opened == Opened(f"{code}:full", str(weights), None, False, (9, 9), opened.structure)
    again = pickle.loads(pickle.dumps(opened))
    assert (again, again.module) == (opened, None)
    network = load_network(f"{code}:bare", random=3)
    assert network.opened is not None
    assert network.opened.random == 3
    assert network.opened.structure == load_network(f"{code}:bare").opened.structure
    assert network.opened.made(network.module, None)
    with torch.no_grad():
        network.module.weight.zero_()
    assert network.opened.made(network.module, None)  # the digest tells weights
    assert not network.opened.made(network.module, lambda module, batch: module(batch))
    assert not network.opened.made(load_network(f"{code}:bare").module, None)
    network.module.stride = (2, 2)
    assert not network.opened.made(network.module, None)
    assert Network(nn.ReLU()).opened is None


class Mute(nn.Module):
    def extra_repr(self) -> str:
        raise RuntimeError("says nothing")


def test_what_a_module_fails_to_say_of_itself_is_passed_over() -> None:
    module = nn.Sequential(Mute(), nn.ReLU())
    told = describe_structure(module)
    module.train(False)
    assert describe_structure(module) != told
    module.train(True)
    with module.register_forward_hook(print):
        assert describe_structure(module) != told
    assert describe_structure(module) == told
