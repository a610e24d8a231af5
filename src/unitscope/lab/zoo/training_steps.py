"""What a network of the zoo learns from a batch: one trainer for every kind of network.

A trainer holds its modules and optimizers and trains one step at a time. It draws all random numbers of a
step from the seed and the step alone, so that a training that was stopped goes on as if it never had been.
"""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from unitscope.lab.zoo.networks import (
    CLASSES,
    SceneClassifier,
    SceneSegmenter,
)
from unitscope.lab.zoo.pictures import Pictures
from unitscope.lab.zoo.recipes import Recipe
from unitscope.lab.zoo.transformer import SceneTransformer

AVERAGE = 0.999


@runtime_checkable
class Trainer(Protocol):
    """A network in training."""

    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]

    def learn(self, step: int, rate: float) -> dict[str, float]:
        """One step at a learning rate; the losses come back."""

    def result(self) -> nn.Module:
        """The network as it is now, to be used."""


@dataclass(frozen=True)
class Batch:
    """A batch as tensors: images in [-1, 1], kinds of scene, labels of every pixel."""

    images: Float32[Tensor, "n 3 y x"]
    kinds: Int64[Tensor, "n"]
    labels: UInt8[Tensor, "n planes y x"]


def draw_batch(pictures: Pictures, count: int, seed: int, step: int) -> Batch:
    """`count` pictures chosen at random, every other one mirrored, for one step of a seed."""
    rng = np.random.default_rng((seed, step))
    chosen = np.sort(rng.choice(len(pictures), count, replace=False))
    mirrored = torch.from_numpy(rng.random(count) < 0.5)
    images = torch.from_numpy(pictures.images[chosen]).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    labels = torch.from_numpy(pictures.labels[chosen])
    images[mirrored] = images[mirrored].flip(3)
    labels[mirrored] = labels[mirrored].flip(3)
    return Batch(images, torch.from_numpy(pictures.kinds[chosen]), labels)


def move_pictures(
    images: Float32[Tensor, "n 3 y x"], seed: int, step: int, most: int = 8
) -> Float32[Tensor, "n 3 y x"]:
    """Every picture moved by up to `most` pixels each way; what comes in is mirrored at the edge."""
    moves = np.random.default_rng((seed, step, 1)).integers(0, 2 * most + 1, (len(images), 2)).tolist()
    height, width = images.shape[2:]
    wider = functional.pad(images, (most,) * 4, mode="reflect")
    return torch.stack(
        [one[:, y : y + height, x : x + width] for one, (y, x) in zip(wider, moves, strict=True)]
    )


