"""The laboratory: a drawn world, networks trained on it, and the studies of the papers over them."""

from unitscope.doors import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
