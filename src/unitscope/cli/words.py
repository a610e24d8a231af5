"""What commands share: how arguments are written, what their help says, options that belong together."""

import json
import os
import re
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from unitscope.errors import RunError, UsageError
from unitscope.networks import KINDS
from unitscope.plugins import NETWORKS, SOURCES, Kind, spell_kinds

if TYPE_CHECKING:
    import unitscope as us
    from unitscope.results import Result

_SOURCES = {
    grammar.partition(":")[0]: Kind("", grammar)
    for grammar in (
        "folder:DIR",
        "broden:DIR",
        "voc:DIR and other words for published sets (docs/how-to/datasets.md)",
        "segmenter:NAME,images=SOURCE",
        "generator:NAME",
        "FILE.py:FACTORY",
    )
}

ConventionName = Literal["netdissect", "pnas", "netdissect-lite", "gandissect", "dissect"]
Convention = Annotated[ConventionName, arg(help="whose arithmetic: docs/theory.md has the table")]
Flag = FlagCreatePairsOff[bool]
# Texts that are made when help is printed: they ask all packages for what they bring.
_network: Any = partial(spell_kinds, NETWORKS, KINDS)
_source: Any = partial(spell_kinds, SOURCES, _SOURCES)
Network = Annotated[Positional[str], arg(help=_network, metavar="NETWORK")]
Source = Annotated[str, arg(help=_source, metavar="SOURCE")]
Again = Annotated[
    str | None, arg(help="the images of the run, where it cannot open them again itself", metavar="SOURCE")
]
Run = Annotated[Positional[Path], arg(help="the folder of a finished run", metavar="RUN")]
Device = Annotated[str, arg(help="cpu, cuda, cuda:1, ...")]
Json = Annotated[Flag, arg(help="print JSON instead of tables")]


@dataclass(frozen=True)
class Opening:
    """How the network is opened.

    Args:
        weights: a checkpoint, or FILE#PLACE for one of several in it; nothing in it is executed.
        random_weights: a seed: the architecture with random weights.
        download: allow the network's library to fetch pretrained weights.
        size: the network's input in pixels: a side, such as 224, or HEIGHTxWIDTH, such as 224x448.
        grid: rows and columns of a transformer's patch tokens, such as 14x28, where it must be told.
        prefix_tokens: how many class and register tokens stand before them.
    """

    weights: Path | None = None
    random_weights: int | None = None
    download: Flag = False
    size: str | None = None
    grid: str | None = None
    prefix_tokens: int | None = None

    def load(self, network: str) -> "us.Network":
        """The network of that name, opened so."""
        from unitscope.networks.load import load_network

        grid, first = read_pair("--grid", self.grid), self.prefix_tokens
        loaded = load_network(
            network,
            weights=self.weights,
            random=self.random_weights,
            download=self.download,
            size=read_pair("--size", self.size),
        )
        known = loaded.tokens
        known = known if grid is None else replace(known, grid=grid)
        known = known if first is None else replace(known, first=first)
        return loaded if known is loaded.tokens else replace(loaded, tokens=known)


@dataclass(frozen=True)
class Running:
    """Where the network runs, and how fast.

    Args:
        device: cpu, cuda, cuda:1, ...
        mixed_precision: run the network in the device's reduced precision.
        batch_size: images a batch; by default as the network suggests, 8 to 32 on a CPU, and on a GPU as many
            as its memory holds, up to 256.
        memory: gigabytes to hold at most, besides libraries, network and labels.
        threads: threads to use, all cores by default.
    """

    device: str = "cpu"
    mixed_precision: Flag = False
    batch_size: int | None = None
    memory: float = 4.0
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads is {self.threads}; it must be at least 1")
        if not 0 < self.memory < float("inf"):
            raise UsageError(f"--memory is {self.memory}; give gigabytes above 0, such as 4")

    def start(self) -> "us.Machine":
        """Sets the number of threads; the machine that `unitscope.dissect` takes. Raises as `find_device`."""
        import torch

        from unitscope.statistics.scan import Machine

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        device = find_device(self.device)
        return Machine(device, self.mixed_precision, self.threads, int(self.memory * 2**30))


@dataclass(frozen=True)
class Draws:
    """What is drawn at random.

    Args:
        draws: how often random units are drawn.
        seed: seed of all that is drawn.
    """

    draws: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"--seed is {self.seed}; it must be 0 or more")


@dataclass(frozen=True)
class Output:
    """Where the results go."""

    out: Annotated[Path, arg(help="folder of the results", metavar="DIR")]
    json: Json = False

    def check(self) -> None:
        """Fails before the work where the folder cannot be written (`check_out`) or figures not be drawn."""
        from unitscope.views.figures import load_matplotlib

        load_matplotlib()
        check_out(self.out)


@dataclass(frozen=True)
class Address:
    """Where the page is served.

    Args:
        host: the address to serve at; others than 127.0.0.1 let other machines in, and nobody is asked who
            they are.
        port: the port to serve at; 0 takes a free one.
    """

    host: str = "127.0.0.1"
    port: int = 0


def read_pair(option: str, text: str | None) -> tuple[int, int] | None:
    """Rows and columns as an option has them: a side of a square, or ROWSxCOLUMNS.

    Raises `UsageError` for anything else.

    >>> read_pair("--size", "224"), read_pair("--size", "224x448")
    ((224, 224), (224, 448))
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip(), re.ASCII)
    if match is None:
        wanted = "the side of a square, such as 14, or rows and columns, such as 14x28"
        raise UsageError(f"{option} is {text!r}; give {wanted}")
    return int(match[1]), int(match[2] or match[1])


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


def show(result: "Result", json: bool, *lines: str) -> None:
    """Prints a result, then lines about its files; as JSON the lines go to stderr."""
    if json:
        print_json(result.describe())
    else:
        print(result)
    for line in lines:
        print(line, file=sys.stderr if json else sys.stdout)


def publish(result: "Result", output: Output, **shown: object) -> None:
    """Writes a result's tables and its page, and prints it with their paths, or as JSON alone."""
    result.save(output.out)
    page = result.page(output.out, **shown)
    tables = ", ".join(str(output.out / name) for name in result.files)
    show(result, output.json, *([] if output.json else [f"\ntables: {tables}", f"page: {page}"]))
