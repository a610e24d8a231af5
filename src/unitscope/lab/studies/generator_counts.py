"""Counts of units and concepts in generators that were compared, a number a seed."""

from collections.abc import Callable, Sequence

from unitscope.lab.studies.generator_comparison import UNITS, Measured, NamedLayer

CATEGORIES = ("object", "part", "material", "color")
SEMANTIC = CATEGORIES[:3]
"""The categories that the paper counts: types of objects, parts and materials."""


def count_matching(rows: Sequence[NamedLayer], categories: Sequence[str] = SEMANTIC) -> int:
    """The units of some layers that match a concept of some categories.

    >>> names = ["object/sky", "", "color/red", "object/sky"]
    >>> layer = NamedLayer("as it is", 0, 0, UNITS, "layer1", 0.0, names)
    >>> count_matching([layer]), count_concepts([layer]), count_concepts([layer, layer], ("object", "color"))
    (2, 1, 2)
    """
    return sum(name.partition("/")[0] in categories for row in rows for name in row.names)


def count_concepts(rows: Sequence[NamedLayer], categories: Sequence[str] = SEMANTIC) -> int:
    """The different concepts of some categories that units of some layers match."""
    return len({name for row in rows for name in row.names if name.partition("/")[0] in categories})


def count_chance(rows: Sequence[NamedLayer]) -> float:
    """The units of some layers that match by chance."""
    return sum((row.chance for row in rows), 0.0)


Measure = Callable[[Sequence[NamedLayer]], int | float]


def by_seed(
    found: Measured,
    variant: str,
    measure: Measure,
    *,
    step: int | None = None,
    layer: str | None = None,
    basis: str = UNITS,
) -> list[int | float]:
    """A measure of all layers of a variant or of one, by default at the end; a number a seed."""
    wanted = find_end(found, variant) if step is None else step
    rows = [
        one
        for one in found.layers
        if (one.variant, one.step, one.basis) == (variant, wanted, basis) and layer in (None, one.layer)
    ]
    return [measure([one for one in rows if one.seed == seed]) for seed in sorted({one.seed for one in rows})]


def rate(found: Measured, variant: str, field: str, step: int | None = None) -> list[float]:
    """What is said of the pictures of a variant, by default at the end; a number a seed."""
    wanted = find_end(found, variant) if step is None else step
    rows = [one for one in found.quality if (one.variant, one.step) == (variant, wanted)]
    return [float(getattr(one, field)) for one in sorted(rows, key=lambda one: one.seed)]


def list_steps(found: Measured, variant: str) -> list[int]:
    """The steps of a variant that were measured, in order."""
    return sorted({one.step for one in found.quality if one.variant == variant})


def find_end(found: Measured, variant: str) -> int:
    """The last step of a variant that was measured; 0 where there is none."""
    return max(list_steps(found, variant), default=0)
