"""What packages bring by name: sources, networks, segmenters, text models, commands; through entry points.

A package states what it brings in its `pyproject.toml`, one line a name::

    [project.entry-points."unitscope.sources"]
    shades = "shades_for_unitscope:SHADES"

where `SHADES` is a `Kind`; a command is a `Command`. These are statements: what does the work may
be named as `"module:function"`, which is imported when it is used. So a list of all plug-ins costs little.
The laboratory of unitscope comes in by this door too.
"""

import os
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, TypeVar

from unitscope.errors import UnitscopeError, UsageError, say_near

SOURCES, NETWORKS = "unitscope.sources", "unitscope.networks"
SEGMENTERS, COMMANDS = "unitscope.segmenters", "unitscope.commands"
TEXT_MODELS = "unitscope.text_models"

Place = Callable[..., Any] | str
"""A function, or where it is: `"module:function"`."""


@dataclass(frozen=True)
class Kind:
    """Something that is opened by name: `NAME:PLACE,OPTION=VALUE`.

    - a source: `open(place, options)` returns a `ConceptSource`; `options` holds the texts of those of
      its `options` that were given; those that all sources have (`limit=`, `half=`, ...) are seen to.
    - a network: `open(name)` returns a `Network` or an `nn.Module`. Of `weights` (a path), `random` (a seed),
      `download` (a bool) and `size` (height, width) it is given, by keyword, those that the user asked for;
      `options` names those that it takes. Weights and seeds that it does not take are refused.
    - a segmenter: `open(spec)` returns a `Segmenter`. The name of the entry is what stands before the colon,
      or the ending of a file, as in `.onnx`.
    - a text model: `open(place)` returns a `unitscope.networks.text_models.TextModel`.

    `grammar` is how it is written; one that begins with `NAME:` must be given a place. `line` says what it
    is. `origin`, its name and package for messages, is filled by `find_plugin`.
    """

    open: Place
    grammar: str
    line: str = ""
    options: tuple[str, ...] = ()
    origin: str = field(default="", compare=False)

    def __call__(self, *given: Any, **options: Any) -> Any:
        """What `open` returns; it is imported first where it is a text.

        Raises `UsageError` where a plug-in cannot be imported, `UnitscopeError` where its code fails, which
        name it. Errors of unitscope pass as they are.
        """
        opener = find_function(self.open, self.origin)
        try:
            return opener(*given, **options)
        except UnitscopeError:
            raise
        except Exception as error:
            if not self.origin:
                raise
            raise UnitscopeError(f"the plug-in {self.origin} failed: {_spell(error)}") from error


@dataclass(frozen=True)
class Command:
    """A command of the command line: what it runs, a line about it, and its chapter in the list of all.

    It runs a function of typed arguments, or has commands of its own, by their names. `origin` is filled by
    `find_plugin`.
    """

    run: "Place | Mapping[str, Command]"
    line: str
    chapter: str = "More"
    origin: str = field(default="", compare=False)


T = TypeVar("T", Kind, Command)


def find_function(place: Place, origin: str = "") -> Callable[..., Any]:
    """The function that stands at a place, imported now.

    Raises `UsageError`, which names the plug-in, where what a plug-in (`origin`) names cannot be imported.

    >>> find_function("math:hypot")(3, 4)
    5.0
    """
    if not isinstance(place, str):
        return place
    found: Callable[..., Any] = _load(EntryPoint("", place, ""), origin)
    return found


def list_entries(group: str) -> EntryPoints:
    """What packages state for a group; read again only where a folder of packages has changed since."""
    # One that may not be read, or that is not there, brings nothing.
    folders = (folder for folder in sys.path if os.path.exists(folder or "."))
    return _read_entries(group, tuple((folder, os.stat(folder or ".").st_mtime_ns) for folder in folders))


@lru_cache(maxsize=16)
def _read_entries(group: str, seen: tuple[tuple[str, int], ...]) -> EntryPoints:
    return entry_points(group=group)


