"""What a unit is for: the classes whose logits fall without it, in the pictures that excite it most."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64

from unitscope.axes import Picture
from unitscope.errors import UsageError
from unitscope.interventions.edits import edited
from unitscope.interventions.linear_head import read_numbers, remove_units
from unitscope.interventions.looking.lens import Lens
from unitscope.networks.trace import evaluation


def weigh_classes(
    lens: Lens, layer: str, unit: int, pictures: Sequence[Picture]
) -> Float64[np.ndarray, "classes"]:
    """What the logit of each class loses without a unit, on average over pictures.

    Of each picture's logits their mean is taken first: what all classes lose alike changes no probability.
    Raises `UsageError` for an unknown layer or unit, or without pictures.
    """
    units = len(lens.find(layer))
    if not 0 <= unit < units:
        raise UsageError(f"layer {layer} has units 0 to {units - 1}, not {unit}")
    if not pictures:
        raise UsageError("there are no pictures to weigh a unit on; give one or more")
    network, frame = lens.network, lens.run.frame
    mask = np.arange(units) == unit
    batch = network.feed(np.stack([frame.fit_image(one) for one in pictures]), 0, network.device)
    with evaluation(network), torch.no_grad():
        whole = read_numbers(network.run(batch))
        with edited(network, remove_units(layer, mask)):
            without = read_numbers(network.run(batch))
    lost = whole - without
    return np.asarray((lost - lost.mean(1, keepdims=True)).mean(0))
