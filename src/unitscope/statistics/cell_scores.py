"""How well single units tell classes of cells: one logistic regression a class, on the best unit for it.

The measures of saev (Stevens et al., arXiv 2511.17735, section 4, and its code); docs/theory.md has the
definitions and where these differ.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt16

from unitscope.statistics.kernels import logistic as loops
from unitscope.statistics.labeled_cells import LabeledCells
from unitscope.statistics.threads import Threads

RIDGE = 1e-8
RAREST = 1e-8
"""A class starts from its share of the cells, which is taken to be no nearer to 0 or 1 than this."""

TOP = 16
"""Purity looks at so many cells of a unit."""

TAUS = (0.3, 0.5, 0.7)
"""Classes are covered where their average precision is above one of these."""


@dataclass(frozen=True, eq=False)
class Probes:
    """By class the unit that tells it best, -1 for a class without a cell to learn from, and its regression.

    A cell is of the class with probability sigma(weight z + bias). `loss` is the mean cross-entropy over the
    cells that it was fitted to.
    """

    unit: Int64[np.ndarray, "class"]
    weight: Float64[np.ndarray, "class"]
    bias: Float64[np.ndarray, "class"]
    loss: Float64[np.ndarray, "class"]


@dataclass(frozen=True, eq=False)
class CellScores:
    """What single units know of classes of cells; made by `score_cells`.

    All but the probes is measured on validation cells: by class the mean cross-entropy `loss` of its probe
    and `entropy`, that of always saying the class's share; average precision `ap`, 0 for a class that does
    not occur; of the chosen unit's `TOP` highest cells the share of the commonest class among them, `purity`,
    and of the class itself, `own_purity`, NaN for a unit with fewer cells above 0; and the share of cells
    where it is above 0. `trained` and `seen` count the cells of the class in both halves. `active` is how
    many units are not 0 in a cell, on average.
    """

    probes: Probes
    loss: Float64[np.ndarray, "class"]
    entropy: Float64[np.ndarray, "class"]
    ap: Float64[np.ndarray, "class"]
    purity: Float64[np.ndarray, "class"]
    own_purity: Float64[np.ndarray, "class"]
    positive_rate: Float64[np.ndarray, "class"]
    trained: Int64[np.ndarray, "class"]
    seen: Int64[np.ndarray, "class"]
    active: float

    @property
    def probe_r(self) -> float:
        """1 - mean cross-entropy / mean entropy: 0 if units tell nothing, 1 if all. NaN without entropy."""
        entropy = float(self.entropy.sum())
        return 1 - float(self.loss.sum()) / entropy if entropy > 0 else float("nan")

    @property
    def mean_ap(self) -> float:
        """The mean of average precision over all classes, 0 for those that do not occur."""
        return float(self.ap.mean())

    @property
    def mean_ap_seen(self) -> float:
        """The same over the classes that occur. NaN where none does."""
        return float(self.ap[self.seen > 0].mean()) if self.seen.any() else float("nan")

    def coverage(self, tau: float) -> float:
        """The share of all classes with an average precision above `tau`."""
        return float((self.ap > tau).mean())

    @property
    def judged(self) -> Bool[np.ndarray, "class"]:
        """The classes whose unit has a purity; those of the others are dead, or nearly."""
        return np.asarray(~np.isnan(self.purity))

    @property
    def mean_purity(self) -> float:
        """The mean over classes of the purity of their units, some of which may be the same."""
        return float(self.purity[self.judged].mean()) if self.judged.any() else float("nan")

    @property
    def mean_own_purity(self) -> float:
        """The same of the class itself."""
        return float(self.own_purity[self.judged].mean()) if self.judged.any() else float("nan")


@dataclass(frozen=True, eq=False)
class JoinedCells:
    """Cells in one piece, ready for the compiled loops."""

    cells: LabeledCells

    @property
    def values(self) -> Float32[np.ndarray, "entry"]:
        """The values of all entries."""
        return self.cells.pieces[0].values

    @property
    def labels(self) -> UInt16[np.ndarray, "entry"]:
        """Their labels."""
        return self.cells.pieces[0].labels

    @cached_property
    def starts(self) -> Int64[np.ndarray, "unit_and_one"]:
        """Where the entries of every unit begin."""
        return self.cells.starts

    @cached_property
    def zeros(self) -> Int64[np.ndarray, "unit"]:
        """How many cells of a unit are 0."""
        return np.asarray(self.cells.total - np.diff(self.starts))

    @cached_property
    def totals(self) -> Float64[np.ndarray, "class_and_none unit"]:
        """By label and unit what its entries add up to."""
        found: np.ndarray = loops.sum_classes(self.starts, self.values, self.labels, self.cells.classes)
        return found

    def entries(self, unit: int) -> slice:
        """The entries of a unit."""
        return slice(int(self.starts[unit]), int(self.starts[unit + 1]))


def score_cells(train: LabeledCells, validation: LabeledCells, threads: Threads) -> CellScores:
    """What the units of a layer know of classes: chosen and fitted on some cells, measured on others."""
    first, second = JoinedCells(train.join()), JoinedCells(validation.join())
    probes = fit_probes(first, threads)
    classes = range(train.classes)
    seen, total = second.cells.cells[:-1], max(second.cells.total, 1)
    purities = [find_purity(second, int(unit), place) for place, unit in enumerate(probes.unit)]
    rates = [
        float((second.values[second.entries(int(unit))] > 0).sum()) / total if unit >= 0 else 0.0
        for unit in probes.unit
    ]
    return CellScores(
        probes,
        np.array([measure_loss(second, probes, place) for place in classes]),
        measure_entropy(seen / total),
        np.array([measure_precision(second, probes, place) for place in classes]),
        np.array([purity for purity, _ in purities]),
        np.array([own for _, own in purities]),
        np.array(rates),
        first.cells.cells[:-1],
        seen,
        len(second.values) / total,
    )


def fit_probes(train: JoinedCells, threads: Threads) -> Probes:
    """By class the unit whose regression has the least cross-entropy, of equal ones the first, and its fit.

    Every unit is fitted to every class with its values in 64 bins, which bounds its cross-entropy from below,
    and only those that may be the best to all its values.
    """
    whole = train.cells.cells[:-1]
    share = whole / max(train.cells.total, 1)
    clipped = np.clip(share, RAREST, 1 - RAREST)
    start = np.log(clipped / (1 - clipped))
    fitted = np.flatnonzero(whole)
    binned: tuple[np.ndarray, ...] = loops.bin_values(train.starts, train.values)
    cells, totals = (train.starts, train.values, train.zeros, train.cells.total), train.totals

    def fit(block: tuple[int, int]) -> list[tuple[int, float, float, float]]:
        found = []
        for place in fitted[slice(*block)]:
            wanted = (whole[place], totals[place], RIDGE, start[place])
            found.append(loops.choose_unit(*binned, *cells, *wanted))
        return found

    rows = [row for part in threads.map_blocks(fit, len(fitted)) for row in part]
    made = Probes(np.full(len(whole), -1), np.zeros(len(whole)), start, measure_constant(share, start))
    for place, (unit, weight, bias, loss) in zip(fitted, rows, strict=True):
        made.unit[place], made.weight[place], made.bias[place], made.loss[place] = unit, weight, bias, loss
    return made


def measure_entropy(share: Float64[np.ndarray, "*any"]) -> Float64[np.ndarray, "*any"]:
    """-p log p - (1 - p) log(1 - p), natural logarithms, 0 log 0 = 0.

    >>> measure_entropy(np.array([0.0, 0.5, 1.0])).round(3).tolist()
    [0.0, 0.693, 0.0]
    """
    inner = np.where((share > 0) & (share < 1), share, 0.5)
    found = -(inner * np.log(inner) + (1 - inner) * np.log1p(-inner))
    return np.where((share > 0) & (share < 1), found, 0.0)


def measure_constant(
    share: Float64[np.ndarray, "class"], bias: Float64[np.ndarray, "class"]
) -> Float64[np.ndarray, "class"]:
    """The mean cross-entropy of always saying sigma(bias) where a class has such a share of the cells."""
    return np.asarray(np.logaddexp(0, bias) - share * bias)


def measure_loss(cells: JoinedCells, probes: Probes, place: int) -> float:
    """The mean cross-entropy of a class's probe over cells."""
    unit, weight, bias = int(probes.unit[place]), float(probes.weight[place]), float(probes.bias[place])
    total, count = max(cells.cells.total, 1), int(cells.cells.cells[place])
    if unit < 0:
        return float(measure_constant(np.array([count / total]), np.array([bias]))[0])
    values = cells.values[cells.entries(unit)].astype(np.float64)
    entries = (values, np.ones(len(values)), cells.zeros[unit])
    found = loops.measure_fit(*entries, count, cells.totals[place, unit], weight, bias)
    return max(float(found[0]) / total, 0.0)


