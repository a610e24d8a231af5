"""A segmenter fitted on a user's own masks: trained, measured on pictures it has not seen, saved, opened."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from unitscope.concepts.derived import source_digest, source_spec
from unitscope.concepts.vocabulary import Concept, ConceptSource, Vocabulary
from unitscope.errors import NetworkError, SourceError, UsageError
from unitscope.lab.zoo.augmentation import draw_views, paint_grounds
from unitscope.lab.zoo.masked import VOID, MaskedPictures, read_masked
from unitscope.lab.zoo.recipes import Recipe
from unitscope.lab.zoo.segmenter import SceneSegmenter
from unitscope.lab.zoo.training import Trained, teach
from unitscope.lab.zoo.training_steps import half, miss_overlap, move_average, set_rate, weigh_classes
from unitscope.lab.zoo.weights_files import save_weights
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.segmentation.network_segmenter import NetworkSegmenter
from unitscope.networks.weights import put_weights, random_weights

SIZE = 64
"""The side of what the network reads, in pixels."""

STEPS = 2500
CHANNELS = (16, 32, 64, 96, 128)
"""Half as many as the zoo's segmenter has: there is less to learn from."""

_MARK = "unitscope_parser"


class ParserTrainer:
    """Every pixel's class in every plane, as `SegmenterTrainer`; pixels of unknown truth teach nothing."""

    def __init__(self, recipe: Recipe, pictures: MaskedPictures, seed: int) -> None:
        self.pictures, self.batch, self.seed = pictures, recipe.batch, seed
        self.counts = tuple(map(len, pictures.classes))
        self.behind = paint_grounds(SIZE)
        self.network = SceneSegmenter(self.counts, CHANNELS).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.modules: dict[str, nn.Module] = {"network": self.network, "average": self.average}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "network": torch.optim.AdamW(self.network.parameters(), recipe.rate, weight_decay=1e-3)
        }
        known = [pictures.labels[:, plane] for plane in range(len(self.counts))]
        self.weights = [
            weigh_classes(labels[labels != VOID], classes)
            for labels, classes in zip(known, self.counts, strict=True)
        ]

    def learn(self, step: int, rate: float) -> dict[str, float]:
        """One step at a learning rate; the loss comes back."""
        batch = draw_views(self.pictures, self.behind, self.batch, SIZE, self.seed, step)
        self.network.train()
        with half():
            logits = self.network(batch.images)
        loss = self._miss(logits, batch.labels)
        optimizer = self.optimizers["network"]
        set_rate(optimizer, rate)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        move_average(self.average, self.network, step)
        return {"loss": loss.item()}

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

    def result(self) -> nn.Module:
        """The network as it is now, to be used."""
        return self.average


@dataclass(frozen=True)
class ClassScore:
    """How a class was recognized in pictures that were not trained on: pixels, and the pixels named so."""

    concept: Concept
    pixels: int
    named: int
    right: int

    @property
    def iou(self) -> float | None:
        """Intersection over union of all pixels; None where the class neither is nor was named anywhere."""
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
    """Fits a small U-Net on the masks of a source in the folder `out`, going on from its last checkpoint.

    The network is that of the zoo's segmenter, half as wide; it learns from views of the pictures
    (`unitscope.lab.zoo.augmentation`). The same source, seed and torch on the same kind of processor
    give the same weights, stopped in between or not.

    Raises `SourceError` where the masks do not suffice, `RunError` where `out` holds another training.
    """
    if steps < 1:
        raise UsageError(f"{steps} steps teach nothing; wanted 1 or more")
    if seed < 0:
        raise UsageError(f"the seed is {seed}; it must be 0 or more")
    pictures = read_masked(source)
    recipe = Recipe("segmenter", "parser", (), len(pictures), steps, 16, 2e-3)
    digest = source_digest(source)
    done = teach(
        recipe,
        lambda: ParserTrainer(recipe, pictures, seed),
        out,
        seed=seed,
        every=every,
        keep=keep,
        data=digest,
    )
    network = done.network
    assert isinstance(network, SceneSegmenter)
    for weight in network.parameters():  # as a file keeps them, so that what is measured is what is saved
        weight.data = weight.data.half().float()
    named = {one for ids in pictures.classes for one in ids if one}
    words = Vocabulary(tuple(concept for concept in source.vocabulary if concept.id in named))
    record = {
        "source": {"spec": source_spec(source), "digest": digest},
        "pictures": len(pictures),
        "seed": seed,
        "steps": steps,
    }
    return Parser(network, words, pictures.classes, record), done


def grade_parser(parser: Parser, source: ConceptSource) -> list[ClassScore]:
    """How well each class is recognized in the pictures of a source, over all their pixels of known truth.

    Every picture is looked at in its own size, as `NetworkSegmenter` does. Classes that the parser was
    never shown are among the scores, with no pixel named so.

    Raises `SourceError` where no picture has a mask.
    """
    segmenter = parser.segmenter()
    size = max(source.vocabulary.size, parser.vocabulary.size)
    counts: Int64[np.ndarray, "kind concept"] = np.zeros((3, size), np.int64)
    seen = 0
    for index in tqdm(range(len(source)), "measuring", unit="picture", disable=None):
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
    """The parser with what it scored on pictures that were held out in its record."""
    found = {
        "source": {"spec": source_spec(source), "digest": source_digest(source)},
        "pictures": len(source),
        "iou": [[score.concept.id, score.iou] for score in scores],
    }
    return replace(parser, record={**parser.record, "test": found})


def spell_scores(parser: Parser, scores: Sequence[ClassScore], held_out: int) -> str:
    """The IoU of every class on the pictures that were held out, as lines of text."""
    learned = parser.record["pictures"]
    width = max(len(score.concept.label) for score in scores)
    known = [score.iou for score in scores if score.iou is not None]
    total = sum(score.pixels for score in scores)
    rows = [f"{len(scores)} classes from {learned} pictures, measured on {held_out} others"]
    rows += [f"{'class':<{width}}  pixels    IoU"]
    for score in scores:
        share, iou = score.pixels / max(1, total), "    -" if score.iou is None else f"{score.iou:.3f}"
        unseen = "" if score.concept.id in parser.vocabulary else "  not among those to train on"
        rows.append(f"{score.concept.label:<{width}}  {share:>6.1%}  {iou}{unseen}")
    rows.append(f"{'mean':<{width}}          {sum(known) / max(1, len(known)):.3f}")
    return "\n".join(rows)


def save_parser(parser: Parser, path: Path) -> str:
    """Writes a parser as safetensors, all but the weights as JSON in the metadata; the SHA-256 comes back."""
    said = {
        "concepts": [[concept.id, concept.name, concept.category] for concept in parser.vocabulary],
        "classes": [list(ids) for ids in parser.classes],
        "channels": list(parser.module.channels),
        "record": dict(parser.record),
    }
    # One entry: several would be written in any order, and the same parser would be another file.
    return save_weights(parser.module, path, {_MARK: json.dumps(said)})


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
            said = json.loads((file.metadata() or {})[_MARK])
        state = {
            name: value.float() if value.is_floating_point() else value
            for name, value in load_file(path).items()
        }
        words = Vocabulary(tuple(Concept(int(i), str(n), str(c)) for i, n, c in said["concepts"]))
        classes = tuple(tuple(int(one) for one in ids) for ids in said["classes"])
        a, b, c, d, e = (int(one) for one in said["channels"])
        with random_weights(0):
            module = SceneSegmenter(tuple(map(len, classes)), (a, b, c, d, e))
        record = dict(said["record"])
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
