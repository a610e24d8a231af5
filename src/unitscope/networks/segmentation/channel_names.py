"""What the channels of a foreign segmentation network stand for: names and categories."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError, UsageError

NOTHING = frozenset(
    ("", "-", "background", "__background__", "none", "unlabeled", "unlabelled", "void", "ignore", "n/a")
)
"""Names, in any case, of channels that stand for no concept."""

CATEGORY = "object"
"""The category of channels that are given none."""


@dataclass(frozen=True)
class Channels:
    """The concepts of a network's channels: `plane[channel]` is a concept's id, 0 for no concept."""

    vocabulary: Vocabulary
    plane: tuple[int, ...]


def name_channels(labels: Sequence[str], categories: Mapping[str, str] | None = None) -> Channels:
    """Channel i becomes concept i + 1 with its label; those that name nothing, such as background, none.

    `categories` gives the category of some labels, "" to leave a label out; the others are objects.

    Raises `UsageError` where `categories` names a label that the network has not, or no concept is left.

    >>> found = name_channels(["background", "sky", "brick"], {"brick": "material"})
    >>> found.plane, found.vocabulary[3].category
    ((0, 2, 3), 'material')
    """
    given = categories or {}
    unknown = sorted(set(given) - set(labels))
    if unknown:
        raise UsageError(
            f"the names file has {unknown[0]!r}, which the network does not name; it names {labels[0]!r}, ..."
        )
    kinds = [given.get(label, "" if label.casefold() in NOTHING else CATEGORY) for label in labels]
    concepts = [
        Concept(k + 1, label, kind) for k, (label, kind) in enumerate(zip(labels, kinds, strict=True))
    ]
    kept = tuple(concept for concept in concepts if concept.category)
    if not kept:
        raise UsageError("no channel of the network stands for a concept; give their names in a file")
    return Channels(Vocabulary(kept), tuple(one.id if one.category else 0 for one in concepts))


def read_names(path: Path) -> dict[str, str]:
    """The category of every name of a file, in its order: "" for a name that stands for no concept.

    A `.json` file holds a list of names, or an object of names and categories; any other is a CSV with a
    column `name` and, where they are not all objects, a column `category`.

    Raises `SourceError` for a file that cannot be read so, or that has a name twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        pairs = _parse_json(text) if path.suffix == ".json" else _parse_csv(text)
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read the names in {path}: {error}") from error
    names = [name for name, _ in pairs]
    twice = next((name for k, name in enumerate(names) if name in names[:k]), None)
    if twice is not None:
        raise SourceError(f"{path} has the name {twice!r} twice; give every channel another name")
    return {
        name: (CATEGORY if category is None else category) if name.casefold() not in NOTHING else ""
        for name, category in pairs
    }


def _parse_json(text: str) -> list[tuple[str, str | None]]:
    found = json.loads(text)
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return [(name, None) for name in found]
    if isinstance(found, dict) and all(isinstance(kind, str) for kind in found.values()):
        return list(found.items())
    raise ValueError('wanted ["sky", "brick"] or {"sky": "object", "brick": "material"}')


def _parse_csv(text: str) -> list[tuple[str, str | None]]:
    rows = csv.DictReader(text.splitlines())
    if "name" not in (rows.fieldnames or ()):
        raise ValueError("it has no column 'name'")
    return [(row["name"] or "", row.get("category")) for row in rows]
