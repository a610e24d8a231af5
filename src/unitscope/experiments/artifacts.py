"""Units of a generator that make artifacts: which they are (GAN Dissection)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from unitscope.concepts.derived import peek
from unitscope.concepts.segmented import Segmenter
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import SourceError, UsageError, check_seed
from unitscope.interventions.classes import match_classes
from unitscope.networks.generators import Generator, to_pixels
from unitscope.networks.picture_features import Extractor, Picture
from unitscope.networks.randomness import limit_batch
from unitscope.networks.segmentation.network_segmenter import Judge
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer
from unitscope.networks.unit_maps import read_units
from unitscope.progress import follow, follow_each
from unitscope.results import Result
from unitscope.statistics.frechet import Spread, compare_spread, fit_spread
from unitscope.statistics.intervals import Interval
from unitscope.statistics.quantiles import tail_rank
from unitscope.tables import Table, align, plain

Reference = ConceptSource | Sequence[Picture]
"""Pictures to compare with: a source, or the pictures themselves."""
Sign = Literal["frechet", "unknown"]
SIGNS: tuple[Sign, ...] = get_args(Sign)
SAID: dict[Sign, str] = {"frechet": "Fréchet distance", "unknown": "nothing known"}
SHOWN = 12
_BATCH = 16


@dataclass(frozen=True)
class Sampling:
    """What pictures units are judged by.

    `images` pictures from number `first` on; the `top` that excite a unit most are compared with the
    reference, and so are as many by lot, `draws` times. Where the generator has kinds, they are as many of
    every kind: else a unit of one kind would be far from the reference for that alone. A unit fires in the
    cells above its `quantile`. A pixel of which the segmenter is sure by less than `least` counts as unknown.
    """

    images: int = 1000
    first: int = 0
    top: int = 50
    quantile: float = 0.99
    least: float = 0.5
    draws: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not 2 <= self.top < self.images:
            raise UsageError(
                f"top is {self.top} of {self.images} images; wanted 2 or more, and fewer than all of them"
            )
        if self.draws < 2 or self.first < 0:
            raise UsageError(f"{self.draws} draws from picture {self.first} on; wanted 2 or more, from 0 on")
        if not (0 < self.quantile < 1 and 0 <= self.least <= 1):
            raise UsageError(
                f"quantile {self.quantile:g} and least {self.least:g}; wanted shares from 0 to 1"
            )

    @property
    def numbers(self) -> range:
        """The numbers of the pictures."""
        return range(self.first, self.first + self.images)


@dataclass(frozen=True, eq=False)
class Artifacts(Result):
    """The units of a layer by how likely they make artifacts; made by `rank_artifacts`.

    `frechet[unit]` is the distance of the pictures that excite it most, `excite[unit, rank]`, from the
    reference; `chance` that of as many by lot, lowest to highest draw; `all` that of all pictures.
    `unknown[unit]` is the share of the pixels under the cells above its `threshold`, `firing` in number, of
    which the segmenter knows nothing, `unknown_share` that of all pixels; `left_out` reference pictures were
    of other kinds. NaN for a unit that never fires, which is `silent`. The main table has a row a unit, the
    largest distance first.
    """

    generator: Generator
    layer: str
    extractor: Extractor
    segmenter: str
    sampling: Sampling
    reference: Spread
    reference_images: int
    left_out: int
    frechet: Float64[np.ndarray, "unit"]
    chance: Interval
    all: float
    unknown: Float64[np.ndarray, "unit"]
    unknown_share: float
    firing: Int64[np.ndarray, "unit"]
    threshold: Float32[np.ndarray, "unit"]
    excite: Int64[np.ndarray, "unit rank"]

    files = ("artifacts.csv",)

    @property
    def silent(self) -> list[int]:
        """The units that never fire: they are in no order."""
        return np.flatnonzero(np.isnan(self.frechet)).tolist()

    def order(self, by: Sign = "frechet") -> list[int]:
        """The units that fire, those that most likely make artifacts first; ties by number."""
        values = self.frechet if by == "frechet" else self.unknown
        ranked = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable").tolist()
        return [unit for unit in ranked if not np.isnan(values[unit])]

    def choose(self, count: int) -> list[int]:
        """The `count` units that most likely make artifacts, taken from both orders in turn."""
        pairs = zip(self.order("frechet"), self.order("unknown"), strict=True)
        return list(dict.fromkeys(unit for pair in pairs for unit in pair))[:count]

    def tables(self) -> dict[str, Table]:
        """All units, silent ones last."""
        columns = ("unit", "frechet", "over_chance", "rank_frechet", "unknown", "unknown_over_chance",
                   "rank_unknown", "firing_cells", "pictures")  # fmt: skip
        ranks = {by: {unit: rank for rank, unit in enumerate(self.order(by), 1)} for by in SIGNS}
        rows = []
        for unit in (*self.order(), *self.silent):
            pictures = " ".join(map(str, self.excite[unit, :SHOWN].tolist()))
            distance, unknown = float(self.frechet[unit]), float(self.unknown[unit])
            rows.append(
                (unit, distance, distance - self.chance.value, ranks["frechet"].get(unit), unknown,
                 unknown - self.unknown_share, ranks["unknown"].get(unit), int(self.firing[unit]), pictures)
            )  # fmt: skip
        return {"artifacts.csv": Table(columns, tuple(rows), left=(8,))}

    def text(self) -> str:
        """The first units of both orders, and what chance gives."""
        head = ["rank", "by distance", "distance", "by unknown", "unknown, %"]
        pairs = zip(self.order("frechet"), self.order("unknown"), strict=True)
        rows = [head]
        for rank, (far, odd) in enumerate(pairs, 1):
            if rank <= SHOWN:
                shares = f"{self.frechet[far]:.2f}", str(odd), f"{100 * self.unknown[odd]:.1f}"
                rows.append([str(rank), str(far), *shares])
        sampling, chance = self.sampling, self.chance.spell(".2f")
        lines = [
            f"{self.generator.name} {self.layer}: the {sampling.top} of {sampling.images:,} pictures that "
            f"excite a unit most, by {self.extractor.name}, from {self.reference_images:,} references",
            align(rows, left=()),
            f"{sampling.top} pictures by lot: {chance}; all pictures: {self.all:.2f}",
            f"nothing known of {100 * self.unknown_share:.1f} % of all pixels",
        ]
        if self.left_out:
            lines.append(f"{self.left_out:,} reference pictures of other kinds were left out")
        if self.silent:
            lines.append(f"{len(self.silent)} units never fire and are in no order")
        return "\n".join(lines)

    def describe(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        about = {
            "generator": self.generator.name,
            "layer": self.layer,
            "latents": self.generator.seed,
            "features": self.extractor.name,
            "segmenter": self.segmenter,
            "reference_images": self.reference_images,
            "left_out": self.left_out,
            "sampling": vars(self.sampling),
            "chance": vars(self.chance),
            "all": self.all,
            "unknown_share": self.unknown_share,
            "silent": self.silent,
        }
        return dict(plain({**about, "units": self.rows()}))


def rank_artifacts(
    generator: Generator,
    layer: str,
    reference: Reference,
    segmenter: Segmenter,
    extractor: Extractor,
    sampling: Sampling | None = None,
) -> Artifacts:
    """The units of a layer by two signs of artifacts (GAN Dissection).

    The Fréchet distance between the pictures that excite a unit most, by its highest cell, and the reference
    pictures, in the features of a classifier; and the share of the pixels under the cells where it fires of
    which the segmenter knows nothing: its first plane has no name there, or one that it is sure of by less
    than `least` (segmenters with `judge`). A unit of a rare concept has a large distance, too: look at its
    pictures. `reference` are pictures, or a source; of a source that has the generator's kinds for concepts,
    those pictures alone that are labelled with one. Raises `UsageError` for a layer that does not exist or
    fewer pictures of a kind than are wanted, `SourceError` for fewer than two reference pictures.
    """
    sampling = sampling or Sampling()
    each = max(1, len(generator.kinds))
    if sampling.images // each < -(-sampling.top // each) + 1:
        raise UsageError(
            f"of {sampling.images} pictures of {each} kinds the {sampling.top} that excite a unit most are "
            "nearly all of a kind; take more images"
        )
    known, left_out = read_reference(generator, reference, extractor)
    seen = _Seen(sampling)
    with follow(sampling.images, f"artifacts of {layer}") as work:
        for pictures, maps in make_pictures(generator, layer, sampling.numbers):
            seen.add(maps, find_unknown(segmenter, pictures, sampling.least), extractor(list(pictures)))
            work.update(len(pictures))
    spread = fit_spread(known)
    features, peaks = np.concatenate(seen.features), np.concatenate(seen.peaks)
    kinds = np.arange(sampling.first, sampling.numbers.stop) % max(1, len(generator.kinds))
    excite = pick_excited(peaks, kinds, sampling.top)
    firing, unknown, share = seen.read_unknown()
    frechet = np.full(len(firing), np.nan)
    for unit in follow_each(np.flatnonzero(firing).tolist(), "distances", "units"):
        frechet[unit] = compare_spread(features[excite[unit]], spread)
    return Artifacts(
        *(generator, layer, extractor, segmenter.name, sampling, spread, len(known), left_out),
        frechet=frechet,
        chance=_draw_chance(features, kinds, spread, sampling),
        all=compare_spread(features, spread),
        unknown=unknown,
        unknown_share=share,
        firing=firing,
        threshold=seen.threshold,
        excite=excite + sampling.first,
    )


def make_pictures(
    generator: Generator, layer: str, numbers: range
) -> Iterator[tuple[UInt8[np.ndarray, "n y x 3"], Float32[Tensor, "n unit cell_y cell_x"]]]:
    """The pictures of these numbers batch by batch, with the layer's maps."""
    seen: list[Tensor] = []

    def note(raw: Tensor, layout: Layout) -> Tensor:
        seen.append(read_units(raw, layout, layer).float().cpu())
        return raw

    size = limit_batch(generator, _BATCH)
    with evaluation(generator), hook_layer(generator, layer, note):
        for start in range(numbers.start, numbers.stop, size):
            with torch.no_grad():  # not over the block: whoever takes the pictures may want gradients
                made = generator.run(generator.inputs(start, min(size, numbers.stop - start)))
            yield to_pixels(made, generator.low, generator.high), seen.pop()


