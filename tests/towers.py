"""Text models made for the tests: folders as transformers saves them, and one whose every number is known."""

import json

import numpy as np
import torch
import transformers

from unitscope.errors import UsageError

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
LAYERS = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
EYE = {"image_size": 32, "patch_size": 8}
TOKENS = {
    "vocab_size": 600,
    "max_position_embeddings": 12,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}


class Colors:
    """Embeds a picture by its mean color and a text by the mean of the colors it names; counts images."""

    name = "colors"

    def __init__(self):
        self.images = self.texts = 0

    def embed_images(self, images):
        self.images += len(images)
        return embed(images.reshape(len(images), -1, 3).mean(1) + 1)

    def embed_texts(self, texts):
        self.texts += len(texts)
        for text in texts:
            if not any(word in COLORS for word in text.split()):
                raise UsageError(f"colors knows no color in {text!r}; it knows {', '.join(COLORS)}")
        named = [[COLORS[word] for word in text.split() if word in COLORS] for text in texts]
        return embed(np.array([np.mean(one, 0) for one in named]) + 1)


def embed(values):
    values = np.asarray(values, np.float64)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def write_clip(folder):
    config = transformers.CLIPConfig(
        text_config={**LAYERS, **TOKENS}, vision_config={**LAYERS, **EYE}, projection_dim=8
    )
    return save(transformers.CLIPModel, config, folder, transformers.CLIPImageProcessor)


def write_siglip(folder):
    config = transformers.SiglipConfig(text_config={**LAYERS, **TOKENS}, vision_config={**LAYERS, **EYE})
    return save(transformers.SiglipModel, config, folder, transformers.SiglipImageProcessor)


def save(kind, config, folder, processor):
    torch.manual_seed(0)
    made = kind(config).eval()
    made.save_pretrained(folder)
    processor(size={"height": 32, "width": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    write_tokenizer(folder)
    return made


def write_tokenizer(folder):
    letters = [chr(k) for k in range(97, 123)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{one}</w>" for one in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
