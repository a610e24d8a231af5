"""Two pictures unit by unit; and a picture changed a little until the network takes it for another class."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from unitscope.errors import UsageError
from unitscope.interventions.attacks import Attack, CarliniWagner, ProjectedGradient, attack_images
from unitscope.interventions.looking.lens import Lens
from unitscope.interventions.looking.sights import Sight
from unitscope.interventions.looking.slides import Slide, classify_slide
from unitscope.progress import silence

AttackName = Literal["pgd-linf", "pgd-l2", "cw"]
ATTACKS: dict[AttackName, Attack] = {
    "pgd-linf": ProjectedGradient("linf"),
    "pgd-l2": ProjectedGradient("l2"),
    "cw": CarliniWagner(),
}
"""The attacks that are offered."""


@dataclass(frozen=True, eq=False)
class SightComparison:
    """Two pictures through one layer; made by `compare_sights`. Of every pair the second is the later one.

    `peaks` are the largest activations, `areas` the shares above the threshold; `relative` is the change of
    the peak as a share of the unit's highest activation in the run, or of the larger peak where that is not
    known.
    """

    layer: str
    peaks: Float64[np.ndarray, "unit two"]
    areas: Float64[np.ndarray, "unit two"]
    relative: Float64[np.ndarray, "unit"]

    @property
    def change(self) -> Float64[np.ndarray, "unit"]:
        """By how much the peak is higher in the second picture."""
        return np.asarray(self.peaks[:, 1] - self.peaks[:, 0])

    @property
    def fires(self) -> Bool[np.ndarray, "unit two"]:
        """Which units are above their threshold somewhere."""
        return np.asarray(self.areas > 0)

    @property
    def order(self) -> Int64[np.ndarray, "unit"]:
        """The units, the largest relative change first, whatever its sign; ties by number."""
        return np.argsort(-np.abs(self.relative), kind="stable")


def compare_sights(lens: Lens, first: Sight, second: Sight) -> SightComparison:
    """How far the units of a layer differ between two pictures.

    Raises `UsageError` where the layers are not the same.
    """
    if first.layer != second.layer:
        raise UsageError(f"one picture is seen through {first.layer}, the other through {second.layer}")
    peaks = np.stack([first.peaks, second.peaks], 1)
    areas = np.stack([first.areas, second.areas], 1)
    high = np.abs(lens.high[first.layer])
    size = np.where(high > 0, high, np.abs(peaks).max(1))
    change = peaks[:, 1] - peaks[:, 0]
    relative = np.divide(change, size, out=np.zeros_like(change), where=size > 0)
    return SightComparison(first.layer, peaks, areas, relative)


@dataclass(frozen=True, eq=False)
class AttackedSlide:
    """A picture after an attack, as a slide of its own; made by `attack_slide`.

    `source` is the class before, `target` the one wanted; `success` says whether the slide is named so. `l2`
    and `linf` are the length and the largest part of the change, in pixels of [0, 1].
    """

    slide: Slide
    source: int
    target: int
    success: bool
    l2: float
    linf: float


def attack_slide(
    lens: Lens,
    slide: Slide,
    target: int,
    method: AttackName = "pgd-linf",
    *,
    tell: Callable[[int, int], object] | None = None,
) -> AttackedSlide:
    """Changes a picture a little until the network takes it for another class (`attack_images`).

    `tell` is called with the passes done and those that there are at most; what it raises ends the attack.
    Raises `UsageError` for a class or method that there is not, or the class that the picture has already,
    and what `attack_images` raises.
    """
    if method not in ATTACKS:
        raise UsageError(f"there is no attack {method!r}; wanted {', '.join(ATTACKS)}")
    if not 0 <= target < lens.classes:
        raise UsageError(f"there is no class {target}; the network has 0 to {lens.classes - 1}")
    if target == slide.predicted:
        raise UsageError(f"the picture passes for {lens.name_class(target)} already; take another class")
    attack = ATTACKS[method]
    pixels = np.ascontiguousarray(np.moveaxis(slide.fitted, 2, 0))
    scaled = pixels.astype(np.float32) / np.float32(255) if pixels.dtype == np.uint8 else pixels
    if scaled.dtype != np.float32:
        raise UsageError("only pictures of bytes or of colors from 0 to 1 can be attacked")
    with _telling(lens, count_passes(attack), tell), silence():
        [found] = attack_images(
            lens.network, [torch.from_numpy(scaled)], [target], attack, numbers=[slide.number]
        )
    fitted = np.ascontiguousarray(np.moveaxis(found.image.numpy(), 0, 2))
    after = classify_slide(lens, fitted, slide.name, slide.number, slide.truth)
    return AttackedSlide(after, slide.predicted, target, after.predicted == target, found.l2, found.linf)


def count_passes(attack: Attack) -> int:
    """How often at most an attack runs the network.

    >>> count_passes(ProjectedGradient("linf", steps=20)), count_passes(CarliniWagner())
    (22, 49)
    """
    rounds = attack.binary_search_steps if isinstance(attack, CarliniWagner) else 1
    return 1 + rounds * attack.steps + (0 if isinstance(attack, CarliniWagner) else 1)


@contextmanager
def _telling(lens: Lens, most: int, tell: Callable[[int, int], object] | None) -> Iterator[None]:
    done = 0

    def note(_given: tuple[Any, ...]) -> None:
        nonlocal done
        done = min(done + 1, most)
        if tell is not None:
            tell(done, most)

    with lens.network.watch(note):
        yield


def copy_lens(lens: Lens) -> Lens:
    """The lens over a copy of the network, for work beside the first: an attack takes seconds."""
    return replace(lens, network=replace(lens.network, module=deepcopy(lens.network.module)))
