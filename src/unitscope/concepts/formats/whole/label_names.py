"""Files that say what the labels of a list mean."""

import re
from pathlib import Path

from unitscope.concepts.formats.folder.mask_classes import read_json
from unitscope.concepts.formats.text_lists import read_lines
from unitscope.concepts.formats.whole.label_lists import split_parts
from unitscope.errors import SourceError

_FORMS = (
    re.compile(r"(?P<label>\d+)\s*[\s,:]\s*(?P<name>.+)"),
    re.compile(r"(?P<name>.+?)\s*[\s,:]\s*(?P<label>\d+)"),
    re.compile(r"(?P<label>[^\s,:]+)\s*[\s,:]\s*(?P<name>.+)"),
)
"""A label and its name in a line: a number first, a number behind, a word first."""


def read_label_names(path: Path, cells: set[str]) -> dict[str, str]:
    """The name of every label, read in the form that names most of the `cells`, which may hold several.

    Raises `SourceError` naming the file where it is no list of names, or the place of a name is in doubt.
    """
    if path.suffix.lower() == ".json":
        data = read_json(path)
        pairs = dict(enumerate(data)) if isinstance(data, list) else data
        if not isinstance(pairs, dict) or not all(isinstance(name, str) for name in pairs.values()):
            raise SourceError(f"{path}: wanted a list of names, or an object that maps labels to names")
        return {str(label): name for label, name in pairs.items()}
    lines = read_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    forms = [_match(path, [line for line in lines if line], form) for form in _FORMS]
    # Lines that begin with numbers are numbered, even where they do not name all labels.
    if forms[0]:
        return forms[0]
    counted = {str(number): name for number, name in enumerate(lines)}
    alone = {name: name for name in lines if name}
    found = max((*forms[1:], counted, alone), key=lambda names: sum(_names(names, cell) for cell in cells))
    if found is counted and "" in lines:
        place = lines.index("") + 1
        raise SourceError(f"{path}, line {place}: empty, so the numbers after it are in doubt; remove it")
    return found


def _match(path: Path, lines: list[str], form: re.Pattern[str]) -> dict[str, str]:
    """The names in lines that all have a form; none where one has not."""
    names: dict[str, str] = {}
    for match in map(form.fullmatch, lines):
        if match is None:
            return {}
        label, name = match["label"], match["name"].strip("\"'")
        if names.setdefault(label, name) != name:
            if form is not _FORMS[0]:
                return {}
            raise SourceError(f"{path}: the label {label} is named twice; keep one line of it")
    return names


def _names(names: dict[str, str], cell: str) -> bool:
    return cell in names or all(part in names for part in split_parts(cell))
