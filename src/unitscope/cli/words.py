"""The words that commands share: how arguments are written and what their help says."""

import json
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from unitscope.errors import UsageError

ConventionName = Literal["netdissect", "pnas", "netdissect-lite", "gandissect", "dissect"]
Flag = FlagCreatePairsOff[bool]
Network = Annotated[
    Positional[str],
    arg(
        help="torchvision:NAME, timm:NAME, hf:FOLDER, efficientnet-lite0, zoo:NAME, head:FILE, "
        "or FILE.py:FACTORY",
        metavar="NETWORK",
    ),
]
Source = Annotated[
    str,
    arg(
        help="drawn[:count=N,seed=N,size=N], folder:DIR, broden:DIR or segmenter:NAME,images=SOURCE",
        metavar="SOURCE",
    ),
]
Run = Annotated[Positional[Path], arg(help="the folder of a finished run", metavar="RUN")]


def find_device(name: str) -> str:
    """The device of that name, if torch can use it here; raises `UsageError` if not."""
    import torch

    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:  # which of them depends on how torch was built
        raise UsageError(f"torch cannot use a device {name!r} here; use --device cpu") from error
    return name


def print_json(value: object) -> None:
    """Prints a value as JSON."""
    print(json.dumps(value, indent=1))
