"""saev: a line of JSON, then a state dict; schemas 1 to 5, and files of before."""

from collections.abc import Mapping
from typing import Any

from unitscope.errors import NetworkError
from unitscope.networks.directions.activations import Activation, Relu, TopK
from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.formats.autoencoders import (
    SCALED_OUTSIDE,
    find_part,
    keep_above,
    name,
    take_weights,
    whole,
)
from unitscope.networks.directions.formats.contents import Contents
from unitscope.networks.directions.formats.given import Given

_KINDS = {"Relu": "relu-sae", "TopK": "topk-sae", "BatchTopK": "batchtopk-sae"}


def is_saev(contents: Contents) -> bool:
    """Whether the file is of this library."""
    return contents.header is not None


def read_saev(contents: Contents, given: Given) -> Directions:
    """z = a(x W_enc + b_enc), without b_dec; files without a schema subtract it, schema 1 does not tell.

    Raises `UsageError` for what must be said, `NetworkError` for another schema or activation.
    """
    header = find_part({"header": contents.header}, "header")
    schema, weights = header.get("schema"), take_weights(contents)
    word, settings = _find_activation(header)
    subtract = False
    if "schema" not in header and ("d_vit" in header or "d_model" in header):
        word, subtract = "Relu", True
    elif schema == 1:
        subtract = bool(weights.offset.any()) and _ask_subtract(contents, given, header)
    elif schema not in (2, 3, 4, 5):
        raise NetworkError(
            f"{contents.path} is of saev's schema {name(schema)}; 1 to 5 and files without one are read"
        )
    if not isinstance(word, str) or word not in _KINDS:
        raise NetworkError(
            f"{contents.path} has the activation {name(word)}; saev's {', '.join(_KINDS)} are read"
        )
    about = {
        "library": "saev",
        "commit": header.get("commit"),
        "tokens": "content tokens, without class token and registers",
        SCALED_OUTSIDE: "mean and scale" if "schema" not in header else None,
    }
    activation = _make_activation(contents, given, word, settings, len(weights.bias))
    return weights.build(activation, _KINDS[word], about, subtract)


def _find_activation(header: Mapping[str, Any]) -> tuple[object, Mapping[str, Any]]:
    """The activation's class and its settings, wherever they are in the header."""
    cfg = find_part(header, "cfg")
    if "activation" in cfg:
        return find_part(cfg, "activation").get("cls"), find_part(cfg, "activation", "params")
    return header.get("cls"), cfg


def _make_activation(
    contents: Contents, given: Given, word: object, settings: Mapping[str, Any], latents: int
) -> Activation:
    if word == "Relu":
        return Relu()
    if word == "TopK":
        k = whole(contents, settings["top_k"], "top_k") if "top_k" in settings else given.whole("k")
        if k is None:
            raise given.ask("k, how many latents a cell keeps", "k=K")
        return TopK(min(k, latents), relu=False)
    found = contents.state.get("activation.threshold")
    threshold = given.number("threshold") if found is None else float(found)
    if threshold is None:
        raise given.ask("the threshold that stands for its BatchTopK", "threshold=T")
    return keep_above(threshold, latents)


def _ask_subtract(contents: Contents, given: Given, header: Mapping[str, Any]) -> bool:
    answer = given.choice("subtract", ("yes", "no"))
    if answer is None:
        commit = name(header.get("commit", "unknown"))
        what = (
            f"whether b_dec is subtracted (schema 1: until 2025-07-31, not since e7ca004; it is of {commit})"
        )
        raise given.ask(what, "subtract=yes", "subtract=no")
    return answer == "yes"
