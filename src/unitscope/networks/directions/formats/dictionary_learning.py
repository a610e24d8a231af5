"""dictionary-learning: a folder of `ae.pt`, a state dict, and `config.json`."""

import torch
from torch import Tensor

from unitscope.errors import NetworkError
from unitscope.networks.directions.activations import Relu, TopK
from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.formats.autoencoders import (
    Weights,
    find_part,
    keep_above,
    name,
    take_gate,
    take_weights,
    whole,
)
from unitscope.networks.directions.formats.contents import Contents
from unitscope.networks.directions.formats.given import Given

_KINDS = {
    "AutoEncoder": "relu-sae",
    "AutoEncoderNew": "relu-sae",
    "AutoEncoderTopK": "topk-sae",
    "BatchTopKSAE": "batchtopk-sae",
    "MatryoshkaBatchTopKSAE": "matryoshka-sae",
    "GatedAutoEncoder": "gated-sae",
    "JumpReluAutoEncoder": "jump-sae",
}


def is_dictionary_learning(contents: Contents) -> bool:
    """Whether the file is of this library."""
    if "trainer" in contents.config:
        return True
    layers = {"encoder.weight", "decoder.weight"} <= set(contents.state)
    return "group_sizes" in contents.state or (layers and "pre_bias" not in contents.state)


def read_dictionary_learning(contents: Contents, given: Given) -> Directions:
    """z as the class that `config.json` names encodes it.

    Raises `UsageError` for what must be said, `NetworkError` for a class that is no autoencoder of one layer.
    """
    trainer = find_part(contents.config, "trainer")
    kind = _find_class(contents, given)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise NetworkError(f"{contents.path} is of the class {name(kind)}; {', '.join(_KINDS)} are read")
    about = {
        "library": "dictionary-learning",
        "class": kind,
        "network": trainer.get("lm_name"),
        "layer": trainer.get("submodule_name", trainer.get("layer")),
    }
    if kind == "JumpReluAutoEncoder":
        weights = take_weights(contents)
        activation = keep_above(contents.take("threshold")[0].float(), len(weights.bias))
        return weights.build(activation, _KINDS[kind], about)
    if kind == "GatedAutoEncoder":
        weights = _take_layers(contents, None, "decoder_bias")
        gate = take_gate(contents, len(weights.bias), "gate_bias", "mag_bias")
        return weights.build(gate, _KINDS[kind], about, subtract=True)
    if kind in ("AutoEncoder", "AutoEncoderNew"):
        return _read_relu(contents, given, kind, about)
    matryoshka = kind == "MatryoshkaBatchTopKSAE"
    weights = take_weights(contents) if matryoshka else _take_layers(contents, "encoder.bias", "b_dec")
    if kind == "AutoEncoderTopK":
        return weights.build(TopK(_find_k(contents, given), relu=True), _KINDS[kind], about, subtract=True)
    found = contents.state.get("threshold")
    threshold = given.number("threshold") if found is None else float(found)
    if threshold is None:
        raise given.ask("the threshold that stands for its BatchTopK", "threshold=T")
    return weights.build(keep_above(threshold, len(weights.bias)), _KINDS[kind], about, subtract=True)


def _read_relu(contents: Contents, given: Given, kind: str, about: dict[str, object]) -> Directions:
    """As the file has it; with `unit_decoder` as the library's `from_pretrained` scales what it reads."""
    if kind == "AutoEncoderNew":
        return _take_layers(contents, "encoder.bias", "decoder.bias").build(Relu(), _KINDS[kind], about)
    weights = _take_layers(contents, "encoder.bias", "bias")
    if given.choice("unit_decoder", ("yes", "no")) == "yes":
        weights = weights.with_unit_decoder()
    return weights.build(Relu(), _KINDS[kind], about, subtract=True)


def _find_class(contents: Contents, given: Given) -> object:
    """The class by its settings, else by what only one class has."""
    found = find_part(contents.config, "trainer").get("dict_class")
    state = set(contents.state)
    if found is not None:
        return found
    if "group_sizes" in state:
        return "MatryoshkaBatchTopKSAE"
    if "gate_bias" in state:
        return "GatedAutoEncoder"
    if "bias" in state:
        return "AutoEncoder"
    if "decoder.bias" in state:
        return "AutoEncoderNew"
    kind = given.choice("kind", ("topk", "batchtopk"))
    if kind is None:
        raise given.ask("its class, and no config.json stands beside it", "kind=topk", "kind=batchtopk")
    return "AutoEncoderTopK" if kind == "topk" else "BatchTopKSAE"


def _find_k(contents: Contents, given: Given) -> int:
    found: object = contents.state.get("k")
    found = find_part(contents.config, "trainer").get("k") if found is None else found
    k = given.whole("k") if found is None else whole(contents, found, "k")
    if k is None:
        raise given.ask("k, how many latents a cell keeps", "k=K")
    return k


def _take_layers(contents: Contents, bias: str | None, offset: str) -> Weights:
    encoder, decoder, last = (
        one.float() for one in contents.take("encoder.weight", "decoder.weight", offset)
    )
    first: Tensor = contents.take(bias)[0].float() if bias else torch.zeros(encoder.shape[:1])
    return Weights(encoder.T, first, decoder.T, last)
