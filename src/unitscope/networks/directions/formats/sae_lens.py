"""SAE Lens, of version 6 and of before: a folder of `cfg.json` and `sae_weights.safetensors`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from unitscope.errors import NetworkError
from unitscope.networks.directions.activations import Activation, Relu, TanhRelu, TopK
from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.formats.autoencoders import (
    SCALED_OUTSIDE,
    Weights,
    find_part,
    keep_above,
    name,
    name_kind,
    read_normalization,
    take_gate,
    take_weights,
    whole,
)
from unitscope.networks.directions.formats.contents import Contents
from unitscope.networks.directions.formats.given import Given


def is_sae_lens(contents: Contents) -> bool:
    """Whether the file is of this library."""
    return contents.config_name == "cfg.json" and "W_enc" in contents.state


def read_sae_lens(contents: Contents, given: Given) -> Directions:
    """y = norm(x) - b_dec where that is applied to the input, z = a(y W_enc + b_enc).

    Raises `UsageError` for a k that is not said, `NetworkError` for architectures that are no directions.
    """
    config, path = contents.config, contents.path
    architecture, activation_word = _find_architecture(config)
    norm, missing = read_normalization(contents, config.get("normalize_activations"))
    weights = take_weights(contents, None if architecture == "gated" else "b_enc")
    weights = _fold_finetuning(contents, weights)
    if architecture == "topk" and config.get("rescale_acts_by_decoder_norm"):
        weights = weights.with_unit_decoder()
    rectifiers: dict[str, Activation] = {"relu": Relu(), "tanh-relu": TanhRelu()}
    rectifier = rectifiers.get(activation_word) if isinstance(activation_word, str) else None
    activation: Activation
    if architecture == "topk":
        activation = _make_topk(contents, given)
    elif architecture == "gated" and rectifier is not None:
        activation = take_gate(contents, len(weights.bias), "b_gate", "b_mag", rectifier)
    elif architecture == "jumprelu" and activation_word == "relu":
        activation = keep_above(contents.take("threshold")[0].float(), len(weights.bias))
    elif architecture == "standard" and rectifier is not None:
        activation = rectifier
    else:
        raise NetworkError(
            f"{path} is of SAE Lens's architecture {name(architecture)} with {name(activation_word)}; "
            "standard, topk, jumprelu and gated are read: save others by save_inference_model"
        )
    about = _describe(config) | {SCALED_OUTSIDE: missing}
    subtract = bool(config.get("apply_b_dec_to_input", True))
    return weights.build(activation, name_kind(activation), about, subtract, norm)


def _find_architecture(config: Mapping[str, Any]) -> tuple[object, object]:
    """The architecture, and the activation of files of before version 6: a k makes any of them a TopK."""
    word = config.get("activation_fn_str", config.get("activation_fn", "relu"))
    return "topk" if word == "topk" else config.get("architecture", "standard"), word


def _make_topk(contents: Contents, given: Given) -> TopK:
    found = contents.config.get("k", find_part(contents.config, "activation_fn_kwargs").get("k"))
    k = given.whole("k") if found is None else whole(contents, found, "k")
    if k is None:
        raise given.ask("k, how many latents a cell keeps", "k=K")
    return TopK(k, relu=True)


def _fold_finetuning(contents: Contents, weights: Weights) -> Weights:
    """Factors of latents on their way to the decoder, which old files may have."""
    factor = contents.state.get("scaling_factor", contents.state.get("finetuning_scaling_factor"))
    if factor is None or torch.equal(factor, torch.ones_like(factor)):
        return weights
    if not contents.config.get("finetuning_scaling_factor"):
        raise NetworkError(
            f"{contents.path} has a scaling_factor, but no finetuning_scaling_factor in cfg.json"
        )
    return replace(weights, decoder=weights.decoder * factor.float()[:, None])


def _describe(config: Mapping[str, Any]) -> dict[str, object]:
    said = {**config, **find_part(config, "meta"), **find_part(config, "metadata")}
    heads = said.get("reshape_activations") == "hook_z"
    return {
        "library": "SAE Lens",
        "version": said.get("sae_lens_version"),
        "network": said.get("model_name"),
        "layer": said.get("hook_name", said.get("hook_point")),
        "reads": "an attention's heads side by side" if heads else None,
    }
