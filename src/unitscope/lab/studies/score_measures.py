"""What the study of scores measures, part after part; what was measured is not measured again."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.activations import read_activations
from unitscope.errors import RunError
from unitscope.files import create_arrays
from unitscope.lab.studies.direction_bases import digest_of
from unitscope.lab.studies.planting import Degradation, Truth, read_truth
from unitscope.lab.studies.records import pack_records, read_records
from unitscope.lab.studies.score_pictures import PictureTest, run_pictures
from unitscope.lab.studies.score_sanity import IdealChange, RealFalls, spoil_ideal, spoil_real
from unitscope.lab.studies.score_units import (
    FORMULAS,
    KINDS,
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


@dataclass(frozen=True, eq=False)
class Measured:
    """All that the study measured."""

    ideal: tuple[IdealChange, ...]
    real: tuple[RealFalls, ...]
    known: tuple[KnownUnits, ...]
    pictures: tuple[PictureTest, ...]


def measure_scores(seeds: Sequence[int], extent: Extent, folder: Path) -> Measured:
    """Measures everything, or reads what lies in the folder. Raises `RunError` for what is damaged there."""
    kept = folder / digest_of(asdict(extent), CLASSIFIERS, __version__)[:16]
    ideal, real, known = list[IdealChange](), list[RealFalls](), list[KnownUnits]()
    pictures = list[PictureTest]()
    for seed in seeds:
        drawn = _Scenes(seed, extent)
        parts = (("ideal", _measure_ideal), ("real", _measure_real), ("pictures", _run_pictures))
        for title, measure in parts:
            packed = _keep(kept / f"{title}-{seed}.safetensors", partial(measure, drawn))
            rows = read_records(packed["rows"])
            ideal += [IdealChange(**row) for row in rows if title == "ideal"]
            real += [RealFalls(**row) for row in rows if title == "real"]
            pictures += [PictureTest(**row) for row in rows if title == "pictures"]
        ways = [(at, how) for how in extent.kinds for at in ("cells", "pixels", "images")]
        for at, how in follow_each(ways, f"units of seed {seed}", "cases", len(ways)):
            name = f"planted-{at}-{how.kind.replace(' ', '-')}-{how.strength:g}-{seed}.safetensors"
            arrays = _keep(kept / name, partial(_name_planted, drawn, how, at))
            known.append(KnownUnits(seed, at, how.kind, how.strength, Naming(**arrays)))
        for network in CLASSIFIERS:
            name = f"outputs-{network}-{seed}.safetensors"
            arrays = _keep(kept / name, partial(_name_outputs, drawn, network))
            known.append(KnownUnits(seed, "images", f"{OUTPUTS} of {network}", 0.0, Naming(**arrays)))
    return Measured(tuple(ideal), tuple(real), tuple(known), tuple(pictures))


@dataclass(eq=False)
class _Scenes:
    """The drawn scenes of one seed, read when they are asked for."""

    seed: int
    extent: Extent
    _truth: Truth | None = None

    @property
    def truth(self) -> Truth:
        if self._truth is None:
            source = open_drawn(count=self.extent.planted, seed=11 + 1000 * self.seed, size=64)
            self._truth = read_truth(source)
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


def _name_planted(scenes: _Scenes, how: Degradation, at: str) -> dict[str, np.ndarray]:
    return vars(name_case(lay_case(scenes.truth, how, scenes.seed, at, scenes.extent.formulas)))


def _name_outputs(scenes: _Scenes, network: str) -> dict[str, np.ndarray]:
    return vars(name_case(_read_outputs(scenes, network)))


def _run_pictures(scenes: _Scenes) -> dict[str, np.ndarray]:
    generator = load_zoo("generator")
    assert isinstance(generator, Generator)
    controls = GeneratedImages(with_seed(generator, scenes.seed), scenes.extent.controls)
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
