"""Names of units as any tool gives them: runs, tables of ours and of others, and lists of rows."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unitscope.concepts.vocabulary import Vocabulary
from unitscope.dissection.formula_text import ConceptFormula, parse_formula
from unitscope.dissection.result import Dissection
from unitscope.dissection.storage import load
from unitscope.errors import RunError, UsageError

NAME_COLUMNS = ("formula", "word", "concept", "description", "label")
"""Where a name stands: the first of these. CLIP-Dissect writes descriptions, NetDissect labels; `words.csv`
has concepts beside its words, for comparison."""

_TALLY = {"unit", "category", "label", "score"}
"""Columns of NetDissect's tally.csv, whose units are counted from 1."""

_NONE = ("", "-", "none", "None")


@dataclass(frozen=True)
class UnitName:
    """What a tool calls a unit; `where` says where that stands, for messages.

    `layer` is None where the tool does not say it; `category` is that of a single concept, where it is known.
    `iou`, `score` and `q_value` are what the tool says of the name in columns of these titles.
    """

    layer: str | None
    unit: int
    name: str
    where: str
    category: str | None = None
    iou: float | None = None
    score: float | None = None
    q_value: float | None = None


@dataclass(frozen=True)
class NameList:
    """The names of some units. `unnamed` counts those that got none.

    `source` is the digest of the images that the names were made from, `network` that of the network, where
    they are known.
    """

    names: tuple[UnitName, ...]
    unnamed: int = 0
    source: str | None = None
    network: str | None = None


def read_names(names: object) -> NameList:
    """The names that a tool gave to units.

    From the folder of a run, a table in a CSV file with a column `unit`, one of `NAME_COLUMNS`, and `layer`
    where there are several; a result with `rows()`, such as a `Dissection`; or a list of such rows. In
    NetDissect's `tally.csv` units are counted from 1. Rows without a name are counted and left out.

    Raises `RunError` for a file that cannot be read, `UsageError` for a table without names or with other
    columns, or for a unit that is no number.

    >>> found = read_names([{"unit": 3, "concept": "sky"}, {"unit": 4, "concept": ""}])
    >>> [(one.unit, one.name, one.where) for one in found.names], found.unnamed
    ([(3, 'sky', 'row 1')], 1)
    """
    if isinstance(names, str | Path):
        return _read_path(Path(names))
    made = names.recipe if isinstance(names, Dissection) else None
    rows = names.rows() if hasattr(names, "rows") else names
    if not isinstance(rows, Iterable):
        raise UsageError(f"names are a {type(names).__name__}; give a file, a run, or a list of rows")
    listed = list(rows)
    wrong = next((row for row in listed if not isinstance(row, Mapping)), None)
    if wrong is not None:
        raise UsageError(
            f"a row of names is a {type(wrong).__name__}; wanted a mapping with unit and concept"
        )
    numbered = ((f"row {number}", row) for number, row in enumerate(listed, 1))
    found = _list_names(numbered, "the list of names")
    return found if made is None else replace(found, source=made.source.digest, network=made.network.digest)


def _read_path(path: Path) -> NameList:
    if path.is_dir():
        return read_names(load(path))
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            numbered = [(f"{path} line {rows.line_num}", row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"cannot read {path}: {error}") from error
    return _list_names(numbered, str(path))


def _list_names(rows: Iterable[tuple[str, Mapping[str, Any]]], origin: str) -> NameList:
    listed = list(rows)
    if not listed:
        raise UsageError(f"{origin} has no rows; give one for every unit, with unit and concept")
    columns = {str(column) for _, row in listed for column in row}
    if "unit" not in columns or not columns & {*NAME_COLUMNS}:
        lack = "unit" if "unit" not in columns else "concept or formula"
        raise UsageError(f"{origin} has no column {lack}; wanted unit, concept or formula, and layer")
    first = 1 if columns >= _TALLY and not columns & {*NAME_COLUMNS} - {"label"} else 0
    found = list(_name_rows(listed, first))
    kept = tuple(one for one in found if one.name not in _NONE)
    if not kept:
        raise UsageError(f"{origin} has {len(found)} rows and no name in them; give units with names")
    return NameList(kept, len(found) - len(kept))


def _name_rows(rows: Sequence[tuple[str, Mapping[str, Any]]], first: int) -> Iterator[UnitName]:
    """The rows as names; units are counted from `first`."""
    for where, row in rows:
        try:
            unit = int(str(row["unit"]).strip())
        except (KeyError, ValueError) as error:
            raise UsageError(
                f"{where}: unit is {row.get('unit')!r}; wanted its number, from {first} on"
            ) from error
        if unit < first:
            raise UsageError(f"{where}: unit is {unit}; units are counted from {first} here")
        named = next((column for column in NAME_COLUMNS if _text(row.get(column))), "concept")
        layer, name, category = (_text(row.get(key)) for key in ("layer", named, "category"))
        single = category if named in ("concept", "label") else None
        fit = [_number(row.get(key)) for key in ("iou", "score", "q_value")]
        yield UnitName(layer or None, unit - first, name, where, single or None, *fit)


def _number(value: object) -> float | None:
    try:
        number = float(_text(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str:
    return "" if value is None else str(value).strip().removeprefix("'")


def parse_name(one: UnitName, vocabulary: Vocabulary) -> ConceptFormula:
    """The formula that a name is, of one concept or several. Raises `UsageError` as `parse_formula` does."""
    alike = [
        concept.id
        for concept in vocabulary
        if concept.category == one.category and one.name in (concept.name, concept.label)
    ]
    return ConceptFormula((alike[0],)) if len(alike) == 1 else parse_formula(one.name, vocabulary)


def parse_names(
    names: Sequence[UnitName], vocabulary: Vocabulary, skip_unknown: bool
) -> tuple[list[tuple[UnitName, ConceptFormula]], list[str]]:
    """Every name with its formula; and, where they may be left out, those that are none, each once.

    Raises `UsageError` for the first name that is none, with the number of others, unless they may.
    """
    known: dict[tuple[str, str | None], ConceptFormula | UsageError] = {}
    found, unknown = list[tuple[UnitName, ConceptFormula]](), dict[str, UsageError]()
    for one in names:
        key = (one.name, one.category)
        if key not in known:
            try:
                known[key] = parse_name(one, vocabulary)
            except UsageError as error:
                known[key] = UsageError(f"{one.where}: {error}")
        parsed = known[key]
        if isinstance(parsed, ConceptFormula):
            found.append((one, parsed))
        else:
            unknown.setdefault(one.name, parsed)
    if unknown and (not skip_unknown or not found):
        more = f" (and {len(unknown) - 1} other names)" if len(unknown) > 1 else ""
        advice = "" if skip_unknown else "; skip_unknown (--skip-unknown) leaves such names out"
        raise UsageError(f"{next(iter(unknown.values()))}{more}{advice}")
    return found, list(unknown)
