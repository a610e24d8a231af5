"""Where the rows of a data set of the Hub lie: splits, their files, and what is said of columns."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from unitscope.concepts.formats.folder.mask_classes import read_json
from unitscope.concepts.formats.hf.front_matter import read_front_matter
from unitscope.concepts.formats.listings import Listing, list_folder
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
_PARTS = {"train": "train", "training": "train"}
_PARTS |= dict.fromkeys(("validation", "valid", "val", "dev"), "validation")
_PARTS |= dict.fromkeys(("test", "testing", "eval", "evaluation"), "test")
_WILD_LIMIT = 8


@dataclass(frozen=True)
class Tables:
    """The files of rows below `root`, by split, in order, each in one only.

    `features` is what is said of the columns beside the files: by name, in the form of `dataset_info.json`.
    `left_out` are pairs of reason and path.
    """

    root: Path
    splits: Mapping[str, tuple[Path, ...]]
    features: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[Path, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    def choose(self, split: str | None) -> Mapping[str, tuple[Path, ...]]:
        """The files of a split, or of all. Raises `UsageError` for an unknown one, with those that exist."""
        if split is None:
            return self.splits
        if split not in self.splits:
            raise UsageError(f"{self.root} has no split {split!r}; its splits are {', '.join(self.splits)}")
        return {split: self.splits[split]}


def find_tables(place: Path, config: str | None = None) -> Tables:
    """The rows of a repository, of a folder of `save_to_disk`, of a folder of such files, or of one file.

    `config` is the name of one of the sets that a repository's card tells apart. Raises `SourceError` where
    there are no rows, `UsageError` where `place` is neither file nor folder or the set must be named.
    """
    if place.is_file():
        if place.suffix.lower() not in SUFFIXES:
            raise UsageError(f"{place} is no file of rows; wanted a folder, or a file of .parquet or .arrow")
        return Tables(place.parent, {_name_split(place.name) or "train": (place,)})
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
    taken = {str(path) for files in found.splits.values() for path in files}
    rest = [name for name in listing.names if str(listing.root / name) not in taken]
    tables = [name for name in rest if name.lower().endswith(SUFFIXES)]
    known = {*tables, *(name for name in rest if _DESCRIBING.fullmatch(name))}
    left_out = [*listing.left_out, *((NO_SPLIT, name) for name in tables)]
    left_out += [(NO_ROWS, name) for name in rest if name not in known]
    texts = tuple(found.root / name for name in rest if name in known and name not in tables)
    small = tuple(path for path in texts if path.name in (CARD, DICT_FILE, STATE_FILE, INFO_FILE))
    return Tables(found.root, found.splits, found.features, small, tuple(left_out))


def _open_saved(root: Path, folders: Mapping[str, Path]) -> Tables:
    """A folder that `save_to_disk` wrote: files in the order of each `state.json`."""
    splits: dict[str, tuple[Path, ...]] = {}
    features: Mapping[str, Any] = {}
    for split, folder in folders.items():
        state = _read_state(folder)
        if any(state.get(key) for key in ("_indices_files", "_indices_data_files")):
            advice = "call flatten_indices() and save it again"
            raise SourceError(
                f"{folder / STATE_FILE}: its rows are chosen by an index of their own; {advice}"
            )
        entries = state.get("_data_files")
        names = [str(entry.get("filename", "")) for entry in entries] if _are_objects(entries) else []
        if not names or not all(map(_is_inside, names)):
            raise SourceError(
                f"{folder / STATE_FILE}: wanted '_data_files', a list of names of files beside it"
            )
        splits[split] = tuple(folder / name for name in names)
        features = features or _read_features(folder / INFO_FILE)
    return Tables(root, splits, features)


def _read_saved_splits(root: Path) -> dict[str, Path]:
    data = read_json(root / DICT_FILE)
    names = data.get("splits") if isinstance(data, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise SourceError(f"{root / DICT_FILE}: wanted an object with 'splits', a list of folders")
    for name in names:
        if not _is_inside(name) or not (root / name / STATE_FILE).is_file():
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
    card = read_front_matter(root / CARD, ("configs", "dataset_info"))
    chosen = _choose_config(card, root, config)
    infos = card.get("dataset_info")
    infos = infos if isinstance(infos, list) else [infos]
    info = next(
        (one for one in infos if _name_config(one) == _name_config(chosen)),
        infos[0] if len(infos) == 1 else None,
    )
    said = _turn_features(info.get("features")) if isinstance(info, dict) else {}
    patterns = _list_patterns(chosen, root / CARD)
    splits = _match_patterns(patterns, names, root) if patterns else _group_names(names, root)
    return Tables(root, splits, said or _read_features(root / INFO_FILE))


def _name_config(entry: Any) -> str:
    name = entry.get("config_name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else "default"


def _choose_config(card: Mapping[str, Any], root: Path, config: str | None) -> Mapping[str, Any]:
    """The entry of a card's `configs` that is wanted; an empty one where the card tells none apart."""
    entries = card.get("configs")
    if not _are_objects(entries):
        if config is not None:
            raise UsageError(
                f"{root / CARD} tells no sets apart, so there is no config={config}; leave it out"
            )
        return {}
    by_name = {_name_config(entry): entry for entry in entries}
    usual = [name for name, entry in by_name.items() if entry.get("default") == "true"]
    name = config or next(iter([*usual, *({"default"} & {*by_name})]), None)
    if name is None and len(by_name) == 1:
        name = next(iter(by_name))
    if name is None or name not in by_name:
        said = f"has no config {name!r}" if name else "holds several sets"
        raise UsageError(f"{root} {said}; say config=NAME, one of {', '.join(by_name)}")
    found: Mapping[str, Any] = by_name[name]
    return found


