"""Functions in the user's own files, `FILE.py:FACTORY`: their code runs, because they were named."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unitscope.errors import UnitscopeError, UsageError, say_near

_NEIGHBOR = "__beside_a_network_of_unitscope__"
_LONGEST = 200


def call_function(
    spec: str, what: str, call: Callable[[Callable[..., object]], object], failure: type[UnitscopeError]
) -> object:
    """What `call` makes of the function that `FILE.py:FACTORY` names; `what` is in messages what it returns.

    What the file imports may lie beside it.

    Raises `UsageError` where there is no such file or function (with near names), `failure` where the code
    fails; errors of unitscope pass as they are.

    >>> call_function("sets.py", "it", lambda make: make(), UnitscopeError)
    Traceback (most recent call last):
    unitscope.errors.UsageError: sets.py does not say which function returns it; wanted FILE.py:FACTORY
    """
    file, _, factory = spec.rpartition(":")
    source = Path(file)
    if not file:
        raise UsageError(f"{spec} does not say which function returns {what}; wanted FILE.py:FACTORY")
    if not source.is_file():
        raise UsageError(f"there is no file {file}; wanted FILE.py:FACTORY")
    # Files of one name in two folders are two modules: classes of the first must still be found.
    place = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:12]
    found = importlib.util.spec_from_file_location(f"unitscope_user_{source.stem}_{place}", source)
    if found is None or found.loader is None:
        raise UsageError(f"{file} is not a Python file")
    code = importlib.util.module_from_spec(found)
    sys.modules[found.name] = code
    with _neighbors(source.resolve().parent):
        try:
            found.loader.exec_module(code)
            if not callable(getattr(code, factory, None)):
                names = [n for n, value in vars(code).items() if callable(value) and not n.startswith("_")]
                raise UsageError(f"{file} has no function {factory!r}{say_near(factory, names)}")
            return call(getattr(code, factory))
        except UnitscopeError:
            raise
        except (Exception, SystemExit) as error:
            raise failure(f"{spec} failed: {say_failure(error)}") from error


def say_failure(error: BaseException) -> str:
    """An exception's type and what it says, in one line.

    >>> say_failure(ValueError("first\\n  second"))
    'ValueError: first second'
    """
    text = " ".join(str(error).split())
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return ": ".join(filter(None, [type(error).__name__, text]))


@contextmanager
def _neighbors(folder: Path) -> Iterator[None]:
    """Inside, files of the folder can be imported; each time anew, whatever was imported from another one."""
    for name in [name for name in sys.modules if _NEIGHBOR in _content(name)]:
        del sys.modules[name]
    before = set(sys.modules)
    importlib.invalidate_caches()
    path = sys.path[:]
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - before:
            beside = folder / name.partition(".")[0]
            file = Path(_content(name).get("__file__") or "")
            if file == beside.with_suffix(".py") or beside in file.parents:
                setattr(sys.modules[name], _NEIGHBOR, True)


def _content(module: str) -> Mapping[str, Any]:
    """The names in a module, some of which stand for more that is imported when it is asked for."""
    return getattr(sys.modules[module], "__dict__", {})
