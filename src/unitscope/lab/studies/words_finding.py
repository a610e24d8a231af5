"""Do words from a model of images and texts name units as labels do? Claims, tables, the figure."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from functools import partial

import numpy as np

from unitscope.errors import UsageError
from unitscope.lab.studies.claims import Claim, Verdict, judge_all, judge_fact, judge_order, spread
from unitscope.lab.studies.figures.words_figure import draw_words
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.studies.word_names import HIDDEN, IOU, OUTPUT, PLANTED, Named, measure_names
from unitscope.lab.world import open_drawn
from unitscope.lab.zoo.text_model import open_text_model
from unitscope.lab.zoo.weights_files import load_zoo
from unitscope.networks.text_models import TextModel
from unitscope.tables import Table

QUESTION = "Do words from a model of images and texts name units as labels by pixel do?"
SEEDS = (5000, 6000, 7000)
"""The drawn scenes of each repetition: no network was taught with these."""
RULE = (
    "*Right* is the class of an output unit, the concept of a planted one, and of `layer5` the name that IoU "
    "gives; *sure* are names with q < .05. Every repetition has other scenes and other noise. "
    "The control replicates where the mean over seeds is at most 5 %, and is unclear where only some seeds "
    "are."
)
DRAWS = 100


def study_words(setting: Setting, model: TextModel | None = None) -> Finding:
    """Names units whose meaning is known by words, with `zoo:captioned`, and by IoU; over drawn scenes.

    24 output units of the zoo's scene classifier, whose right names are their classes; its `layer5`; and
    units planted from exact masks, pure and degraded. The words are all names of the drawn world that the
    model knows. The control gives every image the responses to another one.

    Raises `UsageError` for another number of repetitions than there are scenes for.
    """
    repetitions = setting.repetitions(3)
    if len(repetitions) > len(SEEDS):
        raise UsageError(f"{len(repetitions)} seeds were asked for; there are scenes for {len(SEEDS)}")
    network, seer = load_zoo("scene-classifier"), model or open_text_model("captioned")
    images, draws = (120, 20) if setting.quick else (setting.images, DRAWS)
    rows: list[Named] = []
    for seed in repetitions:
        source = open_drawn(count=images, seed=SEEDS[seed], size=64)
        known = set(getattr(seer, "words", ())) or {one.name for one in source.vocabulary}
        labels = [one.label for one in source.vocabulary if {one.name, one.label} & known]
        rows += measure_names(network, source, seer, list(dict.fromkeys(labels)), seed, draws)
    return judge_study(rows, quick=setting.quick)


def judge_study(rows: Sequence[Named], *, quick: bool = False) -> Finding:
    """The finding, from all that was measured."""
    seeds = len({row.seed for row in rows})
    columns = [column.name for column in fields(Named)]
    return Finding(
        "words",
        QUESTION,
        claim_words(rows),
        spell_words(rows),
        {"names.csv": Table.of(map(asdict, rows), columns)},
        f"{seeds}, of other scenes each",
        quick=quick,
        rule=RULE,
        figure=partial(draw_words, rows),
    )


def read_share(rows: Sequence[Named], kind: str, method: str, share: Callable[[Named], float]) -> list[float]:
    """One number a seed, of one kind of units and one method."""
    return [float(share(row)) for row in rows if (row.kind, row.method) == (kind, method)]


def find_right(row: Named) -> float:
    """The share of all units that are named rightly, in percent."""
    return 100 * row.right / row.units


def claim_words(rows: Sequence[Named]) -> tuple[Claim, ...]:
    """What CLIP-Dissect found, and what a null must do, beside what was measured."""
    methods = [method for method in dict.fromkeys(row.method for row in rows) if method != IOU]
    right = {method: read_share(rows, OUTPUT, method, find_right) for method in (*methods, IOU)}
    rivals = [method for method in methods if not method.startswith("soft-wpmi")]
    told = ", ".join(f"{method} {spread(right[method], '.0f')} %" for method in methods)
    best: Verdict = judge_all([judge_order(right["soft-wpmi"], right[method]) for method in rivals])
    low = {method: read_lows(rows, method) for method in methods}
    fair = judge_all([judge_control(shares) for shares in low.values()])
    false = ", ".join(f"{method} {spread(low[method])} %" for method in methods)
    return (
        Claim(
            "CLIP-Dissect, similarity functions",
            "Of its scores, soft WPMI names most output units by their class",
            told,
            best,
        ),
        Claim(
            "shuffled images",
            "At most 5 % of units have p < .05 where images have the responses to others (required here)",
            false,
            fair,
        ),
    )


def judge_control(shares: Sequence[float]) -> Verdict:
    """Whether at most 5 % are found by chance: on average over seeds; unclear where only some seeds say so.

    >>> judge_control([4.0, 5.5]), judge_control([4.8, 5.4]), judge_control([5.2, 7.0])
    ('replicates', 'unclear', 'does not replicate at this scale')
    """
    return "replicates" if np.mean(shares) <= 5 else "unclear" if min(shares) <= 5 else judge_fact(False, 1)


def read_lows(rows: Sequence[Named], method: str) -> list[float]:
    """By seed the percentage of all units with p < .05 on shuffled images, over all kinds of units."""
    found = []
    for seed in dict.fromkeys(row.seed for row in rows):
        some = [row for row in rows if (row.method, row.seed) == (method, seed)]
        units = sum(row.units for row in some)
        found.append(100 * sum(row.low * row.units for row in some) / units)
    return found


def spell_words(rows: Sequence[Named]) -> str:
    """The numbers as Markdown: shares named rightly, then sure names and how many of them are right."""
    kinds = list(dict.fromkeys(row.kind for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    ways = [method for method in methods if method != IOU]
    units = {row.kind: row.units for row in rows}
    head = tuple(kind.removeprefix(f"{PLANTED}, ") for kind in kinds)
    counted = ("units", *(str(units[kind]) for kind in kinds))

    def table(share: Callable[[Named], float], some: Sequence[str]) -> str:
        lines = [counted]
        for method in some:
            cells = (read_share(rows, kind, method, share) for kind in kinds)
            lines.append((method, *(spread(one, ".0f") if one else "–" for one in cells)))
        return Table(("", *head), tuple(lines)).markdown()

    def sure_right(row: Named) -> float:
        return 100 * row.sure_right / max(row.sure, 1)

    return "\n\n".join(
        (
            f"Named rightly, in percent of all units (`{HIDDEN}`: as IoU names them; the last are planted):",
            table(find_right, methods),
            "Sure names, q < .05, in percent of all units:",
            table(lambda row: 100 * row.sure / row.units, ways),
            "Of the sure names those that are right, in percent:",
            table(sure_right, ways),
            "On shuffled images, units with p < .05, in percent; and units with q < .05:",
            table(lambda row: 100 * row.low, ways),
            table(lambda row: row.false, ways),
        )
    )
