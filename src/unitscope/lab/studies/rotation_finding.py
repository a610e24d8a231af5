"""What rotations do to unique detectors, of students and of any network: claims, tables, verdicts."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from unitscope.concepts.packed import PackedSource
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import UsageError, missing_extra
from unitscope.executors.calls import Arrays, Work
from unitscope.lab.studies import width
from unitscope.lab.studies.claims import Claim, Verdict, judge_fact, judge_order, spread
from unitscope.lab.studies.figures.axis_figure import draw_axis
from unitscope.lab.studies.records import pack_records, read_records
from unitscope.lab.studies.rotation import (
    PartialRotation,
    RotationResult,
    Rotations,
    Subject,
    count_units,
    join_rotations,
    read_rotations,
    rotate_all,
    rotate_subject,
)
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting, check_layers, pack_pictures
from unitscope.lab.zoo.trained_models import (
    COURSE,
    LAST,
    LAYERS,
    StudyModel,
    open_student,
    seconds_of,
    train_models,
)
from unitscope.networks.network import Network
from unitscope.statistics.intervals import Interval
from unitscope.tables import Table

QUESTION = "Is the basis of the units special, and when?"
NAME = "Taught scenes"
BEFORE = f"{LAST}.1"
"""What the rectification of the last stage takes in."""
SEEDS = 5
HALF = 0.5
TOLERANCE = 1e-4
CONTROLS = ("control",)
"""Factors that are no conditions: what they show is chance."""
RULE = (
    "*Rotated over own* is the number of unique detectors of a rotation over that of the units, with an "
    "interval of 95 % (Student's, over networks, each with the mean of its rotations; over rotations where "
    "there is one network): "
    "*falls by more than half* where it lies below 0.5, *falls* below 1, *rises* above 1, *unclear* where it "
    "holds 1. Networks whose units have no detectors have no ratio and are left out; the column says so."
)

VERDICTS = (
    "Fewer by 80 % *replicates* where the interval of rotated over own lies below 0.5, *does not* where it "
    f"lies above. What the network gives stays where no logit moves by {TOLERANCE:g}."
)


def compare_ratios(results: Sequence[RotationResult], by_category: bool = False) -> Interval:
    """Rotated over own: the mean over networks, each with the mean of its rotations, and Student's interval.

    Of one network the interval is over its rotations; of one number there is none. The value is NaN where no
    network's units have detectors. Drawing a handful of networks again and again would give an interval that
    is too narrow.
    """
    counts = [result.by_category if by_category else result.unique for result in results]
    ratios = [np.array(rotated) / own for own, *rotated in counts if own]
    if not ratios:
        return Interval(float("nan"))
    values = ratios[0] if len(ratios) == 1 else np.array([one.mean() for one in ratios])
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean)
    try:
        from scipy.stats import t
    except ImportError as error:
        raise missing_extra("scipy", "knows Student's distribution", "studies") from error
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean, max(0.0, mean - half), mean + half)


def judge_ratio(ratio: Interval) -> str:
    """What becomes of unique detectors.

    >>> judge_ratio(Interval(0.3, 0.2, 0.4)), judge_ratio(Interval(0.8, 0.6, 1.1)), judge_ratio(Interval(0.3))
    ('falls by more than half', 'unclear', 'unclear')
    """
    if np.isnan(ratio.value):
        return "no detectors"
    if ratio.high < HALF:
        return "falls by more than half"
    if ratio.high < 1:
        return "falls"
    return "rises" if ratio.low > 1 else "unclear"


def spell_ratio(ratio: Interval) -> str:
    """The ratio with its interval, a dash where there is none."""
    return "–" if np.isnan(ratio.value) else ratio.spell(".2f")


def group_conditions(results: Sequence[RotationResult]) -> dict[tuple[str, str], list[RotationResult]]:
    """The results of one subject under every condition, a factor and its level, over its repetitions."""
    grouped: dict[tuple[str, str], list[RotationResult]] = {}
    for result in results:
        grouped.setdefault((result.factor, result.level), []).append(result)
    return grouped


def table_conditions(results: Sequence[RotationResult]) -> Table:
    """Every condition of one subject, for people."""
    rows, shown = [], ""
    for (factor, level), repeated in group_conditions(results).items():
        ratio, other = compare_ratios(repeated), compare_ratios(repeated, by_category=True)
        rotated = [count for result in repeated for count in result.unique[1:]]
        without = sum(not result.unique[0] for result in repeated)
        left_out = f" ({without} of {len(repeated)} left out)" if 0 < without < len(repeated) else ""
        rows.append(
            (
                factor if factor != shown else "",
                level,
                spread([result.unique[0] for result in repeated], ".0f"),
                f"{np.mean(rotated):.1f} ({min(rotated)} to {max(rotated)})",
                spell_ratio(ratio),
                spell_ratio(Interval(other.value)),
                judge_ratio(ratio) + left_out,
            )
        )
        shown = factor
    head = ("varied", "", "unique, units", "unique, rotated", "rotated over own", "by category", "")
    return Table(head, tuple(rows), (0, 1, 6))


def _judge_loss(ratio: Interval) -> Verdict:
    """Whether rotations have fewer unique detectors by more than half."""
    if np.isnan(ratio.value):
        return "not tested"
    if not ratio.known or ratio.low < HALF <= ratio.high:
        return "unclear"
    return "replicates" if ratio.high < HALF else "does not replicate at this scale"


def group_parts(bases: Sequence[PartialRotation]) -> dict[float, list[PartialRotation]]:
    """The bases by the part of the rotation, from none to all of it."""
    parts = sorted({basis.part for basis in bases})
    return {part: [basis for basis in bases if basis.part == part] for part in parts}


def table_parts(bases: Sequence[PartialRotation]) -> Table:
    """Unique concepts of one subject by part of the rotation: means over its rotations, for people."""
    categories = [one for one in bases[0].unique if any(basis.unique[one] for basis in bases)]
    rows = []
    for part, some in group_parts(bases).items():
        means = [np.mean([basis.detectors for basis in some])]
        means += [np.mean([basis.unique[one] for basis in some]) for one in categories]
        ordered = np.mean([[basis.cosine, basis.kept, basis.chance] for basis in some], axis=0).tolist()
        told = ("" if np.isnan(one) else f"{one:.2f}" for one in ordered)
        rows.append(
            (f"a = {part:g}", *(f"{mean:.1f}" for mean in means), spread([one.total for one in some]), *told)
        )
    heads = ("unique", "in order: cosine", "same name", "by chance")
    return Table(("rotated by Q^a", "detectors", *categories, *heads), tuple(rows))


def claim_axis(found: Rotations) -> tuple[Claim, ...]:
    """The claims of fig. 4, by the center of the first subject."""
    name, subjects = found.results[0].name, found.split()
    center = [result for result in subjects[name].results if result.factor == "center"]
    ratio = compare_ratios(center)
    means = [np.mean([one.total for one in some]) for some in group_parts(subjects[name].parts).values()]
    steady = all(before >= after for before, after in pairwise(means))
    own = [result.detectors[0] for result in center]
    rotated = [count for result in center for count in result.detectors[1:]]
    conditions = (group_conditions(one.results).items() for one in subjects.values())
    tried = [some for group in conditions for (factor, _), some in group if factor not in CONTROLS]
    met = sum(judge_ratio(compare_ratios(some)) == "falls by more than half" for some in tried)
    return (
        Claim(
            "fig. 4",
            "a random rotation has 80 % fewer unique detectors",
            f"{name}: {spell_ratio(ratio)} of those of the units; below half in {met} of {len(tried)} "
            "conditions",
            _judge_loss(ratio),
        ),
        Claim(
            "fig. 4",
            "their number falls steadily with the part a of the rotation",
            " → ".join(f"{mean:.1f}" for mean in means),
            judge_fact(steady, 2) if means[0] > means[-1] else "does not replicate at this scale",
        ),
        Claim(
            "section 3.4",
            "what the network gives stays as it was",
            f"largest change of a logit {found.undone:.0e}",
            judge_fact(found.undone < TOLERANCE, 2),
        ),
        Claim(
            "not in the paper",
            "detectors, not counted by concept, are fewer too",
            f"{spread(own)} of the units, {spread(rotated)} of rotations",
            judge_order(own, rotated),
        ),
    )


def table_results(results: Sequence[RotationResult]) -> Table:
    """conditions.csv: a row a basis and condition; basis 0 are the units."""
    head = ("subject", "seed", "factor", "level", "basis")
    rows = [
        (one.name, one.seed, one.factor, one.level, basis, *counts)
        for one in results
        for basis, counts in enumerate(zip(one.detectors, one.unique, one.by_category, strict=True))
    ]
    return Table((*head, "detectors", "unique_by_label", "unique_by_category"), tuple(rows))


def table_bases(parts: Sequence[PartialRotation]) -> Table:
    """parts.csv: a row a basis of partial rotations."""
    rows = (
        (
            *(one.name, one.seed, one.rotation, one.part, one.detectors, *one.unique.values()),
            *(one.cosine, one.kept, one.chance),
        )
        for one in parts
    )
    head = ("subject", "seed", "rotation", "a", "detectors", *parts[0].unique)
    return Table((*head, "cosine", "same_name", "same_by_chance"), tuple(rows))


def judge_axis(found: Rotations, *, seconds: float = 0.0, quick: bool = False) -> Finding:
    """The finding, from all that was measured."""
    subjects = found.split()
    parts = [f"{name}:\n\n{table_parts(one.parts).markdown()}" for name, one in subjects.items()]
    tables = [f"{name}:\n\n{table_conditions(one.results).markdown()}" for name, one in subjects.items()]
    first = next(iter(subjects.values()))
    ratios = {level: compare_ratios(some) for level, some in group_conditions(first.results).items()}
    networks, rotations = len({one.seed for one in first.results}), len(first.results[0].unique) - 1
    return Finding(
        "axis",
        QUESTION,
        claim_axis(found),
        "\n\n".join([*parts, RULE, *tables]),
        {"conditions.csv": table_results(found.results), "parts.csv": table_bases(found.parts)},
        f"{networks} networks, {rotations} rotations each",
        seconds,
        quick,
        VERDICTS,
        partial(draw_axis, group_parts(first.parts), ratios),
    )


def study_rotations(
    networks: Iterable[tuple[Network, Network]],
    layers: Sequence[str],
    source: ConceptSource,
    setting: Setting,
    *,
    name: str,
    before: str | None = None,
    rotations: int = 5,
) -> Finding:
    """Rotates the first layer of a network, a network a seed, each with the same of random weights.

    The other layers, and `before`, the first layer before its rectification, are compared with it. Raises
    `UsageError` for no layer, fewer than two rotations, and a layer without maps.
    """
    check_layers(name, layers)
    if rotations < 2:
        raise UsageError(f"rotations is {rotations}; wanted 2 or more")
    subjects = (
        (
            Subject(
                *(network, layers[0], name, seed, before, tuple(layers[1:])),
                variants=(("training", "random weights", fresh),),
            ),
            pack_pictures(source, network, setting, layers[0]),
        )
        for seed, (network, fresh) in enumerate(networks)
    )
    count = 2 if setting.quick else rotations
    found = rotate_all(subjects, rotations=count, convention=setting.convention)
    return judge_axis(found, quick=setting.quick)


def study_axis(setting: Setting) -> Finding:
    """Trains students and compares their last layer's units with rotations of them (paper A, fig. 4)."""
    models = [StudyModel(setting.course(COURSE), seed) for seed in setting.repetitions(SEEDS)]
    wide = [other for model in models for other in _list_widths(model, setting)]
    train_models([*models, *wide], setting.networks, jobs=setting.jobs)
    parts = setting.share(
        prepare_rotations, len(models), "rotating", models=models, rotations=2 if setting.quick else 5
    )
    found = join_rotations(read_rotations(one) for part in parts for one in read_records(part["found"]))
    seconds = sum(seconds_of(model, setting.networks) for model in models)
    return judge_axis(found, seconds=seconds, quick=setting.quick)


