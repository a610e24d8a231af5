"""The arrays that travel through unitscope, by the names of their axes.

The names are checked at run time only in the tests (jaxtyping with beartype); elsewhere they are
documentation that cannot go stale. `y`, `x` are stored pixels, `row`, `column` mask pixels,
`cell_y`, `cell_x` cells of an activation map.
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt8, UInt16

Pixels = UInt8[np.ndarray, "y x 3"]
"""One image, RGB."""

Picture = UInt8[np.ndarray, "y x band"] | UInt16[np.ndarray, "y x band"] | Float32[np.ndarray, "y x band"]
"""One image as it is stored: RGB, or any number of bands."""

Pictures = (
    UInt8[np.ndarray, "image y x band"]
    | UInt16[np.ndarray, "image y x band"]
    | Float32[np.ndarray, "image y x band"]
)
"""Some images of one size, as they are stored."""

LARGEST = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
"""What stands for 1 in a picture of such numbers."""

Planes = UInt16[np.ndarray, "plane row column"]
"""The labels of one image: concept ids, several planes where a pixel has several labels; 0 is none."""

Void = Bool[np.ndarray, "row column"]
"""Where the truth of one image is unknown."""

Counts = Int64[np.ndarray, "unit concept"]
"""Pixels counted for every pair of unit and concept; column 0 (no label) stays 0."""

PerUnit = Float64[np.ndarray, "unit"]
Thresholds = Float32[np.ndarray, "unit"]
Areas = Int64[np.ndarray, "unit"]
ConceptAreas = Int64[np.ndarray, "concept"]
CategoryAreas = Int64[np.ndarray, "unit category"]
UnitIds = Int32[np.ndarray, "unit"]
