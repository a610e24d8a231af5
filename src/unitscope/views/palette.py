"""The colors of the categories: one language for report, figures and terminal.

After the palette of Okabe and Ito, which people with any kind of color vision can distinguish. A color
never carries a meaning alone: the name of the category stands beside it.
"""

from collections.abc import Iterable

CATEGORY_COLORS = {
    "object": "#0072B2",
    "part": "#56B4E9",
    "scene": "#009E73",
    "material": "#E69F00",
    "texture": "#CC79A7",
    "color": "#D55E00",
}
OTHER_COLOR = "#999999"


def category_color(category: str) -> str:
    """The color of a category as #RRGGBB; categories that a user brings share one gray.

    >>> category_color("object"), category_color("season")
    ('#0072B2', '#999999')
    """
    return CATEGORY_COLORS.get(category, OTHER_COLOR)


def color_categories(categories: Iterable[str]) -> list[dict[str, str]]:
    """Name and color of each category, in order, for templates and scripts.

    >>> color_categories(["part"])
    [{'name': 'part', 'color': '#56B4E9'}]
    """
    return [{"name": category, "color": category_color(category)} for category in categories]
