"""Words of the command line become a call; wrong ones become one line."""

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout

import tyro

from unitscope.errors import UsageError

Command = Callable[..., int | None]

_DETAIL = " " * 10


def parse_command(
    menu: Mapping[str, Command], words: Sequence[str], prog: str, description: str
) -> Callable[[], int | None]:
    """The command of the menu that the words name, with their arguments, ready to be called.

    Raises `UsageError` for words that fit no command, `SystemExit` once help was printed.

    >>> def greet(name: str, loud: bool = False) -> None:
    ...     print(name.upper() if loud else name)
    >>> parse_command({"greet": greet}, ["greet", "--name", "you", "--loud"], "talk", "Talks.")()
    YOU
    >>> parse_command({"greet": greet}, ["greet", "--name", "you", "--lout"], "talk", "Talks.")
    Traceback (most recent call last):
    unitscope.errors.UsageError: unrecognized options: --lout; perhaps ... see talk greet --help
    """
    bound = {name: _defer(command) for name, command in menu.items()}
    parse = functools.partial(
        tyro.extras.subcommand_cli_from_dict, bound, prog=prog, description=description, args=list(words)
    )
    said = io.StringIO()
    call: Callable[[], int | None]
    try:
        with redirect_stderr(said), redirect_stdout(io.StringIO()):  # what is no terminal gets plain text
            call = parse()
    except SystemExit as end:
        if end.code:
            known = f"{prog} {words[0]}" if words and words[0] in menu else prog
            raise UsageError(f"{unframe(said.getvalue())}; see {known} --help") from None
        call = parse()  # prints the help, where it is seen
    return call


def _defer(command: Command) -> Callable[..., Callable[[], int | None]]:
    @functools.wraps(command)
    def defer(*args: object, **options: object) -> Callable[[], int | None]:
        return functools.partial(command, *args, **options)

    return defer


def unframe(text: str) -> str:
    """What a ruled complaint of the parser says, in one line, without the help that it repeats.

    >>> print(unframe(" Bad value\\n --------\\n  Invalid: x.\\n  --------\\n  For full helptext, ...\\n"))
    bad value: invalid: x
    """
    title, *parts = _sections(text)
    said = [part for part in parts if not part.startswith(("For full help", "Argument help"))]
    said = [part.partition(" Got errors:")[0] for part in said]
    complaint = "; ".join(_lower(part.removeprefix(f"{title}: ").rstrip(".")) for part in said)
    return f"{_lower(title)}: {complaint}"


def _sections(text: str) -> list[str]:
    """What stands between the rules, each in one line; deep indentation is help and is dropped."""
    parts = [""]
    for line in text.splitlines():
        if line.strip() and not line.strip(" -"):
            parts.append("")
        elif not line.startswith(_DETAIL):
            parts[-1] = f"{parts[-1]} {line.strip()}".strip()
    return parts


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
