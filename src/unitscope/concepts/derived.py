"""Sources made from other sources: one way to wrap them, and one way to find what is inside."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, TypeVar

import numpy as np
from jaxtyping import Bool

from unitscope.concepts.left_out import LeftOut
from unitscope.concepts.vocabulary import ConceptSource, Example, Vocabulary
from unitscope.errors import UsageError
from unitscope.progress import follow_each

HALVES = ("train", "test")

T = TypeVar("T")


def peek(source: ConceptSource, index: int) -> tuple[str, tuple[int, ...]]:
    """The key of an example and the labels of its whole image, without opening the image where that can be.

    It can where the source has a method `peek(index)`.
    """
    if hasattr(source, "peek"):
        key, ids = source.peek(index)
        return key, ids
    example = source[index]
    return example.key, example.ids


def source_digest(source: ConceptSource) -> str:
    """The source's `digest`, or else SHA-256 over its type, length and vocabulary."""
    digest = getattr(source, "digest", None)
    if isinstance(digest, str):
        return digest
    lines = [f"{type(source).__module__}.{type(source).__qualname__} {len(source)}"]
    lines += [f"{concept.id} {concept.name!r} {concept.category!r}" for concept in source.vocabulary]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def source_spec(source: ConceptSource) -> str:
    """The source's `spec`, or else its type, length and number of concepts, for people."""
    spec = getattr(source, "spec", None)
    if isinstance(spec, str):
        return spec
    return f"{type(source).__qualname__} of {len(source)} images, {len(source.vocabulary)} concepts"


def is_named(spec: str) -> bool:
    """Whether a text of `source_spec` opens the source again; one that only describes it does not.

    >>> is_named("Pictures of 4 images, 1 concepts,limit=2"), is_named("folder:photos,limit=2")
    (False, True)
    """
    return re.search(r" of \d+ images, \d+ concepts", spec) is None


def find_left_out(source: ConceptSource) -> tuple[LeftOut, ...]:
    """What the source, or the one that it is made from, says that it does not use of its folder."""
    found = (getattr(one, "left_out", None) for one in walk(source))
    return next((one for one in found if one is not None), ())


def find_notes(source: ConceptSource) -> tuple[str, ...]:
    """What the source, or the one that it is made from, says in words: which pixels are void, for example.

    Its pictures and layers of labels may have `notes` too, of what they met so far.
    """
    for one in walk(source):
        notes = getattr(one, "notes", None)
        if notes is not None:
            parts = (getattr(one, "pictures", None), *getattr(one, "layers", ()))
            return (*notes, *(note for part in parts for note in getattr(part, "notes", ())))
    return ()


@dataclass(frozen=True, eq=False)
class DerivedSource:
    """A source made from another one, `source`.

    A kind of it says `option` (or `spec` and `mark`), and what differs: `place` and `__len__`, `__getitem__`
    and `peek`, `vocabulary`. `same_images` says whether image i of it is image i of `source`: nothing else
    may take the number of an image for that of a generator's latent.
    """

    source: ConceptSource

    same_images: ClassVar[bool] = True

    @property
    def option(self) -> str:
        """What the text of `source` is extended by, such as `limit=3`."""
        raise NotImplementedError

    @property
    def mark(self) -> str:
        """What the digest of `source` is extended by."""
        return self.option

    @property
    def vocabulary(self) -> Vocabulary:
        """The concepts of `source`."""
        return self.source.vocabulary

    def __len__(self) -> int:
        return len(self.source)

    def place(self, index: int) -> int:
        """The number in `source` of an image. Raises `IndexError` past the end."""
        return range(len(self))[index]

    def __getitem__(self, index: int, /) -> Example:
        return self.source[self.place(index)]

    def peek(self, index: int) -> tuple[str, tuple[int, ...]]:
        """The key of an example and the labels of its whole image."""
        return peek(self.source, self.place(index))

    @property
    def spec(self) -> str:
        """The text that opens this source again."""
        spec = source_spec(self.source)
        # The first option of a bare name, `drawn`, stands after a colon.
        return f"{spec}:{self.option}" if re.fullmatch(r"[\w.-]+", spec) else f"{spec},{self.option}"

    @property
    def digest(self) -> str:
        """SHA-256 over the digest of `source` and `mark`."""
        return hashlib.sha256(f"{source_digest(self.source)} {self.mark}".encode()).hexdigest()


def walk(source: ConceptSource, *, same_images: bool = False) -> Iterator[ConceptSource]:
    """The source, the one that it is made from (its attribute `source`), and so on to the innermost.

    With `same_images` only as far as image i is the same in all of them.
    """
    inner: object = source
    while isinstance(inner, ConceptSource):
        yield inner
        if same_images and not getattr(inner, "same_images", True):
            return
        inner = getattr(inner, "source", None)


def find_inside(source: ConceptSource, kind: type[T]) -> T | None:
    """The outermost source of a kind that a source is, or is made from with the same images; or None.

    >>> class Blanks:
    ...     vocabulary = Vocabulary(())
    ...     def __len__(self):
    ...         return 10
    ...     def __getitem__(self, index):
    ...         return Example(f"{index}.png", np.zeros((6, 8, 3), np.uint8))
    >>> blanks = Blanks()
    >>> find_inside(limit(blanks, 3), Blanks) is blanks, find_inside(split_source(blanks, "test"), Blanks)
    (True, None)
    """
    return next((one for one in walk(source, same_images=True) if isinstance(one, kind)), None)


