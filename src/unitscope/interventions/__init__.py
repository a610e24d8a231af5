"""What units do: edits of hidden layers, and what comes out of them."""

from unitscope.doors import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
