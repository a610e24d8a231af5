"""What the study of scores measures, part after part; what was measured is not measured again."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.activations import read_activations
from unitscope.dissection.conventions import NameBy
from unitscope.dissection.counts import recount
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import RunError
from unitscope.files import create_arrays
from unitscope.lab.studies.direction_bases import digest_of
from unitscope.lab.studies.planting import LAYER, Degradation, PlantedNetwork, Truth, plant, read_truth
from unitscope.lab.studies.records import pack_records, read_records
from unitscope.lab.studies.score_pictures import PictureTest, run_pictures
from unitscope.lab.studies.score_sanity import IdealChange, RealFalls, spoil_ideal, spoil_real
from unitscope.lab.studies.score_units import (
    FORMULAS,
    KINDS,
    NOTHING,
    SHUFFLED,
    Case,
    Naming,
    cover_images,
    lay_case,
    name_case,
    read_outputs,
)
from unitscope.lab.world import open_drawn
from unitscope.lab.zoo.weights_files import load_zoo
from unitscope.networks.generators import GeneratedImages, Generator, with_seed
from unitscope.progress import follow_each
from unitscope.statistics.label_scores import label_scores
from unitscope.version import __version__

CLASSIFIERS = ("scene-classifier", "scene-transformer")
HIDDEN = "layer5"
MASKS = ("netdissect", "pnas")
"""The conventions by which planted units are dissected."""
OUTPUTS = "output units"
RIGHT_TOP = 0.005
"""The name of a hidden unit of the sanity test is that of the largest IoU at this share of active inputs."""


@dataclass(frozen=True)
class Extent:
    """How much is measured: scenes that units are planted over, scenes that classifiers read, and so on."""

    planted: int = 120
    read: int = 600
    draws: int = 1000
    inputs: int = 500_000
    kinds: tuple[Degradation, ...] = KINDS
    formulas: int = FORMULAS
    least: int = 8
    """Concepts of images that so many have; and so many pictures are shown of each."""
    controls: int = 200


QUICK = Extent(24, 48, 20, 20_000, (KINDS[0], Degradation("formula", 0.0), *KINDS[-2:]), 4, 1, 16)


@dataclass(frozen=True, eq=False)
class KnownUnits:
    """How every score named units of known meaning, planted in one way or of a classifier."""

    seed: int
    at: str
    kind: str
    strength: float
    named: Naming


@dataclass(frozen=True)
class MaskNames:
    """The share of planted units that a dissection names right, by what it names by."""

    seed: int
    convention: str
    kind: str
    strength: float
    name_by: str
    units: int
    right: float


@dataclass(frozen=True, eq=False)
class Measured:
    """All that the study measured."""

    ideal: tuple[IdealChange, ...]
    real: tuple[RealFalls, ...]
    known: tuple[KnownUnits, ...]
    pictures: tuple[PictureTest, ...]
    masks: tuple[MaskNames, ...]


def measure_scores(seeds: Sequence[int], extent: Extent, folder: Path) -> Measured:
    """Measures everything, or reads what lies in the folder. Raises `RunError` for what is damaged there."""
    kept = folder / digest_of(asdict(extent), CLASSIFIERS, __version__)[:16]
    ideal, real, known = list[IdealChange](), list[RealFalls](), list[KnownUnits]()
    pictures, masks = list[PictureTest](), list[MaskNames]()
    for seed in seeds:
        drawn = _Scenes(seed, extent)
        parts = {"ideal": _measure_ideal, "real": _measure_real, "pictures": _run_pictures}
        for title, measure in {**parts, "masks": _name_masks}.items():
            # With other weights of the generator its pictures are others, and nothing else is.
            which = f"{title}-{_open_generator().digest[:12]}" if title == "pictures" else title
            packed = _keep(kept / f"{which}-{seed}.safetensors", partial(measure, drawn))
            rows = read_records(packed["rows"])
            ideal += [IdealChange(**row) for row in rows if title == "ideal"]
            real += [RealFalls(**row) for row in rows if title == "real"]
            pictures += [PictureTest(**row) for row in rows if title == "pictures"]
            masks += [MaskNames(**row) for row in rows if title == "masks"]
        ways = [(at, how) for how in extent.kinds for at in ("cells", "pixels", "images")]
        for at, how in follow_each(ways, f"units of seed {seed}", "cases", len(ways)):
            name = f"planted-{at}-{how.kind.replace(' ', '-')}-{how.strength:g}-{seed}.safetensors"
            arrays = _keep(kept / name, partial(_name_planted, drawn, how, at))
            known.append(KnownUnits(seed, at, how.kind, how.strength, Naming(**arrays)))
        for network in CLASSIFIERS:
            name = f"outputs-{network}-{seed}.safetensors"
            arrays = _keep(kept / name, partial(_name_outputs, drawn, network))
            known.append(KnownUnits(seed, "images", f"{OUTPUTS} of {network}", 0.0, Naming(**arrays)))
    return Measured(tuple(ideal), tuple(real), tuple(known), tuple(pictures), tuple(masks))


@dataclass(eq=False)
class _Scenes:
    """The drawn scenes of one seed, read when they are asked for."""

    seed: int
    extent: Extent
    _truth: Truth | None = None

    @property
    def planted(self) -> ConceptSource:
        return open_drawn(count=self.extent.planted, seed=11 + 1000 * self.seed, size=64)

    @property
    def truth(self) -> Truth:
        if self._truth is None:
            self._truth = read_truth(self.planted)
        return self._truth

    @property
    def read(self) -> ConceptSource:
        return open_drawn(count=self.extent.read, seed=500_000 + 1000 * self.seed, size=64)


def _measure_ideal(scenes: _Scenes) -> dict[str, np.ndarray]:
    found = spoil_ideal(scenes.seed, scenes.extent.inputs, scenes.extent.draws)
    return {"rows": pack_records(found)}


def _measure_real(scenes: _Scenes) -> dict[str, np.ndarray]:
    """The outputs of the classifier with their classes, and its last layer with its names by IoU."""
    outputs = _read_outputs(scenes, CLASSIFIERS[0])
    rows = spoil_real(OUTPUTS, scenes.seed, outputs.response, outputs.presence, outputs.right.tolist(), 0.05)
    hidden = _read_hidden(scenes)
    some = spoil_real(
        f"units of {HIDDEN}", scenes.seed, hidden.response, hidden.presence, hidden.right.tolist(), RIGHT_TOP
    )
    return {"rows": pack_records([*rows, *some])}


def _read_outputs(scenes: _Scenes, network: str) -> Case:
    return read_outputs(load_zoo(network), "head", scenes.read, least=scenes.extent.least)


def _read_hidden(scenes: _Scenes) -> Case:
    """The units of the classifier's last layer over cells, named by the largest IoU; keys are concept ids."""
    source = scenes.read
    response = read_activations(load_zoo(CLASSIFIERS[0]), source, [HIDDEN]).arrays()[HIDDEN]
    ids, truth = cover_images(source, response.shape[2])
    flat = response.transpose(1, 0, 2, 3).reshape(response.shape[1], -1).astype(np.float64)
    iou = label_scores(flat, truth, RIGHT_TOP)["iou"]
    return Case(flat, truth, iou.argmax(1), ids[iou.argmax(1)])


