"""Where the rows of a data set of the Hub lie: splits, their files, and what is said of columns."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unitscope.concepts.formats.folder.mask_classes import read_json
from unitscope.concepts.formats.hf.cards import Card, are_objects, is_inside, read_card
from unitscope.concepts.formats.listings import Listing, list_folder
from unitscope.concepts.formats.shard_names import find_absent, find_copies
from unitscope.errors import SourceError, UsageError

CARD, DICT_FILE, STATE_FILE, INFO_FILE = "README.md", "dataset_dict.json", "state.json", "dataset_info.json"
CLASSES_FILE = "id2label.json"
SUFFIXES = (".parquet", ".arrow")

NO_ROWS = "neither rows nor what describes them"
NO_SPLIT = "rows of no split"

_DESCRIBING = re.compile(
    rf"(.*/)?({re.escape(CARD)}|{DICT_FILE}|{STATE_FILE}|{INFO_FILE}|{CLASSES_FILE}|LICENSE.*)", re.IGNORECASE
)
_SHARD = re.compile(r"(?P<name>\w[\w.-]*?)-\d{5,}-of-\d{5,}(-[0-9a-f]+)?")
_SHOWN = 6
_PARTS = {"train": "train", "training": "train"}
_PARTS |= dict.fromkeys(("validation", "valid", "val", "dev"), "validation")
_PARTS |= dict.fromkeys(("test", "testing", "eval", "evaluation"), "test")


@dataclass(frozen=True)
class Tables:
    """The files of rows below `root`, by split, in order, each in one only.

    `features` is what is said of the columns of a split beside its files: the file that says so, and by name
    what it says, in the form of `dataset_info.json`. `patterns` are those that the paths of the files of a
    split match, where they are given. `left_out` are pairs of reason and path; `lacking` splits of which a
    card gives patterns, and there is no file.
    """

    root: Path
    splits: Mapping[str, tuple[Path, ...]]
    features: Mapping[str, tuple[Path, Mapping[str, Any]]] = field(default_factory=dict)
    patterns: Mapping[str, tuple[re.Pattern[str], ...]] = field(default_factory=dict)
    texts: tuple[Path, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    lacking: tuple[str, ...] = ()

    def choose(self, split: str | None) -> Mapping[str, tuple[Path, ...]]:
        """The files of a split, or of all.

        Raises `UsageError` for an unknown one, with those that exist, and for all where two share a file.
        """
        if split is None:
            self._refuse_shared()
            return self.splits
        if split not in self.splits:
            raise UsageError(f"{self.root} has no split {split!r}; its splits are {', '.join(self.splits)}")
        return {split: self.splits[split]}

    def find_wrong(self, split: str) -> list[tuple[str, str]]:
        """Which files of a split are missing or there twice, as `find_absent` and `find_copies` tell it."""

        def belongs(path: Path) -> bool:
            name = path.relative_to(self.root).as_posix()
            return split not in self.patterns or any(one.fullmatch(name) for one in self.patterns[split])

        files = self.splits[split]
        return [*find_absent(files, belongs), *find_copies(files)]

    def _refuse_shared(self) -> None:
        found: dict[Path, str] = {}
        for split, files in self.splits.items():
            for path in files:
                if found.setdefault(path, split) != split:
                    shared = f"{path.name} is of the splits {found[path]} and {split}"
                    raise UsageError(f"{self.root}: {shared}, whose rows would count twice; say split=NAME")


def find_tables(place: Path, config: str | None = None) -> Tables:
    """The rows of a repository, of a folder of `save_to_disk`, of a folder of such files, or of one file.

    `config` is the name of one of the sets that a repository's card tells apart. Raises `SourceError` where
    there are no rows, `UsageError` where `place` is neither file nor folder or the set must be named.
    """
    if place.is_file():
        if place.suffix.lower() not in SUFFIXES:
            raise UsageError(f"{place} is no file of rows; wanted a folder, or a file of .parquet or .arrow")
        split = _name_split(place.name) or "train"
        return Tables(place.parent, {split: (place,)}, patterns={split: ()})
    if not place.is_dir():
        raise UsageError(f"{place} is neither folder nor file; wanted a data set of the Hub, cloned or saved")
    listing = list_folder(place)
    if (place / DICT_FILE).is_file():
        found = _open_saved(place, _read_saved_splits(place))
    elif (place / STATE_FILE).is_file():
        found = _open_saved(place, {_read_state(place).get("_split") or "train": place})
    else:
        found = _open_repository(place, listing, config)
    return _count_rest(found, listing)


def _count_rest(found: Tables, listing: Listing) -> Tables:
    taken = {path.relative_to(found.root).as_posix() for files in found.splits.values() for path in files}
    rest = [name for name in listing.names if name not in taken]
    tables = [name for name in rest if name.lower().endswith(SUFFIXES)]
    known = {*tables, *(name for name in rest if _DESCRIBING.fullmatch(name))}
    left_out = [*listing.left_out, *((NO_SPLIT, name) for name in tables)]
    left_out += [(NO_ROWS, name) for name in rest if name not in known]
    texts = tuple(found.root / name for name in rest if name in known and name not in tables)
    small = tuple(path for path in texts if path.name in (CARD, DICT_FILE, STATE_FILE, INFO_FILE))
    return replace(found, texts=small, left_out=tuple(left_out))


def _open_saved(root: Path, folders: Mapping[str, Path]) -> Tables:
    """A folder that `save_to_disk` wrote: files in the order of each `state.json`."""
    splits: dict[str, tuple[Path, ...]] = {}
    features: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for split, folder in folders.items():
        state = _read_state(folder)
        if any(state.get(key) for key in ("_indices_files", "_indices_data_files")):
            advice = "call flatten_indices() and save it again"
            raise SourceError(
                f"{folder / STATE_FILE}: its rows are chosen by an index of their own; {advice}"
            )
        entries = state.get("_data_files")
        names = [str(entry.get("filename", "")) for entry in entries] if are_objects(entries) else []
        if not names or not all(map(is_inside, names)) or len({*names}) < len(names):
            wanted = "wanted '_data_files', a list of names of files beside it, each once"
            raise SourceError(f"{folder / STATE_FILE}: {wanted}")
        splits[split] = tuple(folder / name for name in names)
        features[split] = folder / INFO_FILE, _read_features(folder / INFO_FILE)
    return Tables(root, splits, features, dict.fromkeys(splits, ()))


def _read_saved_splits(root: Path) -> dict[str, Path]:
    data = read_json(root / DICT_FILE)
    names = data.get("splits") if isinstance(data, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise SourceError(f"{root / DICT_FILE}: wanted an object with 'splits', a list of folders")
    for name in names:
        if not is_inside(name) or not (root / name / STATE_FILE).is_file():
            raise SourceError(
                f"{root / DICT_FILE}: names the split {name!r}, of which there is no {STATE_FILE}"
            )
    return {name: root / name for name in names}


def _read_state(folder: Path) -> dict[str, Any]:
    data = read_json(folder / STATE_FILE)
    if not isinstance(data, dict):
        raise SourceError(f"{folder / STATE_FILE}: wanted an object; save the data set again")
    return data


def _read_features(path: Path) -> Mapping[str, Any]:
    data = read_json(path) if path.is_file() else {}
    features = data.get("features") if isinstance(data, dict) else None
    return features if isinstance(features, dict) else {}


def _open_repository(root: Path, listing: Listing, config: str | None) -> Tables:
    names = [name for name in listing.names if name.lower().endswith(SUFFIXES)]
    if not names:
        shards = any(name.endswith(".tar") for name in listing.names)
        wanted = "wanted .parquet or .arrow files, or what save_to_disk writes"
        wanted += "; wds: opens its .tar files" if shards else ""
        raise SourceError(f"{root}: no rows were found in it; {wanted}")
    card = read_card(root / CARD, config)
    names = [name for name in names if name.startswith(card.folder)]
    if not names:
        raise SourceError(f"{root / CARD}: no rows were found in its data_dir, {card.folder}; fetch them")
    splits = _match_patterns(card, names, root) if card.patterns else _find_sets(card, names, root, config)
    lacking = tuple(split for split in card.patterns if split not in splits)
    said: tuple[Path, Mapping[str, Any]] = root / CARD, card.features
    said = said if card.features else (root / INFO_FILE, _read_features(root / INFO_FILE))
    return Tables(root, splits, dict.fromkeys(splits, said), card.patterns, lacking=lacking)


def _match_patterns(card: Card, names: Sequence[str], root: Path) -> dict[str, tuple[Path, ...]]:
    splits: dict[str, tuple[Path, ...]] = {}
    for split, patterns in card.patterns.items():
        files = tuple(root / name for name in names if any(one.fullmatch(name) for one in patterns))
        if files:
            splits[split] = files
    if not splits:
        shown = next((pattern for patterns in card.spelled.values() for pattern in patterns), "")
        raise SourceError(f"{root / CARD}: no .parquet file here is one of {shown!r}; fetch them")
    return splits


def _find_sets(
    card: Card, names: Sequence[str], root: Path, config: str | None
) -> dict[str, tuple[Path, ...]]:
    """The files of splits, where no card names them: of the folders of `config`, if there are several.

    Raises `UsageError` where files lie in several folders, which may be sets of their own.
    """
    sets: dict[str, list[str]] = {}
    for name in names:
        sets.setdefault(_name_set(name.removeprefix(card.folder)), []).append(name)
    wanted = config.split("+") if config is not None and config != card.name else []
    unknown = next((one for one in wanted if one not in sets), None)
    if unknown is not None:
        listed = f"its folders of rows are {', '.join(sorted(sets))}"
        raise UsageError(f"{root / CARD} tells no sets apart, so there is no config={config}; {listed}")
    wanted = wanted or [one for one in (card.name,) if one in sets]
    chosen = [name for name in names if not wanted or _name_set(name.removeprefix(card.folder)) in wanted]
    splits = _group_names(chosen, root, card.folder)
    taken = {path.relative_to(root).as_posix() for paths in splits.values() for path in paths}
    several = sorted(one for one, listed in sets.items() if taken & {*listed})
    if len(several) > 1 and not wanted:
        found = f"its rows lie in {', '.join(several[:_SHOWN])}{', ...' * (len(several) > _SHOWN)}"
        advice = f"say config=NAME, or config={'+'.join(several[:_SHOWN])} to take them as one"
        advice = f"open one of these folders, or name its files in {CARD}" if card.name else advice
        raise UsageError(f"{root}: {found}, which may be sets of their own; {advice}")
    return splits


def _name_set(name: str) -> str:
    """The folders that a file lies in, without what names splits in them, or counts; a dot for none.

    >>> [_name_set(f"{folder}/0.parquet") for folder in ("full/train/000", "val2017", "old_train")]
    ['full', '.', 'old']
    """
    kept = []
    for folder in name.split("/")[:-1]:
        words = [word for word in re.split(r"[^A-Za-z]+", folder) if word]
        named = _find_words(folder)  # the Hub converts the first part of large splits as `partial-train`
        rest = [word for word in words if word not in (*named, "partial")]
        kept.append("-".join(rest) if named else "" if folder.isdigit() else folder)
    return "/".join(filter(None, kept)) or "."


def _group_names(names: Iterable[str], root: Path, folder: str = "") -> dict[str, tuple[Path, ...]]:
    """Files by what their names say of their split; all are of `train` where none says anything."""
    found: dict[str, list[Path]] = {}
    for name in names:
        found.setdefault(_name_split(name.removeprefix(folder)), []).append(root / name)
    silent = found.pop("", [])
    found = found or {"train": silent}
    usual = ["train", "validation", "test"]  # others stand in the order of their files before them
    ordered = sorted(found, key=lambda name: usual.index(_PARTS[name]) if name in _PARTS else -1)
    return {name: tuple(found[name]) for name in ordered}


def _name_split(name: str) -> str:
    """The split that a file is of, by its name or that of a folder; nothing where they do not say.

    >>> _name_split("data/train-00000-of-00002.parquet"), _name_split("val/0.parquet"), _name_split("a.arrow")
    ('train', 'validation', '')
    """
    *folders, last = name.split("/")
    stem = last.rpartition(".")[0]
    shard = _SHARD.fullmatch(stem)
    for text in [shard["name"] if shard else stem, *reversed(folders)]:
        words = _find_words(text)
        if shard and text == shard["name"]:
            # `clean_train` is a split of its own, `imagenet-train` one of a set.
            ending = text.rpartition("-")[2]
            return ending if ending in _PARTS else text
        if words:
            return _PARTS[words[-1].lower()]
    return ""


def _find_words(text: str) -> list[str]:
    """The words in a name that name a split."""
    return [word for word in re.split(r"[^A-Za-z]+", text) if word.lower() in _PARTS]
