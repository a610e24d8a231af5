"""The result of a study: a question of the papers, what was found here, and how it is written down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unitscope.errors import UsageError
from unitscope.files import write_whole
from unitscope.lab.studies.claims import COLUMNS, RULE, Claim, spell_claims
from unitscope.results import Result
from unitscope.tables import Table


class StudyResult(Result):
    """A result that has a figure, and a form for JSON."""

    def draw(self, path: Path) -> Path:
        """Draws the figure as an SVG file; its path.

        Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
        """
        raise NotImplementedError

    def record(self) -> Any:
        """What the command prints with `--json`: mappings, lists, texts and numbers."""
        return self.rows()

    def page(self, folder: str | Path, **shown: Any) -> Path:
        """Writes the tables, what is said of them, and figure.svg into a folder; the figure's path.

        Raises `UsageError` where matplotlib is missing, `RunError` where a file cannot be written.
        """
        return self.draw(self.save(folder) / "figure.svg")


@dataclass(frozen=True)
class Finding(StudyResult):
    """What a study found: claims beside the paper's, and the numbers behind them.

    `details` are the numbers as Markdown, `sheets` the tables by the names of their files. `seeds` says how
    often everything was repeated, `seconds` what training its networks took on one core, `rule` how verdicts
    are reached that are no orders and no correlations. `figure` draws the figure into a file.
    """

    study: str
    question: str
    claims: tuple[Claim, ...]
    details: str
    sheets: Mapping[str, Table] = field(default_factory=dict)
    seeds: str = ""
    seconds: float = 0.0
    quick: bool = False
    rule: str = ""
    figure: Callable[[Path], Path] | None = field(default=None, compare=False)

    def spell(self) -> str:
        """The finding as Markdown: claims, numbers, seeds and time. It is what finding.md holds."""
        parts = ["*A quick look, not a result.*"] if self.quick else []
        parts += [spell_claims(self.claims), " ".join([RULE, self.rule]).strip(), self.details]
        end = f"Seeds: {self.seeds}." if self.seeds else ""
        if self.seconds:
            end += (
                f" Teaching the networks: {spell_time(self.seconds)} on one core, shared with other studies."
            )
        return "\n\n".join([*parts, end.strip()]).strip() + "\n"

    def text(self) -> str:
        """The question, and the finding as Markdown."""
        return f"{self.question}\n\n{self.spell().rstrip()}"

    def tables(self) -> dict[str, Table]:
        """The tables by the names of their files, the main one first."""
        return dict(self.sheets)

    def save(self, folder: str | Path) -> Path:
        """Writes every table as CSV, and finding.md, into a folder, which is made; the folder.

        Raises `RunError` where they cannot be written.
        """
        return write_whole(super().save(folder) / "finding.md", self.spell()).parent

    def draw(self, path: Path) -> Path:
        """Draws the figure as an SVG file; its path.

        Raises `UsageError` where there is none, or matplotlib is missing; `RunError` where the file cannot be
        written.
        """
        if self.figure is None:
            raise UsageError(f"the study {self.study} has no figure; save() writes its tables")
        return self.figure(path)

    def record(self) -> dict[str, Any]:
        """The finding as mappings and lists, its tables as rows of text, the names of the columns first."""
        return {
            "study": self.study,
            "question": self.question,
            "claims": [asdict(claim) for claim in self.claims],
            "text": self.details,
            "tables": {name: list(sheet.cells()) for name, sheet in self.sheets.items()},
            "seeds": self.seeds,
            "seconds": self.seconds,
            "quick": self.quick,
            "rule": self.rule,
        }


def spell_time(seconds: float | int) -> str:
    """Seconds as people say them.

    >>> spell_time(42.4), spell_time(4000)
    ('42 s', '67 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def spell_summary(findings: Sequence[Finding]) -> str:
    """All claims of all studies side by side, as a Markdown table."""
    rows = tuple(
        (f"[{finding.study}]({finding.study}.md): {claim.source}", *claim.cells())
        for finding in findings
        for claim in finding.claims
    )
    return Table(("study", *COLUMNS), rows, range(4)).markdown() + "\n"
