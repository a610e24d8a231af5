"""What an attack does inside: which units it moves, the important ones of both classes or all alike?

Paper B, fig. 5: images are attacked until they pass for another class; the peaks of the units that matter
most to the class they had, and to the class they get, change more (absolute change) than the rest.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from unitscope.axes import LARGEST, Picture
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Concept, ConceptSource
from unitscope.dissection.matching import find_detectors, find_layer
from unitscope.dissection.result import Dissection
from unitscope.dissection.units import name_unit
from unitscope.errors import SourceError, UsageError, check_seed
from unitscope.executors.jobs import Executor
from unitscope.interventions.ablation import Trial, open_trial, specify_trial
from unitscope.interventions.attacks import (
    Attack,
    Attacked,
    CarliniWagner,
    Pixels,
    attack_images,
    classify_pixels,
)
from unitscope.interventions.classes import find_class
from unitscope.interventions.edits import count_units
from unitscope.interventions.explanation import Token, find_reads
from unitscope.interventions.importance import measure_importance
from unitscope.interventions.linear_head import check_hidden
from unitscope.networks.addresses import count_heads
from unitscope.networks.network import Network, number_images
from unitscope.networks.trace import evaluation, tap
from unitscope.networks.unit_maps import read_units
from unitscope.progress import follow_each
from unitscope.results import Result
from unitscope.statistics.intervals import Interval
from unitscope.tables import Table

Group = Literal["source", "target", "rest", "random"]
GROUPS: tuple[Group, ...] = get_args(Group)
MOST = 4
"""So many units count as most important to a class, as in fig. 5."""
ERRORS = 2.58
"""Standard errors to either side of a mean: 99 %."""
GROUP_NAMES = dict(
    zip(GROUPS, (f"{MOST} of source", f"{MOST} of target", "rest", f"{MOST} random"), strict=True)
)
MOVEMENT_COLUMNS = ("source", "target", "group", "units", "images", "change", "change_low", "change_high",
                    "size", "size_low", "size_high")  # fmt: skip
ATTACK_COLUMNS = ("key", "truth", "source", "target", "success", "l2", "linf")
INTERVALS = "± 99 %: 2.58 standard errors over images; random: 2.58 s.d. over draws"
Peaks = Float64[np.ndarray, "attack unit"]


@dataclass(frozen=True)
class Aim:
    """An image and the class it is to pass for; `truth` is its label, `source` what the network names it.

    `number` is that of the image in its source.
    """

    key: str
    truth: int
    source: int
    target: int
    image: Pixels
    number: int = 0


@dataclass(frozen=True)
class Movement:
    """How far the peaks of some units moved, on average over images that pass for `target` after an attack.

    `source` None stands for all sources, `target` None for all targets, where an image counts once with the
    mean over its targets. `group` says which units: the `MOST` important ones of the class that the image
    had ("source"), of the one that it got ("target"; a unit may be in both), all others ("rest"), or `MOST`
    at random ("random"); `units` is their number, on average over images. `change` is the change of the peak,
    the largest activation in the map, in the layer's own units; `size` is its absolute value.

    Intervals are of 99 %: 2.58 standard errors over images, whose units are averaged first, and none where
    there is one image; for "random" 2.58 standard deviations over draws: where 99 % of random groups lie.
    """

    source: int | None
    target: int | None
    group: Group
    units: float
    images: int
    change: Interval
    size: Interval


@dataclass(frozen=True, eq=False)
class AttackStudy(Result):
    """Attacks on a network, and the peaks of a layer's units before and after each; made by `study_attacks`.

    Peaks are of patches. `reads` says on which tokens of the layer the logits depend, where it has others.
    Units of `heads` of attention are called HEAD.UNIT.

    The main table has a row a movement. The page is a sheet of attacked images and a figure of movements.
    """

    network: Network
    layer: str
    aims: tuple[Aim, ...]
    attacked: tuple[Attacked, ...]
    before: Peaks
    after: Peaks
    order: Int64[np.ndarray, "classes unit"]
    movements: tuple[Movement, ...]
    labels: Mapping[int, Concept] = field(default_factory=dict)
    reads: tuple[Token, ...] = ()
    heads: int = 0

    files = ("movement.csv", "attacks.csv")

    def name_unit(self, unit: int) -> str:
        """What a unit is called: its number, or HEAD.UNIT where units belong to heads of attention."""
        return name_unit(unit, self.order.shape[1], self.heads)

    @property
    def success(self) -> Bool[np.ndarray, "attack"]:
        """Which attacks reached their target."""
        return np.array([one.success for one in self.attacked], bool)

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names of the picture and, where an attack succeeded, the figure of the page."""
        return ("pictures.png", "movement.svg") if self.movements else ("pictures.png",)

    def tables(self) -> dict[str, Table]:
        """How far every group of units moved, and every attack."""
        names: dict[int | None, str] = {None: "all", **dict(enumerate(self.network.classes))}
        movements = (
            (names[r.source], names[r.target], r.group, r.units, r.images, *r.change.ends, *r.size.ends)
            for r in self.movements
        )
        attacks = (
            (one.key, names[aim.truth], names[one.source], names[one.target], one.success, one.l2, one.linf)
            for aim, one in zip(self.aims, self.attacked, strict=True)
        )
        return {
            "movement.csv": Table(MOVEMENT_COLUMNS, tuple(movements), left=(0, 1, 2)),
            "attacks.csv": Table(ATTACK_COLUMNS, tuple(attacks), left=(0, 1, 2, 3)),
        }  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """Both tables, ready for JSON."""
        movements, attacks = self.tables().values()
        return {"movements": movements.records(), "attacks": attacks.records()}

    def text(self) -> str:
        """How many attacks succeeded, and Markdown tables of the changes by target.

        The absolute change is the measure of paper B, fig. 5; the change says which way.
        """
        done = self.success
        line = f"{int(done.sum())} of {len(done)} attacks succeeded"
        if not done.any():
            return line
        kept = [one for one in self.attacked if one.success]
        l2, linf = np.mean([one.l2 for one in kept]), np.mean([one.linf for one in kept])
        titles = (("absolute change of peak", ""), ("change of peak", "+"))
        tables = (self._spell_changes(title, sign) for title, sign in titles)
        line += f"; mean L2 {l2:.3g}, mean Linf {linf:.3g} of pixels in [0, 1]"
        return "\n\n".join([line, *tables, INTERVALS, *self._tell_unread()])

    def _tell_unread(self) -> list[str]:
        if not self.reads or "patches" in self.reads:
            return []
        read = " and ".join(self.reads)
        return [f"peaks are of the patches of {self.layer}, of which the logits read the {read} alone"]

    def _spell_changes(self, title: str, sign: str) -> str:
        pooled, rows = [row for row in self.movements if row.source is None], []
        for target in dict.fromkeys(row.target for row in pooled):
            groups = [row for row in pooled if row.target == target]
            changes = (_spell_change(row.change if sign else row.size, sign) for row in groups)
            name = "all" if target is None else f"to {self.network.classes[target]}"
            rows.append((name, *changes, groups[0].images))
        return Table((title, *GROUP_NAMES.values(), "images"), tuple(rows)).markdown()


