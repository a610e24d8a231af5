"""Where the marks of the two charts lie; the template draws them as SVG."""

from dataclasses import dataclass

from unitscope.dissection.counts import LayerCounts, count_concepts
from unitscope.dissection.result import LayerDissection
from unitscope.views.palette import category_color

PLOT_HEIGHT = 150.0
LETTER_WIDTH = 7.0
LABEL_LETTERS = 18


@dataclass(frozen=True)
class Bar:
    """A rectangle with what it stands for; coordinates in CSS pixels from the top left."""

    x: float
    y: float
    width: float
    height: float
    color: str
    label: str
    category: str
    count: int
    concept: int = 0


@dataclass(frozen=True)
class Chart:
    """Bars in a plot of that size, with gridlines as (y, value) pairs and names below."""

    width: int
    height: int
    floor: float
    bars: tuple[Bar, ...]
    grid: tuple[tuple[float, int], ...]
    names: tuple[tuple[float, str], ...] = ()
    totals: tuple[tuple[float, float, int], ...] = ()
    leaning: bool = False


def shorten(text: str, letters: int = LABEL_LETTERS) -> str:
    """The text, cut with an ellipsis where it is longer than that.

    >>> shorten("a very long name of a concept", 10)
    'a very lo…'
    """
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"


def gridlines(largest: int, floor: float, height: float) -> tuple[tuple[float, int], ...]:
    """At most four round values from 0 to the largest with their y."""
    steps = (step * 10**power for power in range(7) for step in (1, 2, 5))
    step = next(step for step in steps if largest <= 4 * step)
    top = max(largest, 1)
    return tuple((floor - height * value / top, value) for value in range(0, top + 1, step))


def draw_concepts(layer: LayerDissection) -> Chart:
    """Detectors by concept: a bar a concept, grouped by category (paper B, fig. 1d)."""
    counts = count_concepts(layer)
    largest = max((count for _, count in counts), default=1)
    pitch = min(26.0, max(15.0, 1060 / max(len(counts), 1)))
    bars: list[Bar] = []
    names: list[tuple[float, str]] = []
    x, floor, previous = 36.0, 12.0 + PLOT_HEIGHT, ""
    for concept, count in counts:
        if previous and concept.category != previous:
            x += pitch * 0.7
        previous = concept.category
        tall, text = PLOT_HEIGHT * count / largest, concept.label
        color = category_color(concept.category)
        bars.append(Bar(x, floor - tall, pitch - 4, tall, color, text, concept.category, count, concept.id))
        names.append((x + (pitch - 4) / 2, shorten(text)))
        x += pitch
    grid = gridlines(largest, floor, PLOT_HEIGHT)
    below = 16 + LETTER_WIDTH * max((len(name) for _, name in names), default=0)
    return Chart(int(x + 8), int(floor + below), floor, tuple(bars), grid, tuple(names))


def draw_layers(counted: list[LayerCounts]) -> Chart:
    """Unique concepts by layer, stacked by category (paper B, fig. 1e)."""
    largest = max((one.count() for one in counted), default=0) or 1
    longest = max(len(one.layer) for one in counted)
    leaning = len(counted) > 6 or longest > 14
    pitch = 44.0 if leaning else max(52.0, 6.2 * longest + 10)
    wide = min(44.0, pitch * 0.62)
    bars: list[Bar] = []
    names: list[tuple[float, str]] = []
    totals: list[tuple[float, float, int]] = []
    x, floor = 40.0, 24.0 + PLOT_HEIGHT
    for one in counted:
        y = floor
        for category, count in one.unique["label"].items():
            tall = PLOT_HEIGHT * count / largest
            y -= tall
            if count:
                gap = 1.5 if tall > 3 else 0.0
                color = category_color(category)
                bars.append(Bar(x, y, wide, tall - gap, color, one.layer, category, count))
        names.append((x + wide / 2, shorten(one.layer, 16)))
        totals.append((x + wide / 2, y - 6, one.count()))
        x += pitch
    height = int(floor + (96 if leaning else 26))
    grid = gridlines(largest, floor, PLOT_HEIGHT)
    return Chart(int(x), height, floor, tuple(bars), grid, tuple(names), tuple(totals), leaning)
