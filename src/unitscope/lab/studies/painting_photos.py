"""Painting on given pictures beside painting on a generator's own: how much comes and goes, and where."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8, UInt16
from torch import Tensor
from torch.nn import functional

from unitscope.concepts.vocabulary import Concept
from unitscope.errors import RunError, UsageError
from unitscope.files import write_whole
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.inversion import choose_layer, invert_picture, name_inversion
from unitscope.interventions.inversion_files import load_inversion, save_inversion
from unitscope.interventions.inversion_result import Inversion
from unitscope.interventions.painting.easel import UNITS, Easel
from unitscope.interventions.painting.given_back import grow, show_inversion
from unitscope.interventions.painting.strokes import (
    Bitmap,
    Mode,
    Painting,
    Stroke,
    cover_pixels,
    merge_strokes,
)
from unitscope.interventions.picture_loss import Features
from unitscope.interventions.unit_values import measure_layers
from unitscope.networks.generators import BLOCK
from unitscope.networks.trace import find_shapes
from unitscope.progress import follow_each, silence

OWN, GIVEN = "own pictures", "given pictures"
DRAW: Mode
ERASE: Mode
DRAW, ERASE = "draw", "erase"
PAINTED, RANDOM = "units", "random units"
RETURNED, KEPT = "given back alone", "not given back"
WAYS = (PAINTED, RANDOM, RETURNED, KEPT)
"""What is done under a stroke: the concept's units are set, or random ones, in cells that are given back to
the generator; these are given back and nothing is set; the units are set in what was fitted."""
LEAST_SHARE = 0.03
"""A concept is erased from pictures of which it has so much."""
NEAR, FAR = 4, 8
"""Changes are counted beyond so many pixels from a stroke."""
SEEN = 8
"""Colors that differ by more than so many of 255 are seen."""

Planes = UInt16[np.ndarray, "plane y x"]
Mask = Bool[np.ndarray, "y x"]
Rows = dict[str, list[dict[str, object]]]
"""Rows of results by what they are of, as JSON has them."""


@dataclass(frozen=True)
class Opened:
    """A given picture that was inverted: PSNR and share of pixels named alike after every stage.

    `seconds` is the time of processors that all stages took, NaN where the picture was inverted before;
    `altered` how many pixels differ from the given ones where nothing was painted, -1 where that was not
    looked at.
    """

    seed: int
    picture: int
    kind: str
    stage: str
    psnr: float
    named: float
    seconds: float
    altered: int


@dataclass(frozen=True)
class Painted:
    """One stroke, of one way, on one picture.

    `effect` is the share of the stroke's pixels that become the concept (draw), of its pixels that are named
    otherwise (erase). Of the pixels more than 4 pixels from the stroke, `beyond` is the share that differ
    visibly, `changed` the share that differ at all; `far` is how many differ at all more than 8 pixels from
    it. They are NaN, NaN and -1 in the generator's own pictures.
    """

    subject: str
    seed: int
    picture: int
    concept: str
    action: str
    way: str
    effect: float
    beyond: float
    changed: float
    far: int


@dataclass(frozen=True, eq=False)
class Bench:
    """What strokes are measured with: the layer's units by concept, and where concepts commonly are."""

    easel: Easel
    layer: str
    concepts: Sequence[Concept]
    units: dict[int, tuple[int, ...]]
    common: dict[int, Float32[Tensor, "y x"]]
    features: Features | None

    def show(self, image: int | str, strokes: Sequence[Stroke], way: str) -> UInt8[np.ndarray, "y x 3"]:
        """The picture of that number or key with strokes, in one of the ways."""
        if way in (PAINTED, RANDOM) or isinstance(image, int):
            return self.easel.show(Painting(image, tuple(strokes)))
        inversion = self.easel.find(image)
        size = (inversion.picture.shape[0], inversion.picture.shape[1])
        drawn, touched = cover_pixels(strokes, self.easel.shapes, size)
        edits = merge_strokes(strokes, self.easel.levels, self.easel.shapes)
        if way == RETURNED:
            return show_inversion(self.easel.generator, inversion, [], drawn, touched)
        return show_inversion(self.easel.generator, inversion, edits, drawn, torch.zeros_like(touched))


def set_up(studio: Studio, concepts: Sequence[str], features: Features | None, images: int) -> Bench:
    """The bench of a generator and its run; levels and places are of its first `images` pictures.

    Raises `UsageError` for a concept that the run does not have or no unit of the layer meets.
    """
    generator, segmenter, layer = studio.generator, studio.segmenter, choose_layer(studio.generator)
    wanted = [studio.find(name) for name in concepts]
    units = {concept.id: tuple(studio.rank(concept, layer)[:UNITS]) for concept in wanted}
    shape = find_shapes(generator, [layer])[layer].shape
    if shape is None:
        raise UsageError(f"layer {layer} of {generator.name} cannot be edited; see `unitscope layers`")
    levels = measure_layers(generator, [layer], segmenter, images)
    blocks = [segmenter(generator.generate(start, BLOCK)) for start in range(0, images, BLOCK)]
    planes = np.concatenate(blocks)[:images]
    common = {
        concept.id: torch.from_numpy((planes == concept.id).any(1).mean(0).astype(np.float32))
        for concept in wanted
    }
    return Bench(Easel(generator, segmenter, levels, {layer: shape}), layer, wanted, units, common, features)


