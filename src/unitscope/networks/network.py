"""A network as a value: the module, how its input is prepared, what its outputs are called."""

import hashlib
import pickle
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from unitscope.axes import LARGEST, Pictures
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.channel_order import input_size
from unitscope.networks.opened import Opened
from unitscope.networks.patches import count_class_tokens, find_orders, find_patches
from unitscope.networks.tokens import Layout, Size, Tokens

Input = Tensor | tuple[Tensor, ...]
"""What a module is called with: a batch of images, or of latents with their kinds."""

Forward = Callable[[nn.Module, Any], object]
"""How a module is run on an `Input`: `forward(module, batch)` gives what the network gives."""

_ORDERS = {"rgb": (0, 1, 2), "bgr": (2, 1, 0), "gray": (0, 1, 2)}
"""Which bands of a picture a network reads, in its order; of gray their mixture."""

_BAND = re.compile(r"[bB]([1-9]\d*)")

Three = tuple[float, float, float]

IMAGENET: tuple[Three, Three] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of the colors of ImageNet, from 0 to 1, by which most networks normalize."""

_LUMINANCE = (0.299, 0.587, 0.114)

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

    `channels` is their order, or "gray" for networks that take one channel: the luminance of ITU-R 601,
    0.299 R + 0.587 G + 0.114 B, in whole numbers as Pillow's "L" has it. `mean` and `std` are one number a
    channel, or one for all.

    Of pictures of several bands `channels` names those that are read, in the network's order: by number from
    0, or "b1", "b2", ... from 1, as in `("b4", "b3", "b2")`. x = (v / m - mean) / std, where m is the largest
    number of its type, 255 or 65535, and 1 for real numbers, which are taken as they are. "rgb" are the first
    three bands. Raises `UsageError` where mean and std are of another length, or the channels unknown.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    crop_fraction: float = 1.0
    resample: str = "bilinear"
    channels: str | tuple[str | int, ...] = "rgb"

    def __post_init__(self) -> None:
        if isinstance(self.channels, str) and self.channels not in _ORDERS:
            bands = 'or a tuple of bands, such as ("b4", "b3", "b2")'
            raise UsageError(f"channels is {self.channels!r}; it is one of {', '.join(_ORDERS)}, {bands}")
        if not self.places:
            raise UsageError("channels names no band; say which, such as (0, 1, 2)")
        for name in ("mean", "std"):
            given = tuple(getattr(self, name))
            if len(given) not in (1, self.depth):
                wanted = f"{self.depth} numbers, one a channel of {self.channels!r}, or one for all"
                raise UsageError(f"{name} has {len(given)} numbers; wanted {wanted}")
            object.__setattr__(self, name, given if len(given) == self.depth else given * self.depth)

    @property
    def depth(self) -> int:
        """How many channels the network's input has."""
        return 1 if self.channels == "gray" else len(self.places)

    @property
    def places(self) -> tuple[int, ...]:
        """The bands of a picture that are read, from 0, in the network's order."""
        if isinstance(self.channels, str):
            return _ORDERS[self.channels]
        return tuple(map(_find_band, self.channels))

    def tensor(
        self, images: Pictures, device: str = "cpu", channels_last: bool = False
    ) -> Float32[Tensor, "image channel y x"]:
        """The batch that the network reads, normalized, channels first; `channels_last`: in memory.

        >>> Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3).tensor(np.zeros((1, 2, 2, 3), np.uint8)).min()
        tensor(-1.)
        """
        bands, largest = images.shape[3], LARGEST[images.dtype.name]
        self._check(images)
        if self.channels != "rgb" or bands > 3:
            images = images[..., sorted(self.places) if self.channels == "gray" else self.places]
        if images.dtype != np.uint8:
            images = images.astype(np.float32)
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        if self.channels == "gray" and images.dtype != np.uint8:
            pixels = (pixels @ pixels.new_tensor(_LUMINANCE))[..., None]
        elif self.channels == "gray":
            red, green, blue = pixels.to(torch.int32).unbind(-1)
            # In 65536ths, rounded, as Pillow counts.
            pixels = (red * 19595 + green * 38470 + blue * 7471 + 32768)[..., None] >> 16
        form = torch.channels_last if channels_last else torch.contiguous_format
        batch = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=form)
        scale = torch.tensor([1.0 / (largest * s) for s in self.std], device=device)
        shift = torch.tensor([m / s for m, s in zip(self.mean, self.std, strict=True)], device=device)
        return batch.mul_(scale[:, None, None]).sub_(shift[:, None, None])

    def normalize(self, pixels: Float32[Tensor, "image band y x"]) -> Float32[Tensor, "image channel y x"]:
        """What `tensor` makes of images, of their pixels in [0, 1]; gradients flow through it.

        Gray is not rounded to whole numbers here, which would have no gradient.

        >>> Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3).normalize(torch.ones(1, 3, 2, 2)).max()
        tensor(1.)
        """
        batch = pixels if self.channels == "rgb" and pixels.shape[1] == 3 else pixels[:, self.places]
        if self.channels == "gray":
            batch = torch.einsum("icyx,c->iyx", batch, batch.new_tensor(_LUMINANCE))[:, None]
        mean = torch.tensor(self.mean, device=pixels.device)[:, None, None]
        std = torch.tensor(self.std, device=pixels.device)[:, None, None]
        return (batch - mean) / std

    def _check(self, images: Pictures) -> None:
        bands, wanted = images.shape[3], max(self.places) + 1
        if bands < wanted:
            asked = f"channels={self.channels!r} asks for band {wanted}"
            raise UsageError(f"a picture has {bands} bands, and {asked}; name bands that it has")
        real = isinstance(self.channels, str) and images.dtype == np.float32
        if real and not (images.min() >= 0 and images.max() <= 1):
            found = f"the pictures have real numbers from {images.min():g} to {images.max():g}"
            way = "Preprocessing(channels=(0, 1), mean=..., std=...)"
            raise UsageError(f"{found}, which are no colors; name their bands, {way}")


