"""Directions of a layer's space: what reads latents from its cells, and what the latents stand for."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from unitscope.errors import UsageError
from unitscope.networks.directions.activations import Activation, Linear, TopK
from unitscope.networks.directions.normalizations import OF_CELLS, Normalization, Unchanged
from unitscope.networks.directions.parts import AXES, move, take_apart

Reads = Literal["output", "change"]
"""What cells are of a layer: what it gives, or what it adds, its output less its input."""

TENSORS = ("encoder", "bias", "decoder", "offset", "subtracted")
BLOCK = 2**21
"""How many latents are worked out at once, of all cells together: 8 MB, for larger blocks leave the
processor's cache between one step and the next, and take twice the time."""


@dataclass(frozen=True, eq=False, repr=False)
class Directions:
    """Directions in the space of a layer's units, read from its cells (places of a map, tokens) as latents.

    A cell x of d units has n latents z, and is rebuilt from them as x^:

        y  = normalized x - subtracted
        z  = activation(y encoder + bias)
        x^ = undone (z decoder + offset)

    `reads` says what x is of a layer: its "output", or the "change" that it makes, its output less its input.
    `kind` is a word such as "topk-sae" or "rotation"; `about` what a file said, which decides no number.
    `make_directions` makes one of the parts that differ from nothing.
    """

    encoder: Float32[Tensor, "unit latent"]
    bias: Float32[Tensor, "latent"]
    decoder: Float32[Tensor, "latent unit"]
    offset: Float32[Tensor, "unit"]
    subtracted: Float32[Tensor, "unit"]
    normalization: Normalization
    activation: Activation
    kind: str
    about: Mapping[str, str]
    reads: Reads = "output"

    def __repr__(self) -> str:
        return f"{self.kind}: {self.latents} latents of {self.units} units"

    @property
    def units(self) -> int:
        """How many units a cell has."""
        return self.encoder.shape[0]

    @property
    def latents(self) -> int:
        """How many latents are read from a cell."""
        return self.encoder.shape[1]

    @property
    def names(self) -> tuple[str, ...]:
        """What the latents are called, as those of probes by their concepts; none where nobody said it.

        >>> make_directions(torch.eye(2), about={"names": '["object/cat", "object/dog"]'}).names
        ('object/cat', 'object/dog')
        """
        try:
            told = json.loads(self.about.get("names", "[]"))
        except ValueError:
            return ()
        named = isinstance(told, list) and len(told) == self.latents
        return tuple(map(str, told)) if named else ()

    @property
    def sparse(self) -> bool:
        """Whether a latent has a state of its own in which it is off, 0: all but products and ranks of all.

        >>> rules = Linear(), TopK(1, relu=False)
        >>> [make_directions(torch.eye(2), activation=rule).sparse for rule in rules]
        [False, True]
        """
        rule = self.activation
        keeps_all = isinstance(rule, TopK) and rule.k >= self.latents and not rule.relu
        return not (keeps_all or isinstance(rule, Linear))

    @property
    def firing(self) -> int:
        """How many latents of a cell are not 0 at most, as far as the activation alone tells.

        >>> make_directions(torch.eye(3), activation=TopK(2, relu=True)).firing
        2
        """
        return self.activation.k if isinstance(self.activation, TopK) else self.latents

    @property
    def needs_cells(self) -> bool:
        """Whether `decode` wants the cells, whose own norm it undoes."""
        return isinstance(self.normalization, OF_CELLS)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of everything that decides numbers, the same on every device."""
        found = hashlib.sha256()
        tensors, facts = unpack(self)
        for name, tensor in sorted(tensors.items()):
            found.update(f"{name}{tuple(tensor.shape)}".encode())
            found.update(tensor.numpy().tobytes())
        found.update(repr(sorted(facts.items())).encode())
        return found.hexdigest()

    def count_together(self, cells: int) -> int:
        """How many images of so many cells are worked out together, the same whoever asks for some of them.

        >>> made = make_directions(torch.eye(4))
        >>> made.count_together(2**17), made.count_together(2**30)
        (4, 1)
        """
        return max(1, BLOCK // max(1, self.latents * cells))

    def encode(self, cells: Float[Tensor, "n unit"]) -> Float32[Tensor, "n latent"]:
        """The latents of cells, on their device, worked out in blocks of cells.

        Raises `UsageError` for cells of another width.

        >>> make_directions(torch.tensor([[1.0], [-2.0]])).encode(torch.tensor([[3.0, 1.0]]))
        tensor([[1.]])
        """
        self._check(cells.shape[1])
        here = self.to(cells.device)
        side = max(1, BLOCK // self.latents)
        if len(cells) <= side:
            return here._encode_block(cells)
        latents = torch.empty(len(cells), self.latents, device=cells.device)
        for start in range(0, len(cells), side):
            latents[start : start + side] = here._encode_block(cells[start : start + side])
        return latents

    def encode_maps(self, maps: Float[Tensor, "n unit y x"]) -> Float32[Tensor, "n latent y x"]:
        """The latents of maps, place by place, as maps.

        Where latents are a product alone it is a convolution by one cell on a CPU; the units themselves, as
        directions, are given as they are, to the bit. Raises `UsageError` for maps of another width.
        """
        self._check(maps.shape[1])
        here = self.to(maps.device)
        if self._is_product and self._is_identity:
            return maps.float().clone()
        if self._is_product and maps.device.type == "cpu":  # others round what enters a convolution
            return functional.conv2d(maps.float(), here.encoder.T.contiguous()[:, :, None, None]).contiguous()
        n, _, height, width = maps.shape
        area = height * width
        if isinstance(self.activation, TopK) and self.activation.k < self.latents:
            return here._place(maps, self.activation).reshape(n, self.latents, height, width)
        latents = torch.empty(n, self.latents, area, device=maps.device)
        images = self.count_together(area)
        for start in range(0, n, images):
            cells = maps[start : start + images].flatten(2).transpose(1, 2).reshape(-1, self.units)
            for image, found in enumerate(here.encode(cells).reshape(-1, area, self.latents), start):
                latents[image].copy_(found.T)  # image by image: torch turns a matrix in tiles, and no more
        return latents.reshape(n, self.latents, height, width)

    def _place(self, maps: Float[Tensor, "n unit y x"], rule: TopK) -> Float32[Tensor, "n latent cell"]:
        """The latents of maps of which few fire: only these are moved, in the same blocks of cells."""
        n, area = len(maps), maps.shape[2] * maps.shape[3]
        latents = torch.zeros(n, self.latents, area, device=maps.device)
        flat, images, side = latents.reshape(-1), self.count_together(area), max(1, BLOCK // self.latents)
        for start in range(0, n, images):
            cells = maps[start : start + images].flatten(2).transpose(1, 2).reshape(-1, self.units)
            for first in range(0, len(cells), side):
                h = self._project(cells[first : first + side])
                values, places, crowded = rule.pick(h)
                numbers = start * area + first + torch.arange(len(h), device=maps.device)
                image, cell = numbers // area, numbers % area
                begin = image * self.latents * area + cell
                flat.scatter_(0, (begin[:, None] + places * area).reshape(-1), values.reshape(-1))
                if crowded is not None:
                    latents[image[crowded], :, cell[crowded]] = rule.keep_first(h[crowded])
        return latents

    def decode(
        self, latents: Float[Tensor, "n latent"], cells: Float[Tensor, "n unit"] | None = None
    ) -> Float32[Tensor, "n unit"]:
        """The cells that latents stand for. `cells` are those they were read from, whose norm is undone.

        Raises `UsageError` for latents of another number, or without `cells` where their norm is wanted.

        >>> made = make_directions(torch.eye(2), offset=torch.tensor([1.0, 0.0]))
        >>> made.decode(torch.tensor([[3.0, 1.0]]))
        tensor([[4., 1.]])
        """
        if latents.shape[1] != self.latents:
            raise UsageError(f"{latents.shape[1]} latents were given, these directions have {self.latents}")
        if cells is None and self.needs_cells:
            raise UsageError("these directions undo the norm of each cell: decode(latents, cells)")
        here = self.to(latents.device)
        decoded = torch.addmm(here.offset, latents.float(), here.decoder)
        return here.normalization.undo(decoded, None if cells is None else cells.float())

    def to(self, device: torch.device | str) -> "Directions":
        """The same with all tensors on a device; itself where they are there."""
        if self.encoder.device == torch.device(device):
            return self
        moved = {name: getattr(self, name).to(device) for name in TENSORS}
        rules = {name: move(getattr(self, name), device) for name in ("normalization", "activation")}
        return replace(self, **moved, **rules)

    def _encode_block(self, cells: Float[Tensor, "n unit"]) -> Float32[Tensor, "n latent"]:
        if self._is_product and self._is_identity:
            return cells.float().clone()
        return self.activation(self._project(cells))

    def _project(self, cells: Float[Tensor, "n unit"]) -> Float32[Tensor, "n latent"]:
        return torch.addmm(self.bias, self.normalization.apply(cells.float()) - self.subtracted, self.encoder)

    def _check(self, units: int) -> None:
        if units != self.units:
            raise UsageError(f"the cells have {units} units, these directions read {self.units}")

    @cached_property
    def _is_product(self) -> bool:
        plain = isinstance(self.activation, Linear) and isinstance(self.normalization, Unchanged)
        return plain and not self.bias.any() and not self.subtracted.any()

    @cached_property
    def _is_identity(self) -> bool:
        return self.units == self.latents and torch.equal(self.encoder.cpu(), torch.eye(self.units))


def make_directions(
    encoder: Tensor,
    decoder: Tensor | None = None,
    *,
    bias: Tensor | None = None,
    offset: Tensor | None = None,
    subtracted: Tensor | None = None,
    normalization: Normalization | None = None,
    activation: Activation | None = None,
    kind: str = "linear",
    about: Mapping[str, str] | None = None,
    reads: Reads = "output",
) -> Directions:
    """Directions of the parts that are given; the others do nothing, and the decoder is the encoder turned.

    Raises `UsageError` where parts are not of the shapes that `Directions` has, or not finite.

    >>> make_directions(torch.eye(3)[:, :2], kind="probe")
    probe: 2 latents of 3 units
    """
    if encoder.ndim != 2 or not encoder.numel():
        raise UsageError(f"the directions' encoder is {_say_shape(encoder)}; wanted units x latents")
    units, latents = encoder.shape
    given = {
        "encoder": encoder,
        "bias": torch.zeros(latents) if bias is None else bias,
        "decoder": encoder.T if decoder is None else decoder,
        "offset": torch.zeros(units) if offset is None else offset,
        "subtracted": torch.zeros(units) if subtracted is None else subtracted,
    }
    parts = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in given.items()}
    normalization, activation = normalization or Unchanged(), activation or Linear()
    rules = dict(take_apart("normalization", normalization)) | dict(take_apart("activation", activation))
    _check_values({**parts, **rules}, {"unit": units, "latent": latents})
    return Directions(
        **parts,
        normalization=normalization,
        activation=activation,
        kind=kind,
        about=dict(about or {}),
        reads=reads,
    )


def _check_values(values: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
    """Raises `UsageError` where something has another shape than it must have, or is not finite."""
    for name, value in values.items():
        if isinstance(value, Tensor):
            wanted = tuple(sizes[axis] for axis in AXES[name])
            if tuple(value.shape) != wanted:
                due = " x ".join(map(str, wanted))
                raise UsageError(f"the directions' {name} is {_say_shape(value)}; wanted {due}")
            if not torch.isfinite(value).all():
                raise UsageError(f"the directions' {name} has numbers that are not finite; check the file")
        elif name.endswith(".k") and not 1 <= value <= sizes["latent"]:
            most = sizes["latent"]
            raise UsageError(f"k is {value}; of {most} latents 1 to {most} can be kept")


def _say_shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def unpack(made: Directions) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors, on the CPU, and all other facts that decide numbers, each by its name.

    >>> tensors, facts = unpack(make_directions(torch.eye(2)))
    >>> list(tensors), facts["activation"]
    (['encoder', 'bias', 'decoder', 'offset', 'subtracted'], 'linear')
    """
    found = {name: getattr(made, name) for name in TENSORS}
    found |= dict(take_apart("normalization", made.normalization))
    found |= dict(take_apart("activation", made.activation))
    found |= {} if made.reads == "output" else {"reads": made.reads}
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    facts = {name: value for name, value in found.items() if name not in tensors}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, facts
