"""What a generator's units are set to when a concept is put into a picture, and which units those are."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor
from torch.nn import functional

from unitscope.concepts.segmented import Segmenter
from unitscope.dissection.result import LayerDissection
from unitscope.errors import UsageError
from unitscope.networks.generators import Generator, to_pixels
from unitscope.networks.randomness import limit_batch
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer
from unitscope.networks.unit_maps import read_units
from unitscope.progress import follow
from unitscope.statistics.quantiles import tail_rank

_BATCH = 16
Rule = Literal["mean", "quantile", "fullest"]
"""What units are set to: their mean where a concept is, their quantile, or their mean where it is most."""
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True, eq=False)
class Levels:
    """How high the units of a layer go, and how high where a concept is.

    `high[unit]` is the quantile of a unit over all cells of all images; `means[row, unit]` the mean over
    cells weighted by the share of a cell that the concept `concepts[row]` covers (GAN Dissection, sec. 4.4:
    the value that insertion sets); `fullest[row, unit]` the same mean over those cells only that show most of
    the concept in their image, all of them where several show as much. All in the layer's own units.
    """

    layer: str
    images: int
    quantile: float
    high: Float32[np.ndarray, "unit"]
    concepts: tuple[int, ...]
    means: Float32[np.ndarray, "concept unit"]
    fullest: Float32[np.ndarray, "concept unit"]

    def value(self, concept: int, units: Sequence[int], rule: Rule = "mean") -> Float32[Tensor, "chosen"]:
        """What some units are set to for a concept.

        Raises `UsageError` for a concept that the images did not show.
        """
        if rule == "quantile":
            return torch.from_numpy(self.high[list(units)])
        if concept not in self.concepts:
            raise UsageError(
                f"concept {concept} is in none of the {self.images} images its units were read on, so there "
                "is no value to set them to; take more images or the rule 'quantile'"
            )
        known = self.fullest if rule == "fullest" else self.means
        return torch.from_numpy(known[self.concepts.index(concept)][list(units)])


def find_fullest(
    cover: Float32[Tensor, "image concept cell_y cell_x"],
) -> Float32[Tensor, "image concept cell_y cell_x"]:
    """The same shares where an image shows most of a concept, 0 in its other cells.

    An image counts once: cells that show as much as one another share its weight.

    >>> find_fullest(torch.tensor([[[[0.5, 1.0, 1.0]]]])).tolist()
    [[[[0.0, 0.5, 0.5]]]]
    """
    most = cover.amax((2, 3), keepdim=True)
    there = ((cover == most) & (most > 0)).float()
    return cover * there / there.sum((2, 3), keepdim=True).clamp_min(1)


def rank_by_iou(layer: LayerDissection, concept: int, count: int | None = None) -> list[int]:
    """The units of a layer by their IoU with a concept, the highest first; ties by number."""
    order = np.argsort(-layer.iou[:, concept], kind="stable")
    return [int(unit) for unit in order[:count]]


def cover_cells(
    planes: Sequence[np.ndarray] | np.ndarray, concepts: Sequence[int], cells: tuple[int, int]
) -> Float32[Tensor, "image concept cell_y cell_x"]:
    """The share of every cell that each concept covers; `planes` are concept ids [image, plane, y, x]."""
    ids = torch.from_numpy(np.asarray(planes).astype(np.int64))
    masks = torch.stack([(ids == concept).any(1) for concept in concepts], 1).float()
    return functional.adaptive_avg_pool2d(masks, cells)


@torch.no_grad()
def measure_layers(
    generator: Generator,
    layers: Sequence[str],
    segmenter: Segmenter,
    images: int = 1000,
    *,
    first: int = 0,
    quantile: float = 0.99,
) -> dict[str, Levels]:
    """The levels of some layers over images number `first` and on, which are made and segmented once.

    The quantile is the value that at most a share 1 - `quantile` of the cells lie above. Raises `UsageError`
    for fewer than one image, a quantile that is none, or an unknown layer.
    """
    if images < 1:
        raise UsageError(f"{images} images show no levels; wanted 1 or more")
    if not 0 <= quantile <= 1:
        raise UsageError(f"the quantile is {quantile:g}; wanted one from 0 to 1")
    concepts = tuple(concept.id for concept in segmenter.vocabulary)
    size = limit_batch(generator, _BATCH)
    seen: dict[str, Tensor] = {}
    tallies = {
        layer: _Tally(images, quantile, torch.zeros(2, len(concepts), dtype=torch.float64))
        for layer in layers
    }

    def note(layer: str, raw: Tensor, layout: Layout) -> Tensor:
        seen[layer] = read_units(raw, layout, layer).float().cpu()
        return raw

    with (
        evaluation(generator),
        ExitStack() as hooks,
        follow(images, f"levels of {', '.join(layers)}") as work,
    ):
        for layer in layers:
            hooks.enter_context(hook_layer(generator, layer, partial(note, layer)))
        for start in range(first, first + images, size):
            count = min(size, first + images - start)
            made = generator.run(generator.inputs(start, count))
            planes = segmenter(to_pixels(made, generator.low, generator.high))
            for layer, tally in tallies.items():
                maps = seen.pop(layer)
                tally.add(maps, cover_cells(planes, concepts, (maps.shape[2], maps.shape[3])))
            work.update(count)
    return {layer: tally.levels(layer, concepts) for layer, tally in tallies.items()}


@dataclass
class _Tally:
    """The cells of a layer seen so far, of those that can still be above the quantile only."""

    images: int
    quantile: float
    weights: Float64[Tensor, "2 concept"]
    """Those of all cells, then those of the fullest ones."""
    sums: Float64[Tensor, "2 concept unit"] | None = None
    highest: Float32[Tensor, "unit rank"] | None = None
    rank: int = 0

    def add(
        self,
        maps: Float32[Tensor, "image unit cell_y cell_x"],
        cover: Float32[Tensor, "image concept cell_y cell_x"],
    ) -> None:
        both = torch.stack([cover, find_fullest(cover)]).double()
        found = torch.einsum("kncyx,nuyx->kcu", both, maps.double())
        self.sums = found if self.sums is None else self.sums + found
        self.weights += both.sum((1, 3, 4))
        values = maps.permute(1, 0, 2, 3).flatten(1)
        self.rank = tail_rank(round(1 - self.quantile, 12), self.images * maps.shape[2] * maps.shape[3])
        above = values if self.highest is None else torch.cat([self.highest, values], 1)
        self.highest = above.topk(min(self.rank, above.shape[1]), dim=1).values

    def levels(self, layer: str, concepts: tuple[int, ...]) -> Levels:
        assert self.sums is not None
        assert self.highest is not None
        shown = self.weights[0] > 0
        means, fullest = (self.sums[:, shown] / self.weights[:, shown, None]).float().numpy()
        kept = tuple(concept for concept, there in zip(concepts, shown.tolist(), strict=True) if there)
        high = self.highest[:, self.rank - 1]
        return Levels(layer, self.images, self.quantile, high.numpy(), kept, means, fullest)
