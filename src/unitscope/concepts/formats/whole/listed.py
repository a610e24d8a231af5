"""A folder of images with a list that says what each shows: `folder:DIR,list=FILE[,names=FILE]`.

The list has a line a picture, its path below the folder and its label, a number or words::

    street/a.jpg 3              images/b.jpg tennis court

or is a table, `.csv` or `.tsv`, of two columns, with or without a line of titles. A picture that is listed
several times has several labels. `names` is a file that says what labels mean, in one of these forms:

- JSON, a list of names from 0 on, or an object, `{"3": "street"}`;
- lines with a label and its name, `3 street`, `3,street` or `n01440764 tench`, or the name first, `street 3`;
- lines with a name alone: the numbers are those of the lines, from 0 on.

Without it the labels are the names. A picture outside the list is left out, or with `bare=in` taken in.
"""

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from unitscope.concepts.formats.annotated import AnnotatedSource, decode_by
from unitscope.concepts.formats.folder.layouts import SPLITS_FILE, keep_split
from unitscope.concepts.formats.folder.mask_classes import read_json
from unitscope.concepts.formats.listings import list_folder
from unitscope.concepts.formats.stored.decoding import read_decoding
from unitscope.concepts.formats.text_lists import read_lines
from unitscope.concepts.formats.whole.images import (
    MISSING,
    NO_PICTURE,
    UNLABELLED,
    LabelledPictures,
    find_file,
    is_picture,
)
from unitscope.concepts.left_out import takes_bare
from unitscope.errors import SourceError, UsageError

_TITLED = re.compile(r"(image|picture|photo|file|path|name|key|id)", re.IGNORECASE)

_NAMED = (
    re.compile(r"(?P<label>\d+)\s*[\s,:]\s*(?P<name>.+)"),
    re.compile(r"(?P<name>.+?)\s*[\s,:]\s*(?P<label>\d+)"),
    re.compile(r"(?P<label>[^\s,:]+)\s*[\s,:]\s*(?P<name>.+)"),
)
"""A label and its name in a line: a number first, a number behind, a word first."""


def open_listed(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """A folder and a list, as described above; options `list`, `names`, and those of `open_folder` but masks.

    `category` is `scene` unless given, as of all pictures that a folder has labelled as a whole.

    Raises `UsageError` where the folder or a file is not there, `SourceError` naming file and line where the
    list or the names are wrong, or the list names no picture of the folder.
    """
    root = Path(place)
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder; wanted one of images that {options['list']} lists")
    bare = takes_bare(options)
    path, listing = find_file(options["list"], root), list_folder(root)
    pictures = [name for name in listing.names if is_picture(name)]
    here = set(pictures)
    listed = _read_list(path, here.__contains__)
    texts = [path]
    if "names" in options:
        texts.append(find_file(options["names"], root))
        listed = _name(listed, texts)
    labels: dict[str, list[str]] = {}
    for name, label, _ in listed:
        labels.setdefault(name, []).append(label)

    own = {one.resolve() for one in (*texts, root / SPLITS_FILE)}
    left_out = [*listing.left_out]
    left_out += [
        (NO_PICTURE, name)
        for name in listing.names
        if name not in here and (root / name).resolve() not in own
    ]
    left_out += [(MISSING, name) for name in labels if name not in here]
    taken = {name: tuple(dict.fromkeys(labels.get(name, ()))) for name in pictures}
    if not any(taken.values()):
        raise SourceError(f"{path}: lists no picture of {root}, such as {next(iter(labels), 'nothing')}")
    if not bare:
        left_out += [(UNLABELLED, name) for name, named in taken.items() if not named]
        taken = {name: named for name, named in taken.items() if named}
    names = sorted({label for named in labels.values() for label in named}, key=_in_order)
    found = LabelledPictures(root, names, taken, [*texts, root / SPLITS_FILE], left_out)
    given = {key: value for key, value in options.items() if key != "split"}
    source = found.open("folder", place, given, options.get("category", "scene"))
    source = decode_by(source, read_decoding(options))
    return source if "split" not in options else keep_split(source, options["split"])


Listed = tuple[str, str, int]
"""A picture, its label, and the line."""


def _read_list(path: Path, is_there: Callable[[str], bool]) -> list[Listed]:
    lines = read_lines(path)
    first = next(filter(None, lines), "")
    mark = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower(), "\t" if "\t" in first else "")
    if not mark and " " not in first and "," in first:
        mark = ","
    found: list[Listed] = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        cells = _split_cells(path, number, line, mark) if mark else _split_words(line, is_there)
        name, label = ([cell.strip() for cell in cells] + [""])[:2]
        if not found and mark and not is_picture(name) and _TITLED.search(name):
            continue  # the titles
        if not name or not label or len(cells) > 2:
            raise SourceError(f"{path}, line {number}: {line[:80]!r}; wanted a picture and its label")
        found.append((name.removeprefix("./").lstrip("/"), label, number))
    return found


def _split_cells(path: Path, number: int, line: str, mark: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=mark))
    except csv.Error as error:
        raise SourceError(f"{path}, line {number}: no row of a table ({error})") from None


def _split_words(line: str, is_there: Callable[[str], bool]) -> list[str]:
    """Name and label of a line, both perhaps with spaces: the name is a picture's, or all but a word."""
    if len(cells := line.split()) == 2:
        return cells
    places = [match.start() for match in re.finditer(r"\s+", line)]
    for place in places:
        if is_there(line[:place].removeprefix("./").lstrip("/")):
            return [line[:place], line[place:]]
    return [line[: places[-1]], line[places[-1] :]] if places else [line]


def _name(listed: list[Listed], texts: list[Path]) -> list[Listed]:
    """The list with names for labels. Raises `SourceError` for a label that has none."""
    path, file = texts
    names = _read_names(file, {label for _, label, _ in listed})
    named = []
    for name, label, number in listed:
        if label not in names:
            counted = (
                "; its lines count from 0, unless each begins with its number" if label.isdigit() else ""
            )
            raise SourceError(
                f"{path}, line {number}: {file.name} does not name the label {label!r}{counted}"
            )
        named.append((name, names[label], number))
    return named


def _read_names(path: Path, labels: set[str]) -> dict[str, str]:
    """What the labels that occur mean."""
    if path.suffix.lower() == ".json":
        data = read_json(path)
        pairs = dict(enumerate(data)) if isinstance(data, list) else data
        if not isinstance(pairs, dict) or not all(isinstance(name, str) for name in pairs.values()):
            raise SourceError(f"{path}: wanted a list of names, or an object that maps labels to names")
        return {str(label): name for label, name in pairs.items()}
    lines = [line for line in read_lines(path) if line]
    for form in _NAMED:
        matches = [match for line in lines if (match := form.fullmatch(line))]
        found = {match["label"]: match["name"].strip("\"'") for match in matches}
        # Lines that begin with numbers are numbered; other forms are only meant where they name all labels.
        if lines and len(found) == len(lines) and (form is _NAMED[0] or labels <= set(found)):
            return found
    if all(label.isascii() and label.isdigit() for label in labels):
        return {str(number): name for number, name in enumerate(lines)}
    return {name: name for name in lines}


def _in_order(name: str) -> tuple[int, str]:
    """Numbers by value, before words."""
    return (int(name), "") if name.isascii() and name.isdigit() and len(name) < 20 else (1 << 65, name)
