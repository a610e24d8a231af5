"""What every verb gives back: figures as a table, a frame, files, a page, and a view in a notebook."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from unitscope.doors import NOTEBOOKS, PAGES
from unitscope.errors import UsageError
from unitscope.plugins import find_function
from unitscope.tables import Table, write_tables


class Result:
    """The figures of one verb. Each kind of result has tables, and may have words of its own.

    `str(result)` is what the command prints.
    """

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that `save` writes."""
        return tuple(self.tables())

    def tables(self) -> Mapping[str, Table]:
        """The tables by the names of their files, the main one first."""
        raise NotImplementedError

    def text(self) -> str:
        """The result in words and columns, as the command prints it."""
        return next(iter(self.tables().values())).text()

    def rows(self) -> list[dict[str, Any]]:
        """The main table, a mapping a row, ready for JSON."""
        return next(iter(self.tables().values())).records()

    def describe(self) -> dict[str, Any]:
        """What `text` says, ready for JSON."""
        return {"rows": self.rows()}

    def to_frame(self) -> Any:
        """The main table as a pandas.DataFrame. Raises `UsageError` where pandas is missing."""
        return next(iter(self.tables().values())).to_frame()

    def save(self, folder: str | Path) -> Path:
        """Writes every table as CSV into a folder, which is made; the folder.

        Raises `RunError` where it cannot be written.
        """
        write_tables(Path(folder), self.tables())
        return Path(folder)

    def page(self, folder: str | Path, **shown: Any) -> Path:
        """Writes the page with pictures and figures into a folder; the path of the page.

        `shown` is what the page needs beside the result, such as `pictures`; see the function of the page.
        Raises `UsageError` for a result without a page, `RunError` where it cannot be written.
        """
        drawn = find_drawer(PAGES, self)
        if drawn is None:
            raise UsageError(f"a {type(self).__name__} has no page; save() writes its tables")
        made: Path = find_function(drawn)(self, Path(folder), **shown)
        return made

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        drawn = find_drawer(NOTEBOOKS, self)
        return f"<pre>{escape(self.text())}</pre>" if drawn is None else str(find_function(drawn)(self))


def find_drawer(drawers: Mapping[str, str], result: object) -> str | None:
    """Where the function is that draws a result, by its type or a type above it; None where there is none."""
    kinds = (f"{kind.__module__}:{kind.__qualname__}" for kind in type(result).__mro__)
    return next((drawers[kind] for kind in kinds if kind in drawers), None)
