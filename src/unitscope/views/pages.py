"""How every page is made from its template."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from unitscope.views.palette import category_color


def page_environment(folder: str = "templates") -> Environment:
    """Jinja for a folder of templates: everything is escaped, an unknown name is an error."""
    environment = Environment(
        loader=PackageLoader("unitscope.views", folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["category_color"] = category_color
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment
