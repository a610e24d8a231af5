"""A source that the user's own function returns: `FILE.py:FACTORY[,option=value]`."""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from unitscope.concepts.derived import DerivedSource, source_digest
from unitscope.concepts.vocabulary import ConceptSource, Example
from unitscope.errors import SourceError, UnitscopeError, UsageError
from unitscope.factories import call_function, say_failure


def open_own(place: str, options: Mapping[str, str]) -> "OwnSource":
    """What the function returns that `place` names, FILE.py:FACTORY, called with the options as texts.

    The file's code runs, because it was named.

    Raises `UsageError` where there is no such file or function, or it does not take those options,
    `SourceError` where its code fails or returns no source.

    >>> import tempfile
    >>> code = '''
    ... import numpy as np
    ... import unitscope as us
    ...
    ... class Grays(list):
    ...     vocabulary = us.Vocabulary((us.Concept(1, "gray", "color"),))
    ...
    ... def grays(count="2"):
    ...     pixels = np.full((4, 4, 3), 128, np.uint8)
    ...     return Grays(us.Example(f"gray {i}", pixels, ids=(1,)) for i in range(int(count)))
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "sets.py"
    ...     _ = path.write_text(code)
    ...     source = open_own(f"{path}:grays", {"count": "3"})
    >>> len(source), source[2].key, source.spec.endswith("sets.py:grays,count=3")
    (3, 'gray 2', True)
    """

    def call(make: Callable[..., object]) -> object:
        _check_options(place, make, options)
        return make(**options)

    made = call_function(place, "a source of concepts", call, SourceError)
    if not isinstance(made, ConceptSource):
        wanted = "a vocabulary, a length, and [index] -> Example"
        raise SourceError(f"{place} returned {type(made).__name__}; wanted a source of concepts: {wanted}")
    given = "".join(f",{key}={value}" for key, value in options.items())
    code = hashlib.sha256(Path(place.rpartition(":")[0]).read_bytes()).hexdigest()
    return OwnSource(made, place + given, code)


def _check_options(place: str, make: Callable[..., object], options: Mapping[str, str]) -> None:
    try:
        known = inspect.signature(make)
    except (TypeError, ValueError):  # what is not written in Python tells nothing of itself
        return
    try:
        known.bind(**options)
    except TypeError as error:
        listed = ", ".join(known.parameters) or "none"
        raise UsageError(
            f"{place} cannot be called with these options ({error}); it takes {listed}"
        ) from None


@dataclass(frozen=True, eq=False)
class OwnSource(DerivedSource):
    """What a function of the user returned, with the text that calls it again.

    `code` is the digest of its file, which stands for the data where the source has no digest of its own.
    """

    opened: str
    code: str

    def __getitem__(self, index: int, /) -> Example:
        """The example. Raises `SourceError` where the user's code fails."""
        place = self.place(index)
        try:
            return self.source[place]
        except UnitscopeError:
            raise
        except Exception as error:
            raise SourceError(f"{self.opened}: image {place} failed: {say_failure(error)}") from error

    @property
    def spec(self) -> str:
        """The text that opens this source again."""
        return self.opened

    @cached_property
    def digest(self) -> str:
        """The digest of the source, or where it has none SHA-256 over its length, vocabulary and code."""
        if isinstance(getattr(self.source, "digest", None), str):
            return source_digest(self.source)
        lines = [f"{self.code} {len(self)}"]
        lines += [f"{concept.id} {concept.name!r} {concept.category!r}" for concept in self.vocabulary]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def audit(self) -> Iterator[tuple[str, str]]:
        """What reading never meets, where the source tells it."""
        return iter(getattr(self.source, "audit", tuple)())
