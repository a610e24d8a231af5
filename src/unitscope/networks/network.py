"""A network as a value: the module, how its input is prepared, what its outputs are called."""

import hashlib
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from unitscope.networks.channel_order import input_size
from unitscope.networks.patches import find_orders, find_patches
from unitscope.networks.tokens import Layout, Size, Tokens

Input = Tensor | tuple[Tensor, ...]
"""What a module is called with: a batch of images, or of latents with their kinds."""

Three = tuple[float, float, float]

IMAGENET: tuple[Three, Three] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of the colors of ImageNet, from 0 to 1, by which most networks normalize."""

_DEFAULT_SIZE = (224, 224)
_NUMBERS = "_unitscope_numbers"


def three(values: Iterable[Any]) -> Three:
    """Three numbers, as mean and deviation of colors are kept."""
    red, green, blue = map(float, values)
    return red, green, blue


def spread(batch: Input) -> tuple[Tensor, ...]:
    """The tensors of a batch, as a module takes them: `module(*spread(batch))`."""
    return batch if isinstance(batch, tuple) else (batch,)


def number_images(batch: Input, numbers: Sequence[int]) -> Input:
    """The batch, which from now on knows the number of each of its images: what a random network draws by."""
    setattr(spread(batch)[0], _NUMBERS, tuple(numbers))
    return batch


def numbers_of(batch: Input) -> tuple[int, ...]:
    """The numbers of a batch's images, 0 where they have none.

    >>> numbers_of(torch.zeros(2, 3)), numbers_of(number_images(torch.zeros(2, 3), [4, 5]))
    ((0, 0), (4, 5))
    """
    first = spread(batch)[0]
    found: tuple[int, ...] = getattr(first, _NUMBERS, None) or (0,) * len(first)
    return found


def split_images(batch: Input) -> list[Input]:
    """Batches of one image each, which keep their numbers."""
    parts = spread(batch)
    rows = [tuple(part[row : row + 1] for part in parts) for row in range(len(parts[0]))]
    singles: list[Input] = [row if isinstance(batch, tuple) else row[0] for row in rows]
    return [number_images(one, [number]) for one, number in zip(singles, numbers_of(batch), strict=True)]


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input: x = (rgb / 255 - mean) / std.

    `size` is (height, width) of the input, None for the size of the stored image. `crop_fraction`
    and `resample` are what the network's library evaluates it with (used by `fit="crop"`).
    """

    size: tuple[int, int] | None = None
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    crop_fraction: float = 1.0
    resample: str = "bilinear"
    channels: Literal["rgb", "bgr"] = "rgb"

    def tensor(
        self, images: UInt8[np.ndarray, "image y x 3"], device: str = "cpu"
    ) -> Float32[Tensor, "image 3 y x"]:
        """The batch that the network reads, normalized, channels first.

        >>> Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3).tensor(np.zeros((1, 2, 2, 3), np.uint8)).min()
        tensor(-1.)
        """
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        batch = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        if self.channels == "bgr":
            batch = batch.flip(1)
        scale = torch.tensor([1.0 / (255.0 * s) for s in self.std], device=device)
        shift = torch.tensor([m / s for m, s in zip(self.mean, self.std, strict=True)], device=device)
        return batch.mul_(scale[:, None, None]).sub_(shift[:, None, None])

    def normalize(self, pixels: Float32[Tensor, "image 3 y x"]) -> Float32[Tensor, "image 3 y x"]:
        """What `tensor` makes of images, of RGB pixels in [0, 1]; gradients flow through it.

        >>> Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3).normalize(torch.ones(1, 3, 2, 2)).max()
        tensor(1.)
        """
        batch = pixels.flip(1) if self.channels == "bgr" else pixels
        mean = torch.tensor(self.mean, device=pixels.device)[:, None, None]
        std = torch.tensor(self.std, device=pixels.device)[:, None, None]
        return (batch - mean) / std


_Digested = tuple[dict[str, object], dict[str, Tensor | bytes], str]
"""The stamps and the values that a digest was worked out from, and the digest."""


