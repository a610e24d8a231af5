"""The command that finds words for units."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

import unitscope as us
from unitscope.cli.components import settle_layers
from unitscope.cli.words import Json, Network, Opening, Running, Source, check_out, show

Method = Literal["soft-wpmi", "wpmi", "rank-reorder", "cosine", "cosine-cubed"]


@dataclass(frozen=True)
class Parameters:
    """What a method is told; its defaults are in brackets.

    Args:
        top_k: soft-wpmi, wpmi: how many images of the largest responses (100, 28).
        a: soft-wpmi, wpmi: what similarities are multiplied by before the softmax over words (10, 2).
        lam: soft-wpmi, wpmi: how much of what fits all units is taken away (1, 0.6).
        min_prob: soft-wpmi, wpmi: what is added before the logarithm (1e-7).
        p_start: soft-wpmi: how sure the first image is (0.998).
        p_end: soft-wpmi: and the one after the last (0.97).
        top_fraction: rank-reorder: the share of the images that are ordered (0.05).
        p: rank-reorder: the power of differences (3).
        scale_p: rank-reorder: the power of the mean similarity (0.5).
        min_norm: cosine-cubed: the least length (1e-3).
    """

    top_k: int | None = None
    a: float | None = None
    lam: float | None = None
    min_prob: float | None = None
    p_start: float | None = None
    p_end: float | None = None
    top_fraction: float | None = None
    p: float | None = None
    scale_p: float | None = None
    min_norm: float | None = None


def describe(
    network: Network,
    layers: Annotated[list[str], arg(metavar="LAYER [LAYER ...]")],
    images: Source,
    text: Annotated[str, arg(metavar="MODEL")],
    words: Annotated[str | None, arg(metavar="LIST")] = None,
    method: Method = "soft-wpmi",
    pool: Literal["mean", "max", "class"] = "mean",
    prompt: Annotated[tuple[str, ...], arg(metavar="TEXT [TEXT ...]")] = ("{}",),
    run: Annotated[Path | None, arg(metavar="RUN")] = None,
    draws: int = 100,
    seed: int = 0,
    fit: Literal["stretch", "crop"] = "stretch",
    limit: int | None = None,
    cache: Path | None = None,
    out: Path | None = None,
    parameters: Parameters = Parameters(),
    opening: Opening = Opening(),
    running: Running = Running(),
    json: Json = False,
) -> None:
    """Describe units by words, over images without labels, by a model that embeds images and texts.

    Args:
        network: whose units.
        layers: layer names as `unitscope layers NETWORK` lists them, NAME+SPEC in directions.
        images: any images; labels are not read.
        text: the model of images and texts: hf:FOLDER (CLIP, SigLIP), openclip:FOLDER or
            openclip:NAME,weights=FILE, zoo:captioned, or FILE.py:FACTORY. It is never downloaded.
        words: a file with a word or phrase a line; vocabulary:SOURCE, the concepts of a source; or the
            list wordnet:nouns. By default all words that the model knows, where it has a list of them.
        method: how words are scored: docs/how-to/words.md has all.
        pool: the response to an image: mean or maximum of the unit's map, of tokens over the patches; or
            what the class token has.
        prompt: texts with {} for the word; the mean of their embeddings is taken.
        run: a dissection of the same layers: whether its names agree.
        draws: how often responses are shifted, for p and q, and images redrawn, for ranks; 0 leaves both out.
        seed: the seed of both.
        fit: stretch the whole image to the input, or crop as the network's library does.
        limit: only the first images of the source.
        cache: folder where embeddings and responses are kept: other methods and words run no network again.
        out: folder for words.csv, about.json and a page with the images of the largest responses.
    """
    from unitscope.experiments import read_words
    from unitscope.networks.generators import pair_generator

    if out is not None:
        check_out(out)
    machine = running.start()
    listed = None if words is None else read_words(words)
    loaded = opening.load(network)
    loaded, source = pair_generator(loaded, us.open_source(images, loaded))
    source = source if limit is None else us.limit(source, limit)
    layers = settle_layers(loaded, layers, source, machine=machine, batch_size=running.batch_size)
    found = us.describe(
        loaded,
        source,
        layers,
        listed,
        text,
        method=method,
        pool=pool,
        prompts=prompt,
        draws=draws,
        seed=seed,
        run=None if run is None else us.load(run),
        fit=fit,
        batch_size=running.batch_size,
        machine=machine,
        cache=cache,
        out=out,
        **{name: value for name, value in vars(parameters).items() if value is not None},
    )
    lines = (
        [] if out is None else [f"tables: {out / 'words.csv'}", f"page: {found.page(out, pictures=source)}"]
    )
    show(found, json, *lines)
