"""The command line: parses, calls the door, prints."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import unitscope as us
from unitscope.cli.ablation import ABLATION
from unitscope.cli.attack import ATTACK
from unitscope.cli.concepts import CONCEPTS
from unitscope.cli.detection import DETECTION
from unitscope.cli.dissection import DISSECTION
from unitscope.cli.explanation import EXPLANATION
from unitscope.cli.generation import GENERATION
from unitscope.cli.paint import PAINT
from unitscope.cli.parsing import Command, parse_command
from unitscope.cli.rating import RATING
from unitscope.errors import UnitscopeError, UsageError
from unitscope.lab.commands.studies import STUDIES
from unitscope.lab.commands.zoo import ZOO

COMMANDS: dict[str, Command] = {
    **DISSECTION,
    **EXPLANATION,
    **DETECTION,
    **ABLATION,
    **ATTACK,
    **GENERATION,
    **PAINT,
    **RATING,
}
GROUPS: dict[str, tuple[dict[str, Command], str]] = {
    "concepts": (CONCEPTS, "Sources of concepts."),
    "zoo": (ZOO, "Small networks trained on the drawn world."),
    "study": (STUDIES, "Experiments."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 1 failed, 2 wrong usage.

    >>> main(["show", "no/such/run"])
    1
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _dispatch(words)
        sys.stdout.flush()
        return status
    except SystemExit as end:  # help was printed
        return end.code if isinstance(end.code, int) else 0
    except UnitscopeError as error:
        print(f"unitscope: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # nobody reads on, as after `| head`
        return _drop_output()
    except OSError as error:
        print(f"unitscope: {error}", file=sys.stderr)
        return _drop_output()
    except KeyboardInterrupt:
        print("unitscope: interrupted; what is done is kept, go on with --resume", file=sys.stderr)
        return 130


def _drop_output() -> int:
    """Send what cannot be printed nowhere, so that Python does not fail again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return 1


def _dispatch(words: list[str]) -> int:
    if words[:1] == ["--version"]:
        print(us.__version__)
        return 0
    if words and words[0] in GROUPS:
        commands, described = GROUPS[words[0]]
        call = parse_command(commands, words[1:], f"unitscope {words[0]}", described)
    else:
        menu = {**COMMANDS, **{name: _group(name) for name in GROUPS}}
        described = "A microscope for the hidden units of vision networks. --version prints the version."
        call = parse_command(menu, words, "unitscope", described)
    return call() or 0


def _group(name: str) -> Command:
    """What stands for a group of commands in the menu of all."""
    commands, described = GROUPS[name]

    def ask() -> None:
        raise UsageError(f"{name} needs one of {', '.join(commands)}")

    ask.__doc__ = f"{described[:-1]}: {', '.join(commands)} (see `unitscope {name} --help`)."
    return ask
