"""Texts with options, `NAME:PLACE,key=value,...`: one grammar for sources, generators and segmenters."""

import os
import re
from collections.abc import Collection, Iterable, Sequence

from unitscope.errors import UsageError

Options = list[tuple[str, str]]
"""Keys and values, in the order of the text."""

_LAST = re.compile(r"^(?:(?P<head>.*),)?\s*(?P<key>[a-z_]+)\s*=(?P<value>.*)$", re.DOTALL)


def split_options(text: str, known: Collection[str] | None = None) -> tuple[str, Options]:
    """What stands before the options of a text, and the options.

    An option is `key=value` after a comma or at the start; the value may hold commas. A text that is the path
    of a file or folder, whose name may end like an option, is taken as it stands. With `known` the options
    begin after the last one that has another key.

    >>> split_options("hf:net,phrases=tree|old house,random=0")
    ('hf:net', [('phrases', 'tree|old house'), ('random', '0')])
    >>> split_options("hf:net,random=0,count=8", known=("count",))
    ('hf:net,random=0', [('count', '8')])
    """
    options: Options = []
    while text and not os.path.exists(text):
        match = _LAST.match(text)
        if match is None or (known is not None and match["key"] not in known):
            break
        text = match["head"] or ""
        options.insert(0, (match["key"], match["value"].strip()))
    return text, options


def check_options(
    what: str, options: Iterable[tuple[str, str]], known: Sequence[str], repeatable: Sequence[str] = ()
) -> dict[str, str]:
    """The options by key, without those that are `repeatable`; `what` has them.

    Raises `UsageError` for an option that is not known, or given twice.

    >>> check_options("folder", [("split", "val"), ("limit", "9")], ["split", "masks"], ["limit"])
    {'split': 'val'}
    """
    found: dict[str, str] = {}
    for key, value in options:
        if key not in (*known, *repeatable):
            listed = ", ".join((*known, *repeatable)) or "none"
            raise UsageError(f"{what} has no option {key!r}; it has {listed}")
        if key in found:
            raise UsageError(f"{what}: the option {key!r} is given twice; give it once")
        if key not in repeatable:
            found[key] = value
    return found


def read_number(option: str, value: str) -> int:
    """The value of an option as a whole number of 0 or more. Raises `UsageError` where it is none.

    >>> read_number("count", "12")
    12
    """
    if not (value.isascii() and value.isdigit()):
        raise UsageError(f"{option}={value!r}: wanted a whole number of 0 or more")
    return int(value)


def read_choice(option: str, value: str, choices: Sequence[str]) -> str:
    """The value of an option that takes a few words only. Raises `UsageError` for another, with those words.

    >>> read_choice("eval", "yes", ("yes", "no"))
    'yes'
    """
    if value not in choices:
        raise UsageError(f"{option}={value!r}: wanted {' or '.join(choices)}")
    return value
