"""Activations and normalizations taken apart by name, for files, and put together again."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from unitscope.networks.directions.activations import ACTIVATIONS, Activation
from unitscope.networks.directions.normalizations import NORMALIZATIONS, Normalization

_KINDS: Mapping[str, type[Any]] = {**ACTIVATIONS, **NORMALIZATIONS}

AXES: Mapping[str, tuple[str, ...]] = {
    "encoder": ("unit", "latent"),
    "bias": ("latent",),
    "decoder": ("latent", "unit"),
    "offset": ("unit",),
    "subtracted": ("unit",),
    "normalization.mean": ("unit",),
    "activation.values": ("latent",),
    "activation.gate": ("latent",),
    "activation.scale": ("latent",),
    "activation.magnitude": ("latent",),
    "activation.then.values": ("latent",),
    "activation.gram": ("latent", "latent"),
}
"""The axes of every tensor that directions can have."""


def take_apart(name: str, part: Activation | Normalization) -> Iterator[tuple[str, Any]]:
    """What a part is called, under `name`, and its values, tensors and numbers.

    >>> from unitscope.networks.directions.activations import TopK
    >>> list(take_apart("activation", TopK(32, relu=True)))
    [('activation', 'topk'), ('activation.k', 32), ('activation.relu', True)]
    """
    yield name, next(word for word, kind in _KINDS.items() if kind is type(part))
    for one in fields(part):
        value = getattr(part, one.name)
        if isinstance(value, Activation):
            yield from take_apart(f"{name}.{one.name}", value)
        else:
            yield f"{name}.{one.name}", value


def put_together(name: str, values: Mapping[str, Any]) -> Any:
    """The part of which `take_apart` gave the values. Raises `KeyError` where they are of none.

    >>> put_together("activation", {"activation": "topk", "activation.k": 2, "activation.relu": False})
    TopK(k=2, relu=False)
    """
    kind = _KINDS[values[name]]
    places = {one.name: f"{name}.{one.name}" for one in fields(kind)}
    return kind(
        **{
            key: put_together(place, values) if key == "then" else values[place]
            for key, place in places.items()
        }
    )


def move(part: Any, device: torch.device | str) -> Any:
    """The same activation or normalization with its tensors on a device."""
    found = {one.name: getattr(part, one.name) for one in fields(part)}
    moved = {key: value.to(device) for key, value in found.items() if isinstance(value, Tensor)}
    moved |= {key: move(value, device) for key, value in found.items() if isinstance(value, Activation)}
    return replace(part, **moved)
