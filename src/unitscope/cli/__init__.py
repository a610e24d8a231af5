"""The command line: finds the command, parses its words, runs it."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TextIO

from unitscope import plugins
from unitscope.cli.interruption import end_at_once
from unitscope.errors import UnitscopeError, UsageError, say_near
from unitscope.plugins import Command, find_function, find_plugin, find_plugins, list_names
from unitscope.progress import LOGGER
from unitscope.version import __version__

LOOK, UNITS = "Look at a network", "What units do"
GENERATORS, DATA = "Generators", "Data"
CHAPTERS = (LOOK, UNITS, GENERATORS, DATA, "Laboratory")

COMMANDS: dict[str, Command] = {
    "dissect": Command("unitscope.cli.dissection:dissect", "name the units of some layers", LOOK),
    "merge": Command("unitscope.cli.dissection:merge", "name the units of a run made in parts", LOOK),
    "layers": Command("unitscope.cli.dissection:layers", "list the layers that can be dissected", LOOK),
    "cells": Command("unitscope.cli.cells:cells", "tell classes of cells by single units", LOOK),
    "describe": Command("unitscope.cli.describing:describe", "find words for units, without labels", LOOK),
    "score": Command("unitscope.cli.scores:score", "score names of units, whichever tool gave them", LOOK),
    "show": Command("unitscope.cli.dissection:show", "print what a run found", LOOK),
    "formulas": Command("unitscope.cli.formulas:formulas", "name units by formulas over concepts", LOOK),
    "report": Command("unitscope.cli.dissection:report", "write the report of a run again", LOOK),
    "compare": Command("unitscope.cli.dissection:compare", "put runs side by side", LOOK),
    "directions": Command(
        {"fit": Command("unitscope.cli.directions:fit", "fit them to the cells of a layer")},
        "fit autoencoders, components and probes",
        LOOK,
    ),
    "rate": Command("unitscope.cli.rating:rate", "ask people whether units are what their labels say", LOOK),
    "ratings": Command("unitscope.cli.rating:ratings", "print what people said", LOOK),
    "explain": Command("unitscope.cli.explanation:explain", "explain predictions by units", UNITS),
    "detect": Command("unitscope.cli.explanation:detect", "take single units for detectors", UNITS),
    "ablate": Command("unitscope.cli.ablation:ablate", "remove units of a classifier", UNITS),
    "attack": Command("unitscope.cli.ablation:attack", "fool a classifier, and see which units moved", UNITS),
    "erase": Command("unitscope.cli.generation:erase", "remove units of a generator", GENERATORS),
    "insert": Command("unitscope.cli.generation:insert", "set units of a generator at one place", GENERATORS),
    "invert": Command("unitscope.cli.generation:invert", "bring a picture into a generator", GENERATORS),
    "paint": Command("unitscope.cli.generation:paint", "paint with units, in the browser", GENERATORS),
    "concepts": Command(
        {
            "check": Command("unitscope.cli.concepts:check", "look for anything wrong in a source"),
            "unite": Command("unitscope.cli.concepts:unite", "unite sources into one set"),
            "fetch": Command("unitscope.cli.concepts:fetch", "download a published data set"),
            "preview": Command("unitscope.cli.concepts:preview", "draw images beside their labels"),
        },
        "check, unite, fetch and preview labelled images",
        DATA,
    ),
}
"""The commands of the instrument; those of the laboratory and of other packages are plug-ins."""

_HELP = ("-h", "--help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

    >>> main(["show", "no/such/run"])
    1
    """
    words, own = list(sys.argv[1:] if arguments is None else arguments), arguments is None
    if own:
        warnings.showwarning = _show_warning
        warnings.filterwarnings("ignore", module="PIL")  # what is wrong with a picture is told by unitscope
    with _showing_log():
        return end_at_once(words, partial(_run, words), own)


