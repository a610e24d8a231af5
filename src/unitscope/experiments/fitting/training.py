"""The training of an autoencoder on the cells of a layer, turn after turn, from where it was stopped."""

import json
import time
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from unitscope.errors import RunError
from unitscope.experiments.fitting.asked import Asked
from unitscope.experiments.fitting.autoencoders import Autoencoder, list_prefixes
from unitscope.experiments.fitting.cells import Cells
from unitscope.experiments.fitting.measures import Fitted, measure_mean
from unitscope.experiments.fitting.unfinished import Unfinished
from unitscope.networks.directions.normalizations import Standardized
from unitscope.networks.memory import hold_memory
from unitscope.progress import follow

EVERY = 15.0
"""Seconds between two times that the training is kept."""
_POINTS = 40


def train_autoencoder(cells: Cells, asked: Asked, begun: Unfinished) -> Fitted:
    """An autoencoder trained on cells, which come in an order drawn by the seed, each once a turn.

    Cells are standardized by the mean of every unit and one scale for all, of the first turn. Raises
    `RunError` where losses are no longer finite, and what `Cells.load` raises.
    """
    model = Autoencoder(asked, cells.units)
    steps, losses = asked.training.steps, torch.zeros(asked.training.steps)
    kept, done = begun.load()
    if kept:
        model.unpack(kept, done)
        losses = kept["losses"]
    norm = Standardized(kept["mean"], float(kept["scale"])) if kept else None
    rows, kept_at = None, time.monotonic()
    with hold_memory(), follow(steps, f"train {asked.kind}", "steps", done=done) as work:
        for turn, start, stop in _list_turns(cells, asked):
            if stop <= done and stop < steps:  # the last turn's cells are measured at the end
                continue
            if rows is None or cells.rounds > 1:
                rows = None  # its memory is that of the next
                rows = cells.load(turn)
            norm = norm or _standardize(rows)
            for step, batch in _draw(rows, asked, turn, range(start, stop)):
                if step < model.done:
                    continue
                losses[step] = model.learn(norm.apply(batch).to(asked.device))
                work.note = f"{losses[step]:.3f} missed"
                if not torch.isfinite(losses[step]):
                    raise RunError(f"{asked.kind}: the error at step {step} is not finite; lower --rate")
                ended = cells.rounds > 1 and step + 1 == stop  # the next turn's cells take the place of these
                if ended or time.monotonic() - kept_at >= EVERY:
                    _keep(begun, model, norm, losses)
                    kept_at = time.monotonic()
                work.update()
    assert rows is not None
    assert norm is not None
    _keep(begun, model, norm, losses)
    seen = min(len(cells), steps * asked.training.batch_cells)
    about = {"loss_curve": json.dumps(_shorten(losses)), "cells_seen": str(seen)}
    if asked.kind == "matryoshka-sae":
        about["prefixes"] = json.dumps(list_prefixes(asked))
    return Fitted(model.finish(norm), rows, about)


def _list_turns(cells: Cells, asked: Asked) -> Iterator[tuple[int, int, int]]:
    """The turns of a training, and the steps in each, from one until before another."""
    turn = start = 0
    while start < asked.training.steps:
        length = max(1, cells.count(turn) // asked.training.batch_cells)
        yield turn, start, min(start + length, asked.training.steps)
        turn, start = turn + 1, start + length


def _draw(
    rows: Float32[Tensor, "cell unit"], asked: Asked, turn: int, steps: range
) -> Iterator[tuple[int, Float32[Tensor, "batch unit"]]]:
    """The cells of every step of a turn."""
    order = torch.from_numpy(np.random.default_rng([asked.seed, 2, turn]).permutation(len(rows)))
    size = min(asked.training.batch_cells, len(rows))
    for place, step in enumerate(steps):
        yield step, rows[order[place * size : (place + 1) * size]]


def _standardize(rows: Float32[Tensor, "cell unit"]) -> Standardized:
    """The mean of every unit, and the root of the mean square of what is left; 1 where nothing is."""
    mean, spread = measure_mean(rows)
    return Standardized(mean, spread or 1.0)


def _keep(begun: Unfinished, model: Autoencoder, norm: Standardized, losses: Tensor) -> None:
    scale = torch.tensor(norm.scale, dtype=torch.float64)
    begun.save({**model.pack(), "losses": losses, "mean": norm.mean, "scale": scale}, model.done)


def _shorten(losses: Tensor) -> list[tuple[int, float]]:
    """At most 40 points of the curve: until which step, and the mean loss since the point before."""
    parts = np.array_split(losses.numpy().astype(np.float64), min(_POINTS, len(losses)))
    ends = np.cumsum([len(part) for part in parts])
    return [(int(end), float(f"{part.mean():.4g}")) for end, part in zip(ends, parts, strict=True)]
