"""`zoo:captioned` as a model of pictures and texts, which it embeds in one space."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from unitscope.concepts.frames import Frame
from unitscope.lab.zoo.texts import WORDS, read_texts
from unitscope.lab.zoo.towers import WIDTH, Towers
from unitscope.lab.zoo.weights_files import INPUT, find_recipe, load_zoo_module, read_module
from unitscope.networks.trace import evaluation

NAME = "captioned"
_BATCH = 50
_TEXTS = 1000


@dataclass(frozen=True, eq=False)
class Captioned:
    """Two towers: the cosine of a picture and a text is high where the text is about the picture.

    `words` are the names that texts may be made of, spelled as in the drawn world.
    """

    towers: Towers
    name: str = f"zoo:{NAME}"
    words: tuple[str, ...] = WORDS

    @torch.inference_mode()
    def embed_images(self, images: UInt8[np.ndarray, "n y x 3"]) -> Float32[np.ndarray, "n width"]:
        """The embeddings of pictures, each of norm 1; other sizes than 64 by 64 pixels are brought to it.

        Shrinking is antialiased, as it is for the other networks of the zoo.
        """
        frame = Frame((64, 64), (64, 64))
        found = [np.zeros((0, WIDTH), np.float32)]
        with evaluation(self.towers):
            for start in range(0, len(images), _BATCH):
                seen = np.stack([frame.fit_image(image) for image in images[start : start + _BATCH]])
                found.append(self.towers(INPUT.tensor(seen)).numpy())
        return np.concatenate(found)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "text width"]:
        """The embeddings of texts, each of norm 1: words, phrases or sentences made of `words`.

        Capitals, punctuation and words such as "a photo of" make no difference. Raises `UsageError` for other
        words, which it names, and for a text that says nothing.
        """
        places = read_texts(texts)
        found = [np.zeros((0, WIDTH), np.float32)]
        with evaluation(self.towers):
            parts = (
                torch.from_numpy(places[start : start + _TEXTS]) for start in range(0, len(places), _TEXTS)
            )
            found += [self.towers.text(part).numpy() for part in parts]
        return np.concatenate(found)


def load_captioned(*, weights: Path | None = None) -> Captioned:
    """The towers of pictures and texts: as shipped, or with the weights of a file that training wrote.

    Raises what `read_module` raises, and `NetworkError` for a shipped file that was changed.

    >>> model = load_captioned()
    >>> cosines = model.embed_texts(["a red car", "car", "sky"]) @ model.embed_texts(["a photo of a car"]).T
    >>> int(cosines[:, 0].argmax()), model.words[:2]
    (1, ('street', 'park'))
    """
    module = load_zoo_module(NAME) if weights is None else read_module(find_recipe(NAME), weights)
    return Captioned(cast("Towers", module))
