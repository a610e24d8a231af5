"""What a unit may mean: images with named pixels."""

from unitscope.doors import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