def _run(words: list[str]) -> int:
    try:
        status = _dispatch(words)
        sys.stdout.flush()
        return status
    except SystemExit as end:  # help was printed
        return end.code if isinstance(end.code, int) else 0
    except UnitscopeError as error:
        print(f"unitscope: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # nobody reads on, as after `| head`
            print(f"unitscope: {error}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # what cannot be printed goes nowhere, so that Python does not fail again at its end
            with suppress(OSError), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 1


class _Lines(logging.Handler):
    """Lines of the log, as all that unitscope says beside its results."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"unitscope: {self.format(record)}", file=sys.stderr)


@contextmanager
def _showing_log() -> Iterator[None]:
    lines, before = _Lines(), LOGGER.level
    LOGGER.addHandler(lines)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(lines)
        LOGGER.setLevel(before)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning in one line; those that are meant for programmers say of which kind they are."""
    kind = "" if category is UserWarning else f" ({category.__name__})"
    print(f"unitscope: warning{kind}: {message}", file=sys.stderr)


def list_commands() -> dict[str, Command]:
    """All commands by their words, a group before what is in it; those of packages after unitscope's own.

    >>> [words for words in list_commands() if words.startswith("concepts")]
    ['concepts', 'concepts check', 'concepts unite', 'concepts fetch', 'concepts preview']
    """
    brought, _ = find_plugins(plugins.COMMANDS, Command, COMMANDS)
    found: dict[str, Command] = {}
    for name, command in (COMMANDS | brought).items():
        found[name] = command
        if isinstance(command.run, Mapping):
            found |= {f"{name} {inner}": part for inner, part in command.run.items()}
    return found


def _dispatch(words: list[str]) -> int:
    first = words[0] if words else ""
    if first == "--version":
        print(__version__)
        return 0
    if first in _HELP:
        brought, failures = find_plugins(plugins.COMMANDS, Command, COMMANDS)
        chapters: dict[str, dict[str, Command]] = {chapter: {} for chapter in CHAPTERS}
        for name, listed in (COMMANDS | brought).items():
            chapters.setdefault(listed.chapter, {})[name] = listed
        print(_spell_menu("unitscope", "a microscope for the hidden units of vision networks", chapters))
        for failure in failures:  # a line about every plug-in that cannot be used
            print(f"unitscope: {failure}", file=sys.stderr)
        return 0
    command = COMMANDS.get(first) or find_plugin(plugins.COMMANDS, first, Command)
    if command is None:
        raise _unknown("unitscope", first, (*COMMANDS, *list_names(plugins.COMMANDS)))
    origin, prog, words = command.origin, f"unitscope {first}", words[1:]
    while isinstance(command.run, Mapping):
        first, *words = words or [""]
        if first in _HELP:
            print(_spell_menu(prog, command.line, {"Commands": command.run}))
            return 0
        if first not in command.run:
            raise _unknown(prog, first, command.run)
        command, prog = command.run[first], f"{prog} {first}"
    from unitscope.cli.parsing import parse_command

    return parse_command(find_function(command.run, origin), words, prog)() or 0


def _unknown(prog: str, name: str, known: Sequence[str] | Mapping[str, Command]) -> UsageError:
    seen = f"{prog} has no command {name!r}{say_near(name, known)}" if name else f"{prog} needs a command"
    return UsageError(f"{seen}; commands: {', '.join(known)}; see {prog} --help")


def _spell_menu(prog: str, line: str, chapters: Mapping[str, Mapping[str, Command]]) -> str:
    width = max((len(name) for commands in chapters.values() for name in commands), default=0)
    parts = [f"usage: {prog} COMMAND ...", f"{line[:1].upper()}{line[1:]}."]
    for chapter, commands in chapters.items():
        lines = [f"  {name:<{width}}  {command.line}" for name, command in commands.items()]
        parts += ["\n".join([f"{chapter}:", *lines])] if lines else []
    version = "; unitscope --version prints the version" if prog == "unitscope" else ""
    parts.append(f"{prog} COMMAND --help says more{version}.")
    return "\n\n".join(parts)
