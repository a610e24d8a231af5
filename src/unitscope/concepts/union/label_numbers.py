"""The labels of a union: counted by name and category, then numbered in Broden's order."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt32

from unitscope.concepts.formats.broden.published import primary_categories
from unitscope.concepts.vocabulary import MAX_ID
from unitscope.errors import SourceError

DIGITS = 6
"""Decimals of a coverage in the tables, and of what is decided by it."""


@dataclass(frozen=True)
class Share:
    """How often a label occurs: in how many images, and covering how many whole images in sum."""

    images: int
    coverage: float


@dataclass(frozen=True)
class Label:
    """One label of a union; `shares` by category, `others` the names that were merged into it."""

    number: int
    name: str
    total: Share
    shares: Mapping[str, Share]
    primary: str
    others: tuple[str, ...] = ()


@dataclass
class Census:
    """Images and coverage of every name in every category; grows with names, never with images.

    A name has a code, a positive number that lasts until the labels are numbered.
    """

    codes: dict[str, int] = field(default_factory=dict)
    others: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    images: Counter[tuple[str, int]] = field(default_factory=Counter)
    coverage: dict[tuple[str, int], float] = field(default_factory=lambda: defaultdict(float))
    totals: Counter[int] = field(default_factory=Counter)

    def enter(self, name: str, spelled: str) -> int:
        """The code of a name; `spelled` is what a source calls it, folded."""
        self.others[name].add(spelled)
        return self.codes.setdefault(name, len(self.codes) + 1)

    def count(self, labels: Mapping[str, tuple[np.ndarray, Iterable[int]]]) -> None:
        """Counts one image: by category the planes of codes and the codes of the whole image.

        No pixel may have the same code twice in a category.
        """
        seen: set[int] = set()
        for category, (planes, whole) in labels.items():
            codes, pixels = np.unique(planes, return_counts=True)
            area = max(1, planes.shape[1] * planes.shape[2])
            shares = {int(code): int(n) / area for code, n in zip(codes, pixels, strict=True) if code}
            shares |= dict.fromkeys(whole, 1.0)
            for code, share in shares.items():
                self.images[category, code] += 1
                self.coverage[category, code] += share
            seen |= shares.keys()
        self.totals.update(seen)


def number_labels(census: Census, min_images: int, min_coverage: float) -> tuple[Label, ...]:
    """The labels that occur in `min_images` images and cover `min_coverage` of them in sum, numbered from 1.

    The most frequent come first, of equals those that cover most, then by name. The primary category of
    a label is the one in which it covers most; of equals the last in `order_categories` (the rule of the
    Network Dissection code).

    Raises `SourceError` where more than 65,534 labels are left.
    """
    shares: dict[int, dict[str, Share]] = defaultdict(dict)
    for (category, code), images in sorted(census.images.items()):
        shares[code][category] = Share(images, round(census.coverage[category, code], DIGITS))
    found = []
    for name, code in census.codes.items():
        coverage = round(sum((share.coverage for share in shares[code].values()), 0.0), DIGITS)
        total = Share(census.totals[code], coverage)
        if total.images >= max(1, min_images) and coverage >= min_coverage:
            found.append((name, total, shares[code]))
    found.sort(key=lambda item: (-item[1].images, -item[1].coverage, item[0]))
    if len(found) > MAX_ID:
        most = f"a label picture holds {MAX_ID} at most"
        raise SourceError(f"{len(found)} labels, but {most}; raise the minimum")
    categories = order_categories(parts for _, _, parts in found)
    coverages: dict[str, dict[int, float]] = {category: {} for category in categories}
    for n, (_, _, parts) in enumerate(found, 1):
        for category, share in parts.items():
            coverages[category][n] = share.coverage
    primary = primary_categories(range(1, len(found) + 1), coverages) if found else {}
    return tuple(
        Label(n, name, total, parts, primary[n], tuple(sorted(census.others[name] - {name})))
        for n, (name, total, parts) in enumerate(found, start=1)
    )


def order_categories(shares: Iterable[Mapping[str, Share]]) -> tuple[str, ...]:
    """The categories of labels in the order of their numbers: that of the smallest number first.

    Categories that begin with the same label follow by name.
    """
    return tuple(dict.fromkeys(category for parts in shares for category in sorted(parts)))


def settle_planes(planes: UInt32[np.ndarray, "plane row column"]) -> UInt32[np.ndarray, "kept row column"]:
    """The same labels of every pixel in as few planes as it takes, those of the largest planes first.

    A label that a pixel has twice is kept once.

    >>> settle_planes(np.array([[[0, 5, 5]], [[7, 8, 5]]], np.uint32))
    array([[[7, 8, 5]], [[0, 5, 0]]], dtype=uint32)
    """
    planes = planes[planes.any(axis=(1, 2))]
    if len(planes) < 2:
        return planes
    planes = planes[np.argsort(-np.count_nonzero(planes, axis=(1, 2)), kind="stable")]
    for place in range(1, len(planes)):
        for other in planes[:place]:
            planes[place][planes[place] == other] = 0
    settled = np.take_along_axis(planes, np.argsort(planes == 0, axis=0, kind="stable"), axis=0)
    kept: np.ndarray = settled[settled.any(axis=(1, 2))]
    return kept
