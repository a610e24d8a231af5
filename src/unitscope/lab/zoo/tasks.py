"""What a network can be trained to do with labels: scenes, objects, both, captions.

The tasks of `self_supervised` need no labels.
"""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from unitscope.lab.world.names import OBJECT_PARTS, SCENES
from unitscope.lab.zoo.captions import Captioner, write_sentences
from unitscope.lab.zoo.training_steps import Batch

OBJECTS = tuple(OBJECT_PARTS)
PRESENT = 0.005
"""An object counts as present from this share of the pixels on."""

Rng = np.random.Generator
Figures = dict[str, float]


@runtime_checkable
class Reader(Protocol):
    """A network as its task sees it: maps of the last stage, and the head that reads them."""

    head: nn.Module

    def features(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n unit cell_y cell_x"]:
        """The maps of the last stage."""


class Task:
    """What a network is trained to do; by default a linear layer over the mean of the maps answers.

    A `split` task reads two half networks, one a half of the channels of the colors. A batch has the share
    `pictures` of the pictures that a recipe says, for tasks that show more of each.
    """

    split = False
    pictures = 1.0
    answers = 0

    def preprocess(self) -> nn.Module:
        """What a picture goes through before the first stage; by default nothing."""
        return nn.Identity()

    def head(self, units: int, dropout: float) -> nn.Module:
        """What reads the maps of the last stage; by default their means, dropout, and a linear layer."""
        return pooled(units, self.answers, dropout)

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """The loss of a batch, and figures for the curve."""
        raise NotImplementedError


def pooled(units: int, answers: int, dropout: float = 0.0) -> nn.Sequential:
    """A linear layer over the mean of every unit's map."""
    mean = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*mean, *([nn.Dropout(dropout)] if dropout else []), nn.Linear(units, answers))


def classify(
    logits: Float[Tensor, "n answer *place"], wanted: Int64[Tensor, "n *place"], smoothing: float = 0.0
) -> tuple[Tensor, Figures]:
    """Cross-entropy of classes, and the share that is right."""
    loss = functional.cross_entropy(logits.float(), wanted, label_smoothing=smoothing)
    return loss, {"loss": loss.item(), "accuracy": (logits.argmax(1) == wanted).float().mean().item()}


def find_objects(labels: UInt8[Tensor, "n planes y x"]) -> Bool[Tensor, "n object"]:
    """Which of `OBJECTS` every picture shows, by the plane of objects."""
    return measure_objects(labels) >= PRESENT


def measure_objects(labels: UInt8[Tensor, "n planes y x"]) -> Float[Tensor, "n object"]:
    """The share of the pixels of every picture that every object has."""
    flat = labels[:, 0].flatten(1).long()
    areas = torch.zeros(len(flat), len(OBJECTS) + 1)
    areas.scatter_add_(1, flat, torch.ones((), dtype=torch.float32).expand_as(flat))
    return areas[:, 1:] / flat.shape[1]


class Scenes(Task):
    """The kind of scene."""

    answers = len(SCENES)

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """Cross-entropy over the kinds of scene."""
        return classify(student.head(student.features(batch.images)), batch.kinds, 0.05)


class Objects(Task):
    """Which objects are there."""

    answers = len(OBJECTS)

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """Binary cross-entropy over the objects."""
        logits = student.head(student.features(batch.images)).float()
        return detect(logits, find_objects(batch.labels))


def detect(logits: Float[Tensor, "n object"], there: Bool[Tensor, "n object"]) -> tuple[Tensor, Figures]:
    """Binary cross-entropy, summed to the size of a cross-entropy, and the share found of what is there."""
    loss = 10 * functional.binary_cross_entropy_with_logits(logits, there.float())
    found = (logits > 0)[there].float().mean().item()
    return loss, {"loss": loss.item(), "recall": found}


class Both(Task):
    """The kind of scene and the objects that are there."""

    answers = len(SCENES) + len(OBJECTS)

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """The sum of both losses."""
        logits = student.head(student.features(batch.images)).float()
        scene, figures = classify(logits[:, : len(SCENES)], batch.kinds, 0.05)
        objects, found = detect(logits[:, len(SCENES) :], find_objects(batch.labels))
        return scene + objects, {**figures, "recall": found["recall"]}


class Captions(Task):
    """A sentence about the picture, word by word."""

    def head(self, units: int, dropout: float) -> nn.Module:
        """A recurrent network that starts from the mean of the maps."""
        return Captioner(units, dropout)

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """Cross-entropy of every next word."""
        words = write_sentences(rng, [SCENES[kind] for kind in batch.kinds], measure_objects(batch.labels))
        assert isinstance(student.head, Captioner)
        logits = student.head.follow(student.features(batch.images), words)
        loss = functional.cross_entropy(logits.float().transpose(1, 2), words, ignore_index=-1)
        asked = words >= 0
        right = (logits.argmax(2) == words)[asked].float().mean().item()
        return loss, {"loss": loss.item(), "accuracy": right}
