"""What autoencoders of all libraries have in common, on their way to directions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.directions.activations import Activation, Gated, Relu, TanhRelu, Threshold, TopK
from unitscope.networks.directions.directions import Directions, make_directions
from unitscope.networks.directions.formats.contents import Contents
from unitscope.networks.directions.normalizations import ConstantNorm, LayerNorm, Normalization, Unchanged

SCALED_OUTSIDE = "scaled outside"
"""The entry of `about` that says that cells were scaled for the training, by numbers that the file lacks."""

_SHORT = 200


@dataclass(frozen=True)
class Weights:
    """An autoencoder's tensors as `Directions` has them, in the shapes that a file happens to have."""

    encoder: Tensor
    bias: Tensor
    decoder: Tensor
    offset: Tensor

    def with_unit_decoder(self) -> "Weights":
        """The same with decoder rows of length 1 and latents larger by what they lose."""
        size = self.decoder.norm(dim=1)
        rows = self.decoder / torch.where(size == 0, 1, size)[:, None]
        return replace(self, encoder=self.encoder * size, bias=self.bias * size, decoder=rows)

    def build(
        self,
        activation: Activation,
        kind: str,
        about: Mapping[str, object],
        subtract: bool = False,
        normalization: Normalization | None = None,
    ) -> Directions:
        """Directions of them; `subtract` takes the offset off before the encoder too."""
        return make_directions(
            self.encoder,
            self.decoder,
            bias=self.bias,
            offset=self.offset,
            subtracted=self.offset if subtract else None,
            normalization=normalization,
            activation=activation,
            kind=kind,
            about=say(about),
        )


def take_weights(contents: Contents, bias: str | None = "b_enc") -> Weights:
    """Weights as most name them: `W_enc` [unit, latent], `W_dec` [latent, unit], `b_enc`, `b_dec`."""
    encoder, decoder, offset = (tensor.float() for tensor in contents.take("W_enc", "W_dec", "b_dec"))
    first = contents.take(bias)[0].float() if bias else torch.zeros(encoder.shape[-1:])
    return Weights(encoder, first, decoder, offset)


def take_gate(
    contents: Contents, latents: int, gate: str, magnitude: str, then: Activation | None = None
) -> Gated:
    """The gate of an autoencoder with `r_mag`. Raises `UsageError` where it is of another size."""
    opens, scale, shift = (
        _of_latents(one, latents, "gate") for one in contents.take(gate, "r_mag", magnitude)
    )
    return Gated(opens, scale.exp(), shift, then or Relu())


def keep_above(threshold: Tensor | float, latents: int, strict: bool = True) -> Threshold:
    """What a rectifier and a threshold keep together. Raises `UsageError` for one of another size."""
    values = _of_latents(torch.as_tensor(threshold), latents, "threshold")
    return Threshold(values.clamp(min=0), strict)


def _of_latents(values: Tensor, latents: int, what: str) -> Float32[Tensor, "latent"]:
    if values.shape not in ((), (1,), (latents,)):
        raise UsageError(f"its {what} is {' x '.join(map(str, values.shape))}; wanted {latents}")
    return values.float().expand(latents).clone()


def read_normalization(contents: Contents, word: object) -> tuple[Normalization, str]:
    """The normalization that a word of SAE Lens or Prisma means, and what is missing for it."""
    if word in (None, False, "none"):
        return Unchanged(), ""
    if word == "layer_norm":
        return LayerNorm(), ""
    if word == "constant_norm_rescale":
        return ConstantNorm(), ""
    if word in (True, "expected_average_only_in", "covariance_whitening"):
        return Unchanged(), "expected_average_only_in" if word is True else str(word)
    raise NetworkError(f"{contents.path} normalizes cells by {name(word)}, which is not known")


def whole(contents: Contents, value: object, what: str) -> int:
    """A whole number of 1 or more out of a file. Raises `NetworkError` where it is none."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise NetworkError(f"{contents.path} says that {what} is {name(value)}; wanted a whole number")
    return value


def name_kind(activation: Activation) -> str:
    """The word for an autoencoder that has this activation."""
    words = {Relu: "relu", TanhRelu: "tanh-relu", TopK: "topk", Threshold: "jump", Gated: "gated"}
    return f"{words[type(activation)]}-sae"


def say(about: Mapping[str, object]) -> dict[str, str]:
    """What is known, as short texts, without what is not."""
    return {key: name(value) for key, value in about.items() if value not in (None, "")}


def name(value: object) -> str:
    """A value out of a file as a short text; of what has parts, its type."""
    if isinstance(value, str | int | float | bool):
        return " ".join(str(value).split())[:_SHORT]
    return f"a {type(value).__name__}" if value is not None else "nothing"


def find_part(found: Any, *keys: str) -> Mapping[str, Any]:
    """A part of nested settings; an empty one where it is missing."""
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
