"""Units as detectors of one concept: a table, a CSV, JSON, and the jitter plot."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import writing
from unitscope.interventions.detection import Answers, Detectors, Peaks, Sample, sort_answers
from unitscope.tables import align, clean
from unitscope.views.detector_sheet import draw_answers
from unitscope.views.figures import Jitter, draw_jitter

COLUMNS = ("unit", "label", "threshold", "fitted", "balanced_accuracy", "low", "high", "auroc")


@dataclass(frozen=True, eq=False)
class Findings:
    """What is shown: the units of a layer as detectors of a sample's concept, with controls.

    `units` are those shown, in order; `labels` name every unit of the layer, empty where there is no name;
    `shuffled` are the figures of the best of them where labels mean nothing.
    """

    layer: str
    sample: Sample
    peaks: Peaks
    detectors: Detectors
    units: Sequence[int]
    labels: Sequence[str]
    shuffled: Float64[np.ndarray, "draw"]

    @property
    def chance(self) -> float:
        """The balanced accuracy of a unit of the layer by lot."""
        return float(self.detectors.balanced.mean())

    @property
    def luck(self) -> tuple[float, float]:
        """The mean of the control with shuffled labels, and what 95 % of its draws stay below."""
        return float(self.shuffled.mean()), float(np.quantile(self.shuffled, 0.95))

    @property
    def answers(self) -> Answers:
        """What the first unit shown says of each image measured."""
        return sort_answers(self.peaks, self.sample, self.detectors, self.units[0])


def show_findings(findings: Findings) -> str:
    """The table that `unitscope detect` prints."""
    found, sample = findings.detectors, findings.sample
    half = len(sample) // 4
    named = any(findings.labels)
    head = ["unit", *(["label"] if named else []), "threshold", "balanced accuracy", "95 % interval", "AUROC"]
    rows = [head]
    for unit in findings.units:
        row = [str(unit), *([findings.labels[unit] or "-"] if named else []), f"{found.threshold[unit]:.4g}"]
        row += [f"{found.balanced[unit]:.3f}", f"{found.low[unit]:.3f} to {found.high[unit]:.3f}"]
        rows.append([*row, f"{found.auroc[unit]:.3f}"])
    mean, high = findings.luck
    answers, name = findings.answers, clean(sample.name)
    who = "the best unit" if len(findings.units) > 1 else f"unit {findings.units[0]}"
    return "\n".join(
        [
            f"{name}: {2 * half} images with, {2 * half} without; threshold and order from one "
            f"half, the rest from the other",
            "",
            align(rows, left=(1,) if named else ()),
            "",
            f"unit {answers.unit} is silent in {len(answers.silent)} of {half} images with {name}, "
            f"and high in {len(answers.alarms)} of {half} without",
            f"a unit by lot: {findings.chance:.3f}, the mean of {len(found)} units",
            f"{who} with labels shuffled: {mean:.3f}, below {high:.3f} in 95 of 100 draws",
        ]
    )


def describe_findings(findings: Findings) -> dict[str, object]:
    """The same as JSON."""
    mean, high = findings.luck
    answers = findings.answers
    return {
        "layer": findings.layer,
        "concepts": [f"{concept.category}/{concept.label}" for concept in findings.sample.concepts],
        "images": len(findings.sample) // 2,
        "units": [dict(zip(COLUMNS, _row(findings, unit), strict=True)) for unit in findings.units],
        "silent": {"unit": answers.unit, "images": answers.silent.tolist()},
        "alarms": {"unit": answers.unit, "images": answers.alarms.tolist()},
        "mean_of_units": findings.chance,
        "shuffled": {"mean": mean, "quantile_95": high, "draws": len(findings.shuffled)},
    }


def write_findings(findings: Findings, source: ConceptSource, out: Path) -> tuple[Path, ...]:
    """Writes detectors.csv, all units in order, and of the first one shown jitter.svg and answers.png.

    The last are images of the source, by what the unit says of them: see `draw_answers`. Returns the paths.

    Raises `UsageError` where matplotlib is missing, `RunError` where a file cannot be written.
    """
    table = out / "detectors.csv"
    with writing(table):
        out.mkdir(parents=True, exist_ok=True)
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for unit in findings.detectors.order.tolist():
                cells = _row(findings, unit)
                writer.writerow([f"{one:.9g}" if isinstance(one, float) else one for one in cells])
    jitter = draw_jitter(_plan_jitter(findings, findings.units[0]), out / "jitter.svg")
    pictures = draw_answers(findings.answers, findings.sample, source, out / "answers.png")
    return table, jitter, pictures


def _row(findings: Findings, unit: int) -> list[int | float | str]:
    found = findings.detectors
    columns = (found.threshold, found.fitted, found.balanced, found.low, found.high, found.auroc)
    label = findings.labels[unit]
    safe = f"'{label}" if label[:1] in "=+-@\t\r" and label else label  # as in units.csv
    return [unit, safe, *(float(column[unit]) for column in columns)]


def _plan_jitter(findings: Findings, unit: int) -> Jitter:
    """The images that the unit is measured on."""
    found, sample = findings.detectors, findings.sample
    values, truth = findings.peaks[~sample.fitting, unit], sample.present[~sample.fitting]
    label = f" ({findings.labels[unit]})" if findings.labels[unit] else ""
    name = clean(sample.name)
    return Jitter(
        f"unit {unit}{label} detects {name}: balanced accuracy {found.balanced[unit]:.1%}",
        f"peak activation of unit {unit} of {findings.layer}",
        (f"{name}\n{int(truth.sum())} images", values[truth].tolist()),
        (f"no {name}\n{int((~truth).sum())} images", values[~truth].tolist()),
        float(found.threshold[unit]),
    )
