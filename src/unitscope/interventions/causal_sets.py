"""Sets of units by what they do: the relaxed optimization of GAN Dissection (sec. 4.4 and appendix)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from unitscope.concepts.vocabulary import Concept
from unitscope.errors import SourceError, UsageError
from unitscope.interventions.edits import Edit, edited
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.insertion import cell_region, choose_grid
from unitscope.interventions.unit_values import Levels, cover_cells
from unitscope.networks.network import number_images
from unitscope.networks.segmentation.network_segmenter import Scorer
from unitscope.networks.trace import evaluation
from unitscope.progress import follow_each

Term = Literal["both", "removal", "insertion"]
_BATCH = 16


@dataclass(frozen=True)
class Recipe:
    """How a set is optimized.

    `steps` steps of Adam with the rate `rate`, each on `batch` images with the concept, where the units are
    removed, and as many places without, where they are inserted; `penalty` is the weight of the sum of
    alpha^2. `removal` says where units are removed: in the `cell` that shows most of the concept, as in the
    paper, or `everywhere`, as units are removed from whole pictures. `term` leaves one of the two out.
    """

    steps: int = 100
    batch: int = 8
    rate: float = 0.03
    penalty: float = 0.005
    term: Term = "both"
    removal: Literal["cell", "everywhere"] = "cell"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise UsageError(f"{self.steps} steps of {self.batch} images optimize nothing; wanted 1 or more")


@dataclass(frozen=True, eq=False)
class CausalSet:
    """How strongly each unit of a layer causes a concept.

    `alpha[unit]` from 0 to 1; `order` is the units by alpha, the highest first, ties by IoU; `objective` the
    value of what was minimized at every step, on its own images; `before` and `after` the same over one fixed
    lot of images with the first and the last alpha.
    """

    concept: Concept
    layer: str
    alpha: Float32[np.ndarray, "unit"]
    order: tuple[int, ...]
    objective: Float64[np.ndarray, "step"]
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Places:
    """Where a concept is in some images: the share of every cell that it covers."""

    concept: Concept
    cover: Float32[Tensor, "image cell_y cell_x"]

    @property
    def present(self) -> Int64[np.ndarray, "image"]:
        """The images that show it in more than half a cell."""
        return np.flatnonzero(self.cover.amax((1, 2)).numpy() > 0.5)

    @property
    def absent(self) -> Int64[np.ndarray, "image"]:
        """The images that have a cell without it."""
        return np.flatnonzero(self.cover.amin((1, 2)).numpy() == 0)


@torch.no_grad()
def find_places(
    studio: Studio, layer: str, concepts: Sequence[Concept], images: int, across: int | None = None
) -> list[Places]:
    """Where concepts are in the first images, those that ranked the units.

    In cells of the layer's maps, or of a grid `across` by `across` where that is coarser.
    """
    cells = choose_grid(studio.layer(layer).map_size, across)
    count = min(images, studio.ranked)
    ids = [concept.id for concept in concepts]
    found = []
    for start in follow_each(range(0, count, _BATCH), "finding places", "batches"):
        pictures = studio.generator.generate(start, min(_BATCH, count - start))
        found.append(cover_cells(studio.segmenter(pictures), ids, cells))
    cover = torch.cat(found)
    return [Places(concept, cover[:, place]) for place, concept in enumerate(concepts)]


def optimize_units(
    studio: Studio, layer: str, places: Places, levels: Levels | None = None, recipe: Recipe | None = None
) -> CausalSet:
    """The units of a layer that cause a concept most, by gradient (papers: GAN Dissection, eq. 6 to 8).

    With r the maps of the layer, P a place and k the levels of the units where the concept is,

        x_a = f((1 - alpha) r at P, r elsewhere),    x_i = f((1 - alpha) r + alpha k at P, r elsewhere)

    and alpha minimizes mean s(x_a) - mean s(x_i) + penalty sum(alpha^2), where s is the mean probability that
    the segmenter gives the concept at the pixels of the place. alpha starts from IoU / max IoU and stays in
    [0, 1]. P of x_a is a place with the concept, P of x_i one without, drawn anew at every step. Uses the
    images that ranked the units, no others; `levels` is needed unless units are only removed. Raises
    `UsageError` where the segmenter gives no gradient or levels are missing, `SourceError` where no image
    shows the concept.
    """
    recipe = recipe or Recipe()
    check_scorer(studio)
    if recipe.term != "insertion" and not len(places.present):
        raise SourceError(
            f"{places.concept.label!r} fills no cell in {len(places.cover)} images, so nothing can go; "
            "take more images"
        )
    studio.rank(places.concept, layer)  # raises where no unit has to do with it
    work = _Work(studio, layer, places, levels, recipe)
    iou = torch.from_numpy(studio.layer(layer).iou[:, places.concept.id]).float()
    alpha = (iou / iou.max()).requires_grad_()
    adam = torch.optim.Adam([alpha], lr=recipe.rate)
    rng = np.random.default_rng(recipe.seed)
    fixed = [work.draw(np.random.default_rng((recipe.seed, place))) for place in range(4)]
    with evaluation(studio.generator):
        before = work.judge(alpha, fixed)
        objective = []
        title = f"optimizing units for {places.concept.label}"
        for _ in follow_each(range(recipe.steps), title, "steps"):
            loss = work.loss(alpha, work.draw(rng))
            (alpha.grad,) = torch.autograd.grad(loss, [alpha])
            adam.step()
            with torch.no_grad():
                alpha.clamp_(0, 1)
            objective.append(float(loss.detach()))
        after = work.judge(alpha, fixed)
    found = alpha.detach()
    order = sorted(range(len(found)), key=lambda unit: (-float(found[unit]), -float(iou[unit]), unit))
    return CausalSet(places.concept, layer, found.numpy(), tuple(order), np.array(objective), before, after)


def check_scorer(studio: Studio) -> Scorer:
    """The segmenter as one that gives gradients. Raises `UsageError` where it does not."""
    if not isinstance(studio.segmenter, Scorer):
        raise UsageError(
            f"segmenter {studio.segmenter.name} names pixels without a `score`, so no gradient comes "
            "back; rank units by IoU, or return a NetworkSegmenter"
        )
    return studio.segmenter


@dataclass(frozen=True, eq=False)
class _Lot:
    """Images and their places: those to remove at, then those to insert at."""

    images: list[int]
    removing: int
    place: Float32[Tensor, "image cell_y cell_x"]
    region: Float32[Tensor, "image cell_y cell_x"]


class _Work:
    def __init__(
        self, studio: Studio, layer: str, places: Places, levels: Levels | None, recipe: Recipe
    ) -> None:
        self.studio, self.places, self.layer, self.recipe = studio, places, layer, recipe
        self.scorer = check_scorer(studio)
        units = range(len(studio.layer(layer)))
        self.value = torch.zeros(len(units))
        if recipe.term != "removal":
            if levels is None:
                raise UsageError("insertion needs the levels of the units; measure them with measure_layers")
            self.value = levels.value(places.concept.id, units)
        self.present, self.absent = places.present, places.absent

    def draw(self, rng: np.random.Generator) -> _Lot:
        cover, recipe = self.places.cover, self.recipe
        both = recipe.term != "removal" and len(self.absent)
        removed = rng.choice(self.present, recipe.batch).tolist() if recipe.term != "insertion" else []
        inserted = rng.choice(self.absent, recipe.batch).tolist() if both else []
        place = torch.zeros(len(removed) + len(inserted), *cover.shape[1:])
        for row, image in enumerate(removed):
            place[row].view(-1)[int(cover[image].argmax())] = 1
        for row, image in enumerate(inserted, len(removed)):
            free = np.flatnonzero(cover[image].flatten().numpy() == 0)
            place[row].view(-1)[int(rng.choice(free))] = 1
        region = place.clone()
        if recipe.removal == "everywhere":
            region[: len(removed)] = cover[removed]
            place[: len(removed)] = 1
        return _Lot(removed + inserted, len(removed), place, region)

    def loss(self, alpha: Float32[Tensor, "unit"], lot: _Lot) -> Float32[Tensor, ""]:
        scores, kept = self.scores(alpha, lot), lot.removing
        total = self.recipe.penalty * (alpha**2).sum()
        if kept:
            total = total + scores[:kept].mean()
        if kept < len(scores):
            total = total - scores[kept:].mean()
        return total

    def scores(self, alpha: Float32[Tensor, "unit"], lot: _Lot) -> Float32[Tensor, "image"]:
        generator = self.studio.generator
        value = self.value[None, :, None, None].repeat(len(lot.images), 1, 1, 1)
        value[: lot.removing] = 0
        place = cell_region(lot.place, self.studio.layer(self.layer).map_size)[:, None]
        edit = Edit(self.layer, alpha[None, :, None, None] * place, value, "patches")
        batches = [generator.inputs(number) for number in lot.images]
        batch = tuple(torch.cat(parts) for parts in zip(*batches, strict=True))
        number_images(batch, lot.images)
        with edited(generator, edit):
            images = generator.run(batch)
        pixels = ((images - generator.low) / (generator.high - generator.low)).clamp(0, 1)
        probability = self.scorer.score(pixels.float(), self.places.concept.id).cpu()
        weights = cell_region(lot.region, (probability.shape[1], probability.shape[2]))
        return (probability * weights).sum((1, 2)) / weights.sum((1, 2))

    def judge(self, alpha: Float32[Tensor, "unit"], lots: Sequence[_Lot]) -> float:
        with torch.no_grad():
            return float(np.mean([float(self.loss(alpha, lot)) for lot in lots]))
