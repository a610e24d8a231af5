"""Units removed that make artifacts: do a generator's pictures come closer to the reference?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from unitscope.concepts.segmented import Segmenter
from unitscope.errors import UsageError
from unitscope.experiments.artifacts import (
    SIGNS,
    Artifacts,
    Reference,
    Sampling,
    check_units,
    rank_artifacts,
)
from unitscope.interventions.edits import check_counts, count_units
from unitscope.interventions.linear_head import remove_units
from unitscope.interventions.repainting import repaint_pixels
from unitscope.networks.generators import Generator
from unitscope.networks.picture_features import Extractor
from unitscope.results import Result
from unitscope.statistics.frechet import compare_spread
from unitscope.statistics.intervals import Interval
from unitscope.tables import Table, align, plain

Removed = Literal["frechet", "unknown", "marked", "nearest", "random"]
WORDS: dict[Removed, str] = {
    "frechet": "by distance",
    "unknown": "by unknown",
    "marked": "marked by eye",
    "nearest": "of least distance",
    "random": "random",
}
COUNTS = (5, 20)


@dataclass(frozen=True, eq=False)
class ArtifactRemoval(Result):
    """What the removal of units does to all pictures; made by `remove_artifacts`.

    `before` is the Fréchet distance of the pictures of `numbers` from the reference, `after[by, count]` that
    without `count` units, the first of an order or those marked by eye; `drawn[count]` that without as many
    by lot, a number a draw. The main table has a row a set of units.
    """

    artifacts: Artifacts
    numbers: range
    before: float
    after: Mapping[tuple[Removed, int], float]
    drawn: Mapping[int, Float64[np.ndarray, "draw"]]
    sets: Mapping[tuple[Removed, int], tuple[int, ...]]

    files = ("removal.csv",)

    def random(self, count: int) -> Interval:
        """The distance without that many random units: the mean, the lowest and the highest draw."""
        drawn = self.drawn[count]
        return Interval(float(drawn.mean()), float(drawn.min()), float(drawn.max()))

    def tables(self) -> dict[str, Table]:
        """The distance before, after every removal, and after every random draw."""
        rows: list[tuple[Any, ...]] = [("before", 0, None, self.before, 0.0, "")]
        for (by, count), distance in self.after.items():
            units = " ".join(map(str, self.sets[by, count]))
            rows.append((by, count, None, distance, distance - self.before, units))
        for count, drawn in self.drawn.items():
            for draw, distance in enumerate(drawn.tolist()):
                rows.append(("random", count, draw, distance, distance - self.before, ""))
        columns = ("by", "count", "draw", "frechet", "change", "units")
        return {"removal.csv": Table(columns, tuple(rows), left=(0, 5))}

    def text(self) -> str:
        """The distance by what is removed, and how many."""
        kinds = list(dict.fromkeys(by for by, _ in self.after))
        rows = [["units removed", *(WORDS[by] for by in kinds), "random"]]
        for count in self.drawn:
            cells = (self.after.get((by, count)) for by in kinds)
            shown = ("-" if one is None else f"{one:.2f}" for one in cells)
            rows.append([str(count), *shown, self.random(count).spell(".2f")])
        head = f"Fréchet distance of {len(self.numbers):,} other pictures: {self.before:.2f}; without units:"
        return f"{head}\n{align(rows, left=())}"

    def describe(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        about = {"first_image": self.numbers.start, "images": len(self.numbers), "before": self.before}
        return dict(plain({**about, "rows": self.rows()}))


@dataclass(frozen=True, eq=False)
class ArtifactStudy(Result):
    """The ranking of units and what their removal does, together; made by `study_artifacts`."""

    artifacts: Artifacts
    removal: ArtifactRemoval

    files = (*Artifacts.files, *ArtifactRemoval.files)

    def tables(self) -> dict[str, Table]:
        """All units, then all removals."""
        return {**self.artifacts.tables(), **self.removal.tables()}

    def text(self) -> str:
        """What both say."""
        return f"{self.artifacts.text()}\n\n{self.removal.text()}"

    def describe(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return {**self.artifacts.describe(), "removal": self.removal.describe()}


def study_artifacts(
    generator: Generator,
    layer: str,
    reference: Reference,
    segmenter: Segmenter,
    extractor: Extractor,
    *,
    sampling: Sampling | None = None,
    counts: Sequence[int] = COUNTS,
    images: int = 1000,
    marked: Sequence[int] = (),
    draws: int = 5,
    seed: int = 0,
) -> ArtifactStudy:
    """Which units of a layer make artifacts, and what are the pictures without them?

    `rank_artifacts`, then `remove_artifacts` with the same reference; raises what they raise.
    """
    check_counts(layer, count_units(generator, layer), counts)
    found = rank_artifacts(generator, layer, reference, segmenter, extractor, sampling)
    gone = remove_artifacts(found, counts, images=images, marked=marked, draws=draws, seed=seed)
    return ArtifactStudy(found, gone)


def remove_artifacts(
    artifacts: Artifacts,
    counts: Sequence[int] = COUNTS,
    *,
    images: int = 1000,
    marked: Sequence[int] = (),
    draws: int = 5,
    seed: int = 0,
) -> ArtifactRemoval:
    """Sets units to 0 in whole pictures, and measures how far all pictures are from the reference.

    The `counts` first units by each sign of artifacts, those `marked` by eye, as many whose pictures are
    nearest to the reference, and as many by lot, `draws` times; over `images` pictures that have not ranked
    the units, all of them for every set: a distance depends on how many there are. Raises `UsageError` for
    units, counts, images or draws that cannot be.
    """
    layer, units = artifacts.layer, len(artifacts.frechet)
    check_units(artifacts, marked)
    check_counts(layer, units, counts)
    if images < 2 or draws < 2:
        raise UsageError(f"{images} images and {draws} draws; wanted 2 or more of both")
    steps = tuple(sorted({*counts, *([len(marked)] if marked else [])}))
    if short := [count for count in counts if count > len(artifacts.order())]:
        raise UsageError(
            f"{len(artifacts.order())} units of {layer} fire, fewer than {short[0]}; remove fewer"
        )
    orders: dict[Removed, list[int]] = {by: artifacts.order(by) for by in SIGNS}
    orders["nearest"] = orders["frechet"][::-1]
    sets = {(by, count): tuple(order[:count]) for by, order in orders.items() for count in sorted({*counts})}
    if marked:
        sets["marked", len(marked)] = tuple(marked)
    rng = np.random.default_rng(seed)
    lots = [rng.permutation(units) for _ in range(draws)]
    chosen = [*sets.values(), *(tuple(lot[:count].tolist()) for count in steps for lot in lots)]
    masks = np.stack([np.isin(np.arange(units), one) for one in chosen])
    first = artifacts.sampling.numbers.stop
    found = _measure(artifacts, masks, range(first, first + images))
    ranked = 1 + len(sets)
    drawn = found[ranked:].reshape(len(steps), draws)
    return ArtifactRemoval(
        artifacts,
        range(first, first + images),
        float(found[0]),
        dict(zip(sets, found[1:ranked].tolist(), strict=True)),
        dict(zip(steps, drawn, strict=True)),
        sets,
    )


def _measure(artifacts: Artifacts, masks: np.ndarray, numbers: range) -> Float64[np.ndarray, "version"]:
    """The distance of the pictures as they are, then without the units of every mask."""
    edit, rows = remove_units(artifacts.layer, masks), []
    pictures = repaint_pixels(artifacts.generator, artifacts.layer, lambda *_: edit, numbers)
    for _, versions in pictures:
        rows.append(artifacts.extractor(list(versions)))
    features = np.stack(rows, 1)
    return np.array([compare_spread(version, artifacts.reference) for version in features])
