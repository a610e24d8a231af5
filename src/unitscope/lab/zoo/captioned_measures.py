"""What `zoo:captioned` can tell: which sentence is about which picture, and what a bare word points at."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from unitscope.errors import UsageError
from unitscope.lab.world.names import SCENES
from unitscope.lab.zoo.captioned import Captioned
from unitscope.lab.zoo.pictures import Pictures
from unitscope.lab.zoo.texts import NAMES, UNSEEN, Facts, Writer, find_facts
from unitscope.statistics.label_scores import label_scores
from unitscope.tables import Table

AMONG = 100
"""Sentences are told apart among so many."""

LEAST = 10
"""A word is measured where at least so many pictures show what it names, and as many do not."""

_CHUNK = 500
_Embeddings = Float32[np.ndarray, "n width"]


@dataclass(frozen=True)
class WordScores:
    """How well bare words tell pictures that show what they name: the scores of names, by category.

    `auroc` is the chance that a picture with it has a larger cosine than one without; NaN where it is not
    measured, for fewer than `LEAST` pictures have it or have it not. `share` is how many pictures have it.
    """

    names: Mapping[str, tuple[str, ...]]
    share: Mapping[str, Float64[np.ndarray, "_name"]]
    auroc: Mapping[str, Float64[np.ndarray, "_name"]]

    def mean(self, category: str) -> float:
        """The mean AUROC of the names of a category that are measured; NaN where none is."""
        auroc = self.auroc[category]
        measured = auroc[np.isfinite(auroc)]
        return float(measured.mean()) if len(measured) else math.nan

    def summarize(self) -> Table:
        """A row a category: words, how many are measured, their mean AUROC, the smallest and whose it is."""
        rows = []
        for category, auroc in self.auroc.items():
            measured = int(np.isfinite(auroc).sum())
            worst = int(np.nanargmin(auroc)) if measured else 0
            least = (float(auroc[worst]), self.names[category][worst]) if measured else (math.nan, "none")
            rows.append((category, len(auroc), measured, self.mean(category), *least))
        return Table(("category", "words", "measured", "AUROC", "smallest", "of"), tuple(rows))

    def tabulate(self) -> Table:
        """A row a word that is measured: category, share of the pictures, AUROC; the best ones first."""
        rows = []
        for category, auroc in self.auroc.items():
            measured = np.flatnonzero(np.isfinite(auroc))
            for one in measured[np.argsort(-auroc[measured], kind="stable")]:
                shown = float(self.share[category][one]), float(auroc[one])
                rows.append((self.names[category][one], category, *shown))
        return Table(("word", "category", "pictures", "AUROC"), tuple(rows))


def read_facts(pictures: Pictures) -> Facts:
    """What all pictures of a set show."""
    some = [
        find_facts(pictures.images[place], pictures.labels[place], pictures.kinds[place])
        for place in (slice(start, start + _CHUNK) for start in range(0, len(pictures), _CHUNK))
    ]
    shares = {name: np.concatenate([one.shares[name] for one in some]) for name in some[0].shares}
    owned = {name: np.concatenate([one.owned[name] for one in some]) for name in some[0].owned}
    return Facts(shares, owned)


def measure_retrieval(
    model: Captioned, images: _Embeddings, facts: Facts, seed: int = 0
) -> tuple[float, float]:
    """How often a picture finds its sentence among 100, and a sentence its picture; 1 in 100 by chance.

    Every picture has one sentence, written from `seed`; sets of 100 follow each other, a rest is left out. A
    sentence that is about another picture too counts as wrong there. Raises `UsageError` for fewer than 100.
    """
    if len(images) < AMONG:
        raise UsageError(f"there are {len(images)} pictures; wanted {AMONG} or more, to tell sentences apart")
    texts = model.embed_texts(Writer(np.random.default_rng(seed), facts).write("sentence"))
    wanted = np.arange(AMONG)
    found = []
    for start in range(0, len(images) - AMONG + 1, AMONG):
        cosines = images[start : start + AMONG] @ texts[start : start + AMONG].T
        found.append([(cosines.argmax(axis) == wanted).mean() for axis in (1, 0)])
    sentences, pictures = np.mean(found, 0)
    return float(sentences), float(pictures)


def measure_scenes(model: Captioned, images: _Embeddings, facts: Facts) -> float:
    """The share of pictures whose scene is the one, of all kinds, whose bare word has the largest cosine."""
    named = (images @ model.embed_texts(SCENES).T).argmax(1)
    return float((named == facts.shares["scene"].argmax(1)).mean())


def measure_words(model: Captioned, images: _Embeddings, facts: Facts) -> WordScores:
    """How well every bare word tells pictures that show what it names from others, by category."""
    names = {category: tuple(one for one in some if one not in UNSEEN) for category, some in NAMES.items()}
    shares, auroc = {}, {}
    for category, some in names.items():
        kept = [place for place, name in enumerate(NAMES[category]) if name not in UNSEEN]
        there = facts.seen(category)[:, kept].T
        cosines = model.embed_texts(some) @ images.T
        # Word by word: all words with all truths would be as many scores again, and none of use.
        scores = [
            label_scores(one[None], truth[None])["inverse_auroc"][0, 0]
            for one, truth in zip(cosines, there, strict=True)
        ]
        counts = there.sum(1)
        measured = np.minimum(counts, there.shape[1] - counts) >= LEAST
        shares[category] = counts / there.shape[1]
        auroc[category] = np.where(measured, scores, np.nan)
    return WordScores(names, shares, auroc)
