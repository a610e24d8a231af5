"""The classes of a network: by name, number, or label of an image; and how well it names them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

from unitscope.concepts.vocabulary import Vocabulary
from unitscope.errors import UsageError, say_near
from unitscope.networks.network import Network


def match_classes(network: Network, vocabulary: Vocabulary) -> dict[int, int]:
    """The class of every concept id whose name is that of a class; empty where none is.

    Upper case, underscores for spaces, and the `-s` that Broden writes after names of scenes do not count.
    """
    places = {_plain(name): place for place, name in enumerate(network.classes)}
    return {c.id: places[name] for c in vocabulary if (name := _plain(c.name)) in places}


def find_class(network: Network, name: str) -> int:
    """The number of the class that a name, or its number in figures, stands for.

    Where the network has no names for its classes any number will do here. Raises `UsageError`, with near
    names, for a class that the network does not have.

    >>> from torch import nn
    >>> network = Network(nn.Identity(), classes=("living_room", "kitchen"))
    >>> find_class(network, "living room"), find_class(network, "1")
    (0, 1)
    >>> find_class(network, "chicken")
    Traceback (most recent call last):
    unitscope.errors.UsageError: network has no class 'chicken'; near names: kitchen
    """
    places = {_plain(one): place for place, one in reversed(list(enumerate(network.classes)))}
    wanted = _plain(name)
    if wanted in places:
        return places[wanted]
    if name.isascii() and name.isdigit():
        if not places or int(name) < len(network.classes):
            return int(name)
        raise UsageError(f"{network.name} has classes 0 to {len(network.classes) - 1}, not {name}")
    if not places:
        raise UsageError(f"{network.name} has no names of classes; give a number instead of {name!r}")
    known = say_near(name, network.classes) or f"; it has {', '.join(network.classes[:6])}, ..."
    raise UsageError(f"{network.name} has no class {name!r}{known}")


def _plain(name: str) -> str:
    # Broden's writers put "-s" after names of scenes; folders have underscores for spaces.
    return name.removesuffix("-s").replace("_", " ").lower()


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Counts over some images; those of other images are merged by addition.

    `images[c]` are the images of class c; of these `right[r, c]` are named c with the units of removal r
    gone, and `called[r, c]` images of any class are named c. The margin of c in an image is the logit of c
    minus the highest other logit; `margin[r, c]` sums it over the images of class c, `outside[r, c]` over
    those of all other classes.
    """

    images: Int64[np.ndarray, "classes"]
    right: Int64[np.ndarray, "removal classes"]
    called: Int64[np.ndarray, "removal classes"]
    margin: Float64[np.ndarray, "removal classes"]
    outside: Float64[np.ndarray, "removal classes"]

    def merge(self, other: "ClassScores") -> "ClassScores":
        """The scores over both sets of images."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return ClassScores(*(one + another for one, another in pairs))

    @property
    def recall(self) -> Float64[np.ndarray, "removal classes"]:
        """The fraction of a class's images that are named so."""
        return np.asarray(self.right / np.maximum(self.images, 1))

    @property
    def balanced_accuracy(self) -> Float64[np.ndarray, "removal classes"]:
        """(recall + true negative rate) / 2 of "is it class c?" (paper B, Methods); chance is 0.5."""
        return np.asarray((self.recall + 1 - (self.called - self.right) / self._others) / 2)

    @property
    def _others(self) -> Int64[np.ndarray, "classes"]:
        return np.asarray(np.maximum(self.images.sum() - self.images, 1))

    @property
    def accuracy(self) -> Float64[np.ndarray, "removal"]:
        """The fraction of all images that are named right."""
        return np.asarray(self.right.sum(1) / max(int(self.images.sum()), 1))

    @property
    def mean_margin(self) -> Float64[np.ndarray, "removal classes"]:
        """The mean margin of a class's images, in logits."""
        return np.asarray(self.margin / np.maximum(self.images, 1))

    @property
    def contrast(self) -> Float64[np.ndarray, "removal classes"]:
        """The mean margin of a class's images minus that class's mean margin in all others, in logits.

        What balanced accuracy counts, before it is counted: recall goes with the first, true negatives with
        the second.
        """
        return np.asarray(self.mean_margin - self.outside / self._others)


def empty_scores(removals: int, classes: int) -> ClassScores:
    """The scores of no images."""
    tables, sums = np.zeros((2, removals, classes), np.int64), np.zeros((2, removals, classes))
    return ClassScores(np.zeros(classes, np.int64), *tables, *sums)


def add_logits(scores: ClassScores, logits: Float[np.ndarray, "removal classes"], target: int) -> None:
    """Counts one more image of class `target` into scores, in place: merging would copy the tables each time.

    Raises `UsageError` for a class that the network does not have.
    """
    removals, classes = logits.shape
    if not 0 <= target < classes:
        raise UsageError(f"there is no class {target}; the network has {classes}")
    rows, named = np.arange(removals), logits.argmax(1)
    scores.images[target] += 1
    scores.called[rows, named] += 1
    scores.right[:, target] += named == target
    highest = logits[rows, named]
    margins = logits - highest[:, None]
    margins[rows, named] = -np.inf
    margins[rows, named] = -margins.max(1) if classes > 1 else highest
    scores.margin[:, target] += margins[:, target]
    margins[:, target] = 0
    scores.outside[...] += margins
