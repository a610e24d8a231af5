"""sdxl-unbox, in the layout of OpenAI's autoencoders: a folder of `config.json` and `state_dict.pth`."""

from dataclasses import replace

from unitscope.networks.directions.activations import TopK
from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.formats.autoencoders import Weights, whole
from unitscope.networks.directions.formats.contents import Contents
from unitscope.networks.directions.formats.given import Given


def is_sdxl_unbox(contents: Contents) -> bool:
    """Whether the file is of this library."""
    return {"pre_bias", "latent_bias", "encoder.weight"} <= set(contents.state)


def read_sdxl_unbox(contents: Contents, given: Given) -> Directions:
    """The k largest of (x - pre_bias) E' + latent_bias, of these what is > 0.

    x is the change that a block makes, its output less its input.
    Raises `UsageError` for a k that is not said.
    """
    encoder, bias, decoder, offset = contents.take(
        "encoder.weight", "latent_bias", "decoder.weight", "pre_bias"
    )
    found = contents.config.get("k")
    k = given.whole("k") if found is None else whole(contents, found, "k")
    if k is None:
        raise given.ask("k, how many latents a cell keeps", "k=K")
    weights = Weights(encoder.T, bias, decoder.T, offset)
    made = weights.build(TopK(k, relu=True), "topk-sae", {"library": "sdxl-unbox"}, subtract=True)
    return replace(made, reads="change")
