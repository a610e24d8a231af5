"""How a network was opened, so that another process can open the same; and whether it is still that."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Opened:
    """What `load_network` was asked for, as texts and numbers, and what it made of it.

    `made` is the module and its way to be run; `structure` describes it as it was then. Neither is sent to
    other processes.
    """

    spec: str
    weights: str | None = None
    random: int | None = None
    download: bool = False
    size: tuple[int, int] | None = None
    structure: str = ""
    made: tuple[Any, Any] | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        asked = self.spec, self.weights, self.random, self.download, self.size, self.structure
        return Opened, asked


def describe_structure(module: nn.Module) -> str:
    """A digest of all that a module is but its weights: kinds and settings of its parts, modes and hooks.

    >>> describe_structure(nn.Sequential(nn.ReLU())) == describe_structure(nn.Sequential(nn.GELU()))
    False
    """
    lines = []
    for name, part in module.named_modules():
        hooks = [len(part._forward_hooks), len(part._forward_pre_hooks)]
        told = re.sub(r" at 0x[0-9a-f]+", "", part.extra_repr())
        lines.append(f"{name} {type(part).__qualname__} {told} {part.training} {hooks}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
