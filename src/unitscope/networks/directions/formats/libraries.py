"""Which library wrote a file of an autoencoder, by what it holds, and the directions in it."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from unitscope.errors import NetworkError, UnitscopeError, UsageError
from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.formats.autoencoders import SCALED_OUTSIDE
from unitscope.networks.directions.formats.contents import Contents, read_contents
from unitscope.networks.directions.formats.dictionary_learning import (
    is_dictionary_learning,
    read_dictionary_learning,
)
from unitscope.networks.directions.formats.given import Given
from unitscope.networks.directions.formats.overcomplete import is_overcomplete, read_overcomplete
from unitscope.networks.directions.formats.prisma import is_prisma, read_prisma
from unitscope.networks.directions.formats.sae_lens import is_sae_lens, read_sae_lens
from unitscope.networks.directions.formats.saev import is_saev, read_saev
from unitscope.networks.directions.formats.sdxl_unbox import is_sdxl_unbox, read_sdxl_unbox
from unitscope.networks.directions.normalizations import Standardized, Unchanged
from unitscope.networks.weights import one_line

_LIBRARIES: Mapping[str, tuple[Callable[[Contents], bool], Callable[[Contents, Given], Directions]]] = {
    "saev": (is_saev, read_saev),
    "SAE Lens": (is_sae_lens, read_sae_lens),
    "ViT-Prisma": (is_prisma, read_prisma),
    "sdxl-unbox": (is_sdxl_unbox, read_sdxl_unbox),
    "overcomplete": (is_overcomplete, read_overcomplete),
    "dictionary-learning": (is_dictionary_learning, read_dictionary_learning),
}


def read_autoencoder(path: Path, options: Mapping[str, Any]) -> Directions:
    """The directions in a file or folder of one of the libraries; `options` say what it does not.

    Warns where cells were scaled for its training by numbers that it lacks and nobody gave.

    Raises `UsageError` for what must be said, or is said in vain; `NetworkError` for a file that is damaged,
    of no known library, or of a kind that is not directions.
    """
    contents = read_contents(path)
    given = Given(path, options)
    library = next((name for name, (knows, _) in _LIBRARIES.items() if knows(contents)), None)
    if library is None:
        seen = ", ".join(list(contents.state)[:6]) or "no tensors"
        raise NetworkError(
            f"{contents.path} is of no library that is read ({', '.join(_LIBRARIES)}); it holds {seen[:200]}"
        )
    try:
        made = _LIBRARIES[library][1](contents, given)
        made = _standardize(made, given)
    except UnitscopeError as error:
        if str(path) in str(error):
            raise
        raise NetworkError(f"{contents.path}: {error}") from error
    except (
        TypeError,
        ValueError,
        KeyError,
        AttributeError,
        IndexError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise NetworkError(f"{contents.path} is not as {library} writes it: {one_line(error)}") from error
    given.check_used()
    return made


def _standardize(made: Directions, given: Given) -> Directions:
    """With the mean and the scale that were given, which cells had before the training."""
    about = dict(made.about)
    lacking = about.pop(SCALED_OUTSIDE, "")
    if "mean" not in given and "scale" not in given:
        if lacking:
            said = f"{given.path}: its training normalized cells ({lacking}) by numbers that are not in it"
            advice = "give them after its name, ?mean=FILE&scale=S, for (x - mean) / scale"
            warnings.warn(f"{said}; latents are of cells as they are: {advice}", stacklevel=4)
        return made
    if not isinstance(made.normalization, Unchanged):
        return made  # which leaves both unasked for
    mean, scale = given.vector("mean", made.units), given.number("scale")
    if scale is not None and scale <= 0:
        raise UsageError(f"{given.path}: scale={scale}: wanted a number above 0")
    usual = Standardized(torch.zeros(made.units) if mean is None else mean, 1.0 if scale is None else scale)
    return replace(made, normalization=usual, about=about)
