"""What a unit may mean: concepts, their vocabulary, and the sources of labelled images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from unitscope.axes import Picture, Planes, Void
from unitscope.errors import SourceError, UsageError, say_near

CATEGORIES = ("object", "part", "scene", "material", "texture", "color")
"""The categories of Broden, in the order in which they are shown; others follow by name."""

SUFFIXES = {"scene": "-s", "color": "-c"}
"""What Broden appends to names, so that the scene `street-s` is not the object `street`."""

_PIXELS = frozenset(map(np.dtype, (np.uint8, np.uint16, np.float32)))
_IDS, _TRUTH = np.dtype(np.uint16), np.dtype(bool)

MAX_ID = 65_534
"""The largest id; the one after it is taken where void pixels are coded."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing a unit may detect.

    `id` is a positive number up to 65,534, unique in its vocabulary; gaps are allowed (Broden has
    them). `name` is kept as the data set spells it, with Broden's suffixes `-s` for scenes and `-c`
    for colors; `label` is for people.

    >>> Concept(3, "street-s", "scene").label
    'street'
    """

    id: int
    name: str
    category: str

    @property
    def label(self) -> str:
        """The name without Broden's suffix, underscores as spaces."""
        return self.name.removesuffix(SUFFIXES.get(self.category, "")).replace("_", " ").strip()


@dataclass(frozen=True)
class Vocabulary:
    """The concepts of a source, by id.

    Raises `SourceError` where two concepts share an id, or an id is out of range.

    >>> words = Vocabulary((Concept(1, "cat", "object"), Concept(4, "red-c", "color")))
    >>> words[4].name, len(words), words.size, words.categories
    ('red-c', 2, 5, ('object', 'color'))
    """

    concepts: tuple[Concept, ...]

    def __post_init__(self) -> None:
        seen: dict[int, str] = {}
        for concept in self.concepts:
            if not 1 <= concept.id <= MAX_ID:
                raise SourceError(f"concept {concept.name!r} has id {concept.id}; ids go from 1 to {MAX_ID}")
            if concept.id in seen:
                other = seen[concept.id]
                raise SourceError(f"concepts {other!r} and {concept.name!r} share the id {concept.id}")
            seen[concept.id] = concept.name

    def __len__(self) -> int:
        return len(self.concepts)

    def __iter__(self) -> Iterator[Concept]:
        return iter(self.concepts)

    def __contains__(self, concept_id: object) -> bool:
        return concept_id in self._by_id

    def __getitem__(self, concept_id: int) -> Concept:
        return self._by_id[concept_id]

    @cached_property
    def _by_id(self) -> dict[int, Concept]:
        return {concept.id: concept for concept in self.concepts}

    @cached_property
    def size(self) -> int:
        """One more than the largest id: the length of an array indexed by id."""
        return max((concept.id for concept in self.concepts), default=0) + 1

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """The categories that occur, Broden's first in their usual order, others by name."""
        present = {concept.category for concept in self.concepts}
        known = [category for category in CATEGORIES if category in present]
        return tuple(known + sorted(present - set(CATEGORIES)))

    @cached_property
    def category_index(self) -> np.ndarray:
        """int16[size]: the place in `categories` of every id, -1 where the id is a gap."""
        index = np.full(self.size, -1, np.int16)
        for concept in self.concepts:
            index[concept.id] = self.categories.index(concept.category)
        return index


def find_concepts(vocabulary: Vocabulary, name: str) -> tuple[Concept, ...]:
    """All concepts that a text means: a name or label in any case, or CATEGORY/NAME.

    Raises `UsageError`, with near names, where there is none.
    """
    wanted = name.casefold()
    found = []
    for one in vocabulary:
        spelled = {one.name.casefold(), one.label.casefold()}
        if wanted in spelled | {f"{one.category}/{text}".casefold() for text in spelled}:
            found.append(one)
    if not found:
        near = say_near(name, [one.label for one in vocabulary], 3)
        raise UsageError(f"there is no concept {name!r}{near or f'; there are {len(vocabulary)} others'}")
    return tuple(found)


def find_named(vocabulary: Vocabulary, names: Sequence[str]) -> tuple[Concept, ...]:
    """The concept of every name, read as by `find_concepts`.

    Raises `UsageError` for a name that is unknown, with near names, or that several concepts share.

    >>> words = Vocabulary((Concept(1, "cat", "object"), Concept(4, "red-c", "color")))
    >>> [concept.id for concept in find_named(words, ["Red", "object/cat"])]
    [4, 1]
    """
    if not names:
        raise UsageError("no concept was named; say which, as in: --concept tree")
    chosen: list[Concept] = []
    for name in dict.fromkeys(names):
        found = find_concepts(vocabulary, name)
        if len(found) > 1:
            choices = " or ".join(f"{one.category}/{one.label}" for one in found)
            raise UsageError(f"several concepts are called {name!r}; say {choices}")
        chosen += found
    return tuple(chosen)


