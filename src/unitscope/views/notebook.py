"""A dissection, or a layer of one, as a piece of HTML for a notebook: no script, no other file."""

from collections.abc import Sequence

from unitscope.dissection.counts import count_concepts, count_layer
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.views.pages import page_environment
from unitscope.views.summary import collect_warnings
from unitscope.views.terminal import rank_unit

BEST_UNITS = 8
BEST_CONCEPTS = 12


def dissection_html(dissection: Dissection) -> str:
    """A compact summary of every layer with its best units, self-contained, everything escaped.

    `Dissection._repr_html_` shows it.
    """
    return _render(list(dissection.layers.values()), dissection.recipe.network.name, dissection.source)


def layer_html(layer: LayerDissection) -> str:
    """The same of one layer, which `LayerDissection._repr_html_` shows."""
    return _render([layer], "", "")


def _render(layers: Sequence[LayerDissection], network: str, source: str) -> str:
    shown = []
    for layer in layers:
        concepts = sorted(count_concepts(layer), key=lambda pair: -pair[1])
        best = sorted((row for row in layer if row.detector), key=rank_unit)[:BEST_UNITS]
        shown.append((count_layer(layer), concepts[:BEST_CONCEPTS], best))
    template = page_environment().get_template("notebook.html")
    return template.render(
        network=network,
        source=source,
        images=max((layer.images for layer in layers), default=0),
        convention=layers[0].convention if layers else None,
        layers=shown,
        warnings=collect_warnings(layers),
    )