def _spell_change(change: Interval, sign: str) -> str:
    half = f"{(change.high - change.low) / 2:.3f}" if change.known else "?"
    return f"{format(change.value, f'{sign}.3f').replace('-', '−')} ± {half}"


def study_attacks(
    network: Network,
    layer: str,
    images: ConceptSource | Trial,
    targets: Sequence[str | int],
    attack: Attack | None = None,
    *,
    count: int = 20,
    draws: int = 10,
    seed: int = 0,
    run: Dissection | None = None,
    executor: Executor | None = None,
) -> AttackStudy:
    """Changes images a little until a classifier takes them for another class: which units of a layer moved?

    Units are ranked on one half of the images, labelled as a whole with the network's classes, and of the
    other half `count` images a target are attacked, drawn by `seed`: those whose label is not the target and
    that the network does not take for it (as in paper B, fig. 5). `targets` are names or numbers of classes,
    `attack` is by default `CarliniWagner()`; random units are drawn `draws` times. `run` is a dissection of
    the layer, for the labels of its units. `executor` has workers that share the images. Raises `UsageError`
    for a class that is unknown, a layer that is unknown, too small, or the logits themselves, a run of
    another network, or what workers cannot open, `SourceError` where too few images can be attacked or a
    target has none to rank its units with.
    """
    check_seed(seed)
    if count < 1 or draws < 2:
        raise UsageError(f"{count} images and {draws} draws were asked for; wanted at least 1 and 2")
    labels = {} if run is None else find_detectors(find_layer(run, network, layer))
    chosen = list(dict.fromkeys(find_class(network, str(target)) for target in targets))
    trial = open_trial(network, images)
    ranking, testing = trial.split()
    if executor is not None:
        specify_trial(network, trial)  # raises where workers cannot open them
    ranked = set(ranking.targets.tolist())
    if missing := [network.classes[target] for target in chosen if target not in ranked]:
        raise SourceError(f"no image of class {missing[0]!r} is there to rank its units with; add at least 2")
    first = read_pixels(network, trial.source[int(trial.images[0])].image)
    batch = network.preprocessing.normalize(first[None].to(network.device))
    reads, _ = find_reads(network, layer, batch, check_hidden(network, layer, batch))
    if (units := count_units(network, layer)) <= 2 * MOST:
        raise UsageError(f"layer {layer} has {units} units; wanted more than {2 * MOST}, or no rest is left")
    aims = choose_aims(network, testing, chosen, ranked, count, seed)
    importance = measure_importance(network, layer, ranking, executor=executor)
    if not importance.margin[sorted(ranked)].any():
        raise UsageError(f"the logits of {network.name} do not depend on {layer}; take another layer")
    classes, keys = [aim.target for aim in aims], [aim.key for aim in aims]
    pictures, numbers = [aim.image for aim in aims], [aim.number for aim in aims]
    attack = attack or CarliniWagner()
    attacked = tuple(
        attack_images(network, pictures, classes, attack, keys=keys, numbers=numbers, executor=executor)
    )
    before = measure_peaks(network, layer, [one.original for one in attacked], numbers)
    after = measure_peaks(network, layer, [one.image for one in attacked], numbers)
    order = importance.order
    rows = tuple(measure_movements(attacked, before, after, order, draws=draws, seed=seed))
    heads = count_heads(network, layer)
    return AttackStudy(
        network, layer, tuple(aims), attacked, before, after, order, rows, labels, reads, heads
    )


