"""What packages bring by name: sources, networks, segmenters and commands, found through entry points.

A package states what it brings in its `pyproject.toml`, one line a name::

    [project.entry-points."unitscope.sources"]
    shades = "shades_for_unitscope:SHADES"

where `SHADES` is a `Kind`; a command is a `Command`. These are statements: what does the work may
be named as `"module:function"`, which is imported when it is used. So a list of all plug-ins costs little.
The laboratory of unitscope comes in by this door too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from unitscope.errors import UsageError, say_near

SOURCES, NETWORKS = "unitscope.sources", "unitscope.networks"
SEGMENTERS, COMMANDS = "unitscope.segmenters", "unitscope.commands"

Place = Callable[..., Any] | str
"""A function, or where it is: `"module:function"`."""

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """Something that is opened by name: `NAME:PLACE,OPTION=VALUE`.

    - a source: `open(place, options)` returns a `ConceptSource`; `options` holds the texts of those of
      its `options` that were given; those that all sources have (`limit=`, `half=`, ...) are seen to.
    - a network: `open(name)` returns a `Network` or an `nn.Module`. Of `weights` (a path), `random` (a seed)
      and `download` (a bool) it is given, by keyword, those that the user asked for; `options` names those
      that it takes, the others are refused.
    - a segmenter: `open(spec)` returns a `Segmenter`. The name of the entry is what stands before the colon,
      or the ending of a file, as in `.onnx`.

    `grammar` is how it is written; a source whose grammar begins with `NAME:` must be given a place. `line`
    says what it is.
    """

    open: Place
    grammar: str
    line: str = ""
    options: tuple[str, ...] = ()

    def __call__(self, *given: Any, **options: Any) -> Any:
        """What `open` returns; it is imported first where it is a text."""
        return find_function(self.open)(*given, **options)


@dataclass(frozen=True)
class Command:
    """A command of the command line: what it runs, a line about it, and its chapter in the list of all.

    It runs a function of typed arguments, or has commands of its own, by their names.
    """

    run: "Place | Mapping[str, Command]"
    line: str
    chapter: str = "More"


def find_function(place: Place) -> Callable[..., Any]:
    """The function that stands at a place, imported now.

    >>> find_function("math:hypot")(3, 4)
    5.0
    """
    if not isinstance(place, str):
        return place
    found: Callable[..., Any] = EntryPoint("", place, "").load()
    return found


def list_names(group: str) -> tuple[str, ...]:
    """The names that packages bring to a group, sorted; nothing is imported."""
    return tuple(sorted({entry.name for entry in entry_points(group=group)}))


def find_plugin(group: str, name: str, wanted: type[T]) -> T | None:
    """The statement of that name, or None where no package brings one.

    Raises `UsageError`, which names the package, where it cannot be imported, is something else, or where two
    packages bring the same name.
    """
    found = list(entry_points(group=group, name=name))
    if not found:
        return None
    if len({entry.value for entry in found}) > 1:
        owners = " and ".join(sorted(_owner(entry) for entry in found))
        raise UsageError(f"{name!r} is brought by {owners} alike ({group}); uninstall one of them")
    entry = found[0]
    try:
        made = entry.load()
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(
            f"the plug-in {name!r} of {_owner(entry)} cannot be loaded: {why}; reinstall or uninstall it"
        ) from error
    if not isinstance(made, wanted):
        raise UsageError(
            f"the plug-in {name!r} of {_owner(entry)} is a {type(made).__name__}; wanted a {wanted.__name__} "
            f"of unitscope.plugins at {entry.value}"
        )
    return made


def find_plugins(group: str, wanted: type[T]) -> tuple[dict[str, T], tuple[str, ...]]:
    """All statements of a group by name, and a line about every one that cannot be had."""
    found: dict[str, T] = {}
    failures = []
    for name in list_names(group):
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


def say_kinds(group: str, built_in: Mapping[str, Kind], name: str) -> str:
    """What could stand in place of an unknown name, as the end of a message; nothing is imported."""
    brought = list_names(group)
    grammars = ", ".join(kind.grammar for kind in built_in.values())
    others = f", or of plug-ins: {', '.join(brought)}" if brought else ""
    return f"{say_near(name, [*built_in, *brought])}; wanted {grammars}{others}"


def _owner(entry: EntryPoint) -> str:
    return f"package {entry.dist.name!r}" if entry.dist else f"{entry.value!r}"