def _list_widths(model: StudyModel, setting: Setting) -> list[StudyModel]:
    return [StudyModel(setting.course(course), model.seed) for course in width.GROUPS.values()]


def prepare_rotations(setting: Setting, models: Sequence[StudyModel], rotations: int) -> Work:
    """What rotates one student after the other."""

    def work(number: int) -> Arrays:
        subject, pictures = _open_subject(models[number], setting)
        found = rotate_subject(subject, pictures, rotations=rotations, convention=setting.convention)
        return {"found": pack_records([found])}

    return work


def _open_subject(model: StudyModel, setting: Setting) -> tuple[Subject, PackedSource]:
    """A student, beside the same layer of others: random weights, early in training, other widths."""
    kept = [step for step in (16, 64, 256) if step in model.course.keep and step < model.course.steps]
    others = [("training", "random weights", open_student(model, None))]
    others += [("training", f"{step} steps", open_student(model, setting.networks, step)) for step in kept]
    for other in _list_widths(model, setting):
        if other != model:
            network = open_student(other, setting.networks)
            others.append(("width", f"{count_units(network, LAST)} units", network))
    network = open_student(model, setting.networks)
    subject = Subject(network, LAST, NAME, model.seed, BEFORE, LAYERS[:-1], tuple(others))
    return subject, pack_pictures(setting.source(), network, setting)
