"""Pictures that are labelled as a whole: what their readers share."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unitscope.concepts.formats.annotated import AnnotatedSource, PictureFiles
from unitscope.concepts.formats.file_names import is_picture
from unitscope.concepts.formats.listings import Listing, list_folder
from unitscope.concepts.left_out import count_left_out
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError, UsageError

MISSING = "listed, but not there"
NO_PICTURE = "no picture"
UNLABELLED = "without a label"
_UP = "../"


@dataclass
class LabelledPictures:
    """Pictures below `root` with the names of what they show; a reader fills it.

    `names` are all concepts, also those of no picture, in the order of their ids. `left_out` are pairs of
    reason and file. `texts` are the files that decided.
    """

    root: Path
    names: Sequence[str]
    labels: dict[str, tuple[str, ...]]
    texts: Sequence[Path] = ()
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def leave_out_rest(self, listing: Listing, say: Callable[[str], str] | None = None) -> None:
        """Counts all of a listing that is neither labelled nor one of `texts`; `say` has the reason."""
        say = say or tell_rest
        own = {(os.path.realpath(path.parent), path.name) for path in self.texts}
        names = {path.name for path in self.texts}
        self.left_out += listing.left_out
        for name in listing.names:
            own_name = name.rpartition("/")[2] in names and self._place(name) in own
            if name not in self.labels and not own_name:
                self.left_out.append((say(name), name))

    def _place(self, name: str) -> tuple[str, str]:
        path = os.path.join(self.root, name)
        folder, file = os.path.split(os.path.normpath(path) if name.startswith(_UP) else path)
        return os.path.realpath(folder), file

    def open(self, word: str, place: str, options: Mapping[str, str], category: str) -> AnnotatedSource:
        """The source. Raises `SourceError` where there is no picture."""
        if not self.labels:
            told = "; ".join(map(str, count_left_out(self.left_out)))
            raise SourceError(f"{self.root}: no picture with a label was found{told and f' ({told})'}")
        ids = {name: number for number, name in enumerate(dict.fromkeys(self.names), start=1)}
        known = {named: tuple(ids[name] for name in named) for named in set(self.labels.values())}
        return AnnotatedSource(
            word,
            place,
            self.root,
            PictureFiles(self.root, tuple(self.labels)),
            Vocabulary(tuple(Concept(number, name, category) for name, number in ids.items())),
            labels=tuple(known[named] for named in self.labels.values()),
            options=tuple(options.items()),
            texts=tuple(self.texts),
            left_out=count_left_out(self.left_out),
            wrong=tuple((name, why) for why, name in self.left_out if why == MISSING),
        )


def find_set(place: str, below: Iterable[str], holds: Callable[[Path], bool], wanted: str) -> Path:
    """The folder that holds a set: that of the user, else the first of `below` it that does.

    Raises `UsageError` where there is no such folder, `SourceError` where none holds what is `wanted`.
    """
    top = Path(place)
    if not top.is_dir():
        raise UsageError(f"{top} is not a folder; wanted one with {wanted}")
    for name in ("", *below):
        if (top / name).is_dir() and holds(top / name):
            return top / name
    raise SourceError(f"{top}: wanted a folder with {wanted}, and there is none in it")


def find_file(named: str, *folders: Path) -> Path:
    """The file that an option names, as it stands or in one of some folders. Raises `UsageError`."""
    for path in (Path(named), *(folder / named for folder in folders)):
        if path.is_file():
            return path
    raise UsageError(f"there is no file {named}, neither here nor in {' or '.join(map(str, folders))}")


def list_set(place: str, root: Path) -> Listing:
    """What lies in the folder that the user named, with names relative to that of the set, `root`.

    Those of files that lie beside the set, not in it, begin with `../`.
    """
    top = Path(place)
    parts = root.relative_to(top).parts if root.is_relative_to(top) else ()
    if not parts or ".." in parts:
        return list_folder(root)
    # The folders above that of the set, the nearest first, and what leads from it to each.
    start, *above = ["".join(f"{part}/" for part in parts[:end]) for end in range(len(parts), -1, -1)]
    ways = [(folder, len(folder), _UP * number) for number, folder in enumerate(above, start=1)]

    def move(name: str) -> str:
        if name.startswith(start):
            return name[len(start) :]
        return next(way + name[cut:] for folder, cut, way in ways if name.startswith(folder))

    whole = list_folder(top)
    if not any(name.startswith(start) for name in whole.names):
        return list_folder(root)  # which another link leads to as well
    left_out = sorted((why, move(name)) for why, name in whole.left_out)
    return Listing(root, tuple(sorted(map(move, whole.names))), tuple(left_out))


def tell_rest(name: str) -> str:
    """Why a file without a role is not used.

    >>> tell_rest("a/b.jpg"), tell_rest("a/b.txt")
    ('without a label', 'no picture')
    """
    return UNLABELLED if is_picture(name) else NO_PICTURE


def split_stem(name: str) -> str:
    """A file's name without folders and ending.

    >>> split_stem("val/ILSVRC2012_val_00000001.JPEG")
    'ILSVRC2012_val_00000001'
    """
    return name.rpartition("/")[2].rpartition(".")[0] or name.rpartition("/")[2]
