"""A pass of its own that measures how well single units tell the classes of cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32
from torch import Tensor

from unitscope.concepts.derived import DerivedSource, source_spec, split_source
from unitscope.concepts.vocabulary import ConceptSource, Vocabulary
from unitscope.dissection.activations import read_batches
from unitscope.dissection.arguments import Fit, check_asked, check_concepts, check_least
from unitscope.dissection.batches import settle_passes
from unitscope.dissection.cell_measures import (
    CellMeasures,
    CellRules,
    LayerCells,
    Unlabeled,
    check_grids,
    number_classes,
    score_halves,
)
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.planning import plan_scan
from unitscope.errors import UsageError
from unitscope.networks.addresses import leave_directions
from unitscope.networks.borrowing import placed
from unitscope.networks.directions.directions import Directions
from unitscope.networks.generators import check_source
from unitscope.networks.network import Network
from unitscope.networks.trace import open_lenses
from unitscope.networks.verdicts import check_places
from unitscope.statistics.cell_labels import CellGrid, CellRule, label_cells
from unitscope.statistics.labeled_cells import UNKNOWN, UNLABELED, LabeledCells, gather_cells, merge_cells
from unitscope.statistics.reconstruction import Reconstruction, measure_reconstruction
from unitscope.statistics.scan import Machine, ScanPlan
from unitscope.statistics.threads import Threads, open_threads


def measure_cells(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    *,
    validation: ConceptSource | None = None,
    category: str | None = None,
    cells: CellRule = "majority",
    unlabeled: Unlabeled = "negative",
    reduction: int = 1,
    size: int | tuple[int, int] | None = None,
    fit: Fit = "stretch",
    batch_size: int | None = None,
    machine: Machine = Machine(),  # noqa: B008 - frozen
    trust_layout: bool = False,
) -> CellMeasures:
    """How well single units tell the classes of cells: probe R, mAP, coverage, purity, as saev measures them.

    Every cell of a layer's map gets one class, that of the pixels it covers. For every class the unit is
    chosen that tells it best by one logistic regression, least cross-entropy on the cells of the training
    images; all else is measured on validation images. docs/theory.md has the definitions.

    - `validation`: the images that are measured on; by default `source` is split into its halves train and
      test (`half=train`), which share no image.
    - `category`: whose concepts are the classes; by default the vocabulary's first.
    - `cells`: a cell is of the commonest of all that its pixels are ("majority"), or of the commonest concept
      if it has any ("foreground"); of equally common ones no label comes first, then the lowest id.
    - `unlabeled`: cells without a label are of no class ("negative"), or of one more ("class"), as ADE20K's
      151st. Cells of void alone are left out, void pixels are not counted.
    - `reduction`: labels are read at that fraction of the input's size: 1 / 1, or as a convention has it.
    - `size`, `fit`, `batch_size`, `machine` and `trust_layout` are those of `dissect`.

    It takes a pass of its own, and keeps six bytes for every cell where a unit is not 0; a dissection of
    sparse latents has all but NMSE without one (`dissect(..., cell_scores=CellRules())`). Raises `UsageError`
    for names and rules that do not exist, a validation set of other concepts, a map finer than the pictures,
    and where the cells take more than `machine.memory`; `SourceError` where no cell has a class; and what
    `dissect` raises.

    >>> from unitscope import Concept, Example, Vocabulary
    >>> class Pictures(list):  # white on the right, which is labeled
    ...     vocabulary = Vocabulary((Concept(1, "white", "color"),))
    >>> pixels = np.zeros((16, 16, 3), np.uint8)
    >>> pixels[:, 8:] = 255
    >>> planes = np.uint16(pixels[None, :, :, 0] > 0)
    >>> source = Pictures(Example(f"picture {number}", pixels, planes) for number in range(4))
    >>> network = Network(torch.nn.Sequential(torch.nn.AvgPool2d(4)))  # unit 0 is the red channel
    >>> found = measure_cells(network, source, ["0"])
    >>> found["0"].scores.mean_ap, round(found["0"].scores.probe_r, 3), found.rows()[0]["unit"]
    (1.0, 1.0, 0)
    """
    asked = CellRules(cells, category, unlabeled)
    check_least(1, reduction=reduction)
    layers = check_asked(network, source, layers, fit)
    for part in (source,) if validation is None else (source, validation):
        check_source(network, part)
        check_concepts(part)
    classes = asked.choose(source.vocabulary)
    if validation is not None:
        _check_vocabulary(source.vocabulary, validation.vocabulary)
    rules = replace(CONVENTIONS["pnas"], doubles="once", reduction=reduction)
    plain = leave_directions(network, layers)
    with placed(network, machine.device):
        plan, _, places = plan_scan(network, source, (*layers, *plain.values()), rules, {}, size, fit)
        check_places(network.name, places, trust_layout)
        plan = settle_passes(network, plan, machine, batch_size)
        opened = open_lenses(network, layers, plan.frame.size)
    rebuilt = {layer: (plain[layer], made) for layer, made in opened.items() if made.reads == "output"}
    check_grids(plan)
    numbers = number_classes(source.vocabulary, classes)
    passed = _Pass(network, plan, machine, layers, rebuilt, numbers, cells, classes[0].id == 0)
    if validation is None:
        passed.read(source, _hold_out(source))
    else:
        passed.read(source, np.zeros(len(source), bool))
        passed.read(validation, np.ones(len(validation), bool))
    with open_threads(machine.threads) as threads:
        found = {layer: passed.finish(layer, threads) for layer in layers}
    spec = source_spec(source)
    halves = (f"{spec},half=train", "half=test")
    halves = halves if validation is None else (spec, source_spec(validation))
    return CellMeasures(found, classes, asked.say(*halves, classes, plan.frame.mask_size))


@dataclass(eq=False)
class _Pass:
    """The cells of images that have passed the network, by layer, those to learn from and those held out."""

    network: Network
    plan: ScanPlan
    machine: Machine
    layers: Sequence[str]
    rebuilt: Mapping[str, tuple[str, Directions]]
    classes: Int32[np.ndarray, "id"]
    rule: CellRule
    with_none: bool
    """Whether no label is a class, the first."""

    def __post_init__(self) -> None:
        self.seen = self.bytes = 0
        self.parts: dict[tuple[str, bool], list[LabeledCells]] = {
            (layer, held): [] for layer in self.layers for held in (False, True)
        }
        self.lost: dict[str, Reconstruction] = {}

    def read(self, source: ConceptSource, held: Bool[np.ndarray, "image"]) -> None:
        """Passes the images of a source, of which some are held out.

        Raises `UsageError` where their cells take too much memory.
        """
        count = int(self.classes.max()) + 1
        for batch, maps in read_batches(self.network, source, self.plan, self.machine):
            out = held[batch.first : batch.first + len(batch.keys)]
            labels: dict[tuple[int, int], np.ndarray] = {}
            for layer in self.layers:
                grid = self._find_grid(layer)
                if grid.map_size not in labels:
                    found = label_cells(batch.annotations, grid, self.classes, self.rule)
                    none = np.int32(0 if self.with_none else UNLABELED)
                    labels[grid.map_size] = np.where(found == UNLABELED, none, found)
                for half in (False, True):
                    chosen = np.where((out == half)[:, None], labels[grid.map_size], np.int32(UNKNOWN))
                    part = gather_cells(maps[layer], chosen, count, self.seen + batch.first)
                    self.parts[layer, half].append(part)
                    self._weigh(part)
                if layer in self.rebuilt:
                    self._rebuild(layer, maps, torch.from_numpy(out))
        self.seen += len(source)

    def finish(self, layer: str, threads: Threads) -> LayerCells:
        """What a layer's cells say. Raises `SourceError` where none has a class."""
        train, validation = (merge_cells(self.parts.pop((layer, held))) for held in (False, True))
        lost = self.lost.get(layer)
        nmse = float("nan") if lost is None else lost.nmse
        return LayerCells(layer, train.units, score_halves(train, validation, threads), nmse)

    def _find_grid(self, layer: str) -> CellGrid:
        return CellGrid(self.plan.tails[layer].raw_size, self.plan.frame.mask_size)

    def _weigh(self, part: LabeledCells) -> None:
        """They are held twice, while they are joined."""
        self.bytes += 2 * part.bytes
        if self.bytes > self.machine.memory:
            raise UsageError(
                f"the cells of the images so far take {self.bytes / 2**30:.1f} GB; name fewer layers, limit "
                "the images, or allow more memory: Machine(memory=...)"
            )

    def _rebuild(self, layer: str, maps: Mapping[str, Tensor], out: Tensor) -> None:
        """Adds what the directions lose of the cells of held-out images."""
        plain, directions = self.rebuilt[layer]
        if not out.any():
            return
        whole, latents = _list_cells(maps[plain], out), _list_cells(maps[layer], out)
        part = measure_reconstruction(whole, directions.decode(latents, whole))
        self.lost[layer] = self.lost[layer].merge(part) if layer in self.lost else part


def _list_cells(
    maps: Float32[Tensor, "image unit cell_y cell_x"], chosen: Bool[Tensor, "image"]
) -> Float32[Tensor, "cell unit"]:
    picked = maps[chosen.to(maps.device)]
    return picked.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).float()


def _hold_out(source: ConceptSource) -> Bool[np.ndarray, "image"]:
    """Which images of a source are not in its train half."""
    half = split_source(source, "train")
    held = np.ones(len(source), bool)
    if isinstance(half, DerivedSource):
        held[[half.place(index) for index in range(len(half))]] = False
    return held


def _check_vocabulary(first: Vocabulary, second: Vocabulary) -> None:
    if {*first} != {*second}:
        other = min({*first} ^ {*second}, key=lambda one: one.id)
        raise UsageError(
            f"concept {other.id}, {other.name!r}, is not the same in both sources; validate on images of the "
            "same concepts, such as another split of the set"
        )