def read_reference(
    generator: Generator, reference: Reference, extractor: Extractor
) -> tuple[Float64[np.ndarray, "image feature"], int]:
    """The features of the reference pictures, and how many were left out for being of other kinds.

    Raises `SourceError` where fewer than two are left.
    """
    kept = list(range(len(reference)))
    if isinstance(reference, ConceptSource):
        source = reference
        kinds = match_classes(replace(generator, classes=generator.kinds), source.vocabulary)
        if generator.kinds and len(set(kinds.values())) == len(generator.kinds):
            kept = [one for one in follow_each(kept, "kinds") if kinds.keys() & set(peek(source, one)[1])]
        pictures = (np.ascontiguousarray(source[one].image) for one in kept)
    else:
        pictures = (picture for picture in reference)
    if len(kept) < 2:
        raise SourceError(f"{len(kept)} reference pictures have no spread; wanted 2 or more, better 1,000")
    return extractor.read(pictures, len(kept)), len(reference) - len(kept)


def find_unknown(
    segmenter: Segmenter, images: UInt8[np.ndarray, "n y x 3"], least: float
) -> Bool[np.ndarray, "n y x"]:
    """The pixels of which a segmenter knows nothing: no name, or one that it is hardly sure of."""
    if isinstance(segmenter, Judge):
        planes, sure = segmenter.judge(images)
        return np.asarray((planes[:, 0] == 0) | (sure < least))
    return np.asarray(segmenter(images)[:, 0] == 0)


