"""A dissection: every unit of some layers, related to every concept; what is saved and shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, UInt16

from unitscope.axes import Areas, CategoryAreas, ConceptAreas, Counts, PerUnit, Thresholds
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.conventions import Convention
from unitscope.dissection.labels import UnitLabels, label_units, spread_active, unique_detectors
from unitscope.errors import UsageError


@dataclass(frozen=True, eq=False)
class Exemplars:
    """The images that excite each unit most, by the peak of its map, with their masks.

    `images` are indices in the source, -1 where there is none; `peaks` the largest activation; the
    mask of unit u, rank r is `runs[offsets[i]:offsets[i + 1]]`, i = u * ranks + r, each run a
    (row, first column, column after the last) at mask size.
    """

    images: Int32[np.ndarray, "unit rank"]
    peaks: Float32[np.ndarray, "unit rank"]
    offsets: Int64[np.ndarray, "mask_and_one"]
    runs: UInt16[np.ndarray, "run 3"]

    def mask_runs(self, unit: int, rank: int) -> UInt16[np.ndarray, "piece 3"]:
        """The mask of one exemplar as runs of pixels."""
        place = unit * self.images.shape[1] + rank
        return self.runs[self.offsets[place] : self.offsets[place + 1]]


@dataclass(frozen=True, eq=False)
class Confidence:
    """How sure the labels are; all arrays are per unit.

    `p_value`: chance of so high a best IoU where masks and labels are unrelated; `q_value`: false
    discovery rate over the layer's units; `low`, `high`: 95 % bootstrap interval of the IoU over
    images; `heldout`: the IoU of a name given on one half of the images, on the other half.
    `shifts` is the number of null draws; `chance_detectors` the mean number of units above the IoU
    cut-off in them, `chance_discoveries` the mean share of units with q < 0.05 in them: the
    shuffled-label controls.
    """

    p_value: PerUnit
    q_value: PerUnit
    low: PerUnit
    high: PerUnit
    heldout: PerUnit
    shifts: int
    chance_detectors: float
    chance_discoveries: float


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of a layer's units and concepts, each at its own threshold: `dissection.adaptive`.

    `thresholds` are NaN where a pair has none; its counts are then 0. `quality` is the information quality
    ratio on the held-out images that the threshold was chosen on. `active` counts the pixels above it that
    enter the union, `intersections` those that are the concept too.
    """

    thresholds: Float32[np.ndarray, "unit concept"]
    quality: Float64[np.ndarray, "unit concept"]
    active: Counts
    intersections: Counts


@dataclass(frozen=True)
class Unit:
    """One row of `units.csv`: a unit with its name and the evidence for it.

    `concept` is None for a dead unit. `iou` and its interval are fractions, areas are in mask
    pixels over all images.
    """

    layer: str
    unit: int
    concept: Concept | None
    iou: float
    iou_low: float
    iou_high: float
    p_value: float
    q_value: float
    heldout_iou: float
    detector: bool
    threshold: float
    active_pixels: int
    concept_pixels: int
    intersection: int
    runner_up: Concept | None
    runner_up_iou: float


