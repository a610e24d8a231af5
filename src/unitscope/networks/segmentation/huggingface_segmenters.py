"""Segmenters of the transformers library: what names every pixel, as one network that gives logits."""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.huggingface import load_transformers
from unitscope.networks.segmentation.channel_names import name_channels, read_names
from unitscope.networks.segmentation.network_segmenter import NetworkSegmenter
from unitscope.networks.tokens import Tokens
from unitscope.networks.weights import one_line
from unitscope.options import check_options, read_number, split_options

OPTIONS = ("names", "phrases", "random")
_TOKENIZERS = ("tokenizer.json", "vocab.json")
_WITH_QUERIES = (
    "Mask2FormerForUniversalSegmentation",
    "MaskFormerForInstanceSegmentation",
    "EomtForUniversalSegmentation",
)


class PixelLogits(nn.Module):
    """The logits of a network that classifies pixels (UperNet, SegFormer, BEiT, DPT, ...)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n class row column"]:
        return cast("Tensor", self.module(pixel_values=images).logits)


class QueryLogits(PixelLogits):
    """Class scores of every pixel from masks with classes (MaskFormer, Mask2Former, EoMT).

    The score of class c at a pixel is the sum over queries of softmax(classes)[c] times sigmoid(mask) there,
    the class "no object" left out (Cheng et al., Mask2Former, 2022, and MaskFormer, 2021, section 3.4).
    """

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n class row column"]:
        found = self.module(pixel_values=images)
        classes = found.class_queries_logits.softmax(-1)[..., :-1]
        return torch.einsum("nqc,nqyx->ncyx", classes, found.masks_queries_logits.sigmoid())


class PhraseLogits(nn.Module):
    """What CLIPSeg says of each of some phrases, after a first channel of zeros for "none of them".

    A pixel has the phrase with the highest logit if that is above 0: a probability above one half.
    """

    def __init__(self, module: nn.Module, tokens: Int64[Tensor, "phrase token"], mask: Tensor) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("tokens", tokens)
        self.register_buffer("mask", mask)

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n phrase_and_one row column"]:
        tokens, mask = self.get_buffer("tokens"), self.get_buffer("mask")
        rows = []
        for phrase in range(len(tokens)):
            ids = tokens[[phrase]].expand(len(images), -1)
            seen = mask[[phrase]].expand(len(images), -1)
            logits = self.module(pixel_values=images, input_ids=ids, attention_mask=seen).logits
            rows.append(logits.reshape(len(images), *logits.shape[-2:]))
        found = torch.stack(rows, 1)
        return torch.cat([torch.zeros_like(found[:, :1]), found], 1)


def load_semantic(spec: str) -> NetworkSegmenter:
    """The segmenter that `hf:FOLDER` names: a folder, or the Hugging Face cache on this machine.

    - UperNet, SegFormer and others that give logits by pixel; Mask2Former and MaskFormer by their semantic
      post-processing. The labels of the configuration are the concepts; background and the like are none.
      They are objects, or as `names=FILE` says (`read_names`).
    - CLIPSeg with `phrases=tree|old house`: the phrases are the concepts.
    - `random=SEED`: the configuration with random weights.

    Images are prepared as the folder's preprocessor says. Raises `UsageError` for a wrong option,
    `NetworkError` for a folder that cannot be opened or is no segmenter.
    """
    head, given = split_options(spec)
    options = check_options(head, given, OPTIONS)
    seed = read_number("random", options["random"]) if "random" in options else None
    folder = head.removeprefix("hf:")
    network = load_transformers(folder, None, seed, False)
    module = network.module.eval()
    config: Any = getattr(module, "config", None)
    named = read_names(Path(options["names"])) if "names" in options else None
    kind = type(module).__name__
    if kind == "CLIPSegForImageSegmentation":
        parts = options.get("phrases", "").split("|")
        phrases = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
        if not phrases:
            raise UsageError(f"{spec} needs phrases to look for, such as {spec},phrases=tree|sky")
        wrapped: nn.Module = PhraseLogits(module, *_tokenize(folder, phrases, config))
        words, plane = name_channels(["-", *phrases], named)
    else:
        if "phrases" in options:
            raise UsageError(f"{head} is {kind}, which takes no phrases; only CLIPSeg does")
        if not kind.endswith("ForSemanticSegmentation") and kind not in _WITH_QUERIES:
            wanted = "one ...ForSemanticSegmentation, Mask2Former, MaskFormer or CLIPSeg"
            raise NetworkError(f"{head} is {kind}, which names no pixels; wanted {wanted}")
        wrapped = QueryLogits(module) if kind in _WITH_QUERIES else PixelLogits(module)
        words, plane = name_channels([str(name) for _, name in sorted(config.id2label.items())], named)
    made = replace(network, module=wrapped.eval(), classes=(), name=spec, tokens=Tokens())
    return NetworkSegmenter(made, words, (plane,))


def _tokenize(folder: str, phrases: Sequence[str], config: Any) -> tuple[Tensor, Tensor]:
    transformers = importlib.import_module("transformers")
    # Without these files the library silently makes a tokenizer that knows no words.
    lack = f"hf:{folder} has no tokenizer to read phrases with"
    if Path(folder).is_dir() and not any((Path(folder) / name).is_file() for name in _TOKENIZERS):
        raise NetworkError(f"{lack}; save {' or '.join(_TOKENIZERS)} there too")
    try:
        reader = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        most = config.text_config.max_position_embeddings
        found = reader(list(phrases), padding=True, truncation=True, max_length=most, return_tensors="pt")
    except Exception as error:  # its readers raise whatever a bad file makes them raise
        raise NetworkError(f"{lack}: {one_line(error, 90)}") from error
    return found["input_ids"], found["attention_mask"]
