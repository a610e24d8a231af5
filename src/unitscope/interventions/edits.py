"""Edits: what a layer's units are set to, and the network that runs with them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from unitscope.errors import UsageError
from unitscope.networks.network import Network
from unitscope.networks.randomness import current_row
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import hook_layer, list_layers
from unitscope.networks.unit_maps import read_units, write_units

Maps = Float32[Tensor, "image unit cell_y cell_x"]


@dataclass(frozen=True, eq=False)
class Edit:
    """x <- (1 - a) x + a v for every unit of a layer, place and image.

    `strength` is a, from 0 (nothing happens) to 1 (x becomes v), `value` is v, in the layer's own units;
    both float32[image, unit, cell_y, cell_x], where an axis of length 1 stands for all.
    """

    layer: str
    strength: Float[Tensor, "#image #unit #cell_y #cell_x"]
    value: Float[Tensor, "#image #unit #cell_y #cell_x"]

    def __post_init__(self) -> None:
        low, high = (float(end) for end in self.strength.detach().aminmax())
        if not (low >= 0 and high <= 1):
            raise UsageError(f"the strength of an edit goes from {low:g} to {high:g}; wanted 0 to 1")

    def then(self, later: "Edit") -> "Edit":
        """This edit followed by another one of the same layer, as one edit.

        a = 1 - (1 - a1)(1 - a2), v = (v1 a1 (1 - a2) + v2 a2) / a (the compositing of GAN Dissection's
        tool, papers B and GAN Dissection). Raises `UsageError` where the layers differ.
        """
        if later.layer != self.layer:
            raise UsageError(f"an edit of {self.layer} cannot be merged with one of {later.layer}")
        kept = self.strength * (1 - later.strength)
        strength = kept + later.strength
        mixed = (self.value * kept + later.value * later.strength) / strength.clamp_min(1e-12)
        return Edit(self.layer, strength, torch.where(strength > 0, mixed, torch.zeros_like(mixed)))

    def keep(self, row: int | None) -> "Edit":
        """The edit of one image of the batch; of all if None."""
        if row is None:
            return self
        parts = (part if len(part) == 1 else part[row : row + 1] for part in (self.strength, self.value))
        return Edit(self.layer, *parts)

    def apply(self, maps: Maps) -> Maps:
        """The edited maps; the maps given stay as they are."""
        strength, value = self.strength.to(maps), self.value.to(maps)
        return maps * (1 - strength) + strength * value


def set_units(
    layer: str,
    units: Sequence[int],
    count: int,
    *,
    value: float | Float[Tensor, "chosen"] = 0.0,
    strength: float = 1.0,
    place: Float[Tensor, "cell_y cell_x"] | None = None,
) -> Edit:
    """An edit that sets some of a layer's `count` units to a value, by default to 0: removal.

    `value` is one number or one a unit; `place` says how strongly in every cell, everywhere if None.
    Raises `UsageError` for a unit that the layer does not have.

    >>> edit = set_units("layer4", [1], 3, value=2.0)
    >>> edit.apply(torch.ones(1, 3, 1, 1)).flatten().tolist()
    [1.0, 2.0, 1.0]
    """
    wrong = [unit for unit in units if not 0 <= unit < count]
    if wrong:
        raise UsageError(f"layer {layer} has units 0 to {count - 1}, not {wrong[0]}")
    strengths, values = torch.zeros(1, count, 1, 1), torch.zeros(1, count, 1, 1)
    chosen = torch.as_tensor(list(units), dtype=torch.long)
    strengths[:, chosen] = strength
    if isinstance(value, Tensor):
        values[0, chosen, 0, 0] = value.float()
    else:
        values[:, chosen] = value
    return Edit(layer, strengths if place is None else strengths * place.float(), values)


@contextmanager
def edited(network: Network, *edits: Edit) -> Iterator[None]:
    """Inside the block the network runs with the edits; afterwards, also after an error, as before.

    Raises `UsageError` for a layer that does not exist or an edit that does not fit its maps, `NetworkError`
    at the end of the block where the network ran and an edited layer never did.
    """
    merged: dict[str, Edit] = {}
    for edit in edits:
        merged[edit.layer] = merged[edit.layer].then(edit) if edit.layer in merged else edit
    with ExitStack() as hooks:
        for layer, edit in merged.items():
            hooks.enter_context(hook_layer(network, layer, partial(_apply, edit)))
        yield


def _apply(edit: Edit, raw: Tensor, layout: Layout) -> Tensor:
    maps, edit = read_units(raw, layout, edit.layer), edit.keep(current_row())
    for part in (edit.strength, edit.value):
        if any(one not in (1, there) for one, there in zip(part.shape, maps.shape, strict=True)):
            raise UsageError(
                f"an edit of shape {tuple(part.shape)} does not fit the maps of {edit.layer}, "
                f"{tuple(maps.shape)}; an axis has that length or 1"
            )
    return write_units(raw, edit.apply(maps), layout, edit.layer)


def count_units(network: Network, layer: str) -> int:
    """How many units a layer has. Raises `UsageError` for one that cannot be edited."""
    shapes = {row.name: row for row in list_layers(network)}
    if layer not in shapes or (shape := shapes[layer].shape) is None:
        reason = shapes[layer].reason if layer in shapes else "see `unitscope layers`"
        raise UsageError(f"the units of layer {layer!r} of {network.name} cannot be edited: {reason}")
    return shape[0]


def check_counts(layer: str, units: int, counts: Sequence[int]) -> None:
    """Raises `UsageError` for no number of units to remove, or one that a layer does not have."""
    if wrong := [count for count in counts or [0] if not 1 <= count <= units]:
        raise UsageError(
            f"layer {layer} has {units} units; remove 1 to {units}, not {wrong[0]} as in {list(counts)}"
        )