def no_planes() -> np.ndarray:
    """The planes of an image without pixel labels: uint16[0, 1, 1]."""
    return np.zeros((0, 1, 1), np.uint16)


@dataclass(frozen=True, eq=False)
class Example:
    """One image with what is known about it.

    `image` is uint8[y, x, 3], RGB, or uint8, uint16 or float32[y, x, band] of other bands; `planes` is
    uint16[plane, row, column] of concept ids, 0 where no label (rows and columns may be fewer than the
    image's: Broden stores labels at half size; zero planes where only the image is labelled); `ids` are
    concepts of the whole image; `void` marks pixels whose truth is unknown and which are counted nowhere, at
    the size of the planes.

    Raises `SourceError` for anything else, so that a source of your own is told by its first example; no
    pixel is looked at for it.

    >>> Example("a.png", np.zeros((2, 2, 3), np.uint8), ids=(0,))
    Traceback (most recent call last):
    unitscope.errors.SourceError: a.png: its ids hold 0; wanted whole numbers from 1 to 65534, ids of concepts
    """

    key: str
    image: Picture
    planes: Planes = field(default_factory=no_planes)
    ids: tuple[int, ...] = ()
    void: Void | None = None

    def __post_init__(self) -> None:
        image, planes, void = self.image, self.planes, self.void
        if not isinstance(self.key, str):
            raise SourceError(f"an example has the key {self.key!r}; wanted a text, such as its file's name")
        if (
            not isinstance(image, np.ndarray)
            or image.ndim != 3
            or image.dtype not in _PIXELS
            or not image.size
        ):
            wanted = "uint8[y, x, 3] in RGB, or uint8, uint16 or float32[y, x, band] of other bands"
            raise SourceError(f"{self.key}: its image is {_describe(image)}; wanted {wanted}")
        if not isinstance(planes, np.ndarray) or planes.ndim != 3 or planes.dtype != _IDS:
            wanted = "uint16[plane, row, column] of concept ids, 0 where there is none"
            raise SourceError(f"{self.key}: its planes are {_describe(planes)}; wanted {wanted}")
        if type(self.ids) is not tuple:
            raise SourceError(f"{self.key}: its ids are {self.ids!r}; wanted a tuple of concept ids")
        for one in self.ids:
            if type(one) is not int or not 0 < one <= MAX_ID:
                wanted = f"whole numbers from 1 to {MAX_ID}, ids of concepts"
                raise SourceError(f"{self.key}: its ids hold {one!r}; wanted {wanted}")
        if void is None:
            return
        if not isinstance(void, np.ndarray) or void.ndim != 2 or void.dtype != _TRUTH:
            wanted = "bool[row, column], true where nothing is known"
            raise SourceError(f"{self.key}: its void mask is {_describe(void)}; wanted {wanted}")
        if planes.shape[0] and void.shape != planes.shape[1:]:
            sizes = f"its void mask is {void.shape}, its labels are {planes.shape[1:]}"
            raise SourceError(f"{self.key}: {sizes}; make them the same size")


def check_first(source: object) -> None:
    """Reads the first example of a source that nobody opened by a text, which is the user's own.

    Raises `UsageError` where it is no source, `SourceError` where what it gives is no `Example`.

    >>> check_first([np.zeros((2, 2, 3), np.uint8)])
    Traceback (most recent call last):
    unitscope.errors.UsageError: the source is a list without vocabulary; wanted an object with a...
    """
    if not isinstance(source, ConceptSource):
        lack = [name for name in ("vocabulary", "__len__", "__getitem__") if not hasattr(source, name)]
        found = f"the source is a {type(source).__name__} without {', '.join(lack)}"
        raise UsageError(f"{found}; wanted an object with a vocabulary, a length, and an Example by index")
    vocabulary: object = source.vocabulary
    if not isinstance(vocabulary, Vocabulary):
        raise SourceError(f"the source's vocabulary is {_describe(vocabulary)}; wanted a Vocabulary")
    if len(source) and not hasattr(source, "spec"):
        first: object = source[0]
        if not isinstance(first, Example):
            wanted = "unitscope.Example(key, image, planes, ids, void)"
            raise SourceError(f"the source's first example is {_describe(first)}; wanted {wanted}")


def _describe(found: object) -> str:
    if isinstance(found, np.ndarray):
        return f"{found.dtype} of shape {found.shape}"
    return "nothing" if found is None else f"a {type(found).__name__}"


@runtime_checkable
class ConceptSource(Protocol):
    """Anything with a vocabulary, a length, and examples by index is a source of concepts.

    Examples are asked for by several threads at once, so a source that reads from one open file must
    guard it. A source may also have `digest` (a string that changes when its data do) and `spec` (the text
    that opens it again), which runs record, `peek(index)`, which gives the key of an example and the
    labels of its whole image without opening it, and `source`, the one that it is made from
    (`unitscope.concepts.derived`).
    """

    @property
    def vocabulary(self) -> Vocabulary: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...
