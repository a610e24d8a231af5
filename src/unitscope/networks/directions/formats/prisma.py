"""ViT-Prisma: `weights.pt`, `n_images_N.pt` or `.pkl.gz` with settings inside or in `config.json`."""

from collections.abc import Mapping
from typing import Any

from unitscope.errors import NetworkError
from unitscope.networks.directions.activations import Activation, Relu, TanhRelu, TopK
from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.formats.autoencoders import (
    find_part,
    name,
    name_kind,
    read_normalization,
    take_gate,
    take_weights,
    whole,
)
from unitscope.networks.directions.formats.contents import Contents
from unitscope.networks.directions.formats.given import Given
from unitscope.networks.inert_pickles import Inert


def is_prisma(contents: Contents) -> bool:
    """Whether the file is of this library."""
    held = contents.held
    inside = isinstance(held, Mapping) and "cfg" in held and "state_dict" in held
    beside = {"layer_subtype", "activation_fn_str"} & set(contents.config)
    return inside or ("W_enc" in contents.state and bool(beside))


def read_prisma(contents: Contents, given: Given) -> Directions:
    """y = norm(x) - b_dec, z = a(y W_enc + b_enc), or gated.

    Raises `UsageError` for an activation that is not said, `NetworkError` for what is no autoencoder.
    """
    config = _find_settings(contents)
    architecture = config.get("architecture", "standard")
    if config.get("is_transcoder"):
        raise NetworkError(f"{contents.path} is a transcoder, which writes to another layer than it reads")
    if architecture not in ("standard", "gated"):
        raise NetworkError(
            f"{contents.path} is of Prisma's architecture {name(architecture)}; standard and gated are read"
        )
    gated = architecture == "gated"
    weights = take_weights(contents, None if gated else "b_enc")
    activation = _make_activation(contents, given, config)
    if gated:
        activation = take_gate(contents, len(weights.bias), "b_gate", "b_mag", activation)
    # Its settings have had this default since the first published files.
    norm, _ = read_normalization(contents, config.get("normalize_activations", "layer_norm"))
    return weights.build(activation, name_kind(activation), _describe(config), True, norm)


def _find_settings(contents: Contents) -> Mapping[str, Any]:
    """Those in the file, else those beside it."""
    held = contents.held
    inside = held.get("cfg") if isinstance(held, Mapping) else None
    found = inside.state if isinstance(inside, Inert) else inside
    found = found if isinstance(found, Mapping) and found else contents.config
    if not found:
        raise NetworkError(f"{contents.path} has no settings, neither inside nor in a config.json beside it")
    return found


def _make_activation(contents: Contents, given: Given, config: Mapping[str, Any]) -> Activation:
    word = config.get("activation_fn_str")
    settings = find_part(config, "activation_fn_kwargs")
    if word == "topk":
        k = whole(contents, settings["k"], "k") if "k" in settings else given.whole("k")
        if k is None:
            raise given.ask("k, how many latents a cell keeps", "k=K")
        after = settings.get("postact_fn")
        if after is not None and not (isinstance(after, Inert) and after.name.endswith(".ReLU")):
            raise NetworkError(f"{contents.path} has a function after its TopK; only ReLU is read")
        return TopK(k, relu=True)
    if word in ("relu", "tanh-relu"):
        return Relu() if word == "relu" else TanhRelu()
    if word is not None:
        raise NetworkError(
            f"{contents.path} has the activation {name(word)}; relu, tanh-relu and topk are read"
        )
    if (k := given.whole("k")) is not None:
        return TopK(k, relu=True)
    if given.choice("kind", ("relu",)) is None:
        raise given.ask("its activation", "k=K", "kind=relu")
    return Relu()


def _describe(config: Mapping[str, Any]) -> dict[str, object]:
    tokens = "all tokens, class token too"
    if config.get("cls_token_only"):
        tokens = "the class token"
    elif config.get("use_patches_only"):
        tokens = "patches"
    block, part = config.get("hook_point_layer"), config.get("layer_subtype")
    return {
        "library": "ViT-Prisma",
        "network": config.get("model_name"),
        "layer": f"blocks.{name(block)}.{name(part)}" if part else None,
        "head": config.get("hook_point_head_index"),
        "tokens": tokens,
    }
