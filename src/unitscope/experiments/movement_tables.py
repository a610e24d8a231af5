"""The study of movement as rows, files and text."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from unitscope.experiments.movement import GROUPS, MOST, AttackStudy, Estimate, Movement
from unitscope.experiments.tables import lay_out, write_tables

MOVEMENT_COLUMNS = ("source", "target", "group", "units", "images", "change", "change_low", "change_high",
                    "size", "size_low", "size_high")  # fmt: skip
ATTACK_COLUMNS = ("key", "truth", "source", "target", "success", "l2", "linf")
GROUP_NAMES = {
    "source": f"{MOST} of source",
    "target": f"{MOST} of target",
    "rest": "rest",
    "random": f"{MOST} random",
}
INTERVALS = "± 99 %: 2.58 standard errors over images; random: 2.58 s.d. over draws"


def describe_attacks(study: AttackStudy) -> dict[str, list[dict[str, object]]]:
    """The study as rows of names and numbers: {"movements": [...], "attacks": [...]}; NaN is None."""
    names = study.network.classes

    def name(place: int | None) -> str:
        return "all" if place is None else names[place]

    movements: list[dict[str, object]] = []
    for row in study.movements:
        told: dict[str, object] = {"source": name(row.source), "target": name(row.target)}
        told |= {"group": row.group, "units": row.units, "images": row.images}
        for word, one in (("change", row.change), ("size", row.size)):
            told |= {word: one.mean, f"{word}_low": one.low, f"{word}_high": one.high}
        movements.append({key: None if value != value else value for key, value in told.items()})
    attacks: list[dict[str, object]] = [
        {
            "key": one.key,
            "truth": name(aim.truth),
            "source": name(one.source),
            "target": name(one.target),
            "success": one.success,
            "l2": one.l2,
            "linf": one.linf,
        }
        for aim, one in zip(study.aims, study.attacked, strict=True)
    ]
    return {"movements": movements, "attacks": attacks}


def write_attacks(study: AttackStudy, out: Path) -> None:
    """Writes `movement.csv` and `attacks.csv` into a folder. Raises `RunError` where it cannot be written."""
    told = describe_attacks(study)
    tables = {
        "movement.csv": lay_out(MOVEMENT_COLUMNS, told["movements"]),
        "attacks.csv": lay_out(ATTACK_COLUMNS, told["attacks"]),
    }
    write_tables(out, tables)


def spell_attacks(study: AttackStudy) -> str:
    """The study in short: how many attacks succeeded, and Markdown tables of the changes by target.

    The absolute change is the measure of paper B, fig. 5; the change says which way.
    """
    done, names = study.success, study.network.classes
    lines = [f"{int(done.sum())} of {len(done)} attacks succeeded"]
    if done.any():
        kept = [one for one in study.attacked if one.success]
        l2, linf = np.mean([one.l2 for one in kept]), np.mean([one.linf for one in kept])
        lines[0] += f"; mean L2 {l2:.3g}, mean Linf {linf:.3g} of pixels in [0, 1]"
        lines += _spell_changes("absolute change of peak", study.movements, names, lambda row: row.size, "")
        lines += _spell_changes("change of peak", study.movements, names, lambda row: row.change, "+")
        lines += ["", INTERVALS]
    return "\n".join(lines)


def _spell_changes(
    title: str,
    movements: Sequence[Movement],
    names: Sequence[str],
    pick: Callable[[Movement], Estimate],
    sign: str,
) -> list[str]:
    heads = " | ".join(GROUP_NAMES[group] for group in GROUPS)
    lines = ["", f"| {title} | {heads} | images |", f"|---|{'---:|' * (len(GROUPS) + 1)}"]
    for target in dict.fromkeys(row.target for row in movements if row.source is None):
        rows = [row for row in movements if row.source is None and row.target == target]
        cells = [f"{_number(pick(row).mean, sign)} ± {_half(pick(row))}" for row in rows]
        to = "all" if target is None else f"to {names[target]}"
        lines.append(f"| {to} | {' | '.join(cells)} | {rows[0].images} |")
    return lines


def _number(value: float, sign: str) -> str:
    return format(value, f"{sign}.3f").replace("-", "−")


def _half(one: Estimate) -> str:
    half = (one.high - one.low) / 2
    return "?" if half != half else f"{half:.3f}"