@dataclass(frozen=True, eq=False)
class LayerDissection:
    """All that is known of the units of one layer.

    `active` counts the pixels above threshold, void ones left out; `active_in[u, k]` those that enter
    the union with concepts of category k; `pixels_in[k]` all pixels of the images that enter it (under
    the union `touched`, whose images differ by unit, those with any label of the category).

    With `pairs`, IoU, labels and detectors are those of the pairs at their own thresholds; `thresholds` are
    then those of each unit with its label, and all else is counted there.
    """

    layer: str
    map_size: tuple[int, int]
    mask_size: tuple[int, int]
    images: int
    vocabulary: Vocabulary
    convention: Convention
    thresholds: Thresholds
    active: Areas
    active_in: CategoryAreas
    pixels_in: Int64[np.ndarray, "category"]
    concept_pixels: ConceptAreas
    intersections: Counts
    exemplars: Exemplars
    confidence: Confidence | None = None
    warnings: tuple[str, ...] = ()
    pairs: Pairs | None = None

    @cached_property
    def labels(self) -> UnitLabels:
        """The best concept of every unit, overall and by category."""
        own = self.pairs
        return label_units(
            self.intersections if own is None else own.intersections,
            spread_active(self.active_in, self.vocabulary) if own is None else own.active,
            self.concept_pixels,
            self.pixels_in,
            self.vocabulary,
            self.convention,
        )

    @cached_property
    def iou(self) -> Float64[np.ndarray, "unit concept"]:
        """The IoU of every unit with every concept id."""
        return self.labels.iou

    @property
    def detectors(self) -> int:
        """How many units are detectors."""
        return int(self.labels.detector.sum())

    @cached_property
    def unique(self) -> dict[str, dict[str, int]]:
        """Unique detectors by category, by both rules: {"label": {...}, "category": {...}}."""
        return {rule: unique_detectors(self.labels, self.vocabulary, rule) for rule in ("label", "category")}

    def __len__(self) -> int:
        return len(self.thresholds)

    def __repr__(self) -> str:
        return f"<LayerDissection {self.layer}: {len(self)} units over {self.images} images>"

    def __getitem__(self, unit: int) -> Unit:
        unit = range(len(self))[unit]
        labels, sure = self.labels, self.confidence
        best, second = int(labels.best[unit]), int(labels.runner_up[unit])

        def figure(name: str) -> float:
            return float("nan") if sure is None else float(getattr(sure, name)[unit])

        return Unit(
            layer=self.layer,
            unit=unit,
            concept=self.vocabulary[best] if best else None,
            iou=float(labels.best_iou[unit]),
            iou_low=figure("low"),
            iou_high=figure("high"),
            p_value=figure("p_value"),
            q_value=figure("q_value"),
            heldout_iou=figure("heldout"),
            detector=bool(labels.detector[unit]),
            threshold=float(self.thresholds[unit]),
            active_pixels=int(self.active[unit]),
            concept_pixels=int(self.concept_pixels[best]) if best else 0,
            intersection=int(self.intersections[unit, best]) if best else 0,
            runner_up=self.vocabulary[second] if second else None,
            runner_up_iou=float(labels.runner_up_iou[unit]),
        )

    def __iter__(self) -> Iterator[Unit]:
        return (self[unit] for unit in range(len(self)))


@dataclass(frozen=True, eq=False)
class Dissection:
    """A network's layers dissected over a source: the one value everything after reads.

    `recipe` is what made it, ready for JSON: network, source, digests, convention, seed, version;
    `keys` gives the source's key of every exemplar image by index.
    """

    layers: Mapping[str, LayerDissection]
    vocabulary: Vocabulary
    convention: Convention
    recipe: Mapping[str, object]
    keys: Mapping[int, str]
    times: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, layer: str) -> LayerDissection:
        """One layer; raises `UsageError` for a name that is none of them."""
        if layer not in self.layers:
            raise UsageError(f"the run has no layer {layer!r}; its layers are {', '.join(self.layers)}")
        return self.layers[layer]

    def __repr__(self) -> str:
        described = self.recipe.get("network")
        name = described.get("name") if isinstance(described, Mapping) else described
        images = max((layer.images for layer in self.layers.values()), default=0)
        layers = ", ".join(f"{layer.layer} ({len(layer)} units)" for layer in self.layers.values())
        return f"<Dissection of {name} over {images} images: {layers}>"

    @property
    def source(self) -> str:
        """The text that opens the source again, where it has one."""
        described = self.recipe["source"]
        assert isinstance(described, Mapping)
        return str(described["spec"])

    @property
    def frame(self) -> Frame:
        """How the images were fitted to the network and the labels to the masks."""
        described = self.recipe["frame"]
        assert isinstance(described, Mapping)
        sizes = {name: tuple(described[name]) for name in ("size", "mask_size")}
        return Frame(**{**described, **sizes})

    def _repr_html_(self) -> str:
        # Views lie below in the house: a notebook asks for them only when it shows something.
        from importlib import import_module

        page: str = import_module("unitscope.views.notebook").dissection_html(self)
        return page

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)
