"""Explanations and deletion tests as aligned text for a terminal, and as JSON with the same content."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from pathlib import Path

from unitscope.axes import Pixels
from unitscope.concepts.vocabulary import Concept
from unitscope.errors import writing
from unitscope.interventions.deletion import KINDS, Deletion, DeletionTest
from unitscope.interventions.explanation import Explanation
from unitscope.tables import align, clean
from unitscope.views.figures import Panel, draw_panels

SCHEMA = 1
KIND_NAMES = {"top": "top contributors", "active": "most active", "random": "random"}


@dataclass(frozen=True, eq=False)
class Exhibit:
    """An explained image, with what is shown beside it.

    `key` is what the image is called, `labels` are those of the units that have one, `truth` is the image's
    own class where it is known, `units` is how many top contributors are shown.
    """

    key: str
    image: Pixels
    explanation: Explanation
    labels: Mapping[int, Concept] = field(default_factory=dict)
    truth: int | None = None
    units: int = 6

    @property
    def shown(self) -> list[int]:
        """The top contributors, the largest first."""
        top: list[int] = self.explanation.order[: self.units].tolist()
        return top

    @property
    def sums(self) -> list[tuple[str, float]]:
        """The logit as a short sum: the units shown, the others, what stays without any, a gap if any."""
        found = self.explanation
        ours, everything = (float(found.contributions[part].sum()) for part in (self.shown, slice(None)))
        parts = [
            (f"{len(self.shown)} units shown", ours),
            (f"{len(found.contributions) - len(self.shown)} other units", everything - ours),
            ("without any unit", found.rest),
        ]
        return parts if found.method == "exact" else [*parts, ("what the sum misses", -found.gap)]


def show_explanation(exhibit: Exhibit) -> str:
    """The text of `unitscope explain`: the prediction, then the logit as a sum over units and a rest."""
    explanation = exhibit.explanation
    rows = [["unit", "label", "activation", "contribution", "share"]]
    for unit in exhibit.shown:
        share, label = explanation.share(unit), exhibit.labels.get(unit)
        rows.append(
            [
                str(unit),
                f"{label.label} ({label.category})" if label else "-",
                f"{explanation.activation[unit]:.3g}",
                signed(float(explanation.contributions[unit])),
                "-" if share is None else f"{share:.1%}",
            ]
        )
    rows += [["", name, "", signed(value), ""] for name, value in exhibit.sums[1:]]
    rows.append(["", f"logit of {explanation.name(explanation.target)}", "", f"{explanation.logit:.2f}", ""])
    return f"{_tell_prediction(exhibit)}\n{align(rows, left=(1,))}"


def _tell_prediction(exhibit: Exhibit) -> str:
    explanation, truth = exhibit.explanation, exhibit.truth
    predicted, second, chances = explanation.predicted, explanation.runner_up, explanation.probabilities
    said = f"{clean(exhibit.key, 80)}: {clean(explanation.name(predicted))}, {chances[predicted]:.0%}"
    if truth is not None:
        said += (
            " (right)" if truth == predicted else f" (wrong: the label is {clean(explanation.name(truth))})"
        )
    if second is not None:
        said += f"; then {clean(explanation.name(second))}, {chances[second]:.0%}"
    how = f"{explanation.method} sum over {len(explanation.contributions)} units of {explanation.layer}"
    if explanation.method != "exact":
        how = (
            f"an approximation, {explanation.method} over {len(explanation.contributions)} units of "
            f"{explanation.layer}; the sum is off by {abs(explanation.gap):.2f}"
        )
    return f"{said}\n{how}"


def describe_explanation(exhibit: Exhibit) -> dict[str, object]:
    """What `show_explanation` shows, ready for JSON, with the contributions of all units in their order."""
    explanation, truth = exhibit.explanation, exhibit.truth
    rows = []
    for unit in exhibit.shown:
        label = exhibit.labels.get(unit)
        rows.append(
            {
                "unit": unit,
                "label": label.label if label else None,
                "category": label.category if label else None,
                "activation": float(explanation.activation[unit]),
                "contribution": float(explanation.contributions[unit]),
                "share": explanation.share(unit),
            }
        )
    predicted, second, chances = explanation.predicted, explanation.runner_up, explanation.probabilities
    return {
        "image": exhibit.key,
        "network": explanation.network,
        "layer": explanation.layer,
        "predicted": explanation.name(predicted),
        "probability": float(chances[predicted]),
        "runner_up": None if second is None else explanation.name(second),
        "runner_up_probability": None if second is None else float(chances[second]),
        "truth": None if truth is None else explanation.name(truth),
        "right": None if truth is None else truth == predicted,
        "class": explanation.name(explanation.target),
        "method": explanation.method,
        "logit": explanation.logit,
        "rest": explanation.rest,
        "gap": explanation.gap,
        "units": rows,
        "contributions": explanation.contributions.tolist(),
    }


def show_deletion(test: DeletionTest, rows: Sequence[Deletion]) -> str:
    """The table of a deletion test: what the predicted class loses, by number and kind of units removed."""
    table = [["removed", "units", "logit falls by", "95 %", "probability by", "95 %", "renamed"]]
    table += [
        [
            str(row.count),
            KIND_NAMES[row.kind],
            f"{row.logit:.3f}",
            f"{row.logit_low:.3f} to {row.logit_high:.3f}",
            f"{row.probability:.3f}",
            f"{row.probability_low:.3f} to {row.probability_high:.3f}",
            f"{row.renamed:.1%}",
        ]
        for row in rows
    ]
    how = "exact contributions" if test.method == "exact" else f"{test.method}, an approximation"
    title = f"predicted class without some units: {len(test):,} images, {how}, {test.draws} random draws each"
    return f"{title}\n{align(table, left=(1,))}"


def describe_deletion(test: DeletionTest, rows: Sequence[Deletion]) -> dict[str, object]:
    """What `show_deletion` shows, ready for JSON."""
    told = {"images": len(test), "draws": test.draws, "method": test.method}
    return {**told, "rows": [asdict(row) for row in rows]}


def write_json(told: Mapping[str, object], path: Path) -> None:
    """Writes JSON. Raises `RunError` where it cannot be written."""
    with writing(path, "name another --out"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def write_deletion(rows: Sequence[Deletion], folder: Path) -> Path:
    """Writes `deletion.csv` and `deletion.svg`; the path of the figure.

    Raises `RunError` where they cannot be written, `UsageError` where matplotlib is missing.
    """
    with writing(f"to {folder}", "name another --out"):
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "deletion.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([column.name for column in fields(Deletion)])
            writer.writerows(astuple(row) for row in rows)
    panels = []
    for title, name in (("logit", "logit"), ("probability", "probability")):
        lines = {KIND_NAMES[kind]: [_point(row, name) for row in rows if row.kind == kind] for kind in KINDS}
        panels.append(Panel(title, "units removed", lines))
    return draw_panels(panels, folder / "deletion.svg", y="falls by", shared=False)


def _point(row: Deletion, name: str) -> tuple[float, float, float]:
    low, high = float(getattr(row, f"{name}_low")), float(getattr(row, f"{name}_high"))
    return float(row.count), (low + high) / 2, (high - low) / 2


def signed(value: float) -> str:
    """A number of two decimals with its sign; nothing is minus zero.

    >>> signed(-0.001), signed(0.127), signed(-2.0)
    ('+0.00', '+0.13', '-2.00')
    """
    return f"{round(value, 2) + 0.0:+.2f}"