def pick_excited(
    peaks: Float32[np.ndarray, "image unit"], kinds: Int64[np.ndarray, "image"], top: int
) -> Int64[np.ndarray, "unit {top}"]:
    """The images where each unit peaks highest, as many of every kind; the highest first, ties by number.

    Where `top` is no multiple of the kinds, the first ones have an image more.

    >>> peaks = np.array([[0.1], [0.9], [0.8], [0.2]], np.float32)
    >>> pick_excited(peaks, np.array([0, 1, 1, 0]), 2), pick_excited(peaks, np.zeros(4, np.int64), 2)
    (array([[1, 3]]), array([[1, 2]]))
    """
    parts, found = np.unique(kinds), []
    for place, kind in enumerate(parts):
        images = np.flatnonzero(kinds == kind)
        share = top // len(parts) + (place < top % len(parts))
        found.append(images[np.argsort(-peaks[images], axis=0, kind="stable")[:share]])
    chosen = np.sort(np.concatenate(found), axis=0)
    order = np.argsort(-np.take_along_axis(peaks, chosen, 0), axis=0, kind="stable")
    return np.ascontiguousarray(np.take_along_axis(chosen, order, 0).T)


def _draw_chance(
    features: Float64[np.ndarray, "image feature"],
    kinds: Int64[np.ndarray, "image"],
    spread: Spread,
    sampling: Sampling,
) -> Interval:
    """The distance of pictures by lot: the mean of the draws, the lowest and the highest."""
    rng = np.random.default_rng(sampling.seed)
    values = rng.random((len(features), sampling.draws)).astype(np.float32)  # as if units peaked by lot
    lots = pick_excited(values, kinds, sampling.top)
    drawn = [compare_spread(features[lot], spread) for lot in lots]
    return Interval(float(np.mean(drawn)), min(drawn), max(drawn))


