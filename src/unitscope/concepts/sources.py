"""Sources by name, and sources made from other sources."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from unitscope.concepts.formats.broden import open_broden
from unitscope.concepts.formats.folders import open_folder
from unitscope.concepts.vocabulary import ConceptSource, Example, Vocabulary
from unitscope.errors import UsageError

_OPTIONS = {
    "folder": ("category", "split", "masks"),
    "broden": ("split", "categories"),
    "drawn": ("count", "seed", "size"),
}
KINDS = tuple(_OPTIONS)
_COMMON = ("limit", "shuffle", "half", "quadrants")
HALVES = ("train", "test")
_OPTION = re.compile(r"^(?P<head>.*),\s*(?P<key>[a-z_]+)\s*=(?P<value>[^,]*)$", re.DOTALL)


def open_source(spec: str) -> ConceptSource:
    """The source that a text names.

    - `folder:DIR[,category=NAME][,split=NAME][,masks=DIR]`: `open_folder`
    - `broden:DIR[,split=NAME][,categories=NAME+NAME]`: `open_broden`
    - `drawn[:count=N,seed=N,size=N]`: scenes painted by code
    - with any of them, applied in the order of the text: `limit=N` (`limit`), `shuffle=SEED`
      (`shuffle_labels`), `half=train` or `half=test`, also `half=test:SHARE:SEED` (`split_source`),
      `quadrants=CATEGORY` (`quadrants.split_quadrants`)

    A folder whose name has such an ending is taken as it stands.

    Raises `UsageError` where the kind, an option or a value is unknown, and what the opened source raises.

    >>> open_source("floder:photos")
    Traceback (most recent call last):
    ...
    unitscope.errors.UsageError: 'floder:photos' is no source of concepts; wanted folder:DIR, ...
    """
    kind, _, rest = spec.partition(":")
    if kind not in _OPTIONS or (kind != "drawn" and not rest):
        raise UsageError(f"{spec!r} is no source of concepts; wanted folder:DIR, broden:DIR or drawn")
    if kind == "drawn":
        place, options = "", _split_options("," + rest if rest else "", spec)[1]
    else:
        place, options = _split_options(rest, spec)
    allowed = (*_OPTIONS[kind], *_COMMON)
    for key, _ in options:
        if key not in allowed:
            raise UsageError(f"{spec!r}: {kind} has no option {key!r}; it has {', '.join(allowed)}")
    own = {key: value for key, value in options if key not in _COMMON}
    source = _OPENERS[kind](place, own)
    for key, value in options:
        if key == "limit":
            source = limit(source, _number(value, "limit"))
        elif key == "shuffle":
            source = shuffle_labels(source, _number(value, "shuffle"))
        elif key == "half":
            source = _open_half(source, value)
        elif key == "quadrants":
            from unitscope.concepts.quadrants import split_quadrants  # which is itself a source of a source

            source = split_quadrants(source, value)
    return source


def limit(source: ConceptSource, count: int) -> ConceptSource:
    """The first `count` examples of a source, or all where there are fewer.

    Raises `UsageError` where `count` is below 1.
    """
    if count < 1:
        raise UsageError(f"a limit of {count} images leaves nothing; wanted 1 or more")
    return _Limited(source, min(count, len(source)), count)


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


def split_source(source: ConceptSource, half: str, *, share: float = 0.5, seed: int = 0) -> ConceptSource:
    """One of two parts of a source that share no image: "train" to fit on, "test" to measure on.

    Of the images of every label of the whole image (of every combination of such labels, where there are
    several) the `share` goes to "train", give or take one image: those whose SHA-256 over seed and key comes
    first. So both parts have the same mix of classes, whatever the order of the source; images keep their
    order.

    Raises `UsageError` for another name, a share that is not between 0 and 1, or a part without images.

    >>> from unitscope.lab.world import open_drawn
    >>> world = open_drawn(count=10, size=64)
    >>> len(split_source(world, "train", share=0.7)), len(split_source(world, "test", share=0.7))
    (7, 3)
    """
    if half not in HALVES:
        raise UsageError(f"there is no half {half!r} of a source; wanted train or test")
    if not 0 < share < 1:
        raise UsageError(f"a share of {share:g} of the images to train on; wanted one between 0 and 1")
    if seed < 0:
        raise UsageError(f"the seed of a split is {seed}; it must be 0 or more")
    chosen = _draw_train(source, share, seed)
    places = np.flatnonzero(chosen if half == "train" else ~chosen)
    if not len(places):
        raise UsageError(f"the {half} half of {len(source)} images is empty; give more, or another share")
    return _Half(source, places, half, share, seed)


def peek(source: ConceptSource, index: int) -> tuple[str, tuple[int, ...]]:
    """The key of an example and the labels of its whole image, without opening the image where that can be.

    It can where the source has a method `peek(index)` of its own.
    """
    look = getattr(source, "peek", None)
    if look is not None:
        key, ids = look(index)
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


@dataclass(frozen=True, eq=False)
class _Limited:
    source: ConceptSource
    length: int
    count: int

    @property
    def vocabulary(self) -> Vocabulary:
        return self.source.vocabulary

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int, /) -> Example:
        return self.source[range(self.length)[index]]

    def peek(self, index: int) -> tuple[str, tuple[int, ...]]:
        return peek(self.source, range(self.length)[index])

    @property
    def spec(self) -> str:
        return extend_spec(source_spec(self.source), f"limit={self.count}")

    @cached_property
    def digest(self) -> str:
        return _derived(self.source, f"limit={self.length}")


@dataclass(frozen=True, eq=False)
class _Shuffled:
    source: ConceptSource
    seed: int

    @property
    def vocabulary(self) -> Vocabulary:
        return self.source.vocabulary

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int, /) -> Example:
        other = self.source[int(self.partners[index])]
        return replace(self.source[index], planes=other.planes, ids=other.ids, void=other.void)

    def peek(self, index: int) -> tuple[str, tuple[int, ...]]:
        return peek(self.source, index)[0], peek(self.source, int(self.partners[index]))[1]

    @cached_property
    def partners(self) -> np.ndarray:
        """int64[image]: whose labels an image gets."""
        random = np.random.default_rng(self.seed)
        places = np.arange(len(self.source))
        partners = random.permutation(places)
        while (partners == places).any():  # one in e tries succeeds, whatever the length
            partners = random.permutation(places)
        return partners

    @property
    def spec(self) -> str:
        return extend_spec(source_spec(self.source), f"shuffle={self.seed}")

    @cached_property
    def digest(self) -> str:
        return _derived(self.source, f"shuffle={self.seed}")


@dataclass(frozen=True, eq=False)
class _Half:
    # Not `source`: its images are not the first ones, and nothing may take their numbers for a generator's.
    whole: ConceptSource
    places: np.ndarray
    half: str
    share: float
    seed: int

    @property
    def vocabulary(self) -> Vocabulary:
        return self.whole.vocabulary

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int, /) -> Example:
        return self.whole[int(self.places[range(len(self.places))[index]])]

    def peek(self, index: int) -> tuple[str, tuple[int, ...]]:
        return peek(self.whole, int(self.places[index]))

    @property
    def spec(self) -> str:
        return extend_spec(source_spec(self.whole), spell_half(self.half, self.share, self.seed))

    @cached_property
    def digest(self) -> str:
        return _derived(self.whole, f"half={self.half}:{self.share}:{self.seed}")


def _draw_train(source: ConceptSource, share: float, seed: int) -> np.ndarray:
    groups: dict[tuple[int, ...], list[tuple[str, int]]] = {}
    for index in range(len(source)):
        key, ids = peek(source, index)
        lot = hashlib.sha256(f"{seed} {key}".encode("utf-8", "surrogateescape")).hexdigest()
        groups.setdefault(tuple(sorted(ids)), []).append((lot, index))
    chosen = np.zeros(len(source), bool)
    seen = 0
    for _, members in sorted(groups.items()):
        # What rounding takes from one label it gives to the next, so that the whole comes out right.
        count = int(share * (seen + len(members)) + 0.5) - int(share * seen + 0.5)
        chosen[[index for _, index in sorted(members)[:count]]] = True
        seen += len(members)
    return chosen


def spell_half(half: str, share: float = 0.5, seed: int = 0) -> str:
    """The option of a source's text that stands for this half.

    >>> spell_half("test"), spell_half("train", 0.8)
    ('half=test', 'half=train:0.8:0')
    """
    return f"half={half}" if (share, seed) == (0.5, 0) else f"half={half}:{share}:{seed}"


def _open_half(source: ConceptSource, value: str) -> ConceptSource:
    half, *numbers = value.split(":")
    try:
        share = float(numbers[0]) if numbers else 0.5
        seed = int(numbers[1]) if len(numbers) > 1 else 0
    except ValueError:
        half = ""
    if half not in HALVES or len(numbers) > 2:
        raise UsageError(f"half={value!r}: wanted train or test, or train:SHARE:SEED such as train:0.7:0")
    return split_source(source, half, share=share, seed=seed)


def _derived(source: ConceptSource, how: str) -> str:
    return hashlib.sha256(f"{source_digest(source)} {how}".encode()).hexdigest()


def extend_spec(spec: str, option: str) -> str:
    """The text of a source with one more option."""
    return f"{spec}:{option}" if spec == "drawn" else f"{spec},{option}"


def _split_options(text: str, spec: str) -> tuple[str, list[tuple[str, str]]]:
    options: list[tuple[str, str]] = []
    while text and not Path(text).is_dir():
        match = _OPTION.match(text)
        if match is None:
            break
        text = match["head"]
        options.insert(0, (match["key"], match["value"].strip()))
    if spec.startswith("drawn") and text:
        raise UsageError(f"{spec!r}: {text.strip(',')!r} is no option; wanted key=value, such as count=200")
    repeated = [key for key, _ in options if key not in _COMMON and sum(key == k for k, _ in options) > 1]
    if repeated:
        raise UsageError(f"{spec!r}: the option {repeated[0]!r} is given twice; give it once")
    return text, options


def _open_drawn(_: str, options: dict[str, str]) -> ConceptSource:
    numbers = {"count": 200, "seed": 0, "size": 224}
    numbers |= {key: _number(value, key) for key, value in options.items()}
    from unitscope.lab.world import open_drawn  # only here: painting scenes needs more than reading

    return open_drawn(numbers["count"], numbers["seed"], numbers["size"])


def _open_folder(place: str, options: dict[str, str]) -> ConceptSource:
    return open_folder(
        place, category=options.get("category"), split=options.get("split"), masks=options.get("masks")
    )


def _open_broden(place: str, options: dict[str, str]) -> ConceptSource:
    categories = options["categories"].split("+") if "categories" in options else None
    return open_broden(place, split=options.get("split"), categories=categories)


def _number(value: str, option: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise UsageError(f"{option}={value!r}: wanted a whole number of 0 or more")
    return int(value)


_OPENERS: dict[str, Callable[[str, dict[str, str]], ConceptSource]] = {
    "folder": _open_folder,
    "broden": _open_broden,
    "drawn": _open_drawn,
}
