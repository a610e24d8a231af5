"""How names of several data sets become one: folding, positional adjectives, synonyms, suffixes."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unitscope.concepts.formats.folder.mask_classes import read_json
from unitscope.concepts.vocabulary import SUFFIXES, Concept
from unitscope.errors import SourceError, UsageError

POSITIONS = frozenset({"left", "right", "front", "back", "upper", "lower", "side"})
"""Adjectives that say where a thing is and not what: they are dropped in front of a name."""

SYNONYMS: tuple[tuple[str, ...], ...] = (
    ("airplane", "aeroplane", "plane", "aircraft"),
    ("bicycle", "bike", "push bike", "pushbike"),
    ("bus", "autobus", "omnibus"),
    ("car", "automobile", "motor car", "motorcar"),
    ("cell phone", "cellphone", "mobile phone", "smartphone"),
    ("chequered", "checkered"),
    ("couch", "sofa"),
    ("cow", "cattle", "cows"),
    ("curtain", "curtains", "drape", "drapes"),
    ("dining table", "diningtable", "dinner table"),
    ("donut", "doughnut"),
    ("ear", "ears"),
    ("eye", "eyes"),
    ("eyebrow", "eyebrows"),
    ("faucet", "tap"),
    ("glasses", "eyeglasses", "spectacles"),
    ("hair drier", "hair dryer", "hairdryer"),
    ("handbag", "purse"),
    ("laptop", "laptop computer", "notebook computer"),
    ("leg", "legs"),
    ("lip", "lips"),
    ("motorcycle", "motorbike", "motor bike"),
    ("mountain", "mountains"),
    ("person", "people", "human", "human being", "pedestrian"),
    ("potted plant", "pottedplant"),
    ("refrigerator", "fridge"),
    ("remote", "remote control"),
    ("sea", "ocean"),
    ("sidewalk", "pavement"),
    ("sports ball", "ball"),
    ("tennis racket", "tennis racquet"),
    ("tie", "necktie"),
    ("traffic light", "traffic signal", "stoplight"),
    ("trash can", "garbage can", "ashcan", "dustbin", "wastebin"),
    ("tree", "trees"),
    ("truck", "lorry"),
    ("tv", "television", "tv monitor", "tvmonitor", "tv set", "television set"),
    ("wheel", "wheels"),
    ("window", "windows"),
    ("wine glass", "wineglass"),
    ("wood", "wooden"),
)
"""Names that mean the same, the one that is kept first. Only what holds in every set of photographs is
here: a car is a machine, but a machine is no car."""


def fold_name(name: str) -> str:
    """The name in lower case with single spaces for underscores and white space.

    What would be misread in Broden's tables is taken out: `;`, which separates items, characters that
    do not print, and the first characters of a spreadsheet formula. A bare number is told apart from a
    label number by the word `class`.

    >>> fold_name("  Traffic_Light"), fold_name("=sky;blue"), fold_name("7")
    ('traffic light', 'sky blue', 'class 7')
    """
    text = unicodedata.normalize("NFKC", name).lower()
    text = "".join(letter if letter.isprintable() and letter not in "_;" else " " for letter in text)
    text = " ".join(text.split()).lstrip("=+-@ ")
    return f"class {text}" if re.fullmatch(r"[0-9.]+", text) else text


def drop_positions(name: str) -> str:
    """The folded name without the adjectives of `POSITIONS` in front of it, if a word is left.

    >>> drop_positions("left front leg"), drop_positions("back"), drop_positions("traffic light")
    ('leg', 'back', 'traffic light')
    """
    words = name.split(" ")
    while len(words) > 1 and words[0] in POSITIONS:
        del words[0]
    return " ".join(words)


def spell_name(concept: Concept) -> str:
    """The concept's own name, folded, with Broden's suffix for scenes and colors.

    Raises `SourceError` where nothing of the name is left.

    >>> spell_name(Concept(2, "Street", "scene")), spell_name(Concept(2, "street-s", "scene"))
    ('street-s', 'street-s')
    """
    suffix = SUFFIXES.get(concept.category, "")
    name = fold_name(concept.name.removesuffix(suffix))
    if not name:
        raise SourceError(f"concept {concept.id} has no usable name ({concept.name!r}); give it one")
    return name + suffix


@dataclass(frozen=True)
class Thesaurus:
    """The name that stands for every other of the same meaning.

    `given` is the user's: it is asked first, and once more about what `SYNONYMS` answered, so it can
    extend a group of the list, rename it, or take a name out of it (`{"plane": []}`).
    """

    given: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> str:
        """The name that stands for a folded one.

        >>> Thesaurus({"car": "vehicle"}).find("automobile")
        'vehicle'
        """
        usual = _USUAL.get(name, name)
        return self.given.get(name, self.given.get(usual, usual))

    def unify(self, concept: Concept) -> str:
        """The name that a concept has in a union, with Broden's suffix for scenes and colors.

        >>> concepts = Concept(1, "Left_Eyes", "part"), Concept(2, "Street", "scene")
        >>> [Thesaurus().unify(concept) for concept in concepts]
        ['eye', 'street-s']

        Raises `SourceError` where nothing of the name is left.
        """
        suffix = SUFFIXES.get(concept.category, "")
        name = spell_name(concept)
        return self.find(name.removesuffix(suffix)) + suffix if suffix else self.find(drop_positions(name))


def open_thesaurus(synonyms: Mapping[str, Sequence[str]] | str | Path | None = None) -> Thesaurus:
    """A thesaurus with further synonyms, as `{name that is kept: [other names]}` or a JSON file of it.

    Raises `UsageError` where a name stands in two groups, or the form is another; `SourceError` where the
    file is no JSON.

    >>> open_thesaurus({"animal": ["Cat", "dog"]}).find("cat")
    'animal'
    """
    data = read_json(Path(synonyms)) if isinstance(synonyms, str | Path) else synonyms
    if data is None:
        return Thesaurus()
    if not isinstance(data, Mapping) or not all(_is_names(names) for names in data.values()):
        raise UsageError('synonyms: wanted an object such as {"airplane": ["aeroplane", "plane"]}')
    given: dict[str, str] = {}
    for name, others in data.items():
        kept = fold_name(name)
        for other in (kept, *map(fold_name, others)):
            if (first := given.setdefault(other, kept)) != kept:
                raise UsageError(f"synonyms: {other!r} stands for {first!r} and for {kept!r}; choose one")
    return Thesaurus(given)


def _is_names(given: object) -> bool:
    listed = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [None]
    return all(isinstance(name, str) for name in listed)


_USUAL = {other: group[0] for group in SYNONYMS for other in group}
