"""What a file does not say and its user does: options by name, as texts or as values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from unitscope.errors import NetworkError, UsageError, say_near

OPTIONS: Mapping[str, str] = {
    "k": "how many latents a cell keeps",
    "threshold": "what a latent must reach",
    "kind": "which kind of autoencoder it is",
    "subtract": "whether the decoder's bias is subtracted before the encoder: yes or no",
    "unit_decoder": "whether directions are scaled to length 1, and latents with them: yes or no",
    "mean": "what is subtracted from a cell: a number, or a file of one for each unit",
    "scale": "what a cell is divided by",
}
"""Everything that can be said about a file, and what it means."""


class Given:
    """Options that were given for a file; each is asked for where the file lacks it."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        """Raises `UsageError` for an option that no file has."""
        for key in values:
            if key not in OPTIONS:
                near = say_near(key, OPTIONS) or f"; there are {', '.join(OPTIONS)}"
                raise UsageError(f"{path}: there is no option {key!r}{near}")
        self.path, self._values, self._asked = path, dict(values), set[str]()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def whole(self, key: str) -> int | None:
        """A whole number; None where it is not given. Raises `UsageError` where it is none."""
        value = self._take(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value)
        raise self._wrong(key, value, "a whole number")

    def number(self, key: str) -> float | None:
        """A finite number; None where it is not given. Raises `UsageError` where it is none."""
        value = self._take(key)
        if value is None:
            return None
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise self._wrong(key, value, "a number") from error
        if not np.isfinite(number):
            raise self._wrong(key, value, "a finite number")
        return number

    def choice(self, key: str, choices: tuple[str, ...]) -> str | None:
        """One of a few words; None where it is not given. Raises `UsageError` for another."""
        value = self._take(key)
        value = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
        if value is not None and value not in choices:
            raise self._wrong(key, value, " or ".join(choices))
        return value

    def vector(self, key: str, size: int) -> Float32[Tensor, "unit"] | None:
        """A number for each unit, from an array, a `.npy` or a safetensors file, or the same for all.

        None where it is not given. Raises `UsageError` where it is of another size, or is not there.
        """
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, str | Path):
            value = self._read(key, value)
        try:
            vector = torch.as_tensor(value, dtype=torch.float32).detach().cpu().squeeze()
        except (TypeError, ValueError, RuntimeError) as error:
            raise self._wrong(key, value, f"{size} numbers") from error
        if vector.shape not in ((), (size,)):
            raise UsageError(
                f"{self.path}: {key} has {vector.numel()} numbers; wanted 1, or {size}, one a unit"
            )
        if not vector.isfinite().all():
            raise UsageError(f"{self.path}: {key} has numbers that are not finite")
        return vector.expand(size).clone()

    def ask(self, what: str, *options: str) -> UsageError:
        """The error for what neither the file nor its user says, with options that say it."""
        said = " or ".join(f"?{option}" for option in options)
        return UsageError(f"{self.path} does not say {what}; say it after the file's name: {said}")

    def check_used(self) -> None:
        """Raises `UsageError` where something was given that the file says itself, or has no use for."""
        left = [key for key in self._values if key not in self._asked]
        if left:
            raise UsageError(f"{self.path} says {left[0]} itself, or has no use for it; leave it out")

    def _read(self, key: str, place: str | Path) -> Any:
        """What stands in a file, or the number that is written."""
        path = Path(place)
        try:
            if not path.is_file():
                return float(str(place))
            if path.suffix == ".npy":
                return np.load(path, allow_pickle=False)
            [vector] = load_file(path).values()
            return vector
        except (ValueError, EOFError, SafetensorError, OSError) as error:
            if path.is_file():
                wanted = "a .npy file, or one of safetensors with one tensor"
                raise NetworkError(f"{self.path}: {key}={place} holds no numbers; wanted {wanted}") from error
            raise self._wrong(key, place, "a number, or a file of numbers") from error

    def _take(self, key: str) -> Any:
        self._asked.add(key)
        return self._values.get(key)

    def _wrong(self, key: str, value: Any, wanted: str) -> UsageError:
        return UsageError(f"{self.path}: {key}={_show(value)}: wanted {wanted}")


def _show(value: Any) -> str:
    return (
        repr(value)[:40]
        if isinstance(value, str | int | float | bool | Path)
        else f"a {type(value).__name__}"
    )
