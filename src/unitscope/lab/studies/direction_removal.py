"""What a class, or pictures of a concept, lose with its best direction, and what else changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch.nn.functional import one_hot

from unitscope.concepts.derived import limit
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.activations import read_activations
from unitscope.errors import UsageError
from unitscope.interventions.ablation import Trial, read_images, run_without
from unitscope.interventions.classes import match_classes
from unitscope.interventions.linear_head import read_numbers
from unitscope.interventions.replay import replay
from unitscope.lab.studies.direction_bases import Size, Subject, name_address
from unitscope.lab.studies.held_out import BestUnit
from unitscope.networks.directions.open_directions import open_directions
from unitscope.networks.network import Network
from unitscope.progress import follow

BEST, RANDOM = "best", "random"
LEAST = 10
"""A concept is tried where so many images have it, and so many do not."""
_SIZED = 200
_NEAR = 10
_BLOCK = 512


@dataclass(frozen=True)
class RemovalResult:
    """One direction removed, the `best` of a concept or a `random` one that moves the layer as far.

    - `moved`: how far its removal moves a cell, as a share of the length of a cell, on average;
    - `there` and `elsewhere`: the mean change of what the network answers, in images with the concept and in
      others: half of the sum over classes of changes of probability, from 0 to 1;
    - where the concept is a class of the network, `lost` is what the class's margin over the next class loses
      in its images, in logits, `recall` the share of them that are no longer named right (less those that now
      are), `others` the same share in images of other classes; else NaN.
    """

    subject: str
    seed: int
    kind: str
    size: Size
    concept: str
    concept_id: int
    chosen: str
    spec: str
    unit: int
    moved: float
    there: float
    elsewhere: float
    lost: float
    recall: float
    others: float


@dataclass(frozen=True, eq=False)
class Scene:
    """Images that directions are removed on: `present` says which have which concept, `targets` their class.

    `classes` are the network's classes of some concepts, by their ids; -1 is the target of an image of none.
    """

    trial: Trial
    present: Bool[np.ndarray, "image concept"]
    classes: dict[int, int]


def open_scene(network: Network, source: ConceptSource) -> Scene:
    """The images of a source, with what is in them."""
    classes = match_classes(network, source.vocabulary)
    present = np.zeros((len(source), source.vocabulary.size), bool)
    targets = np.full(len(source), -1, np.int64)
    for image in range(len(source)):
        example = source[image]
        present[image, np.unique(example.planes)] = True
        present[image, list(example.ids)] = True
        named = {classes[one] for one in example.ids if one in classes}
        if len(named) == 1:
            targets[image] = named.pop()
    present[:, 0] = False
    return Scene(Trial(source, np.arange(len(source)), targets), present, classes)


def choose_concepts(scene: Scene, count: int) -> list[int]:
    """The ids of the network's classes, and of the `count` other concepts that most images have.

    No concept that more than half of the images have, or fewer than `LEAST`.
    """
    images = scene.present.sum(0)
    tried = np.flatnonzero((images >= LEAST) & (images <= len(scene.present) / 2))
    classes = [one for one in tried.tolist() if one in scene.classes]
    others = [one for one in tried[np.argsort(-images[tried], kind="stable")].tolist() if one not in classes]
    return classes + others[:count]


def remove_all(
    subject: Subject, seed: int, best: Sequence[BestUnit], naming: ConceptSource, scene: Scene, concepts: int
) -> list[RemovalResult]:
    """The best direction of every concept removed on the images of a scene, and a random one beside it.

    `best` are the best units of some bases, each of one spec. Raises what `read_activations` and `replay`
    raise.
    """
    tried = choose_concepts(scene, concepts)
    rows: list[RemovalResult] = []
    for spec in dict.fromkeys(one.spec for one in best):
        some = {one.concept_id: one for one in best if one.spec == spec}
        chosen = [some[one] for one in tried if one in some]
        if not chosen:
            continue
        sizes = measure_sizes(subject, spec, limit(naming, _SIZED))
        taken = {one.unit for one in some.values()}
        rng = np.random.default_rng([seed, 4])
        units = [(one, BEST, one.unit) for one in chosen]
        units += [(one, RANDOM, draw_alike(sizes, one.unit, taken, rng)) for one in chosen]
        address, taken_away = name_address(subject.layer, spec), [unit for *_, unit in units]
        effects = measure_removals(subject.network, address, scene.trial, taken_away)
        for (one, which, unit), effect in zip(units, effects, strict=True):
            numbers = effect.split(scene, one.concept_id)
            about = (one.subject, seed, one.kind, one.size, one.concept, one.concept_id)
            rows.append(RemovalResult(*about, which, spec, unit, float(sizes[unit]), *numbers))
    return rows


def measure_sizes(subject: Subject, spec: str, images: ConceptSource) -> Float64[np.ndarray, "unit"]:
    """How far the removal of each unit moves a cell on average, as a share of a cell's mean length.

    The mean of |z| over the cells, times the length of what the decoder makes of z = 1.
    """
    layer = subject.layer
    address = name_address(layer, spec)
    found = read_activations(subject.network, images, list(dict.fromkeys((layer, address))))
    units = found.shapes[layer][1]
    reach = measure_reach(spec, units) if spec else np.ones(units)
    total, length = np.zeros(len(reach)), 0.0
    for part in found:
        total += np.abs(part[address]).sum((0, 2, 3), dtype=np.float64)
        length += float(np.linalg.norm(part[layer].astype(np.float64), axis=1).sum())
    return np.asarray(total * reach / (length or 1.0))


def measure_reach(spec: str, units: int) -> Float64[np.ndarray, "latent"]:
    """How far a cell moves for each latent of 1: the length of decode(e) - decode(0).

    >>> measure_reach("rotation:0", 3).round(3).tolist()
    [1.0, 1.0, 1.0]
    """
    made = open_directions(spec, units)
    rest = made.decode(torch.zeros(1, made.latents), torch.ones(1, units))
    found = []
    for some in torch.split(torch.arange(made.latents), _BLOCK):
        moved = made.decode(one_hot(some, made.latents).float(), torch.ones(len(some), units)) - rest
        found.append(moved.double().norm(dim=1).numpy())
    return np.concatenate(found)


def draw_alike(
    sizes: Float64[np.ndarray, "unit"], unit: int, taken: set[int], rng: np.random.Generator
) -> int:
    """A unit by lot from the ten whose removal moves the layer most nearly as far as that of `unit`.

    Those `taken` are left out, unless no others are there.

    >>> draw_alike(np.array([1.0, 5.0, 1.1]), 0, {0, 1}, np.random.default_rng(0))
    2
    """
    order = np.argsort(np.abs(sizes - sizes[unit]), kind="stable").tolist()
    free = [one for one in order if one not in taken] or [one for one in order if one != unit] or [unit]
    return int(rng.choice(free[:_NEAR]))


@dataclass(frozen=True, eq=False)
class Effect:
    """What one removal changes, image by image.

    `changed` is half of the sum of changes of probability; `margin` the change of the margin of the image's
    class over the next, NaN for an image of none; `right` the change of being named right, -1, 0 or 1.
    """

    changed: Float64[np.ndarray, "image"]
    margin: Float64[np.ndarray, "image"]
    right: Int64[np.ndarray, "image"]

    def split(self, scene: Scene, concept: int) -> tuple[float, float, float, float, float]:
        """`there`, `elsewhere`, `lost`, `recall` and `others` of a `RemovalResult`."""
        has, targets = scene.present[:, concept], scene.trial.targets
        there, elsewhere = float(self.changed[has].mean()), float(self.changed[~has].mean())
        own = targets == scene.classes.get(concept, -2)
        rest = (targets >= 0) & ~own
        if not own.any():
            return there, elsewhere, float("nan"), float("nan"), float("nan")
        others = -float(self.right[rest].mean()) if rest.any() else float("nan")
        return there, elsewhere, -float(self.margin[own].mean()), -float(self.right[own].mean()), others


def measure_removals(network: Network, address: str, trial: Trial, removed: Sequence[int]) -> list[Effect]:
    """What the removal of each of some units, alone, changes in what the network says of every image.

    Raises what `replay` raises, and `UsageError` for a network of fewer than two classes.
    """
    units, count = np.array(removed, np.int64), len(removed)
    changed, margin = np.zeros((count, len(trial))), np.full((count, len(trial)), np.nan)
    right = np.zeros((count, len(trial)), np.int64)
    with replay(network, address) as rest, follow(len(trial), f"removing units of {address}") as work:
        for place, (targets, image) in enumerate(read_images(network, trial, 1)):
            maps, output = rest.start(image)
            whole, target = read_numbers(output), int(targets[0])
            if whole.shape[1] < 2:
                raise UsageError(f"{network.name} has one class; what a class loses needs two or more")
            without = whole.repeat(count, 0)
            # Taking away a unit that is 0 all over the image changes nothing.
            live = (torch.cat([maps.flatten(2), rest.others.flatten(2)], 2) != 0).any(2)[0].cpu().numpy()
            if some := np.flatnonzero(live[units]).tolist():
                masks = np.arange(maps.shape[1]) == units[some, None]
                without[some] = read_numbers(run_without(rest, maps, masks))
            changed[:, place] = np.abs(soften(without) - soften(whole)).sum(1) / 2
            if target >= 0:
                margin[:, place] = measure_margin(without, target) - measure_margin(whole, target)
                right[:, place] = (without.argmax(1) == target) * 1 - int(whole.argmax() == target)
            work.update()
    return [Effect(changed[one], margin[one], right[one]) for one in range(count)]


def soften(logits: Float64[np.ndarray, "version class"]) -> Float64[np.ndarray, "version class"]:
    """Probabilities by softmax.

    >>> soften(np.zeros((1, 2))).tolist()
    [[0.5, 0.5]]
    """
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def measure_margin(
    logits: Float64[np.ndarray, "version class"], target: int
) -> Float64[np.ndarray, "version"]:
    """How far the logit of a class is above the highest other one.

    >>> measure_margin(np.array([[3.0, 1.0, 2.0]]), 0).tolist()
    [1.0]
    """
    return np.asarray(logits[:, target] - np.delete(logits, target, 1).max(1))
