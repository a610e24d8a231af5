"""A segmenter fitted on a user's masks: trained, measured on pictures that were held out, saved, opened."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from unitscope.concepts.derived import source_digest, source_spec
from unitscope.concepts.vocabulary import Concept, ConceptSource, Vocabulary
from unitscope.errors import NetworkError, SourceError, UsageError
from unitscope.lab.zoo.augmentation import draw_views, paint_grounds
from unitscope.lab.zoo.masked import VOID, MaskedPictures, halve_masked, read_masked
from unitscope.lab.zoo.networks import SceneSegmenter
from unitscope.lab.zoo.recipes import Recipe
from unitscope.lab.zoo.training import Trained, run_trainer
from unitscope.lab.zoo.training_steps import NetworkTrainer, half_precision, miss_overlap, weigh_classes
from unitscope.lab.zoo.weights_files import save_weights
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.segmentation.network_segmenter import NetworkSegmenter
from unitscope.networks.weights import put_weights, random_weights
from unitscope.progress import follow_each
from unitscope.results import Result
from unitscope.tables import Table, align

SIZE = 64
"""The side of what the network reads, in pixels."""

STEPS = 2500
CHANNELS = (16, 32, 64, 96, 128)
"""Half as many as the zoo's segmenter has: there is less to learn from."""

_MARK = "unitscope_parser"


