"""The figure of concepts by layer, as in paper B, figs. 3c and 3d."""

from collections.abc import Sequence
from pathlib import Path

from unitscope.lab.studies.depth import LayerConcepts
from unitscope.lab.studies.figures.concept_bars import draw_bars


def draw_depth(rows: Sequence[LayerConcepts], out: Path) -> Path:
    """Unique concepts by category, stacked, and the share of units that are detectors; the SVG's path.

    Bars are means over repeats, whiskers the range of the whole. Raises `UsageError` where matplotlib is
    missing, `RunError` where the file cannot be written.
    """
    layers = dict.fromkeys(row.layer for row in rows)
    return draw_bars({layer: [row for row in rows if row.layer == layer] for layer in layers}, out)