def take_step(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    """One step of an optimizer down the slope of a loss, at a learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()


HALF = True
"""False where bfloat16 would only be imitated, and float32 is quicker; weights come out otherwise then."""


def half_precision() -> torch.autocast:
    """Convolutions in bfloat16 if `HALF`: half the time where the processor has it; weights stay float32."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=HALF)


class NetworkTrainer:
    """One network in training with AdamW; a kind of trainer says what its loss is.

    If `averaged`, what comes out is the exponential moving average of its weights.
    """

    def __init__(self, network: nn.Module, rate: float, decay: float, *, averaged: bool = False) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval() if averaged else None
        self.modules = {"network": self.network} | ({"average": self.average} if self.average else {})
        adam: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW
        self.optimizers = {"network": adam(self.network.parameters(), rate, weight_decay=decay)}

    def find_loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a step, and the figures for the curve."""
        raise NotImplementedError

    def learn(self, step: int, rate: float) -> dict[str, float]:
        """One step at a learning rate; the figures come back."""
        self.network.train()
        loss, figures = self.find_loss(step)
        take_step(self.optimizers["network"], loss, rate)
        if self.average is not None:
            move_average(self.average, self.network, step)
        return figures

    def result(self) -> nn.Module:
        """The network as it is now, to be used."""
        return self.network.eval() if self.average is None else self.average


class ClassifierTrainer(NetworkTrainer):
    """Cross-entropy of the scene."""

    def __init__(self, recipe: Recipe, pictures: Pictures, seed: int) -> None:
        super().__init__(SceneClassifier(len(recipe.scenes)), recipe.rate, 1e-2)
        self.pictures, self.batch, self.seed = pictures, recipe.batch, seed
        self.precision: Callable[[], AbstractContextManager[object]] = half_precision

    def draw(self, step: int) -> Batch:
        """The pictures of a step."""
        return draw_batch(self.pictures, self.batch, self.seed, step)

    def find_loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        batch = self.draw(step)
        with self.precision():
            logits = self.network(batch.images)
        loss = functional.cross_entropy(logits.float(), batch.kinds, label_smoothing=0.05)
        right = (logits.argmax(1) == batch.kinds).float().mean()
        return loss, {"loss": loss.item(), "accuracy": right.item()}


class TransformerTrainer(ClassifierTrainer):
    """The same for the transformer, in single precision, averaged, over pictures that are moved about.

    Without moves it learns by heart what stands in which patch.
    """

    def __init__(self, recipe: Recipe, pictures: Pictures, seed: int) -> None:
        network = SceneTransformer(len(recipe.scenes))
        NetworkTrainer.__init__(self, network, recipe.rate, 0.05, averaged=True)
        self.pictures, self.batch, self.seed = pictures, recipe.batch, seed
        self.precision = nullcontext

    def draw(self, step: int) -> Batch:
        batch = super().draw(step)
        return replace(batch, images=move_pictures(batch.images, self.seed, step))


class SegmenterTrainer(NetworkTrainer):
    """Every pixel's object, part and material: cross-entropy, and the overlap of every class.

    In the cross-entropy rare classes weigh a little more; in the overlap every class of a batch counts the
    same, however few its pixels are.
    """

    def __init__(self, recipe: Recipe, pictures: Pictures, seed: int) -> None:
        super().__init__(SceneSegmenter(CLASSES), recipe.rate, 1e-4, averaged=True)
        self.pictures, self.batch, self.seed = pictures, recipe.batch, seed
        self.weights = [
            weigh_classes(pictures.labels[:3000, plane], classes) for plane, classes in enumerate(CLASSES)
        ]

    def find_loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        batch = draw_batch(self.pictures, self.batch, self.seed, step)
        with half_precision():
            logits = self.network(batch.images)
        pixels = logits.permute(0, 2, 3, 1).reshape(-1, sum(CLASSES))
        losses = []
        for plane, group in enumerate(pixels.split(CLASSES, 1)):
            wanted, named = batch.labels[:, plane].reshape(-1).long(), group.float()
            entropy = functional.cross_entropy(named, wanted, weight=self.weights[plane])
            losses.append(entropy + miss_overlap(named, wanted))
        loss = losses[0] + 0.5 * losses[1] + 0.25 * losses[2]
        names = ("object", "part", "material")
        return loss, {name: loss.item() for name, loss in zip(names, losses, strict=True)}


def miss_overlap(logits: Float32[Tensor, "pixel classes"], wanted: Int64[Tensor, "pixel"]) -> Tensor:
    """What the soft overlap 2 |A and B| / (|A| + |B|) lacks to 1, the mean over the classes that occur."""
    named = logits.softmax(1)
    right = named.gather(1, wanted[:, None])[:, 0]
    there = torch.bincount(wanted, minlength=named.shape[1])
    shared = torch.zeros(named.shape[1]).index_add(0, wanted, right)
    overlap = (2 * shared + 1) / (named.sum(0) + there + 1)
    return 1 - overlap[there > 0].mean()


def move_average(average: nn.Module, network: nn.Module, step: int) -> None:
    """Moves the average towards the network; a young average forgets faster."""
    keep = min(AVERAGE, (step + 1) / (step + 50))
    with torch.no_grad():
        for mean, now in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(now, 1 - keep)
        for kept, newest in zip(average.buffers(), network.buffers(), strict=True):
            kept.copy_(newest)


def weigh_classes(labels: np.ndarray, classes: int) -> Float32[Tensor, "classes"]:
    """Weights that grow as a class gets rarer, one on average over the classes."""
    counts = torch.from_numpy(np.bincount(labels.reshape(-1), minlength=classes)).float()
    weights = (counts.sum() / (counts + counts.sum() * 1e-4)).pow(0.25)
    return weights / weights.mean()
