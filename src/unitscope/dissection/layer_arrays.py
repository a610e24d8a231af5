"""The arrays of a layer's file: their names, and the shapes that they have."""

from collections.abc import Mapping

import numpy as np

from unitscope.concepts.vocabulary import Vocabulary

COUNTS = ("thresholds", "active", "active_in", "pixels_in", "concept_pixels", "intersections")
EXEMPLARS = ("images", "peaks", "offsets", "runs")
CONFIDENCE = ("p_value", "q_value", "low", "high", "heldout")
PAIRS = ("thresholds", "quality", "active", "intersections")


def check_shapes(arrays: Mapping[str, np.ndarray], units: int, vocabulary: Vocabulary) -> None:
    """Raises `ValueError` for arrays of another number of units, or another vocabulary."""
    categories, ranks = len(vocabulary.categories), arrays["exemplar_images"].shape[1]
    shapes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("thresholds", "active", *CONFIDENCE), (units,)),
        "active_in": (units, categories),
        "pixels_in": (categories,),
        "concept_pixels": (vocabulary.size,),
        "intersections": (units, vocabulary.size),
        **{f"pair_{name}": (units, vocabulary.size) for name in PAIRS},
        "exemplar_images": (units, ranks),
        "exemplar_peaks": (units, ranks),
        "exemplar_offsets": (units * ranks + 1,),
        "exemplar_runs": (arrays["exemplar_offsets"][-1], 3),
    }
    for name, array in arrays.items():
        if array.shape != shapes.get(name, array.shape):
            raise ValueError(f"{name} has shape {array.shape} instead of {shapes[name]}")
