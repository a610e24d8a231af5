"""What a function in a user's own file returns: `FILE.py:FACTORY`."""

import hashlib
import importlib.util
import sys
from pathlib import Path

from unitscope.errors import NetworkError, UnitscopeError, UsageError, say_near
from unitscope.networks.weights import one_line, random_weights


def call_factory(file: str | Path, factory: str, seed: int = 0) -> object:
    """What the function `factory` of a Python file returns; it is called without arguments.

    The file's code runs, because it was named; what it draws from torch's random numbers comes from `seed`,
    and the numbers outside go on as if nothing was.

    Raises `UsageError` where there is no such file or function (with near names), `NetworkError` where the
    code fails; errors of unitscope pass as they are.
    """
    source = Path(file)
    if not source.is_file():
        raise UsageError(f"there is no file {file}; wanted FILE.py:FACTORY")
    # Files of one name in two folders are two modules: classes of the first must still be found.
    place = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:12]
    found = importlib.util.spec_from_file_location(f"unitscope_user_{source.stem}_{place}", source)
    if found is None or found.loader is None:
        raise UsageError(f"{file} is not a Python file")
    code = importlib.util.module_from_spec(found)
    sys.modules[found.name] = code
    with random_weights(seed):
        try:
            found.loader.exec_module(code)
            if not callable(getattr(code, factory, None)):
                names = [n for n, value in vars(code).items() if callable(value) and not n.startswith("_")]
                raise UsageError(f"{file} has no function {factory!r}{say_near(factory, names)}")
            return getattr(code, factory)()
        except UnitscopeError:
            raise
        except (Exception, SystemExit) as error:
            raise NetworkError(
                f"{file}:{factory} failed: {type(error).__name__}: {one_line(error)}"
            ) from error
