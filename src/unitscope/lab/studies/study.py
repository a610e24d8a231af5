"""A study: a question of the papers, how it is put here, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from unitscope.lab.studies.claims import RULE, Claim, spell_claims
from unitscope.tables import Cells


@dataclass(frozen=True)
class Finding:
    """What a study found: claims beside the paper's, tables for the eye (`text`) and for machines (`tables`).

    `seeds` says how often everything was repeated, `seconds` what teaching its networks took on one core,
    `rule` how verdicts of this study are reached that are no orders and no correlations.
    """

    study: str
    question: str
    claims: tuple[Claim, ...]
    text: str
    tables: dict[str, list[Cells]] = field(default_factory=dict)
    seeds: str = ""
    seconds: float = 0.0
    quick: bool = False
    rule: str = ""

    def spell(self) -> str:
        """The finding as Markdown: claims, numbers, seeds and time."""
        parts = ["*A quick look, not a result.*"] if self.quick else []
        parts += [spell_claims(self.claims), " ".join([RULE, self.rule]).strip(), self.text]
        told = f"Seeds: {self.seeds}." if self.seeds else ""
        if self.seconds:
            told += (
                f" Teaching the networks: {spell_time(self.seconds)} on one core, shared with other studies."
            )
        return "\n\n".join([*parts, told.strip()]).strip() + "\n"


def spell_time(seconds: float | int) -> str:
    """Seconds as people say them.

    >>> spell_time(42.4), spell_time(4000)
    ('42 s', '67 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def spell_summary(findings: Sequence[Finding]) -> str:
    """All claims of all studies at a glance, as a Markdown table."""
    lines = ["| study | the paper found | measured here | verdict |", "|---|---|---|---|"]
    for finding in findings:
        lines += [
            f"| [{finding.study}]({finding.study}.md): {claim.source} | {claim.paper} | {claim.ours} "
            f"| **{claim.verdict}** |"
            for claim in finding.claims
        ]
    return "\n".join(lines) + "\n"
