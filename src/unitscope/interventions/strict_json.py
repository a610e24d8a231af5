"""JSON that strangers send, read strictly: exactly what was asked for, or an error in one line."""

import json
from typing import Any

from unitscope.errors import UsageError


def parse_json(text: str | bytes, what: str) -> object:
    """The value of a JSON text. Raises `UsageError`, naming `what`, for anything else.

    NaN and infinities are no numbers of JSON, and a key may stand in an object once.

    >>> parse_json('{"a": [1]}', "a list")
    {'a': [1]}
    >>> parse_json('{"a": 1, "a": 2}', "an edit list")
    Traceback (most recent call last):
    unitscope.errors.UsageError: an edit list must be JSON: a key stands twice in an object
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_twins)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{what} must be JSON: {reason.splitlines()[0]}") from None


def read_members(value: object, keys: tuple[str, ...], what: str) -> dict[str, Any]:
    """An object that has these keys and no others."""
    if not isinstance(value, dict) or set(value) != set(keys):
        raise UsageError(f"{what} must be an object with {', '.join(keys)} and nothing else")
    return value


def read_items(value: object, most: int, what: str) -> list[Any]:
    """A list of `most` at most."""
    if not isinstance(value, list) or len(value) > most:
        raise UsageError(f"{what} must be a list of {most} at most")
    return value


def read_whole(value: object, most: int, what: str) -> int:
    """A whole number from 0 to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise UsageError(f"{what} must be a whole number from 0 to {most}")
    return value


def read_share(value: object, what: str, most: int = 1) -> float:
    """A number from 0 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise UsageError(f"{what} must be a number from 0 to {most}")
    return float(value)


def read_choice(value: object, known: tuple[str, ...], what: str) -> str:
    """One of some words."""
    if not isinstance(value, str) or value not in known:
        raise UsageError(f"{what} must be one of {', '.join(known)}")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _refuse_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return found
