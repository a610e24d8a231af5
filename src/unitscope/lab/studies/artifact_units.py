"""Do some units of the zoo's generator make artifacts, and are its pictures better without them?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy.stats import spearmanr

from unitscope.experiments.artifact_removal import WORDS, Removed, study_artifacts
from unitscope.experiments.artifacts import SAID, SIGNS, Sampling, Sign
from unitscope.lab.studies.claims import Claim, judge_order, spread
from unitscope.lab.studies.direction_bases import digest_of
from unitscope.lab.studies.records import keep_rows
from unitscope.lab.studies.study import Finding
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.zoo.pictures import PictureSet, paint_pictures
from unitscope.lab.zoo.recipes import GENERATED
from unitscope.lab.zoo.weights_files import load_zoo, open_segmenter
from unitscope.networks.generators import Generator, with_seed
from unitscope.networks.picture_features import Extractor
from unitscope.statistics.frechet import compare_spread, fit_spread
from unitscope.tables import Table
from unitscope.version import __version__
from unitscope.views.figures import INKS, MUTED, TEXT, open_figure

QUESTION = "Do some units of a generator make artifacts, and are its pictures better without them?"
RULE = (
    "Distances are Fréchet distances from painted pictures in the features of the zoo's scene classifier; "
    "they depend on how many pictures there are: comparable on this page only. A value a seed of latents."
)
LAYERS = ("layer2", "layer3")
COUNTS = (5, 20)
REFERENCE, FLOOR = 2003, 2004
"""The seeds of the painted pictures that are compared with, and of others that show the floor."""
BEFORE, PAINTED, LOT, TOP, AGREE, UNKNOWN = "before", "painted", "lot", "top", "agreement", "unknown"
"""What is measured beside removals: all pictures, painted ones, the top pictures of a unit by lot and of the
worst, the rank correlation of the signs, the share of pixels of which nothing is known."""
Kind = Removed | str
_PAPER = "pictures get better without the units that cause artifacts"
ELSEWHERE = "not in a paper"


@dataclass(frozen=True)
class Extent:
    """How much is spent: pictures that rank units, pictures measured, painted ones, random draws."""

    ranked: int = 400
    top: int = 50
    measured: int = 400
    painted: int = 1000
    draws: int = 4


QUICK = Extent(24, 5, 10, 30, 2)


@dataclass(frozen=True)
class ArtifactResult:
    """One number: of `kind` without `count` units of a layer, or of another kind above; `draw` by lot."""

    seed: int
    layer: str
    kind: str
    count: int
    draw: int
    value: float


def study_artifact_units(setting: Setting, extent: Extent | None = None) -> Finding:
    """Ranks the units of two layers of the zoo's generator by two signs of artifacts, and removes them.

    Every seed has other latents. What was measured is kept in the setting's folder, so that a study that was
    stopped goes on. Raises what `study_artifacts` raises.
    """
    spent = extent or (QUICK if setting.quick else Extent())
    rows = [
        row
        for seed in setting.repetitions()
        for layer in LAYERS
        for row in _keep(setting, seed, layer, spent)
    ]
    return judge_artifacts(rows, quick=setting.quick)


def _keep(setting: Setting, seed: int, layer: str, extent: Extent) -> list[ArtifactResult]:
    generator, classifier = load_zoo("generator"), load_zoo("scene-classifier")
    segmenter = open_segmenter()
    digests = (generator.digest, classifier.digest, segmenter.digest)
    key = digest_of(*digests, layer, seed, asdict(extent), COUNTS, __version__)
    path = setting.folder / "artifacts" / "measured" / f"{layer}-{seed}-{key[:16]}.json"

    def measure() -> list[ArtifactResult]:
        assert isinstance(generator, Generator)
        extractor = Extractor(classifier, "layer5")
        painted, other = (_paint(setting.folder, count, of) for count, of in
                          ((extent.painted, REFERENCE), (extent.measured, FLOOR)))  # fmt: skip
        study = study_artifacts(
            *(with_seed(generator, seed), layer, painted, segmenter, extractor),
            sampling=Sampling(extent.ranked, top=extent.top, seed=seed),
            counts=COUNTS,
            images=extent.measured,
            draws=extent.draws,
            seed=seed,
        )
        found, gone = study.artifacts, study.removal
        floor = compare_spread(
            extractor.read(other, len(other)), fit_spread(extractor.read(painted, len(painted)))
        )
        values = {
            BEFORE: gone.before,
            PAINTED: floor,
            LOT: found.chance.value,
            TOP: float(np.nanmax(found.frechet)),
            AGREE: _correlate(found.frechet, found.unknown),
            UNKNOWN: found.unknown_share,
        }
        rows = [ArtifactResult(seed, layer, kind, 0, -1, value) for kind, value in values.items()]
        rows += [
            ArtifactResult(seed, layer, by, count, -1, value) for (by, count), value in gone.after.items()
        ]
        for count, drawn in gone.drawn.items():
            rows += [
                ArtifactResult(seed, layer, "random", count, k, one) for k, one in enumerate(drawn.tolist())
            ]
        return rows

    return keep_rows(path, ArtifactResult, measure)


def _paint(folder: Path, count: int, seed: int) -> Sequence[np.ndarray]:
    """Painted pictures of the kinds that the generator makes."""
    pictures = paint_pictures(PictureSet(GENERATED, count, seed), folder / "pictures", workers=1)
    return list(np.array(pictures.images))


def _correlate(one: Float64[np.ndarray, "unit"], other: Float64[np.ndarray, "unit"]) -> float:
    """The rank correlation (Spearman) of two values of the units that have both."""
    known = ~np.isnan(one) & ~np.isnan(other)
    return float(spearmanr(one[known], other[known]).statistic)


def select(rows: Sequence[ArtifactResult], layer: str, kind: str, count: int = 0) -> list[float]:
    """Values by seed; of random draws their means."""
    some = [one for one in rows if (one.layer, one.kind, one.count) == (layer, kind, count)]
    seeds = sorted({one.seed for one in some})
    return [float(np.mean([one.value for one in some if one.seed == seed])) for seed in seeds]


def claim_artifacts(rows: Sequence[ArtifactResult]) -> tuple[Claim, ...]:
    """What the paper found, and what the removals show."""
    claims = []
    for layer in dict.fromkeys(one.layer for one in rows):
        before = select(rows, layer, BEFORE)
        for by in SIGNS:
            claims += _claim_sign(rows, layer, by, before)
        many = max(COUNTS)
        lots = select(rows, layer, "random", many)
        said = f"{many} random units set to 0 do not make pictures better"
        ours = f"{layer}: {spread(before, '.2f')} before, {spread(lots, '.2f')} after"
        claims.append(Claim(ELSEWHERE, said, ours, judge_order(lots, before)))
    return tuple(claims)


def _claim_sign(rows: Sequence[ArtifactResult], layer: str, by: Sign, before: list[float]) -> list[Claim]:
    claims = []
    for count in COUNTS:
        after, lots = select(rows, layer, by, count), select(rows, layer, "random", count)
        worst = f"{layer}, the {count} worst by {SAID[by]}"
        ours = f"{worst}: {spread(before, '.2f')} before, {spread(after, '.2f')} after"
        claims.append(Claim("GAN Dissection", _PAPER, ours, judge_order(before, after)))
        ours = f"{layer}, {count} by {SAID[by]}: {spread(after, '.2f')}, by lot {spread(lots, '.2f')}"
        said = "the distance is smaller without the worst units than without as many random ones"
        claims.append(Claim(ELSEWHERE, said, ours, judge_order(lots, after)))
    return claims


def spell_artifacts(rows: Sequence[ArtifactResult]) -> str:
    """The numbers as Markdown, a layer after the other."""
    parts = []
    for layer in dict.fromkeys(one.layer for one in rows):
        lines = []
        for by in [*(by for by in WORDS if by != "marked")]:
            cells = (spread(select(rows, layer, by, count), ".2f") for count in COUNTS)
            lines.append((WORDS[by], *cells))
        table = Table(("units removed", *(f"{count} units" for count in COUNTS)), tuple(lines))
        before, painted, lot, top, agree, unknown = (
            select(rows, layer, kind) for kind in (BEFORE, PAINTED, LOT, TOP, AGREE, UNKNOWN)
        )
        parts += [
            f"## {layer}",
            f"All pictures before: {spread(before, '.2f')}; as many painted ones: {spread(painted, '.2f')}. "
            f"The pictures that excite the worst unit most: {spread(top, '.2f')}; as many by lot: "
            f"{spread(lot, '.2f')}. Nothing known of {spread([100 * one for one in unknown])} % of pixels. "
            f"Rank correlation of the two signs: {spread(agree, '.2f')}.",
            table.markdown(),
        ]
    return "\n\n".join(parts)


def draw_artifacts(rows: Sequence[ArtifactResult], out: Path) -> Path:
    """The distance against the units removed, a plot a layer; lines are means of seeds, bars their range."""
    layers = list(dict.fromkeys(one.layer for one in rows))
    kinds = [by for by in WORDS if by != "marked"]
    with open_figure(out, 400.0 * len(layers), 380.0, len(layers)) as (figure, axes):
        for axis, layer in zip(np.ravel(axes), layers, strict=True):
            before = select(rows, layer, BEFORE)
            for place, by in enumerate(kinds):
                ink = MUTED if by == "random" else INKS[place]
                values = [before, *(select(rows, layer, by, count) for count in COUNTS)]
                middle = [float(np.mean(one)) for one in values]
                ends = [[m - min(one), max(one) - m] for m, one in zip(middle, values, strict=True)]
                places = np.array([0, *COUNTS]) + 0.3 * (place - len(kinds) / 2)
                axis.errorbar(places, middle, np.clip(ends, 0, None).T, color=ink, lw=2, marker="o", ms=4,
                              capsize=3, label=WORDS[by])  # fmt: skip
            axis.axhline(np.mean(before), color=TEXT, lw=0.8, ls=(0, (4, 3)))
            axis.axhline(np.mean(select(rows, layer, PAINTED)), color=TEXT, lw=0.8, label="painted pictures")
            axis.set_title(f"{layer}: distance from painted pictures")
            axis.set_xlabel("units removed")
            axis.set_ylim(0, None)
        handles, labels = np.ravel(axes)[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=3, handlelength=1.2)
    return out


def judge_artifacts(rows: Sequence[ArtifactResult], *, quick: bool = False) -> Finding:
    """The finding, from all that was measured."""
    sheet = Table.of(map(asdict, rows), [column.name for column in fields(ArtifactResult)])
    return Finding(
        "artifacts",
        QUESTION,
        claim_artifacts(rows),
        spell_artifacts(rows),
        {"artifacts.csv": sheet},
        f"{len({one.seed for one in rows})} of latents",
        quick=quick,
        rule=RULE,
        figure=partial(draw_artifacts, rows),
    )
