"""A probe a concept: logistic regression on labelled cells, as directions whose latents have its names."""

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int8, Int32, Int64
from torch import Tensor

from unitscope.concepts.derived import DerivedSource
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Concept, Example, find_named
from unitscope.errors import SourceError, missing_extra
from unitscope.experiments.fitting.cells import Cells
from unitscope.experiments.fitting.measures import Fitted
from unitscope.experiments.fitting.training import EVERY
from unitscope.experiments.fitting.unfinished import Unfinished
from unitscope.networks.directions.directions import make_directions
from unitscope.networks.tokens import Size
from unitscope.progress import LOGGER, follow
from unitscope.statistics.cell_labels import CellGrid, label_planes
from unitscope.statistics.labeled_cells import UNKNOWN

LEAST = 20
"""A concept on fewer cells, or missing on fewer, has no probe; one that was named is refused."""
PIXELS = 8
"""Rows and columns of labels that are looked at in a cell."""
_MOST_ROUNDS = 1000


@dataclass(frozen=True, eq=False)
class CellLabels(DerivedSource):
    """The images of a source, whose labels by cell are noted as images are read; `frame` fits both."""

    frame: Frame
    grid: Size
    noted: dict[int, tuple[Int32[np.ndarray, "plane cell"], tuple[int, ...]]] = field(default_factory=dict)

    @property
    def option(self) -> str:
        """Nothing: images and labels are the same."""
        return ""

    def __getitem__(self, index: int, /) -> Example:
        example = self.source[index]
        rows, columns = self.grid
        cells = CellGrid(self.grid, (rows * PIXELS, columns * PIXELS))
        fitted = replace(self.frame, mask_size=cells.mask_size).fit(example)
        self.noted[index] = (label_planes(fitted, cells), example.ids)
        return example

    def find(self, image: int, concepts: Sequence[Concept]) -> Int8[np.ndarray, "cell concept"]:
        """1 in cells with a concept, 0 without, -1 where that is not known; forgotten afterwards."""
        if image not in self.noted:
            _ = self[image]
        planes, ids = self.noted.pop(image)
        wanted = np.array([concept.id for concept in concepts])
        found = (planes[:, :, None] == wanted).any(0) | np.isin(wanted, ids)
        unknown = (planes == UNKNOWN).all(0) if len(planes) else np.zeros(planes.shape[1], bool)
        return np.where(unknown[:, None], -1, found).astype(np.int8)


def fit_probes(cells: Cells, names: Sequence[str], begun: Unfinished) -> Fitted:
    """A probe for each concept of the source, or for those named: z is the log odds that a cell has it.

    A cell has a concept where more of its pixels have it than any other label of their plane, or none
    (`label_planes`), and where the whole image has it. Logistic regression with an L2 penalty (scikit-learn,
    C = 1) on cells standardized by unit; mean and spread are folded into encoder and bias. The decoder of a
    probe e is e / |e|^2: the shortest change that moves its latent by 1.

    Raises `UsageError` for an unknown concept and where scikit-learn is missing, `SourceError` where a named
    concept, or all, are on fewer than `LEAST` cells, and what `Cells.load` raises.
    """
    source = cells.found.source
    assert isinstance(source, CellLabels)
    asked = find_named(source.vocabulary, names) if names else tuple(source.vocabulary)
    rows = cells.load(0)
    truth = np.concatenate([source.find(image, asked)[cells.choose(image)] for image in range(len(source))])
    known = truth[:, 0] >= 0
    rows, found = rows[torch.from_numpy(known)], truth[known] > 0
    positive = found.sum(0)
    probed = _choose(asked, positive, len(found), bool(names))
    mean, spread = rows.double().mean(0), rows.double().std(0, correction=0)
    spread = torch.where(spread == 0, 1.0, spread)
    standard = ((rows - mean) / spread).float().numpy()
    weights, unfinished = _regress(standard, found[:, probed], begun)
    encoder = (weights[:, :-1] / spread).T
    bias = weights[:, -1] - mean @ encoder
    decoder = (encoder / encoder.square().sum(0).clamp_min(1e-30)).T
    about = {
        "names": json.dumps([spell_concept(asked[one]) for one in probed]),
        "cells_with_each": json.dumps(positive[probed].tolist()),
        "not_converged": str(unfinished),
    }
    return Fitted(make_directions(encoder, decoder, bias=bias, kind="probe"), rows, about)


def _choose(
    asked: Sequence[Concept], positive: Int64[np.ndarray, "concept"], cells: int, named: bool
) -> list[int]:
    """The places of the concepts that are on enough cells, and off enough."""
    enough = (positive >= LEAST) & (cells - positive >= LEAST)
    wanted = f"a probe wants {LEAST} with it and {LEAST} without: give more images, or --cells"
    if named and not enough.all():
        place = int(enough.argmin())
        seen = f"{spell_concept(asked[place])} is on {positive[place]} of {cells:,} cells"
        raise SourceError(f"{seen}; {wanted}")
    if not enough.any():
        raise SourceError(f"no concept of the images is on enough of {cells:,} cells; {wanted}")
    if not enough.all():
        left = int((~enough).sum())
        LOGGER.info("%d concepts on fewer than %d cells, or off fewer, have no probe", left, LEAST)
    return [int(place) for place in np.flatnonzero(enough)]


def _regress(
    cells: Float32[np.ndarray, "cell unit"], found: Bool[np.ndarray, "cell concept"], begun: Unfinished
) -> tuple[Float64[Tensor, "concept weight"], int]:
    """Weights of every unit and, last, an intercept, by concept, and how many have not converged.

    Concepts that were done before are not done again.
    """
    model, warning = import_regression()
    kept, done = begun.load()
    weights = kept.get("weights", torch.zeros(found.shape[1], cells.shape[1] + 1, dtype=torch.float64))
    rounds = kept.get("rounds", torch.zeros(len(weights), dtype=torch.int64))
    kept_at = time.monotonic()
    with follow(len(weights), "probes", "concepts", done=done) as work:
        for place in range(done, len(weights)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", warning)  # counted below
                fitted = model(C=1.0, max_iter=_MOST_ROUNDS).fit(cells, found[:, place])
            weights[place] = torch.from_numpy(np.append(fitted.coef_[0], fitted.intercept_[0]).astype(float))
            rounds[place] = int(fitted.n_iter_[0])
            if time.monotonic() - kept_at >= EVERY:
                begun.save({"weights": weights, "rounds": rounds}, place + 1)
                kept_at = time.monotonic()
            work.update()
    unfinished = int((rounds >= _MOST_ROUNDS).sum())
    if unfinished:
        LOGGER.info(
            "%d of %d probes had not converged after %d rounds", unfinished, len(rounds), _MOST_ROUNDS
        )
    return weights, unfinished


def import_regression() -> tuple[type, type[Warning]]:
    """What fits a probe, and what it warns of. Raises `UsageError` where scikit-learn is missing."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise missing_extra("scikit-learn", "fits probes", "directions") from error
    return LogisticRegression, ConvergenceWarning


def spell_concept(concept: Concept) -> str:
    """What a latent of a concept is called.

    >>> spell_concept(Concept(4, "street-s", "scene"))
    'scene/street'
    """
    return f"{concept.category}/{concept.label}"
