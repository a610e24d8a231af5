"""Words of the command line become a call; wrong ones become one line."""

import functools
import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import tyro

from unitscope.errors import UsageError

Command = Callable[..., int | None]

_DETAIL = " " * 10


def parse_command(command: Command, words: list[str], prog: str) -> Callable[[], int | None]:
    """The command with the arguments that the words give it, ready to be called.

    Options that belong together may be the fields of a dataclass; their flags are named like the fields.

    Raises `UsageError` for words that do not fit, `SystemExit` once help was printed.

    >>> def greet(name: str, loud: bool = False) -> None:
    ...     print(name.upper() if loud else name)
    >>> parse_command(greet, ["--name", "you", "--loud"], "talk greet")()
    YOU
    >>> parse_command(greet, ["--name", "you", "--lout"], "talk greet")
    Traceback (most recent call last):
    unitscope.errors.UsageError: unrecognized options: --lout; perhaps ... see talk greet --help
    """

    @functools.wraps(command)
    def defer(*args: object, **options: object) -> Callable[[], int | None]:
        return functools.partial(command, *args, **options)

    parse: Callable[[], Callable[[], int | None]] = functools.partial(
        tyro.cli, defer, prog=prog, args=list(words), config=(tyro.conf.OmitArgPrefixes,)
    )
    if words[:1] not in (["-h"], ["--help"]):  # which print help, whatever follows
        printed = io.StringIO()
        try:
            with redirect_stderr(printed), redirect_stdout(io.StringIO()):  # no terminal: plain text
                return parse()
        except SystemExit as end:
            if end.code:
                raise UsageError(f"{unframe(printed.getvalue())}; see {prog} --help") from None
    return parse()  # prints the help


def unframe(text: str) -> str:
    """What a ruled complaint of the parser says, in one line, without the help that it repeats.

    >>> print(unframe(" Bad value\\n --------\\n  Invalid: x.\\n  --------\\n  For full helptext, ...\\n"))
    bad value: invalid: x
    """
    sections = [""]
    for line in text.splitlines():
        if line.strip() and not line.strip(" -"):  # a rule
            sections.append("")
        elif not line.startswith(_DETAIL):
            sections[-1] = f"{sections[-1]} {line.strip()}".strip()
    title, *parts = sections
    parts = [part for part in parts if not part.startswith(("For full help", "Argument help"))]
    parts = [part.partition(" Got errors:")[0].removeprefix(f"{title}: ").rstrip(".") for part in parts]
    title, *parts = (part[:1].lower() + part[1:] for part in (title, *parts))
    return f"{title}: {'; '.join(parts)}"