def read_pixels(network: Network, picture: Picture) -> Pixels:
    """An image at the network's input size, as pixels in [0, 1]."""
    size = network.preprocessing.size or picture.shape[:2]
    fitted = np.ascontiguousarray(Frame(size, size).fit_image(picture))
    pixels = torch.from_numpy(fitted.astype(np.float32)).permute(2, 0, 1).contiguous()
    return pixels / LARGEST[fitted.dtype.name]


def choose_aims(
    network: Network, trial: Trial, targets: Sequence[int], ranked: set[int], count: int, seed: int
) -> list[Aim]:
    """`count` images a target: of another class, and taken for another class, one of those ranked.

    Every target gets the first ones that serve of the same random order. Raises `SourceError` where they are
    too few.
    """
    found: dict[int, list[Aim]] = {target: [] for target in targets}
    order = np.random.default_rng(seed).permutation(len(trial)).tolist()
    with evaluation(network), torch.no_grad():
        for place in follow_each(order, "choosing images"):
            if all(len(aims) == count for aims in found.values()):
                break
            example = trial.source[int(trial.images[place])]
            image, truth = read_pixels(network, example.image), int(trial.targets[place])
            number = int(trial.images[place])
            source = int(classify_pixels(network, image, number).argmax())
            for target, aims in found.items():
                if source in ranked and target not in (truth, source) and len(aims) < count:
                    aims.append(Aim(example.key, truth, source, target, image, number))
    for target, aims in found.items():
        if len(aims) < count:
            name = network.classes[target]
            raise SourceError(
                f"{len(aims)} images can be attacked towards {name!r}; wanted {count} "
                "(half of the images rank units): give more images, or a lower --count"
            )
    return [aim for aims in found.values() for aim in aims]


def measure_peaks(
    network: Network, layer: str, images: Sequence[Pixels], numbers: Sequence[int] | None = None
) -> Peaks:
    """The largest activation of every unit of a layer, image by image; `numbers` as in `attack_images`."""
    drawn = [0] * len(images) if numbers is None else numbers
    peaks = []
    device = network.device
    with tap(network, [layer]) as read:
        followed = follow_each(images, f"reading {layer}")
        for image, number in zip(followed, drawn, strict=True):
            batch = number_images(network.preprocessing.normalize(image[None].to(device)), [number])
            maps = read_units(read(batch)[layer], network.layout(batch), layer)
            peaks.append(maps.amax((2, 3))[0].double().cpu().numpy())
    return np.stack(peaks)


