"""Files that a list names, which may lie deeper or elsewhere below a folder than the list says."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unitscope.errors import SourceError, UsageError

_SHOWN = 3


@dataclass(frozen=True)
class NameIndex:
    """Names below a folder, by their last part: the first of each, and all where there are several."""

    folder: str
    first: Mapping[str, str]
    several: Mapping[str, list[str]]

    @property
    def names(self) -> Iterator[str]:
        """All names."""
        for end, name in self.first.items():
            yield from self.several.get(end, (name,))

    def find(self, name: str, prefer: str = "") -> str | None:
        """The one name of the folder that ends in `name`, whole parts of it; None where there is none.

        The folder's own name may be the first part of `name`. Of several the one that is `name` itself is
        taken, then the only one in a folder that `prefer`, the name of a list, has in it.

        Raises `SourceError` where several remain.

        >>> index = index_names("coco", ["val2017/1.jpg", "train2017/1.jpg", "train2017/2.jpg"])
        >>> index.find("2.jpg"), index.find("coco/val2017/1.jpg"), index.find("1.jpg", "instances_val2017")
        ('train2017/2.jpg', 'val2017/1.jpg', 'val2017/1.jpg')
        """
        end, wanted = name[name.rfind("/") + 1 :], f"/{name}"
        first = self.first.get(end)
        if first is None:
            return None
        ends = self.several.get(end, (first,))
        found = [one for one in ends if f"/{self.folder}/{one}".endswith(wanted)]
        if len(found) > 1:
            exact = [one for one in found if one == name]
            found = exact or [one for one in found if _has_folder(one, prefer)] or found
        if len(found) > 1:
            listed = ", ".join(found[:_SHOWN])
            advice = "name the folder of the ones that are meant"
            raise SourceError(
                f"{len(found)} files below {self.folder}/ are called {name}: {listed}; {advice}"
            )
        return found[0] if found else None


def index_names(folder: str, names: Iterable[str]) -> NameIndex:
    """An index of names, which are relative to a folder of that name."""
    first: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for name in names:
        end = name[name.rfind("/") + 1 :]
        one = first.setdefault(end, name)
        if one is not name:
            several.setdefault(end, [one]).append(name)
    return NameIndex(folder, first, several)


def find_file(given: str, root: Path, folders: Sequence[str], option: str) -> Path:
    """The file or folder that an option names: as given, or below `root` or one of its folders.

    Raises `UsageError` which says where it was looked for.
    """
    places = [Path(given), root / given, *(root / folder / given for folder in folders)]
    # Above a link is what its name says, too, not only what it leads to.
    for place in [*places, *(Path(os.path.normpath(place)) for place in places)]:
        if os.path.exists(place):
            return place
    looked = ", ".join(dict.fromkeys(os.path.normpath(place.parent) for place in places))
    raise UsageError(f"{option}={given!r} is not there; looked in {looked}")


def _has_folder(name: str, text: str) -> bool:
    return any(part in text for part in name.split("/")[:-1])
