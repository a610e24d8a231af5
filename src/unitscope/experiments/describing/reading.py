"""What both networks make of the images, from one pass or from what was kept of an earlier one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from unitscope.concepts.frames import show_bands
from unitscope.concepts.packed import run_ahead
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.arguments import Fit
from unitscope.dissection.pooling import Look, Pool, Pooled, read_pooled
from unitscope.executors.jobs import count_cores
from unitscope.experiments.describing.embedding import ImageEmbedder, embed_words
from unitscope.experiments.describing.kept import (
    Kept,
    join_keys,
    key_responses,
    key_source,
    key_text_model,
    tell_unkept,
)
from unitscope.networks.network import Network
from unitscope.networks.text_models import TextModel
from unitscope.progress import follow
from unitscope.statistics.scan import Machine

_BATCH = 16


@dataclass(frozen=True)
class Reading:
    """How the network is read, and the folder where what was found out is kept."""

    pool: Pool
    fit: Fit
    batch_size: int | None
    machine: Machine
    cache: Path | None


@dataclass(frozen=True, eq=False)
class Seen:
    """The embeddings of images and words, and what the units answer to the images."""

    images: Float32[np.ndarray, "image width"]
    words: Float32[np.ndarray, "word width"]
    pooled: Pooled


def read_both(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    model: TextModel,
    words: tuple[str, ...],
    prompts: tuple[str, ...],
    reading: Reading,
) -> Seen:
    """Runs the network and the text model over the images, once each, and only where nothing was kept.

    The words come first: one that the model does not know costs no pass.
    """
    kept = Kept(reading.cache)
    texts_key = images_key = None
    source_key = None if reading.cache is None else key_source(source)
    if reading.cache is not None:
        told = key_text_model(model, words, prompts)
        texts_key = join_keys(told, words, prompts)
        images_key = None if source_key is None else join_keys(told, source_key)
        if source_key is None:
            tell_unkept()
    known = kept.find("texts", texts_key)
    embedded = embed_words(model, words, prompts) if known is None else known[0]
    if known is None:
        kept.put("texts", texts_key, embedded)
    known, embedder = kept.find("images", images_key), ImageEmbedder(model)
    pooled = _read_network(network, source, layers, reading, kept, embedder if known is None else None)
    if known is not None:
        return Seen(known[0], embedded, pooled)
    if not embedder.parts:  # the network had not to be run
        _look(source, embedder, reading.machine)
    images = embedder.join()
    kept.put("images", images_key, images)
    return Seen(images, embedded, pooled)


def _read_network(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    reading: Reading,
    kept: Kept,
    look: Look | None,
) -> Pooled:
    how = reading.pool, reading.fit, reading.machine.mixed_precision
    keys: dict[str, str | None] = dict.fromkeys(layers)
    if reading.cache is not None:
        keys = {layer: key_responses(network, layer, how, source) for layer in layers}
    found = {layer: kept.find("responses", key) for layer, key in keys.items()}
    missing = [layer for layer, one in found.items() if one is None]
    if missing:
        read = read_pooled(
            *(network, source, missing, reading.pool),
            fit=reading.fit,
            batch_size=reading.batch_size,
            machine=reading.machine,
            look=look,
        )
        for layer in missing:
            found[layer] = read.responses[layer], read.ways[layer]
            kept.put("responses", keys[layer], read.responses[layer], read.ways[layer])
    whole = {layer: one for layer, one in found.items() if one is not None}
    return Pooled(
        {layer: one[0] for layer, one in whole.items()}, {layer: one[1] for layer, one in whole.items()}
    )


def _look(source: ConceptSource, embedder: ImageEmbedder, machine: Machine) -> None:
    """Embeds the images of a source whose responses are known."""
    pictures = run_ahead(
        lambda number: show_bands(source[number].image), len(source), machine.threads or count_cores()
    )
    with follow(len(source), "look") as work:
        batch = []
        for number, picture in enumerate(pictures, 1):
            batch.append(picture)
            if len(batch) == _BATCH or number == len(source):
                embedder(batch)
                work.update(len(batch))
                batch = []
