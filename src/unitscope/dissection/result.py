"""A dissection: every unit of some layers, related to every concept; what is saved and shown."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt16

from unitscope.axes import Areas, CategoryAreas, ConceptAreas, Counts, Thresholds
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection.cell_measures import (
    CellMeasures,
    CellRules,
    join_scores,
    name_scores,
    restore_scores,
)
from unitscope.dissection.confidence import CONTROLS, Confidence
from unitscope.dissection.conventions import Convention
from unitscope.dissection.labels import UnitLabels, label_units, unique_detectors
from unitscope.dissection.layer_arrays import CONFIDENCE, COUNTS, EXEMPLARS, PAIRS, check_shapes
from unitscope.dissection.recipe import Recipe
from unitscope.dissection.run_files import FORMAT, name_files, write_run
from unitscope.dissection.units import Unit, Units, name_unit
from unitscope.errors import UsageError
from unitscope.networks.network import Network
from unitscope.networks.places import Place
from unitscope.statistics.cell_scores import CellScores
from unitscope.statistics.label_tables import LabelTable


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
class Pairs:
    """The pairs of a layer's units and concepts, each at a threshold of its own: `dissection.adaptive`.

    `thresholds` are NaN where a pair has none; its counts are then 0. `quality` is the information quality
    ratio on the held-out images that the threshold was chosen on. `active` counts the pixels above it that
    enter the union, `intersections` those that are the concept too.
    """

    thresholds: Float32[np.ndarray, "unit concept"]
    quality: Float64[np.ndarray, "unit concept"]
    active: Counts
    intersections: Counts


@dataclass(frozen=True, eq=False)
class LayerDissection(Units):
    """All that is known of the units of one layer.

    `active` counts the pixels above threshold, void ones left out; `active_in[u, k]` those that enter
    the union with concepts of category k; `pixels_in[k]` all pixels of the images that enter it (under
    the union `touched`, whose images differ by unit, those with any label of the category).

    With `pairs`, IoU, labels and detectors are those of the pairs at their thresholds; `thresholds` are
    then those of each unit with its label, and all else is counted there. `recipe` is that of the run,
    `place` where the layer's cells were found to look, None where that was not asked; `heads` is the number
    of heads of attention that the units belong to, one after the other, 0 for none. `sparse` says that the
    units are latents of sparse directions, which are off at 0: exemplars are then images where one fires.
    `cell_scores` is how well they tell the classes of cells, where that was asked for; `label_table` what
    they share with every set of labels, None where that was left out, and `range_table` what they do in each
    range of their activation (`unitscope.statistics.ranges`), where that was asked for.
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
    recipe: Recipe | None = None
    place: Place | None = None
    heads: int = 0
    sparse: bool = False
    cell_scores: CellScores | None = None
    label_table: LabelTable | None = None
    range_table: LabelTable | None = None

    @cached_property
    def labels(self) -> UnitLabels:
        """The best concept of every unit, overall and by category."""
        words = self.vocabulary
        if self.pairs is not None:
            shared, active = self.pairs.intersections, self.pairs.active
        else:
            # What enters the union with a concept is what enters it with its category.
            shared = self.intersections
            active = np.where(words.category_index >= 0, self.active_in[:, words.category_index], 0)
        return label_units(shared, active, self.concept_pixels, self.pixels_in, words, self.convention)

    @cached_property
    def iou(self) -> Float64[np.ndarray, "unit concept"]:
        """The IoU of every unit with every concept id."""
        return self.labels.iou

    @property
    def never_fired(self) -> int:
        """How many latents of sparse directions are above 0 nowhere; 0 for other units."""
        return int((self.exemplars.images[:, :1] < 0).sum()) if self.sparse else 0

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
            head_unit=self.name_unit(unit) if self.heads else "",
            probe=self.probes[unit] if self.probes else "",
            score=float("nan") if self.convention.name_by == "iou" else float(labels.score[unit]),
            recipe=self.recipe,
        )

    @cached_property
    def probes(self) -> tuple[str, ...]:
        """What the directions of its latents are called, as probes by their concepts; none where unknown."""
        made = ((self.recipe and self.recipe.directions) or {}).get(self.layer, {})
        return tuple(made.get("names", ()))

    def name_unit(self, unit: int) -> str:
        """What a unit is called: its number, or HEAD.UNIT where units belong to heads of attention."""
        return name_unit(unit, len(self), self.heads)

    def __iter__(self) -> Iterator[Unit]:
        return (self[unit] for unit in range(len(self)))

    def units(self) -> Iterable[Unit]:
        """The units, from 0."""
        return self

    def masks(
        self, images: object, network: Network | None = None
    ) -> Iterator[Bool[np.ndarray, "unit row column"]]:
        """Where every unit is active, bool[unit, row, column] at mask size, one picture after the other.

        `images` is a list of pictures (uint8[y, x, 3] of any size, PIL images, paths of files) or a source.
        They are fitted, fed, brought to mask size and held against the thresholds exactly as those that were
        counted: over the run's own source the masks add up to `active` once void pixels are left out. (The
        last bits of activations, and so pixels right at the threshold, may differ on another machine, and in
        linear layers of ten features or fewer for an image at another place in its batch.)

        `network` is the one that was dissected; None opens it by the name that the run recorded, if its
        weights are still the same, and keeps it for the next call. What a Python file makes must be given.
        A generator reads no pictures: `images` must be a source of those that it makes.

        Raises `UsageError` at once for another network, weights or preprocessing than those of the run, or a
        network that does not open; while reading what `dissect` raises.
        """
        # Imported here: what reads pictures by the run's rules is built on what runs are.
        from unitscope.dissection.masks import draw_masks

        thresholds = dict(enumerate(self.thresholds.tolist()))
        dead = np.flatnonzero(self.active == 0).tolist()
        return draw_masks(self.recipe, self.layer, thresholds, images, network, dead)

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by the names that they have in the layer's file: docs/files.md."""
        kept = {name: getattr(self, name) for name in COUNTS}
        kept |= {f"exemplar_{name}": getattr(self.exemplars, name) for name in EXEMPLARS}
        if self.confidence is not None:
            kept |= {name: getattr(self.confidence, name) for name in CONFIDENCE}
        if self.pairs is not None:
            kept |= {f"pair_{name}": getattr(self.pairs, name) for name in PAIRS}
        kept |= {} if self.label_table is None else self.label_table.arrays()
        kept |= {} if self.range_table is None else self.range_table.arrays("ranges")
        return kept if self.cell_scores is None else kept | name_scores(self.cell_scores)

    def record(self, file: str) -> dict[str, Any]:
        """The layer's entry in `run.json`; `file` is the name of the file with its arrays."""
        sure = self.confidence
        return {
            "layer": self.layer,
            "file": file,
            "units": len(self),
            "map_size": self.map_size,
            "mask_size": self.mask_size,
            "images": self.images,
            "detectors": self.detectors,
            "unique": self.unique,
            **{name: getattr(sure, name) if sure else None for name in CONTROLS},
            "shifts": sure.shifts if sure else 0,
            "warnings": self.warnings,
            **({} if self.place is None else {"place": asdict(self.place)}),
            **({"heads": self.heads} if self.heads else {}),
            **({"sparse": True, "never_fired": self.never_fired} if self.sparse else {}),
        }

    @classmethod
    def restore(
        cls,
        record: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        vocabulary: Vocabulary,
        recipe: Recipe,
    ) -> "LayerDissection":
        """The layer that `record` and `arrays` gave.

        Raises `LookupError`, `TypeError` or `ValueError` for those of another run, network or vocabulary.
        """
        check_shapes(arrays, record["units"], vocabulary)
        confidence = None
        if record["shifts"]:
            measured: list[Any] = [arrays[name] for name in CONFIDENCE]
            # A run of before there were blocks says neither what was drawn nor over how many images.
            told = {"null": "shifts", "null_images": record["images"], **record}
            confidence = Confidence(*measured, *(told[name] for name in CONTROLS))
        paired = "pair_quality" in arrays
        return cls(
            layer=record["layer"],
            map_size=tuple(record["map_size"]),
            mask_size=tuple(record["mask_size"]),
            images=record["images"],
            vocabulary=vocabulary,
            convention=recipe.convention,
            **{name: arrays[name] for name in COUNTS},
            exemplars=Exemplars(*(arrays[f"exemplar_{name}"] for name in EXEMPLARS)),
            confidence=confidence,
            warnings=tuple(record["warnings"]),
            pairs=Pairs(*(arrays[f"pair_{name}"] for name in PAIRS)) if paired else None,
            recipe=recipe,
            place=Place.parse(record.get("place")),
            heads=int(record.get("heads", 0)),
            sparse=bool(record.get("sparse", False)),
            cell_scores=restore_scores(arrays),
            label_table=LabelTable.restore(arrays),
            range_table=LabelTable.restore(arrays, "ranges"),
        )


