"""Which kind of a generator's pictures a given picture is nearest to."""

import numpy as np
import torch
from jaxtyping import Float64, UInt8, UInt16

from unitscope.concepts.frames import Frame
from unitscope.concepts.segmented import Segmenter
from unitscope.networks.generators import BLOCK, Generator
from unitscope.networks.network import Network
from unitscope.networks.trace import evaluation

_EACH = 8
"""So many pictures of every kind show what the segmenter names in it."""
_MOST = 16
"""Of more kinds, pictures of each would take too long."""


def see_kind(
    generator: Generator,
    picture: UInt8[np.ndarray, "y x 3"],
    classifier: Network | None = None,
    segmenter: Segmenter | None = None,
) -> int | None:
    """The kind that a classifier sees in the picture, else that whose pictures have most in common with it.

    The classifier must have all kinds among its classes. What pictures have in common is what a segmenter
    names in them: the sum over concepts of the roots of the shares of pixels, multiplied (Bhattacharyya), on
    average over 8 pictures of the kind. None where neither can tell, or there are no kinds or over 16.
    """
    kinds = generator.kinds
    if not kinds:
        return None
    if classifier is not None and set(kinds) <= set(classifier.classes):
        return _classify(generator, picture, classifier)
    if segmenter is None or len(kinds) > _MOST:
        return None
    size, wanted = segmenter.vocabulary.size, segmenter(picture[None])[0]
    shared = np.zeros(len(kinds))
    for start in range(0, _EACH * len(kinds), BLOCK):
        made = generator.generate(start, min(BLOCK, _EACH * len(kinds) - start))
        for number, planes in enumerate(segmenter(made), start):
            shared[number % len(kinds)] += compare_names(planes, wanted, size)
    return int(shared.argmax())


def compare_names(
    one: UInt16[np.ndarray, "plane y x"], other: UInt16[np.ndarray, "plane y x"], size: int
) -> float:
    """How much two pictures have in common by the first names of their pixels, from 0 to 1.

    >>> street, park = np.zeros((2, 1, 2, 2), np.uint16)
    >>> park[0, 0] = 3
    >>> compare_names(street, street, 4), round(compare_names(street, park, 4), 4)
    (1.0, 0.7071)
    """
    return float((_root_shares(one, size) * _root_shares(other, size)).sum())


def _root_shares(planes: UInt16[np.ndarray, "plane y x"], size: int) -> Float64[np.ndarray, "concept"]:
    shares: Float64[np.ndarray, "concept"] = np.bincount(planes[0].ravel(), minlength=size) / planes[0].size
    roots: Float64[np.ndarray, "concept"] = np.sqrt(shares)
    return roots


@torch.no_grad()
def _classify(generator: Generator, picture: UInt8[np.ndarray, "y x 3"], classifier: Network) -> int:
    size = classifier.preprocessing.size or (picture.shape[0], picture.shape[1])
    image = np.array(Frame(size, size).fit_image(picture))
    with evaluation(classifier):
        batch = classifier.preprocessing.tensor(image[None], classifier.device)
        output = classifier.run(batch.to(classifier.dtype))
    logits = getattr(output, "logits", output)
    return int(logits[0, [classifier.classes.index(kind) for kind in generator.kinds]].argmax())
