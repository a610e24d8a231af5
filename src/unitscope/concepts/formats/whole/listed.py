"""A folder of images with a list that says what each shows: `folder:DIR,list=FILE[,names=FILE]`.

The list has a line a picture, its path below the folder and its labels, numbers or words::

    street/a.jpg 3              images/b.jpg cat dog

or is a table, `.csv` or `.tsv`, with or without a line of titles, where a cell is a label. Which forms are
read, and what is refused since it may mean two things, is in `docs/how-to/own-data.md`. A picture that is
listed several times has several labels. `names` is a file that says what labels mean, in one of these forms:

- JSON, a list of names from 0 on, or an object, `{"3": "street"}`;
- lines with a label and its name, `3 street`, `3,street` or `n01440764 tench`, or the name first, `street 3`;
- lines with a name alone: the numbers are those of the lines, from 0 on.

Without it the labels are the names. A picture outside the list is left out, or with `bare=in` taken in.
"""

from collections.abc import Mapping
from pathlib import Path

from unitscope.concepts.formats.annotated import AnnotatedSource, decode_by
from unitscope.concepts.formats.file_names import is_picture
from unitscope.concepts.formats.folder.layouts import SPLITS_FILE, keep_split
from unitscope.concepts.formats.listings import list_folder
from unitscope.concepts.formats.stored.decoding import read_decoding
from unitscope.concepts.formats.whole.images import MISSING, LabelledPictures, find_file
from unitscope.concepts.formats.whole.label_lists import WORDS, Pictures, read_list, split_labels
from unitscope.concepts.formats.whole.label_names import read_label_names
from unitscope.concepts.left_out import takes_bare
from unitscope.errors import SourceError, UsageError


def open_listed(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """A folder and a list, as described above.

    Options are `list`, `names`, `label` (the titles of the columns that hold labels, joined by `+`), `words`
    (`apart`, `together`: whether several words are several labels), and those of `open_folder` but `masks`.

    `category` is `scene` unless given, as of all pictures that a folder has labelled as a whole.

    Raises `UsageError` where the folder or a file is not there, `SourceError` naming file and line where the
    list or the names are wrong, or the list names no picture of the folder.
    """
    root = Path(place)
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder; wanted one of images that {options['list']} lists")
    bare = takes_bare(options)
    if options.get("words", WORDS[0]) not in WORDS:
        raise UsageError(f"words={options['words']!r}: wanted {' or '.join(WORDS)}")
    path, listing = find_file(options["list"], root), list_folder(root)
    pictures = [name for name in listing.names if is_picture(name)]
    here = set(pictures)
    texts = [path, *([find_file(options["names"], root)] if "names" in options else [])]
    labels = _read_labels(path, Pictures(root, pictures), options, texts[1] if "names" in options else None)

    taken = {name: tuple(dict.fromkeys(labels.get(name, ()))) for name in pictures}
    if here.isdisjoint(labels):
        raise SourceError(f"{path}: lists no picture of {root}, such as {next(iter(labels))}")
    if not any(taken.values()):
        raise SourceError(
            f"{path}: has no label for any picture of {root}; wanted a picture and its label a line"
        )
    if not bare:
        taken = {name: named for name, named in taken.items() if named}
    names = sorted({label for named in labels.values() for label in named}, key=_in_order)
    missing = [(MISSING, name) for name in labels if name not in here]
    found = LabelledPictures(root, names, taken, [*texts, root / SPLITS_FILE], missing)
    found.leave_out_rest(listing)
    given = {key: value for key, value in options.items() if key != "split"}
    source = found.open("folder", place, given, options.get("category", "scene"))
    source = decode_by(source, read_decoding(options))
    return keep_split(source, options["split"]) if "split" in options else source


def _read_labels(
    path: Path, pictures: Pictures, options: Mapping[str, str], file: Path | None
) -> dict[str, list[str]]:
    """What is listed of every picture. Raises `SourceError` for a label that `file` does not name."""
    listed = read_list(path, pictures, options.get("label"))
    names = read_label_names(file, {cell for one in listed for cell in one.cells}) if file else None
    found: dict[str, list[str]] = {}
    for one, labels in zip(listed, split_labels(path, listed, options.get("words"), names), strict=True):
        for label in labels:
            if names is not None and file is not None and label not in names:
                counted = "; its lines count from 0, unless each begins with its number"
                told = f"{path}, line {one.line}: {file.name} does not name the label {label!r}"
                raise SourceError(told + (counted if label.isdigit() else ""))
        found.setdefault(one.picture, []).extend(labels if names is None else map(names.__getitem__, labels))
    return found


def _in_order(name: str) -> tuple[int, str]:
    """Numbers by value, before words."""
    return (int(name), "") if name.isascii() and name.isdigit() and len(name) < 20 else (1 << 65, name)
