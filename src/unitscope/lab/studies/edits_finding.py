"""What do latents do when they are removed and inserted? A classifier, a generator, tables, verdicts."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import partial

import numpy as np

from unitscope.concepts.derived import source_digest, split_source
from unitscope.dissection.conventions import find_convention
from unitscope.lab.studies.claims import Claim, Verdict, judge_order, spread
from unitscope.lab.studies.classifier_edits import edit_classifier
from unitscope.lab.studies.direction_bases import NEURONS, TOPK, UNTRAINED, Subject, digest_of
from unitscope.lab.studies.direction_edits import (
    INSERTION,
    QUICK_EXTENT,
    REMOVAL,
    EditResult,
    Extent,
    keep_results,
    make_edit_bases,
)
from unitscope.lab.studies.direction_removal import BEST, RANDOM
from unitscope.lab.studies.figures.edits_figure import draw_edits
from unitscope.lab.studies.generator_edits import edit_generator
from unitscope.lab.studies.held_out import Halves
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting, pack_pictures
from unitscope.lab.world import open_drawn
from unitscope.lab.zoo.weights_files import load_zoo, open_segmenter
from unitscope.networks.generators import GeneratedImages, Generator, with_seed
from unitscope.tables import Table
from unitscope.version import __version__

QUESTION = "Does a latent do to its concept, removed or inserted, what a neuron does, and leave more alone?"
RULE = (
    "Every concept's unit with the highest IoU is removed and inserted on other pictures than it was chosen "
    "on; values are means over concepts, one a seed. *Random* units of the same directions move the layer as "
    "far: in a removal about, in an insertion in every cell just as far. Of a classifier *effect* is the "
    "probability that a class loses in its pictures or gains in those of others, *others* the probability "
    "that moves in others' pictures, or between other classes; of a generator the share of a concept's "
    "pixels that go, or of a place's pixels that become it where it was not, and the share of other pixels "
    "that get another name. "
    "*Aim* is effect / (effect + others), 0 without an effect."
)
CLASSIFIER, GENERATOR = ("scene-classifier", "layer5"), ("generator", "layer3")
"""The networks of the zoo that are edited, and their layers."""
CONCEPTS = ("tree", "object/water", "grass", "car")
"""What is removed from the generator's pictures, and inserted."""
ELSEWHERE = "not in a paper"
_FIT_SEED = 1000


def study_edits(setting: Setting, extent: Extent | None = None) -> Finding:
    """Removes and inserts the best unit of concepts: latents, untrained latents, neurons, random ones.

    In a layer of the zoo's classifier and one of its generator. What was fitted and measured is kept in the
    setting's folder, so that a study that was stopped goes on. Raises what `fit_directions`, `dissect` and
    `replay` raise.
    """
    spent = extent or (QUICK_EXTENT if setting.quick else Extent())
    rows = list[EditResult]()
    for seed in setting.repetitions():
        rows += _edit_classifier(setting, seed, spent)
        rows += _edit_generator(setting, seed, spent)
    return judge_edits(rows, quick=setting.quick)


def _edit_classifier(setting: Setting, seed: int, extent: Extent) -> list[EditResult]:
    """The classifier with one seed, by which pictures are halved, latents fitted and random units drawn."""
    name, layer = CLASSIFIER
    network, folder = load_zoo(name), setting.folder / "edits"
    drawn = (setting.source(), open_drawn(count=extent.fitted, seed=11, size=64))
    pictures, images = (pack_pictures(one, network, setting, layer) for one in drawn)
    naming, measuring = (split_source(pictures, half, seed=seed) for half in ("train", "test"))
    halves = Halves(naming, measuring)
    subject = Subject(f"zoo:{name} {layer}", network, layer, pictures, images)
    bases = make_edit_bases(subject, images, seed, extent, folder)
    rules = find_convention(setting.convention)
    asked = [[asdict(one) for one in bases], asdict(rules), extent.draws, __version__]
    key = digest_of(network.digest, layer, seed, source_digest(pictures), asked)
    path = folder / "measured" / f"{name}-{seed}-{key[:16]}.json"
    measure = partial(edit_classifier, subject, seed, bases, halves, rules, extent.draws)
    return keep_results(path, measure)


def _edit_generator(setting: Setting, seed: int, extent: Extent) -> list[EditResult]:
    """The generator with one seed, of its pictures and of what is fitted and drawn."""
    name, layer = GENERATOR
    network, folder = load_zoo(name), setting.folder / "edits"
    assert isinstance(network, Generator)
    fitting, edited = with_seed(network, _FIT_SEED + seed), with_seed(network, seed)
    images, segmenter = GeneratedImages(fitting, extent.fitted), open_segmenter()
    title = f"zoo:{name} {layer}"
    bases = make_edit_bases(Subject(title, fitting, layer, images), images, seed, extent, folder)
    asked = [[asdict(one) for one in bases], CONCEPTS, extent.draws, extent.named, extent.edited, __version__]
    key = digest_of(network.digest, segmenter.digest, layer, seed, asked)
    path = folder / "measured" / f"{name}-{seed}-{key[:16]}.json"
    subject = Subject(title, edited, layer, images)
    return keep_results(path, partial(edit_generator, subject, seed, bases, segmenter, CONCEPTS, extent))


def average(
    rows: Sequence[EditResult], kind: str, chosen: str, column: str, *, times: float = 100.0
) -> list[float]:
    """The mean over concepts of a column, one number a seed: over the random units of each, then over all."""
    found = []
    for seed in sorted({one.seed for one in rows}):
        by_concept: dict[str, list[float]] = {}
        for one in rows:
            value = float(getattr(one, column))
            if (one.kind, one.chosen, one.seed) == (kind, chosen, seed) and value == value:
                by_concept.setdefault(one.concept, []).append(value)
        if by_concept:
            found.append(times * float(np.mean([np.mean(values) for values in by_concept.values()])))
    return found