def _name_masks(scenes: _Scenes) -> dict[str, np.ndarray]:
    """Planted units dissected, and named by every score that a run has."""
    found, source = list[MaskNames](), scenes.planted
    for how in scenes.extent.kinds:
        if how.kind in (NOTHING, SHUFFLED, "formula"):
            continue
        network = PlantedNetwork(plant(scenes.truth, how, scenes.seed), source[0].image.shape[:2])
        for convention in MASKS:
            spent = Confidences(0, 1)
            run = dissect(network, source, [LAYER], convention=convention, confidences=spent, batch_size=32)
            for name_by in get_args(NameBy):
                best = recount(run[LAYER], name_by=name_by).labels.best
                right = float((best == scenes.truth.ids).mean())
                about = (scenes.seed, convention, how.kind, how.strength, name_by, len(best))
                found.append(MaskNames(*about, right))
    return {"rows": pack_records(found)}


def _name_planted(scenes: _Scenes, how: Degradation, at: str) -> dict[str, np.ndarray]:
    return vars(name_case(lay_case(scenes.truth, how, scenes.seed, at, scenes.extent.formulas)))


def _name_outputs(scenes: _Scenes, network: str) -> dict[str, np.ndarray]:
    return vars(name_case(_read_outputs(scenes, network)))


def _open_generator() -> Generator:
    generator = load_zoo("generator")
    assert isinstance(generator, Generator)
    return generator


def _run_pictures(scenes: _Scenes) -> dict[str, np.ndarray]:
    controls = GeneratedImages(with_seed(_open_generator(), scenes.seed), scenes.extent.controls)
    hidden = _read_hidden(scenes)
    found = run_pictures(
        *(scenes.seed, load_zoo(CLASSIFIERS[0]), HIDDEN, hidden.keys, scenes.read, controls),
        scenes.extent.least,
    )
    return {"rows": pack_records(found)}


def _keep(path: Path, measure: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What lies in the file, or is measured now and put there."""
    if not path.exists():
        found = measure()
        path.parent.mkdir(parents=True, exist_ok=True)
        create_arrays(path, found, "name another --out")
        return found
    try:
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(f"{path} is damaged ({error}); delete it to measure that again") from error
