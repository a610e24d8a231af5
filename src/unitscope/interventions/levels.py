"""What a generator's units are set to when a concept is put into a picture, and which units those are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from unitscope.concepts.segmenters import Segmenter
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection.result import LayerDissection
from unitscope.errors import UsageError
from unitscope.networks.generators import Generator, to_pixels
from unitscope.networks.maps import read_units
from unitscope.networks.trace import evaluation, hook_layer
from unitscope.statistics.quantiles import tail_rank

_BATCH = 16
Rule = Literal["mean", "quantile"]


@dataclass(frozen=True, eq=False)
class Levels:
    """How high the units of a layer go, and how high where a concept is.

    `high[unit]` is the quantile of a unit over all cells of all images; `means[row, unit]` the mean over
    cells weighted by the share of a cell that the concept `concepts[row]` covers (GAN Dissection, sec. 4.4:
    the value that insertion sets). Both in the layer's own units.
    """

    layer: str
    images: int
    quantile: float
    high: Float32[np.ndarray, "unit"]
    concepts: tuple[int, ...]
    means: Float32[np.ndarray, "concept unit"]

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
        return torch.from_numpy(self.means[self.concepts.index(concept)][list(units)])


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
def measure_levels(
    generator: Generator,
    layer: str,
    segmenter: Segmenter,
    images: int = 1000,
    *,
    first: int = 0,
    quantile: float = 0.99,
) -> Levels:
    """The levels of a layer over images number `first` and on.

    The quantile is the value that at most a share 1 - `quantile` of the cells lie above. Raises `UsageError`
    for fewer than one image, a quantile that is none, or an unknown layer.
    """
    if images < 1:
        raise UsageError(f"{images} images show no levels; wanted 1 or more")
    if not 0 <= quantile <= 1:
        raise UsageError(f"the quantile is {quantile:g}; wanted one from 0 to 1")
    vocabulary: Vocabulary = segmenter.vocabulary
    concepts = tuple(concept.id for concept in vocabulary)
    seen: list[Tensor] = []
    highest: Float32[Tensor, "unit rank"] | None = None
    rank = 0
    sums: Float64[Tensor, "concept unit"] | None = None
    weights = torch.zeros(len(concepts), dtype=torch.float64)

    def note(raw: Tensor) -> Tensor:
        seen.append(read_units(raw, generator.prefix_tokens, layer).float())
        return raw

    with (
        evaluation(generator.module),
        hook_layer(generator, layer, note),
        tqdm(total=images, desc=f"levels of {layer}", unit="image", disable=None) as bar,
    ):
        for start in range(first, first + images, _BATCH):
            count = min(_BATCH, first + images - start)
            batch = generator.feed(np.zeros((count, 1, 1, 3), np.uint8), start)
            pictures = to_pixels(generator.module(*batch), generator.low, generator.high)
            maps = seen.pop()
            cover = cover_cells(segmenter(pictures), concepts, (maps.shape[2], maps.shape[3])).double()
            found = torch.einsum("ncyx,nuyx->cu", cover, maps.double())
            sums = found if sums is None else sums + found
            weights += cover.sum((0, 2, 3))
            values = maps.permute(1, 0, 2, 3).flatten(1)
            rank = tail_rank(round(1 - quantile, 12), images * maps.shape[2] * maps.shape[3])
            # Only the cells that can still be above the quantile are kept.
            above = values if highest is None else torch.cat([highest, values], 1)
            highest = above.topk(min(rank, above.shape[1]), dim=1).values
            bar.update(count)
    assert sums is not None
    assert highest is not None
    high = highest[:, rank - 1]
    shown = weights > 0
    means = (sums[shown] / weights[shown, None]).float()
    kept = tuple(concept for concept, there in zip(concepts, shown.tolist(), strict=True) if there)
    return Levels(layer, images, quantile, high.numpy(), kept, means.numpy())
