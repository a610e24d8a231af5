"""Names of files that every file system and every reader of Broden's tables can take."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

_LONGEST = 120


def safe_name(text: str) -> str:
    """The text as one part of a path: letters, digits, `.`, `-` and `_`, no hidden name, not too long.

    >>> safe_name("a b;c"), safe_name(".."), safe_name("left.png")
    ('a_b_c', '_', 'left.png')
    """
    name = re.sub(r"[^\w.\-]+", "_", text).strip(".") or "_"
    if len(name.encode()) > _LONGEST:
        digest = hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        name = name.encode()[: _LONGEST - 33].decode(errors="ignore") + "-" + digest
    return name


def distinct_name(name: str, taken: set[str]) -> str:
    """The name, or the first of `name-2`, `name-3`... that is not yet in `taken`, which it joins.

    Upper and lower case count as equal, as on some file systems.

    >>> taken = set()
    >>> [distinct_name(name, taken) for name in ("a", "A", "a")]
    ['a', 'A-2', 'a-3']
    """
    candidate, number = name, 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate.lower())
    return candidate


@dataclass
class StemNames:
    """Where the files of one image go: a path without suffix that no other image's files can meet.

    Label files are called `STEM_CATEGORY.png`, so no stem ends like one.
    """

    categories: Iterable[str]
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        names = "|".join(map(re.escape, self.categories))
        self._label = re.compile(rf"_({names})(_\d+)?$", re.IGNORECASE)

    def place(self, source: str, key: str) -> str:
        """The stem of the image `key` of a source.

        >>> stems = StemNames(["color"])
        >>> [stems.place("dtd", key) for key in ("knit/1.jpg", "knit/1.png", "a_color.png", "../b")]
        ['dtd/knit/1', 'dtd/knit/1-2', 'dtd/a_color-', 'dtd/_/b']
        """
        path = PurePosixPath(key.replace("\\", "/"))
        folders = [safe_name(part).replace(".", "_") for part in path.parent.parts if part not in ("/", ".")]
        stem = safe_name(path.stem)
        if self._label.search(stem):
            stem += "-"
        return distinct_name("/".join([source, *folders, stem]), self.taken)
