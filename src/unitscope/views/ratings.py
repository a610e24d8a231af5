"""Ratings as aligned text for a terminal, and as JSON with the same content."""

from dataclasses import asdict
from typing import Any

from unitscope.experiments.questionnaire import Questionnaire
from unitscope.experiments.raters import RatingResult
from unitscope.experiments.rating_tables import spell_agreement, spell_layers, spell_raters
from unitscope.tables import align, plain

SCHEMA = 1


def show_ratings(questionnaire: Questionnaire, result: RatingResult) -> str:
    """The text of `unitscope ratings`: how much was asked, then layers, raters, their agreement."""
    kinds = [len(questionnaire.of(kind)) for kind in ("label", "repeat", "decoy")]
    raters = len(result.raters)
    flagged = sum(bool(row.flags) for row in result.raters)
    parts = [
        f"{kinds[0]} units, {kinds[1]} asked twice, {kinds[2]} decoys; {raters} "
        f"{'rater' if raters == 1 else 'raters'}, {flagged} flagged; "
        f"detectors have IoU > {questionnaire.cutoff:g}",
        align(spell_layers(result), left=(0,)),
        align(spell_raters(result), left=(0, 7)),
        spell_agreement(result),
    ]
    return "\n\n".join(parts)


def describe_ratings(questionnaire: Questionnaire, result: RatingResult) -> dict[str, Any]:
    """What `show_ratings` shows, ready for JSON; what could not be measured is null."""
    about = {
        "schema": SCHEMA,
        "cutoff": questionnaire.cutoff,
        "units": len(questionnaire.labels),
        "repeats": len(questionnaire.of("repeat")),
        "decoys": len(questionnaire.of("decoy")),
    }
    found: dict[str, Any] = plain(asdict(result))
    for row in found["layers"]:
        row["above"] = [{"cutoff": cutoff, **measure} for cutoff, measure in row["above"]]
    return {**about, **found}
