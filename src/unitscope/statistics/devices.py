"""The torch path of the tail, for activations on a GPU: only what is kept crosses to the CPU.

It gives what `quantiles.update_tail` gives, cell for cell; the tests hold the two together on the CPU.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unitscope.statistics.cells import Cells
from unitscope.statistics.kernels import bounds
from unitscope.statistics.quantiles import Tail, TailPlan, add_cells

_ROUNDING = 2.0**-18


def update_on_device(tail: Tail, maps: Tensor, first_image: int) -> Tail:
    """The tail after one more batch of raw maps, float32 [image, unit, cell_y, cell_x] on any device."""
    plan = tail.plan
    stored = plan.grid.surround(maps)
    if plan.grid.sampled:
        stored = plan.grid.upsample(stored)
    if (largest := tail.largest) is not None:
        rows = stored if plan.population == "pixels" else maps
        values = _find_plateaus(stored, plan) if plan.parted else rows
        flat = values.transpose(0, 1).flatten(1)
        top = flat.topk(min(plan.keep, flat.shape[1]), 1).values.cpu().numpy()
        bounds.push_tail(top[None], (0, plan.units), tail.bound, largest.values, largest.fill, plan.keep)
    chunk = pack_on_device(stored, tail.bound, plan.reach, first_image)
    raw = [pack_on_device(maps, tail.bound, 0, first_image)] if plan.apart else []
    return add_cells(tail, [chunk], raw, maps.shape[0])


def _find_plateaus(stored: Tensor, plan: TailPlan) -> Tensor:
    """The smallest corner of every inner cell, less what interpolation may round away."""
    (y0, y1), (x0, x1) = plan.grid.inner
    height, width = stored.shape[2:]
    upper = stored[:, :, y0:y1].minimum(stored[:, :, min(y0 + 1, height - 1) : min(y1 + 1, height)])
    least = upper[..., x0:x1].minimum(upper[..., min(x0 + 1, width - 1) : min(x1 + 1, width)])
    return least - least.abs() * _ROUNDING


def pack_on_device(maps: Tensor, bound: np.ndarray, reach: int, first_image: int) -> Cells:
    """The cells of maps[image, unit, y, x] above the unit's bound, with neighbors up to `reach` away."""
    images, units = maps.shape[:2]
    edge = torch.from_numpy(bound).to(maps.device)
    edge = edge - edge.abs() * _ROUNDING
    kept = maps > edge[:, None, None]
    if reach:
        kept = functional.max_pool2d(kept.float(), 2 * reach + 1, 1, reach) > 0
    places = kept.transpose(0, 1).reshape(units * images, -1)
    values = maps.transpose(0, 1).reshape(units * images, -1)[places].cpu().numpy()
    record, cell = (column.cpu().numpy() for column in places.nonzero(as_tuple=True))
    present, size = np.unique(record, return_counts=True)
    counts = np.bincount(present // images, minlength=units)
    image = (first_image + present % images).astype(np.int32)
    return Cells(counts, image, size.astype(np.int32), cell.astype(np.uint32), values)
