"""Parts only where their owner is seen: a wheel counts on a car, not where a segmenter sees one in the sky.

Paper B keeps a part's label only where the object that it belongs to is found too.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from unitscope.concepts.derived import DerivedSource, walk
from unitscope.concepts.vocabulary import ConceptSource, Example, find_concepts
from unitscope.errors import SourceError, UsageError

OWN = "own"
PART, OWNER = "part", "owner"

Owners = Mapping[str, Sequence[str]]
"""By the name of a part the names of what it may belong to."""


def keep_owned(source: ConceptSource, owners: Owners | str) -> ConceptSource:
    """The source with labels of parts only at pixels that also have the label of an owner of the part.

    `owners` are names, the path of a CSV with the columns `part` and `owner` (a row a pair), or "own": those
    that the source knows (`owners`), or its segmenter, as `zoo:segmenter` does. Parts without owners keep all
    their labels, and so does everything that is no part; labels of whole images are not looked at.

    Raises `UsageError` for a name that is no concept of the source, a part of another category, an owner
    that is itself a part, or where the source knows no owners; `SourceError` for a file that cannot be
    read so.

    >>> import unitscope as us
    >>> seen = us.open_source("drawn:count=4,size=64")
    >>> kept = keep_owned(seen, {"trunk": ["tree"]})
    >>> trunk = next(one.id for one in seen.vocabulary if one.name == "trunk")
    >>> all((a.planes == trunk).sum() >= (b.planes == trunk).sum() for a, b in zip(seen, kept))
    True
    """
    named, option = (_find_named(source, owners), owners) if isinstance(owners, str) else (owners, "")
    if not named:
        raise UsageError(f"no part has an owner in {option or 'owners'}; wanted a row a part and its owner")
    words = source.vocabulary
    allowed = np.zeros((words.size, words.size), bool)
    for part, some in named.items():
        chosen = [one for one in find_concepts(words, part) if one.category == PART]
        if not chosen:
            raise UsageError(f"{part!r} is no part that the source labels; its parts have the category part")
        for owner in some:
            ids = [one.id for one in find_concepts(words, owner) if one.category != PART]
            if not ids:
                raise UsageError(f"{part!r} cannot belong to {owner!r}, which is a part; name what is none")
            for one in chosen:
                allowed[one.id, ids] = True
    return _Owned(source, allowed, option)


def _find_named(source: ConceptSource, owners: str) -> Owners:
    if owners != OWN:
        return read_owners(Path(owners))
    for one in walk(source):
        for holder in (one, getattr(one, "segmenter", None)):
            if found := getattr(holder, "owners", None):
                return dict(found)
    raise UsageError(
        "the source does not know what its parts belong to; give owners=FILE, a CSV of part and owner"
    )


def read_owners(path: Path) -> Owners:
    """The owners of every part that a CSV with the columns `part` and `owner` names.

    Raises `SourceError` for a file that cannot be read so.
    """
    found: dict[str, list[str]] = {}
    try:
        rows = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
        missing = [name for name in (PART, OWNER) if name not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(f"it has no column {missing[0]!r}")
        for row in rows:
            if not row[PART] or not row[OWNER]:
                raise ValueError(f"line {rows.line_num} lacks a part or its owner")
            found.setdefault(row[PART], []).append(row[OWNER])
    except (OSError, ValueError, csv.Error) as error:
        raise SourceError(f"cannot read the owners in {path}: {error}") from error
    return found


@dataclass(frozen=True, eq=False)
class _Owned(DerivedSource):
    """`allowed[part, owner]` are the pairs; a part with no pair is not looked at."""

    allowed: Bool[np.ndarray, "concept concept"]
    text: str

    @property
    def option(self) -> str:
        return f"owners={self.text}"

    @property
    def mark(self) -> str:
        return f"owners {np.argwhere(self.allowed).tolist()}"

    @property
    def spec(self) -> str:
        if self.text:
            return super().spec
        return f"parts on their owners, of {len(self)} images, {len(self.vocabulary)} concepts"

    @cached_property
    def _gated(self) -> Bool[np.ndarray, "concept"]:
        return np.asarray(self.allowed.any(1))

    def __getitem__(self, index: int, /) -> Example:
        example = super().__getitem__(index)
        planes = example.planes
        gated = self._gated[planes]
        owned = np.zeros_like(gated)
        for other in planes:
            owned |= self.allowed[planes, other[None]]
        return replace(example, planes=np.where(gated & ~owned, 0, planes).astype(planes.dtype))