def _list_patterns(entry: Mapping[str, Any], card: Path) -> dict[str, list[str]]:
    """The patterns of the files of each split, as a card says them; empty where it does not."""
    files = entry.get("data_files")
    if isinstance(files, str) or (isinstance(files, list) and all(isinstance(one, str) for one in files)):
        files = {"train": files} if files else {}
    elif _are_objects(files):
        files = {str(one.get("split", "train")): one.get("path") for one in files}
    if not isinstance(files, dict):
        return {}
    found = {}
    for split, patterns in files.items():
        listed = [patterns] if isinstance(patterns, str) else patterns
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise SourceError(
                f"{card}: the files of split {split!r} are {str(patterns)[:40]!r}; wanted patterns"
            )
        if split in ("", "None"):
            raise SourceError(f"{card}: a split without a name; name it")
        found[split] = listed
    return found


def _match_patterns(
    wanted: Mapping[str, Sequence[str]], names: Sequence[str], root: Path
) -> dict[str, tuple[Path, ...]]:
    splits: dict[str, tuple[Path, ...]] = {}
    for split, patterns in wanted.items():
        regexes = [_turn_pattern(pattern, root / CARD) for pattern in patterns]
        files = tuple(root / name for name in names if any(regex.fullmatch(name) for regex in regexes))
        if files:
            splits[split] = files
    if not splits:
        shown = next((pattern for patterns in wanted.values() for pattern in patterns), "")
        raise SourceError(f"{root / CARD}: no .parquet file here is one of {shown!r}; fetch them")
    return splits


def _turn_pattern(pattern: str, card: Path) -> re.Pattern[str]:
    if not _is_inside(pattern) or pattern.count("*") > _WILD_LIMIT:
        raise SourceError(f"{card}: the files {pattern[:80]!r} do not lie in the folder; name those that do")
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.removeprefix("./"))
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(wild.get(part) or re.escape(part) for part in parts))


def _group_names(names: Iterable[str], root: Path) -> dict[str, tuple[Path, ...]]:
    """Files by what their names say of their split; all are of `train` where none says anything."""
    found: dict[str, list[Path]] = {}
    for name in names:
        found.setdefault(_name_split(name), []).append(root / name)
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
        words = [word for word in re.split(r"[^A-Za-z]+", text) if word.lower() in _PARTS]
        if shard and text == shard["name"]:
            # `clean_train` is a split of its own, `imagenet-train` one of a set.
            ending = text.rpartition("-")[2]
            return ending if ending in _PARTS else text
        if words:
            return _PARTS[words[-1].lower()]
    return ""


def _turn_features(entries: Any, depth: int = 0) -> dict[str, Any]:
    """What a card says of columns, in the form of `dataset_info.json`; only what is wanted here."""
    if not _are_objects(entries) or depth > 8:
        return {}
    return {str(entry.get("name")): _turn_feature(entry, depth) for entry in entries}


def _turn_feature(entry: Mapping[str, Any], depth: int) -> Any:
    for key in ("sequence", "list"):
        inner = entry.get(key)
        if inner is not None:
            below = {"dtype": inner} if isinstance(inner, str) else inner
            turned = _turn_features(below, depth + 1) if isinstance(below, list) else below
            return [_turn_feature(turned, depth + 1) if isinstance(below, dict) else turned]
    kind = entry.get("dtype")
    kind = entry if "class_label" in entry else kind
    if isinstance(kind, dict) and isinstance(kind.get("class_label"), dict):
        names = kind["class_label"].get("names")
        if isinstance(names, dict) and all(re.fullmatch(r"\d{1,9}", str(key)) for key in names):
            numbers = sorted(names, key=int)
            names = (
                [names[number] for number in numbers]
                if [*map(int, numbers)] == [*range(len(names))]
                else None
            )
        return {"_type": "ClassLabel", "names": names}
    return {"_type": "Image"} if kind == "image" else {"_type": "Value", "dtype": str(kind)}


def _are_objects(entries: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(entries, list) and bool(entries) and all(isinstance(entry, dict) for entry in entries)


def _is_inside(name: str) -> bool:
    """Whether a name in a file leads to a place below its folder, as far as the name tells."""
    outside = re.match(r"[a-z]+:|[/\\]", name, re.IGNORECASE) or ".." in re.split(r"[/\\]", name)
    return bool(name) and not outside and "\0" not in name
