"""What is measured of layers in directions: held out, by thresholds, by removal; kept on the way."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from unitscope.concepts.derived import shuffle_labels, source_digest, split_source
from unitscope.concepts.packed import PackedSource
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import Convention, find_convention
from unitscope.dissection.dissect import Confidences
from unitscope.errors import RunError
from unitscope.files import write_whole
from unitscope.lab.studies.direction_bases import (
    MATRYOSHKA,
    NEURONS,
    TOPK,
    UNTRAINED,
    Basis,
    Effort,
    Subject,
    digest_of,
    find_basis,
    make_bases,
)
from unitscope.lab.studies.direction_removal import RemovalResult, open_scene, remove_all
from unitscope.lab.studies.held_out import OWN, SHUFFLED, BestUnit, Halves, HeldOut, measure_bases
from unitscope.lab.studies.trained_groups import Setting, pack_pictures
from unitscope.networks.network import Network
from unitscope.version import __version__

NO_SHIFTS = Confidences(0, 1)


@dataclass(frozen=True)
class Measured:
    """All that was measured; what could not be had stands in the `notes`."""

    bases: tuple[HeldOut, ...] = ()
    best: tuple[BestUnit, ...] = ()
    removals: tuple[RemovalResult, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: "Measured") -> "Measured":
        return Measured(
            self.bases + other.bases,
            self.best + other.best,
            self.removals + other.removals,
            self.notes + other.notes,
        )


def measure_all(subjects: Iterable[Subject], setting: Setting, effort: Effort) -> Measured:
    """Every layer with every seed, a seed after the other; what the folder has is not measured again.

    Raises what `fit_directions`, `dissect` and `replay` raise.
    """
    found = Measured()
    opened = [(one, *_pack(one, setting)) for one in subjects]
    for seed in setting.repetitions():
        for subject, pictures, images in opened:
            found += measure_subject(subject, pictures, images, seed, setting, effort)
    return replace(found, notes=tuple(dict.fromkeys(found.notes)))


def _pack(subject: Subject, setting: Setting) -> tuple[PackedSource, PackedSource | None]:
    """The pictures at the network's size, read once for all passes over them."""
    network, layer = subject.network, subject.layer
    pictures = pack_pictures(subject.source, network, setting, layer)
    images = subject.images
    return pictures, None if images is None else pack_pictures(images, network, setting, layer)


def measure_subject(
    subject: Subject,
    pictures: PackedSource,
    images: PackedSource | None,
    seed: int,
    setting: Setting,
    effort: Effort,
) -> Measured:
    """One layer with one seed, by which pictures are halved, directions drawn and autoencoders trained."""
    folder = setting.folder / "directions"
    naming, measuring = (split_source(pictures, half, seed=seed) for half in ("train", "test"))
    bases, notes = make_bases(subject, naming if images is None else images, seed, effort, folder)
    keeper = _Keeper(folder / "measured", subject, seed, bases, (naming, measuring))
    own, center = Halves(naming, measuring, OWN), find_convention(setting.convention)
    passes = [("center", own, center, effort.confidences)]
    passes += [
        (f"q{rules.quantile:g}-{rules.sparse_threshold}", own, rules, effort.confidences)
        for rules in vary_thresholds(center, effort.quantiles)
    ]
    passes.append((SHUFFLED, _shuffle(own, seed), center, NO_SHIFTS))
    found = Measured(notes=tuple(notes))
    for part, halves, rules, spent in passes:
        ask = partial(_measure_pass, subject, seed, bases, halves, rules, spent)
        kept = keeper.keep(part, [asdict(rules), asdict(spent)], ask)
        # Each concept's best unit is shown, and removed, at the convention's own threshold.
        found += kept if part == "center" else replace(kept, best=())
    removed = partial(_measure_removals, subject, seed, _choose_removed(bases, found.best), own, effort)
    return found + keeper.keep("removal", [asdict(center), effort.concepts], removed)


def _measure_pass(
    subject: Subject,
    seed: int,
    bases: Sequence[Basis],
    halves: Halves,
    rules: Convention,
    confidences: Confidences,
) -> Measured:
    """All bases by some rules, with the best unit of each concept."""
    rows, best = measure_bases(subject, seed, bases, halves, rules, confidences)
    return Measured(tuple(rows), tuple(best))


def _measure_removals(
    subject: Subject, seed: int, best: Sequence[BestUnit], halves: Halves, effort: Effort
) -> Measured:
    scene = open_scene(subject.network, halves.measuring)
    rows = remove_all(subject, seed, best, halves.naming, scene, effort.concepts)
    return Measured(removals=tuple(rows))


def vary_thresholds(center: Convention, quantiles: Sequence[float]) -> Iterator[Convention]:
    """Other rules for thresholds: none for latents that seldom fire, and other quantiles."""
    yield replace(center, sparse_threshold="zero")
    for quantile in quantiles:
        if quantile != center.quantile:
            yield replace(center, quantile=quantile)


def _shuffle(halves: Halves, seed: int) -> Halves:
    """The same pictures, each with the labels of another one of its half."""
    return Halves(shuffle_labels(halves.naming, seed), shuffle_labels(halves.measuring, seed), SHUFFLED)


def _choose_removed(bases: Sequence[Basis], best: Sequence[BestUnit]) -> list[BestUnit]:
    """The best units of the bases that are compared by removal."""
    chosen = [find_basis(bases, NEURONS, "layer")]
    chosen += [find_basis(bases, kind, "large") for kind in (UNTRAINED, TOPK, MATRYOSHKA)]
    names = {(basis.kind, basis.size) for basis in chosen}
    return [one for one in best if (one.kind, one.size) in names]


@dataclass(frozen=True, eq=False)
class _Keeper:
    """Keeps what was measured of one layer with one seed, by all that decides it."""

    folder: Path
    subject: Subject
    seed: int
    bases: Sequence[Basis]
    halves: tuple[ConceptSource, ConceptSource]

    def keep(self, part: str, rules: list[Any], measure: Callable[[], Measured]) -> Measured:
        """What was measured before, or now. Raises `RunError` where what was kept is damaged."""
        network: Network = self.subject.network
        key = digest_of(
            [self.subject.name, network.digest, self.subject.layer, self.seed, part, rules],
            [asdict(basis) for basis in self.bases],
            [source_digest(half) for half in self.halves],
            __version__,
        )
        path = self.folder / f"{part}-{self.seed}-{key[:16]}.json"
        if path.exists():
            return _read(path)
        found = measure()
        write_whole(path, json.dumps(asdict(found)))
        return found


def _read(path: Path) -> Measured:
    try:
        kept = json.loads(path.read_text("utf-8"))
        return Measured(
            tuple(HeldOut(**row) for row in kept["bases"]),
            tuple(BestUnit(**row) for row in kept["best"]),
            tuple(RemovalResult(**row) for row in kept["removals"]),
            tuple(kept["notes"]),
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is damaged ({error!r}); delete it to measure that again") from error
