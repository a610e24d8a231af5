"""Texts about drawn pictures: bare words, short phrases and sentences, from a closed list of words.

The words are the names of the drawn world. What a text says is true of its picture: labels tell what is
seen, and which color, material, texture and parts every object has.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from unitscope.concepts.union.colors import name_colors
from unitscope.errors import UsageError, say_near
from unitscope.lab.world.names import COLORS, MATERIALS, OBJECT_PARTS, PARTS, SCENES, TEXTURES
from unitscope.lab.zoo.captions import END, write_sentence
from unitscope.lab.zoo.pictures import PLANES

NAMES: dict[str, tuple[str, ...]] = {
    "scene": SCENES,
    "object": tuple(OBJECT_PARTS),
    "part": PARTS,
    "material": MATERIALS,
    "texture": TEXTURES,
    "color": COLORS,
}
"""The names of every category, in the order of their ids."""

SEEN = {"object": 0.002, "part": 0.001, "material": 0.005, "texture": 0.005, "color": 0.02}
"""From this share of the pixels on a name counts as seen; a part from 4 of 64 by 64 pixels."""

UNSEEN = ("hand",)
"""Names that hardly any picture of 64 pixels shows: the hands of a clock are thinner than a pixel."""

WORDS = tuple(
    name for name in dict.fromkeys(n for some in NAMES.values() for n in some) if name not in UNSEEN
)
"""The names that texts may speak of, each once: "water" is an object and a material.

Their order is that of the embeddings that ship: a name more, or in another place, asks for another training.
"""

JOINTS = ("with", "and", "in")
SILENT = (
    *("a", "an", "the", "of", "there", "is", "are", "this", "it", "shows", "some"),
    *("photo", "image", "drawing", "rendering"),
)
"""Words that may lead up to others and are read over, so that "a photo of a tree" says "tree"."""

OWN = 0.4
"""An object has a color, material or texture that at least this share of its pixels have."""

Rng = np.random.Generator


def _spell(name: str) -> tuple[str, ...]:
    return tuple(re.split(r"[\s_-]+", name.lower()))


_PLACES = {_spell(word): place for place, word in enumerate((*WORDS, *JOINTS), 1)}
_PLACES["gray",] = _PLACES["grey",]
_SHOWN = 5
_LONGEST = max(map(len, _PLACES))
COUNT = len(WORDS) + len(JOINTS) + 1
"""How many places there are; place 0 stands after the end of a text."""


def find_places(text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The places of the words of a text, 1 and up, and the words that it has no place for.

    Names of several words are read whole, with spaces, hyphens or underscores; `SILENT` words, capitals and
    punctuation make no difference.

    >>> find_places("A photo of a railway station.") == find_places("railway_station")
    True
    >>> find_places("a red dragon")[1]
    ('dragon',)
    """
    words = [word for word in re.split(r"[\s_,.;:!?\"'()-]+", text.lower()) if word]
    found: list[int] = []
    unknown: list[str] = []
    start = 0
    while start < len(words):
        for length in range(min(_LONGEST, len(words) - start), 0, -1):
            place = _PLACES.get(tuple(words[start : start + length]))
            if place is not None:
                found.append(place)
                break
        else:
            length = 1
            if words[start] not in SILENT:
                unknown.append(words[start])
        start += length
    return tuple(found), tuple(unknown)


def read_texts(texts: Sequence[str]) -> Int64[np.ndarray, "text word"]:
    """The places of the words of every text, 0 after its end.

    Raises `UsageError` for words that are not known, which it names, and for a text that says nothing.

    >>> read_texts(["tree", "a tree in a park"]).shape
    (2, 3)
    """
    read = [find_places(text) for text in texts]
    unknown = list(dict.fromkeys(word for _, some in read for word in some))
    if unknown:
        raise UsageError(_tell_unknown(unknown))
    for text, (places, _) in zip(texts, read, strict=True):
        if min(places, default=COUNT) > len(WORDS):
            raise UsageError(
                f"the text {text!r} says nothing; wanted a word such as tree, or a sentence of such"
            )
    return _pad([places for places, _ in read])


def _tell_unknown(unknown: Sequence[str]) -> str:
    near = [say_near(word, WORDS, 2).removeprefix("; ") for word in unknown[:_SHOWN]]
    shown = ", ".join(
        f"{word!r} ({names})" if names else repr(word)
        for word, names in zip(unknown[:_SHOWN], near, strict=False)
    )
    more = f" and {len(unknown) - _SHOWN} more words" if len(unknown) > _SHOWN else ""
    return f"zoo:captioned does not know {shown}{more}; say it with the {len(WORDS)} names of the drawn world"


def _pad(read: Sequence[tuple[int, ...]]) -> Int64[np.ndarray, "text word"]:
    rows = np.zeros((len(read), max(map(len, read), default=0)), np.int64)
    for row, places in zip(rows, read, strict=True):
        row[: len(places)] = places
    return rows


