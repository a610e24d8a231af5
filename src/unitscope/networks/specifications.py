"""Networks, images and segmenters as texts and plain numbers, which a worker opens again and checks."""

import socket
from dataclasses import dataclass, replace

from unitscope.concepts.derived import is_named, source_digest, source_spec
from unitscope.concepts.segmented import Segmenter
from unitscope.concepts.sources import derive, unravel
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import NetworkError, SourceError, UsageError
from unitscope.networks.generators import Generator, with_seed
from unitscope.networks.load import load_network
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.network_sources import load_segmenter
from unitscope.networks.open_source import open_source
from unitscope.networks.opened import Opened
from unitscope.networks.tokens import Tokens

_OPEN = "workers open network and images themselves"
_ADVICE = "write a function that returns it into a file and open FILE.py:FACTORY, or do without workers"


@dataclass(frozen=True)
class NetworkSpecification:
    """What opens a network again, and what it must be then; made by `specify_network`.

    `seed` is that of a generator's latents.
    """

    opened: Opened
    digest: str
    preprocessing: Preprocessing
    tokens: Tokens
    seed: int | None = None

    def open(self) -> Network:
        """The network. Raises `NetworkError` where it is another one here, and what `load_network` raises."""
        asked = self.opened
        network = load_network(
            asked.spec,
            weights=asked.weights,
            random=asked.random,
            download=asked.download,
            size=asked.size,
        )
        if network.digest != self.digest:
            raise NetworkError(
                f"{asked.spec} has other weights {say_here()} than where the run was begun; "
                "were they changed since it was opened? save them, and open them with weights="
            )
        if network.opened is None or network.opened.structure != asked.structure:
            raise NetworkError(f"{asked.spec} is another network {say_here()} than where the run was begun")
        network = replace(network, preprocessing=self.preprocessing, tokens=self.tokens)
        if isinstance(network, Generator) and self.seed is not None:
            return with_seed(network, self.seed)
        return network


@dataclass(frozen=True)
class SourceSpecification:
    """What opens a source again: a text, and the options that are applied then; made by `specify_source`."""

    spec: str
    applied: tuple[tuple[str, str], ...]
    digest: str

    def open(self, network: Network | None = None) -> ConceptSource:
        """The source; `network` makes the images of a generator.

        Raises `SourceError` where its images are not the same here, and what `open_source` raises.
        """
        source = derive(open_source(self.spec, network), list(self.applied))
        if source_digest(source) != self.digest:
            raise SourceError(
                f"{source_spec(source)}: other images {say_here()} than where the run was begun"
            )
        return source


@dataclass(frozen=True)
class SegmenterSpecification:
    """What opens a segmenter again; made by `specify_segmenter`."""

    spec: str
    digest: str

    def open(self) -> Segmenter:
        """The segmenter.

        Raises `NetworkError` where it is not the same here, and what `load_segmenter` raises.
        """
        segmenter = load_segmenter(self.spec)
        if segmenter.digest != self.digest:
            raise NetworkError(f"{self.spec} is another segmenter {say_here()} than where the run was begun")
        return segmenter


def specify_network(network: Network) -> NetworkSpecification:
    """The network as a worker opens it.

    Raises `UsageError`, which says how else, where it is an object of Python or was changed since it was
    opened.
    """
    opened = network.opened
    if opened is None:
        raise UsageError(f"{_OPEN}, and {network.name} is an object of Python; {_ADVICE}")
    if not opened.made(network.module, network.forward):
        raise UsageError(f"{_OPEN}, and {opened.spec} was changed since it was opened; {_ADVICE}")
    seed = network.seed if isinstance(network, Generator) else None
    return NetworkSpecification(opened, network.digest, network.preprocessing, network.tokens, seed)


def specify_source(source: ConceptSource) -> SourceSpecification:
    """The source as a worker opens it. Raises `UsageError`, which says how else, for an object of Python."""
    spec = source_spec(source)
    if not isinstance(getattr(source, "spec", None), str) or not is_named(spec):
        raise UsageError(f"{_OPEN}, and {spec} is an object of Python; {_ADVICE}")
    text, applied = unravel(source)
    return SourceSpecification(text, tuple(applied), source_digest(source))


def specify_segmenter(segmenter: Segmenter, spec: str) -> SegmenterSpecification:
    """The segmenter that a text opened, as a worker opens it. Raises `UsageError` where none did."""
    if not spec:
        raise UsageError(f"{_OPEN}, and {segmenter.name} is an object of Python; {_ADVICE}")
    return SegmenterSpecification(spec, segmenter.digest)


def say_here() -> str:
    """Where a worker is, in words."""
    return f"on {socket.gethostname()}"
