"""overcomplete: a model that was saved whole, or its state dict."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unitscope.errors import NetworkError
from unitscope.networks.directions.activations import Activation, Relu, TopK
from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.formats.autoencoders import Weights, find_part, keep_above, name, whole
from unitscope.networks.directions.formats.contents import Contents
from unitscope.networks.directions.formats.given import Given
from unitscope.networks.inert_pickles import Inert

_KINDS = {
    "SAE": "relu-sae",
    "TopKSAE": "topk-sae",
    "RATopKSAE": "topk-sae",
    "BatchTopKSAE": "batchtopk-sae",
    "JumpSAE": "jump-sae",
    "RAJumpSAE": "jump-sae",
}
_REASONS = {
    "MpSAE": "chooses latents one after the other",
    "OMPSAE": "chooses latents one after the other",
    "QSAE": "rounds its latents to levels",
}
_WEIGHTS = ("encoder.final_block.0.weight", "encoder.weight")
_BIASES = ("encoder.final_block.0.bias", "encoder.bias")
_TIED = "encoder.tied_to."
_TINY = 1e-8

Rows = Float[Tensor, "latent unit"]
_LENGTHS: Mapping[str, Callable[[Rows], Rows]] = {
    "normalize_l2": lambda rows: rows / (rows.norm(dim=1, keepdim=True) + _TINY),
    "normalize_max_l2": lambda rows: rows / rows.norm(dim=1).max(),
    "normalize_l1": lambda rows: rows / (rows.norm(p=1, dim=1, keepdim=True) + _TINY),
    "normalize_max_l1": lambda rows: rows / rows.norm(p=1, dim=1).max(),
    "normalize_identity": lambda rows: rows,
}


def is_overcomplete(contents: Contents) -> bool:
    """Whether the file is of this library."""
    model = isinstance(contents.held, Inert) and contents.held.name.startswith("overcomplete.")
    return model or bool({"dictionary._weights", "dictionary.W"} & set(contents.state))


def read_overcomplete(contents: Contents, given: Given) -> Directions:
    """c = max(x E' + b, 0), of which the k largest or those above a threshold are kept; x^ = z D.

    Raises `UsageError` for what a state dict does not say, `NetworkError` for models whose latents are not
    directions.
    """
    model = _look_into(contents.held)
    word = contents.held.name.rpartition(".")[2] if isinstance(contents.held, Inert) else None
    word = _find_class(contents, given) if word is None else word
    if word not in _KINDS:
        reason = _REASONS.get(word, "is not known")
        raise NetworkError(f"{contents.path} is a {name(word)}, which {reason}; {', '.join(_KINDS)} are read")
    _check_encoder(contents, _find_attributes(model, "encoder"))
    decoder = _find_dictionary(contents, _find_attributes(model, "dictionary"))
    state = contents.state
    encoder = next((state[key].float() for key in _WEIGHTS if key in state), decoder)
    bias = next((state[key].float() for key in _BIASES if key in state), torch.zeros(len(encoder)))
    weights = Weights(encoder.T, bias, decoder, torch.zeros(decoder.shape[1:]))
    activation = _make_activation(contents, given, word, model, len(decoder))
    return weights.build(activation, _KINDS[word], {"library": "overcomplete", "class": word})


def _find_class(contents: Contents, given: Given) -> str:
    """The class of a state dict: thresholds tell it, else what its user gives does."""
    if "thresholds" in contents.state:
        return "JumpSAE"
    if "k" in given or "threshold" in given:
        return "TopKSAE" if "k" in given else "BatchTopKSAE"
    if given.choice("kind", ("relu",)) is None:
        what = "its class: k makes it a TopKSAE, a threshold a BatchTopKSAE, kind=relu a plain SAE"
        raise given.ask(what, "k=K", "threshold=T", "kind=relu")
    return "SAE"


def _make_activation(
    contents: Contents, given: Given, word: str, model: Mapping[str, Any], latents: int
) -> Activation:
    if word.endswith("JumpSAE"):
        return keep_above(contents.take("thresholds")[0].float().exp(), latents, strict=False)
    if word == "BatchTopKSAE":
        found = model.get("running_threshold")
        said = float(found) if isinstance(found, int | float | Tensor) else given.number("threshold")
        if said is None:
            raise given.ask("its running threshold", "threshold=T")
        return keep_above(said, latents, strict=False)
    if word.endswith("TopKSAE"):
        k = whole(contents, model["top_k"], "top_k") if "top_k" in model else given.whole("k")
        if k is None:
            raise given.ask("k, how many latents a cell keeps", "k=K")
        return TopK(k, relu=True)
    return Relu()


def _check_encoder(contents: Contents, encoder: Mapping[str, Any]) -> None:
    """Raises `NetworkError` for an encoder that is more than one product, a bias and a rectifier."""
    parts = [key for key in contents.state if key.startswith("encoder.")]
    strange = [key for key in parts if key not in (*_WEIGHTS, *_BIASES) and not key.startswith(_TIED)]
    norm = getattr(encoder.get("norm_layer"), "name", "Identity").rpartition(".")[2]
    last = find_part(encoder, "_modules").get("final_activation")
    rectifier = last.name.rpartition(".")[2] if isinstance(last, Inert) else "ReLU"
    seen = f"has {name(strange[0])}" if strange else "" if parts else "has no weights"
    seen = seen or (f"ends in {name(rectifier)}" if rectifier != "ReLU" else "")
    seen = seen or (f"has a {name(norm)}" if norm != "Identity" else "")
    if seen:
        raise NetworkError(
            f"{contents.path}: its encoder {seen}, so that a latent is no direction; what is read is one "
            "linear layer and a ReLU, tied or not, without normalization, more layers or attention"
        )


def _find_dictionary(contents: Contents, layer: Mapping[str, Any]) -> Rows:
    """D as it is after `eval()`: what was fused then, or worked out of the weights as the library does."""
    fused = layer.get("_fused_dictionary")
    if isinstance(fused, Tensor) and not layer.get("training"):
        return fused.float()
    scale = contents.state.get("dictionary.multiplier", torch.zeros(())).float().exp()
    if "dictionary.W" in contents.state:
        mix, points, relaxed = (
            one.float() for one in contents.take("dictionary.W", "dictionary.C", "dictionary.Relax")
        )
        mix = mix.relu() / (mix.relu().sum(1, keepdim=True) + _TINY)
        delta = layer.get("delta", 1.0)
        reach: Tensor = relaxed.norm(dim=1, keepdim=True)
        return (mix @ points + relaxed * (float(delta) / reach).clamp(max=1)) * scale
    length = getattr(layer.get("normalization"), "name", "normalize_l2").rpartition(".")[2]
    if length not in _LENGTHS:
        raise NetworkError(
            f"{contents.path}: its dictionary is normalized by {name(length)}, which is not known"
        )
    [rows] = contents.take("dictionary._weights")
    normalized: Tensor = _LENGTHS[length](rows.float())
    return normalized * scale


def _find_attributes(model: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    return _look_into(find_part(model, "_modules").get(part))


def _look_into(held: object) -> Mapping[str, Any]:
    """What a stand-in for a module holds; nothing for anything else."""
    return held.state if isinstance(held, Inert) and isinstance(held.state, Mapping) else {}