class _Seen:
    """What was seen of the pictures so far; of cells those that can still be above the quantile."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self.features: list[Float64[np.ndarray, "image feature"]] = []
        self.peaks: list[Float32[np.ndarray, "image unit"]] = []
        self.unknown: list[Float32[Tensor, "image cell"]] = []
        self.cells = self.rank = 0
        self.high: Float32[Tensor, "unit rank"] | None = None
        self.place: Int64[Tensor, "unit rank"] | None = None

    def add(
        self,
        maps: Float32[Tensor, "image unit cell_y cell_x"],
        unknown: Bool[np.ndarray, "image y x"],
        features: Float64[np.ndarray, "image feature"],
    ) -> None:
        """Counts some pictures in."""
        cells = maps.shape[2] * maps.shape[3]
        values = maps.permute(1, 0, 2, 3).flatten(1)
        places = torch.arange(self.cells, self.cells + values.shape[1]).expand_as(values)
        self.cells += values.shape[1]
        if self.high is not None and self.place is not None:
            values, places = torch.cat([self.high, values], 1), torch.cat([self.place, places], 1)
        self.rank = tail_rank(round(1 - self.sampling.quantile, 12), self.sampling.images * cells)
        self.high, chosen = values.topk(min(self.rank, values.shape[1]), dim=1)
        self.place = places.gather(1, chosen)
        shares = functional.adaptive_avg_pool2d(
            torch.from_numpy(unknown).float()[:, None], (maps.shape[2], maps.shape[3])
        )
        self.unknown.append(shares.flatten(1))
        self.peaks.append(maps.amax((2, 3)).numpy())
        self.features.append(features)

    @property
    def threshold(self) -> Float32[np.ndarray, "unit"]:
        """The quantile of every unit."""
        assert self.high is not None
        return self.high[:, self.rank - 1].numpy()

    def read_unknown(self) -> tuple[Int64[np.ndarray, "unit"], Float64[np.ndarray, "unit"], float]:
        """By unit the cells where it fires and the share unknown there; the share unknown everywhere."""
        assert self.high is not None
        assert self.place is not None
        shares = torch.cat(self.unknown).flatten().double()
        fires = self.high > self.high[:, self.rank - 1 :]
        firing = fires.sum(1)
        found = (shares[self.place] * fires).sum(1) / firing.clamp_min(1)
        found[firing == 0] = torch.nan
        return firing.numpy(), found.numpy(), float(shares.mean())


def check_units(artifacts: Artifacts, units: Sequence[int]) -> None:
    """Raises `UsageError` for a unit that the layer does not have, or one named twice."""
    count = len(artifacts.frechet)
    if wrong := [unit for unit in units if not 0 <= unit < count]:
        raise UsageError(f"layer {artifacts.layer} has units 0 to {count - 1}, not {wrong[0]}")
    if len(set(units)) < len(units):
        raise UsageError("a unit was named twice; name each once")
