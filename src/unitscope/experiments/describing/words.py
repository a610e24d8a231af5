"""The words that units may be called by: what was given, each once, and whether one is a concept's name."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from unitscope.concepts.vocabulary import Concept
from unitscope.errors import UsageError
from unitscope.progress import LOGGER

_LISTED = 5


@dataclass(frozen=True)
class Words:
    """Words, each once, in the order given; `repeated` stood more than once; `blank` were empty."""

    words: tuple[str, ...]
    repeated: tuple[str, ...]
    blank: int


def gather_words(given: Sequence[str]) -> Words:
    """The words of a list, spaces around them and empty lines dropped, each once.

    Raises `UsageError` where fewer than two are left, among which there is nothing to choose.

    >>> gather_words(["cat", "", " dog ", "cat"])
    Words(words=('cat', 'dog'), repeated=('cat',), blank=1)
    """
    if isinstance(given, str):
        raise UsageError(f"the words are the text {given!r}; give a list, such as [{given!r}]")
    stripped = [" ".join(word.split()) for word in given]
    kept = [word for word in stripped if word]
    once = tuple(dict.fromkeys(kept))
    if len(once) < 2:
        found = f"1 word, {once[0]!r}" if once else "no words"
        raise UsageError(f"the list has {found}; give at least two to choose among, one a line")
    repeated = tuple(word for word, count in Counter(kept).items() if count > 1)
    return Words(once, repeated, len(stripped) - len(kept))


def tell_repeated(words: Words) -> None:
    """Says which words stood more than once in the list."""
    if words.repeated:
        listed = ", ".join(words.repeated[:_LISTED]) + (", ..." if len(words.repeated) > _LISTED else "")
        told = "standing more than once in the list of words and counted once"
        LOGGER.info("%s (%d): %s", told, len(words.repeated), listed)


def check_prompts(prompts: Sequence[str]) -> tuple[str, ...]:
    """Raises `UsageError` for prompts that have no place for a word, `{}`, or none at all.

    >>> check_prompts(["a photo of {}"])
    ('a photo of {}',)
    """
    wanted = 'give texts with one place for the word, such as "a photo of a {}"'
    if isinstance(prompts, str) or not prompts:
        raise UsageError(f"the prompts are {prompts!r}; {wanted} in a list")
    for prompt in prompts:
        if prompt.count("{}") != 1:
            raise UsageError(f"the prompt {prompt!r} has {prompt.count('{}')} places for the word; {wanted}")
    return tuple(prompts)


def is_name(word: str, concept: Concept) -> bool:
    """Whether a word is a concept's name or label, in any case, `_` and `-` as spaces.

    >>> is_name("Railway station", Concept(1, "railway_station-s", "scene"))
    True
    """
    return _plain(word) in (_plain(concept.name), _plain(concept.label))


def _plain(text: str) -> str:
    return " ".join(re.split(r"[\s_-]+", text.casefold().strip()))
