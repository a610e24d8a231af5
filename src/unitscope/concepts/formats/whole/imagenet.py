"""ImageNet, the 1,000 classes of ILSVRC 2012, as Kaggle hands it out or as torchvision lays it out.

::

    DIR/ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_18.JPEG     or DIR/train/n01440764/
    DIR/ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG      or DIR/val/n01440764/
    DIR/LOC_synset_mapping.txt      "n01440764 tench, Tinca tinca": the names
    DIR/LOC_val_solution.csv        "ILSVRC2012_val_00048981,n03995372 85 1 499 272": Kaggle's truth
    DIR/ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt    "490": the devkit's

The devkit's truth has a number a line, for the pictures in the order of their own numbers, and these are in
the devkit's order of the classes, which is not that of the synsets' ids: it stands in `meta.mat` beside it. A
list of synsets in that order serves as well; one that is sorted by id is refused, since it is another order.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from unitscope.concepts.formats.ade20k.synonyms import first_synonym, name_apart
from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.file_names import is_picture
from unitscope.concepts.formats.splits import check_split
from unitscope.concepts.formats.whole.imagenet_lists import SYNSET, Synsets, read_synsets, read_truth
from unitscope.concepts.formats.whole.images import (
    LabelledPictures,
    find_file,
    find_set,
    list_set,
    split_stem,
    tell_rest,
)
from unitscope.concepts.left_out import OTHER_SPLIT
from unitscope.errors import SourceError

_BELOW = ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC", "ILSVRC", "imagenet", "ILSVRC2012", "Data")
_DEVKIT = ("", "ILSVRC2012_devkit_t12/data", "devkit/data", "data")
_SPLITS = {"train": ("train", "ILSVRC2012_img_train"), "val": ("val", "ILSVRC2012_img_val")}
_MAPPINGS = ("LOC_synset_mapping.txt", "synset_words.txt")
_TRUTHS = ("LOC_val_solution.csv", "ILSVRC2012_validation_ground_truth.txt")
_META = "meta.mat"


def open_imagenet(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """ImageNet; options `split` (`train`, `val`), `synsets` (a list, or meta.mat) and `truth` (of `val`).

    A class is called by the first of its names; classes that share one have their synset's id behind it
    (`crane (n02012849)`). Without a list of names the ids are the names.

    Raises `UsageError` for an unknown split or file, `SourceError` where lists contradict each other or the
    order of the devkit's numbers is not known.
    """
    root = find_set(place, _BELOW, _holds, "ImageNet's train/ and val/, or folders of synsets (n01440764)")
    parts = {split: name for split, names in _SPLITS.items() for name in names if (root / name).is_dir()}
    split = options.get("split")
    check_split(root, split, parts)

    places = _list_places(Path(place), root)
    given = _read(options.get("synsets"), places)
    synsets = given or _read_first((*_MAPPINGS, _META), places)
    listing = list_set(place, root)
    names = [name for name in listing.choose(parts[split] if split else "") if is_picture(name)]
    ids = {name: _find_synset(name.rpartition("/")[0]) for name in names if not name.startswith("../")}
    truth_path = find_file(options["truth"], places[0]) if "truth" in options else _find(_TRUTHS, places)
    val = f"{parts['val']}/" if "val" in parts else None
    bare = [name for name, synset in ids.items() if not synset and val and name.startswith(val)]
    used = [] if synsets is None else [synsets.path]
    if bare and len(bare) == len(ids) and truth_path is None:
        lack = f"what {len(bare)} pictures show is told by {' or '.join(_TRUTHS)}, and there is none"
        raise SourceError(f"{root / parts['val']}: {lack}; give it with truth=FILE")
    if bare and truth_path is not None:
        meta = None if truth_path.suffix == ".csv" else _read_first((_META,), [truth_path.parent, *places])
        truth = read_truth(truth_path, given, meta)
        ids |= {name: truth.find(split_stem(name)) for name in bare}
        used += [truth_path, *([meta.path] if meta else [])]

    found = LabelledPictures(root, (), {}, used)
    classes = {*_list_classes(root, parts.values()), *filter(None, ids.values())}
    called = _name_classes(classes, synsets)
    found.names = [called[one] for one in sorted(called)]
    shown = {synset: (called[synset],) for synset in set(ids.values()) if synset}
    found.labels = {name: shown[synset] for name, synset in ids.items() if synset}
    others = tuple(f"{folder}/" for one, folder in parts.items() if split not in (None, one))

    def say(name: str) -> str:
        other = name.startswith(others) and is_picture(name)
        return OTHER_SPLIT if other else tell_rest(name)

    found.leave_out_rest(listing, say)
    return found.open("imagenet", place, options, "object")


def _name_classes(found: set[str], synsets: Synsets | None) -> dict[str, str]:
    """What every class is called: those that are found, and all of a list that has only those of the set."""
    words = {} if synsets is None else synsets.words
    every = {*found, *(words if len(words) <= max(1000, len(found)) else ())}
    return name_apart(
        {synset: words.get(synset, synset) for synset in sorted(every)},
        lambda synset, text: f"{first_synonym(text)} ({synset})",
    )


@lru_cache(maxsize=4096)
def _find_synset(folder: str) -> str:
    """The synset that a folder holds; nothing where it holds none."""
    return next((part for part in reversed(folder.split("/")) if SYNSET.fullmatch(part)), "")


def _list_classes(root: Path, folders: Iterable[str]) -> set[str]:
    """The synsets that have a folder, in any split."""
    places = [root / folder for folder in folders] or [root]
    return {path.name for place in places for path in place.iterdir() if SYNSET.fullmatch(path.name)}


def _list_places(top: Path, root: Path) -> list[Path]:
    """The folders where lists may lie: the one given, that of the pictures, and three above it."""
    places = [top, root, *top.resolve().parents[:3]]
    return [place / folder for place in dict.fromkeys(places) for folder in _DEVKIT]


def _find(names: Iterable[str], places: Iterable[Path]) -> Path | None:
    places = list(places)
    found = (place / name for name in names for place in places if (place / name).is_file())
    return next(found, None)


def _read(named: str | None, places: list[Path]) -> Synsets | None:
    return None if named is None else read_synsets(find_file(named, places[0]))


def _read_first(names: Iterable[str], places: Iterable[Path]) -> Synsets | None:
    path = _find(names, places)
    return None if path is None else read_synsets(path)


def _holds(path: Path) -> bool:
    if any((path / name).is_dir() for names in _SPLITS.values() for name in names):
        return True
    return any(SYNSET.fullmatch(one.name) and one.is_dir() for one in path.iterdir())
