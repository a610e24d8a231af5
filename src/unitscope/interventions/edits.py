"""Edits: what a layer's units are set to, and the network that runs with them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from unitscope.errors import UsageError
from unitscope.networks.network import Input, Network
from unitscope.networks.randomness import current_row
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, find_shapes, hook_layer
from unitscope.networks.unit_maps import read_others, read_units, write_units

Maps = Float32[Tensor, "image unit cell_y cell_x"]
Others = Float32[Tensor, "image unit token 1"]
Reach = Literal["all", "patches", "class"]
"""The tokens that an edit is of: class tokens, registers and patches; the patches; the class tokens."""


@dataclass(frozen=True, eq=False)
class Edit:
    """x <- (1 - a) x + a v for every unit of a layer, place and image.

    `strength` is a, from 0 (nothing happens) to 1 (x becomes v), `value` is v, in the layer's own units;
    both float32[image, unit, cell_y, cell_x], where an axis of length 1 stands for all.

    `tokens` says which tokens of a sequence are edited, by default the patches where the edit has places,
    else all; maps of convolutions have cells alone, all of which are patches. `steps` are the edits that this
    one was merged of, where they are of different tokens.

    Raises `UsageError` for a strength out of range, and for places in other tokens than patches.
    """

    layer: str
    strength: Float[Tensor, "#image #unit #cell_y #cell_x"]
    value: Float[Tensor, "#image #unit #cell_y #cell_x"]
    tokens: Reach | None = None
    steps: tuple["Edit", ...] = ()

    def __post_init__(self) -> None:
        placed = any(part.shape[2:] != (1, 1) for part in (self.strength, self.value))
        check_reach(self.tokens)
        if self.tokens is None:
            object.__setattr__(self, "tokens", "patches" if placed else "all")
        elif placed and self.tokens != "patches":
            raise UsageError(
                f"an edit of {self.layer} at a place is of patches, not of {self.tokens!r} tokens; leave out "
                "the place, or the tokens"
            )
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
        alike = self.tokens == later.tokens and not (self.steps or later.steps)
        first, second = (one.strength if alike else one.at_patches for one in (self, later))
        kept = first * (1 - second)
        strength = kept + second
        mixed = (self.value * kept + later.value * second) / strength.clamp_min(1e-12)
        value = torch.where(strength > 0, mixed, torch.zeros_like(mixed))
        if alike:
            return Edit(self.layer, strength, value, self.tokens)
        steps = (*(self.steps or (self,)), *(later.steps or (later,)))
        return Edit(self.layer, strength, value, "patches", steps)

    def apply(self, maps: Maps) -> Maps:
        """The edited maps of the patches; the maps given stay as they are."""
        strength, value = self.at_patches.to(maps), self.value.to(maps)
        return maps * (1 - strength) + strength * value

    def apply_others(self, others: Others, classes: int = 1) -> Others:
        """The edited class and register tokens, of which the first `classes` are class tokens.

        Raises `UsageError` where the edit is of class tokens and there are none.
        """
        for edit in self.steps or (self,):
            if edit.tokens == "class" and not others[:, :, :classes].shape[2]:
                raise UsageError(
                    f"layer {edit.layer} has no class tokens to edit; take tokens all or patches (--tokens)"
                )
            if edit.tokens == "patches" or not others.shape[2]:
                continue
            end = classes if edit.tokens == "class" else others.shape[2]
            strength, value = edit.strength.to(others), edit.value.to(others)
            new = others[:, :, :end] * (1 - strength) + strength * value
            others = torch.cat([new, others[:, :, end:].expand(len(new), -1, -1, -1)], 2)
        return others

    def take(self, start: int, stop: int) -> "Edit":
        """Some of the versions that the entries of axis 0 are."""
        parts = self.strength, self.value
        strength, value = (part[start:stop] if len(part) > 1 else part for part in parts)
        steps = tuple(one.take(start, stop) for one in self.steps)
        return Edit(self.layer, strength, value, self.tokens, steps)

    @property
    def at_patches(self) -> Float[Tensor, "#image #unit #cell_y #cell_x"]:
        """The strength at the patches: 0 where the edit is of class tokens."""
        return torch.zeros_like(self.strength) if self.tokens == "class" else self.strength


def set_units(
    layer: str,
    units: Sequence[int],
    count: int,
    *,
    value: float | Float[Tensor, "chosen"] = 0.0,
    strength: float = 1.0,
    place: Float[Tensor, "cell_y cell_x"] | None = None,
    tokens: Reach | None = None,
) -> Edit:
    """An edit that sets some of a layer's `count` units to a value, by default to 0: removal.

    `value` is one number or one a unit; `place` says how strongly in every cell, everywhere if None. `tokens`
    are "all" (class tokens, registers and patches), "patches" or "class"; by default all, and the patches
    where there is a place. Raises `UsageError` for a unit that the layer does not have, or a place in other
    tokens than patches.

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
    return Edit(layer, strengths if place is None else strengths * place.float(), values, tokens)


def check_reach(tokens: str | None) -> None:
    """Raises `UsageError` for tokens that there are none of."""
    if tokens is not None and tokens not in get_args(Reach):
        raise UsageError(f"there are no tokens {tokens!r}; wanted all, patches or class")


@contextmanager
def edited(network: Network, *edits: Edit) -> Iterator[None]:
    """Inside the block the network runs with the edits; afterwards, also after an error, as before.

    Raises `UsageError` for a layer that does not exist, an edit that does not fit its maps, or one of class
    tokens where it has none, `NetworkError` at the end of the block where the network ran and an edited layer
    never did.
    """
    merged: dict[str, Edit] = {}
    for edit in edits:
        merged[edit.layer] = merged[edit.layer].then(edit) if edit.layer in merged else edit
    with ExitStack() as hooks:
        for layer, edit in merged.items():
            hooks.enter_context(hook_layer(network, layer, partial(_apply, edit)))
        yield


def _apply(edit: Edit, raw: Tensor, layout: Layout) -> Tensor:
    maps, row = read_units(raw, layout, edit.layer), current_row()
    edit = edit if row is None else edit.take(row, row + 1)
    for part in (edit.strength, edit.value):
        if any(one not in (1, there) for one, there in zip(part.shape, maps.shape, strict=True)):
            raise UsageError(
                f"an edit of shape {tuple(part.shape)} does not fit the maps of {edit.layer}, "
                f"{tuple(maps.shape)}; an axis has that length or 1"
            )
    others = edit.apply_others(read_others(raw, layout, edit.layer), layout.classes)
    return write_units(raw, edit.apply(maps), layout, edit.layer, others)


def find_tokens(network: Network, layer: str, batch: Input) -> tuple[int, int] | None:
    """How many class tokens and registers a layer has beside its patches; None where it has no such tokens.

    Runs the network on the batch. Raises `UsageError` for a layer that does not exist.
    """
    found: list[tuple[int, int]] = []

    def note(raw: Tensor, layout: Layout) -> Tensor:
        others = read_others(raw, layout, layer).shape[2]
        found.append((min(others, layout.classes), max(others - layout.classes, 0)))
        return raw

    with evaluation(network), torch.no_grad(), hook_layer(network, layer, note):
        network.run(batch)
    return found[-1] if found and any(found[-1]) else None


def count_units(network: Network, layer: str) -> int:
    """How many units a layer has, or latents. Raises `UsageError` for one that cannot be edited."""
    shapes = find_shapes(network, [layer])
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
