"""How a command ends when it is told to, by Ctrl-C or `kill`: within a second, in one line, and whole.

Python hands a signal to the program between two of its steps, and one step may be a pass through a large
network. So a thread watches: what has not ended by itself after a short while is ended by it. Whatever is on
disk then is as after a kill at that moment, which every file that unitscope writes is made for.
"""

import atexit
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from threading import Event, Lock, Thread, current_thread, main_thread
from types import FrameType
from typing import NoReturn

GRACE = 0.6
"""Seconds in which a command may end by itself; Python's own end comes after that."""

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}

Words = Sequence[str]
GoOn = Callable[[Words], Words | None]
"""From the words of a command those of the command that goes on with it, None where nothing can."""

Handler = Callable[[int, FrameType | None], None]

_offered: list[GoOn] = []


def offer(go_on: GoOn) -> None:
    """Says how to go on with the command that runs now, should it be interrupted."""
    _offered[:] = [go_on]


class Ending:
    """The end that a command was told to come to: by which signal, whether it was said, whether it came."""

    def __init__(self, words: Words) -> None:
        self.words, self.number, self.over = words, 0, Event()
        self._said, self._lock = False, Lock()

    @property
    def status(self) -> int:
        """The exit status, as of a process that died of the signal."""
        return 128 + (self.number or signal.SIGINT)

    def spell(self) -> str:
        """One line: what happened, and how to go on."""
        line = f"unitscope: {_WORDS[signal.Signals(self.number or signal.SIGINT)]}"
        following = _offered[0](self.words) if _offered else None
        if following is None:
            return line
        return f"{line}; what is done is kept, go on with: {spell_command(['unitscope', *following])}"

    def say(self, forced: bool = False) -> None:
        """Prints that line, once."""
        with self._lock:
            if self._said:
                return
            self._said = True
            if forced:  # whoever holds the lock of stderr may be stuck
                before = "\n" if os.isatty(2) else ""
                os.write(2, f"{before}{self.spell()}\n".encode())
            else:
                print(self.spell(), file=sys.stderr)


def spell_command(words: Words) -> str:
    """A command as it must be typed, whatever bytes its words have.

    >>> print(spell_command(["show", "my run", os.fsdecode(b"it's \\xff")]))
    show 'my run' $'it\\'s \\xff'
    """
    return " ".join(shlex.quote(word) if word.isprintable() else _escape(word) for word in words)


def _escape(word: str) -> str:
    """A word with what cannot be printed, as shells of today read it."""
    spelled = (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in os.fsencode(word))
    return "$'" + "".join(f"\\{one}" if one in ("'", "\\") else one for one in spelled) + "'"


def end_at_once(words: Words, run: Callable[[], int], own: bool) -> int:
    """What `run` returns, or the status of a command that was interrupted, which is told.

    With `own` the process is the command's own: it is gone within a second after the first signal, whatever
    it does, and later signals change nothing.
    """
    ending = Ending(words)
    _offered.clear()
    with _watch(ending) if own else nullcontext():
        try:
            status = run()
        except BaseException as error:
            # Where a signal comes while a library is being imported, the error may be any.
            if not ending.number and not isinstance(error, KeyboardInterrupt):
                raise
            ending.number = ending.number or signal.SIGINT
            status = ending.status
        if status and ending.number:
            ending.say()
            if own:
                _leave(ending.status)
            return ending.status
        ending.number = 0  # a server that was closed has ended as it should
    return status


def _leave(status: int) -> NoReturn:
    """Ends the process; Python takes a second to give back what the system takes back at once."""
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(status)


@contextmanager
def _watch(ending: Ending) -> Iterator[None]:
    """Signals end what is done in the block, and the process where it does not end.

    Python lets only the main thread say what a signal does.
    """
    if current_thread() is not main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not ending.number:  # a second one would break into what the first one ends
            ending.number = number
            with suppress(OSError):  # whoever deferred the signal, as Ray does, may also lose the error
                os.write(writer, bytes([number]))
            raise KeyboardInterrupt

    def hide(lost: "sys.UnraisableHookArgs") -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):  # lost in a callback: the thread sees to it
            sys.__unraisablehook__(lost)

    sys.unraisablehook = hide
    # Those that are ignored, as in what a shell started with nohup or &, stay so.
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    caught = {number: old for number, old in usual.items() if signal.getsignal(number) is old}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in caught:
        signal.signal(number, interrupt)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def let_go() -> None:
        signal.set_wakeup_fd(-1)
        for number, old in caught.items():
            signal.signal(number, old)

    os.register_at_fork(after_in_child=let_go)  # what is sent to a child is not meant for this process
    Thread(target=_force, args=(reader, interrupt, ending), name="interruption", daemon=True).start()
    yield
    if not ending.number:  # else Python ends, and is watched as it does so
        ending.over.set()
        let_go()


def _force(reader: int, interrupt: Handler, ending: Ending) -> None:
    """Ends the process a while after a signal has come, unless others handle it, as a server does."""
    while numbers := os.read(reader, 64):
        told = [number for number in numbers if signal.getsignal(number) is interrupt]
        if ending.number or told:
            break
    if not ending.over.wait(GRACE):
        ending.number = ending.number or told[0]
        ending.say(forced=True)
        # Those that began others have imported it.
        if processes := sys.modules.get("multiprocessing"):
            for child in processes.active_children():
                child.kill()
        os._exit(ending.status)
