"""What the channels of a foreign segmentation network stand for: names and categories."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError, UsageError

NOTHING = frozenset(
    ("", "-", "background", "__background__", "none", "unlabeled", "unlabelled", "void", "ignore", "n/a")
)
"""Names, in any case, of channels that stand for no concept."""

CATEGORY = "object"
"""The category of channels that are given none."""


def name_channels(
    labels: Sequence[str], categories: Mapping[str, str] | None = None
) -> tuple[Vocabulary, tuple[int, ...]]:
    """Channel i becomes concept i + 1 with its label; those that name nothing, such as background, none.

    The concepts come back, and the plane of the channels: by channel a concept's id, 0 for no concept.

    `categories` gives the category of some labels, "" to leave a label out; the others are objects.

    Raises `UsageError` where `categories` names a label that the network has not, or no concept is left.

    >>> words, plane = name_channels(["background", "sky", "brick"], {"brick": "material"})
    >>> plane, words[3].category
    ((0, 2, 3), 'material')
    """
    given = categories or {}
    unknown = sorted(set(given) - set(labels))
    if unknown:
        named = f"it names {labels[0]!r}, ..."
        raise UsageError(f"the names file has {unknown[0]!r}, which the network does not name; {named}")
    kinds = [given.get(label, "" if label.casefold() in NOTHING else CATEGORY) for label in labels]
    concepts = list(map(Concept, range(1, len(labels) + 1), labels, kinds))
    kept = tuple(concept for concept in concepts if concept.category)
    if not kept:
        raise UsageError("no channel of the network stands for a concept; give their names in a file")
    return Vocabulary(kept), tuple(one.id if one.category else 0 for one in concepts)


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
    kinds: dict[str, str] = {}
    for name, category in pairs:
        if name in kinds:
            raise SourceError(f"{path} has the name {name!r} twice; give every channel another name")
        usual = CATEGORY if category is None else category
        kinds[name] = "" if name.casefold() in NOTHING else usual
    return kinds


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
