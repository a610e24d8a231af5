"""Units as detectors of one concept: a table, a CSV, JSON, and the jitter plot."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from unitscope.errors import RunError
from unitscope.interventions.detection import Detectors, Peaks, Sample
from unitscope.views.figures import Jitter, draw_jitter
from unitscope.views.terminal import align, clean

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
    who = "the best unit" if len(findings.units) > 1 else f"unit {findings.units[0]}"
    return "\n".join(
        [
            f"{clean(sample.name)}: {2 * half} images with, {2 * half} without; threshold and order from one "
            f"half, the rest from the other",
            "",
            align(rows, left=(1,) if named else ()),
            "",
            f"a unit by lot: {findings.chance:.3f}, the mean of {len(found)} units",
            f"{who} with labels shuffled: {mean:.3f}, below {high:.3f} in 95 of 100 draws",
        ]
    )


def describe_findings(findings: Findings) -> dict[str, object]:
    """The same as JSON."""
    mean, high = findings.luck
    return {
        "layer": findings.layer,
        "concepts": [f"{concept.category}/{concept.label}" for concept in findings.sample.concepts],
        "images": len(findings.sample) // 2,
        "units": [dict(zip(COLUMNS, _row(findings, unit), strict=True)) for unit in findings.units],
        "mean_of_units": findings.chance,
        "shuffled": {"mean": mean, "quantile_95": high, "draws": len(findings.shuffled)},
    }


def write_findings(findings: Findings, out: Path) -> tuple[Path, Path]:
    """Writes detectors.csv, all units in order, and jitter.svg of the first one shown; their paths.

    Raises `UsageError` where matplotlib is missing, `RunError` where a file cannot be written.
    """
    table = out / "detectors.csv"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for unit in findings.detectors.order.tolist():
                cells = _row(findings, unit)
                writer.writerow([f"{one:.9g}" if isinstance(one, float) else one for one in cells])
    except OSError as error:
        raise RunError(f"cannot write {table}: {error.strerror or error}; name another folder") from error
    return table, draw_jitter(_plan_jitter(findings, findings.units[0]), out / "jitter.svg")


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