def list_names(group: str) -> tuple[str, ...]:
    """The names that packages bring to a group, sorted; nothing is imported."""
    return tuple(sorted({entry.name for entry in list_entries(group)}))


def find_plugin(group: str, name: str, wanted: type[T]) -> T | None:
    """The statement of that name, or None where no package brings one; unitscope's own before all others.

    Raises `UsageError`, which names the package, where it cannot be imported, is something else, or where two
    packages bring the same name.
    """
    chosen, _ = _choose(group, name)
    if not chosen:
        return None
    if len(chosen) > 1:
        raise UsageError(f"{name!r} is brought by {_owners(chosen)} alike ({group}); uninstall one of them")
    origin = f"{name!r} of {_owners(chosen)}"
    made = _load(chosen[0], origin)
    if not isinstance(made, wanted):
        raise UsageError(
            f"the plug-in {origin} is a {type(made).__name__}; wanted a {wanted.__name__} "
            f"of unitscope.plugins at {chosen[0].value}"
        )
    return replace(made, origin=origin)


def find_plugins(
    group: str, wanted: type[T], built_in: Container[str] = ()
) -> tuple[dict[str, T], tuple[str, ...]]:
    """All statements of a group by name, and a line about every one that cannot be had.

    One with a name that is `built_in` cannot.
    """
    found: dict[str, T] = {}
    failures = []
    for name in list_names(group):
        chosen, others = _choose(group, name, name in built_in)
        if others:
            failures.append(
                f"the plug-in {name!r} of {_owners(others)} is not used: unitscope has its own {name!r}"
            )
        if not chosen:
            continue
        try:
            made = find_plugin(group, name, wanted)
        except UsageError as error:
            failures.append(str(error))
        else:
            assert made is not None
            found[name] = made
    return found, tuple(failures)


def find_kind(group: str, built_in: Mapping[str, Kind], *names: str) -> Kind | None:
    """The kind that the first of some names stands for: one that is built in, else a package's; or None.

    Raises what `find_plugin` raises.
    """
    found = (built_in.get(name) or find_plugin(group, name, Kind) for name in names)
    return next((kind for kind in found if kind is not None), None)


def spell_kinds(group: str, built_in: Mapping[str, Kind]) -> str:
    """How things of a group are written: the grammars that are built in, then those of plug-ins that load.

    >>> spell_kinds("unitscope.nothing", {"folder": Kind(print, "folder:DIR"), "file": Kind(print, "FILE")})
    'folder:DIR or FILE'
    """
    found, _ = find_plugins(group, Kind, built_in)
    *most, last = (kind.grammar for kind in (*built_in.values(), *found.values()))
    return f"{', '.join(most)} or {last}" if most else last


def say_kinds(group: str, built_in: Mapping[str, Kind], name: str) -> str:
    """What could stand in place of an unknown name, as the end of a message."""
    near = say_near(name, [*built_in, *list_names(group)])
    return f"{near}; wanted {spell_kinds(group, built_in)}"


def _choose(group: str, name: str, built_in: bool = False) -> tuple[list[EntryPoint], list[EntryPoint]]:
    """The entries of a name that count, and those that do not: unitscope's own stands before them."""
    entries = list({entry.value: entry for entry in list_entries(group).select(name=name)}.values())
    if built_in:
        return [], entries
    own = [entry for entry in entries if entry.dist and entry.dist.name == "unitscope"]
    return (own, [entry for entry in entries if entry not in own]) if own else (entries, [])


def _load(entry: EntryPoint, origin: str) -> Any:
    try:
        return entry.load()
    except Exception as error:
        if not origin:
            raise
        raise UsageError(
            f"the plug-in {origin} cannot be loaded: {_spell(error)}; reinstall or uninstall it"
        ) from error


def _spell(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _owners(entries: Sequence[EntryPoint]) -> str:
    names = (f"package {entry.dist.name!r}" if entry.dist else repr(entry.value) for entry in entries)
    return " and ".join(sorted(names))
