"""Units of a classifier removed and inserted: what their classes lose and gain, and what else changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from unitscope.concepts.derived import limit
from unitscope.dissection.conventions import Convention
from unitscope.dissection.dissect import Confidences
from unitscope.errors import UsageError
from unitscope.interventions.ablation import read_images
from unitscope.interventions.edits import Edit
from unitscope.interventions.linear_head import read_numbers
from unitscope.interventions.replay import replay
from unitscope.lab.studies.direction_bases import Basis, Subject
from unitscope.lab.studies.direction_edits import (
    INSERTION,
    REMOVAL,
    EditResult,
    Pick,
    Units,
    insert_alike,
    insert_unit,
    measure_units,
    pick_units,
    remove_unit,
)
from unitscope.lab.studies.direction_removal import (
    BEST,
    RANDOM,
    Scene,
    measure_margin,
    open_scene,
    soften,
)
from unitscope.lab.studies.held_out import Halves, measure_bases
from unitscope.progress import follow

LEAST = 2
"""A class is tried where so many pictures have it."""
_SIZED, _VERSIONS = 200, 64


@dataclass(frozen=True, eq=False)
class Answers:
    """What the network says of the images: `whole` as they are, `edited` with every version of the layer."""

    whole: Float64[np.ndarray, "image class"]
    edited: Float64[np.ndarray, "version image class"]


def edit_classifier(
    subject: Subject, seed: int, bases: Sequence[Basis], halves: Halves, rules: Convention, draws: int
) -> list[EditResult]:
    """The best unit of every class, and random ones beside it, removed and inserted on the second half.

    Raises what `dissect` and `replay` raise, and `UsageError` where no class has enough pictures.
    """
    scene = open_scene(subject.network, halves.measuring)
    images = scene.present.sum(0)
    classes = [one for one in sorted(scene.classes) if images[one] >= LEAST]
    _, best = measure_bases(subject, seed, bases, halves, rules, Confidences(0, 1))
    rows = list[EditResult]()
    for basis in bases:
        units = measure_units(subject, basis.specs[0], limit(halves.naming, _SIZED))
        named = {one.concept_id: one for one in best if one.kind == basis.kind}
        found = [named[one] for one in classes if one in named]
        if not found:
            raise UsageError(
                f"no class of {subject.network.name} is in both halves of {2 * len(scene.trial)} pictures, "
                f"in {LEAST} of the second; give more scenes"
            )
        chosen = [(one.concept, one.concept_id, one.unit, one.named) for one in found]
        picks = pick_units(chosen, units, draws, seed)
        about = (subject.name, seed, basis.kind)
        answers = answer_edits(subject, units, picks, scene)
        for place, pick in enumerate(picks):
            rows += _describe(about, pick, units, scene, answers, place * 2 * (1 + draws))
    return rows


def answer_edits(subject: Subject, units: Units, picks: Sequence[Pick], scene: Scene) -> Answers:
    """The logits of every image of a scene, as it is and with every edit of every pick (`list_edits`)."""
    whole, edited, network = list[np.ndarray](), list[np.ndarray](), subject.network
    title = f"removing and inserting units of {units.address}"
    with replay(network, units.address) as rest, follow(len(scene.trial), title) as work:
        for _, image in read_images(network, scene.trial, 1):
            maps, output = rest.start(image)
            whole.append(read_numbers(output)[0])
            edits = [edit for pick in picks for edit in list_edits(units, pick, maps)]
            parts = [edits[start : start + _VERSIONS] for start in range(0, len(edits), _VERSIONS)]
            versions = (torch.cat([one.apply(maps) for one in part]) for part in parts)
            edited.append(np.concatenate([read_numbers(rest.finish(one)) for one in versions]))
            work.update()
    return Answers(np.array(whole, np.float64), np.array(edited, np.float64).swapaxes(0, 1))


def list_edits(units: Units, pick: Pick, maps: Tensor) -> Iterator[Edit]:
    """The removals of a pick, of the best unit and of random ones; then the insertions likewise."""
    place = choose_middle((maps.shape[2], maps.shape[3]))
    yield remove_unit(units, pick.unit)
    for other in pick.alike:
        yield remove_unit(units, other)
    yield insert_unit(units, pick.unit, place)
    for other in pick.others:
        yield insert_alike(units, pick.unit, other, place, maps)


def choose_middle(cells: tuple[int, int]) -> Tensor:
    """1 in the cells of the middle quarter of a map, 0 in others.

    >>> choose_middle((4, 4)).sum(0).tolist(), choose_middle((1, 1)).tolist()
    ([0.0, 2.0, 2.0, 0.0], [[1.0]])
    """
    place = torch.zeros(cells)
    rows, columns = (slice(count // 4, max(count - count // 4, count // 4 + 1)) for count in cells)
    place[rows, columns] = 1
    return place


def _describe(
    about: tuple[str, int, str], pick: Pick, units: Units, scene: Scene, answers: Answers, first: int
) -> Iterator[EditResult]:
    """The rows of a pick, whose edits are the versions from `first` on."""
    target, count = scene.classes[pick.concept_id], 1 + len(pick.alike)
    removed, inserted = ([pick.unit, *some] for some in (pick.alike, pick.others))
    for edit, chosen, sizes in ((REMOVAL, removed, units.sizes), (INSERTION, inserted, units.heights)):
        start = first if edit == REMOVAL else first + count
        versions = range(start, start + count)
        figures = [measure_change(answers, one, scene, target, edit) for one in versions]
        for place, (unit, (effect, others, margin)) in enumerate(zip(chosen, figures, strict=True)):
            # An insertion of another unit is made to move cells as far as that of the best.
            moved = float(sizes[unit if edit == REMOVAL else pick.unit])
            iou = pick.iou if place == 0 else float("nan")
            which = BEST if place == 0 else RANDOM
            yield EditResult(*about, pick.concept, edit, which, unit, iou, moved, effect, others, margin)


def measure_change(
    answers: Answers, version: int, scene: Scene, target: int, edit: str
) -> tuple[float, float, float]:
    """`effect`, `others` and `margin` of an `EditResult`."""
    targets = scene.trial.targets
    own, rest = targets == target, (targets >= 0) & (targets != target)
    before, after = answers.whole, answers.edited[version]
    change = soften(after) - soften(before)
    moved, gained = np.abs(change).sum(1) / 2, change[:, target]
    margin = measure_margin(after, target) - measure_margin(before, target)
    if edit == REMOVAL:
        return -float(gained[own].mean()), float(moved[rest].mean()), -float(margin[own].mean())
    elsewhere = moved - np.maximum(gained, 0)
    return float(gained[rest].mean()), float(elsewhere[rest].mean()), float(margin[rest].mean())
