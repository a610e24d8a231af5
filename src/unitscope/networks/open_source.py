"""Sources of concepts by name, also those that take a network: a segmenter's labels, a generator's images."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from unitscope.concepts.sources import KINDS, open_concepts
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.plugins import Kind

if TYPE_CHECKING:
    from unitscope.networks.network import Network
else:
    Network = object  # torch takes seconds and half a gigabyte, and most sources do without


def open_source(spec: str, network: Network | None = None) -> ConceptSource:
    """The source that a text names: all that need no network (`concepts.sources.open_concepts`), and

    - `segmenter:NAME,images=SOURCE`: a source labelled by a segmenter (`load_segmenter`);
    - `generator:NAME[,count=N,seed=N]`: images of a generator, without labels; `steps=N` is part of its name.

    A segmenter without images labels those that `network`, a generator, makes. With `quadrants=CATEGORY` at
    the end, its labels get halves as parts (`quadrants.split_quadrants`), with `owners=own` or `owners=FILE`
    parts count only on what they belong to (`owned_parts.keep_owned`); other options at the end are those of
    the images.

    Raises `UsageError` where the text names nothing, and what the opened source raises.
    """
    kind, _, rest = spec.partition(":")
    if kind == "segmenter":
        from unitscope.networks.network_sources import open_segmented

        return open_segmented(rest, network)
    opener, grammar = partial(_open_generated, network), "generator:NAME[,count=N,seed=N]"
    kinds = {
        **KINDS,
        "segmenter": Kind(open_source, "segmenter:NAME,images=SOURCE"),
        "generator": Kind(opener, grammar, options=("count", "seed", "steps")),
    }
    return open_concepts(spec, kinds)


def _open_generated(network: Network | None, name: str, options: Mapping[str, str]) -> ConceptSource:
    from unitscope.networks.network_sources import open_generated

    return open_generated(network, name, options)