@dataclass(frozen=True, eq=False)
class Facts:
    """What pictures show.

    `shares[category][i, name]` is the share of the pixels that have a name of `NAMES`, a scene's 1 or 0;
    `owned[category][i, object, name]` how much of an object has a part, material, texture or color.
    """

    shares: dict[str, Float64[np.ndarray, "n _name"]]
    owned: dict[str, Float64[np.ndarray, "n object _name"]]

    def __len__(self) -> int:
        return len(self.shares["scene"])

    def seen(self, category: str) -> Bool[np.ndarray, "n _name"]:
        """Which names of a category every picture shows."""
        return self.shares[category] >= SEEN.get(category, 1.0)


def find_facts(
    images: UInt8[np.ndarray, "n y x 3"], labels: UInt8[np.ndarray, "n 4 y x"], kinds: Int64[np.ndarray, "n"]
) -> Facts:
    """What pictures and their labels, as `Pictures` has them, show."""
    n, pixels = len(images), images.shape[1] * images.shape[2]
    planes = {category: labels[:, place] for place, category in enumerate(PLANES)}
    objects = planes.pop("object").reshape(n, -1).astype(np.intp)
    planes["color"] = name_colors(images.reshape(-1, *images.shape[2:]))
    things = len(NAMES["object"]) + 1
    row = (np.arange(n)[:, None] * things + objects).ravel()
    area = np.bincount(row, minlength=n * things).reshape(n, things)
    shares = {"scene": np.eye(len(SCENES))[kinds], "object": area[:, 1:] / pixels}
    owned = {}
    for category, plane in planes.items():
        names = len(NAMES[category]) + 1
        joint = np.bincount(row * names + plane.reshape(-1), minlength=n * things * names)
        joint = joint.reshape(n, things, names)[:, :, 1:]
        shares[category] = joint.sum(1) / pixels
        owned[category] = joint[:, 1:] / np.maximum(area[:, 1:, None], 1)
    return Facts(shares, owned)


class Writer:
    """Writes texts about pictures, drawing from random numbers what to say."""

    def __init__(self, rng: Rng, facts: Facts) -> None:
        self.rng, self.facts = rng, facts
        self.seen = {category: [np.flatnonzero(row) for row in facts.seen(category)] for category in NAMES}

    def pick(self, row: int, category: str) -> str | None:
        """A name of a category that picture `row` shows; None where it shows none."""
        some = self.seen[category][row]
        if not len(some):
            return None
        name = NAMES[category][some[self.rng.integers(len(some))]]
        return None if name in UNSEEN else name

    def write_word(self, row: int) -> str:
        """The name of something that is seen; every category is as likely."""
        while True:
            category = tuple(NAMES)[self.rng.integers(len(NAMES))]
            if name := self.pick(row, category):
                return name

    def write_thing(self, row: int, place: int) -> str:
        """An object, often with its color, material or texture before it: "red car"."""
        name = NAMES["object"][place]
        categories = ("color", "material", "texture", None)
        category = categories[self.rng.integers(4)]
        if category is None:
            return name
        own = self.facts.owned[category][row, place]
        best = int(own.argmax())
        return f"{NAMES[category][best]} {name}" if own[best] >= OWN else name

    def write_phrase(self, row: int) -> str:
        """An object with an attribute, a part of one, one in its scene, or two names."""
        form = int(self.rng.integers(4))
        objects = self.seen["object"][row]
        place = int(objects[self.rng.integers(len(objects))])
        if form == 0:
            return self.write_thing(row, place)
        if form == 1:
            shares = self.facts.owned["part"][row, place] * self.facts.shares["object"][row, place]
            own = [NAMES["part"][one] for one in np.flatnonzero(shares >= SEEN["part"])]
            parts = [name for name in own if name not in UNSEEN]
            if parts:
                return f"{parts[self.rng.integers(len(parts))]} of a {NAMES['object'][place]}"
        if form == 2:
            return f"{self.write_thing(row, place)} in a {self.pick(row, 'scene')}"
        return f"{self.write_word(row)} and {self.write_word(row)}"

    def write_sentence(self, row: int) -> str:
        """The scene and up to three objects; the larger ones more often."""
        objects = self.seen["object"][row]
        weights = np.sqrt(self.facts.shares["object"][row, objects])
        count = min(3, len(objects))
        chosen = self.rng.choice(objects, count, replace=False, p=weights / weights.sum())
        things = [self.write_thing(row, int(one)) for one in chosen]
        words = write_sentence(self.rng, str(self.pick(row, "scene")), things)
        return " ".join(words[:-1]) + END

    def write(self, kind: str) -> list[str]:
        """One text of a kind, "word", "phrase" or "sentence", about every picture."""
        write = {"word": self.write_word, "phrase": self.write_phrase, "sentence": self.write_sentence}[kind]
        return [write(row) for row in range(len(self.facts))]
