"""How sure the labels of a layer's units are."""

from dataclasses import dataclass

from unitscope.axes import PerUnit

CONTROLS = ("shifts", "chance_detectors", "chance_discoveries", "null", "null_images")
"""What is said of a layer as a whole."""


@dataclass(frozen=True, eq=False)
class Confidence:
    """How sure the labels are; all arrays are per unit.

    `p_value`: chance of so high a best IoU where masks and labels are unrelated; `q_value`: false
    discovery rate over the layer's units; `low`, `high`: 95 % bootstrap interval of the IoU over
    images; `heldout`: the IoU of a name given on one half of the images, on the other half.
    `shifts` is the number of null draws a unit; `chance_detectors` the mean number of units above the IoU
    cut-off, and `chance_discoveries` the mean share with q < 0.05, where shifted labels are taken for the
    truth: the shuffled-label controls. `null` says what was drawn, "blocks" or "shifts"; p-values are taken
    over `null_images` of the images.
    """

    p_value: PerUnit
    q_value: PerUnit
    low: PerUnit
    high: PerUnit
    heldout: PerUnit
    shifts: int
    chance_detectors: float
    chance_discoveries: float
    null: str
    null_images: int
