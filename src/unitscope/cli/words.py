"""The words that commands share: how arguments are written and what their help says."""

import json
import os
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from unitscope.errors import RunError, UsageError

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

Seeds = Annotated[int | None, arg(help="networks of each kind; by default 3, of axis, layers and training 5")]
Scenes = Annotated[int, arg(help="how many drawn scenes students are dissected over")]
Jobs = Annotated[int, arg(help="how many students are taught at a time, each on one core")]
Arithmetic = Annotated[ConventionName, arg(help="whose arithmetic: docs/theory.md has the table")]
Kept = Annotated[Path, arg(help="folder where students and their dissections are kept, for all studies")]
Results = Annotated[Path | None, arg(help="folder of the results; by default that of the study in --kept")]
Quick = Annotated[
    Flag, arg(help="a small version for a first look: 16 steps of teaching, 100 images, one seed")
]
Json = Annotated[Flag, arg(help="print JSON instead of tables")]


def find_device(name: str) -> str:
    """The device of that name, if torch can use it here; raises `UsageError` if not."""
    import torch

    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:  # which of them depends on how torch was built
        raise UsageError(f"torch cannot use a device {name!r} here; use --device cpu") from error
    return name


def check_out(folder: Path) -> None:
    """Tells before the work that a folder of results cannot be written; nothing is made.

    Raises `UsageError` where the folder, or one around it, is a file, `RunError` where it is read-only.
    """
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise UsageError(f"{place} is a file; name a folder with --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise RunError(f"cannot write {folder}: {place} is read-only for you; name another folder with --out")


def print_json(value: object) -> None:
    """Prints a value as JSON, null for a number that is none."""
    from unitscope.tables import plain

    print(json.dumps(plain(value), indent=1, allow_nan=False))
