"""What units do: edits of hidden layers, and what comes out of them.

Units are edited (`edited`, `set_units`) and removed (`measure_importance`), predictions explained by them
(`explain`), images attacked (`attack_images`), units taken for detectors (`detect`), and a generator's units
painted with (`open_studio`, `open_easel`), also on a given
picture (`open_photo`). Experiments over many images are in `unitscope.experiments`.
"""

from unitscope.doors import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
