"""The labels of one source in the codes of a union, kept on disk until codes have numbers."""

import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt32

from unitscope.concepts.formats.broden.tables import INDEX_COLUMNS
from unitscope.concepts.union.label_numbers import Census, settle_planes
from unitscope.concepts.union.synonyms import Thesaurus, spell_name
from unitscope.concepts.vocabulary import Example, Vocabulary
from unitscope.errors import SourceError

Labels = dict[str, tuple[np.ndarray, tuple[int, ...]]]
"""The labels of one image by category: planes of codes, and codes of the whole image."""


@dataclass(frozen=True, eq=False)
class Recoding:
    """What every id of a source means in a union.

    `codes` is uint32[id], 0 for an id that the union leaves out; `places` is int16[id], the category's
    place in `categories`, -1 for ids without a concept. Colors are left out: a union has its own.
    """

    name: str
    codes: np.ndarray
    places: np.ndarray
    categories: tuple[str, ...]

    def split(self, example: Example) -> Labels:
        """The labels of an example in codes, without void pixels and without doubles.

        Raises `SourceError` where a label is not in the source's vocabulary.
        """
        planes, ids = example.planes, np.array(example.ids, np.int64)
        self._check(planes, example.key)
        self._check(ids, example.key)
        if example.void is not None and len(planes):
            planes = np.where(example.void, np.uint16(0), planes)
        labels: Labels = {}
        places = self.places[planes]
        for place, category in enumerate(self.categories):
            whole = dict.fromkeys(int(code) for code in self.codes[ids[self.places[ids] == place]])
            codes = np.where(places == place, self.codes[planes], np.uint32(0))
            if whole:
                codes[np.isin(codes, list(whole))] = 0
            settled = settle_planes(codes)
            if whole or len(settled):
                labels[category] = (settled, tuple(whole))
        return labels

    def _check(self, ids: np.ndarray, key: str) -> None:
        if not ids.size:
            return
        highest = int(ids.max())
        known = highest < len(self.codes) and int(ids.min()) >= 0
        wrong = [highest] if not known else np.unique(ids[(self.places[ids] < 0) & (ids != 0)]).tolist()
        if wrong:
            label = f"the label {wrong[0]}, which its vocabulary does not name"
            raise SourceError(f"{self.name}: {key} has {label}")


def recode_source(vocabulary: Vocabulary, name: str, census: Census, thesaurus: Thesaurus) -> Recoding:
    """Enters the concepts of a source into the census; returns what its ids mean there.

    Raises `SourceError` naming the source where a concept has no usable name.
    """
    codes = np.zeros(vocabulary.size, np.uint32)
    places = np.full(vocabulary.size, -1, np.int16)
    categories: list[str] = []
    for concept in vocabulary:
        category = concept.category.lower()
        if category == "color":
            places[concept.id] = np.iinfo(np.int16).max
            continue
        if category not in categories:
            categories.append(category)
        try:
            codes[concept.id] = census.enter(thesaurus.unify(concept), spell_name(concept))
        except SourceError as error:
            raise SourceError(f"{name}: {error}") from None
        places[concept.id] = categories.index(category)
    return Recoding(name, codes, places, tuple(categories))


def check_categories(recodings: Sequence[Recoding]) -> None:
    """Raises `SourceError` where a category cannot be a column and a part of a file's name."""
    for name, category in ((one.name, category) for one in recodings for category in one.categories):
        if not re.fullmatch(r"[^\W_][\w -]*", category) or category in INDEX_COLUMNS:
            raise SourceError(
                f"{name}: the category {category!r} cannot be a column of Broden's tables; rename it "
                "(letters, digits, spaces, - and _)"
            )


Stored = tuple[int, int, tuple[int, ...]]
"""Where planes lie in a spool: offset and length in bytes; and their shape."""


@dataclass(frozen=True)
class Spool:
    """A file of label planes, written once and read in any order.

    >>> spool = Spool(io.BytesIO())
    >>> spool.get(spool.put(np.full((1, 2, 2), 70_000, np.uint32))).tolist()
    [[[70000, 70000], [70000, 70000]]]
    """

    file: io.BufferedIOBase

    def put(self, planes: UInt32[np.ndarray, "plane row column"]) -> Stored:
        """Appends the planes, compressed; what `get` needs to find them."""
        packed = zlib.compress(np.ascontiguousarray(planes).tobytes(), 1)
        offset = self.file.seek(0, 2)
        self.file.write(packed)
        return offset, len(packed), planes.shape

    def get(self, stored: Stored) -> UInt32[np.ndarray, "plane row column"]:
        """The planes again."""
        offset, length, shape = stored
        self.file.seek(offset)
        return np.frombuffer(zlib.decompress(self.file.read(length)), np.uint32).reshape(shape)