def measure_movements(
    attacked: Sequence[Attacked],
    before: Peaks,
    after: Peaks,
    order: Int64[np.ndarray, "classes unit"],
    *,
    draws: int = 10,
    seed: int = 0,
) -> list[Movement]:
    """The movements of the attacks that succeeded: over all targets, of every target, of every pair.

    `order` gives every class's units, the most important first. A random group is the same for all images.

    >>> import torch
    >>> image = torch.zeros(3, 1, 1)
    >>> attacked = [Attacked("a", source=0, target=1, success=True, original=image, image=image)]
    >>> before, order = np.zeros((1, 9)), np.stack([np.arange(9), np.arange(9)[::-1]])
    >>> rows = measure_movements(attacked, before, before + np.arange(9.0), order)
    >>> [(row.group, row.change.value) for row in rows][:3]
    [('source', 1.5), ('target', 6.5), ('rest', 4.0)]
    """
    done = [place for place, one in enumerate(attacked) if one.success]
    kept = [attacked[place] for place in done]
    change, masks = (after - before)[done], _mask_groups(kept, order, draws, seed)
    rows = []
    for source, target, places in _select(kept):
        _, images = np.unique([kept[place].key for place in places], return_inverse=True)
        for group in GROUPS if places else ():
            chosen = masks[group][places]
            estimates = [
                _estimate(values[places], chosen, images, over_draws=group == "random")
                for values in (change, np.abs(change))
            ]
            units = float(chosen.sum(2).mean())
            rows.append(Movement(source, target, group, units, int(images.max()) + 1, *estimates))
    return rows


Masks = Bool[np.ndarray, "attack set unit"]


def _mask_groups(
    attacked: Sequence[Attacked], order: Int64[np.ndarray, "classes unit"], draws: int, seed: int
) -> dict[Group, Masks]:
    """The units of every group, attack by attack; of a random group every draw."""
    units, rng = order.shape[1], np.random.default_rng(seed)
    tops = np.zeros(order.shape, bool)
    np.put_along_axis(tops, order[:, :MOST], True, 1)
    had = tops[np.array([one.source for one in attacked], int)][:, None]
    got = tops[np.array([one.target for one in attacked], int)][:, None]
    lots = np.zeros((draws, units), bool)
    for lot in lots:
        lot[rng.choice(units, MOST, replace=False)] = True
    drawn = np.broadcast_to(lots, (len(attacked), draws, units))
    return {"source": had, "target": got, "rest": ~(had | got), "random": drawn}


def _select(attacked: Sequence[Attacked]) -> list[tuple[int | None, int | None, list[int]]]:
    """Which attacks a movement is over: (source, target, places), None for all."""
    targets = sorted({one.target for one in attacked})
    pairs = sorted({(one.target, one.source) for one in attacked})
    chosen: list[tuple[int | None, int | None]] = [(None, None)] if len(targets) > 1 else []
    chosen += [(None, target) for target in targets] + [(source, target) for target, source in pairs]
    return [
        (s, t, [k for k, one in enumerate(attacked) if s in (None, one.source) and t in (None, one.target)])
        for s, t in chosen
    ]


def _estimate(
    values: Peaks, masks: Masks, images: Int64[np.ndarray, "attack"], *, over_draws: bool
) -> Interval:
    """The mean over images, whose attacks are averaged first, and of an attack the units of its set."""
    sets = np.einsum("au,asu->as", values, masks) / masks.sum(2)
    sums = np.zeros((int(images.max()) + 1, sets.shape[1]))
    np.add.at(sums, images, sets)
    found = sums / np.bincount(images)[:, None]
    means = found.mean(0) if over_draws else found[:, 0]
    error = means.std(ddof=1) / (1 if over_draws else np.sqrt(len(means))) if len(means) > 1 else math.nan
    mean, half = float(means.mean()), ERRORS * float(error)
    return Interval(mean, mean - half, mean + half)
