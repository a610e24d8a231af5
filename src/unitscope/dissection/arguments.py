"""What a dissection is asked for, checked before any work."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from unitscope.concepts.vocabulary import ConceptSource, check_first
from unitscope.errors import SourceError, UsageError
from unitscope.networks.network import Network
from unitscope.statistics.annotations import MAX_CATEGORIES

Fit = Literal["stretch", "crop"]


def check_concepts(source: ConceptSource) -> None:
    """Raises `SourceError` where a source has no concepts, or more categories than can be counted.

    Raises also what `check_first` raises.
    """
    check_first(source)
    if not len(source.vocabulary):
        raise SourceError("the source has no concepts, only images; give it masks, or folders named by label")
    categories = len(source.vocabulary.categories)
    if categories > MAX_CATEGORIES:
        raise SourceError(
            f"the source has {categories} categories, at most {MAX_CATEGORIES} can be counted; merge some"
        )


def check_least(least: int, **values: int | None) -> None:
    for name, value in values.items():
        if value is not None and value < least:
            raise UsageError(f"{name} is {value}; it must be {least} or more")


def check_asked(network: object, source: ConceptSource, layers: Sequence[str], fit: str) -> tuple[str, ...]:
    """The layers, each once."""
    if not isinstance(network, Network):
        raise UsageError(
            f"the network is a {type(network).__name__}, which does not say how its input is prepared; give "
            "unitscope.Network(module, unitscope.Preprocessing(...))"
        )
    if isinstance(layers, str):
        raise UsageError(f"layers is the text {layers!r}; give a list, such as [{layers!r}]")
    if not layers:
        raise UsageError("no layer was named; `unitscope layers NETWORK` lists what can be dissected")
    if fit not in get_args(Fit):
        raise UsageError(f"fit is {fit!r}; it is one of {', '.join(get_args(Fit))}")
    if len(source) == 0:
        raise SourceError("the source has no images; there is nothing to read")
    return tuple(dict.fromkeys(layers))


def check_thresholds(layers: tuple[str, ...], thresholds: Mapping[str, np.ndarray]) -> None:
    missing = [layer for layer in layers if thresholds and layer not in thresholds]
    if missing:
        raise UsageError(
            f"the thresholds given do not cover layer {missing[0]}; they cover {', '.join(thresholds)}"
        )
    for layer, given in thresholds.items():
        values = np.asarray(given)
        if layer not in layers:
            raise UsageError(
                f"thresholds are given for layer {layer}, which is not among the layers to dissect "
                f"({', '.join(layers)}); name it or leave its thresholds out"
            )
        if values.ndim != 1 or values.dtype.kind not in "fiu":
            raise UsageError(
                f"the thresholds given for layer {layer} are {values.dtype} of shape {values.shape}; "
                "wanted a list of numbers, one a unit"
            )
        if np.isnan(values).any():
            unit = int(np.isnan(values).argmax())
            raise UsageError(
                f"the threshold given for unit {unit} of layer {layer} is nan; a threshold must be a number, "
                "inf for a unit that is never active"
            )