class ParserTrainer(NetworkTrainer):
    """Every pixel's class in every plane, as `SegmenterTrainer`; nothing is learned from unknown pixels."""

    def __init__(self, recipe: Recipe, pictures: MaskedPictures, seed: int) -> None:
        self.pictures, self.batch, self.seed = pictures, recipe.batch, seed
        self.counts = tuple(map(len, pictures.classes))
        self.grounds = paint_grounds(SIZE)
        super().__init__(SceneSegmenter(self.counts, CHANNELS), recipe.rate, 1e-3, averaged=True)
        self.weights = [
            weigh_classes(labels[labels != VOID], classes)
            for labels, classes in zip(pictures.labels.swapaxes(0, 1), self.counts, strict=True)
        ]

    def find_loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a step, also as the figure for the curve."""
        batch = draw_views(self.pictures, self.grounds, self.batch, SIZE, self.seed, step)
        with half_precision():
            logits = self.network(batch.images)
        loss = self._miss(logits, batch.labels)
        return loss, {"loss": loss.item()}

    def _miss(self, logits: Tensor, labels: UInt8[Tensor, "n plane y x"]) -> Tensor:
        pixels = logits.permute(0, 2, 3, 1).reshape(-1, sum(self.counts))
        miss = 0 * pixels.float().sum()  # where nothing is known, nothing is missed
        for plane, group in enumerate(torch.split(pixels, list(self.counts), 1)):
            wanted = labels[:, plane].reshape(-1).long()
            known = wanted != VOID
            if not known.any():
                continue
            wanted, named = wanted[known], group[known].float()
            entropy = functional.cross_entropy(named, wanted, weight=self.weights[plane])
            miss = miss + (entropy + miss_overlap(named, wanted)) / len(self.counts)
        return miss


@dataclass(frozen=True)
class ClassScore:
    """How a class was recognized in pictures that were not trained on.

    The pixels that are of this class, those that were given its name, and those of which both is true.
    """

    concept: Concept
    pixels: int
    named: int
    right: int

    @property
    def iou(self) -> float | None:
        """Intersection over union of all pixels; None for a class that is nowhere and was named nowhere."""
        union = self.pixels + self.named - self.right
        return self.right / union if union else None


@dataclass(frozen=True, eq=False)
class Parser:
    """A fitted segmenter: what it names, and how it was made (`record`)."""

    module: SceneSegmenter
    vocabulary: Vocabulary
    classes: tuple[tuple[int, ...], ...]
    record: Mapping[str, object]

    def segmenter(self, name: str = "parser") -> NetworkSegmenter:
        """The parser as a segmenter; `name` is what opens it again."""
        prepared = Preprocessing((SIZE, SIZE), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        network = Network(self.module, prepared, (), name)
        return NetworkSegmenter(network, self.vocabulary, self.classes)


def train_parser(
    source: ConceptSource,
    out: Path,
    *,
    seed: int = 0,
    steps: int = STEPS,
    every: int = 250,
    keep: tuple[int, ...] = (),
) -> tuple[Parser, Trained]:
    """Fits a small U-Net on the masks of a source, in the folder `out`; a training stopped there is resumed.

    The network is that of the zoo's segmenter, half as wide; it learns from views of the pictures
    (`unitscope.lab.zoo.augmentation`). The same source, seed and torch on the same kind of processor
    give the same weights, stopped in between or not.

    Raises `SourceError` where the masks do not suffice, `RunError` where `out` holds another training.
    """
    if steps < 1:
        raise UsageError(f"{steps} steps train nothing; wanted 1 or more")
    if seed < 0:
        raise UsageError(f"the seed is {seed}; it must be 0 or more")
    pictures = read_masked(source)
    recipe = Recipe("segmenter", "parser", (), len(pictures), steps, 16, 2e-3)
    digest = source_digest(source)
    begin = partial(ParserTrainer, recipe, pictures, seed)
    done = run_trainer(recipe, begin, out, seed=seed, every=every, keep=keep, data=digest)
    network = done.network
    assert isinstance(network, SceneSegmenter)
    for weight in network.parameters():  # as a file keeps them, so that what is measured is what is saved
        weight.data = weight.data.half().float()
    named = {one for ids in pictures.classes for one in ids if one}
    words = Vocabulary(tuple(concept for concept in source.vocabulary if concept.id in named))
    origin = {"spec": source_spec(source), "digest": digest}
    record = {"source": origin, "pictures": len(pictures), "seed": seed, "steps": steps}
    return Parser(network, words, pictures.classes, record), done


def grade_parser(parser: Parser, source: ConceptSource) -> list[ClassScore]:
    """How well each class is recognized in the pictures of a source, over all their pixels of known truth.

    Every picture is looked at in its own size, as `NetworkSegmenter` does. Classes that the parser was
    never shown are among the scores; no pixel is given their names.

    Raises `SourceError` where no picture has a mask.
    """
    segmenter = parser.segmenter()
    size = max(source.vocabulary.size, parser.vocabulary.size)
    counts: Int64[np.ndarray, "kind concept"] = np.zeros((3, size), np.int64)
    seen = 0
    for index in follow_each(range(len(source)), "measuring"):
        example = source[index]
        if len(example.planes) != len(parser.classes):
            continue
        seen += 1
        found = segmenter(np.stack([example.image]))[0]
        known = np.ones(found.shape[1:], bool) if example.void is None else ~example.void
        for truth, named in zip(example.planes, found, strict=True):
            counts[0] += np.bincount(truth[known], minlength=size)
            counts[1] += np.bincount(named[known], minlength=size)
            counts[2] += np.bincount(truth[known & (truth == named)], minlength=size)
    if not seen:
        raise SourceError(f"none of the {len(source)} pictures to measure on has a mask; give another split")
    return [
        ClassScore(concept, *(int(one) for one in counts[:, concept.id])) for concept in source.vocabulary
    ]


def record_scores(parser: Parser, scores: Sequence[ClassScore], source: ConceptSource) -> Parser:
    """The parser with its scores on pictures that were held out in its record."""
    found = {
        "source": {"spec": source_spec(source), "digest": source_digest(source)},
        "pictures": len(source),
        "iou": [[score.concept.id, score.iou] for score in scores],
    }
    return replace(parser, record={**parser.record, "test": found})


def spell_scores(parser: Parser, scores: Sequence[ClassScore], held_out: int) -> str:
    """The IoU of every class on the pictures that were held out, as lines of text."""
    total = max(1, sum(score.pixels for score in scores))
    known = [score.iou for score in scores if score.iou is not None]
    rows = [("class", "pixels", "IoU", "")]
    for score in scores:
        share, iou = f"{score.pixels / total:.1%}", "-" if score.iou is None else f"{score.iou:.3f}"
        note = "" if score.concept.id in parser.vocabulary else "not among those to train on"
        rows.append((score.concept.label, share, iou, note))
    rows.append(("mean", "", f"{sum(known) / max(1, len(known)):.3f}", ""))
    pictures = f"{parser.record['pictures']} pictures, measured on {held_out} others"
    return f"{len(scores)} classes from {pictures}\n{align(rows, left=(0, 3))}"


@dataclass(frozen=True, eq=False)
class FittedSegmenter(Result):
    """A segmenter fitted on a part of a source, how it did on the rest, and its file with its SHA-256.

    `train` and `test` open the two parts again; `segmenter:FILE` opens the segmenter.
    """

    parser: Parser
    scores: tuple[ClassScore, ...]
    train: str
    test: str
    held_out: int
    file: Path
    sha256: str

    def tables(self) -> Mapping[str, Table]:
        """Every class with its IoU and its pixels in the pictures that were held out."""
        rows = tuple((score.concept.label, score.iou, score.pixels) for score in self.scores)
        return {"classes.csv": Table(("concept", "iou", "pixels"), rows)}

    def describe(self) -> dict[str, Any]:
        """The file, the two parts of the source, and the classes, ready for JSON."""
        file = {"file": str(self.file), "sha256": self.sha256}
        return {**file, "train": self.train, "test": self.test, "classes": self.rows()}

    def text(self) -> str:
        """The IoU of every class, the file, and how to use it."""
        scores = spell_scores(self.parser, self.scores, self.held_out)
        use = f"use: segmenter:{self.file} as SOURCE for a generator"
        return f"{scores}\nsegmenter: {self.file}  sha256 {self.sha256}\n{use}"


def fit_segmenter(
    source: ConceptSource,
    out: str | Path = "runs/zoo",
    *,
    share: float | None = None,
    seed: int = 0,
    steps: int | None = None,
    keep: tuple[int, ...] = (),
) -> FittedSegmenter:
    """Fits a small segmenter on pictures with masks, and measures it on those that were held out.

    It lies in a folder of `out` that is called after the source and the seed; a training stopped there is
    resumed. `share` of the pictures is trained on (see `halve_masked`), for `steps` steps; `keep` names
    steps after which the weights are written too.

    Raises what `halve_masked`, `train_parser` and `grade_parser` raise.
    """
    halves = halve_masked(source, share, seed)
    folder = Path(out) / f"{getattr(source, 'name', 'own')}-{seed}"
    parser, _ = train_parser(halves[0], folder, seed=seed, steps=steps or STEPS, keep=keep)
    scores = tuple(grade_parser(parser, halves[1]))
    parser, file = record_scores(parser, scores, halves[1]), folder / "segmenter.safetensors"
    train, test = map(source_spec, halves)
    return FittedSegmenter(parser, scores, train, test, len(halves[1]), file, save_parser(parser, file))


def save_parser(parser: Parser, path: Path) -> str:
    """Writes a parser as safetensors, names and record as JSON in the metadata; the SHA-256 comes back."""
    content = {
        "concepts": [[concept.id, concept.name, concept.category] for concept in parser.vocabulary],
        "classes": [list(ids) for ids in parser.classes],
        "channels": list(parser.module.channels),
        "record": dict(parser.record),
    }
    # One entry: several would be written in any order, and the same parser would be another file.
    return save_weights(parser.module, path, {_MARK: json.dumps(content)})


def load_parser(path: str | Path) -> Parser:
    """The parser that `save_parser` wrote; nothing in the file is executed.

    Raises `UsageError` where there is no such file, `NetworkError` where it is no parser.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(
            f"there is no segmenter {path}; `unitscope zoo train segmenter --images SOURCE` fits one"
        )
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads((file.metadata() or {})[_MARK])
        state = load_file(path)
        words = Vocabulary(tuple(Concept(int(i), str(n), str(c)) for i, n, c in content["concepts"]))
        classes = tuple(tuple(int(one) for one in ids) for ids in content["classes"])
        a, b, c, d, e = (int(one) for one in content["channels"])
        with random_weights(0):
            module = SceneSegmenter(tuple(map(len, classes)), (a, b, c, d, e))
        record = dict(content["record"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, SourceError, RuntimeError) as error:
        raise NetworkError(
            f"{path} is no segmenter; wanted a file that "
            "`unitscope zoo train segmenter --images SOURCE` wrote"
        ) from error
    put_weights(module, state, str(path))
    module.eval()
    return Parser(module, words, classes, record)


def open_segmenter(spec: str) -> NetworkSegmenter:
    """The parser of a file as a segmenter. Raises what `load_parser` raises."""
    return load_parser(spec).segmenter(spec)
