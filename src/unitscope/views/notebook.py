"""A dissection as one piece of HTML for a notebook: no script, no other file."""

from unitscope.dissection.counts import count_concepts, count_layer
from unitscope.dissection.result import Dissection, Unit
from unitscope.views.pages import page_environment
from unitscope.views.summary import (
    collect_warnings,
    count_images,
    name_network,
    name_source,
)

BEST_UNITS = 8
BEST_CONCEPTS = 12


def dissection_html(dissection: Dissection) -> str:
    """A compact summary of every layer with its best units, self-contained, everything escaped.

    `Dissection._repr_html_` shows it.
    """
    layers = []
    for layer in dissection.layers.values():
        concepts = sorted(count_concepts(layer), key=lambda pair: -pair[1])
        best = sorted((row for row in layer if row.detector), key=rank)[:BEST_UNITS]
        layers.append((count_layer(layer), concepts[:BEST_CONCEPTS], best))
    return (
        page_environment()
        .get_template("notebook.html")
        .render(
            network=name_network(dissection),
            source=name_source(dissection),
            images=count_images(dissection),
            convention=dissection.convention,
            layers=layers,
            warnings=collect_warnings(dissection.layers.values()),
        )
    )


def rank(unit: Unit) -> tuple[float, int]:
    """Sorts units by IoU, highest first, then by number."""
    return (-unit.iou, unit.unit)