def average_aim(rows: Sequence[EditResult], kind: str, chosen: str) -> list[float]:
    """By seed, the share of the concept in all that changes, in percent; 0 without an effect on it."""
    pairs = zip(*(average(rows, kind, chosen, column) for column in ("effect", "others")), strict=True)
    return [100 * max(effect, 0.0) / ((max(effect, 0.0) + others) or 1.0) for effect, others in pairs]


def average_for_size(rows: Sequence[EditResult], kind: str, chosen: str) -> list[float]:
    """By seed, the effect over how far cells are moved."""
    pairs = zip(*(average(rows, kind, chosen, column) for column in ("effect", "moved")), strict=True)
    return [effect / (moved or np.nan) for effect, moved in pairs]


def claim_edits(rows: Sequence[EditResult]) -> tuple[Claim, ...]:
    """What is claimed of every layer and both edits, and what was measured."""
    claims = list[Claim]()
    for name in _list_subjects(rows):
        for edit in (REMOVAL, INSERTION):
            some = [one for one in rows if (one.subject, one.edit) == (name, edit)]
            claims += [Claim(f"{name}, {edit}", *rest) for rest in _claim_one(some)]
    return tuple(claims)


def _list_subjects(rows: Sequence[EditResult]) -> list[str]:
    return list(dict.fromkeys(one.subject for one in rows))


def _claim_one(rows: Sequence[EditResult]) -> list[tuple[str, str, Verdict]]:
    """Of one edit of one layer: what is claimed, what was measured, and the verdict."""
    best, neuron = ((rows, kind, BEST) for kind in (TOPK, NEURONS))
    moved = " and ".join(spread(average(*side, "moved")) for side in (best, neuron))
    effects = average(*best, "effect")
    others = {
        "random latents that move the layer as far": (rows, TOPK, RANDOM),
        "the best of as many untrained latents": (rows, UNTRAINED, BEST),
        f"the best neuron (they move a cell by {moved} % of its length)": neuron,
    }
    claims = []
    for said, side in others.items():
        high, low = effects, average(*side, "effect")
        ours = f"{spread(high, '.2f')} and {spread(low, '.2f')} %"
        claims.append((f"the best latent does more to its concept than {said}", ours, judge_order(high, low)))
    high, low = average_for_size(*best), average_for_size(*neuron)
    said = "the best latent does more to its concept than the best neuron, for how far it moves the layer"
    ours = f"{spread(high, '.2f')} and {spread(low, '.2f')} times as much"
    claims.append((said, ours, judge_order(high, low)))
    high, low = average_aim(*best), average_aim(*neuron)
    said = "more of what the best latent changes is its concept than with the best neuron"
    return [*claims, (said, f"{spread(high)} and {spread(low)} %", judge_order(high, low))]


def table_edits(rows: Sequence[EditResult]) -> Table:
    """One edit of one layer, for people: means over concepts, then over seeds, and the range of these."""
    lines = []
    for kind, chosen in dict.fromkeys((one.kind, one.chosen) for one in rows):
        iou = average(rows, kind, chosen, "iou", times=1.0)
        margin = average(rows, kind, chosen, "margin", times=1.0)
        lines.append(
            (
                f"{kind}, {'best' if chosen == BEST else 'random, as far'}",
                spread(iou, ".3f") if iou else "–",
                *(spread(average(rows, kind, chosen, one), ".2f") for one in ("moved", "effect", "others")),
                spread(average_for_size(rows, kind, chosen), ".2f"),
                spread(average_aim(rows, kind, chosen), ".0f"),
                spread(margin, ".3f") if margin else "–",
            )
        )
    head = ("", "IoU", "moved, %", "effect, %", "others, %", "effect / moved", "aim, %", "margin, logits")
    return Table(head, tuple(lines))


def table_concepts(rows: Sequence[EditResult]) -> Table:
    """The effect by concept of one edit of one layer, the best units beside random latents; over seeds."""
    sides = ((TOPK, BEST), (TOPK, RANDOM), (UNTRAINED, BEST), (NEURONS, BEST))
    lines = []
    for concept in dict.fromkeys(one.concept for one in rows):
        some = [one for one in rows if one.concept == concept]
        lines.append((concept, *(spread(average(some, *side, "effect"), ".1f") for side in sides)))
    head = ("effect, %", "best latent", "random latents", "best untrained latent", "best neuron")
    return Table(head, tuple(lines))


def spell_edits(rows: Sequence[EditResult]) -> str:
    """The numbers as Markdown, a layer after the other."""
    parts = []
    for name in _list_subjects(rows):
        parts.append(f"## {name}")
        for edit in (REMOVAL, INSERTION):
            some = [one for one in rows if (one.subject, one.edit) == (name, edit)]
            count = len({one.concept for one in some})
            parts += [f"{edit.capitalize()}, means over {count} concepts:", table_edits(some).markdown()]
            parts.append(table_concepts(some).markdown())
    return "\n\n".join(parts)


def judge_edits(rows: Sequence[EditResult], *, quick: bool = False) -> Finding:
    """The finding, from all that was measured."""
    sheet = Table.of(map(asdict, rows), [column.name for column in fields(EditResult)])
    seeds = {name: {one.seed for one in rows if one.subject == name} for name in _list_subjects(rows)}
    return Finding(
        "edits",
        QUESTION,
        claim_edits(rows),
        spell_edits(rows),
        {"edits.csv": sheet},
        ", ".join(f"{len(some)} of {name}" for name, some in seeds.items()),
        quick=quick,
        rule=RULE,
        figure=partial(draw_edits, rows),
    )
