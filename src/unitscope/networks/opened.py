"""How a network was opened, so that another process can open the same; and whether it is still that."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

from torch import nn


@dataclass(frozen=True)
class Opened:
    """What `load_network` was asked for, as texts and numbers, and what it made of it.

    `structure` describes the module as it was then. The module itself and its way to be run, by which `made`
    tells another one, are not sent to other processes.
    """

    spec: str
    weights: str | None = None
    random: int | None = None
    download: bool = False
    size: tuple[int, int] | None = None
    structure: str = ""
    module: "ref[nn.Module] | None" = field(default=None, compare=False, repr=False)
    forward: Any = field(default=None, compare=False, repr=False)

    def made(self, module: nn.Module, forward: object) -> bool:
        """Whether that is what was opened, and not changed since but for its weights."""
        same = self.module is not None and self.module() is module and self.forward is forward
        return same and describe_structure(module) == self.structure

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
        hooks = [len(getattr(part, f"_forward_{kind}", ())) for kind in ("hooks", "pre_hooks")]
        try:
            told = re.sub(r" at 0x[0-9a-f]+", "", part.extra_repr())
        except Exception:  # what somebody's module says of itself may fail
            told = ""
        lines.append(f"{name} {type(part).__qualname__} {told} {part.training} {hooks}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
