"""Embeddings of pictures and words by a text model, looked over: width, numbers, norms."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from jaxtyping import Float32, UInt8

from unitscope.errors import NetworkError
from unitscope.networks.text_models import TextModel
from unitscope.progress import follow

_TEXTS = 256
_NORM = 1e-3

Embeddings = Float32[np.ndarray, "input width"]


@dataclass(frozen=True, eq=False)
class ImageEmbedder:
    """Embeds pictures as they come; `join` gives the embeddings of all."""

    model: TextModel
    parts: list[Embeddings] = field(default_factory=list)

    def __call__(self, pictures: Sequence[UInt8[np.ndarray, "y x 3"]]) -> None:
        """Takes in pictures, which may have several sizes. Raises what `check_embeddings` raises."""
        for _, same in groupby(pictures, key=np.shape):
            batch = np.stack(list(same))
            self.parts.append(check_embeddings(self.model, self.model.embed_images(batch), len(batch)))

    def join(self) -> Embeddings:
        """The embeddings of all pictures so far."""
        return np.concatenate(self.parts)


def embed_words(model: TextModel, words: Sequence[str], prompts: Sequence[str]) -> Embeddings:
    """The embedding of every word: of the prompts with the word in them, the mean, brought to norm 1.

    Raises what the model raises for words that it does not know, and what `check_embeddings` raises.
    """
    found = []
    with follow(len(words), "embedding", "words") as work:
        for start in range(0, len(words), _TEXTS):
            some = words[start : start + _TEXTS]
            parts = []
            for prompt in prompts:
                texts = [prompt.replace("{}", word) for word in some]
                parts.append(check_embeddings(model, model.embed_texts(texts), len(texts)))
            mean = np.mean(parts, axis=0, dtype=np.float64) if len(parts) > 1 else parts[0]
            found.append(mean if len(parts) == 1 else mean / np.linalg.norm(mean, axis=1, keepdims=True))
            work.update(len(some))
    return np.concatenate(found).astype(np.float32)


def check_embeddings(model: TextModel, found: object, count: int) -> Embeddings:
    """What a model gave. Raises `NetworkError` for anything but `count` finite vectors of norm 1."""
    wanted = f"wanted float32[{count}, width], each row of norm 1"
    if not isinstance(found, np.ndarray) or found.ndim != 2 or len(found) != count:
        shape = f"an array of shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise NetworkError(f"the text model {model.name} gave {shape} for {count} inputs; {wanted}")
    norms = np.linalg.norm(found, axis=1)
    if not (np.abs(norms - 1) < _NORM).all():
        wrong = norms[~(np.abs(norms - 1) < _NORM)][0]
        raise NetworkError(f"the text model {model.name} gave an embedding of norm {wrong:.4g}; {wanted}")
    return np.asarray(found, np.float32)
