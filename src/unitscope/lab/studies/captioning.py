"""What a captioner writes about a picture, beside the object units that fire on it (paper A, section 4.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32

from unitscope.concepts.packed import PackedSource
from unitscope.dissection.result import LayerDissection
from unitscope.lab.world.names import OBJECT_PARTS
from unitscope.lab.zoo.captions import spell_sentence
from unitscope.lab.zoo.trained_models import Student
from unitscope.networks.network import Network
from unitscope.tables import Table


@dataclass(frozen=True)
class Captioned:
    """One picture: its key, the caption, the objects it names, and the objects whose units fired.

    `fired` are the concepts of the object detectors that pass their thresholds in the picture, the one that
    passes it by most first. `truth` are the objects that the picture shows.
    """

    key: str
    caption: str
    named: tuple[str, ...]
    fired: tuple[str, ...]
    truth: tuple[str, ...]


def caption_pictures(
    network: Network, layer: LayerDissection, pictures: PackedSource, count: int
) -> list[Captioned]:
    """The captions of the first pictures, and the object units that fire on each."""
    student = network.module
    assert isinstance(student, Student)
    words = layer.vocabulary
    labels = [words[int(one)] if one else None for one in layer.labels.best]
    objects = layer.labels.detector & np.array(
        [label is not None and label.category == "object" for label in labels]
    )
    captioned = []
    for start in range(0, min(count, len(pictures)), 64):
        images = np.ascontiguousarray(pictures.images[start : min(start + 64, count)])
        with torch.no_grad():
            maps = student.features(network.preprocessing.tensor(images))
            captions = [spell_sentence(row) for row in student.head(maps).tolist()]
        peaks = maps.amax((2, 3)).numpy()
        for place, caption in enumerate(captions):
            example = pictures[start + place]
            shown = {int(one) for one in np.unique(example.planes[0]) if one}
            fired = rank_fired(peaks[place], layer.thresholds, objects)
            detected = [concept.name for unit in fired if (concept := labels[unit])]
            spoken = caption.rstrip(".").replace(",", "").split()
            captioned.append(
                Captioned(
                    example.key,
                    caption,
                    tuple(name for name in OBJECT_PARTS if name in spoken),
                    tuple(dict.fromkeys(detected)),
                    tuple(words[one].name for one in sorted(shown)),
                )
            )
    return captioned


def rank_fired(
    peaks: Float32[np.ndarray, "unit"],
    thresholds: Float32[np.ndarray, "unit"],
    chosen: Bool[np.ndarray, "unit"],
) -> list[int]:
    """The chosen units whose peak passes their threshold, by how many times it does."""
    over = np.where(chosen & (peaks > thresholds), peaks / np.maximum(np.abs(thresholds), 1e-6), 0.0)
    return [int(unit) for unit in np.argsort(-over, kind="stable") if over[unit] > 0]


@dataclass(frozen=True)
class CaptionAgreement:
    """How far captions and units speak of the same: shares of the object words of all captions.

    `true` are words for objects that are there, `fired` those that a unit detects which fires on the picture,
    `chance` the same with the units of another picture.
    """

    words: int
    true: float
    fired: float
    chance: float


def measure_agreement(captioned: Sequence[Captioned]) -> CaptionAgreement:
    """Over all captions; the control pairs every caption with the picture after it."""
    pairs = [
        (word, one, other)
        for one, other in zip(captioned, [*captioned[1:], captioned[0]], strict=True)
        for word in one.named
    ]
    count = max(1, len(pairs))
    return CaptionAgreement(
        len(pairs),
        sum(word in one.truth for word, one, _ in pairs) / count,
        sum(word in one.fired for word, one, _ in pairs) / count,
        sum(word in other.fired for word, _, other in pairs) / count,
    )


def spell_captions(captioned: Sequence[Captioned], agreement: CaptionAgreement, shown: int = 8) -> str:
    """Some captions beside the units that fired, as a Markdown table, and how far they agree over all."""
    rows = tuple((one.key, one.caption, ", ".join(one.fired[:6])) for one in captioned[:shown])
    table = Table(("picture", "caption", "object units that fired"), rows, range(3)).markdown()
    return (
        f"{table}\n\nOf {agreement.words} object words in {len(captioned)} captions {agreement.true:.0%} "
        f"name what the picture shows; for {agreement.fired:.0%} a unit fired that detects it, for "
        f"{agreement.chance:.0%} one on another picture."
    )


def captions_table(captioned: Sequence[Captioned]) -> Table:
    """A row a picture."""
    rows = tuple(
        (one.key, one.caption, *(" ".join(names) for names in (one.named, one.fired, one.truth)))
        for one in captioned
    )
    return Table(("picture", "caption", "named", "fired", "truth"), rows, range(5))
