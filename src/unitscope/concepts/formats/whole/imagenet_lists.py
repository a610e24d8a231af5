"""The lists of ImageNet: what synsets are called, in which order the devkit counts them, and what is true."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unitscope.concepts.formats.text_lists import read_lines
from unitscope.errors import SourceError, missing_extra

SYNSET = re.compile(r"n\d{8}")
_LINE = re.compile(r"(?:(?P<number>[0-9]{1,6})[\s,:]+)?(?P<synset>n\d{8})(?:[\s,:]+(?P<words>.*))?")
_LAST = re.compile(r"(\d+)$")
_LARGEST = 64 << 20


@dataclass(frozen=True)
class Synsets:
    """A list of synsets: words by id, and ids by the devkit's numbers, from 1, where it tells their order."""

    path: Path
    words: Mapping[str, str]
    order: Mapping[int, str] | None


def read_synsets(path: Path) -> Synsets:
    """A list with a line a synset, "n01440764 tench, Tinca tinca", or the devkit's `meta.mat`.

    A list is in the devkit's order where its lines are numbered from 1, or where they are not sorted by id.

    Raises `SourceError` naming file and line for what is no such list.
    """
    if path.suffix.lower() == ".mat":
        return _read_meta(path)
    words: dict[str, str] = {}
    numbers: list[str | None] = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line:
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            wanted = "a synset and its names, as in: n01440764 tench, Tinca tinca"
            raise SourceError(f"{path}, line {number}: {line[:60]!r}; wanted {wanted}")
        if found["synset"] in words:
            raise SourceError(
                f"{path}, line {number}: {found['synset']} is listed twice; keep one line of it"
            )
        words[found["synset"]] = found["words"] or found["synset"]
        numbers.append(found["number"])
    return Synsets(path, words, _find_order(path, list(words), numbers))


def _find_order(path: Path, ids: list[str], numbers: list[str | None]) -> dict[int, str] | None:
    given = [int(number) for number in numbers if number is not None]
    if given and len(given) < len(ids):
        raise SourceError(f"{path}: some lines are numbered and some are not; number all or none")
    if given:
        if len(set(given)) < len(given):
            raise SourceError(f"{path}: a number stands before two synsets; number them from 1 on")
        return dict(zip(given, ids, strict=True)) if min(given) == 1 else None
    # Sorted ones are in the order of Kaggle and of networks' outputs, which is another one.
    return None if ids == sorted(ids) else dict(enumerate(ids, start=1))


def _read_meta(path: Path) -> Synsets:
    """The synsets without children of a devkit's `meta.mat`, the classes."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise missing_extra("scipy", f"reads {path.name}", "studies") from None
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"larger than {_LARGEST >> 20} MB")
        rows = loadmat(path, squeeze_me=True, variable_names=["synsets"])["synsets"]
        rows = rows.reshape(-1)
        leaves = [
            row for row in rows if "num_children" not in rows.dtype.names or not int(row["num_children"])
        ]
        order = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in leaves}
        words = {str(row["WNID"]): str(row["words"]) for row in leaves}
    except Exception as error:  # whatever the parser of MATLAB's files meets
        said = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise SourceError(f"{path}: is not the meta.mat of ImageNet's devkit ({said})") from None
    return Synsets(path, words, dict(sorted(order.items())))


@dataclass(frozen=True)
class Truth:
    """The synset of every picture of the validation set: by name, or by the number at its name's end."""

    by_name: Mapping[str, str]
    by_number: Mapping[int, str]

    def find(self, stem: str) -> str:
        """The synset of the picture of that name without ending; nothing where it is not told."""
        number = _LAST.search(stem)
        told = self.by_name.get(stem, "")
        return told or (self.by_number.get(int(number[1]), "") if number else "")


def read_truth(path: Path, *orders: Synsets | None) -> Truth:
    """Kaggle's truth, "NAME,SYNSET ..." a line, or the devkit's, a number a line.

    The devkit's needs its order, which is that of the first of `orders` that has one.

    Raises `SourceError` naming file and line for what is neither, and where the order is not known.
    """
    lines = [(number, line) for number, line in enumerate(read_lines(path), start=1) if line]
    if lines and lines[0][1].isdigit():
        order = next((one.order for one in orders if one is not None and one.order), None)
        if order is None:
            why = "its numbers are in the devkit's own order of the classes, which no list here tells"
            advice = "put the devkit's meta.mat beside it, or give a list in that order, with synsets=FILE"
            raise SourceError(f"{path}: {why}; {advice}")
        counted = enumerate(lines, start=1)
        return Truth({}, {place: _look_up(path, number, line, order) for place, (number, line) in counted})
    by_name = {}
    for number, line in lines:
        name, *rest = re.split(r"[,\s]+", line)
        if rest and SYNSET.fullmatch(rest[0]):
            by_name[re.sub(r"\.jpe?g$", "", name, flags=re.IGNORECASE)] = rest[0]
        elif number > 1:
            wanted = "a picture's name and its synset, or the devkit's number alone"
            raise SourceError(f"{path}, line {number}: {line[:60]!r}; wanted {wanted}")
    return Truth(by_name, {})


def _look_up(path: Path, number: int, line: str, order: Mapping[int, str]) -> str:
    if not re.fullmatch(r"[0-9]{1,6}", line) or int(line) not in order:
        raise SourceError(f"{path}, line {number}: there is no class {line[:20]!r}; wanted 1 to {max(order)}")
    return order[int(line)]
