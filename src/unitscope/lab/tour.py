"""One page that leads through several runs: chapters with pictures, figures and links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.result import Dissection
from unitscope.views.drawing import draw_strip, pick_units, save_picture
from unitscope.views.pages import page_environment, write_page


@dataclass(frozen=True)
class Row:
    """A unit of a chapter: what it is called and where its strip of pictures lies."""

    concept: str
    category: str
    unit: int
    iou: float
    picture: str
    word: str = ""


@dataclass(frozen=True)
class Chapter:
    """A part of the tour: a heading, a few sentences, figures, one wide picture, units, links."""

    title: str
    text: str
    figures: Sequence[tuple[str, str]] = ()
    picture: str = ""
    alt: str = ""
    columns: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()


def draw_rows(
    dissection: Dissection, source: ConceptSource, layer: str, folder: Path, prefix: str, count: int = 6
) -> list[Row]:
    """The best units of the layer's best concepts, their strips saved into `folder`."""
    rows = []
    for unit in pick_units(dissection[layer], count):
        found, picture = dissection[layer][unit], folder / f"{prefix}-{unit}.png"
        assert found.concept is not None
        save_picture(draw_strip(dissection, source, layer, unit), picture)
        shown = f"{folder.name}/{picture.name}"
        rows.append(Row(found.concept.label, found.concept.category, unit, found.iou, shown))
    return rows


def write_tour(chapters: Sequence[Chapter], out: Path, *, title: str, lead: str) -> Path:
    """Writes `index.html` and its style sheet into the folder `out`; the path of the page.

    Links and pictures are relative to `out`, so the folder can be moved as a whole.
    """
    page = page_environment(package="unitscope.lab").get_template("tour.html")
    return write_page(page.render(chapters=chapters, title=title, lead=lead), out)