@dataclass(frozen=True, eq=False)
class Network:
    """What is dissected: any `nn.Module` with its preprocessing and class names.

    `name` is what opened it. `tokens` is what is known of how a transformer's tokens lie in the picture; the
    rest is worked out from the size of the input.

    Of what `torch.compile` returned, `module` is the module that was given to it.
    """

    module: nn.Module
    preprocessing: Preprocessing = Preprocessing()
    classes: tuple[str, ...] = ()
    name: str = "network"
    tokens: Tokens = Tokens()  # noqa: RUF009 - frozen
    _digested: list[_Digested] = field(default_factory=list, init=False, repr=False)
    _layouts: dict[Size, Layout] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", _unwrap(self.module))

    @property
    def device(self) -> str:
        """Where the parameters are, and so what the module is called with must be."""
        return str(next(self.module.parameters(), torch.empty(0)).device)

    @property
    def dtype(self) -> torch.dtype:
        """The floating dtype of the parameters, such as bfloat16, which the module is called with too."""
        first = next(self.module.parameters(), torch.empty(0))
        return first.dtype if first.is_floating_point() else torch.float32

    def feed(self, images: UInt8[np.ndarray, "image y x 3"], first: int, device: str = "cpu") -> Input:
        """What the module is called with for a batch of images, the first of them number `first`."""
        batch = self.preprocessing.tensor(images, device).to(self.dtype)
        return number_images(batch, range(first, first + len(images)))

    def blank(self, size: tuple[int, int] | None = None) -> Input:
        """A batch of one image of zeros, of the network's input size, on the device of its parameters."""
        height, width = size or self.preprocessing.size or _DEFAULT_SIZE
        return torch.zeros(1, 3, height, width, device=self.device, dtype=self.dtype)

    def layout(self, batch: Input | Size) -> Layout:
        """How the tokens of each layer lie, for a batch or an input of (height, width).

        >>> Network(nn.Identity()).layout((64, 128)).place(8).grid
        (2, 4)
        """
        first, *_ = batch if isinstance(batch, tuple) else (batch,)
        size: Any = batch if isinstance(first, int) else input_size((first,))
        if size not in self._layouts:
            patches, orders = find_patches(self.module), find_orders(self.module)
            self._layouts[size] = Layout(self.tokens, size, patches, orders)
        return self._layouts[size]

    @property
    def digest(self) -> str:
        """A SHA-256 over names, shapes and values of all parameters and buffers, in hexadecimal.

        What a module keeps besides (`get_extra_state`) counts as it is pickled. Worked out again once a
        weight was changed in place or exchanged; what is written past torch, into `weight.data` or the memory
        of a numpy array, is not noticed.
        """
        state = {key: _freeze(value) for key, value in sorted(self.module.state_dict().items())}
        stamp = {key: _stamp(value) for key, value in state.items()}
        if self._digested and None not in stamp.values() and self._digested[0][0] == stamp:
            return self._digested[0][2]
        found = _hash(state)
        # The tensors are kept with it: freed, their memory could become that of other weights.
        self._digested[:] = [(stamp, state, found)]
        return found


def as_network(network: Network | nn.Module) -> Network:
    """The network, or a bare module as one, under the name of its class."""
    return network if isinstance(network, Network) else Network(network, name=type(_unwrap(network)).__name__)


def _unwrap(module: nn.Module) -> nn.Module:
    inner = getattr(module, "_orig_mod", None)  # its class lies where importing takes seconds
    return inner if isinstance(inner, nn.Module) and type(module).__name__ == "OptimizedModule" else module


def _freeze(value: object) -> Tensor | bytes:
    if isinstance(value, Tensor):
        return value.detach()
    try:
        return pickle.dumps(value, protocol=4)
    except Exception:  # pickle raises whatever the object's methods raise
        return type(value).__qualname__.encode()


def _stamp(value: Tensor | bytes) -> object:
    """Differs once a tensor was changed; None where torch does not count its changes."""
    if isinstance(value, bytes):
        return value
    if value.is_inference():
        return None
    return value.data_ptr(), value._version, value.dtype, value.device, value.shape, value.stride()


def _hash(state: dict[str, Tensor | bytes]) -> str:
    hasher = hashlib.sha256()
    for key, value in state.items():
        if isinstance(value, bytes):
            hasher.update(f"{key} {len(value)} bytes".encode() + value)
            continue
        array = value.cpu().contiguous()
        hasher.update(f"{key}{tuple(array.shape)}{array.dtype}".encode())
        hasher.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()
