"""Doors: packages whose public names stand once, in their `__init__.pyi`, and are imported when used.

A door is two files. `__init__.pyi` imports the public names, which is all that type checkers and editors
read; `__init__.py` has the package's docstring and one line::

    __getattr__, __dir__, __all__ = open_door(__name__, __file__)
"""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

PAGES: dict[str, str] = {}
"""What draws the page of a result, `"module:function"` by the result's `"module:Type"`; the door fills it."""
NOTEBOOKS: dict[str, str] = {}
TEXTS: dict[str, str] = {}
"""The same for a result in a notebook, and in words."""


def open_door(
    package: str, file: str
) -> tuple[Callable[[str], object], Callable[[], list[str]], tuple[str, ...]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package whose `__init__.pyi` lies beside `file`.

    >>> import unitscope
    >>> unitscope.disect
    Traceback (most recent call last):
    AttributeError: module 'unitscope' has no attribute 'disect'
    """
    imports = ast.parse(Path(file).with_suffix(".pyi").read_text("utf-8")).body
    homes = {
        name.name: "." * line.level + (line.module or "")
        for line in imports
        if isinstance(line, ast.ImportFrom)
        for name in line.names
    }
    names = tuple(sorted(homes))

    def find(name: str) -> object:
        # Imported when it is first used, so that `import unitscope` and `--help` stay quick.
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name], package), name)

    return find, lambda: list(names), names