@dataclass(frozen=True, eq=False)
class Dissection(Units):
    """A network's layers dissected over a source: the one value everything after reads.

    `run[layer]` is a `LayerDissection`, `run[layer][unit]` a `Unit`. `print(run)` shows what was found,
    `run.to_frame()` has a row a unit, `run.save(folder)` keeps it all, `run.page(folder)` writes the report.
    `recipe` is what made it; `keys` gives the source's key of every exemplar image by index; `times` are
    seconds.
    """

    layers: Mapping[str, LayerDissection]
    vocabulary: Vocabulary
    convention: Convention
    recipe: Recipe
    keys: Mapping[int, str]
    times: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, layer: str) -> LayerDissection:
        """One layer; raises `UsageError` for a name that is none of them."""
        if layer not in self.layers:
            raise UsageError(f"the run has no layer {layer!r}; its layers are {', '.join(self.layers)}")
        return self.layers[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __repr__(self) -> str:
        layers = ", ".join(f"{layer.layer} ({len(layer)} units)" for layer in self.layers.values())
        return f"<Dissection of {self.recipe.network.name} over {self.images} images: {layers}>"

    @property
    def images(self) -> int:
        """How many images the layers were dissected over."""
        return max((layer.images for layer in self.layers.values()), default=0)

    @property
    def source(self) -> str:
        """The text that opens the source again, where it has one."""
        return self.recipe.source.spec

    @property
    def frame(self) -> Frame:
        """How the images were fitted to the network and the labels to the masks."""
        return self.recipe.frame

    @cached_property
    def cell_measures(self) -> CellMeasures | None:
        """What latents know of cells, None where that was not asked for."""
        if self.recipe.cell_scores is None:
            return None
        found = {name: (len(one), one.cell_scores) for name, one in self.layers.items()}
        rules, size = CellRules(**self.recipe.cell_scores), self.frame.mask_size
        return join_scores(found, rules, self.vocabulary, self.source, size)

    def units(self) -> Iterable[Unit]:
        """The units of all layers, layer after layer."""
        return chain.from_iterable(self.layers.values())

    def save(self, folder: str | Path) -> Path:
        """Writes the run: `run.json`, `units.csv` and one `.safetensors` a layer; the folder (docs/files.md).

        A run that the folder holds is replaced whole, its layers' files too; until all of the new one is
        written the old one stays. A report beside it is left alone: write it again.

        Raises `RunError` where it cannot be written.
        """
        named = dict(zip(name_files(self.layers), self.layers.values(), strict=True))
        about = {
            "format": FORMAT,
            "recipe": self.recipe.record(),
            "layers": [layer.record(name) for name, layer in named.items()],
            "times": self.times,
            "vocabulary": [[concept.id, concept.name, concept.category] for concept in self.vocabulary],
            "keys": self.keys,
        }
        arrays = {name: layer.arrays() for name, layer in named.items()}
        tables = {} if self.cell_measures is None else self.cell_measures.tables()
        rows = {"units.csv": self.cells(), **{name: table.cells() for name, table in tables.items()}}
        write_run(Path(folder), about, arrays, rows)
        return Path(folder)