def _find_band(name: str | int) -> int:
    if isinstance(name, int) and not isinstance(name, bool) and name >= 0:
        return name
    if isinstance(name, str) and (match := _BAND.fullmatch(name)):
        return int(match[1]) - 1
    raise UsageError(f"channels names the band {name!r}; bands are numbers from 0, or b1, b2, ... from 1")


_Digested = tuple[dict[str, object], dict[str, Tensor | bytes], str]
"""The stamps and the values that a digest was worked out from, and the digest."""


@dataclass(frozen=True, eq=False)
class Network:
    """What is dissected: any `nn.Module` with its preprocessing and class names.

    `name` is what opened it, and `opened` how, where `load_network` did. `tokens` is what is known of how a
    transformer's tokens lie in the picture; the rest is worked out from the size of the input.

    `forward(module, batch)` runs the module where that takes more than `module(images)`: a text besides, a
    second input, a list of images. `batch` is what `feed` makes: images, float32[image, channel, y, x] on the
    module's device and in its precision, normalized; of a `Generator` a tuple of latents and kinds. It may
    have any number of images, which layers must have as their first axis to be read. What `forward` returns
    is what the network gives: for removals, explanations and attacks logits [image, class], or an object with
    `logits`. It must take its tensors from `module` and `batch` alone, since the module may be a copy.

    Of what `torch.compile` returned, `module` is the module that was given to it. Raises `NetworkError` where
    its weights have no numbers or no shapes yet.
    """

    module: nn.Module
    preprocessing: Preprocessing = Preprocessing()
    classes: tuple[str, ...] = ()
    name: str = "network"
    tokens: Tokens = Tokens()  # noqa: RUF009 - frozen
    forward: Forward | None = None
    opened: Opened | None = field(default=None, repr=False, kw_only=True)
    _digested: list[_Digested] = field(default_factory=list, init=False, repr=False)
    _layouts: dict[Size, Layout] = field(default_factory=dict, init=False, repr=False)
    _watchers: list[Callable[[tuple[Any, ...]], None]] = field(default_factory=list, init=False, repr=False)
    _ways: list[Callable[[Input], Any]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", _unwrap(self.module))
        check_weights(self.module, self.name)

    @property
    def device(self) -> str:
        """Where the parameters are, and so what the module is called with must be."""
        return str(next(self.module.parameters(), torch.empty(0)).device)

    @property
    def dtype(self) -> torch.dtype:
        """The floating dtype of the parameters, such as bfloat16, which the module is called with too."""
        first = next(self.module.parameters(), torch.empty(0))
        return first.dtype if first.is_floating_point() else torch.float32

    def feed(self, images: Pictures, first: int, device: str = "cpu") -> Input:
        """What the module is called with for a batch of images, the first of them number `first`."""
        batch = self.preprocessing.tensor(images, device).to(self.dtype)
        return number_images(batch, range(first, first + len(images)))

    def blank(self, size: tuple[int, int] | None = None) -> Input:
        """A batch of one image of zeros, of the network's input size, on the device of its parameters."""
        height, width = size or self.preprocessing.size or _DEFAULT_SIZE
        return torch.zeros(1, self.preprocessing.depth, height, width, device=self.device, dtype=self.dtype)

    def run(self, batch: Input) -> Any:
        """What the network gives for a batch: one forward pass, by `forward` where there is one.

        >>> both = Network(nn.Bilinear(2, 2, 1), forward=lambda module, batch: module(batch, batch))
        >>> both.run(torch.zeros(4, 2)).shape
        torch.Size([4, 1])
        """
        return self._ways[-1](batch) if self._ways else self.pass_once(batch)

    def pass_once(self, batch: Input) -> Any:
        """What `run` gives where no block that it is in passes batches otherwise (`go`)."""
        if self.forward is None:
            return self.module(*spread(batch))
        for start in self._watchers:
            start(spread(batch))
        return self.forward(self.module, batch)

    @contextmanager
    def go(self, way: Callable[[Input], Any]) -> Iterator[None]:
        """Inside the block, `run` gives what `way` makes of a batch, by `pass_once`."""
        self._ways.append(way)
        try:
            yield
        finally:
            self._ways.remove(way)

    @contextmanager
    def watch(self, start: Callable[[tuple[Any, ...]], None]) -> Iterator[None]:
        """Inside the block, `start` is given the inputs of every forward pass before it begins.

        A pass is a call of the module, or, of a network with `forward`, one of `run`, which may call the
        module never (only parts of it) or many times.
        """
        if self.forward is None:
            handle = self.module.register_forward_pre_hook(
                lambda _module, args, kwargs: start((*args, *kwargs.values())), with_kwargs=True
            )
            try:
                yield
            finally:
                handle.remove()
            return
        self._watchers.append(start)
        try:
            yield
        finally:
            self._watchers.remove(start)

    def layout(self, batch: Input | Size) -> Layout:
        """How the tokens of each layer lie, for a batch or an input of (height, width).

        >>> Network(nn.Identity()).layout((64, 128)).place(8).grid
        (2, 4)
        """
        first, *_ = batch if isinstance(batch, tuple) else (batch,)
        size: Any = batch if isinstance(first, int) else input_size((first,))
        if size not in self._layouts:
            patches, orders = find_patches(self.module), find_orders(self.module)
            classes = count_class_tokens(self.module)
            self._layouts[size] = Layout(self.tokens, size, patches, orders, classes)
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


def check_weights(module: nn.Module, name: str) -> None:
    """Raises `NetworkError`, naming the network, where its weights have no numbers or no shapes yet.

    >>> check_weights(nn.Linear(2, 2, device="meta"), "net")
    Traceback (most recent call last):
    unitscope.errors.NetworkError: net has weights without numbers (weight, on the meta device); ...
    """
    for key, value in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(value):
            raise NetworkError(
                f"{name} has weights without a shape yet ({key}, of a lazy module), which would be drawn "
                "anew in every run; pass a batch through it before, with a fixed seed"
            )
        if value.is_meta:
            raise NetworkError(
                f"{name} has weights without numbers ({key}, on the meta device); build it on the CPU, or "
                "load its weights with assign=True"
            )


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
