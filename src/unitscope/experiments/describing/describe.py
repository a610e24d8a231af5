"""Words for the units of layers, from images that nobody has labeled and a model of images and texts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unitscope.concepts.derived import source_spec
from unitscope.concepts.unlabeled import gather_pictures
from unitscope.dissection.arguments import Fit, check_asked, check_least
from unitscope.dissection.matching import find_layer
from unitscope.dissection.pooling import Pool, check_pool
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import check_seed
from unitscope.experiments.describing.descriptions import Descriptions, LayerWords
from unitscope.experiments.describing.judging import NONE, Judged, judge_words
from unitscope.experiments.describing.reading import Reading, read_both
from unitscope.experiments.describing.words import check_prompts, gather_words, is_name, tell_repeated
from unitscope.networks.network import Network
from unitscope.networks.text_models import TextModel, list_known, settle_text_model
from unitscope.statistics.scan import Machine
from unitscope.statistics.text_scores import Method, check_top, settle_parameters

TOP = 12
BARE = ("{}",)


def describe(
    network: Network,
    source: object,
    layers: Sequence[str],
    words: Sequence[str] | None,
    text: TextModel | str,
    *,
    method: Method = "soft-wpmi",
    pool: Pool = "mean",
    prompts: Sequence[str] = BARE,
    draws: int = 100,
    seed: int = 0,
    run: Dissection | None = None,
    fit: Fit = "stretch",
    batch_size: int | None = None,
    machine: Machine = Machine(),  # noqa: B008 - frozen
    cache: str | Path | None = None,
    out: str | Path | None = None,
    **parameters: int | float,
) -> Descriptions:
    """The word that fits each unit of some layers best, over images that need no labels.

    `source` is a source, or a list of pictures: uint8[y, x, 3], PIL images, or paths of files. `text` is a
    model that embeds images and texts, or its name (`unitscope.networks.text_models.open_text_model`);
    `words` None are all words that it knows, where it has a list of them (`words`), as `zoo:captioned` has.
    How well a word fits is a matter of two numbers an image: the cosine of its embedding and the word's, and
    the unit's response, and of the `method`, one of `unitscope.experiments.text_scores`, which takes
    `parameters` (CLIP-Dissect, Oikarinen and Weng, ICLR 2023). Both networks see every image once.

    - `pool`: a response is the mean of the unit's map, or its maximum; of tokens, the mean or maximum over
      the patches, or with "class" the class token, which is what CLIP-Dissect reads of transformers. The
      result says of every layer what it was.
    - `prompts`: texts with `{}` for the word, such as "a photo of a {}"; the embedding of a word is the mean
      over them.
    - `draws`: how often responses are shifted to other images, for p- and q-values, and images drawn again,
      for the rank; see `experiments.describing.judging.judge_words`. 0 leaves both out.
    - `run`: a dissection of the layers, for the column `concept` and whether the word agrees with it.
    - `cache`: a folder where embeddings and responses are kept by the digests of all that decides them:
      another method, or other words, run no network over images again.
    - `out`: a folder for the files of the result (`Descriptions.save`).

    Raises `UsageError` where something asked for cannot be: a list of fewer than two words, words that the
    model does not know, parameters, layers, a run of another network; `NetworkError` for a model without a
    tower of texts, and what `unitscope.read_activations` raises.

    >>> import unitscope as us
    >>> from torch import nn
    >>> class Brightness:
    ...     name = "brightness"
    ...     def embed_images(self, images):
    ...         return self.place(images.mean((1, 2, 3)) / 255)
    ...     def embed_texts(self, texts):
    ...         return self.place(np.array([{"dark": 0.0, "bright": 1.0}[text] for text in texts]))
    ...     def place(self, light):
    ...         return np.stack([np.cos(light), np.sin(light)], 1).astype(np.float32)
    >>> grays = [np.full((8, 8, 3), gray, np.uint8) for gray in range(0, 250, 5)]
    >>> network = us.Network(nn.Sequential(nn.Conv2d(3, 2, 1)))
    >>> _ = network.module[0].weight.data[0].fill_(1), network.module[0].weight.data[1].fill_(-1)
    >>> found = describe(network, grays, ["0"], ["dark", "bright"], Brightness(), top_k=10)
    >>> [row["word"] for row in found.rows()], found["0"].pooled
    (['bright', 'dark'], 'mean of the map')
    """
    pictures = gather_pictures(source)
    layers = check_asked(network, pictures, layers, fit)
    check_seed(seed)
    check_pool(pool)
    check_least(0, draws=draws)
    prompts = check_prompts(prompts)
    model = settle_text_model(text)
    listed = gather_words(list_known(model) if words is None else words)
    known = settle_parameters(method, parameters)
    check_top(known, len(pictures))
    dissected = {layer: None if run is None else find_layer(run, network, layer) for layer in layers}
    reading = Reading(pool, fit, batch_size, machine, None if cache is None else Path(cache))
    seen = read_both(network, pictures, layers, model, listed.words, prompts, reading)
    tell_repeated(listed)
    found = []
    for layer in layers:
        response = seen.pooled.responses[layer]
        judged = judge_words(
            *(seen.images, seen.words, response, method, parameters),
            draws=draws,
            seed=seed,
            memory=machine.memory // 4,
        )
        top = np.argsort(-response, axis=0, kind="stable")[:TOP].T
        names, agrees = _compare(dissected[layer], judged, listed.words)
        found.append(LayerWords(layer, seen.pooled.ways[layer], judged, top, names, agrees))
    about = {
        "network": network.name,
        "source": source_spec(pictures),
        "images": len(pictures),
        "text": model.name,
        "words": len(listed.words),
        "repeated": listed.repeated,
        "blank": listed.blank,
        "prompts": prompts,
        "method": method,
        "parameters": known,
        "draws": draws,
        "seed": seed,
        "run": None if run is None else run.recipe.source.spec,
    }
    result = Descriptions(tuple(found), listed.words, about)
    if out is not None:
        result.save(out)
    return result


def _compare(
    dissected: LayerDissection | None, judged: Judged, words: Sequence[str]
) -> tuple[tuple[str | None, ...], tuple[bool | None, ...]]:
    """The concepts that a dissection gave to the units, and whether the words are the same."""
    if dissected is None:
        nothing = (None,) * len(judged.word)
        return nothing, nothing
    concepts = [unit.concept for unit in dissected]
    pairs = list(zip(judged.word.tolist(), concepts, strict=True))
    agrees = (
        None if word == NONE or concept is None else is_name(words[word], concept) for word, concept in pairs
    )
    return tuple(None if concept is None else concept.label for concept in concepts), tuple(agrees)
