"""Text models by name: transformers folders, open_clip, the user's own, and what refuses to open."""

import sys
import types

import numpy as np
import pytest
import torch
import transformers

from towers import Colors, save, write_clip, write_siglip
from unitscope.errors import NetworkError, UnitscopeError, UsageError
from unitscope.networks.text_models import TextModel, open_text_model

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 40, 56, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net").mkdir()
    return tmp_path / "net"


@pytest.mark.parametrize("write", [write_clip, write_siglip])
def test_a_folder_embeds_as_the_library_does(folder, write):
    made = write(folder)
    state = {key: value.clone() for key, value in made.state_dict().items()}
    found = open_text_model(f"hf:{folder}")
    assert isinstance(found, TextModel)
    assert found.name == f"hf:{folder}"
    images, texts = found.embed_images(IMAGES), found.embed_texts(["cat", "a dog"])
    assert images.dtype == texts.dtype == np.float32
    assert images.shape[1] == texts.shape[1]
    for part in (images, texts):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=1e-6)
    process = transformers.AutoImageProcessor.from_pretrained(folder)
    tokenize = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        pixels = process(images=list(IMAGES), return_tensors="pt")["pixel_values"]
        wanted = made.get_image_features(pixel_values=pixels).pooler_output
        np.testing.assert_allclose(images, torch.nn.functional.normalize(wanted, dim=1), atol=1e-5)
        for place, text in enumerate(["cat", "a dog"]):
            fed = tokenize([text], return_tensors="pt")
            if write is write_siglip:
                fed = tokenize([text], padding="max_length", max_length=12, return_tensors="pt")
            wanted = made.get_text_features(**fed).pooler_output
            np.testing.assert_allclose(
                texts[[place]], torch.nn.functional.normalize(wanted, dim=1), atol=1e-5
            )
    np.testing.assert_allclose(found.embed_images(IMAGES[1:2])[0], images[1], atol=1e-6)
    assert all(torch.equal(value, state[key]) for key, value in found.module.state_dict().items())


@pytest.mark.parametrize(
    ("text", "told"),
    [("abcdefghijklmn", "reads 12 tokens at most, and"), ("7", "does not know what stands in '7'")],
)
def test_texts_that_cannot_be_read_whole_are_refused(folder, text, told):
    write_clip(folder)
    with pytest.raises(UsageError, match=told):
        open_text_model(f"hf:{folder}").embed_texts(["cat", text])


def test_a_network_without_words_is_refused(folder):
    config = transformers.ViTConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32
    )
    save(transformers.ViTModel, config, folder, transformers.ViTImageProcessor)
    with pytest.raises(NetworkError, match="is ViTModel, which embeds no texts; give a model of two towers"):
        open_text_model(f"hf:{folder}")


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("vocab.json", "has no tokenizer"),
        ("preprocessor_config.json", "has no image processor that can be read"),
        ("model.safetensors", "has no weights on this machine"),
        ("config.json", "is no folder with a config.json"),
    ],
)
def test_what_lacks_a_part_is_told_in_one_line(folder, missing, told):
    write_clip(folder)
    (folder / missing).unlink()
    with pytest.raises(NetworkError, match=told) as refusal:
        open_text_model(f"hf:{folder}")
    assert "\n" not in str(refusal.value)


def test_a_function_of_ones_own(tmp_path):
    code = "from towers import Colors\n\ndef make():\n    return Colors()\n\ndef wrong():\n    return 3\n"
    (tmp_path / "mine.py").write_text(code)
    found = open_text_model(f"{tmp_path / 'mine.py'}:make")
    assert found.name == Colors.name
    with pytest.raises(NetworkError, match="returned int; wanted a text model"):
        open_text_model(f"{tmp_path / 'mine.py'}:wrong")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("clip", "there is no text model 'clip'"),
        ("fh:net", "there is no text model 'fh:net'; near names: hf; wanted hf:FOLDER"),
        ("hf:", "does not say which text model; wanted hf:FOLDER"),
        ("openclip:ViT-B-32", "open_clip_torch, which opens models of OpenCLIP, is not installed"),
        ("openclip:ViT-B-32,weight=x", "has no option 'weight'"),
    ],
)
def test_names_that_are_none(spec, told, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UnitscopeError, match=told) as refusal:
        open_text_model(spec)
    assert "\n" not in str(refusal.value)


class Double(torch.nn.Module):
    """Stands for a model of open_clip."""

    def encode_image(self, batch):
        return batch.flatten(1)[:, :4] + 1

    def encode_text(self, tokens):
        return tokens.float() + 1


def test_open_clip_is_asked_for_what_lies_here_and_kept_offline(tmp_path, monkeypatch):
    constants = types.SimpleNamespace(HF_HUB_OFFLINE=False)
    asked = []

    def create(name, pretrained, device):
        asked.append((name, pretrained, constants.HF_HUB_OFFLINE))
        return Double(), lambda picture: torch.from_numpy(np.array(picture)).float()

    stub = types.SimpleNamespace(
        list_models=lambda: ["ViT-B-32"],
        create_model_from_pretrained=create,
        get_tokenizer=lambda name: lambda texts: torch.tensor([[len(text)] * 4 for text in texts]),
    )
    monkeypatch.setitem(sys.modules, "open_clip", stub)
    hub = types.ModuleType("huggingface_hub")
    hub.constants = constants
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    (tmp_path / "open_clip_config.json").write_text("{}")
    found = open_text_model(f"openclip:{tmp_path}")
    assert found.embed_images(IMAGES).shape == found.embed_texts(["a", "b", "c"]).shape == (3, 4)
    (tmp_path / "weights.pt").write_bytes(b"")
    open_text_model(f"openclip:ViT-B-32,weights={tmp_path / 'weights.pt'}")
    assert asked == [(f"local-dir:{tmp_path}", None, True), ("ViT-B-32", f"{tmp_path / 'weights.pt'}", True)]
    assert constants.HF_HUB_OFFLINE is False
    for spec, told in [
        ("ViT-B-32", "says of no weights on this machine"),
        ("ViT-B-32,weights=nowhere.pt", "there is no file nowhere.pt"),
        (f"ViT-X,weights={tmp_path / 'weights.pt'}", "no model 'ViT-X' in open_clip"),
    ]:
        with pytest.raises(UsageError, match=told):
            open_text_model(f"openclip:{spec}")