def measure_precision(cells: JoinedCells, probes: Probes, place: int) -> float:
    """The average precision of a class's scores, weight z + bias; 0 for a class that does not occur.

    Sum over distinct scores, the highest first, of precision times the recall gained there, as scikit-learn
    has it: equal scores are one step.
    """
    count, unit = int(cells.cells.cells[place]), int(probes.unit[place])
    if not count:
        return 0.0
    if unit < 0 or probes.weight[place] == 0:
        return count / cells.cells.total
    entries = cells.entries(unit)
    mine = cells.labels[entries] == place
    scores = np.append(np.sign(probes.weight[place]) * cells.values[entries].astype(np.float64), 0.0)
    found, steps = np.unique(-scores, return_inverse=True)  # highest first
    hits = np.bincount(steps, np.append(mine, count - mine.sum()), minlength=len(found))
    sizes = np.bincount(steps, np.append(np.ones(len(mine)), cells.zeros[unit]), minlength=len(found))
    told, all_told = np.cumsum(hits), np.cumsum(sizes)
    precision = told / np.maximum(all_told, 1)
    return float((precision * hits).sum() / count)


def find_purity(cells: JoinedCells, unit: int, place: int) -> tuple[float, float]:
    """Of the `TOP` highest cells of a unit the share of the commonest class, and of one class.

    Of equally high ones the first are taken; cells of no class are of none. NaN for a unit with fewer cells
    above 0.
    """
    entries = cells.entries(unit) if unit >= 0 else slice(0, 0)
    values, labels = cells.values[entries], cells.labels[entries]
    above = np.flatnonzero(values > 0)
    if len(above) < TOP:
        return float("nan"), float("nan")
    top = labels[above[np.argsort(-values[above], kind="stable")[:TOP]]]
    common = np.bincount(top, minlength=cells.cells.classes + 1)[:-1]
    return float(common.max(initial=0) / TOP), float(common[place] / TOP)