def limit(source: ConceptSource, count: int) -> ConceptSource:
    """The first `count` examples of a source, or all where there are fewer.

    Raises `UsageError` where `count` is below 1.
    """
    if count < 1:
        raise UsageError(f"a limit of {count} images leaves nothing; wanted 1 or more")
    return _Limited(source, count)


@dataclass(frozen=True, eq=False)
class _Limited(DerivedSource):
    count: int

    def __len__(self) -> int:
        return min(self.count, len(self.source))

    @property
    def option(self) -> str:
        return f"limit={self.count}"

    @property
    def mark(self) -> str:
        return f"limit={len(self)}"


def shuffle_labels(source: ConceptSource, seed: int) -> ConceptSource:
    """The same images in the same order, each with the labels, void included, of another image.

    Which one is drawn at random from all permutations that leave none in its place. Labels keep the size
    of the image they come from.

    Raises `UsageError` where the source has fewer than two images.
    """
    if len(source) < 2:
        raise UsageError(f"labels of {len(source)} image cannot be shuffled; wanted at least 2 images")
    if seed < 0:
        raise UsageError(f"the seed of shuffled labels is {seed}; it must be 0 or more")
    return _Shuffled(source, seed)


@dataclass(frozen=True, eq=False)
class _Shuffled(DerivedSource):
    seed: int

    @property
    def option(self) -> str:
        return f"shuffle={self.seed}"

    @cached_property
    def partners(self) -> np.ndarray:
        """int64[image]: whose labels an image gets."""
        random = np.random.default_rng(self.seed)
        partners = places = np.arange(len(self.source))
        while (partners == places).any():  # one in e tries succeeds, whatever the length
            partners = random.permutation(places)
        return partners

    def __getitem__(self, index: int, /) -> Example:
        other = self.source[int(self.partners[index])]
        return replace(self.source[self.place(index)], planes=other.planes, ids=other.ids, void=other.void)

    def peek(self, index: int) -> tuple[str, tuple[int, ...]]:
        return super().peek(index)[0], peek(self.source, int(self.partners[index]))[1]


def split_source(source: ConceptSource, half: str, *, share: float = 0.5, seed: int = 0) -> ConceptSource:
    """One of two parts of a source that share no image: "train" to fit on, "test" to measure on.

    Of the images of every label of the whole image (of every combination of such labels, where there are
    several) the `share` goes to "train", give or take one image: those whose SHA-256 over seed and key comes
    first. So both parts have the same mix of classes, whatever the order of the source; images keep their
    order.

    Raises `UsageError` for another name, a share that is not between 0 and 1, or a part without images.

    >>> class Blanks:
    ...     vocabulary = Vocabulary(())
    ...     def __len__(self):
    ...         return 10
    ...     def __getitem__(self, index):
    ...         return Example(f"{index}.png", np.zeros((6, 8, 3), np.uint8))
    >>> [len(split_source(Blanks(), half, share=0.7)) for half in HALVES]
    [7, 3]
    """
    if half not in HALVES:
        raise UsageError(f"there is no half {half!r} of a source; wanted train or test")
    if not 0 < share < 1:
        raise UsageError(f"a share of {share:g} of the images to train on; wanted one between 0 and 1")
    if seed < 0:
        raise UsageError(f"the seed of a split is {seed}; it must be 0 or more")
    told = (peek(source, index) for index in follow_each(range(len(source)), "reading labels"))
    chosen = draw_train(told, share, seed)
    places = np.flatnonzero(chosen if half == "train" else ~chosen)
    if not len(places):
        raise UsageError(f"the {half} half of {len(source)} images is empty; give more, or another share")
    return _Half(source, places, half, share, seed)


@dataclass(frozen=True, eq=False)
class _Half(DerivedSource):
    places: np.ndarray
    half: str
    share: float
    seed: int

    same_images = False

    def __len__(self) -> int:
        return len(self.places)

    def place(self, index: int) -> int:
        return int(self.places[super().place(index)])

    @property
    def option(self) -> str:
        return self.mark if (self.share, self.seed) != (0.5, 0) else f"half={self.half}"

    @property
    def mark(self) -> str:
        return f"half={self.half}:{self.share}:{self.seed}"


def draw_train(
    images: Iterable[tuple[str, tuple[int, ...]]], share: float = 0.5, seed: int = 0
) -> Bool[np.ndarray, "image"]:
    """Which images are in the train half of `split_source`, by their keys and the labels of whole images.

    >>> draw_train([("a.png", (1,)), ("b.png", (1,)), ("c.png", (2,)), ("d.png", (2,))]).tolist()
    [False, True, False, True]
    """
    groups: dict[tuple[int, ...], list[tuple[str, int]]] = {}
    total = 0
    for index, (key, ids) in enumerate(images):
        lot = hashlib.sha256(f"{seed} {key}".encode("utf-8", "surrogateescape")).hexdigest()
        groups.setdefault(tuple(sorted(set(ids))), []).append((lot, index))
        total += 1
    chosen = np.zeros(total, bool)
    seen = 0
    for _, members in sorted(groups.items()):
        # What rounding takes from one label it gives to the next, so that the whole comes out right.
        count = int(share * (seen + len(members)) + 0.5) - int(share * seen + 0.5)
        chosen[[index for _, index in sorted(members)[:count]]] = True
        seen += len(members)
    return chosen
