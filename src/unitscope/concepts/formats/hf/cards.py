"""What the card of a data set of the Hub says: its sets, the files of their splits, the names of classes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from unitscope.concepts.formats.hf.front_matter import read_front_matter
from unitscope.concepts.left_out import name_some
from unitscope.errors import SourceError, UsageError

_WILD_LIMIT = 8
_WILD = re.compile(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\]|\{[^{}]*\})")
_WILD_CHARACTERS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class Card:
    """What is said of one set: its name, if the card tells any apart, and the folder that it lies in.

    `folder` ends in a slash, unless it is empty. `patterns` are matched by the paths of the files of each
    split, `spelled` has them as they stand there; without any, names of files tell their splits. `features`
    is what is said of columns, in the form of `dataset_info.json`.
    """

    name: str = ""
    folder: str = ""
    patterns: Mapping[str, tuple[re.Pattern[str], ...]] = field(default_factory=dict)
    spelled: Mapping[str, list[str]] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)


def read_card(path: Path, config: str | None) -> Card:
    """What a card says of a set. Raises `UsageError` where the set must be named, or there is none of it."""
    said = read_front_matter(path, ("configs", "dataset_info"))
    chosen = _choose_config(said, path, config)
    infos = said.get("dataset_info")
    infos = infos if isinstance(infos, list) else [infos]
    info = next((one for one in infos if _name_config(one) == _name_config(chosen)), None)
    if info is None and len(infos) == 1 and not (chosen and "config_name" in (infos[0] or {})):
        info = infos[0]
    folder = _read_folder(chosen, path)
    spelled = _list_patterns(chosen, path)
    return Card(
        _name_config(chosen) if chosen else "",
        folder,
        {
            split: tuple(_turn_pattern(one, path, folder) for one in patterns)
            for split, patterns in spelled.items()
        },
        spelled,
        _turn_features(info.get("features")) if isinstance(info, dict) else {},
    )


def _read_folder(entry: Mapping[str, Any], path: Path) -> str:
    folder = entry.get("data_dir")
    if folder is None:
        return ""
    if not isinstance(folder, str) or not is_inside(folder):
        raise SourceError(f"{path}: data_dir is {str(folder)[:40]!r}; wanted a folder below it")
    parts = [part for part in folder.split("/") if part not in ("", ".")]
    return "".join(f"{part}/" for part in parts)


def _name_config(entry: Any) -> str:
    name = entry.get("config_name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else "default"


def _choose_config(said: Mapping[str, Any], path: Path, config: str | None) -> Mapping[str, Any]:
    """The entry of a card's `configs` that is wanted; an empty one where the card tells none apart."""
    entries = said.get("configs")
    if not are_objects(entries):
        return {}
    by_name = {_name_config(entry): entry for entry in entries}
    usual = [name for name, entry in by_name.items() if entry.get("default") == "true"]
    name = config or next(iter([*usual, *({"default"} & {*by_name})]), None)
    if name is None and len(by_name) == 1:
        name = next(iter(by_name))
    if name is None or name not in by_name:
        lack = f"has no config {name!r}" if name else "holds several sets"
        raise UsageError(f"{path.parent} {lack}; say config=NAME, one of {name_some([*by_name])}")
    found: Mapping[str, Any] = by_name[name]
    return found


def _list_patterns(entry: Mapping[str, Any], card: Path) -> dict[str, list[str]]:
    """The patterns of the files of each split, as a card says them; empty where it does not."""
    files = entry.get("data_files")
    if isinstance(files, str) or (isinstance(files, list) and all(isinstance(one, str) for one in files)):
        files = {"train": files} if files else {}
    elif are_objects(files):
        splits = [str(one.get("split", "train")) for one in files]
        twice = next((split for split in splits if splits.count(split) > 1), None)
        if twice is not None:
            raise SourceError(f"{card}: gives the files of split {twice!r} twice; list them in one place")
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


def _turn_pattern(pattern: str, card: Path, folder: str) -> re.Pattern[str]:
    """What the paths of files match; a folder is all that lies in it. Raises `SourceError` for no pattern."""
    if not is_inside(pattern) or pattern.count("*") > _WILD_LIMIT:
        raise SourceError(f"{card}: the files {pattern[:80]!r} do not lie in the folder; name those that do")
    text = pattern.removeprefix("./").rstrip("/")
    if text in ("", "."):
        text = "**"
    below = "" if _WILD.search(text) else "(?:/.*)?"
    try:
        return re.compile(f"{re.escape(folder)}{_turn_wild(text)}{below}")
    except (re.error, RecursionError):
        raise SourceError(f"{card}: the files {pattern[:80]!r} are no pattern; mend it") from None


def _turn_wild(text: str) -> str:
    return "".join(_WILD_CHARACTERS.get(part) or _turn_part(part) for part in _WILD.split(text))


def _turn_part(part: str) -> str:
    """A part of a pattern: `[0-9]`, `[!0-9]`, `{a,b}`, or a text that stands for itself.

    >>> _turn_part("[!0-9]"), _turn_part("{a,b*}"), _turn_part("a.b")
    ('[^0-9]', '(?:a|b[^/]*)', 'a\\\\.b')
    """
    if part[:1] == "{" and part[-1:] == "}":
        return f"(?:{'|'.join(map(_turn_wild, part[1:-1].split(',')))})"
    if part[:1] == "[" and part[-1:] == "]":
        inner = part[1:-1]
        refused = inner[:1] in ("!", "^")
        inner = re.sub(r"([^0-9A-Za-z-])", r"\\\1", inner[refused:])
        return f"[{'^' if refused else ''}{inner}]"
    return re.escape(part)


def _turn_features(entries: Any, depth: int = 0) -> dict[str, Any]:
    """What a card says of columns, in the form of `dataset_info.json`; only what is wanted here."""
    if not are_objects(entries) or depth > 8:
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


def are_objects(entries: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Whether something read is a list of objects, and not empty."""
    return isinstance(entries, list) and bool(entries) and all(isinstance(entry, dict) for entry in entries)


def is_inside(name: str) -> bool:
    """Whether a name in a file leads to a place below its folder, as far as the name tells."""
    outside = re.match(r"[a-z]+:|[/\\]", name, re.IGNORECASE) or ".." in re.split(r"[/\\]", name)
    return bool(name) and not outside and "\0" not in name
