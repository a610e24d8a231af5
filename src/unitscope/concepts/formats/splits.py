"""The splits of a set: which there are."""

from collections.abc import Iterable
from pathlib import Path

from unitscope.errors import UsageError


def check_split(root: Path, split: str | None, splits: Iterable[str]) -> None:
    """Raises `UsageError` where a split was asked for that is not among those that exist."""
    known = tuple(splits)
    if split is not None and split not in known:
        listed = f"its splits are {', '.join(known)}" if known else "it has none; leave the split out"
        raise UsageError(f"{root} has no split {split!r}; {listed}")
