"""Sentences about drawn scenes, and a small recurrent network that learns to write them."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from unitscope.lab.world.names import OBJECT_PARTS, SCENES

END = "."
_SOME = ("sky", "grass", "water", "sand", "snow", "sun", "moon")
"""Things that are not counted."""
_NAMES = tuple(OBJECT_PARTS)
WORDS = (END, *("a", "the", "with", "and", ",", "in", "there", "is"), *SCENES, *_NAMES)
"""All words; the kinds of scene and the objects are a word each."""
PLACE = {word: place for place, word in enumerate(WORDS)}
LONGEST = 14
NAMED = 0.01
"""An object may be named from this share of the pixels on."""


def write_sentence(rng: np.random.Generator, scene: str, objects: Sequence[str]) -> list[str]:
    """A sentence about a scene and up to three of its objects, in one of three forms.

    >>> " ".join(write_sentence(np.random.default_rng(0), "park", ["tree", "grass"]))
    'a park with a tree and grass .'
    """
    things: list[list[str]] = [[name] if name in _SOME else ["a", name] for name in objects]
    listed = list(things[0]) if things else []
    for place, thing in enumerate(things[1:], 2):
        listed += ["and" if place == len(things) else ",", *thing]
    if not listed:
        return ["a", scene, END]
    form = int(rng.integers(3))
    if form == 0:
        return [*listed, "in", "a", scene, END]
    if form == 1:
        return ["there", "is", *listed, "in", "the", scene, END]
    return ["a", scene, "with", *listed, END]


def write_sentences(
    rng: np.random.Generator, scenes: Sequence[str], shares: Float[Tensor, "n object"]
) -> Int64[Tensor, "n word"]:
    """A sentence a picture as places in `WORDS`, -1 after its end; it names the three largest objects."""
    rows = torch.full((len(scenes), LONGEST), -1, dtype=torch.int64)
    for row, scene, share in zip(rows, scenes, shares.numpy(), strict=True):
        chosen = [one for one in np.argsort(-share, kind="stable")[:3] if share[one] >= NAMED]
        sentence = write_sentence(rng, scene, [_NAMES[one] for one in chosen])
        row[: len(sentence)] = torch.tensor([PLACE[word] for word in sentence])
    return rows


class Captioner(nn.Module):
    """A recurrent network (LSTM) that sees the means of the maps at every word, and writes a word at a time.

    `captioner(maps[n, unit, y, x]) -> int64[n, word]` writes its most likely sentence, as places in `WORDS`.
    """

    def __init__(self, units: int, dropout: float = 0.0, width: int = 96) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(units)
        self.dropout = nn.Dropout(dropout)
        self.see = nn.Linear(units, width)
        self.words = nn.Embedding(len(WORDS) + 1, width)
        self.cell = nn.LSTM(width, width, batch_first=True)
        self.name = nn.Linear(width, len(WORDS))

    def _look(self, maps: Float[Tensor, "n unit y x"]) -> Float[Tensor, "n 1 width"]:
        # Means of rectified maps are small and all positive: without a norm the words drown them.
        seen: Tensor = self.see(self.dropout(self.norm(maps.mean((2, 3)).float())))
        return seen[:, None]

    def follow(
        self, maps: Float[Tensor, "n unit y x"], words: Int64[Tensor, "n word"]
    ) -> Float[Tensor, "n word name"]:
        """The logits of every word of given sentences, each from the words before it."""
        with torch.autocast("cpu", enabled=False):
            begin = torch.full((len(words), 1), len(WORDS))
            before = torch.cat([begin, words[:, :-1].clamp(min=0)], 1)
            states, _ = self.cell(self.words(before) + self._look(maps))
            logits: Tensor = self.name(states)
        return logits

    def forward(self, maps: Float[Tensor, "n unit y x"]) -> Int64[Tensor, "n word"]:
        seen, state = self._look(maps), None
        word = torch.full((len(maps), 1), len(WORDS))
        written = []
        for _ in range(LONGEST):
            states, state = self.cell(self.words(word) + seen, state)
            word = self.name(states).argmax(2)
            written.append(word)
        return torch.cat(written, 1)


def spell_sentence(places: Sequence[int]) -> str:
    """The words of a sentence up to its end.

    >>> spell_sentence([PLACE["a"], PLACE["railway_station"], 0, 0])
    'a railway station.'
    """
    words: list[str] = []
    for place in places:
        if place < 0 or WORDS[place] == END:
            break
        words.append(WORDS[place].replace("_", " "))
    return " ".join(words).replace(" ,", ",") + END
