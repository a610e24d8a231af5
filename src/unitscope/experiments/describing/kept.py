"""What networks gave for images and words, kept in a folder, so that no network runs twice for the same.

One file an array, named by a digest of all that decides its numbers::

    CACHE/words-responses-DIGEST.safetensors   values[image, unit], what a layer answers, pooled
          words-images-DIGEST.safetensors      values[image, width], embeddings of images
          words-texts-DIGEST.safetensors       values[word, width], embeddings of words

Embeddings are kept, not similarities: other words need no image again.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from unitscope.concepts.derived import source_digest, walk
from unitscope.concepts.own_source import OwnSource
from unitscope.concepts.packed import stamp_source
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import RunError, writing
from unitscope.files import create_arrays
from unitscope.networks.generators import Generator
from unitscope.networks.network import Network
from unitscope.networks.opened import describe_structure
from unitscope.networks.text_models import TextModel
from unitscope.networks.trace import open_lenses
from unitscope.progress import LOGGER

VERSION = 1

Values = Float32[np.ndarray, "row column"]


@dataclass(frozen=True)
class Kept:
    """A folder of arrays; without one nothing is kept, and nothing is found."""

    folder: Path | None

    def find(self, kind: str, key: str | None) -> tuple[Values, str] | None:
        """The array of that key with the text that was kept beside it, or None.

        Raises `RunError` for a file that is damaged.
        """
        path = self._path(kind, key)
        if path is None or not path.is_file():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "numpy") as file:
                return file.get_tensor("values"), (file.metadata() or {}).get("about", "")
        except (OSError, SafetensorError) as error:
            raise RunError(f"{path} is damaged; delete it") from error

    def put(self, kind: str, key: str | None, values: Values, about: str = "") -> None:
        """Keeps an array, and a text beside it. Raises `RunError` where it cannot be written."""
        path = self._path(kind, key)
        if path is not None:
            with writing(path.parent):
                path.parent.mkdir(parents=True, exist_ok=True)
            create_arrays(path, {"values": values}, "name another folder", {"about": about})

    def _path(self, kind: str, key: str | None) -> Path | None:
        return None if self.folder is None or key is None else self.folder / f"words-{kind}-{key}.safetensors"


def key_responses(
    network: Network, layer: str, pooled: tuple[object, ...], source: ConceptSource
) -> str | None:
    """What decides a layer's responses, as a digest; None where that cannot be told.

    `pooled` is how they are read. It cannot be told of networks that feed their layers themselves, and of
    images without a digest.
    """
    images = key_source(source)
    if type(network) not in (Network, Generator) or images is None:
        return None
    lens = open_lenses(network, [layer]).get(layer)
    forward = network.forward and f"{network.forward.__module__}.{network.forward.__qualname__}"
    parts = (
        *(network.digest, describe_structure(network.module), network.preprocessing, network.tokens, forward),
        *(layer, lens and lens.digest, *pooled, images),
    )
    return _digest(*map(repr, parts))


def key_source(source: ConceptSource) -> str | None:
    """The digest of the images of a source, None where neither it nor what it is made from has one."""
    for one in walk(source):
        if isinstance(one, OwnSource):
            break
        if not isinstance(getattr(one, "digest", None), str):
            return None
    return _digest(source_digest(source), stamp_source(source), len(source))


def key_text_model(model: TextModel, words: tuple[str, ...], prompts: tuple[str, ...]) -> str:
    """What tells a text model from others: its `digest`, where it has one, or what it makes of a picture."""
    digest = getattr(model, "digest", None)
    if isinstance(digest, str):
        return _digest(model.name, digest)
    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    text = prompts[0].replace("{}", words[0])
    parts = model.embed_images(noise), model.embed_texts([text])
    return _digest(model.name, text, *(hashlib.sha256(part.tobytes()).hexdigest() for part in parts))


def tell_unkept() -> None:
    """Says that what is found out about images without a digest is not kept."""
    LOGGER.info("the images have no digest to know them by again, so nothing of them is kept in the cache")


def join_keys(*parts: object) -> str:
    """One key of several."""
    return _digest(*parts)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps([VERSION, *map(str, parts)]).encode()).hexdigest()[:32]
