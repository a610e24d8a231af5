"""Names that are lists of synonyms, such as "tench, Tinca tinca": the one that is shown."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def first_synonym(text: str) -> str:
    """The first of several names with commas between them.

    >>> first_synonym("bicycle, bike, wheel, cycle ")
    'bicycle'
    """
    return text.partition(",")[0].strip() or text.strip()


def name_apart(names: Mapping[K, str], spell: Callable[[K, str], str]) -> dict[K, str]:
    """The first synonym of every class; for those that share it what `spell` makes of key and text.

    Where that is shared too, the key stands behind it. Upper case does not count.

    >>> name_apart({1: "crane", 2: "Crane", 3: "tench, Tinca tinca"}, lambda key, text: f"{text} ({key})")
    {1: 'crane (1)', 2: 'Crane (2)', 3: 'tench'}
    """
    named = {key: first_synonym(text) for key, text in names.items()}
    for shown in (spell, lambda key, text: f"{text.strip()} ({key})"):
        counts = Counter(name.casefold() for name in named.values())
        shared = [key for key, name in named.items() if counts[name.casefold()] > 1]
        named |= {key: shown(key, names[key]) for key in shared}
    return named