def invert_all(
    bench: Bench, pictures: Sequence[UInt8[np.ndarray, "y x 3"]], folder: Path
) -> Iterator[tuple[Inversion, float]]:
    """The pictures inverted, each with the processors' seconds, NaN where it lay in the folder."""
    generator = bench.easel.generator
    for picture in follow_each(pictures, "inverting", "pictures"):
        key = name_inversion(generator, picture, bench.layer, bench.features, bench.easel.segmenter)
        path, began = folder / f"{key}.safetensors", time.process_time()
        if path.is_file():
            yield load_inversion(path, generator), float("nan")
            continue
        judge = bench.easel.segmenter
        with silence():
            found = invert_picture(
                generator, picture, layer=bench.layer, features=bench.features, segmenter=judge
            )
        save_inversion(found, path)
        yield found, time.process_time() - began


def describe_opened(bench: Bench, found: Sequence[tuple[Inversion, float]], seed: int) -> list[Opened]:
    """A row a picture and stage, of pictures that the bench's easel has."""
    rows = list[Opened]()
    for place, (one, seconds) in enumerate(found):
        shown = bench.easel.show(Painting(one.key))
        altered = int((shown != one.picture).any(2).sum())
        for fit in one.fits:
            row = (seed, place, one.kind_name, fit.stage, fit.psnr, fit.named, seconds, altered)
            rows.append(Opened(*row))
    return rows


def paint_all(bench: Bench, subject: str, images: Sequence[int | str], seed: int) -> list[Painted]:
    """Every concept drawn into pictures where it is not, and erased from those where it is, in every way."""
    rows = list[Painted]()
    for place, image in enumerate(follow_each(images, f"painting on {subject}", "pictures")):
        before = bench.easel.show(Painting(image))
        planes = bench.easel.name_pixels(before)
        for concept in bench.concepts:
            here = (planes == concept.id).any(0)
            for action, mask in ((DRAW, find_square(bench.common[concept.id], here)), (ERASE, here)):
                if mask is None or mask.mean() < LEAST_SHARE:
                    continue
                head = (subject, seed, place, concept.label, action)
                rng = np.random.default_rng((seed, place, concept.id, action == ERASE))
                rows += [
                    Painted(*head, way, *_measure(bench, image, before, concept, action, mask, units, way))
                    for way, units in _list_ways(bench, concept, isinstance(image, int), rng)
                ]
    return rows


def _list_ways(
    bench: Bench, concept: Concept, own: bool, rng: np.random.Generator
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The ways to paint, with the units of each: nothing was fitted to the generator's own pictures."""
    best = bench.units[concept.id]
    others = np.setdiff1d(np.arange(bench.easel.shapes[bench.layer][0]), best)
    random = tuple(int(unit) for unit in rng.permutation(others)[: len(best)])
    for way in WAYS[:2] if own else WAYS:
        yield way, random if way == RANDOM else best


def _measure(
    bench: Bench,
    image: int | str,
    before: UInt8[np.ndarray, "y x 3"],
    concept: Concept,
    action: str,
    mask: Mask,
    units: tuple[int, ...],
    way: str,
) -> tuple[float, float, float, int]:
    """Effect, shares of pixels changed visibly and at all beyond 4 pixels, pixels changed beyond 8."""
    draws = action == DRAW
    stroke = Stroke(bench.layer, units, Bitmap.of(mask), "draw" if draws else "erase", concept)
    after = bench.show(image, [stroke], way)
    there = (bench.easel.name_pixels(after) == concept.id).any(0)
    effect = float(there[mask].mean()) if draws else float(1 - there[mask].mean())
    if isinstance(image, int):
        return effect, float("nan"), float("nan"), -1
    return effect, *measure_reach(before, after, mask)


def measure_reach(
    before: UInt8[np.ndarray, "y x 3"], after: UInt8[np.ndarray, "y x 3"], mask: Mask
) -> tuple[float, float, int]:
    """How far a stroke reaches: shares of the pixels beyond 4 that differ visibly, and at all; how many do
    beyond 8.

    >>> mask = np.arange(16)[None] == 0
    >>> before = np.zeros((1, 16, 3), np.uint8)
    >>> after = before.copy()
    >>> after[0, 5:7, 1] = 9, 1
    >>> measure_reach(before, after, mask)
    (0.09090909090909091, 0.18181818181818182, 0)
    """
    differs = np.abs(after.astype(np.int16) - before).max(2)
    near, far = (_leave(mask, by) for by in (NEAR, FAR))
    there = differs[near] if near.any() else np.zeros(1)
    return float((there > SEEN).mean()), float((there > 0).mean()), int((differs[far] > 0).sum())


def _leave(mask: Mask, by: int) -> Mask:
    """The pixels farther than that from a mask."""
    reached = grow(torch.from_numpy(mask).float(), (by, by)) > 0
    left: Mask = ~reached.numpy()
    return left


def find_square(common: Float32[Tensor, "y x"], here: Mask) -> Mask | None:
    """A square a quarter as wide as the picture, where the concept often is and is not here; None for none.

    >>> find_square(torch.eye(8), np.zeros((8, 8), bool)).sum()
    np.int64(4)
    """
    side = max(1, min(here.shape) // 4)
    shown = torch.stack([common, torch.from_numpy(here).float()])
    often, now = functional.avg_pool2d(shown[None], side, 1)[0]
    free = torch.where(now == 0, often, torch.zeros_like(often))
    if not float(free.max()):
        return None
    y, x = divmod(int(free.argmax()), free.shape[1])
    mask = np.zeros(here.shape, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def keep_rows(path: Path, measure: Callable[[], Rows]) -> Rows:
    """What was measured before and lies there, or is measured now and put there.

    Raises `RunError` where what lies there is damaged.
    """
    if not path.exists():
        found = measure()
        write_whole(path, json.dumps(found))
        return found
    try:
        return {str(name): list(rows) for name, rows in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error!r}); delete it to measure that again") from error
