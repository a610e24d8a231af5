"""Do formulas over concepts say more of units than one concept does, on images they were not made from?"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from unitscope.concepts.derived import shuffle_labels, source_digest
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.dissect import dissect
from unitscope.dissection.formula_finding import find_formulas
from unitscope.dissection.formula_names import LayerFormulas, UnitFormula, fit_of
from unitscope.dissection.result import Dissection
from unitscope.files import write_whole
from unitscope.lab.studies.claims import Claim, judge_all, judge_fact, judge_order, spread
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.world import open_drawn
from unitscope.lab.zoo.weights_files import load_zoo
from unitscope.networks.network import Network
from unitscope.tables import Table
from unitscope.views.figures import INKS, open_figure

QUESTION = "Do formulas over concepts say more of units than one concept does, where they were not made?"
RULE = (
    "*Held out* is the IoU of what was named on one half of the images on the other half, both ways; *by the "
    "gate* that of the formula where what is found on either quarter of the half fits the other better than "
    "the best single concept does, and of that concept elsewhere. Seeds halve the images, draw the null and "
    "shuffle labels."
)
OWN, SHUFFLED = "own", "shuffled"
PHOTOGRAPHS = ("efficientnet-lite0", ("_conv_head", "_blocks.10"))
"""The network that is studied over photographs, and its layers."""
MARGIN, LEAST = 0.001, 0.05
"""How far a gated name may be below one concept; the share of units found where there is nothing to find."""


@dataclass(frozen=True)
class Variant:
    """How formulas are searched for; draws of the null are taken for one of them."""

    length: int
    search: Literal["exact", "beam"] = "exact"
    without: tuple[str, ...] = ()
    null: bool = False

    @property
    def name(self) -> str:
        """What it is called in tables."""
        kind = " by beam" if self.search == "beam" else ""
        return f"{self.length}{kind}{', no colors' if self.without else ''}"


CENTRAL = Variant(3, null=True)
VARIANTS = (Variant(2), CENTRAL, Variant(5, "beam"), Variant(10, "beam"), Variant(3, without=("color",)))


@dataclass(frozen=True)
class FormulaFit:
    """What formulas of one kind are worth in one layer over one source, means over its units.

    `single`, `iou` are the IoU of the best single concept and of the formula over all images;
    `held_out_single`, `held_out`, `held_out_name` those on images that had no say, the last by the gate. The
    gate takes a formula on either half for the share `taken` of the units, whose held-out IoU it raises by
    `gain`. `sure` is the share of units with q < .05, and `chance_sure`, `chance_iou` what null draws taken
    for the truth give.
    """

    subject: str
    labels: str
    seed: int
    length: str
    units: int
    single: float
    iou: float
    possible: float
    held_out_single: float
    held_out: float
    held_out_name: float
    taken: float
    gain: float
    sure: float
    chance_sure: float
    chance_iou: float


def measure_fit(subject: str, labels: str, seed: int, variant: Variant, layer: LayerFormulas) -> FormulaFit:
    """The means over the units of a layer that have a formula."""

    def mean(figure: str) -> float:
        return layer.mean(lambda one: float(getattr(one, figure)))

    taken = [one.held_out_name - one.held_out_single for one in layer.units if _is_taken(one)]
    return FormulaFit(
        subject,
        labels,
        seed,
        variant.name,
        len(layer.units),
        layer.mean(lambda one: fit_of(one.single)),
        layer.mean(lambda one: fit_of(one.formula)),
        mean("possible"),
        mean("held_out_single"),
        mean("held_out"),
        mean("held_out_name"),
        len(taken) / max(1, len(layer.units)),
        float(np.mean(taken)) if taken else 0.0,
        float(np.mean([one.q_value < LEAST for one in layer.units])) if layer.null else float("nan"),
        layer.chance_sure,
        layer.chance_iou,
    )


def _is_taken(one: UnitFormula) -> bool:
    return one.formula is not None and one.held_out_name != one.held_out_single


def measure_run(run: Dissection, subject: str, labels: str, seed: int, draws: int) -> Iterator[FormulaFit]:
    """All variants over every layer of a run; of shuffled labels only the central one."""
    for layer in run:
        for variant in VARIANTS if labels == OWN else (CENTRAL,):
            if set(variant.without) - set(run.vocabulary.categories):
                continue
            found = find_formulas(
                run,
                layer,
                length=variant.length,
                search=variant.search,
                without=variant.without,
                draws=draws if variant.null else 0,
                seed=seed,
            )
            yield measure_fit(f"{layer}, {subject}", labels, seed, variant, found[layer])


@dataclass(frozen=True)
class Photographs:
    """A network with the layers of it that are studied, and a source by its text."""

    name: str
    network: Network
    layers: tuple[str, ...]
    source: ConceptSource


def study_formulas(setting: Setting, photographs: Sequence[Photographs] = ()) -> Finding:
    """Names units of the zoo's classifier by formulas over drawn scenes, and others over photographs.

    What is found on one half of the images is scored on the other, held against a null that repeats the
    search, and against images with the labels of others. What was measured is kept in the setting's folder,
    so that a study that was stopped goes on. Raises what `dissect` raises.
    """
    scenes = open_drawn(count=100 if setting.quick else setting.images, seed=2000, size=64)
    classifier = Photographs("drawn scenes", load_zoo("scene-classifier"), ("layer5",), scenes)
    seeds = setting.repetitions()
    rows: list[FormulaFit] = []
    for one in (classifier, *photographs):
        for seed in seeds:
            for labels in (OWN, SHUFFLED):
                rows += _measure_kept(one, labels, seed, setting)
    return judge_formulas(rows, len(seeds), setting.quick)


def _measure_kept(one: Photographs, labels: str, seed: int, setting: Setting) -> list[FormulaFit]:
    """What was measured of one subject, read where the study kept it."""
    digests = one.network.digest, source_digest(one.source)
    asked = repr((one.name, one.layers, *digests, setting.convention, setting.quick, VARIANTS))
    name = f"{labels}-{seed}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
    path = setting.folder / "formulas" / "measured" / name
    if path.exists():
        return [FormulaFit(**record) for record in json.loads(path.read_text("utf-8"))]
    source = one.source if labels == OWN else shuffle_labels(one.source, seed)
    cache = setting.folder / "packed"
    run = dissect(one.network, source, one.layers, convention=setting.convention, seed=seed, cache=cache)
    rows = list(measure_run(run, one.name, labels, seed, 20 if setting.quick else 400))
    write_whole(path, json.dumps([asdict(row) for row in rows]))
    return rows


def judge_formulas(rows: Sequence[FormulaFit], seeds: int, quick: bool = False) -> Finding:
    """The claims about what was measured, with its tables."""
    subjects = list(dict.fromkeys(one.subject for one in rows))
    return Finding(
        "formulas",
        QUESTION,
        tuple(claim for subject in subjects for claim in claim_formulas(rows, subject, seeds)),
        "\n\n".join(f"## {subject}\n\n{table_fits(rows, subject).markdown()}" for subject in subjects),
        {"formulas.csv": Table.of(map(asdict, rows), [column.name for column in fields(FormulaFit)])},
        f"{seeds} of each layer",
        quick=quick,
        rule=RULE,
        figure=partial(draw_fits, rows),
    )


def claim_formulas(rows: Sequence[FormulaFit], subject: str, seeds: int) -> Iterator[Claim]:
    """Do formulas fit better, on other images too, never worse by the gate, and hardly where nothing is?"""
    own = [one for one in rows if (one.subject, one.labels, one.length) == (subject, OWN, CENTRAL.name)]
    longest = [one for one in rows if (one.subject, one.length) == (subject, VARIANTS[3].name)]
    other = [one for one in rows if (one.subject, one.labels) == (subject, SHUFFLED)]

    def read(figure: str, some: Sequence[FormulaFit] = own) -> list[float]:
        return [float(getattr(one, figure)) for one in some]

    yield Claim(
        f"{subject}: Mu and Andreas (2020), fig. 2",
        "formulas fit units better than one concept",
        f"IoU {spread(read('iou'), '.4f')} of three concepts, {spread(read('single'), '.4f')} of one",
        judge_order(read("iou"), read("single")),
    )
    yield Claim(
        f"{subject}: held out",
        "(not asked there) on other images too",
        f"{spread(read('held_out'), '.4f')} of three, {spread(read('held_out_single'), '.4f')} of one",
        judge_order(read("held_out"), read("held_out_single")),
    )
    yield Claim(
        f"{subject}: length",
        "ten concepts fit better than three",
        f"IoU {spread(read('iou', longest), '.4f')}; held out {spread(read('held_out', longest), '.4f')} of "
        f"ten, {spread(read('held_out'), '.4f')} of three",
        judge_all([judge_order(read(name, longest), read(name)) for name in ("iou", "held_out")]),
    )
    below = [one.held_out_name - one.held_out_single for one in own]
    yield Claim(
        f"{subject}: the gate",
        f"(ours) names that earn their length are never below one concept by more than {MARGIN:g}",
        f"held out {spread(below, '+.4f')} over all units; {spread(read('gain'), '+.4f')} over the "
        f"{spread([100 * one for one in read('taken')], '.0f')} % that take a formula",
        judge_fact(min(below) >= -MARGIN, seeds),
    )
    yield Claim(
        f"{subject}: labels shuffled",
        f"(ours) at most {LEAST:.0%} of units get a formula of q < .05",
        f"{spread([100 * one for one in read('sure', other)], '.1f')} %, own labels "
        f"{spread([100 * one for one in read('sure')], '.0f')} %",
        judge_fact(max(read("sure", other)) <= LEAST, seeds),
    )


def table_fits(rows: Sequence[FormulaFit], subject: str) -> Table:
    """Every variant of one subject, for people: means over seeds and their range."""
    some = [one for one in rows if one.subject == subject]
    lines = []
    for labels, length in dict.fromkeys((one.labels, one.length) for one in some):
        alike = [one for one in some if (one.labels, one.length) == (labels, length)]
        figures = ("single", "iou", "possible", "held_out_single", "held_out", "held_out_name", "gain")
        cells = [spread([getattr(one, name) for one in alike], ".4f") for name in figures]
        shares = [spread([100 * getattr(one, name) for one in alike], ".0f") for name in ("taken", "sure")]
        shares[1] = "–" if np.isnan(alike[0].sure) else shares[1]
        lines.append((f"{length}{', labels shuffled' if labels == SHUFFLED else ''}", *cells, *shares))
    head = ("concepts", "IoU of one", "of the formula", "possible", "held out: one", "formula", "by the gate")
    return Table((*head, "gain where taken", "taken, %", "q < .05, %"), tuple(lines))


def draw_fits(rows: Sequence[FormulaFit], out: Path) -> Path:
    """IoU by length, on the images that formulas were made from and on others, a plot a subject.

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    subjects = list(dict.fromkeys(one.subject for one in rows))
    lengths = [one.name for one in VARIANTS if not one.without]
    with open_figure(out, 300.0 * len(subjects) + 40, 330.0, len(subjects)) as (figure, axes):
        for axis, subject in zip(np.atleast_1d(axes), subjects, strict=True):
            own = [one for one in rows if one.subject == subject and one.labels == OWN]
            for ink, (all_of, single, told) in zip(
                INKS,
                (("iou", "single", "all images"), ("held_out", "held_out_single", "held out"),
                 ("held_out_name", "held_out_single", "held out, by the gate")),
                strict=False,
            ):  # fmt: skip
                first = float(np.mean([getattr(one, single) for one in own]))
                by = [[getattr(one, all_of) for one in own if one.length == name] for name in lengths]
                axis.plot(
                    range(len(lengths) + 1), [first, *map(np.mean, by)], "o-", color=ink, label=told, ms=4
                )
            axis.set_xticks(range(len(lengths) + 1), ["1", *(name.partition(" ")[0] for name in lengths)])
            axis.set_title(subject, fontsize=10)
            axis.set(xlabel="concepts", ylabel="mean IoU", ylim=(0, None))
        handles, told = np.atleast_1d(axes)[0].get_legend_handles_labels()
        figure.legend(handles, told, loc="outside lower left", ncols=3, handlelength=1.4)
    return out
