"""What is said of a forward pass that failed, and what to do about it."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from unitscope.errors import ActivationError, NetworkError
from unitscope.networks.network import Input
from unitscope.networks.structures import describe
from unitscope.networks.weights import one_line

_LACKS = re.compile(r"missing \d+ required .*argument")
_OF_CHANNELS = re.compile(r"(?<!per )channel")
_OF_SIZE = re.compile(r"\b(size|shape|height|width|dimension|resolution|divisible)", re.IGNORECASE)


def tell_failure(name: str, batch: Input, error: Exception) -> NetworkError:
    """The error of a network that failed on a batch, in one line with advice where its words tell."""
    if isinstance(batch, tuple):
        shapes = " and ".join(describe(part) for part in batch)
        return NetworkError(f"{name} failed on an input of {shapes}: {one_line(error)}")
    size = " x ".join(map(str, batch.shape[-2:]))
    said = f"{name} failed on an input of {size} pixels: {one_line(error)}"
    return NetworkError(f"{said}{_advise(str(error), batch.shape[1])}")


def tell_not_finite(maps: Tensor, layer: str, keys: Sequence[str]) -> ActivationError:
    """The error of the first map[image, unit, y, x] of a layer that has a value that is not finite."""
    image, unit = (int(i) for i in (~torch.isfinite(maps)).flatten(2).any(2).nonzero()[0])
    bad = maps[image, unit][~torch.isfinite(maps[image, unit])][0].item()
    return ActivationError(
        f"unit {unit} of layer {layer} gave {bad} on image {keys[image]}; "
        "check the weights and the preprocessing of the network"
    )


def tell_negative(layer: str, key: str) -> ActivationError:
    """The error of a latent below 0, where only what is above 0 is kept."""
    return ActivationError(
        f"a latent of layer {layer} is below 0 on image {key}, and only cells above 0 are kept; leave cell "
        "scores out, and measure the layer with `unitscope cells`"
    )


def _advise(said: str, channels: int) -> str:
    """What to do about an error of a forward pass, as far as its words tell."""
    if _LACKS.search(said):
        return "; it takes more than an image: say how it is run, Network(module, forward=...)"
    if _OF_CHANNELS.search(said):
        given = f"; it was given {channels} channel{'s' * (channels != 1)}: "
        if channels == 1:
            return given + 'Preprocessing(channels="rgb") gives it the three colors'
        return given + 'if it wants one, say Preprocessing(channels="gray"), else wrap it in a module'
    return "; try another size" if _OF_SIZE.search(said) else ""
