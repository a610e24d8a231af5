"""A small network, its weights, and a class of somebody's trainer, for tests of checkpoints."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unitscope.networks.weights import put_weights, random_weights


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
        self.classifier = nn.Linear(4, 2)


class Trainer:
    """A class of somebody's trainer, with everything that objects have."""

    def __init__(self, **parts: Any) -> None:
        self.parts = parts


def make(seed: int = 7) -> Small:
    with random_weights(seed):
        return Small()


def with_prefix(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


STATE = make().state_dict()
OTHER = make(8).state_dict()


def check(path: Path, state: dict[str, Tensor] | None = None, place: str = "") -> None:
    """The file's weights are those that were saved, by whatever names."""
    module = make(1)
    put_weights(module, Path(f"{path}{place}"))
    found = module.state_dict()
    assert all(torch.equal(found[key], value) for key, value in (STATE if state is None else state).items())
