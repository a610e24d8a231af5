"""How every page is made from its template."""

import shlex
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from unitscope.errors import writing
from unitscope.views.palette import category_color


def page_environment(folder: str = "templates", package: str = "unitscope.views") -> Environment:
    """Jinja for a package's folder of templates: everything is escaped, an unknown name is an error."""
    environment = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["category_color"] = category_color
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment


def spell_look(network: str, run: str | Path) -> str:
    """The command that shows a network's units in the browser, as a shell takes it.

    >>> spell_look("zoo:scene-classifier", "runs/my run")
    "unitscope look zoo:scene-classifier --run 'runs/my run'"
    """
    return shlex.join(["unitscope", "look", network, "--run", str(run)])


def write_page(text: str, out: Path) -> Path:
    """Writes `index.html` and the style of all pages beside it into the folder `out`; the path of the page.

    Raises `RunError` where they cannot be written.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        style = files("unitscope.views.report") / "look.css"
        (out / "look.css").write_bytes(style.read_bytes())
        (out / "index.html").write_text(text, encoding="utf-8")
    return out / "index.html"
