"""Small worlds of labeled pixels and masks, and their table of label sets counted pixel by pixel."""

from dataclasses import dataclass, replace

import numpy as np

from unitscope.statistics.label_tables import QUARTERS, stack_parts


@dataclass(frozen=True, eq=False)
class World:
    """has[image, pixel, concept], valid[image, pixel], masks[unit, image, pixel]; `ways` slots a block."""

    has: np.ndarray
    valid: np.ndarray
    masks: np.ndarray
    blocks: int
    ways: int

    @property
    def concepts(self):
        return self.has.shape[2]

    @property
    def width(self):
        return self.has.shape[0] // (self.blocks * self.ways) if self.blocks else 0

    def without(self, concepts):
        has = self.has.copy()
        has[..., concepts] = False
        return replace(self, has=has)


def draw_world(seed, images=None, concepts=None, units=2, blocks=None, ways=3):
    """Labels in planes, some void; units that follow a formula, with noise; images in blocks, with rests."""
    rng = np.random.default_rng(seed)
    blocks = int(rng.integers(0, 4)) if blocks is None else blocks
    images = int(rng.integers(max(4, blocks * ways), 24)) if images is None else images
    concepts = int(rng.integers(1, 8)) if concepts is None else concepts
    pixels = int(rng.integers(3, 12))
    has = rng.random((images, pixels, concepts)) < rng.uniform(0.05, 0.6, concepts)
    if concepts > 2:  # one plane of labels that exclude each other, and one of the whole image
        has[..., 1] &= ~has[..., 0]
        has[..., 2] = has[:, :1, 2]
    truth = has[..., rng.integers(concepts)] ^ has[..., rng.integers(concepts)]
    masks = truth ^ (rng.random((units, images, pixels)) < rng.uniform(0, 0.5))
    return World(has, rng.random((images, pixels)) < 0.9, masks, blocks, ways)


def count_parts(world):
    """The table of a world, counted slowly: in slot s of a block masks meet the labels s steps on."""
    span = world.width * world.ways
    fold = [
        image // span
        if image < span * world.blocks
        else world.blocks + (image - span * world.blocks) % QUARTERS
        for image in range(len(world.has))
    ]
    sets = {tuple(np.flatnonzero(has).tolist()) for has in world.has[world.valid]}
    rows = {one: row for row, one in enumerate(sorted(sets))}
    areas = np.zeros((world.blocks + QUARTERS, len(rows)), np.int64)
    parts = world.blocks * world.ways + QUARTERS
    active = np.zeros((len(world.masks), parts, len(rows)), np.int64)
    for image, valid in enumerate(world.valid):
        for pixel in np.flatnonzero(valid):
            areas[fold[image], rows[tuple(np.flatnonzero(world.has[image, pixel]).tolist())]] += 1
    for image in range(len(world.has)):
        for slot in range(world.ways if fold[image] < world.blocks else 1):
            other, part = image, world.blocks * world.ways + fold[image] - world.blocks
            if fold[image] < world.blocks:
                begin, part = fold[image] * span, fold[image] * world.ways + slot
                other = begin + (image - begin + slot * world.width) % span
            for unit, masks in enumerate(world.masks):
                for pixel in np.flatnonzero(masks[image] & world.valid[other]):
                    active[unit, part, rows[tuple(np.flatnonzero(world.has[other, pixel]).tolist())]] += 1
    ways = world.ways if world.blocks else 0
    return stack_parts(active, [list(one) for one in sorted(sets)], areas, world.concepts, ways)
