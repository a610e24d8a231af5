"""Strokes on an inverted picture: their places are given back to the generator before units are set.

Units that were fitted to a picture no longer obey: setting those of a tree to 0 leaves about half of it. So
in the cells of a stroke, and in those next to them, the layer goes back to what the generator makes there by
itself, then units are set in the stroke's as in its own pictures, and what was fitted besides, maps and
pixels, fades out around it. Elsewhere the picture stays as it was given, bit for bit.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.nn import functional

from unitscope.interventions.edits import Edit, edited
from unitscope.interventions.inversion import add_maps, join_inputs, to_colors
from unitscope.interventions.inversion_result import Inversion
from unitscope.networks.generators import Generator, to_pixels
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer
from unitscope.networks.unit_maps import read_others, read_units, write_units

Share = Float32[Tensor, "y x"]
"""How much of a stroke every pixel has, from 0 to 1."""


@torch.no_grad()
def show_inversion(
    generator: Generator, inversion: Inversion, edits: Sequence[Edit], drawn: Share, touched: Share
) -> UInt8[np.ndarray, "y x 3"]:
    """The inverted picture with edits; bit for bit the given one where no stroke is near.

    `drawn` are the pixels of all strokes, `touched` those of all cells that they touch. With s the pixels a
    cell of the inverted layer has each way, the picture may change by all that the generator does up to s
    pixels from a stroke, less and less beyond, and not at all from 2 s on.
    """
    picture = inversion.picture
    if not len(edits) and not touched.any():
        return picture.copy()
    size, cells = picture.shape[:2], inversion.fitted.shape[2:]
    # The cells around them, too: what was fitted there to edges that are gone would stay as rags.
    back = grow(functional.adaptive_max_pool2d(touched[None, None], (cells[0], cells[1]))[0, 0], (1, 1))
    step = (-(-size[0] // cells[0]), -(-size[1] // cells[1]))
    kept = 1 - blur(
        grow(functional.interpolate(back[None, None], size)[0, 0], (step[0] // 4, step[1] // 4)), step
    )
    with ExitStack() as hooks:
        hooks.enter_context(evaluation(generator))
        hooks.enter_context(_give_back(generator, inversion, back))
        faded = {
            place: one.cpu() * functional.adaptive_avg_pool2d(kept[None], (one.shape[2], one.shape[3]))
            for place, one in inversion.maps.items()
        }
        hooks.enter_context(add_maps(generator, faded))
        hooks.enter_context(edited(generator, *edits))
        made = generator.run(join_inputs(generator, inversion.latent, inversion.kind)).float()
    made = made + inversion.residual.to(made.device) * kept.to(made.device)
    given, near = to_colors(picture, generator), measure_nearness(drawn, step).to(made.device)
    mixed = torch.where(near > 0, given + near * (made - given), given)
    shown: UInt8[np.ndarray, "y x 3"] = to_pixels(mixed, generator.low, generator.high)[0]
    return shown


def measure_nearness(drawn: Share, step: tuple[int, int]) -> Share:
    """1 up to a step from what is drawn, 0 from two steps on, and in between by the way.

    >>> measure_nearness(torch.eye(1, 13), (1, 4))[0].tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.8..., 0.6..., 0.4..., 0.2..., 0.0, 0.0, 0.0, 0.0]
    """
    there = (drawn > 0).float()
    return blur(grow(there, (step[0] + step[0] // 2, step[1] + step[1] // 2)), step)


def grow(share: Share, by: tuple[int, int]) -> Share:
    """The largest share within so many rows and columns of every pixel."""
    size = (2 * by[0] + 1, 2 * by[1] + 1)
    return functional.max_pool2d(share[None], size, stride=1, padding=by)[0]


def blur(share: Share, step: tuple[int, int]) -> Share:
    """The mean share within half a step each way, of the pixels that there are."""
    by = (step[0] // 2, step[1] // 2)
    size = (2 * by[0] + 1, 2 * by[1] + 1)
    return functional.avg_pool2d(share[None], size, 1, by, count_include_pad=False)[0]


@contextmanager
def _give_back(
    generator: Generator, inversion: Inversion, back: Float32[Tensor, "cell_y cell_x"]
) -> Iterator[None]:
    """Inside the block the layer is what was fitted; in cells given back, what the generator makes."""

    def change(fitted: Tensor, raw: Tensor, layout: Layout) -> Tensor:
        made = read_units(raw, layout, inversion.layer)
        share, fitted = back.to(made.device), fitted.to(made.device)
        others = read_others(raw, layout, inversion.layer)
        return write_units(raw, fitted + share * (made - fitted), layout, inversion.layer, others)

    with hook_layer(generator, inversion.layer, partial(change, inversion.fitted)):
        yield
